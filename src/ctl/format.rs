//! Words for people: names that cannot harm a terminal, durations, ways to end.

use crate::status::state::LastExit;
use crate::sys::terminal::escape;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// In fewer columns nobody can read anything.
const HANGING_MIN: usize = 10;

/// A module's name as it is shown: one word, without anything that moves a cursor, breaks a line, or could be
/// taken for an option. What is not shown as it is becomes `\x20`, `\n`, `\u{202e}`.
pub fn name(name: &OsStr) -> String {
    let mut shown = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '-' if shown.is_empty() => shown += r"\x2d",
                ' ' => shown += r"\x20",
                '\'' | '"' => shown.push(letter),
                // Everything that Unicode does not call printable: controls, and marks that reverse a line.
                _ => shown.extend(letter.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            shown += &format!(r"\x{byte:02x}");
        }
    }
    shown
}

/// Text from a file of which nobody knows who wrote it: blanks stay, controls are shown instead of obeyed.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\t' => shown.push(letter),
            _ => escape::push_letter(&mut shown, letter),
        }
    }
    shown
}

/// JSON on one line, with nothing in it that a terminal would obey: what JSON itself leaves as it is (C1 controls, marks
/// that reverse a line) becomes `\u202e`, which every reader takes for the same.
pub fn json(value: &serde_json::Value) -> String {
    let plain = value.to_string();
    if !plain.chars().any(escape::is_active) {
        return plain;
    }
    let mut shown = String::with_capacity(plain.len() + 16);
    for letter in plain.chars() {
        if escape::is_active(letter) {
            // All of them are below U+10000. They stand in strings alone, for nothing else holds such characters.
            shown += &format!("\\u{:04x}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A duration in the two largest of its units: `3d 4h`, `5m 12s`, `7s`.
pub fn duration(time: Duration) -> String {
    let s = time.as_secs();
    let two = |first: u64, a: &str, second: u64, b: &str| match second {
        0 => format!("{first}{a}"),
        _ => format!("{first}{a} {second}{b}"),
    };
    match s {
        DAY.. => two(s / DAY, "d", s % DAY / HOUR, "h"),
        HOUR.. => two(s / HOUR, "h", s % HOUR / MINUTE, "m"),
        MINUTE.. => two(s / MINUTE, "m", s % MINUTE, "s"),
        _ => format!("{s}s"),
    }
}

/// A duration within a sentence: `3 s`, `0.4 s`, and from a minute on as [`duration`].
pub fn spoken(time: Duration) -> String {
    match time.as_secs() {
        MINUTE.. => duration(time),
        0 if time.subsec_millis() >= 100 => format!("0.{} s", time.subsec_millis() / 100),
        s => format!("{s} s"),
    }
}

/// How a process ended: `exit 3`, `KILL`, `ABRT (core dumped)`.
pub fn ending(exit: &LastExit) -> String {
    let core = if exit.core { " (core dumped)" } else { "" };
    match (exit.code, &exit.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("{}{core}", text(signal)),
        (None, None) => format!("unknown{core}"),
    }
}

/// The columns that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` with blanks after it, up to `columns`.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// As much of `text` as fits into `columns`, with `…` in the place of the rest.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let mut taken = 0;
    let mut short: String = text
        .chars()
        .take_while(|letter| {
            taken += letter.width().unwrap_or(0);
            taken < columns
        })
        .collect();
    if columns > 0 {
        short.push('…');
    }
    short
}

/// `text` in lines of at most so many columns, broken at blanks where there are any. At least one line.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let options = textwrap::Options::new(columns.max(1)).word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

/// `text` after `head`, and where it is too long for one line, its other lines below its beginning.
pub fn hanging(head: &str, text: &str, columns: usize) -> String {
    let indent = width(head);
    let lines = wrapped(text, columns.saturating_sub(indent).max(HANGING_MIN));
    let gaps = std::iter::once(head.to_string()).chain(std::iter::repeat(" ".repeat(indent)));
    gaps.zip(lines).map(|(gap, line)| format!("{gap}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_name_is_shown_as_it_is() {
        for plain in ["web", "web/log", "a.b-c_d", "服务", "it's", "naïve"] {
            assert_eq!(name(OsStr::new(plain)), plain);
        }
    }

    #[test]
    fn a_hostile_name_is_shown_as_one_harmless_word() {
        let shown = |bytes: &[u8]| name(OsStr::from_bytes(bytes));
        assert_eq!(shown(b"a b"), r"a\x20b");
        assert_eq!(shown(b"a\nok: b: up"), r"a\nok:\x20b:\x20up");
        assert_eq!(shown(b"\x1b[2J"), r"\u{1b}[2J");
        assert_eq!(shown(b"-w"), r"\x2dw");
        assert_eq!(shown(b"a\xffb"), r"a\xffb");
        assert_eq!(shown("a\u{202e}b".as_bytes()), r"a\u{202e}b");
        assert_eq!(shown(b"a\\nb"), r"a\\nb");
    }

    #[test]
    fn json_means_the_same_and_gives_a_terminal_no_order() {
        let value = serde_json::json!({ "a\u{9b}31m": "x\u{202e}y\u{1b}]0;t\u{7}" });
        let shown = json(&value);
        assert!(!shown.chars().any(escape::is_active), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let shown = |s| duration(Duration::from_secs(s));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(59), "59s");
        assert_eq!(shown(60), "1m");
        assert_eq!(shown(312), "5m 12s");
        assert_eq!(shown(2 * HOUR + 60), "2h 1m");
        assert_eq!(shown(3 * DAY + 4 * HOUR + 59), "3d 4h");
        assert_eq!(shown(365 * DAY), "365d");
    }

    #[test]
    fn a_sentence_has_seconds() {
        assert_eq!(spoken(Duration::from_millis(3900)), "3 s");
        assert_eq!(spoken(Duration::from_millis(400)), "0.4 s");
        assert_eq!(spoken(Duration::from_millis(999)), "0.9 s");
        assert_eq!(spoken(Duration::from_millis(20)), "0 s");
        assert_eq!(spoken(Duration::from_secs(75)), "1m 15s");
    }

    #[test]
    fn endings_name_code_signal_and_core() {
        let exit = |code, signal: Option<&str>, core| LastExit {
            code,
            signal: signal.map(Into::into),
            core,
            at: String::new(),
        };
        assert_eq!(ending(&exit(Some(3), None, false)), "exit 3");
        assert_eq!(ending(&exit(None, Some("KILL"), false)), "KILL");
        assert_eq!(ending(&exit(None, Some("ABRT"), true)), "ABRT (core dumped)");
        assert_eq!(ending(&exit(None, None, false)), "unknown");
    }

    #[test]
    fn nothing_is_lost_where_a_line_is_too_short() {
        assert_eq!(wrapped("needs db, which is not ready", 12), ["needs db,", "which is not", "ready"]);
        assert_eq!(wrapped("/a/very/long-path", 8), ["/a/very/", "long-pat", "h"]);
        assert_eq!(wrapped("服务器 up", 5), ["服务", "器 up"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn wide_letters_are_counted_when_lines_are_cut_and_padded() {
        assert_eq!(cut("服务器", 4), "服…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
        assert_eq!(padded("服务", 6), "服务  ");
    }
}
