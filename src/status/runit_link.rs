//! The link `supervise` in a service directory, which leads runit's tools to our files, and the packaged link that it replaces.
//!
//! Debian's packages and those of others bring a link of that name along. Without it, `runsv` does not start on the
//! directory after a reboot: ours leads nowhere then. So the target of the packaged link is part of that of ours:
//! `STATUS/web/supervise/packaged/%2frun%2frunit%2fsupervise%2fweb`, which is another name of `STATUS/web/supervise`. That
//! outlives a status root in `/run`, and adds nothing to the service directory, which Debian's cpsv(8) would take for one
//! that was changed by hand.

use super::runit_files::NAME;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Below our directory, the other names that it has.
const PACKAGED: &str = "packaged";

/// The temporary name of a new link, which is then renamed over the old one.
const NEW: &str = "supervise.new";

/// The files of `runsv`, `supervise` and older `s6-supervise`. A directory with any other file in it is not only theirs.
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
/// it is only that; the target of a packaged link is kept, and returned if the link was there just now.
///
/// # Errors
/// What the file system says; `NotADirectory` or `DirectoryNotEmpty` for what stays because it is something else.
pub fn place(service_dir: &Path, target: &Path, status_root: &Path) -> io::Result<Option<PathBuf>> {
    let link = service_dir.join(NAME);
    let (mut packaged, mut is_new) = (None, false);
    match std::fs::symlink_metadata(&link) {
        Ok(there) if there.is_symlink() => {
            let there = std::fs::read_link(&link)?;
            let (base, kept) = split(&there);
            is_new = kept.is_none() && !base.starts_with(status_root) && !is_of(target, base);
            packaged = kept.or_else(|| is_new.then(|| there.clone()));
            if there == text(target, packaged.as_deref()) {
                return name(target, packaged.as_deref()).map(|()| None);
            }
        }
        Ok(there) if there.is_dir() => remove_leftovers(&link)?,
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    name(target, packaged.as_deref())?;
    replace(service_dir, &text(target, packaged.as_deref()))?;
    Ok(packaged.filter(|_| is_new))
}

/// The target of our link.
fn text(target: &Path, packaged: Option<&Path>) -> PathBuf {
    packaged.map_or_else(|| target.to_owned(), |packaged| target.join(PACKAGED).join(encode(packaged)))
}

/// The directory that a link leads to, and the target of the packaged link that it has replaced.
fn split(there: &Path) -> (&Path, Option<PathBuf>) {
    let parent = there.parent().filter(|parent| parent.file_name() == Some(OsStr::new(PACKAGED)));
    match parent.and_then(Path::parent).zip(there.file_name().and_then(decode)) {
        Some((base, packaged)) => (base, Some(packaged)),
        None => (there, None),
    }
}

/// Gives our directory the name that the link says.
fn name(target: &Path, packaged: Option<&Path>) -> io::Result<()> {
    let Some(packaged) = packaged else { return Ok(()) };
    let dir = target.join(PACKAGED);
    let exists = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    exists(std::fs::create_dir(&dir))?;
    exists(symlink("..", dir.join(encode(packaged))))
}

/// Replaces what is there by a link, atomically: a link is there at every moment.
fn replace(service_dir: &Path, text: &Path) -> io::Result<()> {
    let new = service_dir.join(NEW);
    match symlink(text, &new) {
        // Left by somebody who was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(&new)?;
            symlink(text, &new)?;
        }
        made => made?,
    }
    std::fs::rename(&new, service_dir.join(NAME))
}

fn encode(path: &Path) -> OsString {
    let mut name = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' => name.extend(b"%2f"),
            b'%' => name.extend(b"%25"),
            other => name.push(*other),
        }
    }
    OsString::from_vec(name)
}

fn decode(name: &OsStr) -> Option<PathBuf> {
    let mut path = Vec::new();
    let mut parts = name.as_bytes().split(|byte| *byte == b'%');
    path.extend(parts.next()?);
    for part in parts {
        path.push(match part.get(..2)? {
            b"2f" => b'/',
            b"25" => b'%',
            _ => return None,
        });
        path.extend(part.get(2..)?);
    }
    Some(OsString::from_vec(path).into())
}

/// Whether `there` is what a tree with another status root would have in the place of `target`: it ends in the module's name
/// and `supervise`.
fn is_of(target: &Path, there: &Path) -> bool {
    let mut ends = target.iter().rev().zip(there.iter().rev());
    ends.next().is_some_and(|(ours, its)| ours == its) && ends.next().is_some_and(|(ours, its)| ours == its)
}

