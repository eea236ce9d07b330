//! Standard error, which may be a pipe that nobody empties or a terminal that is held: a line that cannot
//! be written at once is dropped and counted, for no service may wait for a reader of messages.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;
use std::io::{Write, stderr};
use std::os::fd::AsFd;

/// Pipes take this much in one piece when `poll` says that they are writable (`PIPE_BUF`).
const LINE_MAX: usize = 4096;

static DROPPED: Mutex<u64> = Mutex::new(0);

/// Writes one line, the newline added; what is past 4095 bytes is cut.
pub fn line(text: &str) {
    let mut dropped = DROPPED.lock();
    let out = stderr();
    if !writable(&out) {
        *dropped += 1;
        return;
    }
    let note = match *dropped {
        0 => String::new(),
        1 => "(1 line before this one could not be written)\n".into(),
        n => format!("({n} lines before this one could not be written)\n"),
    };
    let mut whole = note.into_bytes();
    whole.extend_from_slice(text.as_bytes());
    whole.truncate(LINE_MAX - 1);
    whole.push(b'\n');
    // A closed standard error is nobody's fault: the log files have the line too.
    let _ = out.lock().write_all(&whole);
    *dropped = 0;
}

fn writable(out: &impl AsFd) -> bool {
    let mut ready = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    poll(&mut ready, PollTimeout::ZERO).is_ok_and(|n| n == 1)
}
