//! The grammar of a file of variables: that of systemd's `EnvironmentFile=` (systemd.exec(5)), and an optional `export `.
//!
//! - A line is `NAME=value`; one that begins with `#` or `;` is a comment.
//! - An unquoted value keeps the blanks within it, and loses those around it. A backslash keeps the character behind it as it
//!   is; at the end of the line, it joins the next line.
//! - `'…'` and `"…"` quote, also over several lines, where they begin the value or follow another quoted part; within a
//!   value that began without quotes they are ordinary characters. Within `"…"`, a backslash only counts before `"`, `\`, `` ` ``,
//!   `$` and the end of a line. Blanks behind a quoted part are dropped, and what follows belongs to the value.
//! - Nothing is expanded, and a `#` within a line is not a comment.
//!
//! What systemd drops without a word has a complaint here. No complaint has any text of the file in it, for that may be part
//! of a secret.

use crate::conf::context::variables::is_name;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// What a line, or several lines that belong together, said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of the first line, from 1.
    pub number: usize,
    /// The variable.
    pub variable: Option<(OsString, OsString)>,
    /// What is wrong with it; without a variable, the line is ignored.
    pub complaint: Option<&'static str>,
}

const NO_ASSIGNMENT: &str = "is not NAME=value and is ignored";
const NO_NAME: &str = "has no valid name before the = and is ignored";
const NUL: &str = "has a NUL byte and is ignored";
const UNCLOSED: &str = "has a quote that is never closed; the value goes to the end of the file";
const COMMENT: &str = "has a # within: it belongs to the value, for comments are lines of their own";

/// The word that shells want before an assignment.
const EXPORT: &[u8] = b"export";

/// Reads a file.
pub fn parse(bytes: &[u8]) -> Vec<Line> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader { bytes, at: 0, line: 1 };
    let mut lines = Vec::new();
    while reader.skip_to_assignment() {
        lines.push(reader.assignment());
    }
    lines
}

/// Where reading a value has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Before it, or behind a quoted part.
    Nothing,
    Unquoted,
    Single,
    Double,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

/// A value as it is read.
struct Reading {
    value: Vec<u8>,
    /// How long it is without the blanks at its end that count for nothing.
    kept: usize,
    within: Within,
    /// The byte before this one was an unquoted blank.
    after_blank: bool,
    has_comment: bool,
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    /// Goes on to the first byte that is neither blank nor in a comment. Whether there is one.
    fn skip_to_assignment(&mut self) -> bool {
        while let Some(byte) = self.bytes.get(self.at).copied() {
            match byte {
                b'#' | b';' => while self.next().is_some_and(|byte| !is_end(byte)) {},
                byte if is_blank(byte) || is_end(byte) => drop(self.next()),
                _ => return true,
            }
        }
        false
    }

    fn assignment(&mut self) -> Line {
        let number = self.line;
        let mut name = Vec::new();
        let is_assignment = loop {
            match self.next() {
                None => break false,
                Some(byte) if is_end(byte) => break false,
                Some(b'=') => break true,
                Some(byte) => name.push(byte),
            }
        };
        if !is_assignment {
            let complaint = if name.contains(&0) { NUL } else { NO_ASSIGNMENT };
            return Line { number, variable: None, complaint: Some(complaint) };
        }
        let (value, complaint) = self.value();
        let name = without_export(&name);
        let complaint = match complaint {
            _ if name.contains(&0) || value.contains(&0) => Some(NUL),
            _ if !is_name(name) => Some(NO_NAME),
            complaint => complaint,
        };
        let is_lost = matches!(complaint, Some(NUL | NO_NAME));
        let variable = (OsString::from_vec(name.to_vec()), OsString::from_vec(value));
        Line { number, variable: (!is_lost).then_some(variable), complaint }
    }

    fn value(&mut self) -> (Vec<u8>, Option<&'static str>) {
        let mut reading =
            Reading { value: Vec::new(), kept: 0, within: Within::Nothing, after_blank: false, has_comment: false };
        while let Some(byte) = self.next() {
            let goes_on = match reading.within {
                Within::Nothing | Within::Unquoted => self.outside(byte, &mut reading),
                Within::Single if byte == b'\'' => reading.close(),
                Within::Double if byte == b'"' => reading.close(),
                Within::Double if byte == b'\\' => self.escaped_in_quotes(&mut reading),
                Within::Single | Within::Double => reading.push(byte),
            };
            if !goes_on {
                break;
            }
        }
        let is_open = matches!(reading.within, Within::Single | Within::Double);
        let complaint = if is_open { Some(UNCLOSED) } else { reading.has_comment.then_some(COMMENT) };
        reading.value.truncate(reading.kept);
        (reading.value, complaint)
    }

    /// A byte outside quotes. Whether the value goes on.
    fn outside(&mut self, byte: u8, reading: &mut Reading) -> bool {
        let begins = reading.within == Within::Nothing;
        match byte {
            byte if is_end(byte) => return false,
            b'\'' if begins => reading.within = Within::Single,
            b'"' if begins => reading.within = Within::Double,
            b'\\' => {
                reading.within = Within::Unquoted;
                // A blank before it is no longer at the end, even if nothing follows.
                reading.kept = reading.value.len();
                if let Some(next) = self.next().filter(|next| !is_end(*next)) {
                    reading.push(next);
                }
            }
            byte if is_blank(byte) => {
                if !begins {
                    reading.value.push(byte);
                }
                reading.after_blank = true;
                return true;
            }
            byte => {
                reading.has_comment |= byte == b'#' && reading.after_blank;
                reading.within = Within::Unquoted;
                reading.push(byte);
            }
        }
        reading.after_blank = false;
        true
    }

    /// The byte behind a backslash within double quotes.
    fn escaped_in_quotes(&mut self, reading: &mut Reading) -> bool {
        match self.next() {
            None | Some(b'\n') => {}
            Some(next @ (b'"' | b'\\' | b'`' | b'$')) => drop(reading.push(next)),
            Some(next) => {
                reading.push(b'\\');
                reading.push(next);
            }
        }
        true
    }
}

impl Reading {
    fn push(&mut self, byte: u8) -> bool {
        self.value.push(byte);
        self.kept = self.value.len();
        true
    }

    fn close(&mut self) -> bool {
        self.within = Within::Nothing;
        self.after_blank = false;
        true
    }
}

/// The name without the blanks behind it, and without `export` in front.
fn without_export(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii_end();
    match name.strip_prefix(EXPORT) {
        Some(rest) if rest.first().is_some_and(|byte| is_blank(*byte)) => rest.trim_ascii_start(),
        _ => name,
    }
}