/// Whether the link in `service_dir` has replaced a packaged one.
pub fn is_packaged(service_dir: &Path) -> bool {
    std::fs::read_link(service_dir.join(NAME)).is_ok_and(|there| split(&there).1.is_some())
}

/// Removes our link in `service_dir`, and restores the packaged one. A link is ours if its directory `is_ours`.
///
/// # Errors
/// What the file system says.
pub fn put_back(service_dir: &Path, is_ours: impl Fn(&Path) -> bool) -> io::Result<PutBack> {
    let link = service_dir.join(NAME);
    // Only a link can be ours.
    let Ok(there) = std::fs::read_link(&link) else { return Ok(PutBack::Nothing) };
    match split(&there) {
        (base, _) if !is_ours(base) => Ok(PutBack::Nothing),
        (_, None) => std::fs::remove_file(link).map(|()| PutBack::Removed),
        (_, Some(packaged)) => replace(service_dir, &packaged).map(|()| PutBack::Packaged(packaged)),
    }
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

    /// A service directory, and our directory for it.
    struct Pair {
        dir: tempfile::TempDir,
    }

    impl Pair {
        fn new() -> Pair {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("st/web/supervise")).unwrap();
            std::fs::create_dir(dir.path().join("web")).unwrap();
            Pair { dir }
        }

        fn service(&self) -> PathBuf {
            self.dir.path().join("web")
        }

        fn ours(&self) -> PathBuf {
            self.dir.path().join("st/web/supervise")
        }

        fn place(&self) -> Option<PathBuf> {
            place(&self.service(), &self.ours(), &self.dir.path().join("st")).unwrap()
        }

        fn packages(&self, there: &str) {
            let _ = std::fs::remove_file(self.service().join(NAME));
            symlink(there, self.service().join(NAME)).unwrap();
        }

        fn put_back(&self) -> PutBack {
            put_back(&self.service(), |there| there == self.ours()).unwrap()
        }

        /// Whether the service directory's one entry leads to our directory.
        fn is_placed(&self) -> bool {
            let one = std::fs::read_dir(self.service()).unwrap().count() == 1;
            one && std::fs::canonicalize(self.service().join(NAME)).ok() == std::fs::canonicalize(self.ours()).ok()
        }

        fn link(&self) -> Option<PathBuf> {
            std::fs::read_link(self.service().join(NAME)).ok()
        }
    }

    #[test]
    fn where_a_packaged_link_led_is_kept_in_ours_and_put_back() {
        let pair = Pair::new();
        let (first, newer) = ("/run/runit/supervise/web", "../100%/sv.web");
        pair.packages(first);
        assert_eq!(pair.place(), Some(first.into()));
        assert!(pair.is_placed() && pair.place().is_none() && is_packaged(&pair.service()));
        // Our directory was removed and recreated.
        std::fs::remove_dir_all(pair.ours()).unwrap();
        std::fs::create_dir(pair.ours()).unwrap();
        assert!(pair.place().is_none() && pair.is_placed());
        // An upgrade of the package brings another one.
        pair.packages(newer);
        assert_eq!(pair.place(), Some(newer.into()));
        assert!(pair.is_placed());
        // After a reboot.
        std::fs::remove_dir_all(pair.ours()).unwrap();
        assert_eq!((pair.put_back(), pair.link()), (PutBack::Packaged(newer.into()), Some(newer.into())));
        assert_eq!(pair.put_back(), PutBack::Nothing);
    }

    #[test]
    fn another_tree_keeps_what_the_one_before_it_has_kept() {
        let pair = Pair::new();
        pair.packages("/var/st/web/supervise/packaged/%2frun%2fsv.web");
        assert!(pair.place().is_none() && pair.is_placed());
        assert_eq!(pair.put_back(), PutBack::Packaged("/run/sv.web".into()));
    }

    #[test]
    fn links_of_trees_are_no_packaged_ones() {
        let pair = Pair::new();
        let another = pair.dir.path().join("st/other/supervise");
        for other in [another.to_str().unwrap(), "/var/lib/st/web/supervise"] {
            pair.packages(other);
            assert!(pair.place().is_none() && pair.is_placed() && !is_packaged(&pair.service()));
            assert_eq!((pair.put_back(), pair.link()), (PutBack::Removed, None));
        }
    }

    #[test]
    fn what_a_package_has_put_back_itself_stays() {
        let pair = Pair::new();
        pair.packages("/run/runit/supervise/web");
        pair.place();
        pair.packages("/run/sv/web");
        assert_eq!((pair.put_back(), pair.link()), (PutBack::Nothing, Some("/run/sv/web".into())));
    }
}
