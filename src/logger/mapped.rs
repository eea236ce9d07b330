//! The journal as a file that is mapped into memory.

use super::journal::layout::{HEADER, READ_MAX, SIZE, SPACE, SPACE_AT_FIRST, Word, offset};
use super::journal::{Input, Memory};
use super::trouble::about;
use crate::sys::files::file::{self, child};
use crate::sys::files::file_id::FileInstance;
use crate::sys::logging::intake::Intake;
use crate::sys::logging::mapping::{Mapping, reserve};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The journal's name.
pub const JOURNAL: &str = "journal";

/// The journal's memory.
#[derive(Debug)]
pub struct Mapped {
    mapping: Mapping,
    path: PathBuf,
    /// The file, unless its file system cannot map it.
    file: Option<(File, FileInstance)>,
    /// Up to where each buffer has room on the disk.
    reserved: [usize; 2],
}

const LENGTH: NonZeroUsize = NonZeroUsize::new(SIZE).expect("it is some");

impl Mapped {
    /// Maps the journal in `dir`, which is made if it is missing. If its file system cannot map files, it is memory that a KILL
    /// takes; then there is a text that says so.
    ///
    /// # Errors
    /// What `open` and `posix_fallocate` give.
    pub fn open(dir: &Path) -> io::Result<(Mapped, Option<String>)> {
        let path = child(dir, JOURNAL);
        let (file, identity) = file::read_write(&path, 0o600).map_err(|error| about(&path, "cannot open", &error))?;
        let prepare = || -> io::Result<()> {
            if file.metadata()?.len() != SIZE as u64 {
                file.set_len(SIZE as u64)?;
            }
            [0..HEADER, first(0), first(1)].into_iter().try_for_each(|range| reserve(&file, range))
        };
        prepare().map_err(|error| about(&path, "cannot make room for it", &error))?;
        let reserved = [SPACE_AT_FIRST; 2];
        let (mapping, file, complaint) = match Mapping::new(Some(&file), LENGTH) {
            Ok(mapping) => (mapping, Some((file, identity)), None),
            Err(error) => {
                let text = format!("{}: cannot map it: {error}; a KILL may lose what is in hand", path.display());
                (Mapping::new(None, LENGTH)?, None, Some(text))
            }
        };
        mapping.keep_in_memory(0..HEADER);
        mapping.keep_in_memory(first(0));
        mapping.keep_in_memory(first(1));
        Ok((Mapped { mapping, path, file, reserved }, complaint))
    }

    /// Memory that a KILL takes.
    ///
    /// # Errors
    /// What `mmap` gives.
    pub fn in_memory() -> io::Result<Mapped> {
        let mapping = Mapping::new(None, LENGTH)?;
        Ok(Mapped { mapping, path: PathBuf::new(), file: None, reserved: [SPACE; 2] })
    }

    /// Whether a journal is in `dir`.
    pub fn is_in(dir: &Path) -> bool {
        child(dir, JOURNAL).is_file()
    }

    /// Removes the file, of which nothing is needed any more.
    pub fn remove(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Makes the file anew if it is not there any more, with all that is in hand.
    ///
    /// # Errors
    /// As [`Mapped::open`].
    pub fn restore(&mut self) -> io::Result<bool> {
        let Some((_, identity)) = &self.file else { return Ok(false) };
        if FileInstance::at(&self.path).is_ok_and(|there| there == *identity) {
            return Ok(false);
        }
        // What has its name is not a journal of this logger.
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(about(&self.path, "cannot remove", &error));
            }
            Ok(()) | Err(_) => {}
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let (mut new, _) = Mapped::open(dir)?;
        for buffer in [0, 1] {
            let used = offset(buffer, 0)..offset(buffer, self.reserved[buffer]);
            if !new.reserve(used.clone()) {
                return Err(about(&self.path, "cannot make room for it", &"No space left on device"));
            }
            new.mapping.bytes_mut(used.clone()).copy_from_slice(self.mapping.bytes(used));
        }
        new.mapping.bytes_mut(0..HEADER).copy_from_slice(self.mapping.bytes(0..HEADER));
        *self = new;
        Ok(true)
    }
}

fn first(buffer: usize) -> Range<usize> {
    offset(buffer, 0)..offset(buffer, SPACE_AT_FIRST)
}

impl Memory for Mapped {
    fn word(&self, word: Word) -> u64 {
        self.mapping.word(word.index())
    }

    fn set_word(&mut self, word: Word, value: u64) {
        self.mapping.set_word(word.index(), value);
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.mapping.bytes(range)
    }

    fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.mapping.bytes_mut(range)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.mapping.bytes_mut(at..at + bytes.len()).copy_from_slice(bytes);
    }

    fn copy(&mut self, from: Range<usize>, to: usize) {
        let all = self.mapping.bytes_mut(0..SIZE);
        all.copy_within(from, to);
    }

    fn reserve(&mut self, range: Range<usize>) -> bool {
        let buffer = usize::from(range.start >= offset(1, 0));
        let end = range.end - offset(buffer, 0);
        if end <= self.reserved[buffer] {
            return true;
        }
        let Some((file, _)) = &self.file else { return true };
        let new = offset(buffer, self.reserved[buffer])..range.end;
        let is_there = reserve(file, new).is_ok();
        if is_there {
            self.reserved[buffer] = end;
        }
        is_there
    }
}

impl Input for Intake {
    fn available(&mut self) -> io::Result<usize> {
        // Of a file, a socket or a terminal the kernel does not say it, or says it in 32 bits.
        if !self.is_pipe() {
            return Ok(READ_MAX);
        }
        Intake::available(self)
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.is_pipe() {
            return Ok(0);
        }
        Intake::peek(self, into)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Intake::read(self, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logger::journal::steps::{Found, Journal, Origin};

    #[test]
    fn a_removed_journal_is_made_anew_with_all_that_is_in_hand() {
        let dir = tempfile::tempdir().unwrap();
        let (memory, complaint) = Mapped::open(dir.path()).unwrap();
        assert_eq!(complaint, None);
        let origin = Origin { boot: 1, input: (0, 0) };
        let (mut journal, found) = Journal::open(memory, origin, 1);
        assert_eq!(found, Found::New);
        let (out, input) = nix::unistd::pipe().unwrap();
        let mut intake = Intake::new(out).unwrap();
        for text in [&b"in"[..], b" hand, and more than a mark takes"] {
            nix::unistd::write(&input, text).unwrap();
            assert_eq!(journal.read(&mut intake).unwrap(), text.len());
        }
        assert!(!journal.memory().restore().unwrap());
        std::fs::remove_file(dir.path().join(JOURNAL)).unwrap();
        assert!(journal.memory().restore().unwrap());
        drop(journal);
        let (journal, _) = Journal::open(Mapped::open(dir.path()).unwrap().0, origin, 1);
        assert_eq!(journal.bytes(), b"in hand, and more than a mark takes");
    }
}
