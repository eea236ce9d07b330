//! Who may write what the tree executes as root. Whoever may is root, for `run`, `finish` and `control/` run as the tree does.

use crate::conf::own::s6;
use crate::service::entries::Entries;
use crate::sys::files::file;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The bits of a mode by which a group, and everybody, may write.
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;

/// Somebody other than root who may write a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The file or directory.
    pub path: PathBuf,
    who: Who,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    User(u32),
    Group(u32),
    Everybody,
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.who {
            Who::User(uid) => write!(f, "uid {uid}")?,
            Who::Group(gid) => write!(f, "group {gid}")?,
            Who::Everybody => write!(f, "everybody")?,
        }
        write!(f, " may write {}", self.path.display())
    }
}

/// Who beside root may say what is executed in the service directory at `path`, by those of its entries that decide that
/// beside `run`, if anybody may.
pub fn writer_of_entries(path: &Path, entries: Entries) -> Option<Writer> {
    let deciding = [(entries.finish, "finish"), (entries.control, "control"), (entries.conf, "supervise.conf")];
    let deciding = deciding.into_iter().filter(|(is_there, _)| *is_there).map(|(_, entry)| entry);
    let of_s6 = s6::FILES.into_iter().filter(|_| entries.s6);
    deciding.chain(of_s6).find_map(|entry| writer(&file::child(path, entry)))
}

/// Who beside root may write what is at `path`, if anybody may. What is not there, nobody can.
pub fn writer(path: &Path) -> Option<Writer> {
    writer_of(path, &std::fs::metadata(path).ok()?)
}

/// The same of what `metadata` describes.
pub fn writer_of(path: &Path, metadata: &Metadata) -> Option<Writer> {
    Some(Writer { path: path.to_owned(), who: who(metadata)? })
}

/// Who beside root may replace what is at `path`, by renaming it or a directory above it, if anybody may. The
/// path has no links; what is not there yet is root's.
pub fn exchanger(path: &Path) -> Option<Writer> {
    path.ancestors().find_map(|dir| {
        let metadata = std::fs::metadata(dir).ok()?;
        // In a directory with the sticky bit, each name is its owner's.
        let is_shared = metadata.mode() & libc::S_ISVTX != 0 && is_root(metadata.uid());
        if is_shared { None } else { writer_of(dir, &metadata) }
    })
}

fn who(metadata: &Metadata) -> Option<Who> {
    match () {
        () if metadata.mode() & ALL_WRITE != 0 => Some(Who::Everybody),
        () if !is_root(metadata.uid()) => Some(Who::User(metadata.uid())),
        () if metadata.mode() & GROUP_WRITES != 0 && metadata.gid() != 0 => Some(Who::Group(metadata.gid())),
        () => None,
    }
}

/// Whether `uid` is root, or stands for the machine's root in a user namespace that does not know it: whoever is not known
/// there shows as the overflow uid, and the machine's root may do everything anyway.
fn is_root(uid: u32) -> bool {
    static UNKNOWN: OnceLock<Option<u32>> = OnceLock::new();
    let unknown = || {
        let map = std::fs::read_to_string("/proc/self/uid_map").ok()?;
        let text = std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?;
        (!knows_root(&map)).then(|| text.trim().parse().ok()).flatten()
    };
    uid == 0 || *UNKNOWN.get_or_init(unknown) == Some(uid)
}

/// Whether a user namespace with this `uid_map` has the uid 0 of the one around it.
fn knows_root(map: &str) -> bool {
    map.lines().any(|line| line.split_whitespace().nth(1) == Some("0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown};

    #[test]
    fn the_machines_root_is_known_or_not() {
        assert!(knows_root("         0          0 4294967295\n"));
        assert!(knows_root("         0       1000          1\n         1          0       1000\n"));
        assert!(!knows_root("         0       1000          1\n"));
        assert!(!knows_root(""));
    }

    #[test]
    fn whoever_may_write_is_named_with_the_file() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("not tested: needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let (path, run) = (dir.path(), dir.path().join("run"));
        std::fs::write(&run, "").unwrap();
        let chmod = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        let finish = Entries { finish: true, ..Entries::default() };
        let of_service = || writer(path).or_else(|| writer(&run)).or_else(|| writer_of_entries(path, finish));
        let told = || of_service().map(|writer| writer.to_string());
        chmod(path, 0o775);
        chmod(&run, 0o755);
        assert_eq!(told(), None, "the group is root's");
        chown(path, None, Some(4711)).unwrap();
        assert_eq!(told(), Some(format!("group 4711 may write {}", path.display())));
        chmod(path, 0o755);
        chmod(&run, 0o757);
        assert_eq!(told(), Some(format!("everybody may write {}", run.display())));
        chmod(&run, 0o755);
        chown(&run, Some(4711), None).unwrap();
        assert_eq!(told(), Some(format!("uid 4711 may write {}", run.display())));
        chown(&run, Some(0), None).unwrap();
        let finish = path.join("finish");
        std::fs::write(&finish, "").unwrap();
        assert_eq!(told(), None);
        chmod(&finish, 0o757);
        assert_eq!(told(), Some(format!("everybody may write {}", finish.display())));
    }
}
