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
