//! The path of the root: whether it still leads to the same directory.
//!
//! The directories that hold the root's name (and, if the root is a link, the names that the link leads over) are watched
//! for names that come and go, and for nothing else. They are not ours: somebody may write a log file in one of them all
//! day, perhaps this program's own messages, and must not wake us with every line.

use crate::sys::files::inotify::{Event, Interest, Watches};
use crate::sys::threads::poll::{self, PollSource::Readable, PollSource::Woken};
use crate::sys::threads::wake::Waker;
use crate::tree::capacity;
use crate::tree::root::watch_error::{WatchError, WatchFailure};
use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A root that is a link to a link to a link ... is followed this far, as the kernel does.
const LINKS_MAX: usize = 40;

/// Stack of the thread, in bytes.
const STACK_SIZE: usize = 128 * 1024;

/// A thread that watches the path of one root, until it is dropped.
#[derive(Debug)]
pub struct RootPathWatch {
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

/// What ends the thread.
#[derive(Debug, Default)]
struct End {
    has_come: AtomicBool,
    waker: Waker,
}

impl RootPathWatch {
    /// Watches the path `root`, an absolute one; whenever it may lead elsewhere, `changed` is called. The second value says
    /// whether all of the path is watched: some directories may not be ours to read, and the others are of use without
    /// them.
    ///
    /// # Errors
    /// Nothing could be watched.
    pub fn watch(
        root: &Path,
        changed: impl Fn() + Send + 'static,
    ) -> Result<(RootPathWatch, Result<(), WatchError>), WatchError> {
        let names: HashSet<PathBuf> = chain(root).into_iter().collect();
        let mut watches = Watches::new().map_err(|errno| WatchError::new(root, errno.into()))?;
        let mut whole = Ok(());
        for parent in names.iter().filter_map(|name| name.parent()).filter(|parent| *parent != root) {
            if let Err(errno) = watches.add(parent, parent.to_owned(), Interest::Names) {
                whole = Err(WatchError::new(parent, errno.into()));
            }
        }
        let watch = RootPathWatch::start(watches, names, changed);
        Ok((watch.map_err(|error| WatchError::new(root, WatchFailure::NoThread(error)))?, whole))
    }

    fn start(
        mut watches: Watches<PathBuf>,
        names: HashSet<PathBuf>,
        changed: impl Fn() + Send + 'static,
    ) -> io::Result<RootPathWatch> {
        let end = Arc::new(End::default());
        let its_end = end.clone();
        let watch = move || {
            its_end.waker.attend();
            while !its_end.has_come.load(Ordering::SeqCst) {
                poll::wait([Some(Woken), Some(Readable(watches.as_fd()))], None);
                if watches.take().into_iter().any(|event| leads_elsewhere(event, &names)) {
                    changed();
                }
            }
        };
        capacity::for_thread(STACK_SIZE)?;
        let thread = std::thread::Builder::new().name("root-path".into()).stack_size(STACK_SIZE).spawn(watch);
        let thread = thread.map_err(|error| capacity::no_thread(&error))?;
        Ok(RootPathWatch { end, thread: Some(thread) })
    }
}

impl Drop for RootPathWatch {
    fn drop(&mut self) {
        self.end.has_come.store(true, Ordering::SeqCst);
        self.end.waker.wake();
        if let Some(thread) = self.thread.take() {
            // Its panic would be our bug, and then no thread is left to stop.
            let _ = thread.join();
        }
    }
}

fn leads_elsewhere(event: Event<PathBuf>, names: &HashSet<PathBuf>) -> bool {
    match event {
        Event::Entry(parent, name) | Event::Closed(parent, name) => names.contains(&parent.join(name)),
        Event::Gone(_) | Event::All => true,
    }
}

/// The names over which `root` leads to its directory: itself and, while it is a link, what it leads to.
fn chain(root: &Path) -> Vec<PathBuf> {
    let mut chain = vec![root.to_owned()];
    while let Some(target) = chain.last().and_then(|last| std::fs::read_link(last).ok()) {
        let base = chain.last().and_then(|last| last.parent()).unwrap_or(Path::new("/"));
        let next = base.join(target);
        if chain.len() > LINKS_MAX || chain.contains(&next) {
            break;
        }
        chain.push(next);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, unbounded};
    use std::time::Duration;

    fn watch(root: &Path) -> (RootPathWatch, Receiver<()>) {
        let (sender, changes) = unbounded();
        let changed = move || {
            let _ = sender.send(());
        };
        let (watch, whole) = RootPathWatch::watch(root, changed).unwrap();
        whole.unwrap();
        (watch, changes)
    }

    #[test]
    fn every_link_on_the_path_is_watched() {
        let top = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir_all(top.path().join("runsvdir").join(name)).unwrap();
        }
        let (current, root) = (top.path().join("runsvdir/current"), top.path().join("service"));
        std::os::unix::fs::symlink("one", &current).unwrap();
        std::os::unix::fs::symlink(&current, &root).unwrap();
        let (_watch, changes) = watch(&root);
        std::os::unix::fs::symlink("two", top.path().join("runsvdir/new")).unwrap();
        std::fs::rename(top.path().join("runsvdir/new"), &current).unwrap();
        changes.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn what_happens_beside_the_root_is_no_change() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("service");
        std::fs::create_dir(&root).unwrap();
        let (_watch, changes) = watch(&root);
        std::fs::write(top.path().join("beside"), "x").unwrap();
        std::fs::rename(&root, top.path().join("elsewhere")).unwrap();
        changes.recv_timeout(Duration::from_secs(20)).unwrap();
        // Events come in order: the first change was the root's.
        assert!(!root.exists());
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn a_path_that_may_not_be_read_is_named() {
        let (_watch, whole) = RootPathWatch::watch(Path::new("/nonexistent/root"), || ()).unwrap();
        assert_eq!(whole.unwrap_err().to_string(), "cannot watch /nonexistent: No such file or directory");
    }
}
