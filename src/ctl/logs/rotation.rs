//! Where a reader stands among the files that a logger makes of `current`.
//!
//! A logger may rotate more than once between two looks at `current`. So what has come since is found by the names of the old
//! files, which sort by age. They also tell which files are older than the `current` that is open: those are read for
//! what was written before, and no line is shown twice.

use crate::logger::archive::names::{self, Name};
use crate::sys::files::file_id::FileInstance;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// How far a reader has come.
#[derive(Debug)]
pub struct Rotation {
    dir: PathBuf,
    /// The newest of the old files that is done with, or was there before.
    last: Option<Name>,
    /// The file that is open was `current` when it was opened.
    is_current: bool,
    /// Files that were `current` and are done with, and whose names as old files have not been seen: multilog and s6-log begin a
    /// new `current` before the old one has its name.
    unnamed: VecDeque<FileInstance>,
}

/// So many files are looked out for: somebody may have moved them elsewhere, and they get no names.
const UNNAMED_MAX: usize = 8;

impl Rotation {
    /// For the files in `dir`: those that are there now are older than the `current` that is opened next, as long as
    /// [`Rotation::is_behind`] does not say otherwise.
    pub fn begin(dir: &Path) -> Rotation {
        let last = names::list(dir).unwrap_or_default().pop();
        Rotation { dir: dir.to_owned(), last, is_current: true, unnamed: VecDeque::new() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The newest of the old files that is done with.
    pub fn last(&self) -> Option<&Name> {
        self.last.as_ref()
    }

    /// Whether there are old files that have not been read.
    pub fn is_behind(&self) -> bool {
        !self.newer().is_empty()
    }

    /// `current` is open, and all old files are older.
    pub fn note_current(&mut self) {
        self.is_current = true;
    }

    /// The old file that is read after the one that was open, if it is not the turn of `current`.
    pub fn next(&mut self, open: Option<FileInstance>) -> Option<Name> {
        if std::mem::take(&mut self.is_current)
            && let Some(open) = open
        {
            if self.unnamed.len() == UNNAMED_MAX {
                self.unnamed.pop_front();
            }
            self.unnamed.push_back(open);
        }
        let mut newer = VecDeque::from(self.newer());
        while let Some(first) = newer.front()
            && self.is_done(first, &newer)
        {
            self.last = newer.pop_front();
        }
        let next = newer.pop_front();
        if next.is_some() {
            // They are older, and would have their names by now.
            self.unnamed.clear();
        }
        self.last = next.clone().or(self.last.take());
        next
    }

    /// Whether the oldest of the `newer` files, called `name`, was read under its name `current`.
    fn is_done(&mut self, name: &Name, newer: &VecDeque<Name>) -> bool {
        let at = |name: &Name| FileInstance::at(&self.dir.join(name.text())).ok();
        let Some(oldest) = self.unnamed.front() else { return false };
        let there = at(name);
        if let Some(place) = self.unnamed.iter().position(|file| there == Some(*file)) {
            self.unnamed.drain(..=place);
            return true;
        }
        // svlogd and its like may have had a program make another file of it, by the same name: then the one that was read is gone.
        let is_made_of_it = name.is_compressed()
            || there.is_none()
            || (matches!(name, Name::Tai(_)) && newer.iter().all(|name| at(name) != Some(*oldest)));
        if is_made_of_it {
            self.unnamed.pop_front();
        }
        is_made_of_it
    }

    fn newer(&self) -> Vec<Name> {
        let mut names = names::list(&self.dir).unwrap_or_default();
        names.retain(|name| self.last.as_ref().is_none_or(|last| name.is_newer_than(last)));
        // A file and its compressed copy are there together for a moment.
        names.dedup_by(|later, earlier| !later.is_newer_than(earlier));
        names
    }
}
