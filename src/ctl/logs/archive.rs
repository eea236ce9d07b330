//! What a logger has written: `current` and the old files beside it, compressed or not.

use crate::ctl::logs::filter::Filter;
use crate::ctl::logs::last_words::last_lines;
use crate::ctl::logs::old_file::{each_line, next_line, read};
use crate::ctl::logs::{old_file, seek, time};
use crate::logger::archive::names::{self, Name};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The lines of a file whose time is looked for.
const HEAD_LINES: usize = 20;

/// So many bytes are handed over at a time, and a line.
const PART: usize = 256 * 1024;

/// The last `count` lines of the old files in `dir` up to `newest`, the oldest first.
pub fn last(dir: &Path, newest: Option<&Name>, count: usize) -> VecDeque<Vec<u8>> {
    let mut lines = VecDeque::new();
    for name in list(dir, newest).iter().rev() {
        if lines.len() >= count {
            break;
        }
        let more = last_of(dir, name, count - lines.len());
        more.into_iter().rev().for_each(|line| lines.push_front(line));
    }
    lines
}

fn last_of(dir: &Path, name: &Name, count: usize) -> Vec<Vec<u8>> {
    // One that is gone may have been compressed since it was listed.
    if old_file::plain(dir, name).is_some() {
        let path = dir.join(name.text());
        let lines = last_lines(&path, count);
        if !lines.is_empty() || path.exists() {
            return lines;
        }
    }
    let mut lines = VecDeque::new();
    // What a compressor has left half is shown as far as it goes.
    let _ = read(dir, name).and_then(|reader| {
        each_line(reader, |line| {
            if lines.len() == count {
                lines.pop_front();
            }
            lines.push_back(line.to_vec());
        })
    });
    lines.into()
}

/// Old files that may have been compressed since, each once.
fn list(dir: &Path, newest: Option<&Name>) -> Vec<Name> {
    let mut names = names::list(dir).unwrap_or_default();
    names.retain(|name| newest.is_some_and(|newest| !name.is_newer_than(newest)));
    names.dedup_by(|later, earlier| !later.is_newer_than(earlier));
    names
}

/// Old files that are read one after the other, the oldest first.
#[derive(Default)]
pub struct OldFiles {
    dir: PathBuf,
    names: VecDeque<Name>,
    since: Option<i64>,
    open: Option<Box<dyn BufRead>>,
    line: Vec<u8>,
}

impl std::fmt::Debug for OldFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OldFiles").field("dir", &self.dir).field("names", &self.names).finish_non_exhaustive()
    }
}

impl OldFiles {
    /// Those in `dir` up to `newest` that may have lines of the times that `filter` asks for.
    pub fn meant(dir: &Path, newest: Option<&Name>, filter: &Filter) -> OldFiles {
        let mut names = list(dir, newest);
        let meant = meant(dir, &names, filter);
        let names = names.drain(meant).collect();
        OldFiles { dir: dir.to_owned(), names, since: filter.since, open: None, line: Vec::new() }
    }

    /// Hands over the lines of the next part of a file; false when there is no more. What a compressor has left half is shown as
    /// far as it goes.
    pub fn read_on(&mut self, each: &mut dyn FnMut(&[u8])) -> bool {
        let Some(reader) = &mut self.open else {
            let Some(name) = self.names.pop_front() else { return false };
            // One that is gone has been pruned.
            self.open = open_since(&self.dir, &name, self.since).ok();
            return true;
        };
        let mut handed = 0;
        while handed < PART {
            match next_line(reader, &mut self.line) {
                Ok(0) | Err(_) => {
                    self.open = None;
                    return true;
                }
                Ok(bytes) => handed += bytes,
            }
            each(self.line.strip_suffix(b"\n").unwrap_or(&self.line));
        }
        true
    }
}

/// A plain file is read from a little before the time that is asked for.
fn open_since(dir: &Path, name: &Name, since: Option<i64>) -> io::Result<Box<dyn BufRead>> {
    if let Some(since) = since
        && let Some(mut file) = old_file::plain(dir, name)
    {
        let begin = seek::before(&file, since)?;
        file.seek(SeekFrom::Start(begin))?;
        return Ok(Box::new(BufReader::with_capacity(PART, file)));
    }
    read(dir, name)
}

/// The files that may have lines of the time asked for: found by the times at the beginnings of some.
fn meant(dir: &Path, names: &[Name], filter: &Filter) -> Range<usize> {
    // The lines of one file are older than the first one of the next.
    let until = |at: i64| names.partition_point(|name| first_time(dir, name).is_none_or(|first| first < at));
    let end = filter.until.map_or(names.len(), until);
    let begin = filter.since.map_or(0, |since| until(since).saturating_sub(1));
    begin.min(end)..end
}

