//! Standard output, which may be slow, full, or closed at the other end.

use crate::logger::settings::Full;
use crate::logger::trouble::{Trouble, plain};
use crate::sys::time::Mono;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// With dropping: how long a reader may take until lines are dropped, in milliseconds.
const WRITE_TIMEOUT: u16 = 200;

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
    /// With dropping: what is left of a line that has begun. It comes before all others, so that no line is torn.
    rest: Vec<u8>,
    trouble: Trouble,
}

impl Output {
    /// Writes into `descriptor`. Its description is shared with others, so nothing of its state is changed.
    pub fn new(descriptor: OwnedFd, full: Full) -> Output {
        Output { descriptor, full, stalled: false, rest: Vec::new(), trouble: Trouble::default() }
    }

    /// Writes all of `bytes`, at most [`libc::PIPE_BUF`] if a pipe is to have them whole. It waits for as long as the reader takes,
    /// unless the options want lines dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Fate {
        self.write_rest();
        if !self.rest.is_empty() {
            return Fate::Dropped;
        }
        let left = self.write_some(bytes);
        if !left.is_empty() && left.len() == bytes.len() {
            return Fate::Dropped;
        }
        self.rest = left.to_vec();
        Fate::Written
    }

    fn write_rest(&mut self) {
        let left = std::mem::take(&mut self.rest);
        self.rest = self.write_some(&left).to_vec();
    }

    /// The rest of a line is written as soon as there is room, if nothing can be read from `input` before, and until `until`: then
    /// it returns at once.
    pub fn end_line(&mut self, input: BorrowedFd<'_>, until: Option<Mono>) {
        while !self.rest.is_empty() && until.is_none_or(|until| until > Mono::now()) {
            let is_broken = self.trouble.waits_until(Mono::now()).is_some();
            let left = until.map(|until| until.since(Mono::now()));
            let left = left.into_iter().chain(is_broken.then_some(Duration::from_millis(RETRY.into()))).min();
            // Not too early: the rest of a millisecond would be waited in a circle.
            let in_full = |left: Duration| PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            let timeout = left.map_or(PollTimeout::NONE, in_full);
            let output = if is_broken { PollFlags::empty() } else { PollFlags::POLLOUT };
            let mut entries = [PollFd::new(input, PollFlags::POLLIN), PollFd::new(self.descriptor.as_fd(), output)];
            // One that is broken is always ready, so it is not looked at for a while.
            let looked = if is_broken { &mut entries[..1] } else { &mut entries[..] };
            let _ = poll(looked, timeout);
            if entries[0].any().unwrap_or(true) {
                return;
            }
            self.write_rest();
        }
    }

    /// Writes `bytes`, or, with dropping, as many of them as find room: what is left of them.
    fn write_some<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut next = rest;
            if self.full == Full::Drop {
                if !self.has_room() {
                    return rest;
                }
                // A pipe that has room has it for so much; for more, it would be waited.
                next = rest.get(..libc::PIPE_BUF).unwrap_or(rest);
            }
            match nix::unistd::write(&self.descriptor, next) {
                Ok(written) => {
                    self.trouble.is_over(Mono::now());
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.full == Full::Drop => {
                    self.stalled = true;
                    return rest;
                }
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
                        return rest;
                    }
                    // A broken one is ready at once, so the time has to pass without it.
                    self.wait(PollFlags::empty(), PollTimeout::from(RETRY));
                }
            }
        }
        rest
    }

    fn has_room(&mut self) -> bool {
        let timeout = if self.stalled { PollTimeout::ZERO } else { PollTimeout::from(WRITE_TIMEOUT) };
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
    fn a_long_line_of_which_nobody_takes_the_rest_holds_up_nobody_and_is_not_torn() {
        let (out, input) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut output = Output::new(input, Full::Drop);
        let long = [&[b'x'; 100_000][..], b"\n"].concat();
        assert_eq!(output.write(&long), Fate::Written, "it has begun");
        assert_eq!((output.write(b"a\n"), output.write(b"b\n")), (Fate::Dropped, Fate::Dropped));
        let mut bytes = vec![0; 200_000];
        let mut seen = read(&out, &mut bytes).unwrap();
        // Nothing else comes, and the line ends all the same.
        let (idle, _open) = pipe2(OFlag::O_CLOEXEC).unwrap();
        output.end_line(idle.as_fd(), None);
        assert_eq!(output.write(b"c\n"), Fate::Written);
        seen += read(&out, &mut bytes[seen..]).unwrap();
        assert_eq!(&bytes[..seen], [&long[..], b"c\n"].concat());
    }

    #[test]
    fn a_reader_that_is_gone_makes_no_error() {
        let (out, input) = pipe2(OFlag::O_CLOEXEC).unwrap();
        drop(out);
        assert_eq!(Output::new(input, Full::Drop).write(b"x\n"), Fate::Dropped);
    }
}
