//! The lines of one file, and of a logger's old files before it: the last ones, or all that a filter takes, a part at a time.

use crate::ctl::access;
use crate::ctl::logs::archive::{self, OldFiles};
use crate::ctl::logs::filter::Filter;
use crate::ctl::logs::tail::Tail;
use crate::ctl::report::Out;
use std::collections::VecDeque;
use std::path::Path;

/// One file, and which of its lines are meant.
#[derive(Debug)]
pub struct Source {
    /// The file.
    pub tail: Tail,
    filter: Filter,
    /// A logger's file, with old ones beside it.
    is_logged: bool,
    /// It could not be read, and that was said.
    failed: bool,
}

/// How far the lines have been handed over that were there at the beginning.
#[derive(Debug)]
pub struct Reading {
    old: OldFiles,
    /// The last lines, where so many were asked for that are all in hand.
    last: Option<VecDeque<Vec<u8>>>,
    /// The line without an end is handed over, too.
    to_the_end: bool,
}

impl Source {
    /// The lines of `tail` that `filter` takes.
    pub fn new(mut tail: Tail, filter: Filter, is_logged: bool) -> Source {
        filter.since.iter().for_each(|since| tail.skip_before(*since));
        Source { tail, filter, is_logged, failed: false }
    }

    /// A logger's file, with old ones beside it.
    pub fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// Begins with the last `count` lines, those of old files included; [`usize::MAX`]: with all, of which only a part is
    /// in memory at a time.
    pub fn begin(&mut self, count: usize, follows: bool, out: &Out) -> Reading {
        let dir = self.tail.path().parent().filter(|_| self.is_logged).map(Path::to_owned);
        // Those that come while it is read are the tail's.
        let newest = self.tail.newest_before();
        let reads_all = count == usize::MAX || !self.filter.is_empty();
        let old = dir.as_deref().filter(|_| reads_all);
        let old = old.map(|dir| OldFiles::meant(dir, newest.as_ref(), &self.filter)).unwrap_or_default();
        // Without -f nobody will see its end.
        let mut reading = Reading { old, last: None, to_the_end: !follows };
        if count == usize::MAX {
            return reading;
        }
        let mut lines = VecDeque::new();
        let mut keep = |line: &[u8]| {
            lines.push_back(line.to_vec());
            lines.drain(..lines.len().saturating_sub(count));
        };
        while self.read_on(&mut reading, out, &mut keep) {}
        let missing = count - lines.len();
        if let Some(dir) = dir.filter(|_| !reads_all && missing > 0) {
            let mut older = archive::last(&dir, newest.as_ref(), missing);
            older.append(&mut lines);
            lines = older;
        }
        Reading { last: Some(lines), ..reading }
    }

    /// Hands over the next part of the first lines; false when there was none.
    pub fn read_on(&mut self, reading: &mut Reading, out: &Out, each: &mut dyn FnMut(&[u8])) -> bool {
        if let Some(lines) = &mut reading.last {
            let is_over = lines.is_empty();
            lines.drain(..).for_each(|line| each(&line));
            return !is_over;
        }
        let filter = &mut self.filter;
        let mut taken = |line: &[u8]| {
            if filter.takes(line) {
                each(line);
            }
        };
        if reading.old.read_on(&mut taken) {
            return true;
        }
        if self.take(out, each) {
            return true;
        }
        if std::mem::take(&mut reading.to_the_end) {
            let filter = &mut self.filter;
            self.tail.flush(&mut |line: &[u8]| {
                if filter.takes(line) {
                    each(line);
                }
            });
        }
        false
    }

    /// Hands over what was written since the last time, or a part of it; true if there is more at once.
    pub fn take(&mut self, out: &Out, each: &mut dyn FnMut(&[u8])) -> bool {
        let filter = &mut self.filter;
        let taken = self.tail.take(|line: &[u8]| {
            if filter.takes(line) {
                each(line);
            }
        });
        match taken {
            Ok(more) => {
                self.failed = false;
                more
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    out.note(&access::explain(self.tail.path(), &error));
                }
                false
            }
        }
    }
}
