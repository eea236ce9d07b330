//! Directories that are watched for the moment in which something in them changes.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// What is worth waking up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Entries that come, go, or are replaced.
    Names,
    /// The same, and those that are closed by somebody who could write them.
    Entries,
    /// The same, and every write to a file of the directory.
    Writes,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K> {
    /// The entry of this name came, went, was replaced or was written, in the directory with this key.
    Entry(K, OsString),
    /// The entry of this name was closed by somebody who could write it. The event comes a moment before the
    /// kernel lets go of the file: what depends on that has to be looked at a little later.
    Closed(K, OsString),
    /// The directory itself went away or was moved; it is no longer watched.
    Gone(K),
    /// So much happened that the kernel dropped events: everything has to be looked at.
    All,
}

/// Watched directories, each under a key of the caller's.
#[derive(Debug)]
pub struct Watches<K> {
    inotify: Inotify,
    keys: HashMap<WatchDescriptor, K>,
}

impl<K: Clone> Watches<K> {
    /// None yet.
    ///
    /// # Errors
    /// `EMFILE` when this user has too many of them (`fs.inotify.max_user_instances`).
    pub fn new() -> Result<Watches<K>, Errno> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Watches { inotify, keys: HashMap::new() })
    }

    /// Watches the directory at `path`. Watching it again under the same or another key is harmless; the last key
    /// counts.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES` (it must be readable), and `ENOSPC` when this user has too many
    /// (`fs.inotify.max_user_watches`).
    pub fn add(&mut self, path: &Path, key: K, interest: Interest) -> Result<(), Errno> {
        let mut flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        flags |= match interest {
            Interest::Names => AddWatchFlags::empty(),
            Interest::Entries => AddWatchFlags::IN_CLOSE_WRITE,
            Interest::Writes => AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MODIFY,
        };
        let descriptor = self.inotify.add_watch(path, flags)?;
        self.keys.insert(descriptor, key);
        Ok(())
    }

    /// All that has happened since the last call, without waiting.
    pub fn take(&mut self) -> Vec<Event<K>> {
        let mut events = Vec::new();
        loop {
            let batch = match self.inotify.read_events() {
                Ok(batch) => batch,
                Err(Errno::EINTR) => continue,
                // EAGAIN: that was all.
                Err(_) => return events,
            };
            for event in batch {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    events.push(Event::All);
                    continue;
                }
                let Some(key) = self.keys.get(&event.wd).cloned() else { continue };
                if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                    self.keys.remove(&event.wd);
                    events.push(Event::Gone(key));
                } else if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) {
                    // The watch would follow the directory to its new name; the old name is what was meant.
                    let _ = self.inotify.rm_watch(event.wd);
                    self.keys.remove(&event.wd);
                    events.push(Event::Gone(key));
                } else if let Some(name) = event.name {
                    events.push(if event.mask.contains(AddWatchFlags::IN_CLOSE_WRITE) {
                        Event::Closed(key, name)
                    } else {
                        Event::Entry(key, name)
                    });
                }
            }
        }
    }
}

impl<K> AsFd for Watches<K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_over_an_entry_is_seen_and_so_is_the_end_of_the_directory() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("web");
        std::fs::create_dir(&dir).unwrap();
        let mut watches = Watches::new().unwrap();
        watches.add(&dir, 7, Interest::Entries).unwrap();
        assert_eq!(watches.take(), []);
        std::fs::write(dir.join("status.new"), "x").unwrap();
        std::fs::rename(dir.join("status.new"), dir.join("status")).unwrap();
        let events = watches.take();
        assert!(events.contains(&Event::Closed(7, "status.new".into())), "{events:?}");
        assert!(events.contains(&Event::Entry(7, "status".into())), "{events:?}");
        std::fs::rename(&dir, root.path().join("elsewhere")).unwrap();
        assert!(watches.take().contains(&Event::Gone(7)));
        std::fs::write(root.path().join("elsewhere/status"), "y").unwrap();
        assert_eq!(watches.take(), []);
    }

    #[test]
    fn writes_wake_only_who_asked_for_them() {
        use std::io::Write;
        let root = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(root.path().join("__stdout")).unwrap();
        let mut entries = Watches::new().unwrap();
        entries.add(root.path(), (), Interest::Entries).unwrap();
        let mut writes = Watches::new().unwrap();
        writes.add(root.path(), (), Interest::Writes).unwrap();
        file.write_all(b"line\n").unwrap();
        assert_eq!(entries.take(), []);
        assert_eq!(writes.take(), [Event::Entry((), "__stdout".into())]);
    }
}
