//! `control` and `ok`: where commands come in, and how a writer can tell that somebody reads them.

use super::StatusDir;
use crate::sys::files::fifo::{self, Ends, Fifo};
use crate::sys::handover;
use log::Level;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;

/// Bytes taken from `control` in one go. However many are waiting, each turn of the loop looks at the run
/// process, too.
const READ_SIZE: usize = 512;

/// What is wrong with a FIFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FifoError {
    /// FATAL if somebody has to do something, WARNING if it passes by itself.
    pub level: Level,
    /// A line for the user.
    pub text: String,
}

/// The two FIFOs of a supervised module, open.
#[derive(Debug)]
pub struct Fifos {
    control: Option<Fifo>,
    ok: Option<Fifo>,
    /// The failures have been reported, and nothing has been well since.
    reported: bool,
    /// Whether something lies in `ok`, as far as that is known.
    is_marked: Option<bool>,
}

impl Fifos {
    /// Those that the program before us had open.
    pub fn inherit(control: Option<OwnedFd>, ok: Option<OwnedFd>) -> Fifos {
        let inherit = |fifo: Option<OwnedFd>| fifo.and_then(|fifo| Fifo::inherit(fifo).ok());
        let ok = inherit(ok);
        let is_marked = ok.is_none().then_some(false);
        Fifos { control: inherit(control), ok, reported: false, is_marked }
    }

    /// Says whether both stay open when the program is replaced, and returns their descriptors' numbers.
    pub fn keep_open(&self, keep: bool) -> (Option<RawFd>, Option<RawFd>) {
        let keep_open = |fifo: &Option<Fifo>| fifo.as_ref().and_then(|fifo| handover::keep_open(fifo, keep).ok());
        (keep_open(&self.control), keep_open(&self.ok))
    }

    /// Opens both, and makes anew what is missing or was replaced.
    ///
    /// To be called with every report; it costs two `lstat` when all is well.
    ///
    /// # Errors
    /// What is wrong, once for as long as it lasts: something else is in the place of a FIFO (it is not touched,
    /// and not read), or it cannot be made.
    pub fn keep(&mut self, dir: &StatusDir) -> Result<(), FifoError> {
        let control = keep(&mut self.control, &dir.control(), Ends::Both);
        let is_there = self.ok.as_ref().is_some_and(|ok| ok.is_at(&dir.ok()));
        let ok = if is_there { Ok(()) } else { self.open_ok(dir) };
        match control.and(ok) {
            Ok(()) => {
                self.reported = false;
                Ok(())
            }
            Err(_) if self.reported => Ok(()),
            Err(trouble) => {
                self.reported = true;
                Err(trouble)
            }
        }
    }

    fn open_ok(&mut self, dir: &StatusDir) -> Result<(), FifoError> {
        self.is_marked = Some(false);
        keep(&mut self.ok, &dir.ok(), Ends::Read)
    }

    /// Whether both are open, and in their places.
    pub fn are_open(&self) -> bool {
        self.control.is_some() && self.ok.is_some() && !self.reported
    }

    /// Notes whether what the files tell is old, because nothing newer can be written. A byte that nobody reads lies in `ok`
    /// for as long: it needs no room on any disk. Says whether it was old until now, and is not any more.
    pub fn mark_stale(&mut self, dir: &StatusDir, stale: bool) -> bool {
        let Some(ok) = self.ok.as_ref().filter(|_| self.is_marked != Some(stale)) else { return false };
        self.is_marked = Some(stale);
        if stale {
            // It fails where somebody else has filled it, which says the same.
            let _ = fifo::send(&dir.ok(), b"s");
            return false;
        }
        let mut was_marked = false;
        while ok.read(&mut [0; READ_SIZE]) > 0 {
            was_marked = true;
        }
        was_marked
    }

    /// The descriptor to wait for.
    pub fn control(&self) -> Option<BorrowedFd<'_>> {
        self.control.as_ref().map(std::os::fd::AsFd::as_fd)
    }

    /// Takes the bytes that are waiting, up to a fixed number.
    pub fn read(&self) -> Vec<u8> {
        read(self.control.as_ref())
    }
}

pub(super) fn read(fifo: Option<&Fifo>) -> Vec<u8> {
    let mut room = [0; READ_SIZE];
    let taken = fifo.map_or(0, |fifo| fifo.read(&mut room));
    room[..taken].to_vec()
}

fn keep(fifo: &mut Option<Fifo>, path: &std::path::Path, ends: Ends) -> Result<(), FifoError> {
    if fifo.as_ref().is_some_and(|fifo| fifo.is_at(path)) {
        return Ok(());
    }
    match Fifo::open_or_make(path, ends) {
        Ok(fresh) => {
            *fifo = Some(fresh);
            Ok(())
        }
        Err(error) => Err(describe(path, &error)),
    }
}

fn describe(path: &std::path::Path, error: &io::Error) -> FifoError {
    // A directory, a socket or a link has errnos of its own, before it is even looked at.
    let other = std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_fifo());
    let path = path.display();
    if other || error.kind() == io::ErrorKind::InvalidInput {
        let text = format!("{path} is not a FIFO and is not read: remove it, and it is made anew within 5 s");
        return FifoError { level: Level::Error, text };
    }
    let text = format!("{path}: {}; tried again within 5 s", crate::sys::errno_text(error));
    FifoError { level: Level::Warn, text }
}
