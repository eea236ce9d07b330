//! A command line as getopt(3) reads it, put into the order that clap reads.
//!
//! The C program `supervise` calls getopt, and its scripts rely on what that allows and clap does not: options among the
//! words and after them, the same option twice, values that are empty or begin with a dash. [`arrange`] decides all that by
//! clap's own definition, so there is one list of options; what it cannot place is left for clap to complain about.

use clap::{ArgAction, Command};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The same command line with each option once, in front, and the words behind `--`.
///
/// - Of an option that is repeated, the last one counts.
/// - The option `last` ends the options: all that follows its value are words, and those before it are dropped.
/// - With `posix` (`POSIXLY_CORRECT`), the first word ends the options, too.
pub fn arrange(definition: &Command, last: char, posix: bool, line: Vec<OsString>) -> Vec<OsString> {
    let mut reader = Reader { definition, options: BTreeMap::new(), left: Vec::new(), words: Vec::new() };
    let mut line = line.into_iter();
    let name = line.next();
    while let Some(word) = line.next() {
        match word.as_bytes() {
            b"--" => break,
            [b'-', b'-', ..] => reader.left.push(word),
            [b'-', letters @ ..] if !letters.is_empty() => {
                if reader.cluster(letters, last, &mut line) {
                    reader.words.clear();
                    // Nobody has a program of this name; it can only be meant as the end of the options.
                    reader.words.extend(line.next().filter(|word| word != "--"));
                    break;
                }
            }
            _ => {
                reader.words.push(word);
                if posix {
                    break;
                }
            }
        }
    }
    reader.words.extend(line);
    name.into_iter().chain(reader.finish()).collect()
}

struct Reader<'a> {
    definition: &'a Command,
    /// The last value of each option; none for those that take none.
    options: BTreeMap<char, Option<OsString>>,
    /// What is left to clap: long options, unknown ones, and one whose value is missing.
    left: Vec<OsString>,
    words: Vec<OsString>,
}

impl Reader<'_> {
    /// Reads the letters of one argument; whether the option `last` was the last of them.
    fn cluster(&mut self, letters: &[u8], last: char, line: &mut impl Iterator<Item = OsString>) -> bool {
        for (at, byte) in letters.iter().enumerate() {
            let letter = char::from(*byte);
            match self.takes_value(letter) {
                Some(false) => drop(self.options.insert(letter, None)),
                Some(true) => {
                    let rest = letters.get(at + 1..).unwrap_or_default();
                    let value = if rest.is_empty() { line.next() } else { Some(OsStr::from_bytes(rest).to_owned()) };
                    match value {
                        Some(value) => drop(self.options.insert(letter, Some(value))),
                        None => self.left.push(option(letter)),
                    }
                    return letter == last;
                }
                None => self.left.push(OsString::from_vec([b"-", letters.get(at..).unwrap_or_default()].concat())),
            }
            if self.takes_value(letter).is_none() {
                return false;
            }
        }
        false
    }

    /// Whether the option takes a value, if there is such an option.
    fn takes_value(&self, letter: char) -> Option<bool> {
        if letter == 'h' {
            return Some(false);
        }
        let argument = self.definition.get_arguments().find(|argument| argument.get_short() == Some(letter))?;
        Some(matches!(argument.get_action(), ArgAction::Set | ArgAction::Append))
    }

    fn finish(self) -> Vec<OsString> {
        let options = self.options.into_iter();
        let mut line: Vec<OsString> =
            options.flat_map(|(letter, value)| [Some(option(letter)), value]).flatten().collect();
        line.extend(self.left);
        if !self.words.is_empty() {
            line.push("--".into());
            line.extend(self.words);
        }
        line
    }
}

fn option(letter: char) -> OsString {
    format!("-{letter}").into()
}

/// The number at the beginning of `text`, as atoi(3) reads it; 0 if there is none, or a negative one.
pub fn seconds(text: &OsStr) -> u64 {
    let text = text.to_string_lossy();
    let text = text.trim_start();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    match digits.get(..end).unwrap_or_default() {
        "" => 0,
        number => number.parse().unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn arranged(line: &str, posix: bool) -> String {
        let value = |(name, letter): (&'static str, char)| Arg::new(name).short(letter);
        let definition = Command::new("x")
            .args([("p", 'p'), ("f", 'f'), ("t", 't'), ("u", 'u')].map(value))
            .arg(Arg::new("n").short('n').action(ArgAction::SetTrue))
            .arg(Arg::new("words").num_args(0..));
        let line = format!("x {line}");
        let words = line.split(' ').map(|word| OsString::from(word.replace('_', ""))).collect();
        let words = arrange(&definition, 'u', posix, words);
        words[1..].iter().map(|word| word.to_str().unwrap().replace(' ', "_")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_and_words_may_be_mixed() {
        let table = [
            ("-p a -f b", "-f b -p a"),
            ("-p a x y", "-p a -- x y"),
            ("x -p a y -f b", "-f b -p a -- x y"),
            ("-pa -fb", "-f b -p a"),
            ("-npa", "-n -p a"),
            ("-p a -p b", "-p b"),
            ("-n -n", "-n"),
            ("-t -1 -p -f", "-p -f -t -1"),
            ("-t _ -p a", "-p a -t "),
            ("-p a -- -f b", "-p a -- -f b"),
            ("-p a -- --", "-p a -- --"),
            ("- -p a", "-p a -- -"),
            ("-h -p a", "-h -p a"),
        ];
        for (line, expected) in table {
            assert_eq!(arranged(line, false), expected, "{line}");
        }
    }

    #[test]
    fn one_option_ends_the_options() {
        let table = [
            ("-u a cmd -p b -- -n", "-u a -- cmd -p b -- -n"),
            ("-ua cmd", "-u a -- cmd"),
            ("-nua cmd", "-n -u a -- cmd"),
            ("stray -p b -u a cmd", "-p b -u a -- cmd"),
            ("-u a -- cmd --", "-u a -- cmd --"),
            ("-u a", "-u a"),
        ];
        for (line, expected) in table {
            assert_eq!(arranged(line, false), expected, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_placed_is_left_to_clap() {
        let table = [
            ("-p", "-p"),
            ("-f b -p", "-f b -p"),
            ("-p a -z -f b", "-f b -p a -z"),
            ("-nz -p a", "-n -p a -z"),
            ("-zn", "-zn"),
            ("--long -p a", "-p a --long"),
            ("-u", "-u"),
        ];
        for (line, expected) in table {
            assert_eq!(arranged(line, false), expected, "{line}");
        }
    }

    #[test]
    fn posix_has_the_first_word_end_the_options() {
        assert_eq!(arranged("-p a x -f b", true), "-p a -- x -f b");
    }

    #[test]
    fn numbers_are_read_as_atoi_does() {
        let table =
            [("10", 10), ("10s", 10), ("-1", 0), ("", 0), ("abc", 0), ("1.5", 1), (" 7", 7), ("+3", 3), ("0x9", 0)];
        for (text, expected) in table {
            assert_eq!(seconds(OsStr::new(text)), expected, "{text:?}");
        }
        assert_eq!(seconds(OsStr::new("99999999999999999999999")), u64::MAX);
    }
}
