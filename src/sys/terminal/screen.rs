//! The terminal: how large it is, and a screen of our own on it that is given back on any exit.

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal, Write, stdin, stdout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

mod request {
    nix::ioctl_read_bad!(
        /// Asks a terminal for its size.
        window_size,
        libc::TIOCGWINSZ,
        libc::winsize
    );
}

/// The size of the terminal behind `fd`; `None` if it is none, or does not say.
pub fn size(fd: BorrowedFd<'_>) -> Option<Size> {
    let mut found = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one winsize to the place that we own; the descriptor is open as long as it is
    // borrowed.
    unsafe { request::window_size(fd.as_raw_fd(), &raw mut found) }.ok()?;
    (found.ws_col > 0 && found.ws_row > 0).then(|| Size { columns: found.ws_col.into(), rows: found.ws_row.into() })
}

/// Leaves the user's screen aside, with the cursor hidden; see [`ALTERNATE_OFF`].
const ALTERNATE_ON: &str = "\x1b[?1049h\x1b[?25l";

/// The cursor is shown again, and the user's screen is as it was.
const ALTERNATE_OFF: &str = "\x1b[?25h\x1b[?1049l";

/// A screen of our own on the terminal, and keys without Enter and echo. Dropping it gives everything back,
/// also while a panic unwinds.
#[derive(Debug)]
pub struct OwnScreen {
    /// How the keyboard was, if standard input is a terminal.
    before: Option<Termios>,
}

impl OwnScreen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// What writing to the terminal gives. A keyboard that cannot be changed is left as it is.
    pub fn enter() -> io::Result<OwnScreen> {
        let before = if stdin().is_terminal() { tcgetattr(stdin().as_fd()).ok() } else { None };
        if let Some(mut keys) = before.clone() {
            keys.local_flags -= LocalFlags::ICANON | LocalFlags::ECHO;
            let _ = tcsetattr(stdin().as_fd(), SetArg::TCSANOW, &keys);
        }
        // From here on a failure gives the keyboard back, too.
        let screen = OwnScreen { before };
        put(ALTERNATE_ON)?;
        Ok(screen)
    }

    /// Whether keys can be read from standard input.
    pub fn has_keys(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for OwnScreen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has hung up.
        let _ = put(ALTERNATE_OFF);
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin().as_fd(), SetArg::TCSANOW, before);
        }
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// One key that was pressed; `None` at the end of the terminal's input.
pub fn key() -> Option<u8> {
    let mut place = [0];
    match nix::unistd::read(stdin().as_fd(), &mut place) {
        Ok(1) => Some(place[0]),
        _ => None,
    }
}
