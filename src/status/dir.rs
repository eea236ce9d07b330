//! The directory, what its entries are called, whose it has to be, and its lock.

use crate::sys::files::file;
use crate::sys::files::file_id::FileId;
use crate::sys::files::flock::{Lock, LockError};
use crate::sys::files::held::{self, HeldDirectory};
use crate::sys::process::record;
use crate::sys::{Errno, errno_text};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The status directory of the tree itself, in the status root.
pub const TREE_DIR: &str = ".supervise-tree";

/// The directory of the sockets of sd_notify(3), in the status root.
pub const NOTIFY_DIR: &str = ".notify";

/// What the tree's own logger keeps its files in, in its status directory: that one has a `lock` of its own.
pub const OWN_LOG: &str = "main";

/// All may pass through it, to a socket whose name they know.
const NOTIFY_DIR_MODE: u32 = 0o711;

/// A module's status directory; it need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusDir {
    path: PathBuf,
    /// How many directories at the end of the path are the module's: two for a logger.
    own: usize,
    /// Outputs and logs may be links, FIFOs or devices where nobody else can have put them there, and one that belongs to
    /// somebody else may do: scripts of the C program rely on it.
    for_scripts: bool,
    /// Somebody else may exchange it, and every entry is opened below this descriptor.
    held: Option<Held>,
}

/// A directory that is held open. Somebody may put another one in its place, or a link; what we open stays in this one.
#[derive(Clone, Debug)]
struct Held {
    directory: Arc<HeldDirectory>,
    /// It belongs to somebody else.
    is_foreign: bool,
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        self.directory.path() == other.directory.path()
    }
}

impl Eq for Held {}

/// Why a status directory cannot be used.
#[derive(Debug)]
pub enum MakeError {
    /// What `mkdir` gives; `NotADirectory` when something else has its name.
    Io(io::Error),
    /// It is there, and somebody else's.
    Foreign {
        /// The directory, or the link that leads to it.
        path: PathBuf,
        /// Its owner's uid.
        owner: u32,
    },
}

impl StatusDir {
    /// The status directory at `path`.
    pub fn new(path: impl Into<PathBuf>) -> StatusDir {
        StatusDir { path: path.into(), own: 1, for_scripts: false, held: None }
    }

    /// That of `module` below a status root.
    pub fn of(root: &Path, module: &str) -> StatusDir {
        let own = Path::new(module).components().count();
        StatusDir { path: root.join(module), own, for_scripts: false, held: None }
    }

    /// The same for `supervise`: an administrator's links are followed, and one of somebody else's may be held.
    pub fn for_scripts(self) -> StatusDir {
        StatusDir { for_scripts: true, ..self }
    }

    /// For root, takes one that belongs to somebody else: held open from now on, and nothing in it believed. Its owner.
    ///
    /// # Errors
    /// What `open` gives; `NotADirectory` for a link.
    pub fn hold_foreign(&mut self) -> io::Result<Option<u32>> {
        let owner = file::foreign_owner(&self.path).ok().flatten();
        let (true, Some(owner)) = (self.for_scripts && nix::unistd::geteuid().is_root(), owner) else {
            return Ok(None);
        };
        let mut options = OpenOptions::new();
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let directory = options.read(true).custom_flags(flags).open(&self.path)?;
        self.held = Some(Held { directory: Arc::new(HeldDirectory::of(directory.into())), is_foreign: true });
        Ok(Some(owner))
    }

    /// The same directory in a status root where somebody else may exchange it: from [`StatusDir::make`] on it is held open, and
    /// what takes its place is looked at before it is used. The path of the status root may have no link in it.
    ///
    /// # Errors
    /// As [`HeldDirectory::reserve`].
    pub fn held(self) -> io::Result<StatusDir> {
        let directory = Arc::new(HeldDirectory::reserve()?);
        Ok(StatusDir { held: Some(Held { directory, is_foreign: false }), ..self })
    }

    /// Whether somebody but the caller has a copy of it, which is held open with it.
    pub fn is_shared(&self) -> bool {
        self.held.as_ref().is_some_and(|held| Arc::strong_count(&held.directory) > 1)
    }

