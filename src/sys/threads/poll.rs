//! Waiting: for descriptors, or for a monotonic deadline, and for nothing else.

use crate::sys::threads::wake;
use crate::sys::time::Mono;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::null;
use std::time::Duration;

/// How often a thread looks at its descriptors that cannot wait for them, because the kernel is out of memory.
const PAUSE_WITHOUT_POLL: Duration = Duration::from_millis(100);

/// What is waited for at a descriptor.
#[derive(Clone, Copy, Debug)]
pub enum PollSource<'a> {
    /// That there is something to read (for a pidfd: that the process has ended), or that it is broken.
    Readable(BorrowedFd<'a>),
    /// That it is hung up (for a pidfd: that the process has been reaped).
    HungUp(BorrowedFd<'a>),
    /// That a [`wake::Waker`] to which it attends has called this thread. Also true whenever another source is: the kernel
    /// leaves the signal pending then, so a call may be hidden.
    Woken,
}

/// Waits until something has happened at one of the sources, or `deadline` is reached.
///
/// Returns, in the order of `sources`, where; nowhere when the deadline came first. Without a deadline it waits
/// for ever, and costs nothing meanwhile.
pub fn wait<const N: usize>(sources: [Option<PollSource<'_>>; N], deadline: Option<Mono>) -> [bool; N] {
    let mut entries = sources.map(pollfd_of);
    let is_woken = poll(&mut entries, sources.iter().flatten().any(is_waker), deadline);
    std::array::from_fn(|place| sources[place].is_some_and(|source| happened(&source, &entries[place], is_woken)))
}

/// As [`wait`], for however many sources.
pub fn wait_many(sources: &[PollSource<'_>], deadline: Option<Mono>) -> Vec<bool> {
    let mut entries: Vec<libc::pollfd> = sources.iter().map(|source| pollfd_of(Some(*source))).collect();
    let is_woken = poll(&mut entries, sources.iter().any(is_waker), deadline);
    sources.iter().zip(&entries).map(|(source, entry)| happened(source, entry, is_woken)).collect()
}

fn pollfd_of(source: Option<PollSource<'_>>) -> libc::pollfd {
    let (fd, events) = match source {
        Some(PollSource::Readable(fd)) => (fd.as_raw_fd(), libc::POLLIN),
        Some(PollSource::HungUp(fd)) => (fd.as_raw_fd(), 0),
        // The kernel passes over a negative number.
        Some(PollSource::Woken) | None => (-1, 0),
    };
    libc::pollfd { fd, events, revents: 0 }
}

fn is_waker(source: &PollSource<'_>) -> bool {
    matches!(source, PollSource::Woken)
}

fn happened(source: &PollSource<'_>, entry: &libc::pollfd, is_woken: bool) -> bool {
    if is_waker(source) { is_woken } else { entry.revents != 0 }
}

/// Whether a waker, to which the caller attends if `to_wakers` says so, may have called; the entries say the rest.
fn poll(entries: &mut [libc::pollfd], to_wakers: bool, deadline: Option<Mono>) -> bool {
    let mask = if to_wakers { wake::mask_while_polling() } else { None };
    loop {
        let left = deadline.map(|deadline| TimeSpec::from_duration(deadline.since(Mono::now())));
        let left = left.as_ref().map_or(null(), |left| left.as_ref());
        let while_polling = mask.as_ref().map_or(null(), |mask| mask.as_ref());
        let count = entries.len() as libc::nfds_t;
        // SAFETY: the entries are ours; the time and the mask, or null for none, live through the call.
        match Errno::result(unsafe { libc::ppoll(entries.as_mut_ptr(), count, left, while_polling) }) {
            // The kernel leaves a signal pending when it has something else to tell. While a FIFO never gets empty, that would
            // be for ever.
            Ok(count) => return to_wakers && count > 0,
            Err(Errno::EINTR) if mask.is_some() => return true,
            Err(Errno::EINTR) => {}
            // ENOMEM: the kernel could not even make the table. EINVAL: it is longer than the limit of descriptors.
            Err(_) => {
                look_one_by_one(entries);
                return true;
            }
        }
    }
}

/// Looks at each entry by itself, where the kernel cannot wait for all of them. This does not wait, so it pauses first: the
/// caller will come back at once.
fn look_one_by_one(entries: &mut [libc::pollfd]) {
    std::thread::sleep(PAUSE_WITHOUT_POLL);
    for entry in entries {
        // SAFETY: the entry is ours.
        if unsafe { libc::poll(entry, 1, 0) } < 0 {
            entry.revents = 0;
        }
    }
}

/// Waits until `descriptor` is readable, however long it takes.
pub fn wait_readable(descriptor: BorrowedFd<'_>) {
    wait([Some(PollSource::Readable(descriptor))], None);
}

/// A descriptor that becomes readable some time after it was last set, for however many threads poll it.
#[derive(Debug)]
pub struct Timer(TimerFd);

impl Timer {
    /// One that is not set.
    ///
    /// # Errors
    /// `EMFILE` and the like.
    pub fn new() -> Result<Timer, Errno> {
        TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK).map(Timer)
    }

    /// Makes it unreadable, and readable again `wait` from now.
    pub fn set(&self, wait: Duration) {
        let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
        // It fails for a time that is none, or a descriptor that is not a timer.
        let _ = self.0.set(expiration, TimerSetTimeFlags::empty());
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
