//! Where a reader stands among the files that a logger makes of `current`.
//!
//! A logger may rotate more than once between two looks at `current`. So what has come since is found by the names of the old
//! files, which sort by age. They also tell which files are older than the `current` that is open: those are read for
//! what was written before, and no line is shown twice.

use crate::logger::archive::names::{self, Name};
use crate::sys::files::file_id::FileInstance;
use std::path::{Path, PathBuf};

/// How far a reader has come.
#[derive(Debug)]
pub struct Rotation {
    dir: PathBuf,
    /// The newest of the old files that is done with, or was there before.
    last: Option<Name>,
    /// The file that is open was `current` when it was opened.
    is_current: bool,
}

impl Rotation {
    /// For the files in `dir`: those that are there now are older than the `current` that is opened next, as long as
    /// [`Rotation::is_behind`] does not say otherwise.
    pub fn begin(dir: &Path) -> Rotation {
        let last = names::list(dir).unwrap_or_default().pop();
        Rotation { dir: dir.to_owned(), last, is_current: true }
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
        let mut newer = self.newer().into_iter().peekable();
        if std::mem::take(&mut self.is_current) && open.is_some() {
            // It has become the first of these, unless somebody has moved it elsewhere. svlogd and its like may have had a program
            // make another file of it, by the same name.
            let is_ours = |name: &Name| {
                let there = FileInstance::at(&self.dir.join(name.text()));
                name.is_compressed() || matches!(name, Name::Tai(_)) || there.is_err() || there.ok() == open
            };
            if let Some(ours) = newer.next_if(is_ours) {
                self.last = Some(ours);
            }
        }
        let next = newer.next();
        self.last = next.clone().or(self.last.take());
        next
    }

    fn newer(&self) -> Vec<Name> {
        let mut names = names::list(&self.dir).unwrap_or_default();
        names.retain(|name| self.last.as_ref().is_none_or(|last| name.is_newer_than(last)));
        // A file and its compressed copy are there together for a moment.
        names.dedup_by(|later, earlier| !later.is_newer_than(earlier));
        names
    }
}
