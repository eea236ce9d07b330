//! Every raw system call and every `unsafe` block of the project, behind safe functions.
//!
//! | file | what it wraps |
//! |---|---|
//! | [`start`] | a new process: `clone` as vfork with shared descriptors, everything opened by path in the child |
//! | [`pidfd`] | waiting for a process and signalling it without a race on its number |
//! | [`handover`] | descriptors that stay open while the program replaces itself |
//! | [`identity`] | which process it was, recorded so that a later supervisor finds it again |
//! | [`group`] | what is left of a process group whose leader is gone |
//! | [`orphans`] | reaping what was re-parented to us (child subreaper, PID 1) |
//! | [`signals`] | blocking signals, and reading them from a descriptor |
//! | [`thread`] | threads by the thousand |
//! | [`poll`] | `ppoll` with a monotonic deadline, and a timer to be polled |
//! | [`wake`] | one thread wakes another that polls |
//! | [`fifo`], [`mod@file`], [`flock`] | opening without ever blocking or following a planted link |
//! | [`mod@replace`] | new content in the place of a file's old one, in one step |
//! | [`memory`] | whether there is any left |
//! | [`setup`] | what a program sets up once: descriptor limit, umask, allocator, kernel check |
//! | [`detach`] | leaving the terminal, with the result reported to the waiting parent |
//! | [`console`] | standard error that can be stuck without holding us up |
//! | [`inotify`] | directories watched for changes |
//! | [`terminal`] | the terminal's size, and a screen of our own on it |
//! | [`time`] | the monotonic clock and the boot id |

mod child;
pub mod console;
pub mod detach;
pub mod fifo;
pub mod file;
pub mod flock;
pub mod group;
pub mod handover;
pub mod identity;
pub mod inotify;
pub mod memory;
pub mod orphans;
pub mod pidfd;
pub mod poll;
pub mod replace;
pub mod setup;
pub mod signals;
mod stack;
pub mod start;
pub mod terminal;
pub mod thread;
pub mod time;
pub mod wake;

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
pub fn if_any<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    let is_want = |errno| matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN);
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.raw_os_error().map(Errno::from_raw).is_some_and(is_want) => Err(error),
        Err(_) => Ok(None),
    }
}
