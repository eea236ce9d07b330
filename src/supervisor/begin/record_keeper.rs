//! What has to be in the status directory, or another supervisor could begin beside us, or not find what we have started:
//! the lock, and in it the record of each process.

use crate::status::StatusDir;
use crate::status::dir::MakeError;
use crate::supervisor::report::lines::Lines;
use crate::supervisor::spec::OpenError;
use crate::sys::files::flock::Lock;
use crate::sys::process::record::ProcessRecord;
use crate::sys::{Errno, Pid, describe};
use log::Level;

/// The lock, and the record that is to be in it.
#[derive(Debug)]
pub(in crate::supervisor) struct RecordKeeper {
    lock: Lock,
    /// That the lock file is gone and cannot be made anew has been said.
    failure_logged: bool,
    /// A process that runs and is not in the lock file yet, for want of room on the disk.
    unwritten: Option<ProcessRecord>,
}

/// Whose the status directory is, after a look at the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Ownership {
    /// Ours, as before, or as far as can be told while the lock cannot be made anew.
    Ours,
    /// Ours: somebody had removed the lock file, and it was made anew.
    MadeAnew,
    /// Somebody else's.
    Theirs,
}

impl RecordKeeper {
    pub(in crate::supervisor) fn new(lock: Lock) -> RecordKeeper {
        RecordKeeper { lock, failure_logged: false, unwritten: None }
    }

    /// The lock, for a child that writes its own record into the file.
    pub(in crate::supervisor) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Whether the lock file is there and has everything in it: the next supervisor knows only what it finds there.
    pub(in crate::supervisor) fn is_in_order(&self) -> bool {
        self.unwritten.is_none() && !self.failure_logged
    }

    /// Notes that a process was started; `why` it could not write its record into the lock file, if it could not.
    pub(in crate::supervisor) fn note_started(
        &mut self,
        (record, pid): (impl FnOnce() -> Option<ProcessRecord>, Pid),
        why: Option<Errno>,
        dir: &StatusDir,
        lines: &mut Lines,
    ) {
        self.unwritten = why.and_then(|_| record());
        if let Some(errno) = why {
            let (lock, why) = (dir.lock_path(), describe(errno));
            let text =
                format!("{}: {why}; until that is mended, a later supervisor would not find pid {pid}", lock.display());
            lines.say(Level::Warn, text);
        }
    }

    /// Writes into the lock file what is not in it yet, if its process still `runs`.
    pub(in crate::supervisor) fn write_record(&mut self, runs: impl FnOnce(Pid) -> bool) {
        let Some(record) = self.unwritten else { return };
        // It has ended and was reaped: its number may be another's by now.
        if !runs(record.pid) || record.write(self.lock.file()).is_ok() {
            self.unwritten = None;
        }
    }

    /// Makes the status directory and the lock anew if somebody has removed them: a lock file that is not there keeps
    /// nobody out.
    pub(in crate::supervisor) fn keep_lock(&mut self, dir: &StatusDir, lines: &mut Lines) -> Ownership {
        if self.lock.is_at(&dir.lock_path()) {
            self.failure_logged = false;
            return Ownership::Ours;
        }
        let fresh = dir.make().map_err(OpenError::Directory).and_then(|_| Ok(dir.lock()?));
        match fresh {
            Ok(fresh) => {
                self.failure_logged = false;
                // It is written into the new file with the next look.
                self.unwritten = self.unwritten.or(ProcessRecord::read(self.lock.file()).ok().flatten());
                self.lock = fresh;
                Ownership::MadeAnew
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failure_logged, true) {
                    lines.say(Level::Error, format!("{}; tried again within 5 s", error.describe(dir)));
                }
                let is_theirs = matches!(error, OpenError::Directory(MakeError::Foreign { .. }) | OpenError::Held(_));
                if is_theirs { Ownership::Theirs } else { Ownership::Ours }
            }
        }
    }
}
