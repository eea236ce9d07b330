//! Standard error, which may be a pipe that nobody empties or a terminal that is held: a line that cannot
//! be written at once is dropped and counted, for no service may wait for a reader of messages.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use parking_lot::Mutex;
use std::fs::OpenOptions;
use std::io::{self, Write, stderr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

/// Pipes take this much in one piece when `poll` says that they are writable (`PIPE_BUF`).
const LINE_MAX: usize = 4096;

static LOST: Mutex<Lost> = Mutex::new(Lost { lines: 0, torn: false });

/// What could not be written.
struct Lost {
    /// How many lines, since one could.
    lines: u64,
    /// The beginning of one of them could.
    torn: bool,
}

/// Writes one line, the newline added; what is past 4095 bytes is cut.
pub fn line(text: &str) {
    let mut lost = LOST.lock();
    let end = if lost.torn { "\n" } else { "" };
    let note = match lost.lines {
        0 => String::new(),
        1 => format!("{end}(1 line before this one could not be written)\n"),
        n => format!("{end}({n} lines before this one could not be written)\n"),
    };
    let mut whole = note.into_bytes();
    whole.extend_from_slice(text.as_bytes());
    whole.truncate(LINE_MAX - 1);
    whole.push(b'\n');
    match write(&whole) {
        Ok(written) if written < whole.len() => *lost = Lost { lines: lost.lines + 1, torn: written > 0 || lost.torn },
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => lost.lines += 1,
        // A closed standard error is nobody's fault: the log files have the line too.
        Ok(_) | Err(_) => *lost = Lost { lines: 0, torn: false },
    }
}

/// Writes what can be written at once; says how much.
fn write(bytes: &[u8]) -> io::Result<usize> {
    let out = stderr();
    let kind = SFlag::from_bits_truncate(fstat(&out)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFCHR {
        // A terminal says that it is writable when there is room for one byte, and a write of more waits for the rest. That we
        // do not want to wait can only be said for a descriptor of our own: the other one is everybody's.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        if let Ok(mut own) = OpenOptions::new().write(true).custom_flags(flags).open("/proc/self/fd/2") {
            return own.write(bytes);
        }
    }
    if kind == SFlag::S_IFSOCK {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the bytes live through the call, which only reads them.
        let sent = unsafe { libc::send(out.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
        return usize::try_from(sent).map_err(|_| io::Error::last_os_error());
    }
    if !is_writable(&out) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    out.lock().write(bytes)
}

fn is_writable(out: &impl AsFd) -> bool {
    let mut ready = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    poll(&mut ready, PollTimeout::ZERO).is_ok_and(|n| n == 1)
}
