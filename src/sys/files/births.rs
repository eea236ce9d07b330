//! On which devices the time at which a file was made stays what it is.
//!
//! On an overlay, what is in a lower layer is copied up when it is first changed: a service directory of a container's image
//! that gets a `down` file keeps its inode number, and has another time of birth. It is the same directory.

use nix::sys::stat::{major, minor};
use parking_lot::RwLock;

/// The file system whose births change.
const OVERLAY: &[u8] = b"overlay";

/// What is known of the devices that were seen. There are few.
static SEEN: RwLock<Vec<(u64, bool)>> = RwLock::new(Vec::new());

/// Whether files of `device` keep their time of birth.
pub(super) fn are_kept(device: u64) -> bool {
    let seen = SEEN.read().iter().find(|(seen, _)| *seen == device).map(|(_, kept)| *kept);
    seen.unwrap_or_else(|| look_up(device))
}

// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn look_up(device: u64) -> bool {
    // Without /proc, nothing is known against them.
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let kept = !is_overlay(&mounts, (major(device), minor(device)));
    SEEN.write().push((device, kept));
    kept
}

/// Whether this device is an overlay, by a text as in `/proc/self/mountinfo` (proc(5)).
fn is_overlay(mounts: &[u8], device: (u64, u64)) -> bool {
    let number = format!("{}:{}", device.0, device.1);
    mounts.split(|byte| *byte == b'\n').any(|line| {
        // `36 35 0:31 / /merged rw,noatime master:1 - overlay overlay rw`: after the mount's options, and fields of which
        // there may be none, a dash stands before the type.
        let mut words = line.split(|byte| *byte == b' ');
        let is_it = words.nth(2) == Some(number.as_bytes());
        is_it && words.skip(3).skip_while(|word| *word != b"-").nth(1) == Some(OVERLAY)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_told_by_its_number_and_type() {
        let mounts =
            b"22 1 254:0 / / rw - ext4 /dev/vda rw\n36 22 0:31 / - rw,noatime shared:1 master:1 - overlay none rw\n\
            37 22 0:32 / /n rw - tmpfs overlay rw\n38 22 0:33 / /o rw - overlay none rw";
        let is = |device| is_overlay(mounts, device);
        assert!(is((0, 31)) && is((0, 33)), "a mount point may be a dash");
        assert!(!is((254, 0)) && !is((0, 32)) && !is((0, 3)) && !is((22, 1)));
    }

    #[test]
    fn temporary_files_keep_theirs_or_are_on_an_overlay() {
        let dir = tempfile::tempdir().unwrap();
        let device = std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(dir.path()).unwrap());
        let mounts = std::fs::read("/proc/self/mountinfo").unwrap();
        assert_eq!(are_kept(device), !is_overlay(&mounts, (major(device), minor(device))));
        assert_eq!(are_kept(device), are_kept(device));
    }
}
