//! The link `supervise` in a service directory, which leads runit's tools to our files, and what it takes the place of.
//!
//! Debian's packages and those of others bring a link of that name along. Without it, `runsv` does not start on the
//! directory after a reboot: ours leads nowhere then. So the packaged link is set aside, in the directory itself, where it
//! outlives a status root in `/run`, and is put back in the end.

use super::runit_files::NAME;
use std::io;
use std::path::{Path, PathBuf};

/// The packaged link, while ours is in its place.
pub const KEPT: &str = "supervise.packaged";

/// What `runsv`, `supervise` and older `s6-supervise` leave in a directory of their own. With anything else in it, it
/// is not only theirs.
const THEIR_FILES: [&str; 9] = ["control", "ok", "lock", "pid", "pid.new", "stat", "stat.new", "status", "status.new"];

/// What became of a link of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// The packaged link is in its place again, and leads there.
    Packaged(PathBuf),
    /// It is gone; there was none before it.
    Removed,
    /// There is no link of ours.
    Nothing,
}

/// Makes the link in `service_dir` lead to `target`, below `status_root`. What an earlier supervisor has left there goes, if
/// it is only that; a packaged link is set aside, and returned if that was done just now.
///
/// # Errors
/// What the file system says; `NotADirectory` or `DirectoryNotEmpty` for what stays because it is something else.
pub fn place(service_dir: &Path, target: &Path, status_root: &Path) -> io::Result<Option<PathBuf>> {
    let link = service_dir.join(NAME);
    let mut set_aside = None;
    match std::fs::symlink_metadata(&link) {
        Ok(there) if there.is_symlink() => {
            let there = std::fs::read_link(&link)?;
            if there == target {
                return Ok(None);
            }
            if there.starts_with(status_root) || is_of(target, &there) {
                std::fs::remove_file(&link)?;
            } else {
                std::fs::rename(&link, service_dir.join(KEPT))?;
                set_aside = Some(there);
            }
        }
        Ok(there) if there.is_dir() => remove_leftovers(&link)?,
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match std::os::unix::fs::symlink(target, &link) {
        // The thread of another module that is the same directory was faster; the last one's stays.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && link.is_symlink() => Ok(set_aside),
        other => other.map(|()| set_aside),
    }
}

/// Whether `there` is what a tree with another status root would have in the place of `target`: it ends in the module's name
/// and `supervise`.
fn is_of(target: &Path, there: &Path) -> bool {
    let mut ends = target.iter().rev().zip(there.iter().rev());
    ends.next().is_some_and(|(ours, its)| ours == its) && ends.next().is_some_and(|(ours, its)| ours == its)
}

/// Whether a packaged link is set aside in `service_dir`.
pub fn is_kept(service_dir: &Path) -> bool {
    service_dir.join(KEPT).is_symlink()
}

/// Takes our link in `service_dir` away, and puts the packaged one back. Ours is the one for which `is_ours` says so.
///
/// # Errors
/// What the file system says.
pub fn put_back(service_dir: &Path, is_ours: impl Fn(&Path) -> bool) -> io::Result<PutBack> {
    let (link, kept) = (service_dir.join(NAME), service_dir.join(KEPT));
    match std::fs::symlink_metadata(&link) {
        Ok(there) if there.is_symlink() && !std::fs::read_link(&link).is_ok_and(|there| is_ours(&there)) => {
            // A package has put its own back.
            return if is_kept(service_dir) {
                std::fs::remove_file(kept).map(|()| PutBack::Nothing)
            } else {
                Ok(PutBack::Nothing)
            };
        }
        Ok(there) if !there.is_symlink() => return Ok(PutBack::Nothing),
        Ok(_) if is_kept(service_dir) => {}
        Ok(_) => return std::fs::remove_file(link).map(|()| PutBack::Removed),
        Err(_) if !is_kept(service_dir) => return Ok(PutBack::Nothing),
        Err(_) => {}
    }
    std::fs::rename(&kept, &link)?;
    std::fs::read_link(&link).map(PutBack::Packaged)
}

fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !THEIR_FILES.iter().any(|known| name == *known) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
    }
    for name in THEIR_FILES {
        match std::fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const ROOT: &str = "/run/st";
    const OURS: &str = "/run/st/web/supervise";

    fn place_at(dir: &Path) -> Option<PathBuf> {
        place(dir, Path::new(OURS), Path::new(ROOT)).unwrap()
    }

    fn leads(dir: &Path, name: &str) -> Option<String> {
        std::fs::read_link(dir.join(name)).ok().map(|there| there.to_string_lossy().into_owned())
    }

    fn end(dir: &Path) -> PutBack {
        put_back(dir, |there| there == Path::new(OURS)).unwrap()
    }

    #[test]
    fn a_packaged_link_is_set_aside_and_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        symlink("/run/runit/supervise/web", dir.join(NAME)).unwrap();
        assert_eq!(place_at(dir), Some("/run/runit/supervise/web".into()));
        assert_eq!((leads(dir, NAME).as_deref(), place_at(dir)), (Some(OURS), None));
        // An upgrade of the package brings another one.
        std::fs::remove_file(dir.join(NAME)).unwrap();
        symlink("/run/runit/supervise.web", dir.join(NAME)).unwrap();
        assert_eq!(place_at(dir), Some("/run/runit/supervise.web".into()));
        assert_eq!(end(dir), PutBack::Packaged("/run/runit/supervise.web".into()));
        assert_eq!((leads(dir, NAME).as_deref(), leads(dir, KEPT)), (Some("/run/runit/supervise.web"), None));
        assert_eq!(end(dir), PutBack::Nothing);
    }

    #[test]
    fn links_of_trees_are_no_packaged_ones() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for other in ["/run/st/other/supervise", "/var/lib/st/web/supervise"] {
            symlink(other, dir.join(NAME)).unwrap();
            assert_eq!((place_at(dir), leads(dir, NAME).as_deref()), (None, Some(OURS)));
            assert_eq!((end(dir), leads(dir, NAME)), (PutBack::Removed, None));
        }
    }

    #[test]
    fn what_a_package_has_put_back_itself_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        symlink("/run/runit/supervise/web", dir.join(NAME)).unwrap();
        place_at(dir);
        std::fs::remove_file(dir.join(NAME)).unwrap();
        symlink("/run/sv/web", dir.join(NAME)).unwrap();
        assert_eq!(end(dir), PutBack::Nothing);
        assert_eq!((leads(dir, NAME).as_deref(), is_kept(dir)), (Some("/run/sv/web"), false));
    }
}
