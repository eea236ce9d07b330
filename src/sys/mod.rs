//! Every raw system call and every `unsafe` block of the project, behind safe functions.
//!
//! | room | what it wraps |
//! |---|---|
//! | [`process`] | processes: started, waited for, signalled, recorded, reaped |
//! | [`context`] | what a child changes about itself: user, limits, capabilities, control group |
//! | [`files`] | opening without ever blocking or following a planted link; locks, FIFOs, inotify |
//! | [`threads`] | threads, and what they wait for |
//! | [`terminal`] | the terminal, and standard error |
//! | [`fnv`] | a number for a text |
//! | [`handover`] | descriptors that stay open while the program replaces itself |
//! | [`logging`] | what supervise-log stands on: a pipe, a file as memory, idle priority |
//! | [`memory`] | whether there is any left |
//! | [`passing`] | a box for a large value that is needed for a moment |
//! | [`time`] | the monotonic clock and the boot id |

pub mod context;
pub mod files;
pub mod fnv;
pub mod handover;
pub mod logging;
pub mod memory;
pub mod passing;
pub mod process;
pub mod terminal;
pub mod threads;
pub mod time;

pub use nix::errno::Errno;
pub use nix::unistd::Pid;

/// The text of an errno as `strerror` gives it.
pub fn describe(errno: Errno) -> &'static str {
    match errno {
        // nix has texts of its own for these.
        Errno::EAGAIN => "Resource temporarily unavailable",
        Errno::ENOMEM => "Cannot allocate memory",
        errno => errno.desc(),
    }
}

/// The same for an error, without Rust's "(os error N)".
pub fn errno_text(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => describe(Errno::from_raw(code)).to_string(),
        None => error.to_string(),
    }
}

/// What there is: nothing, if it is missing or not what was expected. A want of descriptors or memory stays an error, for then
/// nobody can say whether there is anything.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`, `EAGAIN`.
pub fn ok_unless_exhausted<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    let is_want = |errno| matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN);
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.raw_os_error().map(Errno::from_raw).is_some_and(is_want) => Err(error),
        Err(_) => Ok(None),
    }
}
