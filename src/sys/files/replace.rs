//! New content in the place of a file's old one, in one step.
//!
//! Two files change places: the one that readers see, and a spare with the same name and `.new` behind it, which holds
//! what was there before the last change. A new file for each change would be simpler, and is what is done where the
//! kernel or the file system cannot do the other; but services that restart all the time would have the file system
//! make and remove inodes all the time, and ext4 searches through all that were removed in the last minutes before it
//! makes the next one.
//!
//! On a disk that is full there may be no room for a spare. What is there already has room: then the file itself is written
//! over, in one call, while a lease keeps everybody else from opening it.

use crate::sys::files::file;
use std::ffi::{CStr, OsStr};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// What the spare's name has behind that of the file.
const SPARE: &str = ".new";

/// Whoever reads a file that is to be written over is through with it by then.
const LEASE_TRIES: u32 = 50;
const LEASE_PAUSE: Duration = Duration::from_millis(1);

/// Size of the blocks that `stat` counts, in bytes.
const BLOCK: u64 = 512;

/// What is known of a file and its spare. If it is wrong, somebody has touched them, and nothing worse comes of it than a
/// system call more, or an error and a second try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilePair {
    /// Nothing.
    #[default]
    Unknown,
    /// Neither of them is there.
    Absent,
    /// The file is there, and no spare.
    FileOnly,
    /// Both are there.
    FileAndSpare,
    /// The disk was full, and the file was written over.
    WrittenOver,
}

impl FilePair {
    /// Puts `content` in the place of `path` in one step: readers see the old or the new, never a part.
    ///
    /// # Errors
    /// What `open`, `write` and `rename` give; `path` is then as it was.
    pub fn replace(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        match self.exchange(path, content) {
            Err(error) if is_full(&error) => {
                write_over(path, content).map_err(|_| error)?;
                *self = FilePair::WrittenOver;
                Ok(())
            }
            replaced => replaced,
        }
    }

    fn exchange(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        let before = std::mem::take(self);
        let (c_path, c_spare) = (file::c_path(path)?, file::c_path_with_suffix(path, SPARE)?);
        let spare = Path::new(OsStr::from_bytes(c_spare.to_bytes()));
        let reused = match before {
            FilePair::Absent | FilePair::FileOnly => None,
            FilePair::Unknown | FilePair::FileAndSpare | FilePair::WrittenOver => reuse(spare),
        };
        let (mut file, size) = match reused {
            Some(reused) => reused,
            None => (make(spare)?, 0),
        };
        file.write_all(content)?;
        if size > content.len() as u64 {
            file.set_len(content.len() as u64)?;
        }
        drop(file);
        if before != FilePair::Absent && rename(&c_spare, &c_path, libc::RENAME_EXCHANGE).is_ok() {
            *self = FilePair::FileAndSpare;
            return Ok(());
        }
        // There is no old file yet, or the file system cannot exchange.
        rename(&c_spare, &c_path, 0)?;
        *self = FilePair::FileOnly;
        Ok(())
    }
}

/// Opens the spare and gives its size, if it is what we have left there and nobody is still reading it.
fn reuse(spare: &Path) -> Option<(File, u64)> {
    let (spare, metadata) = open_ours(spare)?;
    let is_open_once = lease(&spare, libc::F_WRLCK) && lease(&spare, libc::F_UNLCK);
    is_open_once.then_some((spare, metadata.len()))
}

/// Opens for writing what is ours alone.
fn open_ours(path: &Path) -> Option<(File, Metadata)> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let ours = metadata.is_file()
        && metadata.nlink() == 1
        && metadata.uid() == nix::unistd::geteuid().as_raw()
        && file::obeys_umask(&metadata);
    ours.then_some((file, metadata))
}

/// Takes or gives back a lease. For writing, the kernel grants it when nobody else has the file open.
///
/// Whoever opens it meanwhile waits, and causes a SIGIO, which [`crate::sys::process::setup::prepare`] has had ignored.
fn lease(file: &File, kind: libc::c_int) -> bool {
    // SAFETY: takes or gives back a lease on a descriptor that is open; no memory is involved.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
}

/// Whether there is no room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes over the file itself, if it has room for `content`, and nobody is reading it. Until that is done, whoever opens it
/// waits.
///
/// What is killed in the middle leaves a whole line in any case: the one call writes it, and what was longer follows it for
/// the moment.
fn write_over(path: &Path, content: &[u8]) -> io::Result<()> {
    let (file, metadata) = open_ours(path).ok_or(io::ErrorKind::NotFound)?;
    let room = metadata.len().max(metadata.blocks() * BLOCK);
    if content.len() as u64 > room {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let mut tries_left = LEASE_TRIES;
    while !lease(&file, libc::F_WRLCK) {
        if tries_left == 0 {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        tries_left -= 1;
        std::thread::sleep(LEASE_PAUSE);
    }
    // The lease ends with the descriptor.
    file.write_all_at(content, 0)?;
    if metadata.len() > content.len() as u64 {
        file.set_len(content.len() as u64)?;
    }
    Ok(())
}

/// Makes the spare anew: what has its name may be a link to something precious, a FIFO, or a leftover.
fn make(spare: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    match options.open(spare) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(spare).or_else(|error| std::fs::remove_dir(spare).map_err(|_| error))?;
            options.open(spare)
        }
        opened => opened,
    }
}

