//! Who else supervises a service directory.

use crate::status::StatusDir;
use crate::status::runit_files::NAME;
use crate::sys::Pid;
use crate::sys::files::file_id::FileInstance;
use crate::sys::files::flock::{Lock, LockError};
use std::io;
use std::path::{Path, PathBuf};

/// Why a service directory is left alone.
#[derive(Debug)]
pub enum ForeignError {
    /// The process with this pid holds the lock in this directory; without a pid, one of another pid namespace.
    Held(PathBuf, Option<Pid>),
    /// Whether anybody holds this lock cannot be told.
    Unknown(PathBuf, io::Error),
}

/// Makes sure that nobody else supervises `service_dir`, whose status directory is `dir`; the lock of whoever did, where
/// it is still there. Hold it until our own files are in the place of theirs.
///
/// # Errors
/// Who does.
pub fn claim(service_dir: &Path, dir: &StatusDir) -> Result<Option<Lock>, ForeignError> {
    let theirs = service_dir.join(NAME);
    let lock = theirs.join("lock");
    let file = |path: &Path| std::fs::metadata(path).ok().map(|metadata| FileInstance::of(&metadata));
    let there = file(&lock);
    if there.is_none() || there == file(&dir.lock_path()) {
        return Ok(None);
    }
    match Lock::take_foreign(&lock) {
        Ok(lock) => Ok(Some(lock)),
        // A link that was copied together with the directory of another module.
        Err(LockError::Held(Some(pid))) if pid == nix::unistd::getpid() => Ok(None),
        Err(LockError::Held(pid)) => Err(ForeignError::Held(theirs, pid)),
        Err(LockError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(LockError::Io(error)) => Err(ForeignError::Unknown(lock, error)),
    }
}
