//! The names in a directory that is expected to be small.
//!
//! The iterator of the standard library asks the directory for its kind first and takes 32 KiB from the heap; where a thousand
//! directories are looked at, that is felt. This needs an `open`, two `getdents64` and a `close`, and half a kilobyte of stack.

use super::file_id::FileId;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Room for the names of most service directories, in words: about 20 names, or one that is as long as a name can be.
const ROOM: usize = 64;

/// So many times it is filled. A directory with more names than that is searched faster for each name by itself.
const LOOKS: usize = 8;

/// Where in an entry its length is, and where its name begins (`struct linux_dirent64`).
const LENGTH: usize = 16;
const NAME: usize = 19;

/// Calls `each` for every name in the directory at `path` ("." and ".." too); false if there are too many for one look. If
/// `expect` says which directory it has to be, it is that one.
///
/// # Errors
/// What `open` and `getdents64` give; `ESTALE` where another directory is there.
pub fn names(path: &Path, expect: Option<FileId>, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
    let c_path = CString::new(path.as_os_str().as_bytes())?;
    let how = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let dir = nix::fcntl::open(&*c_path, how, Mode::empty())?;
    if let Some(expect) = expect {
        let there = nix::sys::stat::fstat(&dir)?;
        if expect != (FileId { device: there.st_dev, inode: there.st_ino }) {
            return Err(Errno::ESTALE.into());
        }
    }
    let mut room = [0u64; ROOM];
    for _ in 0..LOOKS {
        let length = size_of_val(&room);
        // SAFETY: the kernel writes no more than the length of the room, which lives through the call.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), room.as_mut_ptr(), length) };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        if read == 0 {
            return Ok(true);
        }
        // SAFETY: the room is that long, initialised, and any byte is valid.
        let mut rest = unsafe { std::slice::from_raw_parts(room.as_ptr().cast::<u8>(), read.min(length)) };
        while let [.., _] = rest {
            let Some(length) = rest.get(LENGTH..LENGTH + 2).and_then(|two| two.try_into().ok()) else { break };
            let length = usize::from(u16::from_ne_bytes(length)).max(NAME);
            let name = rest.get(NAME..length.min(rest.len())).unwrap_or_default();
            each(name.split(|byte| *byte == 0).next().unwrap_or_default());
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn listed(path: &Path) -> (bool, BTreeSet<Vec<u8>>) {
        let mut found = BTreeSet::new();
        let all = names(path, None, |name| _ = found.insert(name.to_vec())).unwrap();
        (all, found)
    }

    #[test]
    fn every_name_is_given_and_too_many_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let names_of = |count| (0..count).map(|number| format!("{number:-<200}").into_bytes());
        let dots = [b".".to_vec(), b"..".to_vec()];
        assert_eq!(listed(dir.path()), (true, dots.clone().into()));
        for count in [1, 10] {
            for name in names_of(count) {
                std::fs::write(dir.path().join(std::str::from_utf8(&name).unwrap()), "").unwrap();
            }
            assert_eq!(listed(dir.path()), (true, names_of(count).chain(dots.clone()).collect()));
        }
        for name in names_of(100) {
            std::fs::write(dir.path().join(std::str::from_utf8(&name).unwrap()), "").unwrap();
        }
        assert!(!listed(dir.path()).0);
    }

    #[test]
    fn what_is_no_directory_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(names(file.path(), None, |_| {}).unwrap_err().raw_os_error(), Some(libc::ENOTDIR));
    }
}