fn first_time(dir: &Path, name: &Name) -> Option<i64> {
    let mut reader = read(dir, name).ok()?;
    let mut line = Vec::new();
    (0..HEAD_LINES).find_map(|_| {
        next_line(&mut reader, &mut line).ok()?;
        time::of_line(&line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    /// Three old files of three lines each, the middle one compressed.
    fn log() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let name = dir.path().join(format!("log-{number:08}-20261125T094116Z"));
            let text: String =
                (0..3).map(|line| format!("2026-11-25T09:0{number}:0{line}Z {number}{line}\n")).collect();
            if number == 2 {
                let file = File::create(dir.path().join(format!("log-{number:08}-20261125T094116Z.gz"))).unwrap();
                let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
                encoder.write_all(text.as_bytes()).unwrap();
                encoder.finish().unwrap();
            } else {
                std::fs::write(name, text).unwrap();
            }
        }
        dir
    }

    fn newest(dir: &Path) -> Option<Name> {
        names::list(dir).unwrap().pop()
    }

    fn filtered(dir: &Path, filter: &mut Filter) -> VecDeque<Vec<u8>> {
        let mut files = OldFiles::meant(dir, newest(dir).as_ref(), filter);
        let mut lines = VecDeque::new();
        while files.read_on(&mut |line| lines.extend(filter.takes(line).then(|| line.to_vec()))) {}
        lines
    }

    fn shown(lines: VecDeque<Vec<u8>>) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(line.rsplit(|b| *b == b' ').next().unwrap()).into()).collect()
    }

    #[test]
    fn the_last_lines_come_from_as_many_files_as_it_takes() {
        let dir = log();
        assert_eq!(shown(last(dir.path(), newest(dir.path()).as_ref(), 2)), ["31", "32"]);
        assert_eq!(shown(last(dir.path(), newest(dir.path()).as_ref(), 5)), ["21", "22", "30", "31", "32"]);
        assert_eq!(last(dir.path(), newest(dir.path()).as_ref(), 100).len(), 9);
        assert_eq!(last(dir.path(), newest(dir.path()).as_ref(), 0).len(), 0);
        // A file that has come since is not among them, and a copy is no second file.
        let names = names::list(dir.path()).unwrap();
        std::fs::write(dir.path().join(names[1].text().trim_end_matches(".gz")), "half").unwrap();
        assert_eq!(shown(last(dir.path(), Some(&names[1]), 9)).len(), 4);
    }

    #[test]
    fn times_and_words_choose_lines() {
        let dir = log();
        let mut filter = Filter::new(Some("2026-11-25T09:02:01Z"), Some("2026-11-25T09:03:01Z"), None).unwrap();
        assert_eq!(meant(dir.path(), &names::list(dir.path()).unwrap(), &filter), 1..3);
        assert_eq!(shown(filtered(dir.path(), &mut filter)), ["21", "22", "30"]);
        let filter = Filter::new(Some("2026-11-25T09:02:01Z"), Some("2026-11-25T09:02:02Z"), None).unwrap();
        assert_eq!(meant(dir.path(), &names::list(dir.path()).unwrap(), &filter), 1..2);
        let filter = Filter::new(None, Some("2026-11-25T09:00:00Z"), None).unwrap();
        assert_eq!(meant(dir.path(), &names::list(dir.path()).unwrap(), &filter), 0..0);
        let mut filter = Filter::new(None, None, Some("[12]2$")).unwrap();
        assert_eq!(shown(filtered(dir.path(), &mut filter)), ["12", "22"]);
    }

    #[test]
    fn a_part_is_handed_over_at_a_time_and_a_plain_file_is_read_from_the_time_on() {
        let dir = tempfile::tempdir().unwrap();
        // One a second, from midnight to past six.
        let line = |n: u32| format!("2026-11-25T{:02}:{:02}:{:02}Z {n:078}\n", n / 3600, n / 60 % 60, n % 60);
        let text: String = (0..25_000).map(line).collect();
        std::fs::write(dir.path().join("log-00000001-20261125T094116Z"), text).unwrap();
        let read = |since: Option<&str>| {
            let filter = Filter::new(since, None, None).unwrap();
            let mut files = OldFiles::meant(dir.path(), newest(dir.path()).as_ref(), &filter);
            let mut parts = Vec::new();
            loop {
                let mut part = 0;
                if !files.read_on(&mut |line| part += line.len() + 1) {
                    return parts;
                }
                parts.push(part);
            }
        };
        let all = read(None);
        assert_eq!(all.iter().sum::<usize>(), 2_500_000);
        assert!(all.iter().all(|part| *part <= PART + 100), "{all:?}");
        // 3400 lines, and no more than two blocks of the search before them.
        let late: usize = read(Some("2026-11-25T06:00:00Z")).iter().sum();
        assert!((340_000..480_000).contains(&late), "{late}");
    }
}
