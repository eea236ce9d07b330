//! One look at what a name leads to, from a supervisor thread: see [`crate::sys::threads::thread`] for what the standard library's
//! frames, a kilobyte for each look, would cost there.

use super::births;
use std::ffi::CString;
use std::fs::Metadata;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which file it is, and when it was made and changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Device number, `st_dev`.
    pub device: u64,
    /// Inode number, `st_ino`.
    pub inode: u64,
    /// Birth time in nanoseconds since the epoch; 0 where the file system keeps none, or not for good.
    pub born: u128,
    /// Time of the last modification.
    pub changed: SystemTime,
}

impl Look {
    /// What `metadata` says.
    pub fn of(metadata: &Metadata) -> Look {
        let born = metadata.created().ok().filter(|_| births::are_kept(metadata.dev()));
        let born = born.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
        let changed = metadata.modified().unwrap_or(UNIX_EPOCH);
        Look { device: metadata.dev(), inode: metadata.ino(), born, changed }
    }

    /// Looks at `path`; of a symbolic link, the link itself.
    ///
    /// # Errors
    /// What `lstat` gives.
    pub fn at(path: &Path) -> io::Result<Look> {
        look(path, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// Looks at what `path` leads to.
    ///
    /// # Errors
    /// What `stat` gives.
    pub fn behind(path: &Path) -> io::Result<Look> {
        look(path, 0)
    }
}

// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn look(path: &Path, flags: libc::c_int) -> io::Result<Look> {
    let c_path = CString::new(path.as_os_str().as_bytes())?;
    let mut there = MaybeUninit::<libc::statx>::zeroed();
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: a path that lives through the call, and room for what the kernel writes. By number, as older C libraries have no
    // function for it.
    let done =
        unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, c_path.as_ptr(), flags, mask, there.as_mut_ptr()) };
    if done != 0 {
        return match io::Error::last_os_error() {
            // Old sandboxes do not know the call.
            error if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => look_without(path, flags),
            error => Err(error),
        };
    }
    // SAFETY: zeroes are a valid statx, and the kernel has filled it in.
    let there = unsafe { there.assume_init() };
    let time = |at: libc::statx_timestamp| {
        let (seconds, more) = (Duration::from_secs(at.tv_sec.unsigned_abs()), Duration::from_nanos(at.tv_nsec.into()));
        if at.tv_sec < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) }
            .and_then(|whole| whole.checked_add(more))
            .unwrap_or(UNIX_EPOCH)
    };
    let device = libc::makedev(there.stx_dev_major, there.stx_dev_minor);
    let has_birth = there.stx_mask & libc::STATX_BTIME != 0 && births::are_kept(device);
    let born =
        if has_birth { time(there.stx_btime).duration_since(UNIX_EPOCH).map_or(0, |at| at.as_nanos()) } else { 0 };
    Ok(Look { device, inode: there.stx_ino, born, changed: time(there.stx_mtime) })
}

#[inline(never)]
fn look_without(path: &Path, flags: libc::c_int) -> io::Result<Look> {
    let metadata = if flags == 0 { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
    metadata.map(|metadata| Look::of(&metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_standard_library_says() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert_eq!(Look::at(&link).unwrap(), Look::of(&std::fs::symlink_metadata(&link).unwrap()));
        assert_eq!(Look::behind(&link).unwrap(), Look::of(&std::fs::metadata(&link).unwrap()));
        assert_ne!(Look::at(&link).unwrap(), Look::behind(&link).unwrap());
        for flags in [0, libc::AT_SYMLINK_NOFOLLOW] {
            assert_eq!(look(&link, flags).unwrap(), look_without(&link, flags).unwrap());
        }
        assert_eq!(Look::at(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let long_ago = UNIX_EPOCH - Duration::from_millis(1500);
        let times = std::fs::FileTimes::new().set_modified(long_ago);
        std::fs::File::open(dir.path()).and_then(|open| open.set_times(times)).unwrap();
        assert_eq!(Look::behind(dir.path()).unwrap(), Look::of(&std::fs::metadata(dir.path()).unwrap()));
    }
}