    /// Whether nothing in it can be believed.
    pub fn is_foreign(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_foreign)
    }

    /// Whether its entries are reached through a descriptor.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether its path leads elsewhere than to the directory that is held open.
    pub fn is_displaced(&self) -> bool {
        let there = || std::fs::symlink_metadata(&self.path).ok().map(|metadata| FileId::of(&metadata));
        self.held.as_ref().is_some_and(|held| !held.is_foreign && held.directory.id().ok() != there())
    }

    /// `text` with the path that the caller knows.
    pub fn shown(&self, text: String) -> String {
        match &self.held {
            Some(held) => text.replace(&*held.directory.path().to_string_lossy(), &self.path.to_string_lossy()),
            None => text,
        }
    }

    /// Whether it is worth a look whether an entry is not a plain file.
    pub fn may_have_links(&self) -> bool {
        self.for_scripts
    }

    /// Whether an entry that is not a plain file is what an administrator has put there.
    pub fn allows_links(&self) -> bool {
        self.for_scripts && self.held.is_none() && file::is_private(&self.path)
    }

    fn child(&self, name: &str) -> PathBuf {
        file::child(self.held.as_ref().map_or(&self.path, |held| held.directory.path()), name)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it with mode 0700, and its parents with 0755, where they are missing; one that is there must be ours.
    /// Whether it is certain that it was not there.
    ///
    /// # Errors
    /// See [`MakeError`].
    pub fn make(&self) -> Result<bool, MakeError> {
        match &self.held {
            Some(held) if held.is_foreign => return Ok(false),
            Some(held) => return self.make_held(&held.directory),
            None => {}
        }
        // Most often it is missing, and its parent is not; what was made just now is ours.
        if self.own == 1 && std::fs::DirBuilder::new().mode(0o700).create(&self.path).is_ok() {
            return Ok(true);
        }
        // Before, so that nothing is made in it, and after, for what was made meanwhile.
        self.check_owner()?;
        self.mkdir().map_err(MakeError::Io)?;
        self.check_owner()?;
        Ok(false)
    }

    /// The same where somebody may exchange it under our hands: each step goes through a descriptor.
    fn make_held(&self, held: &HeldDirectory) -> Result<bool, MakeError> {
        let root = self.root();
        let io = MakeError::Io;
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(root).map_err(io)?;
        let (mut directory, mut is_new) = (held::open_without_links(root).map_err(io)?, false);
        let mut path = root.to_owned();
        for name in self.path.strip_prefix(root).unwrap_or(&self.path).components() {
            path.push(name);
            let opened = held::make_in(&directory, Path::new(&name), 0o700);
            (directory, is_new) = opened.map_err(|error| match file::foreign_owner(&path) {
                Ok(Some(owner)) => MakeError::Foreign { path: path.clone(), owner },
                Ok(None) | Err(_) => MakeError::Io(error),
            })?;
            let owner = held::owner(&directory).map_err(io)?;
            if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
                return Err(MakeError::Foreign { path, owner });
            }
        }
        if held.id().ok() != held::id(&directory).ok() {
            held.put(&directory).map_err(io)?;
        }
        Ok(is_new)
    }

    /// The status root.
    fn root(&self) -> &Path {
        self.path.ancestors().nth(self.own).unwrap_or(Path::new(""))
    }

    /// In a directory of somebody else's, files may be exchanged under our hands and commands be given by its owner;
    /// root and we ourselves could do that anyway.
    fn check_owner(&self) -> Result<(), MakeError> {
        for path in self.path.ancestors().take(self.own) {
            // What is missing is nobody's.
            if let Ok(Some(owner)) = file::foreign_owner(path) {
                return Err(MakeError::Foreign { path: path.to_owned(), owner });
            }
        }
        Ok(())
    }

    fn mkdir(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.path.is_dir() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(io::ErrorKind::NotADirectory.into()),
            other => other,
        }
    }

    /// Takes the lock that says who supervises.
    ///
    /// # Errors
    /// [`LockError::Held`] naming the holder, or what `open` gives.
    pub fn lock(&self) -> Result<Lock, LockError> {
        let lock = Lock::take(&self.lock_path())?;
        // What its owner has given a second name here may be a file of ours.
        if self.is_foreign() && lock.file().metadata().map_err(LockError::Io)?.nlink() != 1 {
            return Err(LockError::Io(io::Error::new(io::ErrorKind::InvalidInput, "it has a second name elsewhere")));
        }
        // On a full disk there is none; then it is tried again when a process is recorded.
        let _ = lock.make_room(record::SIZE);
        Ok(lock)
    }

    /// Makes `svcontrol`, the C program's name for `control`, unless something of that name is there.
    ///
    /// # Errors
    /// What `symlink` gives.
    pub fn link_svcontrol(&self) -> io::Result<()> {
        match symlink("control", self.child("svcontrol")) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// The lock file.
    pub fn lock_path(&self) -> PathBuf {
        self.child("lock")
    }

    /// The link that holds a record for which there is no room in the lock file.
    pub fn record_link(&self) -> PathBuf {
        self.child("record")
    }

    /// The FIFO into which the run process says that it is ready, if it does so by a descriptor.
    pub fn ready(&self) -> PathBuf {
        self.child("ready")
    }

    /// The FIFO into which `check` writes.
    pub fn check_output(&self) -> PathBuf {
        self.child("check")
    }

    /// The socket of sd_notify(3). It lies beside the status directories: whoever writes into it may not enter those.
    pub fn notify_socket(&self) -> PathBuf {
        file::child(&file::child(self.root(), NOTIFY_DIR), &self.notify_name())
    }

    fn notify_name(&self) -> String {
        self.path.strip_prefix(self.root()).unwrap_or(&self.path).to_string_lossy().replace('/', "%2f")
    }

    /// Makes the directory of the sockets, and has `bind` make this one's: at its own path, or, where somebody may exchange that
    /// directory, at one through a descriptor.
    ///
    /// # Errors
    /// What `mkdir` and `bind` give.
    pub fn bind_notify_socket<T>(&self, bind: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        if self.held.as_ref().is_none_or(|held| held.is_foreign) {
            let made = std::fs::DirBuilder::new().mode(NOTIFY_DIR_MODE).create(file::child(self.root(), NOTIFY_DIR));
            return match made {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                Ok(()) | Err(_) => bind(&self.notify_socket()),
            };
        }
        let (directory, _) =
            held::make_in(&held::open_without_links(self.root())?, Path::new(NOTIFY_DIR), NOTIFY_DIR_MODE)?;
        let owner = held::owner(&directory)?;
        if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{NOTIFY_DIR} belongs to uid {owner}"),
            ));
        }
        let directory = HeldDirectory::of(directory);
        bind(&file::child(directory.path(), &self.notify_name()))
    }

    /// The FIFO that takes commands.
    pub fn control(&self) -> PathBuf {
        self.child("control")
    }

    /// The FIFO that can be opened for writing only while somebody supervises.
    pub fn ok(&self) -> PathBuf {
        self.child("ok")
    }

    /// The 20 bytes.
    pub fn status(&self) -> PathBuf {
        self.child("status")
    }

    /// What 20 bytes cannot hold.
    pub fn state(&self) -> PathBuf {
        self.child("state.json")
    }

    /// The run process's standard output.
    pub fn stdout(&self) -> PathBuf {
        self.child("__stdout")
    }

    /// The run process's standard error.
    pub fn stderr(&self) -> PathBuf {
        self.child("__stderr")
    }

    /// The FIFO from a service to this module, its logger.
    pub fn log_pipe(&self) -> PathBuf {
        self.child("stdin")
    }

    /// The directory of the tree's own logger's files.
    pub fn own_log(&self) -> PathBuf {
        self.child(OWN_LOG)
    }

    /// NOTICE lines.
    pub fn log(&self) -> PathBuf {
        self.child("supervise.log")
    }

    /// WARNING and FATAL lines.
    pub fn log_wf(&self) -> PathBuf {
        self.child("supervise.log.wf")
    }
}

