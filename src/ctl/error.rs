//! What stands in the way of a call, or of its work on one module: the text for people, and what it does to the exit code.

use super::exit::Outcome;

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtlError {
    /// Decides the exit code.
    pub outcome: Outcome,
    /// What is wrong, and what to do about it.
    pub text: String,
}

/// What is said of a module whose status directory was there before.
pub const VANISHED: &str = "its status directory has vanished";

impl CtlError {
    /// An error with any outcome.
    pub fn new(outcome: Outcome, text: impl Into<String>) -> CtlError {
        CtlError { outcome, text: text.into() }
    }

    /// It failed.
    pub fn failed(text: impl Into<String>) -> CtlError {
        CtlError::new(Outcome::Failed, text)
    }

    /// We may not.
    pub fn denied(text: impl Into<String>) -> CtlError {
        CtlError::new(Outcome::Denied, text)
    }
}
