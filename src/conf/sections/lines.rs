//! What each line of the file is, by itself.
//!
//! rust-ini reads what is a key and what its value, line by line. Given the whole file, it would join a junk line to the
//! next key, accept indented lines, take a backslash at the end for a line that goes on, and forget line numbers.

use crate::conf::keys;
use ini::{Ini, ParseOption};

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Empty, indented, or a comment.
    Nothing,
    /// `[name]`
    Section(String),
    /// `key : value` or `key = value`, without the blanks around either.
    Entry {
        /// The key.
        key: String,
        /// The value; may be empty.
        value: String,
    },
    /// Meant as a header, but none, and why: what follows belongs to nobody.
    BadSection(String),
    /// None of these, and why.
    Bad(String),
}

/// A line, with its number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: usize,
    /// What it is.
    pub kind: Kind,
}

/// A longer line, in bytes, is somebody's mistake: no value that a process can be given is half as long.
const LINE_MAX: usize = 256 * 1024;

/// The C program cuts `alarm_mail` lines at this many characters, trailing blanks included.
pub const MAIL_LINE_MAX: usize = 2048;

/// Classifies every line of the file, one at a time: millions of them together would need fifty times as much memory as the
/// file.
pub fn classify(bytes: &[u8]) -> impl Iterator<Item = Line> + '_ {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(at, line)| Line { number: at + 1, kind: kind(line.strip_suffix(b"\r").unwrap_or(line)) })
}

fn kind(line: &[u8]) -> Kind {
    // A comment may be in any encoding.
    if line.starts_with(b"#") || line.starts_with(b";") {
        return Kind::Nothing;
    }
    if line.len() > LINE_MAX {
        return Kind::Bad(format!("is longer than {LINE_MAX} bytes and is ignored"));
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Kind::Bad("is not UTF-8 and is ignored".into());
    };
    match line.chars().next() {
        None => Kind::Nothing,
        Some(' ' | '\t') => indented(line),
        _ if line.chars().any(|letter| letter.is_control() && letter != '\t') => {
            Kind::Bad("has a control character and is ignored".into())
        }
        Some('[') => section(line),
        Some(_) => entry(line),
    }
}

/// An indented line counts for nothing. One that looks as if it was meant to count is told.
fn indented(line: &str) -> Kind {
    let text = line.trim();
    let what = match text.chars().next() {
        Some('[') if matches!(section(text), Kind::Section(_)) => {
            format!("{} is indented and is ignored: the lines below it belong to the section above", shortened(text))
        }
        Some('#' | ';') | None => return Kind::Nothing,
        Some(_) => match entry(text) {
            Kind::Entry { key, .. } if keys::key(&key).is_some() => {
                format!("{key} is indented and is ignored: a key begins in the first column")
            }
            _ => return Kind::Nothing,
        },
    };
    Kind::Bad(what)
}

fn section(line: &str) -> Kind {
    // A comment behind the header is none of its name.
    let ends = line.match_indices(']').map(|(at, _)| at + 1);
    let line = match ends.into_iter().find(|end| is_comment(&line[*end..])) {
        Some(end) => &line[..end],
        None => line.trim_end(),
    };
    let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Kind::BadSection(if line.contains(']') {
            "has something after the ]: a section is [name]".into()
        } else {
            "has no ]: a section is [name]".into()
        });
    };
    if name.trim() != name {
        return Kind::BadSection(format!("has a space inside the brackets: write [{}]", name.trim()));
    }
    if name.is_empty() || name.starts_with('[') || !is_balanced(name) {
        return Kind::BadSection("is not a section: a section is [name]".into());
    }
    Kind::Section(name.into())
}

/// A directory may be called `br[1]`; `a]b` is somebody's mistake.
fn is_balanced(name: &str) -> bool {
    let open = name.chars().try_fold(0usize, |open, letter| match letter {
        '[' => Some(open + 1),
        ']' => open.checked_sub(1),
        _ => Some(open),
    });
    open == Some(0)
}

fn is_comment(rest: &str) -> bool {
    rest.starts_with([' ', '\t']) && rest.trim_start().starts_with(['#', ';'])
}

fn entry(line: &str) -> Kind {
    let Some((before, _)) = line.split_once([':', '=']) else {
        return Kind::Bad(format!("is neither a section nor `key : value` and is ignored: {:?}", shortened(line)));
    };
    let line = if before.trim_end() == "alarm_mail" { cut(line, before) } else { line };
    match pair(line) {
        Some((key, value)) if is_key(&key) => Kind::Entry { key, value },
        _ => {
            let before = shortened(before.trim_end());
            Kind::Bad(format!("has no valid key before the separator and is ignored: {before:?}"))
        }
    }
}

/// What rust-ini takes for the line's key and its value.
fn pair(line: &str) -> Option<(String, String)> {
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    let ini = Ini::load_from_str_opt(line, options).ok()?;
    let (key, value) = ini.section(None::<String>)?.iter().next()?;
    Some((key.into(), value.into()))
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
}

