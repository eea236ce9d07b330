//! What a predecessor has left: its process, found by the record in the lock file, and what it wanted and counted, in
//! `state.json`.

use crate::status::StatusDir;
use crate::status::recorded;
use crate::status::state::StateFile;
use crate::supervisor::processes::process::Process;
use crate::sys::files::flock::Lock;
use crate::sys::process::record::ProcessRecord;
use std::fs::File;
use std::io;

/// What a predecessor has left, as it is found.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct LeftBehind {
    pub(in crate::supervisor) process: Option<(ProcessRecord, Process)>,
    /// Boxed, for it is large, and seldom there for long.
    pub(in crate::supervisor) state: Option<Box<StateFile>>,
}

impl LeftBehind {
    /// Looks for it, in a directory that `is_first` says was made just now.
    ///
    /// # Errors
    /// Out of descriptors or memory, so the answer is unknown. To begin then would be to start a second copy.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn look(lock: &Lock, dir: &StatusDir, is_first: bool) -> io::Result<LeftBehind> {
        if is_first {
            return Ok(LeftBehind::default());
        }
        let state = state(dir)?;
        let process = Process::adopt(recorded::read(dir, lock.file(), state.as_deref())?)?;
        Ok(LeftBehind { process, state })
    }

    /// Whether there is nothing of it.
    pub(in crate::supervisor) fn is_nothing(&self) -> bool {
        self.process.is_none() && self.state.is_none()
    }

    /// Looks into a lock file that was removed, too, if nothing was found.
    ///
    /// # Errors
    /// As [`LeftBehind::look`].
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn look_into(&mut self, removed: &File) -> io::Result<()> {
        if self.process.is_none() {
            self.process = Process::adopt(ProcessRecord::read(removed)?.into_iter().collect())?;
        }
        Ok(())
    }
}

// Own frame, for a state that is not boxed yet: see `sys::threads::thread`.
#[inline(never)]
fn state(dir: &StatusDir) -> io::Result<Option<Box<StateFile>>> {
    Ok(StateFile::read(&dir.state())?.map(Box::new))
}
