//! The links `supervise` in service directories, while a tree keeps runit's files.
//!
//! An upgrade of a package puts the packaged link back, and runit's tools find nothing behind it. So the directories
//! where ours has replaced one are watched, by one thread for all of them; there is none while no such link was replaced.

use crate::status::log::Log;
use crate::status::runit_files::NAME;
use crate::status::runit_link;
use crate::sys::Errno;
use crate::sys::files::inotify::{Event, Interest, Watches};
use crate::sys::threads::poll::{self, PollSource};
use crate::sys::threads::thread::Thread;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The thread lists no directory and writes one line.
const STACK_SIZE: usize = 128 * 1024;

/// All links of one tree.
#[derive(Debug)]
pub struct Links {
    status_root: PathBuf,
    log: Log,
    placed: Arc<Mutex<Placed>>,
}

#[derive(Debug, Default)]
struct Placed {
    /// The target of each link, by the canonical path of its directory.
    targets: BTreeMap<PathBuf, PathBuf>,
    watches: Option<Watches<PathBuf>>,
}

impl Links {
    /// None yet.
    pub fn new(status_root: PathBuf, log: Log) -> Links {
        Links { status_root, log, placed: Arc::default() }
    }

    /// Makes the link in `service_dir` lead to `target`. Returns the directory's canonical path.
    ///
    /// # Errors
    /// As [`runit_link::place`].
    pub fn place(&self, service_dir: &Path, target: &Path) -> io::Result<PathBuf> {
        let dir = std::fs::canonicalize(service_dir)?;
        let mut placed = self.placed.lock();
        runit_link::place(&dir, target, &self.status_root)?;
        placed.targets.insert(dir.clone(), target.to_owned());
        if runit_link::is_packaged(&dir)
            && let Err(errno) = self.watch(&mut placed, &dir)
        {
            let (dir, why) = (dir.display(), crate::sys::describe(errno));
            log::info!(logger: self.log, "{dir}: cannot be watched: {why}; HUP looks whether a package has put its link back");
        }
        Ok(dir)
    }

    fn watch(&self, placed: &mut Placed, dir: &Path) -> Result<(), Errno> {
        if placed.watches.is_none() {
            let watches = Watches::new()?;
            let events = watches.as_fd().try_clone_to_owned().map_err(|_| Errno::EMFILE)?;
            let (all, log, root) = (self.placed.clone(), self.log.clone(), self.status_root.clone());
            Thread::spawn("runit-links", STACK_SIZE, move || follow(&events, &all, &root, &log))?;
            placed.watches = Some(watches);
        }
        placed.watches.as_mut().map_or(Ok(()), |watches| watches.add(dir, dir.to_owned(), Interest::Names))
    }

    /// Checks the link, and makes it again where a package has replaced it.
    ///
    /// # Errors
    /// As [`runit_link::place`].
    pub fn check(&self, dir: &Path) -> io::Result<()> {
        replace(&self.placed.lock(), dir, &self.status_root, &self.log)
    }

    /// Removes the link in `dir`, and restores the packaged one. A link that cannot be restored stays as it is.
    pub fn put_back(&self, dir: &Path) {
        let mut placed = self.placed.lock();
        // The thread that watches leaves it alone from now on.
        if let Some(target) = placed.targets.remove(dir) {
            self.end(dir, &target);
        }
    }

    /// The same for all that are left.
    pub fn put_all_back(&self) {
        let targets = std::mem::take(&mut self.placed.lock().targets);
        targets.iter().for_each(|(dir, target)| self.end(dir, target));
    }

    fn end(&self, dir: &Path, target: &Path) {
        match runit_link::put_back(dir, |there| there == target) {
            Ok(_) => {}
            // The directory is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let (dir, why) = (dir.display(), crate::sys::errno_text(&error));
                log::warn!(logger: self.log, "{dir}: its packaged link cannot be put back: {why}; svctl runit-links restore tries again");
            }
        }
    }
}

/// The body of the thread, which lives as long as the program.
fn follow(events: &OwnedFd, placed: &Mutex<Placed>, root: &Path, log: &Log) {
    loop {
        let _ = poll::wait([Some(PollSource::Readable(events.as_fd()))], None);
        let mut placed = placed.lock();
        let events = placed.watches.as_mut().map(Watches::take).unwrap_or_default();
        for event in events {
            let dirs = match event {
                Event::Entry(dir, name) if name == NAME => vec![dir],
                Event::All => placed.targets.keys().cloned().collect(),
                Event::Entry(..) | Event::Closed(..) | Event::Gone(_) => Vec::new(),
            };
            // What cannot be made again now is tried again with HUP.
            dirs.iter().for_each(|dir| drop(replace(&placed, dir, root, log)));
        }
    }
}

fn replace(placed: &Placed, dir: &Path, root: &Path, log: &Log) -> io::Result<()> {
    let Some(target) = placed.targets.get(dir) else { return Ok(()) };
    if let Some(packaged) = runit_link::place(dir, target, root)? {
        let (dir, packaged) = (dir.display(), packaged.display());
        log::info!(logger: log, "{dir}: a package has put its link supervise -> {packaged} back: ours is in its place again");
    }
    Ok(())
}
