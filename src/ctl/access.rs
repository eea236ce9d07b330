//! What to say when the kernel says no: which file it is about, whose it is, and who would be let in.

use crate::sys::errno_text;
use nix::unistd::{AccessFlags, Uid, User, access};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The user who may do everything, on most machines.
const ROOT: &str = "root";

/// Whether `error` is for want of permission.
pub fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

/// `PATH: ERRNO TEXT`, and, for want of permission, which file or directory on the way refuses, and to whom it
/// belongs.
pub fn explain(path: &Path, error: &io::Error) -> String {
    let what = format!("{}: {}", shown(path), errno_text(error));
    if !is_denied(error) {
        return what;
    }
    let culprit = culprit(path);
    let Ok(metadata) = std::fs::metadata(&culprit) else { return what };
    let owner = user(metadata.uid());
    let mode = metadata.mode() & 0o7777;
    match error.raw_os_error() {
        // As root, and still refused: a read-only mount, a security module, an immutable file.
        _ if nix::unistd::geteuid().is_root() => format!("{what}, even for root"),
        _ => format!(
            "{what}: {} belongs to {owner} (mode {mode:04o}); run svctl {}",
            if culprit == path { "it".into() } else { shown(&culprit) },
            as_whom(&owner)
        ),
    }
}

/// Who may do what belongs to `owner`.
pub fn as_whom(owner: &str) -> String {
    if owner == ROOT { format!("as {ROOT}") } else { format!("as {owner} or as {ROOT}") }
}

/// The first directory on the way to `path` that may not be searched, else `path` itself.
fn culprit(path: &Path) -> PathBuf {
    let mut way: Vec<&Path> = path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()).collect();
    way.reverse();
    let closed = way.into_iter().find(|part| access(*part, AccessFlags::X_OK).is_err());
    closed.unwrap_or(path).to_owned()
}

/// A path in a message, with what would break the line escaped.
pub fn shown(path: &Path) -> String {
    crate::ctl::format::text(&path.to_string_lossy())
}

/// A user's name, else the number.
pub fn user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_errors_are_path_and_text() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(explain(Path::new("status/we\nb"), &error), r"status/we\nb: No such file or directory");
    }

    #[test]
    fn nobody_is_named_twice() {
        assert_eq!(as_whom("root"), "as root");
        assert_eq!(as_whom("www"), "as www or as root");
    }

    #[test]
    fn users_have_names() {
        assert_eq!(user(0), "root");
        assert_eq!(user(4_000_000_000), "uid 4000000000");
    }
}
