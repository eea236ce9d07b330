//! One log file, followed through truncation and rename.

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

/// The last lines are looked for in the last so many bytes.
const BACK_MAX: u64 = 64 * 1024 * 1024;

/// A line longer than this, in bytes, is handed on in pieces.
const LINE_MAX: usize = 256 * 1024;

/// A log file, and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    open: Option<(File, FileInstance)>,
    at: u64,
    /// The beginning of a line whose end has not been written yet.
    partial: Vec<u8>,
}

impl Tail {
    /// The file at `path`, which need not exist yet. From its last `lines` on.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn new(path: PathBuf, lines: usize) -> io::Result<Tail> {
        let mut tail = Tail { path, open: None, at: 0, partial: Vec::new() };
        match tail.reopen() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        if let Some((file, _)) = &tail.open {
            tail.at = last_lines(file, lines)?;
        }
        Ok(tail)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
            match self.reopen() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                other => other?,
            }
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
    if lines == 0 {
        return Ok(end);
    }
    let (mut start, mut seen) = (end, 0);
    let mut block = Vec::new();
    while start > end.saturating_sub(BACK_MAX) {
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
    fn a_fifo_in_its_place_is_refused_and_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Tail::new(path, 10).is_err());
    }
}
