//! What an entry of the services root is.

use super::trust::{self, Writer};
use crate::conf::CONFIG_FILE;
use crate::service::entries::Contents;
use crate::sys::Errno;
use crate::sys::files::file;
use crate::sys::files::file_id::{FileId, FileInstance};
use log::Level;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A service directory that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDir {
    /// The module: the directory's name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Which directory it is, whatever its name: for a link, the one that it leads to.
    pub instance: FileInstance,
    /// The link, if it is one. That may be renamed after it was switched to another directory.
    pub link: Option<FileId>,
    /// Whether it has a logger, in its `log/`.
    pub has_logger: bool,
    /// What else is in it.
    pub contents: Contents,
    /// Who beside root may write it, or its `run`, if anybody may.
    pub writer: Option<Box<Writer>>,
}

/// What a name in the services root is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A service directory.
    Service(ServiceDir),
    /// A directory without an executable `run`: it may become a service.
    NotYet,
    /// Nothing of that name.
    Gone,
    /// Nothing of ours (a name with a dot, the configuration file).
    Ignored,
    /// Passed over, and why.
    Refused(Refusal),
    /// It cannot be told just now: whatever is known of it stands.
    Unknown,
}

/// Why a name is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A link whose target is not there, or a circle of links.
    LeadsNowhere,
    /// A file, perhaps a README.
    NotADirectory,
    /// A name that no log line, no environment and no command could show as it is.
    Name,
    /// The command that the tree was given has this name.
    Taken,
    /// Somebody other than root may write it, and `--strict` refuses that.
    Untrusted,
}

impl Refusal {
    /// How loudly it is said: a README is not meant to be a service.
    pub fn level(self) -> Level {
        match self {
            Refusal::NotADirectory => Level::Info,
            Refusal::LeadsNowhere | Refusal::Name | Refusal::Taken | Refusal::Untrusted => Level::Warn,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::Taken => "the command after -- is called so: give the directory another name",
            Refusal::LeadsNowhere => "a link that leads nowhere",
            Refusal::NotADirectory => "not a directory",
            Refusal::Untrusted => "somebody other than root may write it, which --strict refuses",
            Refusal::Name => "a control character or invalid UTF-8 in its name",
        })
    }
}

/// Looks at one name in `root`.
pub fn look(root: &Path, name: &std::ffi::OsStr) -> EntryKind {
    if name.as_bytes().starts_with(b".") || name == CONFIG_FILE {
        return EntryKind::Ignored;
    }
    let path = root.join(name);
    let metadata = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return dangling_or_gone(&path),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return EntryKind::Refused(Refusal::LeadsNowhere),
        Err(_) => return EntryKind::Unknown,
    };
    if !metadata.is_dir() {
        return EntryKind::Refused(Refusal::NotADirectory);
    }
    let Some(name) = name.to_str().filter(|name| !name.chars().any(char::is_control)) else {
        return EntryKind::Refused(Refusal::Name);
    };
    let run = file::child(&path, "run");
    let Some(executable) = file::executable(&run) else { return EntryKind::NotYet };
    let Some(contents) = Contents::of(&path, &metadata) else { return EntryKind::Unknown };
    let has_logger = contents.entries.log && file::is_executable(&file::child(&file::child(&path, "log"), "run"));
    let writer = trust::writer_of(&path, &metadata).or_else(|| trust::writer_of(&run, &executable)).map(Box::new);
    let (name, instance) = (name.to_string(), FileInstance::of(&metadata));
    // It may have been moved away since the first look: then what is in it was looked for in vain.
    let Ok(there) = std::fs::symlink_metadata(&path) else { return EntryKind::Unknown };
    let link = there.is_symlink().then(|| FileId::of(&there));
    let leads_there = match link {
        None => FileInstance::of(&there) == instance,
        Some(_) => std::fs::metadata(&path).is_ok_and(|there| FileInstance::of(&there) == instance),
    };
    if !leads_there {
        return EntryKind::Unknown;
    }
    EntryKind::Service(ServiceDir { name, path, instance, link, has_logger, contents, writer })
}

/// Which link `path` is, if it is one.
pub fn link_at(path: &Path) -> Option<FileId> {
    let metadata = std::fs::symlink_metadata(path).ok().filter(Metadata::is_symlink)?;
    Some(FileId::of(&metadata))
}

impl ServiceDir {
    /// Whether both are one directory, or one link to directories, under two names.
    pub fn is_renamed_from(&self, other: &ServiceDir) -> bool {
        let same_link = self.link.is_some() && self.link == other.link;
        (self.instance.id == other.instance.id || same_link) && self.name != other.name
    }
}

