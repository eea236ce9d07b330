//! One log file, followed through truncation and rename.

use crate::ctl::logs::old_file::{self, LINE_MAX};
use crate::ctl::logs::rotation::Rotation;
use crate::ctl::logs::seek;
use crate::logger::archive::names::Name;
use crate::sys::files::file;
use crate::sys::files::file_id::FileInstance;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// At most so many bytes are read in one turn, so that one busy log holds up no other.
const TURN_MAX: u64 = 1024 * 1024;

/// Read backwards in pieces of this size.
const BLOCK: u64 = 64 * 1024;

/// What is open next.
enum Opened {
    /// One of a logger's old files.
    OldFile,
    /// The file that has the path.
    Path,
}

/// A log file, and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    open: Option<(File, FileInstance)>,
    at: u64,
    /// The beginning of a line whose end has not been written yet.
    partial: Vec<u8>,
    /// A logger gives the file the names of old ones.
    rotation: Option<Rotation>,
}

impl Tail {
    /// The file at `path`, which need not exist yet. From its last `lines` on.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn new(path: PathBuf, lines: usize) -> io::Result<Tail> {
        let tail = Tail { path, open: None, at: 0, partial: Vec::new(), rotation: None };
        tail.begin(lines)
    }

    /// The same for the `current` of a logger: also what is in old files by the time that they are looked at is handed over.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn of_logger(path: PathBuf, lines: usize) -> io::Result<Tail> {
        let rotation = Some(Rotation::begin(path.parent().unwrap_or(Path::new("."))));
        let tail = Tail { path, open: None, at: 0, partial: Vec::new(), rotation };
        tail.begin(lines)
    }

    fn begin(mut self, lines: usize) -> io::Result<Tail> {
        let mut tail = loop {
            match self.reopen() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            match &self.rotation {
                // What is open now may be younger than they are, or one of them.
                Some(rotation) if rotation.is_behind() => self.rotation = Some(Rotation::begin(rotation.dir())),
                Some(_) | None => break self,
            }
        };
        if let Some((file, _)) = &tail.open {
            tail.at = last_lines(file, lines)?;
        }
        Ok(tail)
    }

    /// Passes over lines that are older than `since`, if that is easy.
    pub fn skip_before(&mut self, since: i64) {
        if let Some((file, _)) = &self.open {
            self.at = seek::before(file, since).unwrap_or(0).max(self.at);
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest of the old files that were there before the file that is open.
    pub fn newest_before(&self) -> Option<Name> {
        self.rotation.as_ref()?.last().cloned()
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.open.is_some()
    }

    /// Hands every whole line that was written since the last call to `each`, without its newline; true if there
    /// is more to be read at once.
    ///
    /// # Errors
    /// What `read` gives.
    pub fn take(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut left = TURN_MAX;
        if !self.read(&mut left, &mut each)? {
            return Ok(true);
        }
        // A new file has its name only after the last write to the old one that is of interest: services get theirs
        // when they start, and the supervisor opens its own for each line.
        if self.was_replaced() {
            self.read(&mut left, &mut each)?;
            self.flush(&mut each);
            match self.open_next(&mut each) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Ok(Opened::OldFile) => return Ok(true),
                other => other?,
            };
            return Ok(!self.read(&mut left, &mut each)?);
        }
        Ok(false)
    }

    /// Hands over the line that has no end.
    pub fn flush(&mut self, each: &mut impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            each(&std::mem::take(&mut self.partial));
        }
    }

    /// Reads to the end, or as much as `left` allows; true at the end.
    fn read(&mut self, left: &mut u64, each: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        let Some((file, _)) = &self.open else { return Ok(true) };
        let size = file.metadata()?.len();
        if size < self.at {
            // Truncated in place (`: > __stdout`, copytruncate): what is there now is new.
            self.at = 0;
            self.partial.clear();
        }
        let mut block = vec![0; BLOCK as usize];
        while *left > 0 {
            let taken = file.read_at(&mut block, self.at)?;
            if taken == 0 {
                return Ok(true);
            }
            self.at += taken as u64;
            *left = left.saturating_sub(taken as u64);
            split(&mut self.partial, &block[..taken], each);
        }
        Ok(false)
    }

    fn was_replaced(&self) -> bool {
        match (&self.open, std::fs::symlink_metadata(&self.path)) {
            (Some((_, ours)), Ok(there)) => FileInstance::of(&there) != *ours,
            (None, Ok(_)) => true,
            // Renamed or removed: whoever has it open may still write.
            (_, Err(_)) => false,
        }
    }

    /// Opens what was written after the file that is open: old files that have come since, then that of the path.
    fn open_next(&mut self, each: &mut impl FnMut(&[u8])) -> io::Result<Opened> {
        loop {
            let open = self.open.as_ref().map(|(_, instance)| *instance);
            if let Some(name) = self.rotation.as_mut().and_then(|rotation| rotation.next(open)) {
                return self.open_old(&name, each).map(|()| Opened::OldFile);
            }
            self.reopen()?;
            match &mut self.rotation {
                // It was renamed just before.
                Some(rotation) if rotation.is_behind() => {}
                Some(rotation) => {
                    rotation.note_current();
                    return Ok(Opened::Path);
                }
                None => return Ok(Opened::Path),
            }
        }
    }

    /// Opens an old file; one that was compressed meanwhile is handed over at once.
    fn open_old(&mut self, name: &Name, each: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        if let Some(file) = old_file::plain(dir, name) {
            let instance = FileInstance::of(&file.metadata()?);
            (self.open, self.at) = (Some((file, instance)), 0);
            return Ok(());
        }
        // One that is gone has been pruned.
        let _ = old_file::read(dir, name).and_then(|reader| old_file::each_line(reader, each));
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = file::read(&self.path)?;
        let instance = FileInstance::of(&file.metadata()?);
        self.open = Some((file, instance));
        self.at = 0;
        Ok(())
    }
}

