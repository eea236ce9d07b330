//! Reading from a pipe what is there for certain, and looking at it without taking it.

use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, tee};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::pipe2;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Standard input.
#[derive(Debug)]
pub struct Intake {
    descriptor: OwnedFd,
    is_pipe: bool,
    file: (u64, u64),
    /// A pipe into which `tee` copies bytes that are only looked at; made when first needed.
    scratch: Option<(OwnedFd, OwnedFd)>,
}

impl Intake {
    /// Reads from standard input. The descriptor is a copy of it, but the same pipe: nothing of its state is changed.
    ///
    /// # Errors
    /// When it is closed.
    pub fn standard_input() -> io::Result<Intake> {
        Intake::new(io::stdin().as_fd().try_clone_to_owned()?)
    }

    /// Reads from `descriptor`.
    ///
    /// # Errors
    /// What `fstat` gives.
    pub fn new(descriptor: OwnedFd) -> io::Result<Intake> {
        let stat = fstat(&descriptor)?;
        let is_pipe = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO;
        Ok(Intake { descriptor, is_pipe, file: (stat.st_dev, stat.st_ino), scratch: None })
    }

    /// Whether it is a pipe or a FIFO: only of these it is known what a read gives.
    pub fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    /// Device and inode.
    pub fn file(&self) -> (u64, u64) {
        self.file
    }

    /// How many bytes it has now.
    ///
    /// # Errors
    /// What `FIONREAD` gives; never for a pipe.
    pub fn available(&self) -> io::Result<usize> {
        let mut count: libc::c_int = 0;
        // SAFETY: the kernel stores one int there.
        Errno::result(unsafe { libc::ioctl(self.descriptor.as_raw_fd(), libc::FIONREAD, &raw mut count) })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Reads once; a signal that interrupts it is no reason to give up.
    ///
    /// # Errors
    /// What `read` gives.
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match nix::unistd::read(&self.descriptor, into) {
                Err(Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Looks at the next bytes, which the pipe has.
    ///
    /// # Errors
    /// What `pipe` and `tee` give.
    pub fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (out, input) = match self.scratch.take() {
            Some(scratch) => scratch,
            None => pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?,
        };
        let seen = tee(&self.descriptor, &input, into.len(), SpliceFFlags::SPLICE_F_NONBLOCK)?;
        let seen = nix::unistd::read(&out, &mut into[..seen])?;
        // Only a pipe that is empty may be used again.
        self.scratch = Some((out, input));
        Ok(seen)
    }
}

impl AsFd for Intake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_is_still_there() {
        let (out, input) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut intake = Intake::new(out).unwrap();
        assert!(intake.is_pipe());
        assert_eq!(intake.available().unwrap(), 0);
        nix::unistd::write(&input, b"abc").unwrap();
        nix::unistd::write(&input, b"def").unwrap();
        assert_eq!(intake.available().unwrap(), 6);
        for length in [2, 5, 6] {
            let mut seen = [0; 6];
            assert_eq!(intake.peek(&mut seen[..length]).unwrap(), length);
            assert_eq!(&seen[..length], &b"abcdef"[..length]);
        }
        let mut all = [0; 8];
        assert_eq!(intake.read(&mut all).unwrap(), 6);
        assert_eq!(&all[..6], b"abcdef");
    }
}
