//! A directory that is held open and reached through its descriptor: whoever replaces it by another one, or by a symbolic link,
//! does not change where we write.

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use super::file_id::FileId;

/// Stands for a directory that does not exist yet: no file can be created in it.
const PLACEHOLDER: &str = "/proc";

/// A directory, reached by a path that stays the same when another directory takes its place here.
#[derive(Debug)]
pub struct HeldDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl HeldDirectory {
    /// None yet: what is made at its path fails until one is [put](HeldDirectory::put) there.
    ///
    /// # Errors
    /// `EMFILE`, and `ENOENT` where there is no /proc.
    pub fn reserve() -> io::Result<HeldDirectory> {
        Ok(HeldDirectory::of(open_in(AT_FDCWD, Path::new(PLACEHOLDER))?))
    }

    /// This one.
    pub fn of(descriptor: OwnedFd) -> HeldDirectory {
        // With our own pid instead of `self`, because children open it, too.
        let path = format!("/proc/{}/fd/{}", std::process::id(), descriptor.as_raw_fd()).into();
        HeldDirectory { descriptor, path }
    }

    /// The path through our descriptor, which our children can open as well.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which directory it is.
    ///
    /// # Errors
    /// What `fstat` gives.
    pub fn id(&self) -> io::Result<FileId> {
        id(&self.descriptor)
    }

    /// The path leads to this one from now on.
    ///
    /// # Errors
    /// What `dup3` gives.
    pub fn put(&self, directory: &OwnedFd) -> io::Result<()> {
        // SAFETY: takes three integers. The descriptor stays ours, and is open all the time.
        let done = unsafe { libc::dup3(directory.as_raw_fd(), self.descriptor.as_raw_fd(), libc::O_CLOEXEC) };
        Ok(Errno::result(done).map(drop)?)
    }
}

/// Opens the directory at the absolute `path`, of which no component may be a link.
///
/// # Errors
/// `ENOTDIR` for a link or a file on the way, and what `openat` gives.
pub fn open_without_links(path: &Path) -> io::Result<OwnedFd> {
    let mut directory = open_in(AT_FDCWD, Path::new("/"))?;
    for component in path.components().filter(|component| matches!(component, Component::Normal(_))) {
        directory = open_in(&directory, Path::new(component.as_os_str()))?;
    }
    Ok(directory)
}

/// Opens the directory `name` in `parent`, which may be no link, and makes it with `mode` before if it is missing. The second
/// value says whether it was.
///
/// # Errors
/// `ENOTDIR` for a link or a file, and what `mkdirat` and `openat` give.
pub fn make_in(parent: &OwnedFd, name: &Path, mode: u32) -> io::Result<(OwnedFd, bool)> {
    let made = match mkdirat(parent, name, Mode::from_bits_truncate(mode)) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    Ok((open_in(parent, name)?, made))
}

/// Which directory it is.
///
/// # Errors
/// What `fstat` gives.
pub fn id(directory: &OwnedFd) -> io::Result<FileId> {
    let there = fstat(directory)?;
    Ok(FileId { device: there.st_dev, inode: there.st_ino })
}

/// The uid of its owner.
///
/// # Errors
/// What `fstat` gives.
pub fn owner(directory: &OwnedFd) -> io::Result<u32> {
    Ok(fstat(directory)?.st_uid)
}

fn open_in(parent: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_can_be_made_before_a_directory_is_put_there() {
        let held = HeldDirectory::reserve().unwrap();
        assert!(std::fs::write(held.path().join("lock"), "").is_err());
        let root = tempfile::tempdir().unwrap();
        let top = open_without_links(&root.path().canonicalize().unwrap()).unwrap();
        let (web, made) = make_in(&top, Path::new("web"), 0o700).unwrap();
        assert!(made && !make_in(&top, Path::new("web"), 0o700).unwrap().1);
        held.put(&web).unwrap();
        std::fs::write(held.path().join("lock"), "x").unwrap();
        std::fs::rename(root.path().join("web"), root.path().join("away")).unwrap();
        symlink("/", root.path().join("web")).unwrap();
        assert_eq!(std::fs::read(held.path().join("lock")).unwrap(), b"x");
        let refused = make_in(&top, Path::new("web"), 0o700).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOTDIR));
    }

    #[test]
    fn no_link_on_the_way_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("real")).unwrap();
        symlink("real", top.join("link")).unwrap();
        assert_eq!(id(&open_without_links(&top.join("real")).unwrap()).unwrap(), {
            let metadata = std::fs::metadata(top.join("link")).unwrap();
            FileId::of(&metadata)
        });
        assert!(open_without_links(&top.join("link")).is_err());
    }
}