impl MakeError {
    /// A line for the user; `path` is the directory that was to be made.
    pub fn describe(&self, path: &Path) -> String {
        match self {
            MakeError::Io(error) => format!("cannot make {}: {}", path.display(), errno_text(error)),
            MakeError::Foreign { path, owner } => format!(
                "{} belongs to uid {owner}, neither to us (uid {}) nor to root, and is not used: remove it or chown it",
                path.display(),
                nix::unistd::geteuid()
            ),
        }
    }
}

impl From<MakeError> for io::Error {
    fn from(error: MakeError) -> io::Error {
        match error {
            MakeError::Io(error) => error,
            MakeError::Foreign { .. } => Errno::EPERM.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_private_and_its_parents_are_not() {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::new(root.path().join("status/web"));
        assert!(!dir.make().unwrap(), "its parent was missing, too");
        assert!(!dir.make().unwrap());
        assert!(StatusDir::new(root.path().join("status/mail")).make().unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(mode(&root.path().join("status")) & 0o700, 0o700);
    }

    #[test]
    fn a_directory_of_ours_or_of_root_will_do_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::of(root.path(), "web/log");
        dir.make().unwrap();
        // What is root's: above the temporary directory, and writing is another matter.
        StatusDir::new("/").make().unwrap();
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        std::os::unix::fs::chown(root.path().join("web"), Some(4711), None).unwrap();
        match dir.make() {
            Err(MakeError::Foreign { path, owner: 4711 }) => assert_eq!(path, root.path().join("web")),
            other => panic!("{other:?}"),
        }
        // The status root may be a place where many put something.
        std::os::unix::fs::chown(root.path(), Some(4711), None).unwrap();
        StatusDir::of(root.path(), "mail").make().unwrap();
    }

    #[test]
    fn a_link_of_somebody_else_is_his_too() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("mine")).unwrap();
        symlink("mine", root.path().join("web")).unwrap();
        let dir = StatusDir::of(root.path(), "web");
        dir.make().unwrap();
        std::os::unix::fs::lchown(root.path().join("web"), Some(4711), None).unwrap();
        assert!(matches!(dir.make(), Err(MakeError::Foreign { owner: 4711, .. })));
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("web"), "").unwrap();
        match StatusDir::new(root.path().join("web")).make() {
            Err(MakeError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::NotADirectory),
            other => panic!("{other:?}"),
        }
    }
}