/// Renames a file unless something has the new name.
///
/// # Errors
/// `AlreadyExists`, and what `rename` gives.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename(&super::file::c_path(from)?, &super::file::c_path(to)?, libc::RENAME_NOREPLACE) {
        // A file system that cannot do it in one step.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => match std::fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => std::fs::rename(from, to),
        },
        result => result,
    }
}

/// Gives a file another's name; with `RENAME_EXCHANGE`, that gets the name of the first.
fn rename(one: &CStr, other: &CStr, flags: libc::c_uint) -> io::Result<()> {
    let here = libc::AT_FDCWD;
    // SAFETY: two paths that live through the call. By number, as musl has no function for it.
    let done = unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn inode(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().ino()
    }

    /// Nothing is known.
    fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
        FilePair::Unknown.replace(path, content)
    }

    #[test]
    fn two_files_take_turns() {
        for mut known in [FilePair::Unknown, FilePair::Absent] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("state");
            let mut inodes = Vec::new();
            for content in ["first, and long", "second", "third, which is longer", "4"] {
                known.replace(&path, content.as_bytes()).unwrap();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
                inodes.push(inode(&path));
            }
            assert_eq!((inodes[0], inodes[1]), (inodes[2], inodes[3]));
            assert_ne!(inodes[0], inodes[1]);
            assert_eq!(known, FilePair::FileAndSpare);
        }
    }

    #[test]
    fn what_is_known_may_be_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let spare = dir.path().join("state.new");
        for (number, known) in
            [FilePair::Absent, FilePair::FileOnly, FilePair::FileAndSpare, FilePair::Unknown].into_iter().enumerate()
        {
            for file in [true, false] {
                for with_spare in [true, false] {
                    let set = |path: &Path, wanted| {
                        if wanted { std::fs::write(path, "old").unwrap() } else { drop(std::fs::remove_file(path)) }
                    };
                    set(&path, file);
                    set(&spare, with_spare);
                    let content = format!("{number} {file} {with_spare}");
                    let mut now = known;
                    now.replace(&path, content.as_bytes()).unwrap();
                    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
                    assert_eq!(now == FilePair::FileAndSpare, spare.exists(), "{known:?} {file} {with_spare}");
                }
            }
        }
    }

    #[test]
    fn what_is_written_over_is_never_seen_in_part() {
        // SAFETY: ignores a signal, as our programs do.
        unsafe { nix::sys::signal::signal(nix::sys::signal::SIGIO, nix::sys::signal::SigHandler::SigIgn) }.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let text = |digit: char| format!("{}\n", digit.to_string().repeat(if digit == '7' { 900 } else { 1000 }));
        std::fs::write(&path, text('1')).unwrap();
        let write = |digit: char| write_over(&path, text(digit).as_bytes());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                for _ in 0..2000 {
                    let mut seen = String::new();
                    file::read(&path).unwrap().read_to_string(&mut seen).unwrap();
                    assert!(('1'..='9').any(|digit| seen == text(digit)), "{seen}");
                }
            });
            let mut written = 0;
            while !reader.is_finished() {
                written += ('1'..='9').filter(|digit| write(*digit).is_ok()).count();
            }
            assert!(written > 0);
        });
        // Who has it open keeps it as it is.
        write('5').unwrap();
        let held = File::open(&path).unwrap();
        assert_eq!(write('6').unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(held);
        assert_eq!(write_over(&path, &[b'x'; 70_000]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text('5'));
    }

    #[test]
    fn who_reads_slowly_reads_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        replace(&path, b"old").unwrap();
        let mut reader = File::open(&path).unwrap();
        for content in ["new", "newer", "newest"] {
            replace(&path, content.as_bytes()).unwrap();
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "old");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "newest");
    }

    #[test]
    fn what_was_planted_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("state"), dir.path().join("precious"));
        let spare = dir.path().join("state.new");
        std::fs::write(&precious, "precious").unwrap();
        replace(&path, b"1").unwrap();
        symlink(&precious, &spare).unwrap();
        replace(&path, b"2").unwrap();
        std::fs::remove_file(&spare).unwrap();
        std::fs::hard_link(&precious, &spare).unwrap();
        replace(&path, b"3").unwrap();
        std::fs::remove_file(&spare).unwrap();
        std::fs::create_dir(&spare).unwrap();
        replace(&path, b"4").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "4");
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    }
}
