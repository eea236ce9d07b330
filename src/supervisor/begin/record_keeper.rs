//! What has to be in the status directory, or another supervisor could begin beside us, or not find what we have started:
//! the lock, and in it the record of each process.

use crate::status::StatusDir;
use crate::status::dir::MakeError;
use crate::status::recorded;
use crate::supervisor::processes::process::Process;
use crate::supervisor::report::lines::Lines;
use crate::supervisor::spec::OpenError;
use crate::sys::files::file_id::FileId;
use crate::sys::files::flock::Lock;
use crate::sys::process::record::{ProcessRecord, Role};
use crate::sys::{Errno, Pid, describe};
use log::Level;

/// The lock, and the record that belongs in it.
#[derive(Debug)]
pub(in crate::supervisor) struct RecordKeeper {
    lock: Lock,
    /// The log says already that the lock file is gone and cannot be made anew.
    failure_logged: bool,
    /// A process that runs and is not in the lock file yet, for want of room on the disk.
    unwritten: Option<ProcessRecord>,
    /// There may be a link with the record of such a process.
    has_link: bool,
    /// Why not even that could be made.
    unrecorded: Option<Errno>,
    /// The record of the run process as text, by its pid.
    run: Option<(Pid, String)>,
}

/// Whose the status directory is, after a look at the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Ownership {
    /// Ours, as before, or as far as can be told while the lock cannot be made anew.
    Ours,
    /// Ours: somebody had removed the lock file, and it was made anew.
    MadeAnew,
    /// Somebody else's directory.
    Theirs,
    /// Another supervisor's: it has locked the file that was made anew.
    Lost(Option<Pid>),
}

impl RecordKeeper {
    /// `found` is the record of a process that lives; it may stand elsewhere than in the lock file.
    pub(in crate::supervisor) fn new(lock: Lock, found: Option<ProcessRecord>) -> RecordKeeper {
        let is_in_lock = || ProcessRecord::read(lock.file()).ok().flatten() == found;
        let unwritten = found.filter(|_| !is_in_lock());
        let has_link = unwritten.is_some();
        RecordKeeper { lock, failure_logged: false, unwritten, has_link, unrecorded: None, run: None }
    }

    /// The record of the run process as text.
    pub(in crate::supervisor) fn run_record(&mut self, run: &Process, directory: Option<FileId>) -> Option<&str> {
        if self.run.as_ref().is_none_or(|(pid, _)| *pid != run.pid) {
            let record = ProcessRecord::of(Role::Run, run.pid, directory, &run.pidfd)?;
            self.run = Some((run.pid, record.text(self.lock.inode())));
        }
        self.run.as_ref().map(|(_, text)| text.as_str())
    }

    /// Why a later supervisor would not find what runs, if so.
    pub(in crate::supervisor) fn unrecorded(&self) -> Option<Errno> {
        self.unrecorded
    }

    /// The lock, for a child that writes its own record into the file.
    pub(in crate::supervisor) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Whether the lock file is there and has everything in it: the next supervisor knows only what it finds there.
    pub(in crate::supervisor) fn is_in_order(&self) -> bool {
        self.unwritten.is_none() && !self.failure_logged
    }

    /// Whether the next supervisor would find what runs, be it in another place than the lock file.
    pub(in crate::supervisor) fn is_recorded(&self) -> bool {
        self.unrecorded.is_none() && !self.failure_logged
    }

    /// Notes that a process was started; `why` it could not write its record into the lock file, if it could not.
    pub(in crate::supervisor) fn note_started(
        &mut self,
        (record, pid): (impl FnOnce() -> Option<ProcessRecord>, Pid),
        why: Option<Errno>,
        dir: &StatusDir,
        lines: &mut Lines,
    ) {
        // A number may be given out again.
        self.run = None;
        self.unwritten = why.and_then(|_| record());
        self.unrecorded = None;
        if let Some(errno) = why {
            self.write_link(dir, errno);
        } else {
            self.remove_link(dir);
        }
        if let Some(errno) = self.unrecorded {
            let (lock, why) = (dir.lock_path(), describe(errno));
            let text =
                format!("{}: {why}; until that is mended, a later supervisor would not find pid {pid}", lock.display());
            lines.say(Level::Warn, text);
        }
    }

    /// Writes into the lock file what is not in it yet, if its process still `runs`.
    pub(in crate::supervisor) fn write_record(&mut self, runs: impl FnOnce(Pid) -> bool, dir: &StatusDir) {
        let Some(record) = self.unwritten else { return };
        // It may have ended and been reaped: its number may be another's by now.
        let written = if runs(record.pid) { record.write(self.lock.file()) } else { Ok(()) };
        match written {
            Ok(()) => {
                (self.unwritten, self.unrecorded) = (None, None);
                self.remove_link(dir);
            }
            Err(error) => self.write_link(dir, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
        }
    }

    /// Writes the record where it takes no room; `why` it is not in the lock file.
    fn write_link(&mut self, dir: &StatusDir, why: Errno) {
        let text = self.unwritten.map(|record| record.text(self.lock.inode()));
        let written = text.is_some_and(|text| recorded::write_link(dir, &text).is_ok());
        self.has_link |= written;
        self.unrecorded = if written { None } else { Some(why) };
    }

    fn remove_link(&mut self, dir: &StatusDir) {
        if self.has_link && recorded::remove_link(dir).is_ok() {
            self.has_link = false;
        }
    }

    /// Makes the status directory and the lock anew if somebody has removed them: a lock file that is not there keeps
    /// nobody out.
    pub(in crate::supervisor) fn keep_lock(&mut self, dir: &StatusDir, lines: &mut Lines) -> Ownership {
        if self.lock.is_at(&dir.lock_path()) && !dir.is_displaced() {
            self.failure_logged = false;
            return Ownership::Ours;
        }
        self.make_lock_anew(dir, lines)
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn make_lock_anew(&mut self, dir: &StatusDir, lines: &mut Lines) -> Ownership {
        let fresh = dir.make().map_err(OpenError::Directory).and_then(|_| Ok(dir.lock()?));
        match fresh {
            Ok(fresh) => {
                self.failure_logged = false;
                // It is written into the new file with the next look.
                self.unwritten = self.unwritten.or(ProcessRecord::read(self.lock.file()).ok().flatten());
                self.lock = fresh;
                self.run = None;
                Ownership::MadeAnew
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failure_logged, true) {
                    lines.say(Level::Error, format!("{}; tried again within 5 s", error.describe(dir)));
                }
                match error {
                    // One that is held open is ours, wherever it has been moved to.
                    OpenError::Directory(MakeError::Foreign { .. }) if !dir.is_held() => Ownership::Theirs,
                    OpenError::Held(holder) => Ownership::Lost(holder),
                    _ => Ownership::Ours,
                }
            }
        }
    }
}
