//! The last lines of an output that somebody else writes.

use crate::sys::files::file;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// At most so many bytes at the end of a file are looked at.
const READ_MAX: u64 = 16 * 1024;

/// At most `count` lines from the end of the regular file at `path`, of what was written behind its first `from` bytes. A
/// file that is shorter than that has been truncated or made anew: all of it counts.
///
/// # Errors
/// As [`file::read`], and what `read` gives.
pub fn last_lines(path: &Path, from: u64, count: usize) -> io::Result<Vec<String>> {
    last_lines_before(path, from, u64::MAX, count)
}

/// The same, without what was written behind the first `until` bytes.
///
/// # Errors
/// As [`last_lines`].
pub fn last_lines_before(path: &Path, from: u64, until: u64, count: usize) -> io::Result<Vec<String>> {
    let mut file = file::read(path)?;
    let end = file.metadata()?.len();
    let from = if from <= end { from } else { 0 };
    let end = end.min(until);
    let begin = from.max(end.saturating_sub(READ_MAX));
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    // What has come since its length was asked for counts, too, unless it is not to.
    let most = if until == u64::MAX { READ_MAX } else { end.saturating_sub(begin) };
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let first = text.lines().count().saturating_sub(count);
    Ok(text.lines().skip(first).map(String::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_left_out_unless_the_file_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "one\ntwo\nthree\nfour").unwrap();
        assert_eq!(last_lines(&path, 0, 2).unwrap(), ["three", "four"]);
        assert_eq!(last_lines(&path, 8, 9).unwrap(), ["three", "four"]);
        assert_eq!(last_lines(&path, 18, 9).unwrap(), [""; 0]);
        assert_eq!(last_lines_before(&path, 0, 8, 9).unwrap(), ["one", "two"]);
        assert_eq!(last_lines_before(&path, 14, 8, 9).unwrap(), [""; 0]);
        std::fs::write(&path, "new").unwrap();
        assert_eq!(last_lines(&path, 18, 9).unwrap(), ["new"]);
        std::fs::write(&path, "x\n".repeat(20_000)).unwrap();
        assert_eq!(last_lines(&path, 0, usize::MAX).unwrap().len(), 8 * 1024);
    }
}
