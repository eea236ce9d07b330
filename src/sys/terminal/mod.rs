//! The terminal, and standard error, which may be one.
//!
//! | file | what it wraps |
//! |---|---|
//! | [`screen`] | the terminal's size, and a screen of our own on it |
//! | [`escape`] | what others wrote, made harmless for a line |
//! | [`console`] | standard error that can be stuck without holding us up |

pub mod console;
pub mod escape;
pub mod screen;

use nix::unistd::tcgetpgrp;
use std::io::{stderr, stdin, stdout};

/// Whether one of the standard streams is the terminal of our session: what reads it has to be in the foreground.
pub fn controls_us() -> bool {
    tcgetpgrp(stdin()).or_else(|_| tcgetpgrp(stdout())).or_else(|_| tcgetpgrp(stderr())).is_ok()
}
