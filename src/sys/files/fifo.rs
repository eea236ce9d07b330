//! FIFOs, opened so that nobody ever waits for the other end.

use crate::sys::files::file;
use crate::sys::files::file_id::FileInstance;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Which ends of the FIFO a descriptor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The reading end: a writer's `open` succeeds as long as we have it.
    Read,
    /// Both: there is a reader and a writer for as long as we have it, so neither side sees an end of file.
    Both,
}

/// An open FIFO, and which file it was.
#[derive(Debug)]
pub struct Fifo {
    file: File,
    instance: FileInstance,
}

impl Fifo {
    /// Opens the FIFO at `path`, made with mode 0600 if there is nothing.
    ///
    /// # Errors
    /// `InvalidInput` when something else is in its place (it is not touched), and what `mkfifo` and `open` give.
    pub fn open_or_make(path: &Path, ends: Ends) -> io::Result<Fifo> {
        // Most often there is none, when thousands begin at once.
        let made = make(path);
        match (made, Fifo::open(path, ends)) {
            (Err(why), Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(why),
            (_, opened) => opened,
        }
    }

    /// As [`Fifo::open_or_make`], but one that nobody has open yet: whoever has an old one writes into nothing.
    ///
    /// # Errors
    /// As there, and what `unlink` gives.
    pub fn make_anew(path: &Path, ends: Ends) -> io::Result<Fifo> {
        match Fifo::open(path, ends) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => std::fs::remove_file(path)?,
        }
        Fifo::open_or_make(path, ends)
    }

    /// Takes over a FIFO that the program before us had open.
    ///
    /// # Errors
    /// What `fstat` gives.
    pub fn inherit(descriptor: OwnedFd) -> io::Result<Fifo> {
        let file = File::from(descriptor);
        let instance = FileInstance::of(&file.metadata()?);
        Ok(Fifo { file, instance })
    }

    fn open(path: &Path, ends: Ends) -> io::Result<Fifo> {
        let file = OpenOptions::new()
            .read(true)
            .write(ends == Ends::Both)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY)
            .open(path)?;
        let metadata = file.metadata()?;
        if ends == Ends::Read {
            // Nobody writes into it: one page's worth of kernel memory will do instead of sixteen. As well if not.
            let _ = fcntl(&file, FcntlArg::F_SETPIPE_SZ(1));
        }
        if metadata.file_type().is_fifo() {
            Ok(Fifo { instance: FileInstance::of(&metadata), file })
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a FIFO"))
        }
    }

    /// Whether the entry at `path` is still this FIFO.
    pub fn is_at(&self, path: &Path) -> bool {
        FileInstance::at(path).is_ok_and(|there| there == self.instance)
    }

    /// Whether whoever writes into it has to wait. Only who holds both ends can tell.
    pub fn is_full(&self) -> bool {
        let mut entry = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry that lives through the call, which does not wait.
        let ready = unsafe { libc::poll(&raw mut entry, 1, 0) };
        ready == 0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        unread(&self.file) == 0
    }

    /// Reads what there is, at most `room.len()` bytes; 0 when there is nothing.
    pub fn read(&self, room: &mut [u8]) -> usize {
        (&self.file).read(room).unwrap_or(0)
    }
}

fn make(path: &Path) -> io::Result<()> {
    let path = file::c_path(path)?;
    // SAFETY: a path that lives through the call.
    match unsafe { libc::mkfifo(path.as_ptr(), 0o600) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What can be told of a FIFO from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Somebody has it open for reading.
    pub is_there: bool,
    /// Something is in it that was not read.
    pub has_unread: bool,
}

/// Whether somebody has the FIFO at `path` open for reading. Nothing is written, and nothing waits.
///
/// # Errors
/// `NotFound`, `PermissionDenied` and the like; something that is not a FIFO has no reader.
pub fn has_reader(path: &Path) -> io::Result<bool> {
    look(path).map(|reader| reader.is_there)
}

/// The same, and whether it is empty.
///
/// # Errors
/// As [`has_reader`].
pub fn look(path: &Path) -> io::Result<Reader> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY);
    match options.open(path) {
        Ok(file) => {
            let is_there = file.metadata()?.file_type().is_fifo();
            Ok(Reader { is_there, has_unread: is_there && unread(&file) > 0 })
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ELOOP)) => {
            Ok(Reader { is_there: false, has_unread: false })
        }
        Err(error) => Err(error),
    }
}

/// How many bytes wait in a FIFO.
fn unread(fifo: &File) -> libc::c_int {
    let mut count: libc::c_int = 0;
    // SAFETY: writes one integer, which lives through the call.
    let told = unsafe { libc::ioctl(fifo.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if told == 0 { count } else { 0 }
}

/// Writes `bytes` into the FIFO at `path`, without ever waiting for a reader.
///
/// # Errors
/// `ENXIO` when nobody reads it, `InvalidInput` when it is not a FIFO, `WouldBlock` when it is full, and what
/// `open` gives.
pub fn send(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        file.write_all(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a FIFO"))
    }
}
