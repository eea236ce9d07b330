//! Standard output, which may be slow, full, or closed at the other end.

use crate::logger::settings::Full;
use crate::logger::trouble::{Trouble, plain};
use crate::sys::time::Mono;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// With dropping: how long a reader may take until lines are dropped, in milliseconds.
const PATIENCE: u16 = 200;

/// How long until a write that failed is tried again, in milliseconds.
const RETRY: u16 = 500;

/// What has become of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are written.
    Written,
    /// Nobody took them, and they were not to wait.
    Dropped,
}

/// Standard output.
#[derive(Debug)]
pub struct Output {
    descriptor: OwnedFd,
    full: Full,
    /// Nobody has taken anything for a while.
    stalled: bool,
    trouble: Trouble,
}

impl Output {
    /// Writes into `descriptor`. Its description is shared with others, so nothing of its state is changed.
    pub fn new(descriptor: OwnedFd, full: Full) -> Output {
        Output { descriptor, full, stalled: false, trouble: Trouble::default() }
    }

    /// Writes all of `bytes`, at most [`libc::PIPE_BUF`] if a pipe is to have them whole. It waits for as long as the reader takes,
    /// unless the options want lines dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Fate {
        let mut rest = bytes;
        while !rest.is_empty() {
            // What has begun is ended, so that no line is torn.
            if self.full == Full::Drop && rest.len() == bytes.len() && !self.has_room() {
                return Fate::Dropped;
            }
            match nix::unistd::write(&self.descriptor, rest) {
                Ok(written) => {
                    self.trouble.is_over(Mono::now());
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(Errno::EINTR) => {}
                // Somebody who shares it has made it one that does not wait.
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT, PollTimeout::NONE),
                Err(errno) => {
                    let error = io::Error::from(errno);
                    let meanwhile = match self.full {
                        Full::Block => "services wait",
                        Full::Drop => "lines are dropped",
                    };
                    let why = format!("standard output: {}", plain(&error.to_string()));
                    self.trouble.failed(&why, meanwhile, Mono::now());
                    if self.full == Full::Drop {
                        return Fate::Dropped;
                    }
                    // A broken one is ready at once, so the time has to pass without it.
                    self.wait(PollFlags::empty(), PollTimeout::from(RETRY));
                }
            }
        }
        Fate::Written
    }

    fn has_room(&mut self) -> bool {
        let timeout = if self.stalled { PollTimeout::ZERO } else { PollTimeout::from(PATIENCE) };
        let mut entries = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLOUT)];
        // A signal that comes meanwhile makes it look full once.
        self.stalled = poll(&mut entries, timeout).is_ok_and(|ready| ready == 0);
        !self.stalled
    }

    fn wait(&self, events: PollFlags, timeout: PollTimeout) {
        let mut entries = [PollFd::new(self.descriptor.as_fd(), events)];
        let entries = if events.is_empty() { &mut entries[..0] } else { &mut entries[..] };
        // It is tried again in any case.
        let _ = poll(entries, timeout);
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, read};

    #[test]
    fn what_nobody_reads_is_dropped_whole_where_it_is_to_be() {
        let (out, input) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut output = Output::new(input, Full::Drop);
        let line = [b'x'; libc::PIPE_BUF];
        let written = (0..40).filter(|_| output.write(&line) == Fate::Written).count();
        assert_eq!(written, 16, "as much as a pipe has room for");
        let mut bytes = vec![0; 16 * line.len()];
        assert_eq!(read(&out, &mut bytes).unwrap(), bytes.len());
        assert_eq!(output.write(&line), Fate::Written);
    }

    #[test]
    fn a_reader_that_is_gone_makes_no_error() {
        let (out, input) = pipe2(OFlag::O_CLOEXEC).unwrap();
        drop(out);
        assert_eq!(Output::new(input, Full::Drop).write(b"x\n"), Fate::Dropped);
    }
}
