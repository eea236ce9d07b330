//! What has to be in the status directory, or another supervisor could begin beside us, or not find what we have started:
//! the lock, and in it the record of each process.

use super::process::Process;
use super::spec::OpenError;
use super::thread::Supervisor;
use crate::status::dir::MakeError;
use crate::sys::process::record::{ProcessRecord, Role};
use crate::sys::{Errno, Pid, describe};
use log::Level;

impl Supervisor {
    /// Notes that a process was started and could not write itself into the lock file.
    pub(super) fn note_unrecorded(&mut self, role: Role, pid: Pid, why: Option<Errno>) {
        self.unwritten_record = why.and_then(|_| ProcessRecord::of(role, pid, self.spec.service.directory()));
        if let Some(errno) = why {
            let lock = self.spec.dir.lock_path();
            let text = format!(
                "{}: {}; until that is mended, a later supervisor would not find pid {pid}",
                lock.display(),
                describe(errno)
            );
            self.say(Level::Warn, text);
        }
    }

    /// Writes into the lock file what is not in it yet.
    pub(super) fn keep_record(&mut self) {
        let Some(recorded) = self.unwritten_record else { return };
        let runs = |process: &Option<Process>| process.as_ref().is_some_and(|process| process.pid == recorded.pid);
        // It has ended and was reaped: its number may be another's by now.
        if !(runs(&self.run) || runs(&self.helper)) || recorded.write(self.lock.file()).is_ok() {
            self.unwritten_record = None;
        }
    }

    /// Makes the status directory and the lock anew if somebody has removed them: a lock file that is not there keeps
    /// nobody out. Whether the directory is ours to write into.
    pub(super) fn keep_lock(&mut self) -> bool {
        if self.lock.is_at(&self.spec.dir.lock_path()) {
            self.lock_failure_logged = false;
            return true;
        }
        let fresh = self.spec.dir.make().map_err(OpenError::Directory).and_then(|_| Ok(self.spec.dir.lock()?));
        match fresh {
            Ok(fresh) => {
                self.lock_failure_logged = false;
                // It is written into the new file with the next look.
                self.unwritten_record = self.unwritten_record.or(ProcessRecord::read(self.lock.file()).ok().flatten());
                self.lock = fresh;
                self.publisher.forget();
                self.relink_runit();
                let _ = self.spec.dir.link_svcontrol();
                self.say(Level::Warn, format!("{} was removed: made anew", self.spec.dir.lock_path().display()));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.lock_failure_logged, true) {
                    let text = error.describe(&self.spec.dir);
                    self.say(Level::Error, format!("{text}; tried again within 5 s"));
                }
                return !matches!(error, OpenError::Directory(MakeError::Foreign { .. }) | OpenError::Held(_));
            }
        }
        true
    }
}
