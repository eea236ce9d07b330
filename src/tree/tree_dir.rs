//! The tree's own status directory, whose lock keeps a second tree out.

use crate::status::StatusDir;
use crate::status::dir::TREE_DIR;
use crate::status::log::Log;
use crate::sys::errno_text;
use crate::sys::files::flock::{Lock, LockError};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The directory, locked.
#[derive(Debug)]
pub struct TreeDir {
    dir: StatusDir,
    lock: Lock,
    /// That it cannot be made anew has been said.
    told: bool,
}

impl TreeDir {
    /// Makes the directory, and takes its lock, which the program before us may have held.
    ///
    /// # Errors
    /// A line for the user: it cannot be made, or another tree has it.
    pub fn take(status_root: &Path, inherited: Option<OwnedFd>) -> Result<TreeDir, String> {
        let dir = StatusDir::of(status_root, TREE_DIR);
        dir.make().map_err(|error| error.describe(dir.path()))?;
        let inherited = inherited.and_then(|lock| Lock::inherit(lock, &dir.lock_path()).ok());
        let lock = inherited.map_or_else(|| dir.lock(), Ok);
        let lock = lock.map_err(|error| describe(&dir, status_root, &error))?;
        Ok(TreeDir { dir, lock, told: false })
    }

    /// Where it is.
    pub fn dir(&self) -> &StatusDir {
        &self.dir
    }

    /// Its lock.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Whether the next program would find it as it is.
    pub fn is_in_place(&self) -> bool {
        self.lock.is_at(&self.dir.lock_path())
    }

    /// Makes it anew if somebody has removed it: a lock file that is not there keeps nobody out. Whether that was
    /// done; a failure is logged once for as long as it lasts.
    pub fn keep(&mut self, log: &Log) -> bool {
        if self.is_in_place() {
            return false;
        }
        let made = self.dir.make().map_err(|error| error.describe(self.dir.path()));
        let root = self.dir.path().parent().unwrap_or(Path::new("/"));
        match made.and_then(|_| self.dir.lock().map_err(|error| describe(&self.dir, root, &error))) {
            Ok(lock) => {
                self.lock = lock;
                self.told = false;
                log::warn!(logger: log, "{} was removed: made anew", self.dir.lock_path().display());
                true
            }
            Err(text) => {
                if !std::mem::replace(&mut self.told, true) {
                    log::error!(logger: log, "{text}; tried again at the next event");
                }
                false
            }
        }
    }
}

fn describe(dir: &StatusDir, status_root: &Path, error: &LockError) -> String {
    let root = status_root.display();
    match error {
        LockError::Held(Some(pid)) => format!("{root}: already in use by supervise-tree, pid {pid}"),
        LockError::Held(None) => format!("{root}: already in use by a supervise-tree"),
        LockError::Io(error) => format!("cannot lock {}: {}", dir.lock_path().display(), errno_text(error)),
    }
}
