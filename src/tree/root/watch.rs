//! Which names in the services root have changed, by inotify.
//!
//! Watched are the root itself, the directories that may become services, and the [path](crate::tree::root::root_path) of the root.
//! Bursts coalesce: an event says "look again", never what has happened.

use crate::supervisor::panics::catch;
use crate::sys::Errno;
use crate::tree::capacity;
use crate::tree::root::root_path::RootPathWatch;
use crate::tree::root::watch_error::{WatchError, WatchFailure};
use crossbeam_channel::{Receiver, Sender, bounded};
use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stack of notify's thread, in bytes: the standard library's default.
const NOTIFY_STACK_SIZE: usize = 2 * 1024 * 1024;

/// What may have changed, so that the scanner looks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// These names in the root.
    pub names: BTreeSet<OsString>,
    /// Those of them that were made as empty directories, and are being filled.
    pub made: BTreeSet<OsString>,
    /// Those of them that were taken away, whatever has the name now.
    pub taken: BTreeSet<OsString>,
    /// Those of them that were directories, and were removed for good.
    pub deleted: BTreeSet<OsString>,
    /// All names: events were lost.
    pub all: bool,
    /// The root itself: it may be another directory now.
    pub root: bool,
}

/// Collects events until somebody looks.
#[derive(Debug)]
pub struct Changes {
    pending: Arc<Mutex<Pending>>,
    notify_rx: Receiver<()>,
    notify_tx: Sender<()>,
}

impl Changes {
    /// Nothing has changed yet.
    pub fn new() -> Changes {
        let (notify_tx, notify_rx) = bounded(1);
        Changes { pending: Arc::default(), notify_rx, notify_tx }
    }

    /// Receives something when there is something to take.
    pub fn notify_rx(&self) -> &Receiver<()> {
        &self.notify_rx
    }

    /// Takes what has changed since the last call.
    pub fn take(&self) -> Pending {
        std::mem::take(&mut *self.pending.lock())
    }
}

impl Default for Changes {
    fn default() -> Changes {
        Changes::new()
    }
}

/// Watches one root, for as long as its path leads to the same directory.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    root_path: Option<RootPathWatch>,
    /// Directories that may become services.
    below: HashSet<PathBuf>,
    /// Why a new root of the same name would not be noticed.
    unwatched_reason: Option<WatchError>,
}

impl Watch {
    /// Watches `root`, an absolute path; events go to `changes`.
    ///
    /// # Errors
    /// What could not be watched, and why.
    pub fn new(root: &Path, changes: &Changes) -> Result<Watch, WatchError> {
        let no_thread = |error: std::io::Error| WatchError::new(root, WatchFailure::NoThread(error));
        capacity::for_thread(NOTIFY_STACK_SIZE).map_err(no_thread)?;
        let (pending, notify_tx, owned_root) = (changes.pending.clone(), changes.notify_tx.clone(), root.to_owned());
        let ours = Arc::new(());
        let its = Arc::downgrade(&ours);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let _held = &ours;
            // notify's thread does not survive a panic; nothing here can.
            if note(&mut pending.lock(), event, &owned_root) {
                // Full: the main loop has been told already.
                let _ = notify_tx.try_send(());
            }
        });
        let watcher = watcher.map_err(|error| WatchError::new(root, error.into()))?;
        if its.strong_count() == 0 {
            // notify could not make its thread, and keeps that to itself: it panics at the next call, and when it is
            // dropped. We know it by what the thread would have held.
            let _ = catch(|| drop(watcher));
            return Err(no_thread(capacity::no_thread(&Errno::EAGAIN.into())));
        }
        let mut watch = Watch { watcher, root_path: None, below: HashSet::new(), unwatched_reason: None };
        watch.add(root)?;
        watch.watch_root_path(root, changes);
        Ok(watch)
    }

    /// Watches the path of the root, if that was not wholly possible before.
    pub fn complete(&mut self, root: &Path, changes: &Changes) {
        if self.unwatched_reason.is_some() {
            self.watch_root_path(root, changes);
        }
    }

    fn watch_root_path(&mut self, root: &Path, changes: &Changes) {
        // The old one goes first: the limits may leave no room for both.
        self.root_path = None;
        let (pending, notify_tx) = (changes.pending.clone(), changes.notify_tx.clone());
        let changed = move || {
            pending.lock().root = true;
            // Full: the main loop has been told already.
            let _ = notify_tx.try_send(());
        };
        match RootPathWatch::watch(root, changed) {
            Ok((root_path, whole)) => {
                self.root_path = Some(root_path);
                self.unwatched_reason = whole.err();
            }
            Err(error) => self.unwatched_reason = Some(error),
        }
    }

    /// Why a new root of the same name would not be noticed, if so: its parent may not be readable.
    pub fn unwatched_reason(&self) -> Option<&WatchError> {
        self.unwatched_reason.as_ref()
    }

    fn add(&mut self, path: &Path) -> Result<(), WatchError> {
        let added = self.watcher.watch(path, RecursiveMode::NonRecursive);
        added.map_err(|error| WatchError::new(path, error.into()))
    }

    /// Watches a directory that may become a service.
    ///
    /// # Errors
    /// Why that was not possible.
    pub fn add_below(&mut self, path: &Path) -> Result<(), WatchError> {
        if self.below.contains(path) {
            // The directory may be another one under the same name: the old watch is none of it.
            let _ = self.watcher.unwatch(path);
        }
        self.add(path)?;
        self.below.insert(path.to_owned());
        Ok(())
    }

    /// No longer watches it, if it was watched.
    pub fn remove_below(&mut self, path: &Path) {
        if self.below.remove(path) {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(path);
        }
    }
}