/// Why the `log/run` in the service directory at `path` makes no logger; `None` if there is none, or it does.
pub fn refused_logger(path: &Path) -> Option<&'static str> {
    let run = file::child(&file::child(path, "log"), "run");
    std::fs::symlink_metadata(&run).ok()?;
    match std::fs::metadata(&run) {
        Ok(_) if file::is_executable(&run) => None,
        Ok(_) => Some("log/run is not executable"),
        Err(_) => Some("log/run is a link that leads nowhere"),
    }
}

/// Whether the service directory at `path` has nothing called `log/run`.
pub fn has_no_logger(path: &Path) -> bool {
    let run = file::child(&file::child(path, "log"), "run");
    std::fs::symlink_metadata(run)
        .is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// A link without a target: whoever made it meant a service by it, and is told so.
fn dangling_or_gone(path: &Path) -> EntryKind {
    match std::fs::symlink_metadata(path) {
        Ok(_) => EntryKind::Refused(Refusal::LeadsNowhere),
        Err(error) if error.kind() == io::ErrorKind::NotFound => EntryKind::Gone,
        Err(_) => EntryKind::Unknown,
    }
}

/// Whether the directory that was `root` when it was last looked at, and is it now, has no entry `name`. Asked of the open
/// directory: by its path, another one might answer, or none, if it is moved away for a moment.
pub fn is_gone(root: &Path, instance: Option<FileInstance>, name: &std::ffi::OsStr) -> bool {
    is_missing(root, instance, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// The same for an entry that may be there as a link that leads nowhere.
pub fn leads_nowhere(root: &Path, instance: Option<FileInstance>, name: &std::ffi::OsStr) -> bool {
    is_missing(root, instance, name, AtFlags::empty())
}

fn is_missing(root: &Path, instance: Option<FileInstance>, name: &std::ffi::OsStr, flags: AtFlags) -> bool {
    let Ok(directory) = std::fs::File::open(root) else { return false };
    let same = directory.metadata().is_ok_and(|metadata| Some(FileInstance::of(&metadata)) == instance);
    same && fstatat(&directory, name, flags) == Err(Errno::ENOENT)
}

/// All names in `root`, sorted.
///
/// # Errors
/// What `readdir` gives, also in the middle: half a list must not be acted on.
pub fn names(root: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = std::fs::read_dir(root)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("web/log")).unwrap();
        for run in ["web/run", "web/log/run"] {
            std::fs::write(root.path().join(run), "#!/bin/sh\n").unwrap();
            chmod(&root.path().join(run), 0o755);
        }
        root
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_directory_with_run_is_a_service_and_log_its_logger() {
        let root = root();
        let EntryKind::Service(found) = look(root.path(), OsStr::new("web")) else { panic!() };
        assert_eq!(found.name, "web");
        assert!(found.has_logger);
    }

    #[test]
    fn a_link_is_what_it_leads_to() {
        let root = root();
        symlink("web", root.path().join("alias")).unwrap();
        symlink("nowhere", root.path().join("broken")).unwrap();
        let instance = |name| match look(root.path(), OsStr::new(name)) {
            EntryKind::Service(found) => Some(found.instance),
            _ => None,
        };
        assert_eq!(instance("alias"), instance("web"));
        assert_eq!(look(root.path(), OsStr::new("broken")), EntryKind::Refused(Refusal::LeadsNowhere));
    }

    #[test]
    fn everything_else_is_told_apart() {
        let root = root();
        chmod(&root.path().join("web/run"), 0o644);
        std::fs::write(root.path().join("file"), "").unwrap();
        std::fs::write(root.path().join("supervise.conf"), "").unwrap();
        std::fs::create_dir(root.path().join("new\nline")).unwrap();
        std::fs::create_dir(root.path().join("run-is-a-directory")).unwrap();
        std::fs::create_dir(root.path().join("run-is-a-directory/run")).unwrap();
        let entry = |name| look(root.path(), OsStr::new(name));
        assert_eq!(entry("web"), EntryKind::NotYet);
        assert_eq!(entry("run-is-a-directory"), EntryKind::NotYet);
        assert_eq!(entry("file"), EntryKind::Refused(Refusal::NotADirectory));
        assert_eq!(entry("new\nline"), EntryKind::Refused(Refusal::Name));
        assert_eq!(entry(".hidden"), EntryKind::Ignored);
        assert_eq!(entry("supervise.conf"), EntryKind::Ignored);
        assert_eq!(entry("none"), EntryKind::Gone);
    }
}