/// Adds `block` to the line that has begun, and hands over all whole lines.
fn split(partial: &mut Vec<u8>, block: &[u8], each: &mut impl FnMut(&[u8])) {
    for piece in block.split_inclusive(|byte| *byte == b'\n') {
        match piece.strip_suffix(b"\n") {
            Some(end) if partial.is_empty() => each(end),
            Some(end) => {
                partial.extend_from_slice(end);
                each(partial);
                partial.clear();
            }
            None => partial.extend_from_slice(piece),
        }
        if partial.len() > LINE_MAX {
            each(partial);
            partial.clear();
        }
    }
}

/// Where the last `lines` of `file` begin. A line without an end counts.
fn last_lines(file: &File, lines: usize) -> io::Result<u64> {
    let end = file.metadata()?.len();
    match lines {
        0 => return Ok(end),
        usize::MAX => return Ok(0),
        _ => {}
    }
    let (mut start, mut seen) = (end, 0);
    let mut block = Vec::new();
    while start > 0 {
        let from = start.saturating_sub(BLOCK);
        let mut reader = file;
        reader.seek(SeekFrom::Start(from))?;
        block.clear();
        reader.take(start - from).read_to_end(&mut block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = from + at as u64 + 1;
            // The newline at the very end begins no line.
            if after == end {
                continue;
            }
            seen += 1;
            if seen == lines {
                return Ok(after);
            }
        }
        start = from;
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut found = Vec::new();
        while tail.take(|line| found.push(String::from_utf8_lossy(line).into_owned())).unwrap() {}
        found
    }

    fn append(path: &Path, text: &str) {
        file::append(path).unwrap().0.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn it_begins_with_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        append(&path, "a\nb\nc\n");
        assert_eq!(lines(&mut Tail::new(path.clone(), 2).unwrap()), ["b", "c"]);
        assert_eq!(lines(&mut Tail::new(path.clone(), 9).unwrap()), ["a", "b", "c"]);
        assert_eq!(lines(&mut Tail::new(path.clone(), 0).unwrap()), [""; 0]);
        let long = "x".repeat(200_000);
        append(&path, &format!("{long}\nend\n"));
        assert_eq!(lines(&mut Tail::new(path, 2).unwrap()), [long.as_str(), "end"]);
    }

    #[test]
    fn a_line_is_handed_over_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(path.clone(), 10).unwrap();
        assert_eq!(lines(&mut tail), [""; 0]);
        append(&path, "one\ntw");
        assert_eq!(lines(&mut tail), ["one"]);
        append(&path, "o\n");
        assert_eq!(lines(&mut tail), ["two"]);
        append(&path, "rest");
        assert_eq!(lines(&mut tail), [""; 0]);
        let mut rest = Vec::new();
        tail.flush(&mut |line: &[u8]| rest.push(line.to_vec()));
        assert_eq!(rest, [b"rest"]);
    }

    #[test]
    fn truncation_and_rename_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        append(&path, "before\n");
        let mut tail = Tail::new(path.clone(), 10).unwrap();
        assert_eq!(lines(&mut tail), ["before"]);
        std::fs::write(&path, "cut\n").unwrap();
        assert_eq!(lines(&mut tail), ["cut"]);
        let (mut old, _) = file::append(&path).unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        old.write_all(b"late\n").unwrap();
        assert_eq!(lines(&mut tail), ["late"]);
        old.write_all(b"later\n").unwrap();
        append(&path, "new\n");
        assert_eq!(lines(&mut tail), ["later", "new"]);
    }

    #[test]
    fn several_rotations_at_once_lose_and_double_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("current");
        let old = |number: u64| dir.path().join(Name::of(number, std::time::SystemTime::UNIX_EPOCH));
        append(&old(1), "long ago\n");
        append(&path, "one\n");
        let mut tail = Tail::of_logger(path.clone(), usize::MAX).unwrap();
        assert_eq!(lines(&mut tail), ["one"]);
        for (number, text) in [(2, "two\n"), (3, "three\n"), (4, "four\n")] {
            append(&path, text);
            std::fs::rename(&path, old(number)).unwrap();
        }
        crate::logger::archive::compress::gzip(&old(3)).unwrap();
        append(&path, "five\n");
        assert_eq!(lines(&mut tail), ["two", "three", "four", "five"]);
        // It was moved by somebody else, and then a new one by the logger.
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        append(&path, "six\n");
        std::fs::rename(&path, old(5)).unwrap();
        append(&path, "seven\n");
        assert_eq!(lines(&mut tail), ["six", "seven"]);
        // What was there before it began is not its own.
        let mut tail = Tail::of_logger(path, usize::MAX).unwrap();
        assert_eq!(
            tail.newest_before().map(|name| name.text().to_string()),
            old(5).file_name().unwrap().to_str().map(String::from)
        );
        assert_eq!(lines(&mut tail), ["seven"]);
    }

    #[test]
    fn a_current_that_gets_its_name_after_the_next_has_begun_is_not_shown_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("current");
        let old = |number: u32| dir.path().join(format!("@4000000067443c0c{number:08x}.s"));
        append(&path, "one\n");
        let mut tail = Tail::of_logger(path.clone(), usize::MAX).unwrap();
        assert_eq!(lines(&mut tail), ["one"]);
        let previous = dir.path().join("previous");
        std::fs::rename(&path, &previous).unwrap();
        append(&path, "two\n");
        assert_eq!(lines(&mut tail), ["two"]);
        std::fs::rename(&previous, old(1)).unwrap();
        std::fs::rename(&path, old(2)).unwrap();
        append(&path, "three\n");
        std::fs::rename(&path, old(3)).unwrap();
        append(&path, "four\n");
        assert_eq!(lines(&mut tail), ["three", "four"]);
        // A program of svlogd's makes another file of it.
        std::fs::write(old(4), "made of four\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        append(&path, "five\n");
        assert_eq!(lines(&mut tail), ["five"]);
    }

    #[test]
    fn a_fifo_in_its_place_is_refused_and_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Tail::new(path, 10).is_err());
    }
}
