//! The directory of a log: its lock, and the file that is written to.

use super::archive::names::{self, CURRENT, Name};
use super::journal::{Output, Place, Settled};
use super::trouble::about;
use crate::sys::files::file::child;
use crate::sys::files::flock::{Lock, LockError};
use crate::sys::files::replace::rename_new;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The lock, which svlogd takes, too.
const LOCK: &str = "lock";

/// Mode of the log's files: of no interest to everybody.
const MODE: u32 = 0o640;

/// The directory, locked.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    lock: Option<Lock>,
    current: Option<Current>,
    next_number: u64,
}

/// The file that is written to.
#[derive(Debug)]
pub struct Current {
    file: File,
    device: u64,
    inode: u64,
    size: u64,
}

impl Directory {
    /// Takes the directory, which is made if only its last component is missing.
    ///
    /// # Errors
    /// What `mkdir` gives, and that somebody else has the lock.
    pub fn take(path: &Path) -> Result<Directory, String> {
        let mut directory = Directory { path: path.to_path_buf(), lock: None, current: None, next_number: 0 };
        directory.take_lock().map_err(|error| error.to_string())?;
        Ok(directory)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory and takes its lock, if it is not the one that we have.
    ///
    /// # Errors
    /// With the path and the operation.
    pub fn take_lock(&mut self) -> io::Result<()> {
        let path = child(&self.path, LOCK);
        if self.lock.as_ref().is_some_and(|lock| lock.is_at(&path)) {
            return Ok(());
        }
        self.lock = None;
        match std::fs::create_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(about(&self.path, "cannot make the directory", &error));
            }
            Err(_) if self.path.exists() && !self.path.is_dir() => {
                return Err(about(&self.path, "not a log", &"it is not a directory"));
            }
            Ok(()) | Err(_) => {}
        }
        match Lock::take(&path) {
            Ok(lock) => self.lock = Some(lock),
            Err(LockError::Held(holder)) => {
                let who = holder.map_or_else(|| "another process".to_string(), |pid| format!("process {pid}"));
                return Err(io::Error::other(format!("{}: {who} writes this log already", path.display())));
            }
            Err(LockError::Io(error)) => return Err(about(&path, "cannot lock", &error)),
        }
        Ok(())
    }

    /// The file that is written to; opened, or made, if it is not.
    ///
    /// # Errors
    /// With the path and the operation.
    pub fn current(&mut self) -> io::Result<&mut Current> {
        let current = match self.current.take() {
            Some(current) => current,
            None => Current::open(&child(&self.path, CURRENT))?,
        };
        Ok(self.current.insert(current))
    }

    /// The file that is written to, if it is open.
    pub fn open_current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// Closes it if its name is another file's by now, or nobody's; says whether it did.
    pub fn close_if_moved(&mut self) -> bool {
        let there = std::fs::symlink_metadata(child(&self.path, CURRENT)).map(|it| (it.dev(), it.ino()));
        let moved = self.current.as_ref().is_some_and(|ours| there.as_ref().ok() != Some(&(ours.device, ours.inode)));
        if moved {
            self.current = None;
        }
        moved
    }

    /// Finds out how long it is if somebody else has cut it or written to it, and ends the line that this may have left.
    ///
    /// # Errors
    /// With the path and the operation.
    pub fn measure(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let path = child(&self.path, CURRENT);
        let size = current.file.metadata().map_err(|error| about(&path, "cannot stat", &error))?.len();
        if size != current.size {
            current.size = size;
            current.end_last_line().map_err(|error| about(&path, "cannot write", &error))?;
        }
        Ok(())
    }

    /// Closes it, and gives it back so that it can be synced.
    pub fn close(&mut self) -> Option<File> {
        self.current.take().map(|current| current.file)
    }

    /// Gives the file that is written to the name of an old one, and closes it.
    ///
    /// # Errors
    /// With the path and the operation; the file is written to as before.
    pub fn rotate(&mut self) -> io::Result<Option<File>> {
        if self.next_number == 0 {
            let names = names::list(&self.path).map_err(|error| about(&self.path, "cannot list", &error))?;
            self.next_number = names::next_number(&names);
        }
        let from = child(&self.path, CURRENT);
        loop {
            let to = child(&self.path, &Name::of(self.next_number, SystemTime::now()));
            match rename_new(&from, &to) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.next_number += 1,
                Err(error) => return Err(about(&from, "cannot rename", &error)),
            }
        }
        self.next_number += 1;
        Ok(self.close())
    }

    /// Where in the directory the file of this device and inode is: `current`, unless somebody has renamed it.
    fn find(&self, device: u64, inode: u64) -> Option<PathBuf> {
        let is_it = |path: &PathBuf| {
            std::fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && (it.dev(), it.ino()) == (device, inode))
        };
        let current = child(&self.path, CURRENT);
        if is_it(&current) {
            return Some(current);
        }
        std::fs::read_dir(&self.path).ok()?.flatten().map(|entry| entry.path()).find(is_it)
    }
}

