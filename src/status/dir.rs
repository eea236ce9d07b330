//! The directory, what its entries are called, and its lock.

use crate::sys::flock::{Lock, LockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// A module's status directory; it need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusDir(PathBuf);

impl StatusDir {
    /// The status directory at `path`.
    pub fn new(path: impl Into<PathBuf>) -> StatusDir {
        StatusDir(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it with mode 0700, and its parents with 0755, where they are missing.
    ///
    /// # Errors
    /// What `mkdir` gives; `NotADirectory` when something else has its name.
    pub fn make(&self) -> io::Result<()> {
        if self.0.is_dir() {
            return Ok(());
        }
        if let Some(parent) = self.0.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.0.is_dir() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(io::ErrorKind::NotADirectory.into()),
            other => other,
        }
    }

    /// Takes the lock that says who supervises.
    ///
    /// # Errors
    /// [`LockError::Held`] naming the holder, or what `open` gives.
    pub fn lock(&self) -> Result<Lock, LockError> {
        Lock::take(&self.lock_path())
    }

    /// Makes `svcontrol`, the seed's name for `control`, unless something of that name is there.
    ///
    /// # Errors
    /// What `symlink` gives.
    pub fn link_svcontrol(&self) -> io::Result<()> {
        match symlink("control", self.0.join("svcontrol")) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// The lock file.
    pub fn lock_path(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The FIFO that takes commands.
    pub fn control(&self) -> PathBuf {
        self.0.join("control")
    }

    /// The FIFO that can be opened for writing only while somebody supervises.
    pub fn ok(&self) -> PathBuf {
        self.0.join("ok")
    }

    /// The 20 bytes.
    pub fn status(&self) -> PathBuf {
        self.0.join("status")
    }

    /// What 20 bytes cannot hold.
    pub fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// The run process's standard output.
    pub fn stdout(&self) -> PathBuf {
        self.0.join("__stdout")
    }

    /// The run process's standard error.
    pub fn stderr(&self) -> PathBuf {
        self.0.join("__stderr")
    }

    /// The FIFO from a service to this module, its logger.
    pub fn log_pipe(&self) -> PathBuf {
        self.0.join("stdin")
    }

    /// NOTICE lines.
    pub fn log(&self) -> PathBuf {
        self.0.join("supervise.log")
    }

    /// WARNING and FATAL lines.
    pub fn log_wf(&self) -> PathBuf {
        self.0.join("supervise.log.wf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_private_and_its_parents_are_not() {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::new(root.path().join("status/web"));
        dir.make().unwrap();
        dir.make().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(mode(&root.path().join("status")) & 0o700, 0o700);
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("web"), "").unwrap();
        let error = StatusDir::new(root.path().join("web")).make().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
