//! The tree's own status directory, whose lock keeps a second tree out.

use crate::conf::defaults::Defaults;
use crate::conf::{CONFIG_FILE, Config};
use crate::status::StatusDir;
use crate::status::dir::{MakeError, TREE_DIR};
use crate::status::log::Log;
use crate::status::registry::{self, Registration};
use crate::status::state::rfc3339;
use crate::status::tree_state::{NotBegun, TreeState};
use crate::sys::errno_text;
use crate::sys::files::flock::{Lock, LockError};
use crate::sys::files::removals::Removals;
use crate::sys::files::replace::FilePair;
use crate::sys::time::Mono;
use crate::sys::{Errno, describe};
use crate::tree::status_root::StatusRoot;
use nix::unistd::Pid;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often a program that has taken over without a lock tries to get one.
const TAKE_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// How long a tree may take to make its directory anew. Most often the process that is taken for one is one.
const OWNER_TIME: Duration = Duration::from_secs(3);

/// The directory, locked.
#[derive(Debug)]
pub struct TreeDir {
    dir: StatusDir,
    lock: Lock,
    /// It cannot be made anew, and that is in the log.
    failure_logged: bool,
    state: TreeState,
    state_file: FilePair,
    /// Tells of what is removed from the status root, if inotify is to be had.
    removals: Option<Arc<Removals>>,
    /// The file does not say yet what `state` says.
    is_unwritten: bool,
    /// For whoever looks for the trees of this user, while it lives.
    registration: Option<Registration>,
}

impl TreeDir {
    /// Makes the directory, and takes its lock.
    ///
    /// # Errors
    /// It cannot be made, or another tree has it.
    pub fn take(status_root: &StatusRoot) -> Result<TreeDir, TreeDirError> {
        let dir = tree_dir(status_root)?;
        wait_for_its_owner(status_root, &dir);
        dir.make().map_err(|error| TreeDirError::Make(dir.path().to_owned(), error))?;
        let lock = dir.lock().map_err(|error| TreeDirError::of_lock(&dir, error))?;
        Ok(TreeDir::new(dir, lock))
    }

    /// Takes the directory over from the program before us, with the lock that it held. What is not as it should be is
    /// mended later by [`TreeDir::keep`]. Without that lock, waits until one is to be had.
    ///
    /// # Errors
    /// Another tree has it.
    pub fn take_over(status_root: &StatusRoot, inherited: Option<OwnedFd>) -> Result<TreeDir, TreeDirError> {
        if let Some(lock) = inherited.and_then(|lock| Lock::inherit_anywhere(lock).ok()) {
            let dir = tree_dir(status_root)?;
            // If it cannot be made now, it is made later.
            let _ = dir.make();
            return Ok(TreeDir::new(dir, lock));
        }
        loop {
            match TreeDir::take(status_root) {
                Err(TreeDirError::Make(..) | TreeDirError::Lock(..)) => std::thread::sleep(TAKE_RETRY_INTERVAL),
                result => return result,
            }
        }
    }

    fn new(dir: StatusDir, lock: Lock) -> TreeDir {
        TreeDir {
            dir,
            lock,
            failure_logged: false,
            state: TreeState::default(),
            state_file: FilePair::Unknown,
            removals: None,
            is_unwritten: false,
            registration: None,
        }
    }

    /// Has the kernel tell of what is removed from the status root and from this directory.
    pub fn watch(&mut self, log: &Log) -> Option<Arc<Removals>> {
        let watched = Removals::new().and_then(|removals| {
            watch(&removals, &self.dir)?;
            Ok(removals)
        });
        match watched {
            Ok(removals) => self.removals = Some(Arc::new(removals)),
            Err(errno) => {
                let (root, why) = (self.dir.path().display(), describe(errno));
                log::warn!(logger: log, "cannot watch {root}: {why}; what is removed there is made anew at the next event");
            }
        }
        self.removals()
    }

    /// What it tells of removals, for status directories to be added.
    pub fn removals(&self) -> Option<Arc<Removals>> {
        self.removals.clone()
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
        self.lock.is_at(&self.dir.lock_path()) && !self.dir.is_displaced()
    }

    /// Says in `state.json`, and where others look for trees, that this program works on `root` now, after the one before it if it was handed over to.
    pub fn begin_state(&mut self, root: &Path, defaults: Defaults, is_upgrade: bool) {
        self.registration = self.dir.path().parent().map(Registration::of);
        let started = rfc3339(SystemTime::now());
        let earlier = TreeState::read(&self.dir.state()).unwrap_or_default();
        self.state = TreeState {
            pid: std::process::id(),
            generation: if is_upgrade { earlier.generation + 1 } else { 1 },
            root: root.to_string_lossy().into_owned(),
            started: started.clone(),
            last_upgrade: earlier.last_upgrade,
            not_begun: Vec::new(),
            container: defaults.container,
            command: defaults.command,
            runit: defaults.runit,
        };
        if is_upgrade {
            self.state.note_upgrade(started, None);
        }
        self.is_unwritten = true;
    }