impl Output for Directory {
    fn settle(&mut self, place: Place) -> io::Result<Settled> {
        let end = place.at.saturating_add(place.length);
        let ours =
            self.current.as_mut().filter(|current| (current.device, current.inode) == (place.device, place.inode));
        if let Some(current) = ours {
            current.size = current.file.metadata()?.len();
            if current.size >= end {
                return Ok(Settled::Written);
            }
            current.truncate(place.at)?;
            return Ok(Settled::Removed);
        }
        // Gone with what was in it, or taken away by somebody: the lines are written again.
        let Some(path) = self.find(place.device, place.inode) else { return Ok(Settled::Removed) };
        let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        let file = file.map_err(|error| about(&path, "cannot open", &error))?;
        let size = file.metadata()?.len();
        if size >= end {
            return Ok(Settled::Written);
        }
        if size > place.at {
            file.set_len(place.at).map_err(|error| about(&path, "cannot cut", &error))?;
        }
        Ok(Settled::Removed)
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Current> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(MODE);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = options.open(path).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => about(path, "not written to", &"it is a symbolic link"),
            _ => about(path, "cannot open", &error),
        })?;
        let metadata = file.metadata().map_err(|error| about(path, "cannot stat", &error))?;
        if !metadata.is_file() {
            return Err(about(path, "not written to", &"it is not a regular file"));
        }
        let (device, inode) = (metadata.dev(), metadata.ino());
        let mut current = Current { file, device, inode, size: metadata.len() };
        current.end_last_line().map_err(|error| about(path, "cannot write", &error))?;
        Ok(current)
    }

    /// A logger that tears lines may have written here before.
    fn end_last_line(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.size > 0 {
            self.file.read_exact_at(&mut last, self.size - 1)?;
        }
        if last != *b"\n" {
            self.append(b"\n")?;
        }
        Ok(())
    }

    /// Appends all of it.
    ///
    /// # Errors
    /// What `write` gives; a part of it may be in the file then.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.size += written as u64;
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        if self.size > size {
            self.file.set_len(size)?;
            self.size = size;
        }
        Ok(())
    }

    /// Bytes in it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What a write of `length` bytes is noted with.
    pub fn place(&self, length: u64) -> Place {
        Place { device: self.device, inode: self.inode, at: self.size, length }
    }

    /// When it was begun, as far as the file says so, in Unix time.
    pub fn begun(&self) -> u64 {
        let metadata = self.file.metadata();
        let at = metadata.and_then(|metadata| metadata.created().or_else(|_| metadata.modified()));
        at.ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::take(&dir.path().join("log")).unwrap();
        (dir, directory)
    }

    #[test]
    fn two_loggers_never_share_a_directory() {
        let (_dir, directory) = directory();
        let error = Directory::take(directory.path()).unwrap_err();
        assert!(error.contains("writes this log already"), "{error}");
    }

    #[test]
    fn a_torn_line_of_others_is_ended_and_a_link_refused() {
        let (_dir, mut directory) = directory();
        let path = directory.path().join(CURRENT);
        std::fs::write(&path, "torn").unwrap();
        assert_eq!(directory.current().unwrap().size(), 5);
        assert!(!directory.close_if_moved());
        std::fs::rename(&path, directory.path().join("moved")).unwrap();
        assert!(directory.close_if_moved());
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        let error = directory.current().unwrap_err().to_string();
        assert!(error.ends_with("it is a symbolic link"), "{error}");
        assert!(!directory.path().join("elsewhere").exists());
    }

    #[test]
    fn a_write_is_settled_by_the_size_of_its_file_even_if_that_was_renamed() {
        let (_dir, mut directory) = directory();
        directory.current().unwrap().append(b"one\n").unwrap();
        let place = directory.current().unwrap().place(4);
        directory.current().unwrap().append(b"tw").unwrap();
        assert_eq!(directory.settle(place).unwrap(), Settled::Removed);
        assert_eq!(directory.current().unwrap().size(), 4);
        directory.current().unwrap().append(b"tw").unwrap();
        let old = directory.rotate().unwrap().unwrap();
        assert_eq!(old.metadata().unwrap().len(), 6);
        assert_eq!(directory.settle(place).unwrap(), Settled::Removed);
        assert_eq!(old.metadata().unwrap().len(), 4);
        std::fs::write(directory.path().join("x"), "").unwrap();
        (&old).write_all(b"two\n").unwrap();
        assert_eq!(directory.settle(place).unwrap(), Settled::Written);
    }

    #[test]
    fn no_old_file_is_ever_replaced() {
        let (_dir, mut directory) = directory();
        let now = SystemTime::now();
        directory.current().unwrap().append(b"one\n").unwrap();
        directory.rotate().unwrap();
        for seconds in 0..3 {
            let taken = Name::of(2, now + std::time::Duration::from_secs(seconds));
            std::fs::write(directory.path().join(taken), "taken\n").unwrap();
        }
        directory.current().unwrap().append(b"two\n").unwrap();
        directory.rotate().unwrap();
        let names = names::list(directory.path()).unwrap();
        assert_eq!(names.len(), 5);
        assert_eq!(std::fs::read(directory.path().join(names.last().unwrap().text())).unwrap(), b"two\n");
    }
}
