//! Whether somebody removes what nobody but its owner should: status directories, and what is in them.
//!
//! Only removals wake anybody. What the owner writes and renames there all the time does not.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use parking_lot::Mutex;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Watched directories. Any thread may add one.
#[derive(Debug)]
pub struct Removals {
    inotify: Inotify,
    /// Those in which every name counts.
    quiet: Mutex<Vec<WatchDescriptor>>,
}

impl Removals {
    /// None yet.
    ///
    /// # Errors
    /// `EMFILE` when this user has too many of them (`fs.inotify.max_user_instances`).
    pub fn new() -> Result<Removals, Errno> {
        Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
            .map(|inotify| Removals { inotify, quiet: Mutex::default() })
    }

    /// Watches the directory at `path`: itself, and files in it that are removed and whose names count.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, and `ENOSPC` when this user has too many watches (`fs.inotify.max_user_watches`).
    pub fn add(&self, path: &Path) -> Result<(), Errno> {
        self.watch(path, AddWatchFlags::empty()).map(drop)
    }

    /// The same for the one directory in which nothing is removed or renamed by its owner: each name counts, also one that is
    /// moved away.
    ///
    /// # Errors
    /// As [`Removals::add`].
    pub fn add_quiet(&self, path: &Path) -> Result<(), Errno> {
        let watch = self.watch(path, AddWatchFlags::IN_MOVED_FROM)?;
        // It takes the place of the one before, which is gone.
        *self.quiet.lock() = vec![watch];
        Ok(())
    }

    fn watch(&self, path: &Path, more: AddWatchFlags) -> Result<WatchDescriptor, Errno> {
        let flags = AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        self.inotify.add_watch(path, flags | more)
    }

    /// Takes what has happened; whether something was removed whose name `counts`, or a watched directory itself.
    pub fn take(&self, counts: impl Fn(&[u8]) -> bool) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let mut any = false;
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    any |= events.iter().any(|event| match &event.name {
                        Some(name) => self.quiet.lock().contains(&event.wd) || counts(name.as_bytes()),
                        None => !event.mask.contains(AddWatchFlags::IN_IGNORED),
                    });
                }
                Err(Errno::EINTR) => {}
                // EAGAIN: that was all.
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for Removals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_seen_and_writes_and_renames_are_not() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("web");
        std::fs::create_dir(&dir).unwrap();
        let removals = Removals::new().unwrap();
        removals.add_quiet(root.path()).unwrap();
        removals.add(&dir).unwrap();
        std::fs::write(dir.join("lock"), "").unwrap();
        std::fs::write(dir.join("new"), "").unwrap();
        std::fs::rename(dir.join("new"), dir.join("status")).unwrap();
        assert!(!removals.take(|_| true));
        std::fs::remove_file(dir.join("status")).unwrap();
        assert!(!removals.take(|name| name == b"lock"));
        std::fs::remove_file(dir.join("lock")).unwrap();
        assert!(removals.take(|name| name == b"lock"));
        std::fs::rename(&dir, root.path().join("away")).unwrap();
        assert!(removals.take(|_| false));
    }
}
