//! What could not be watched. All of it passes by itself or does no harm: the root is looked at every few seconds instead.

use crate::sys::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A path that is not watched.
#[derive(Debug)]
pub struct WatchError {
    path: PathBuf,
    cause: WatchFailure,
}

/// Why it is not.
#[derive(Debug)]
pub enum WatchFailure {
    /// The user has as many watches as the kernel allows.
    NoWatches,
    /// The user has as many inotify instances as the kernel allows, or this process as many descriptors.
    NoInstances,
    /// There was no thread to wait for the events.
    NoThread(io::Error),
    /// What inotify has answered.
    Io(io::Error),
    /// What the watcher says of itself.
    Other(String),
}

impl WatchError {
    /// `path` is not watched.
    pub fn new(path: &Path, cause: WatchFailure) -> WatchError {
        WatchError { path: path.to_owned(), cause }
    }
}

impl From<Errno> for WatchFailure {
    fn from(errno: Errno) -> WatchFailure {
        match errno {
            Errno::EMFILE => WatchFailure::NoInstances,
            Errno::ENOSPC => WatchFailure::NoWatches,
            errno => WatchFailure::Io(errno.into()),
        }
    }
}

impl From<notify::Error> for WatchFailure {
    fn from(error: notify::Error) -> WatchFailure {
        match error.kind {
            notify::ErrorKind::MaxFilesWatch => WatchFailure::NoWatches,
            notify::ErrorKind::Io(error) => match error.raw_os_error() {
                Some(libc::EMFILE) => WatchFailure::NoInstances,
                Some(_) | None => WatchFailure::Io(error),
            },
            notify::ErrorKind::PathNotFound => WatchFailure::Io(Errno::ENOENT.into()),
            other => WatchFailure::Other(format!("{other:?}")),
        }
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot watch {}: ", self.path.display())?;
        match &self.cause {
            WatchFailure::NoWatches => f.write_str("no more watches (fs.inotify.max_user_watches)"),
            WatchFailure::NoInstances => {
                f.write_str("no more inotify instances (fs.inotify.max_user_instances) or descriptors")
            }
            WatchFailure::NoThread(error) => write!(f, "{error}"),
            WatchFailure::Io(error) => f.write_str(&crate::sys::errno_text(error)),
            WatchFailure::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for WatchError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_was_met_is_named() {
        let text = |cause| WatchError::new(Path::new("/sv"), cause).to_string();
        assert_eq!(text(Errno::ENOSPC.into()), "cannot watch /sv: no more watches (fs.inotify.max_user_watches)");
        assert_eq!(
            text(notify::Error::io(Errno::EMFILE.into()).into()),
            "cannot watch /sv: no more inotify instances (fs.inotify.max_user_instances) or descriptors"
        );
        assert_eq!(text(Errno::EACCES.into()), "cannot watch /sv: Permission denied");
    }
}
