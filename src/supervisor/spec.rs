//! What makes a supervisor, and what may keep one from beginning.

use crate::conf::Config;
use crate::conf::source::ConfigSource;
use crate::machine::Leave;
use crate::service::Service;
use crate::status::StatusDir;
use crate::status::dir::MakeError;
use crate::status::log::Echo;
use crate::supervisor::host::Host;
use crate::supervisor::report::alarm::Alarms;
use crate::supervisor::runit::foreign::ForeignError;
use crate::sys::files::flock::LockError;
use crate::sys::{Pid, errno_text};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// All that makes a supervisor.
#[derive(Debug)]
pub struct Spec {
    /// The module's name.
    pub module: String,
    /// Its status directory.
    pub dir: StatusDir,
    /// What to run.
    pub service: Service,
    /// The settings of all modules.
    pub config: Arc<Config>,
    /// Where they are read again.
    pub source: ConfigSource,
    /// Who sends alarms.
    pub alarms: Arc<Alarms>,
    /// What is said on standard error, too.
    pub echo: Echo,
    /// What is wrong with the settings, for the module's log.
    pub complaints: Vec<String>,
    /// Why supervision is to end, if it is: kept here, so that a panic does not make it forgotten.
    pub leave: Option<Leave>,
    /// Which program this is part of, and what only that one has.
    pub host: Host,
}

impl Spec {
    /// The status root: above the status directory, whose name may have several parts.
    pub fn status_root(&self) -> PathBuf {
        let directory = std::path::absolute(self.dir.path()).unwrap_or_else(|_| self.dir.path().to_owned());
        let is_part = |part: &Component| matches!(part, Component::Normal(_) | Component::ParentDir);
        let parts = Path::new(&self.module).components().filter(is_part).count();
        directory.ancestors().nth(parts).map_or_else(PathBuf::new, Path::to_owned)
    }
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to: by `x`, or by the tree.
    Left(Leave),
    /// TERM or INT: the run process, if any, goes on alone.
    Abandoned,
    /// The limits were reached (`supervise` alone ends for that).
    GaveUp,
}

/// Why supervision could not begin.
#[derive(Debug)]
pub enum OpenError {
    /// The status directory cannot be made, or is somebody else's.
    Directory(MakeError),
    /// Somebody else supervises; the pid, where it can be told.
    Held(Option<Pid>),
    /// The lock cannot be taken.
    Lock(std::io::Error),
    /// A supervisor of another kind has the service directory: its `supervise`, and the pid, where it can be told.
    Foreign(PathBuf, Option<Pid>),
    /// Whether one has, cannot be told.
    ForeignLock(PathBuf, std::io::Error),
    /// Whether an earlier supervisor has left something running, cannot be told.
    Predecessor(std::io::Error),
}

impl From<ForeignError> for OpenError {
    fn from(error: ForeignError) -> OpenError {
        match error {
            ForeignError::Held(path, pid) => OpenError::Foreign(path, pid),
            ForeignError::Unknown(path, error) => OpenError::ForeignLock(path, error),
        }
    }
}

impl From<LockError> for OpenError {
    fn from(error: LockError) -> OpenError {
        match error {
            LockError::Held(pid) => OpenError::Held(pid),
            LockError::Io(error) => OpenError::Lock(error),
        }
    }
}

impl OpenError {
    /// A line for the user.
    pub fn describe(&self, dir: &StatusDir) -> String {
        match self {
            OpenError::Directory(error) => error.describe(dir.path()),
            OpenError::Held(Some(pid)) => format!("{}: already supervised by pid {pid}", dir.path().display()),
            OpenError::Held(None) => {
                format!("{}: already supervised by a process of another pid namespace", dir.path().display())
            }
            OpenError::Lock(error) => format!("cannot lock {}: {}", dir.lock_path().display(), errno_text(error)),
            OpenError::Foreign(path, Some(pid)) => {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                format!("{}: already supervised by {} (pid {pid})", path.display(), name.trim_end())
            }
            OpenError::Foreign(path, None) => {
                format!("{}: already supervised by a process of another pid namespace", path.display())
            }
            OpenError::Predecessor(error) => {
                format!("{}: cannot see what runs from earlier: {}", dir.path().display(), errno_text(error))
            }
            OpenError::ForeignLock(path, error) => format!("cannot lock {}: {}", path.display(), errno_text(error)),
        }
    }
}
