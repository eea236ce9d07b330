//! What a run process has said of itself, and the check that looks at it.

use crate::service::context::Resolved;
use crate::status::state::TellsBy;
use crate::supervisor::processes::process::Process;
use crate::sys::Pid;
use crate::sys::files::datagrams::Datagrams;
use crate::sys::files::fifo::Fifo;
use crate::sys::process::pidfd::signal_group;
use crate::sys::threads::poll::PollSource;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::time::Duration;

/// The descriptor on which readiness is told where nothing says which.
pub(super) const FD_DEFAULT: u8 = 3;

/// More than this of a check's last line, in bytes, is not shown.
pub(super) const LINE_MAX: usize = 512;

/// So many datagrams are read in one turn: the run process's end is looked at in between.
pub(super) const DATAGRAMS_AT_ONCE: usize = 64;

/// [`Signs`], if there ever were any: most services start without a word, and their threads hold a null pointer for it.
#[derive(Debug, Default)]
pub(super) struct Readiness(Option<Box<Signs>>);

impl Deref for Readiness {
    type Target = Signs;

    fn deref(&self) -> &Signs {
        static NONE: Signs = Signs::NONE;
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Readiness {
    fn deref_mut(&mut self) -> &mut Signs {
        self.0.get_or_insert_with(|| Box::new(Signs::NONE))
    }
}

impl Readiness {
    /// Forgets what belongs to the last run process.
    pub(super) fn forget_run(&mut self) {
        if let Some(signs) = &mut self.0 {
            (signs.status, signs.check_line, signs.mute) = (None, None, None);
            (signs.fifo, signs.socket, signs.context, signs.left_over) = (None, None, None, None);
        }
    }
}

/// What is held open for the run process, and what it has said.
#[derive(Debug)]
pub(super) struct Signs {
    pub(super) fifo: Option<Fifo>,
    pub(super) socket: Option<Datagrams>,
    pub(super) check: Option<Check>,
    /// The context of the run process's checks, from the first one on.
    pub(super) context: Option<CheckContext>,
    /// What the check writes.
    pub(super) output: Option<Fifo>,
    /// The last line of that, and what of it is not complete yet.
    pub(super) said: Vec<u8>,
    /// The check's last line.
    pub(super) check_line: Option<String>,
    /// The run process's `STATUS=`.
    pub(super) status: Option<String>,
    /// The pid of a process of an earlier run that was ignored, and logged.
    pub(super) left_over: Option<i32>,
    /// Why the run process has no way to say anything, though it is to say that it is ready.
    pub(super) mute: Option<String>,
    /// What was wrong with the settings at the last start.
    pub(super) complaint: Option<String>,
    /// Why the last check could not be run.
    pub(super) check_failed: Option<String>,
}

/// The context of a run process's checks, if that is not its supervisor's. It is worked out once for a run process: what is
/// changed meanwhile is for the next one, and to search a user for every check would cost more than the check.
#[derive(Debug)]
pub(super) struct CheckContext(pub(super) Option<Box<Resolved>>);

/// A check that runs.
#[derive(Debug)]
pub(super) struct Check {
    /// The run process that is looked at.
    pub(super) run: Pid,
    pub(super) process: Process,
    /// The time that it was to take at most, once it has taken longer.
    pub(super) exceeded: Option<Duration>,
}

impl Drop for Check {
    /// Whoever supervises next looks anew.
    fn drop(&mut self) {
        if let Ok(None) = self.process.pidfd.reap() {
            let _ = signal_group(self.process.pid, libc::SIGKILL);
        }
    }
}

/// Over what a run process says that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Descriptor(u8),
    Socket,
    Silent,
}

impl Channel {
    pub(super) fn kind(self) -> Option<TellsBy> {
        match self {
            Channel::Descriptor(_) => Some(TellsBy::Descriptor),
            Channel::Socket => Some(TellsBy::Socket),
            Channel::Silent => None,
        }
    }
}

impl Signs {
    const NONE: Signs = Signs {
        fifo: None,
        socket: None,
        check: None,
        context: None,
        output: None,
        said: Vec::new(),
        check_line: None,
        status: None,
        left_over: None,
        mute: None,
        complaint: None,
        check_failed: None,
    };

    pub(super) fn fifo_source(&self) -> Option<PollSource<'_>> {
        self.fifo.as_ref().map(|fifo| PollSource::Readable(fifo.as_fd()))
    }

    pub(super) fn socket_source(&self) -> Option<PollSource<'_>> {
        self.socket.as_ref().map(|socket| PollSource::Readable(socket.as_fd()))
    }

    /// What the run process has to tell that it is ready.
    pub(super) fn tells_by(&self) -> Option<TellsBy> {
        let by_socket = self.socket.as_ref().map(|_| TellsBy::Socket);
        by_socket.or_else(|| self.fifo.as_ref().map(|_| TellsBy::Descriptor))
    }

    pub(super) fn check_source(&self) -> Option<PollSource<'_>> {
        self.check.as_ref().map(|check| check.process.source())
    }

    pub(super) fn output_source(&self) -> Option<PollSource<'_>> {
        self.output.as_ref().filter(|_| self.check.is_some()).map(|output| PollSource::Readable(output.as_fd()))
    }

    /// Whether no check runs.
    pub(super) fn is_idle(&self) -> bool {
        self.check.is_none()
    }

    pub(super) fn check_line(&self) -> Option<&str> {
        self.check_line.as_deref()
    }

    pub(super) fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// What the check writes. However much that is, it is read, and the last line is kept.
    pub(super) fn read_output(&mut self) {
        let Some(output) = &self.output else { return };
        let mut room = [0; 4096];
        for _ in 0..16 {
            match output.read(&mut room) {
                0 => return,
                length => keep_last_line(&mut self.said, &room[..length]),
            }
        }
    }
}

/// Adds `bytes` to `said`, and keeps the last line that is not empty.
pub(super) fn keep_last_line(said: &mut Vec<u8>, bytes: &[u8]) {
    let is_break = |byte: &u8| *byte == b'\n';
    let length = bytes.iter().rposition(|byte| !is_break(byte)).map_or(0, |last| last + 1);
    let (text, breaks) = bytes.split_at(length);
    if !text.is_empty() {
        let begin = memchr::memrchr(b'\n', text);
        if begin.is_some() || said.last().is_some_and(is_break) {
            said.clear();
        }
        let line = &text[begin.map_or(0, |at| at + 1)..];
        said.extend(line.iter().take(LINE_MAX.saturating_sub(said.len())));
    }
    if !breaks.is_empty() && said.last().is_some_and(|last| !is_break(last)) {
        said.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::notify::line;

    #[test]
    fn of_all_that_a_check_writes_the_last_line_is_kept() {
        let said = |parts: &[&[u8]]| {
            let mut said = Vec::new();
            parts.iter().for_each(|part| keep_last_line(&mut said, part));
            line(&said)
        };
        assert_eq!(said(&[b"one\ntwo\n"]), "two");
        assert_eq!(said(&[b"one\nt", b"wo"]), "two");
        assert_eq!(said(&[b"one\n\n\n"]), "one");
        assert_eq!(said(&[b"one", b"\n", b"\n", b""]), "one");
        assert_eq!(said(&[b"one\n", b"two", b" and more", b"\n"]), "two and more");
        assert_eq!(said(&[b"\none\n\ntwo"]), "two");
        assert_eq!(said(&[b""]), "");
        assert_eq!(said(&[&[b'x'; 100_000], b"\nend"]), "end");
        assert_eq!(said(&[&[b'x'; 100_000]]).len(), 256);
    }
}
