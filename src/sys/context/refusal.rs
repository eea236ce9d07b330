//! Why a context cannot be had: what is said of a start for which no process was made.

use super::change::Part;
use parking_lot::Mutex;
use std::collections::HashSet;

/// As many different texts are kept. There is one for each thing that is wrong in the configuration, so more of them is
/// more than anybody reads.
const TEXTS_MAX: usize = 1024;

/// A part of the context that cannot be had, and why.
///
/// It is copied from state to state like any other step of a start, so its text is kept for the program's life, and each text
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    part: Part,
    text: &'static str,
}

impl Refusal {
    /// The refusal of `part`, for the reason that `text` says.
    pub fn new(part: Part, text: &str) -> Refusal {
        static TEXTS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
        let mut texts = TEXTS.lock();
        let texts = texts.get_or_insert_default();
        let text = match texts.get(text) {
            Some(known) => known,
            None if texts.len() < TEXTS_MAX => {
                let kept: &'static str = Box::leak(text.into());
                texts.insert(kept);
                kept
            }
            None => "the log has the reason",
        };
        Refusal { part, text }
    }

    /// The part.
    pub fn part(self) -> Part {
        self.part
    }

    /// The reason.
    pub fn text(self) -> &'static str {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once() {
        let text = format!("no such user {:?}", "www");
        let (first, again) = (Refusal::new(Part::User, &text), Refusal::new(Part::User, &text));
        assert_eq!(first, again);
        assert!(std::ptr::eq(first.text(), again.text()));
        assert_eq!((first.part(), first.text()), (Part::User, text.as_str()));
    }
}