/// Notes an event; whether there is something to look at.
fn note(pending: &mut Pending, event: notify::Result<notify::Event>, root: &Path) -> bool {
    let event = match event {
        Ok(event) => event,
        Err(_) => {
            pending.all = true;
            return true;
        }
    };
    if event.need_rescan() {
        pending.all = true;
        return true;
    }
    // Our own reading of directories causes these.
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    let mut noted = false;
    for path in &event.paths {
        if let Some(name) = path.strip_prefix(root).ok().and_then(|below| below.components().next()) {
            pending.names.insert(name.as_os_str().to_owned());
            if event.kind == EventKind::Create(CreateKind::Folder) && path.parent() == Some(root) {
                pending.made.insert(name.as_os_str().to_owned());
            }
            if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)))
                && path.parent() == Some(root)
            {
                pending.taken.insert(name.as_os_str().to_owned());
            }
            if event.kind == EventKind::Remove(RemoveKind::Folder) && path.parent() == Some(root) {
                pending.deleted.insert(name.as_os_str().to_owned());
            }
            noted = true;
        }
        if path == root {
            pending.root = true;
            noted = true;
        }
    }
    noted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn wait(changes: &Changes, wanted: impl Fn(&Pending) -> bool) -> bool {
        let mut seen = Pending::default();
        while changes.notify_rx().recv_timeout(Duration::from_secs(5)).is_ok() {
            let pending = changes.take();
            seen.names.extend(pending.names);
            seen.root |= pending.root;
            if wanted(&seen) {
                return true;
            }
        }
        false
    }

    #[test]
    fn names_below_the_root_are_noted() {
        let root = tempfile::tempdir().unwrap();
        let changes = Changes::new();
        let mut watch = Watch::new(root.path(), &changes).unwrap();
        std::fs::create_dir(root.path().join("web")).unwrap();
        assert!(wait(&changes, |pending| pending.names.contains(std::ffi::OsStr::new("web"))));
        watch.add_below(&root.path().join("web")).unwrap();
        changes.take();
        std::fs::write(root.path().join("web/run"), "").unwrap();
        assert!(wait(&changes, |pending| pending.names.contains(std::ffi::OsStr::new("web"))));
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let error = Watch::new(Path::new("/nonexistent/root"), &Changes::new()).unwrap_err();
        assert_eq!(error.to_string(), "cannot watch /nonexistent/root: No such file or directory");
    }
}
