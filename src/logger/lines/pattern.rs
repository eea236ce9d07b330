//! Which lines are wanted: patterns as a shell has them for file names, over the whole line.
//!
//! A regular expression would need a library as large as the rest of this program, in memory too, and svlogd's and
//! multilog's patterns are of this kind. `*` matches any number of any bytes, `?` one byte, `[a-z]` and `[!a-z]` one of a set,
//! and a backslash takes the next letter as it is. Everything else matches itself.
//!
//! The time is at most length of the line times length of the pattern: the parts between stars are looked for
//! one after the other, each at its first place, and never again.

use super::svlogd_pattern::SvlogdPattern;
use memchr::memmem::Finder;
use std::fmt;

/// One pattern, and what it does with the lines that it matches.
#[derive(Debug, Clone)]
pub struct Rule {
    wanted: bool,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Shell(Pattern),
    Svlogd(SvlogdPattern),
}

/// Whose patterns they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Ours: a shell's.
    #[default]
    Shell,
    /// Those of svlogd's `config`.
    Svlogd,
}

/// All patterns of a log, in their order: the last one that matches decides, and a line that none matches is wanted.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

/// One pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    parts: Vec<Part>,
}

/// What stands between two stars.
#[derive(Debug, Clone)]
struct Part {
    letters: Vec<Letter>,
    /// The same, if all of them stand for themselves.
    plain: Option<Finder<'static>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Letter {
    Same(u8),
    Any,
    /// Ranges, and whether the byte has to be in none of them.
    Set(Vec<(u8, u8)>, bool),
}

/// Why something is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// Neither `+` nor `-` is in front.
    NoSign(String),
    /// A set without its `]`.
    OpenSet(String),
    /// A backslash at the end.
    LastBackslash(String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::NoSign(text) => write!(f, "pattern {text:?}: + or - is needed in front"),
            PatternError::OpenSet(text) => write!(f, "pattern {text:?}: [ without ]"),
            PatternError::LastBackslash(text) => write!(f, "pattern {text:?}: \\ at the end"),
        }
    }
}

impl Rules {
    /// Reads patterns with their signs.
    ///
    /// # Errors
    /// Of the first one that is none.
    pub fn parse(patterns: &[Vec<u8>], dialect: Dialect) -> Result<Rules, PatternError> {
        patterns.iter().map(|pattern| Rule::parse(pattern, dialect)).collect::<Result<_, _>>().map(Rules)
    }

    /// Whether the line is wanted.
    pub fn want(&self, line: &[u8]) -> bool {
        self.0.iter().rev().find(|rule| rule.matches(line)).is_none_or(|rule| rule.wanted)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Rule {
    fn matches(&self, line: &[u8]) -> bool {
        match &self.kind {
            Kind::Shell(pattern) => pattern.matches(line),
            Kind::Svlogd(pattern) => pattern.matches(line),
        }
    }

    fn parse(text: &[u8], dialect: Dialect) -> Result<Rule, PatternError> {
        let wanted = match text.first() {
            Some(b'+') => true,
            Some(b'-') => false,
            _ => return Err(PatternError::NoSign(String::from_utf8_lossy(text).into_owned())),
        };
        let kind = match dialect {
            Dialect::Shell => Kind::Shell(Pattern::parse(&text[1..])?),
            Dialect::Svlogd => Kind::Svlogd(SvlogdPattern::new(&text[1..])),
        };
        Ok(Rule { wanted, kind })
    }
}

impl Pattern {
    /// Reads a pattern without its sign.
    ///
    /// # Errors
    /// When a set or a backslash is not complete.
    pub fn parse(text: &[u8]) -> Result<Pattern, PatternError> {
        let shown = || String::from_utf8_lossy(text).into_owned();
        let mut parts = vec![Vec::new()];
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let letter = match byte {
                b'*' => {
                    parts.push(Vec::new());
                    continue;
                }
                b'?' => Letter::Any,
                b'\\' => {
                    let (&next, after) = rest.split_first().ok_or_else(|| PatternError::LastBackslash(shown()))?;
                    rest = after;
                    Letter::Same(next)
                }
                b'[' => {
                    let (set, after) = set(rest).ok_or_else(|| PatternError::OpenSet(shown()))?;
                    rest = after;
                    set
                }
                byte => Letter::Same(byte),
            };
            parts.last_mut().expect("there is one from the beginning").push(letter);
        }
        Ok(Pattern { parts: parts.into_iter().map(Part::new).collect() })
    }

    /// Whether it matches all of the line.
    pub fn matches(&self, line: &[u8]) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return line.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return first.is(line) };
        let (head, tail) = (first.letters.len(), last.letters.len());
        if line.len() < head + tail || !first.is(&line[..head]) || !last.is(&line[line.len() - tail..]) {
            return false;
        }
        let mut between = &line[head..line.len() - tail];
        middle.iter().all(|part| {
            let Some(at) = part.find(between) else { return false };
            between = &between[at + part.letters.len()..];
            true
        })
    }
}

