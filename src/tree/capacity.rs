//! Whether the process can afford one module more.
//!
//! A module that gets only half of its descriptors and threads cannot run, and those it holds are missing when a running
//! module restarts or writes its log and status files. So a module waits until it can have all that it needs.

use crate::sys::process::{hold, setup};
use crate::sys::{Errno, memory};
use std::io;
use std::ops::{AddAssign, SubAssign};
use std::os::fd::BorrowedFd;

/// Descriptors of the tree itself: 3 standard ones, 2 for signals and time, 3 of its own status directory, 4 for
/// directory events, those for pipes that a child holds; the rest is a reserve for files that are open for a moment.
const OWN_DESCRIPTORS: usize = 24 + hold::COUNT;

/// Descriptors of a module: its lock, its two FIFOs, and its process.
const DESCRIPTORS: usize = 4;

/// One extra descriptor is reserved for this many modules: for scripts in `control/`, and for several modules that have
/// files open at once.
const SHARE_ONE: usize = 8;

/// Processes and threads of the tree itself: 4 threads, and a reserve for alarms and `finish`.
const OWN_PROCESSES: usize = 8;

/// Processes and threads of a module.
const PROCESSES: usize = 2;

/// What modules need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// How many they are: each has a thread and a process.
    pub modules: usize,
    /// What they keep open all together.
    pub descriptors: usize,
}

impl Demand {
    /// What one module needs: a logger also has a pipe, and with `--runit-compat` there is a third FIFO.
    pub fn of(is_logger: bool, runit: bool) -> Demand {
        Demand { modules: 1, descriptors: DESCRIPTORS + usize::from(is_logger) + usize::from(runit) }
    }
}

impl AddAssign for Demand {
    fn add_assign(&mut self, other: Demand) {
        self.modules += other.modules;
        self.descriptors += other.descriptors;
    }
}

impl SubAssign for Demand {
    fn sub_assign(&mut self, other: Demand) {
        self.modules -= other.modules;
        self.descriptors -= other.descriptors;
    }
}

/// Makes the table of descriptors large enough for this many services and half as many more. `any` is any open
/// descriptor. To be called while there is only one thread.
pub fn make(any: BorrowedFd<'_>, services: usize) {
    setup::make_room_for_descriptors(any, OWN_DESCRIPTORS + services * DESCRIPTORS * 3 / 2);
}

/// Checks that `more` modules can start beside those that are `there`, each with a stack of `stack` bytes.
///
/// # Errors
/// Names the resource that is short.
pub fn for_modules(there: Demand, more: Demand, stack: usize) -> io::Result<()> {
    let modules = there.modules + more.modules;
    let descriptors = OWN_DESCRIPTORS + there.descriptors + more.descriptors + modules / SHARE_ONE;
    fits(descriptors, setup::descriptor_limit(), there, "descriptors", "ulimit -n")?;
    // Other processes of this user count, too, and we do not know how many there are: the start may still fail, and is
    // tried again then.
    if let Some(limit) = setup::process_limit() {
        fits(OWN_PROCESSES + modules * PROCESSES, limit, there, "processes", "ulimit -u")?;
    }
    for_thread(more.modules * stack)
}

/// Checks that there is address space for a thread with this stack.
///
/// # Errors
/// There is too little.
pub fn for_thread(stack: usize) -> io::Result<()> {
    memory::probe(stack.saturating_add(memory::RESERVE)).map_err(|errno| no_thread(&errno.into()))
}

fn fits(needed: usize, limit: usize, there: Demand, what: &str, option: &str) -> io::Result<()> {
    if needed <= limit {
        return Ok(());
    }
    let full = there.modules;
    let who = if full == 0 { "the tree alone fills it".into() } else { format!("{full} modules fill it") };
    let text = format!("no {what} to be had: the limit is {limit} ({option}), and {who}");
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
        let one = Demand::of(false, false);
        for_modules(Demand::default(), one, 64 * 1024).unwrap();
        let limit = setup::descriptor_limit();
        let error = for_modules(Demand { modules: 7, descriptors: limit }, one, 0).unwrap_err().to_string();
        let expected = format!("no descriptors to be had: the limit is {limit} (ulimit -n), and 7 modules fill it");
        assert_eq!(error, expected);
        let error = no_thread(&Errno::ENOMEM.into()).to_string();
        assert_eq!(error, "no thread to be had: Cannot allocate memory");
    }
}
