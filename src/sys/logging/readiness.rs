//! Waiting for many pipes of which most have nothing new.
//!
//! A pipe is reported once for what comes into it, not for as long as something is in it: half a line may stay there without
//! waking anybody.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Events that are taken at once.
const BATCH: usize = 64;

/// The pipes that are waited for, each with a number.
#[derive(Debug)]
pub struct Readiness(Epoll);

impl Readiness {
    /// None yet.
    ///
    /// # Errors
    /// What `epoll_create` gives.
    pub fn new() -> io::Result<Readiness> {
        Ok(Readiness(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// One more; it is reported as `number`, for the first time at once if there is something in it.
    ///
    /// # Errors
    /// What `epoll_ctl` gives.
    pub fn add(&self, pipe: impl AsFd, number: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        Ok(self.0.add(pipe, EpollEvent::new(flags, number))?)
    }

    /// The pipes to which something has come; there is at least one, unless a signal came, or `at_most` is over.
    ///
    /// # Errors
    /// What `epoll_wait` gives.
    pub fn take(&self, at_most: Option<Duration>) -> io::Result<Vec<u64>> {
        let mut events = [EpollEvent::empty(); BATCH];
        let timeout = at_most.map_or(EpollTimeout::NONE, |time| {
            // Not too early: the rest of a millisecond would be waited in a circle.
            EpollTimeout::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(EpollTimeout::MAX)
        });
        match self.0.wait(&mut events, timeout) {
            Ok(count) => Ok(events[..count].iter().map(EpollEvent::data).collect()),
            Err(nix::errno::Errno::EINTR) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, write};

    #[test]
    fn half_a_line_wakes_once_and_what_follows_again() {
        let (out, input) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let readiness = Readiness::new().unwrap();
        readiness.add(&out, 7).unwrap();
        assert_eq!(readiness.take(Some(Duration::ZERO)).unwrap(), [0; 0]);
        write(&input, b"half").unwrap();
        assert_eq!(readiness.take(None).unwrap(), [7]);
        assert_eq!(readiness.take(Some(Duration::ZERO)).unwrap(), [0; 0]);
        write(&input, b" a line\n").unwrap();
        assert_eq!(readiness.take(None).unwrap(), [7]);
    }
}
