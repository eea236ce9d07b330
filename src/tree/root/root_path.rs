//! The way to the root: whether its name still leads to the same directory.
//!
//! The directories that hold the root's name (and, if it is a link, the names that it leads over) are watched for
//! names that come and go, and for nothing else: they are not ours, and whoever writes a log file in one of them all
//! day, perhaps this program's own messages, must not wake us with every line.

use crate::sys::Errno;
use crate::sys::files::inotify::{Event, Interest, Watches};
use crate::sys::threads::poll::{self, Source::Readable, Source::Woken};
use crate::sys::threads::wake::Waker;
use crate::tree::capacity;
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

/// A thread that watches the way to one root, until it is dropped.
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
    /// Watches the way to `root`, an absolute path; whenever the name may lead elsewhere, `changed` is called. Beside it,
    /// whether all of the way is watched: some directories may not be ours to read, and the others are of use all the
    /// same.
    ///
    /// # Errors
    /// A line for the user: nothing could be watched, and why.
    pub fn watch(
        root: &Path,
        changed: impl Fn() + Send + 'static,
    ) -> Result<(RootPathWatch, Result<(), String>), String> {
        let names: HashSet<PathBuf> = chain(root).into_iter().collect();
        let mut watches = Watches::new().map_err(|errno| describe(root, errno))?;
        let mut whole = Ok(());
        for parent in names.iter().filter_map(|name| name.parent()).filter(|parent| *parent != root) {
            if let Err(errno) = watches.add(parent, parent.to_owned(), Interest::Names) {
                whole = Err(describe(parent, errno));
            }
        }
        let way = RootPathWatch::start(watches, names, changed);
        let way =
            way.map_err(|error| format!("cannot watch {}: {}", root.display(), crate::sys::errno_text(&error)))?;
        Ok((way, whole))
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
        let thread = std::thread::Builder::new().name("way".into()).stack_size(STACK_SIZE).spawn(watch);
        let thread = thread.map_err(|error| capacity::no_thread(&error))?;
        Ok(RootPathWatch { end, thread: Some(thread) })
    }
}

impl Drop for RootPathWatch {
    fn drop(&mut self) {
        self.end.has_come.store(true, Ordering::SeqCst);
        self.end.waker.wake();
        if let Some(thread) = self.thread.take() {
            // It panics only by a mistake of ours, and then there is nobody left to stop.
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

fn describe(path: &Path, errno: Errno) -> String {
    let why = match errno {
        Errno::EMFILE => "no more inotify instances (fs.inotify.max_user_instances) or descriptors",
        Errno::ENOSPC => "no more watches (fs.inotify.max_user_watches)",
        errno => crate::sys::describe(errno),
    };
    format!("cannot watch {}: {why}", path.display())
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

    fn way(root: &Path) -> (RootPathWatch, Receiver<()>) {
        let (sender, changes) = unbounded();
        let changed = move || {
            let _ = sender.send(());
        };
        let (way, whole) = RootPathWatch::watch(root, changed).unwrap();
        whole.unwrap();
        (way, changes)
    }

    #[test]
    fn every_link_on_the_way_is_watched() {
        let top = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir_all(top.path().join("runsvdir").join(name)).unwrap();
        }
        let (current, root) = (top.path().join("runsvdir/current"), top.path().join("service"));
        std::os::unix::fs::symlink("one", &current).unwrap();
        std::os::unix::fs::symlink(&current, &root).unwrap();
        let (_way, changes) = way(&root);
        std::os::unix::fs::symlink("two", top.path().join("runsvdir/new")).unwrap();
        std::fs::rename(top.path().join("runsvdir/new"), &current).unwrap();
        changes.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn what_happens_beside_the_root_is_no_change() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("service");
        std::fs::create_dir(&root).unwrap();
        let (_way, changes) = way(&root);
        std::fs::write(top.path().join("beside"), "x").unwrap();
        std::fs::rename(&root, top.path().join("elsewhere")).unwrap();
        changes.recv_timeout(Duration::from_secs(20)).unwrap();
        // Events come in order: the first change was the root's.
        assert!(!root.exists());
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn a_way_that_may_not_be_read_is_named() {
        let (_way, whole) = RootPathWatch::watch(Path::new("/nonexistent/root"), || ()).unwrap();
        assert_eq!(whole.unwrap_err(), "cannot watch /nonexistent: No such file or directory");
    }
}