impl Part {
    fn new(letters: Vec<Letter>) -> Part {
        let plain: Option<Vec<u8>> = letters.iter().map(Letter::same).collect();
        Part { letters, plain: plain.map(|bytes| Finder::new(&bytes).into_owned()) }
    }

    /// Whether these bytes, and no more, are matched.
    fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.letters.len() && self.letters.iter().zip(bytes).all(|(letter, byte)| letter.is(*byte))
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match &self.plain {
            Some(plain) => plain.find(bytes),
            None => bytes.windows(self.letters.len()).position(|window| self.is(window)),
        }
    }
}

impl Letter {
    fn same(&self) -> Option<u8> {
        match self {
            Letter::Same(byte) => Some(*byte),
            Letter::Any | Letter::Set(..) => None,
        }
    }

    fn is(&self, byte: u8) -> bool {
        match self {
            Letter::Same(same) => *same == byte,
            Letter::Any => true,
            Letter::Set(ranges, not) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *not,
        }
    }
}

/// What is between `[` and `]`, and what is behind it. A `]` that comes first stands for itself.
fn set(text: &[u8]) -> Option<(Letter, &[u8])> {
    let (not, text) = match text.strip_prefix(b"!").or_else(|| text.strip_prefix(b"^")) {
        Some(text) => (true, text),
        None => (false, text),
    };
    let end = text.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let mut ranges = Vec::new();
    let mut inside = &text[..end];
    while let Some((&low, after)) = inside.split_first() {
        inside = after;
        match inside {
            [b'-', high, after @ ..] => {
                ranges.push((low, *high));
                inside = after;
            }
            _ => ranges.push((low, low)),
        }
    }
    Some((Letter::Set(ranges, not), &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, line: &str) -> bool {
        Pattern::parse(pattern.as_bytes()).unwrap().matches(line.as_bytes())
    }

    #[test]
    fn a_pattern_is_about_the_whole_line() {
        for (pattern, line) in [
            ("", ""),
            ("*", ""),
            ("*", "anything"),
            ("abc", "abc"),
            ("a*", "a"),
            ("*debug*", "a debug line"),
            ("*fo*foo", "fofoo"),
            ("a*b*c", "aXbYbZc"),
            ("?", "x"),
            ("*[0-9]", "line 7"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("\\*\\?", "*?"),
            ("*a?c*", "xxabcxx"),
        ] {
            assert!(matches(pattern, line), "{pattern} {line}");
        }
        for (pattern, line) in [
            ("", "x"),
            ("abc", "abcd"),
            ("debug", "a debug line"),
            ("a*a", "a"),
            ("?", ""),
            ("[!a-c]", "b"),
            ("\\*", "x"),
            ("*ab*ab", "ab"),
        ] {
            assert!(!matches(pattern, line), "{pattern} {line}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let rules = |all: &[&str]| {
            Rules::parse(&all.iter().map(|rule| rule.as_bytes().to_vec()).collect::<Vec<_>>(), Dialect::Shell)
        };
        let wanted = rules(&["-*", "+*error*", "-*error 7*"]).unwrap();
        assert!(wanted.want(b"an error 8"));
        assert!(!wanted.want(b"an error 7"));
        assert!(!wanted.want(b"nothing"));
        assert!(rules(&["-debug*"]).unwrap().want(b"other"));
        assert!(rules(&["debug"]).is_err() && rules(&["-[a"]).is_err() && rules(&["+a\\"]).is_err());
    }

    /// The definition, which takes its time.
    fn slowly(pattern: &[u8], line: &[u8]) -> bool {
        match (pattern.split_first(), line.split_first()) {
            (None, _) => line.is_empty(),
            (Some((b'*', rest)), _) => (0..=line.len()).any(|at| slowly(rest, &line[at..])),
            (Some((b'?', rest)), Some((_, left))) => slowly(rest, left),
            (Some((byte, rest)), Some((same, left))) if byte == same => slowly(rest, left),
            (Some(_), _) => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(pattern in "[ab*?]{0,8}", line in "[ab]{0,12}") {
            prop_assert_eq!(matches(&pattern, &line), slowly(pattern.as_bytes(), line.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_pattern_or_an_error(pattern: Vec<u8>, line: Vec<u8>) {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.matches(&line);
            }
        }
    }

    #[test]
    fn a_long_line_and_many_stars_take_linear_time() {
        let line = "a".repeat(1024 * 1024);
        let begun = std::time::Instant::now();
        assert!(!matches(&"a*".repeat(50), &format!("b{line}")));
        assert!(!matches(&format!("{}b", "*a".repeat(50)), &line));
        assert!(!matches(&format!("*{}b*", "a".repeat(50)), &line));
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}
