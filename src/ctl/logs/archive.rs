//! What a logger has written: `current` and the old files beside it, compressed or not.

use crate::ctl::logs::filter::Filter;
use crate::ctl::logs::last_words::last_lines;
use crate::ctl::logs::old_file::{each_line, read};
use crate::ctl::logs::time;
use crate::logger::archive::names::{self, Name};
use std::collections::VecDeque;
use std::io::BufRead;
use std::ops::Range;
use std::path::Path;

/// The lines of a file whose time is looked for.
const HEAD_LINES: usize = 20;

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
    if !name.is_compressed() {
        let path = dir.join(name.text());
        let lines = last_lines(&path, count);
        // One that is gone may have been compressed since it was listed.
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

/// The lines of the old files in `dir` up to `newest` that `filter` takes; of them the last `count`.
pub fn filtered(dir: &Path, newest: Option<&Name>, filter: &mut Filter, count: usize) -> VecDeque<Vec<u8>> {
    let names = list(dir, newest);
    let mut lines = VecDeque::new();
    for name in names.get(meant(dir, &names, filter)).unwrap_or_default() {
        let _ = read(dir, name).and_then(|reader| {
            each_line(reader, |line| {
                if filter.takes(line) {
                    if lines.len() == count {
                        lines.pop_front();
                    }
                    lines.push_back(line.to_vec());
                }
            })
        });
    }
    lines
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
    let reader = read(dir, name).ok()?;
    reader.split(b'\n').take(HEAD_LINES).map_while(Result::ok).find_map(|line| time::of_line(&line))
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
        assert_eq!(
            shown(filtered(dir.path(), newest(dir.path()).as_ref(), &mut filter, usize::MAX)),
            ["21", "22", "30"]
        );
        let filter = Filter::new(Some("2026-11-25T09:02:01Z"), Some("2026-11-25T09:02:02Z"), None).unwrap();
        assert_eq!(meant(dir.path(), &names::list(dir.path()).unwrap(), &filter), 1..2);
        let filter = Filter::new(None, Some("2026-11-25T09:00:00Z"), None).unwrap();
        assert_eq!(meant(dir.path(), &names::list(dir.path()).unwrap(), &filter), 0..0);
        let mut filter = Filter::new(None, None, Some("[12]2$")).unwrap();
        assert_eq!(shown(filtered(dir.path(), newest(dir.path()).as_ref(), &mut filter, usize::MAX)), ["12", "22"]);
        assert_eq!(shown(filtered(dir.path(), newest(dir.path()).as_ref(), &mut filter, 1)), ["22"]);
    }
}