    /// Keeps what the settings are read from, for those who look when the file has changed.
    ///
    /// A copy that cannot be written is none: whoever looks says that he cannot tell.
    pub fn keep_config(&self, config: &Config) {
        let path = self.dir.path().join(CONFIG_FILE);
        let _ = match config.text() {
            Some(text) => FilePair::Unknown.replace(&path, text),
            None => std::fs::remove_file(&path),
        };
    }

    /// Notes for `state.json` why the program was not replaced.
    pub fn note_failed_upgrade(&mut self, why: String) {
        self.state.note_upgrade(rfc3339(SystemTime::now()), Some(why));
        self.is_unwritten = true;
    }

    /// Writes `state.json` if something has changed. What cannot be written now is tried again at the next event.
    /// `not_begun` are modules and reasons.
    pub fn publish<'a>(&mut self, not_begun: impl Iterator<Item = (&'a String, &'a String)> + Clone) {
        let listed = self.state.not_begun.iter().map(|one| (one.module.as_str(), one.reason.as_str()));
        let same = listed.eq(not_begun.clone().map(|(module, reason)| (module.as_str(), reason.as_str())));
        if !same {
            let entry =
                |(module, reason): (&String, &String)| NotBegun { module: module.clone(), reason: reason.clone() };
            self.state.not_begun = not_begun.map(entry).collect();
        }
        if !same || self.is_unwritten {
            self.is_unwritten = self.state_file.replace(&self.dir.state(), &self.state.encode()).is_err();
        }
    }

    /// Makes it anew if somebody has removed it: a lock file that is not there keeps nobody out. Whether that was
    /// done; a failure is logged once for as long as it lasts.
    pub fn keep(&mut self, log: &Log) -> bool {
        if self.is_in_place() {
            return false;
        }
        let made = self.dir.make().map_err(|error| TreeDirError::Make(self.dir.path().to_owned(), error));
        match made.and_then(|_| self.dir.lock().map_err(|error| TreeDirError::of_lock(&self.dir, error))) {
            Ok(lock) => {
                self.lock = lock;
                self.failure_logged = false;
                self.state_file = FilePair::Unknown;
                self.is_unwritten = true;
                if let Some(removals) = &self.removals {
                    // Without it, what is removed is seen at the next event.
                    let _ = watch(removals, &self.dir);
                }
                log::warn!(logger: log, "{} was removed: made anew", self.dir.lock_path().display());
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failure_logged, true) {
                    log::error!(logger: log, "{error}; tried again at the next event");
                }
                false
            }
        }
    }
}

/// Waits a moment if a tree runs that has left the path of this status root: if its directory was removed, that tree makes it
/// anew, and whoever came first would start all services a second time. A lock file that is there may not be locked yet.
fn wait_for_its_owner(status_root: &StatusRoot, dir: &StatusDir) {
    let deadline = Mono::now() + OWNER_TIME;
    let mut was_there = dir.lock_path().exists();
    while registry::may_be_in_use(status_root.path()) && Mono::now() < deadline {
        std::thread::sleep(TAKE_RETRY_INTERVAL);
        if was_there {
            return;
        }
        was_there = dir.lock_path().exists();
    }
}

fn tree_dir(status_root: &StatusRoot) -> Result<StatusDir, TreeDirError> {
    let failed = |error| TreeDirError::Make(status_root.path().join(TREE_DIR), MakeError::Io(error));
    status_root.dir(TREE_DIR).map_err(failed)
}

fn watch(removals: &Removals, dir: &StatusDir) -> Result<(), Errno> {
    // Modules come and go in it by name; nobody renames anything there but a stranger.
    removals.add_quiet(dir.path().parent().unwrap_or(Path::new("/")))?;
    removals.add(dir.path())
}

/// What is wrong with the tree's own status directory.
#[derive(Debug)]
pub enum TreeDirError {
    /// It cannot be made, or is somebody else's: its path, and why.
    Make(PathBuf, MakeError),
    /// Another tree works on this status root; its pid, if that is known.
    Held(PathBuf, Option<Pid>),
    /// Its lock file cannot be locked: the path of the file, and why.
    Lock(PathBuf, io::Error),
}

impl TreeDirError {
    fn of_lock(dir: &StatusDir, error: LockError) -> TreeDirError {
        match error {
            LockError::Held(pid) => TreeDirError::Held(dir.path().parent().unwrap_or(Path::new("/")).to_owned(), pid),
            LockError::Io(error) => TreeDirError::Lock(dir.lock_path(), error),
        }
    }
}

impl fmt::Display for TreeDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeDirError::Make(path, error) => f.write_str(&error.describe(path)),
            TreeDirError::Held(root, Some(pid)) => {
                write!(f, "{}: already in use by supervise-tree, pid {pid}", root.display())
            }
            TreeDirError::Held(root, None) => write!(f, "{}: already in use by a supervise-tree", root.display()),
            TreeDirError::Lock(path, error) => write!(f, "cannot lock {}: {}", path.display(), errno_text(error)),
        }
    }
}

impl std::error::Error for TreeDirError {}
