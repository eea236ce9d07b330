//! Waiting: for descriptors, or for a monotonic deadline, and for nothing else.

use super::time::Mono;
use super::wake;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// What is waited for at a descriptor.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// That there is something to read (for a pidfd: that the process has ended), or that it is broken.
    Readable(BorrowedFd<'a>),
    /// That it is hung up (for a pidfd: that the process has been reaped).
    HungUp(BorrowedFd<'a>),
    /// That somebody calls for this thread, by a [`wake::Waker`] to which it attends.
    Woken,
}

/// Waits until something has happened at one of the sources, or `deadline` is reached.
///
/// Returns, in the order of `sources`, where; nowhere when the deadline came first. Without a deadline it waits
/// for ever, and costs nothing meanwhile.
pub fn wait<const N: usize>(sources: [Option<Source<'_>>; N], deadline: Option<Mono>) -> [bool; N] {
    let mut ready = [false; N];
    let (places, asked): (Vec<usize>, Vec<Source<'_>>) =
        sources.into_iter().enumerate().filter_map(|(place, source)| source.map(|source| (place, source))).unzip();
    for (place, happened) in places.into_iter().zip(wait_many(&asked, deadline)) {
        ready[place] = happened;
    }
    ready
}

/// As [`wait`], for however many sources.
pub fn wait_many(sources: &[Source<'_>], deadline: Option<Mono>) -> Vec<bool> {
    let mut polled: Vec<PollFd<'_>> = sources
        .iter()
        .filter_map(|source| match *source {
            Source::Readable(fd) => Some(PollFd::new(fd, PollFlags::POLLIN)),
            Source::HungUp(fd) => Some(PollFd::new(fd, PollFlags::empty())),
            Source::Woken => None,
        })
        .collect();
    let is_waker = |source: &Source<'_>| matches!(source, Source::Woken);
    let mask = if sources.iter().any(is_waker) { wake::mask_while_polling() } else { None };
    loop {
        let left = deadline.map(|deadline| TimeSpec::from_duration(deadline.since(Mono::now())));
        match ppoll(&mut polled, left, mask) {
            Err(Errno::EINTR) if mask.is_some() => return sources.iter().map(is_waker).collect(),
            Err(Errno::EINTR) => continue,
            // ENOMEM: the kernel could not even make the table; the caller looks at everything and comes back.
            Err(_) => {
                std::thread::sleep(Duration::from_millis(100));
                return vec![true; sources.len()];
            }
            Ok(_) => {
                let mut happened = polled.iter().map(|entry| entry.any().unwrap_or(true));
                return sources.iter().map(|source| !is_waker(source) && happened.next().unwrap_or(true)).collect();
            }
        }
    }
}

/// Waits until `descriptor` is readable, however long it takes.
pub fn wait_readable(descriptor: BorrowedFd<'_>) {
    wait([Some(Source::Readable(descriptor))], None);
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
        // It fails for a time that is none, or a descriptor that is no timer.
        let _ = self.0.set(expiration, TimerSetTimeFlags::empty());
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
