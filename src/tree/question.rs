//! What the program asks the next one before it gives way to it, and how that answers.
//!
//! The next program is started with the arguments of this one and `--handover=check:VERSION:NONCE`. One that understands
//! this version of what it would be told, and could begin with these arguments, writes one line to its standard input, which
//! is a socket, and ends. Any other program, an older one and a script among them, cannot know what to write there.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

/// The version of the letter. It grows when a program of before could not read the letter any more, or would read it wrongly.
pub const LETTER_VERSION: u32 = 1;

/// What `--handover` is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoverArgument {
    /// The descriptor of the letter.
    Letter(i32),
    /// The question whether this program could read it.
    Question(Question),
}

/// Whether the program could take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The version of the letter that it would be given.
    pub version: u32,
    /// Chosen anew for each question.
    pub nonce: u64,
}

impl Question {
    /// Whether this program can read the letter.
    pub fn is_understood(self) -> bool {
        self.version == LETTER_VERSION
    }

    /// The line that says yes. It is not made of the words of the question: a program that repeats its arguments, as `echo`
    /// does, says no.
    pub fn answer(self) -> String {
        format!("takes over {} {:016x}\n", self.version, !self.nonce.rotate_left(self.version))
    }

    /// Says yes, on standard input.
    ///
    /// # Errors
    /// What `dup` and `write` give.
    pub fn say_yes(self) -> io::Result<()> {
        let socket = nix::unistd::dup(io::stdin())?;
        std::fs::File::from(socket).write_all(self.answer().as_bytes())
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check:{}:{:016x}", self.version, self.nonce)
    }
}

impl FromStr for HandoverArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<HandoverArgument, &'static str> {
        const WRONG: &str = "neither a descriptor nor a question";
        let Some(question) = text.strip_prefix("check:") else {
            return text.parse().map(HandoverArgument::Letter).map_err(|_| WRONG);
        };
        let (version, nonce) = question.split_once(':').ok_or(WRONG)?;
        let version = version.parse().map_err(|_| WRONG)?;
        let nonce = u64::from_str_radix(nonce, 16).map_err(|_| WRONG)?;
        Ok(HandoverArgument::Question(Question { version, nonce }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written_and_its_answer_is_no_part_of_it() {
        let question = Question { version: LETTER_VERSION, nonce: 0xfedc_ba98_0123_4567 };
        assert_eq!(question.to_string().parse(), Ok(HandoverArgument::Question(question)));
        assert!(question.is_understood());
        assert!(!Question { version: LETTER_VERSION + 1, ..question }.is_understood());
        let other = Question { nonce: question.nonce + 1, ..question };
        assert_ne!(question.answer(), other.answer());
        assert!(!question.answer().contains(&format!("{:016x}", question.nonce)));
    }

    #[test]
    fn a_descriptor_is_a_letter_and_all_else_is_nothing() {
        assert_eq!("17".parse(), Ok(HandoverArgument::Letter(17)));
        for wrong in ["", "x", "check", "check:", "check:1", "check:x:1", "check:1:x"] {
            assert!(wrong.parse::<HandoverArgument>().is_err(), "{wrong}");
        }
    }
}
