//! Text of which nobody knows who wrote it, made harmless for a line of a log, a terminal or a mail.
//!
//! Names, paths and the lines of a service may hold anything. A control character could forge a line or give a terminal
//! an order, and a mark for the direction of writing could show a line in another order than it has.

use std::fmt::{self, Write};

/// Whether `letter` does something else than to be seen: the control characters (C0, DEL and C1: Unicode's category Cc),
/// the separators of lines and paragraphs, and the marks that embed, override or isolate a direction of writing (Unicode
/// Standard Annex 9, section 2).
pub fn is_active(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with every active character as Rust writes it: `\n`, `\u{1b}`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push_escaped(&mut shown, text);
    shown
}

/// As [`escaped`], at the end of `line`.
pub fn push_escaped(line: &mut String, text: &str) {
    for letter in text.chars() {
        push_letter(line, letter);
    }
}

/// As [`escaped`], for one character.
pub fn push_letter(line: &mut String, letter: char) {
    if is_active(letter) {
        line.extend(letter.escape_default());
    } else {
        line.push(letter);
    }
}

/// Escapes what is written through it.
#[derive(Debug)]
pub struct Escaping<'a>(pub &'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_seen_stays_as_it_is() {
        assert_eq!(escaped("a b ä 日 \u{1f600} 'q' \\"), "a b ä 日 \u{1f600} 'q' \\");
    }

    #[test]
    fn what_a_terminal_or_a_line_would_obey_is_written_out() {
        let shown = escaped("\n\t\x1b\x7f\u{9b}\u{202e}\u{2066}\u{2028}\u{200f}");
        assert_eq!(shown, r"\n\t\u{1b}\u{7f}\u{9b}\u{202e}\u{2066}\u{2028}\u{200f}");
    }
}