/// The line's first [`MAIL_LINE_MAX`] characters, without a word of its value that would lose its end. The value begins
/// behind the separator that follows `before`.
fn cut<'a>(line: &'a str, before: &str) -> &'a str {
    let Some((at, _)) = line.char_indices().nth(MAIL_LINE_MAX) else { return line };
    let (kept, rest) = line.split_at(at);
    let value = before.len() + 1;
    let end = if rest.starts_with([' ', '\t']) { Some(at) } else { kept.rfind([' ', '\t']) };
    line.get(..end.unwrap_or(value).max(value)).unwrap_or(line)
}

/// The beginning of a text that somebody else has written.
pub(super) fn shortened(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Kind {
        classify(line.as_bytes()).next().unwrap().kind
    }

    fn pair(key: &str, value: &str) -> Kind {
        Kind::Entry { key: key.into(), value: value.into() }
    }

    #[test]
    fn lines_are_what_the_seed_says() {
        assert_eq!(one("max_tries : 10"), pair("max_tries", "10"));
        assert_eq!(one("max_tries=10\r"), pair("max_tries", "10"));
        assert_eq!(one("alarm_mail :"), pair("alarm_mail", ""));
        assert_eq!(one("alarm_command: hook a=b:c"), pair("alarm_command", "hook a=b:c"));
        assert_eq!(one("  see: the manual"), Kind::Nothing);
        assert_eq!(one("\t# [web]"), Kind::Nothing);
        assert_eq!(one("# a"), Kind::Nothing);
        assert_eq!(one("; a"), Kind::Nothing);
        assert_eq!(one("[web/log]"), Kind::Section("web/log".into()));
        assert_eq!(one("[web]\t # the web"), Kind::Section("web".into()));
        assert_eq!(one("[web] ; the web]"), Kind::Section("web".into()));
        assert_eq!(one("\u{feff}[web]"), Kind::Section("web".into()));
    }

    #[test]
    fn a_name_may_have_brackets_of_its_own() {
        assert_eq!(one("[br[1]]"), Kind::Section("br[1]".into()));
        assert_eq!(one("[br[1]] # the bridge"), Kind::Section("br[1]".into()));
        for line in ["[br[1]", "[br]1]", "[[br]]", "[br[1]]]"] {
            assert!(matches!(one(line), Kind::BadSection(_)), "{line}: {:?}", one(line));
        }
    }

    #[test]
    fn what_is_indented_is_told_if_it_was_meant_to_count() {
        for line in [" max_tries : 10", "\tuser = www"] {
            let Kind::Bad(what) = one(line) else { panic!("{line}") };
            assert!(what.contains("first column"), "{what}");
        }
        let Kind::Bad(what) = one("\t[web]") else { panic!() };
        assert!(what.contains("belong to the section above"), "{what}");
    }

    #[test]
    fn a_line_without_end_is_bad() {
        let Kind::Bad(what) = one(&format!("env : {}", "A=b ".repeat(LINE_MAX / 4))) else { panic!() };
        assert!(what.starts_with("is longer than"), "{what}");
    }

    #[test]
    fn what_is_neither_is_bad() {
        for line in ["[ web]", "[web ]", "[web", "[web] junk", "[]"] {
            assert!(matches!(one(line), Kind::BadSection(_)), "{line}: {:?}", one(line));
        }
        for line in ["junk", ": 3", "two words : 3", "a\x1bb: 3"] {
            assert!(matches!(one(line), Kind::Bad(_)), "{line}: {:?}", one(line));
        }
        assert_eq!(classify(b"# \xc4\xe3\xba\xc3").next().unwrap().kind, Kind::Nothing);
        assert!(matches!(classify(b"ok : 1\nm\xff : 2\n").nth(1).unwrap(), Line { number: 2, kind: Kind::Bad(_) }));
    }

    #[test]
    fn a_mail_line_is_cut_at_2048_characters_between_words() {
        let long = format!("alarm_mail : {}", "someone@example.org ".repeat(200));
        let Kind::Entry { value, .. } = one(&long) else { panic!() };
        assert!(value.len() <= MAIL_LINE_MAX && value.ends_with("someone@example.org"), "{value}");
        assert_eq!(value.split(' ').count(), (MAIL_LINE_MAX - "alarm_mail : ".len() + 1) / 20);
        let blanks = format!("alarm_mail : a@example.org{}b@example.org", " ".repeat(3000));
        assert_eq!(one(&blanks), pair("alarm_mail", "a@example.org"));
    }

    proptest! {
        #[test]
        fn every_value_is_read_as_it_stands(value in "[ -~\t\u{a1}-\u{2fff}]{0,60}", separator in "[:=]") {
            let line = format!("alarm_command {separator}{value}");
            prop_assert_eq!(one(&line), pair("alarm_command", value.trim()));
        }

        #[test]
        fn any_bytes_are_classified_line_by_line(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let lines = classify(&bytes);
            prop_assert_eq!(lines.count(), bytes.iter().filter(|byte| **byte == b'\n').count() + 1);
        }
    }
}
