//! How a part of the context that cannot be had is said.

use crate::sys::Errno;
use crate::sys::context::{Part, Refusal};
use crate::sys::process::start::{StartError, Step};

/// The failure of `part` that somebody has to do something about.
pub fn refuse(part: Part, text: &str) -> StartError {
    StartError { step: Step::Context(Refusal::new(part, text)), errno: Errno::EINVAL }
}

/// The failure of `part` with an errno, which may pass by itself.
pub fn refuse_for(part: Part, errno: Errno, text: &str) -> StartError {
    StartError { step: Step::Context(Refusal::new(part, text)), errno }
}
