//! Where the status directories are, and whether somebody else may replace them.

use super::root::trust::{self, Writer};
use crate::status::StatusDir;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of all status directories.
#[derive(Debug)]
pub struct StatusRoot {
    path: PathBuf,
    exposed: Option<Exposed>,
}

/// One in which a tree of root must not trust a name.
#[derive(Debug)]
struct Exposed {
    writer: Writer,
    /// The path without links.
    path: PathBuf,
    /// Those that are held open, so that all who write into one write into the same.
    held: Mutex<BTreeMap<String, StatusDir>>,
}

impl StatusRoot {
    /// The one at `path`, an absolute path that need not exist yet.
    pub fn new(path: PathBuf) -> StatusRoot {
        let exposed = || {
            if !nix::unistd::geteuid().is_root() {
                return None;
            }
            let real = without_links(&path)?;
            let writer = trust::exchanger(&real)?;
            Some(Exposed { writer, path: real, held: Mutex::default() })
        };
        StatusRoot { exposed: exposed(), path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who else may replace what is in it, if we are root.
    pub fn writer(&self) -> Option<&Writer> {
        self.exposed.as_ref().map(|exposed| &exposed.writer)
    }

    /// The status directory of `module`.
    ///
    /// # Errors
    /// It has to be held open, and there is no descriptor to be had, or no /proc.
    pub fn dir(&self, module: &str) -> io::Result<StatusDir> {
        let Some(exposed) = &self.exposed else { return Ok(StatusDir::of(&self.path, module)) };
        let mut held = exposed.held.lock();
        if let Some(dir) = held.get(module) {
            return Ok(dir.clone());
        }
        held.retain(|_, dir| dir.is_shared());
        let dir = StatusDir::of(&exposed.path, module).held()?;
        held.insert(module.to_owned(), dir.clone());
        Ok(dir)
    }

    /// The status directory that is there for `module`, if it may be used.
    pub fn left(&self, module: &str) -> Option<StatusDir> {
        let dir = self.dir(module).ok()?;
        let is_usable = !dir.is_held() || (dir.path().symlink_metadata().is_ok() && dir.make().is_ok());
        is_usable.then_some(dir)
    }
}

/// The path without links, as far as it exists.
fn without_links(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|there| Some(there.canonicalize().ok()?.join(path.strip_prefix(there).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    #[test]
    fn what_nobody_else_may_exchange_is_not_held() {
        let top = tempfile::tempdir().unwrap();
        let root = StatusRoot::new(top.path().join("status"));
        assert!(root.writer().is_none());
        assert_eq!(root.dir("web").unwrap(), StatusDir::of(root.path(), "web"));
    }

    #[test]
    fn below_a_users_directory_all_share_one_that_is_held() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("not tested: needs root");
        }
        let top = tempfile::tempdir().unwrap();
        chown(top.path(), Some(4711), None).unwrap();
        let root = StatusRoot::new(top.path().join("status"));
        let told = root.writer().map(ToString::to_string);
        assert_eq!(told, Some(format!("uid 4711 may write {}", top.path().canonicalize().unwrap().display())));
        let (dir, again) = (root.dir("web/log").unwrap(), root.dir("web/log").unwrap());
        assert_eq!(dir, again);
        assert!(std::fs::write(dir.lock_path(), "").is_err(), "nothing is there yet");
        assert!(dir.make().unwrap());
        std::fs::write(again.lock_path(), "x").unwrap();
        assert!(!dir.is_displaced());
        // A directory of root's, by a link of the user's.
        let (at, victim) = (root.path().join("web"), top.path().join("victim"));
        std::fs::rename(&at, root.path().join("away")).unwrap();
        std::fs::create_dir(&victim).unwrap();
        symlink(&victim, &at).unwrap();
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &at,
            Some(4711.into()),
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
        assert!(dir.is_displaced());
        dir.make().unwrap_err();
        std::fs::write(dir.status(), "x").unwrap();
        assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
        // Once that is repaired, the directory is created again.
        std::fs::remove_file(&at).unwrap();
        assert!(dir.make().unwrap());
        std::fs::write(dir.status(), "x").unwrap();
        assert!(root.path().join("web/log/status").exists() && !dir.is_displaced());
    }
}
