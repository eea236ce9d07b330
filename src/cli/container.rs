//! The status root in a container, where nobody wants to configure one: the first place that can be written.

use crate::status::dir::TREE_DIR;
use nix::unistd::{AccessFlags, Uid, access, geteuid};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The places for the status root of this user, the best first. Each may be missing or read-only.
fn places(uid: Uid) -> [PathBuf; 3] {
    let below = |parent: &str| PathBuf::from(format!("{parent}/supervise-status-{uid}"));
    ["/run/supervise-status".into(), below("/dev/shm"), below("/tmp")]
}

/// `$SUPERVISE_STATUS`, else the first place that can be written, which is made; else the first of all, for the message.
pub(super) fn status_root() -> PathBuf {
    super::named_for_tree().unwrap_or_else(|| {
        let places = places(geteuid());
        places.iter().find(|place| is_usable(place)).unwrap_or(&places[0]).clone()
    })
}

/// The one that a tree uses or has used.
pub(super) fn used_status_root() -> Option<PathBuf> {
    places(geteuid()).into_iter().find(|place| place.join(TREE_DIR).is_dir())
}

/// Whether the directory is ours and can be written; it is made if it is missing.
fn is_usable(place: &Path) -> bool {
    match fs::DirBuilder::new().mode(0o755).create(place) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return false,
        Ok(()) | Err(_) => {}
    }
    // Others may write into the directories above: what is not ours is not used.
    let is_ours = fs::symlink_metadata(place).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
    is_ours && access(place, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_no_directory_of_ours_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_usable(&dir.path().join("new")) && is_usable(&dir.path().join("new")));
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink(dir.path().join("new"), dir.path().join("link")).unwrap();
        for not in ["file", "link", "none/below"] {
            assert!(!is_usable(&dir.path().join(not)), "{not}");
        }
    }
}
