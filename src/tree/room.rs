//! Whether there is room for one module more.
//!
//! A module that begins with half of what it needs is of no use, and takes away what those that run need for their
//! next restart, their log lines and their status files. So it has to wait until there is room for all of it.

use crate::sys::{Errno, boot, memory};
use std::io;
use std::os::fd::BorrowedFd;

/// Descriptors of the tree itself: 3 standard ones, 3 for signals and orders, 3 of its own status directory, 5 for
/// directory events; the rest is for files that are open for a moment.
const OWN_DESCRIPTORS: usize = 24;

/// Descriptors of a module: for orders, its lock, its two FIFOs and a third one for runit's tools, its process, and for a
/// logger its pipe or for a service its `finish`.
const DESCRIPTORS: usize = 7;

/// Processes and threads of the tree itself: 4 threads; the rest is for alarms and `finish`.
const OWN_PROCESSES: usize = 8;

/// Processes and threads of a module.
const PROCESSES: usize = 2;

/// Address space that must be left, in bytes, beside the new thread's stack: it is for allocations, whose failure would
/// end the whole program.
const RESERVE: usize = 512 * 1024;

/// Makes the table of descriptors large enough for so many services and half as many more; `any` is any of ours.
/// To be called while there is but one thread.
pub fn make(any: BorrowedFd<'_>, services: usize) {
    boot::make_room_for_descriptors(any, OWN_DESCRIPTORS + services * DESCRIPTORS * 3 / 2);
}

/// Whether there is room for so many modules in all, the next one with a stack of so many bytes.
///
/// # Errors
/// What there is not enough of.
pub fn for_modules(modules: usize, stack: usize) -> io::Result<()> {
    fits(modules, boot::descriptor_limit(), OWN_DESCRIPTORS, DESCRIPTORS, "descriptors", "ulimit -n")?;
    // What else this user runs is not known; then a start that fails is tried again.
    if let Some(limit) = boot::process_limit() {
        fits(modules, limit, OWN_PROCESSES, PROCESSES, "processes", "ulimit -u")?;
    }
    for_thread(stack)
}

/// Whether there is room for a thread with a stack of so many bytes.
///
/// # Errors
/// There is not.
pub fn for_thread(stack: usize) -> io::Result<()> {
    memory::probe(stack.saturating_add(RESERVE)).map_err(|errno| no_thread(&errno.into()))
}

fn fits(modules: usize, limit: usize, own: usize, each: usize, what: &str, option: &str) -> io::Result<()> {
    let full = limit.saturating_sub(own) / each;
    if modules <= full {
        return Ok(());
    }
    let text = format!("no {what} to be had: the limit is {limit} ({option}), and {full} modules fill it");
    Err(io::Error::other(text))
}

/// No thread was to be had.
pub fn no_thread(error: &io::Error) -> io::Error {
    let error = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN) => "Resource temporarily unavailable: a limit of processes or of memory".to_string(),
        _ => crate::sys::errno_text(error),
    };
    io::Error::other(format!("no thread to be had: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        for_modules(1, 64 * 1024).unwrap();
        let limit = boot::descriptor_limit();
        let error = for_modules(limit, 0).unwrap_err().to_string();
        assert!(error.starts_with(&format!("no descriptors to be had: the limit is {limit} ")), "{error}");
        let error = no_thread(&Errno::ENOMEM.into()).to_string();
        assert_eq!(error, "no thread to be had: Cannot allocate memory");
    }
}
