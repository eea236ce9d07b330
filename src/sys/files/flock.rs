//! The lock that keeps a second supervisor out, and who holds it.

use crate::sys::files::file;
use crate::sys::files::file_id::FileInstance;
use crate::sys::process::stat::is_ending;
use crate::sys::time::Mono;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, Flock, FlockArg, fcntl};
use nix::sys::stat::{major, minor};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, fstatfs};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// How long a lock may be held by nobody who is known.
const RELEASE_GRACE: Duration = Duration::from_secs(1);

/// How long somebody who is dead may hold it, through a child that was just being started: that lets go as soon as it gets a
/// processor. A thread that waits answers nobody, so this is less than the tree waits for it at an upgrade.
const DEAD_GRACE: Duration = Duration::from_secs(4);

/// How long somebody who is ending may still hold it: a thousand threads take a while to end, and on a machine that is busy
/// longer than that. Whoever is ending cannot come back.
const ENDING_GRACE: Duration = Duration::from_secs(10);

/// A lock held with `flock(LOCK_EX)`, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: Flock<File>,
    instance: FileInstance,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Somebody else has it; the pid, where `/proc/locks` shows it.
    Held(Option<Pid>),
    /// It could not be opened or locked.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock at `path`; the file is made with mode 0600. Waits for nobody who lives.
    ///
    /// # Errors
    /// [`LockError::Held`] naming the holder, or what `open` gives.
    pub fn take(path: &Path) -> Result<Lock, LockError> {
        let began = Mono::now();
        loop {
            let (file, instance) = file::read_write(path, 0o600).map_err(LockError::Io)?;
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => locked,
                Err((file, Errno::EWOULDBLOCK)) => match holder(&file) {
                    // Nobody: it was let go of just now, or by somebody of another pid namespace it never will.
                    holder if Mono::now().since(began) < grace(holder) => {
                        std::thread::sleep(RELEASE_GRACE / 200);
                        continue;
                    }
                    holder => return Err(LockError::Held(holder)),
                },
                Err((_, errno)) => return Err(LockError::Io(errno.into())),
            };
            // The file may have been removed and made again between open and flock; then somebody else can
            // lock the new one, and ours guards nothing.
            let lock = Lock { file, instance };
            if lock.is_at(path) {
                return Ok(lock);
            }
        }
    }

    /// Takes a lock file of somebody else's, which may be held with `flock` (runit, daemontools) or `fcntl` (s6).
    ///
    /// # Errors
    /// [`LockError::Held`] naming the holder; `NotFound` when there is no such file.
    pub fn take_foreign(path: &Path) -> Result<Lock, LockError> {
        let file = file::read(path).map_err(LockError::Io)?;
        let mut question = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_GETLK(&mut question)).map_err(|errno| LockError::Io(errno.into()))?;
        if i32::from(question.l_type) != libc::F_UNLCK {
            // 0 and -1 stand for a process of another pid namespace, or none.
            return Err(LockError::Held(Some(Pid::from_raw(question.l_pid)).filter(|pid| pid.as_raw() > 0)));
        }
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Lock::of(file),
            Err((file, Errno::EWOULDBLOCK)) => Err(LockError::Held(holder(&file))),
            Err((_, errno)) => Err(LockError::Io(errno.into())),
        }
    }

    /// Takes over a lock that the program before us held by this descriptor, wherever its file is by now.
    ///
    /// # Errors
    /// What `flock` gives.
    pub fn inherit_anywhere(descriptor: OwnedFd) -> Result<Lock, LockError> {
        // The lock belongs to the open file, and so to us already; this cannot wait.
        match Flock::lock(File::from(descriptor), FlockArg::LockExclusiveNonblock) {
            Ok(file) => Lock::of(file),
            Err((_, errno)) => Err(LockError::Io(errno.into())),
        }
    }

    /// The same for a file that has to be at `path`.
    ///
    /// # Errors
    /// As [`Lock::take`]; `NotFound` when the file at `path` is another one by now.
    pub fn inherit(descriptor: OwnedFd, path: &Path) -> Result<Lock, LockError> {
        let lock = Lock::inherit_anywhere(descriptor)?;
        if lock.is_at(path) { Ok(lock) } else { Err(LockError::Io(io::ErrorKind::NotFound.into())) }
    }

    fn of(file: Flock<File>) -> Result<Lock, LockError> {
        let instance = FileInstance::of(&file.metadata().map_err(LockError::Io)?);
        Ok(Lock { file, instance })
    }

    /// The locked file: it holds the record of the process that is supervised.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file so many bytes long, if it is shorter, with room for them on the disk: what is written there later finds
    /// it also on a disk that is full by then.
    ///
    /// # Errors
    /// `ENOSPC`, and what `fallocate` and `write` give.
    pub fn make_room(&self, bytes: usize) -> io::Result<()> {
        // It does nothing to a file that is long enough.
        match nix::fcntl::fallocate(&*self.file, FallocateFlags::empty(), 0, bytes as i64) {
            Ok(()) => Ok(()),
            // The file system has no such call.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                let there = self.file.metadata()?.len();
                let missing = usize::try_from(there).map_or(0, |there| bytes.saturating_sub(there));
                self.file.write_all_at(&vec![0; missing], there)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Its inode.
    pub fn inode(&self) -> u64 {
        self.instance.id.inode
    }

    /// Whether the lock file at `path` is still the one that is locked.
    pub fn is_at(&self, path: &Path) -> bool {
        FileInstance::at(path).is_ok_and(|there| there == self.instance)
    }
}

/// Who holds a `flock` on `file`, by `/proc/locks`; `None` if it does not say (another pid namespace).
pub fn holder(file: &File) -> Option<Pid> {
    let metadata = file.metadata().ok()?;
    // There, the device as shown is not what stat says, so the inode alone decides. On all others it does not: files of two
    // small file systems often have the same number.
    let has_two_devices =
        fstatfs(file).is_ok_and(|about| [BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC].contains(&about.filesystem_type()));
    let device = (!has_two_devices).then(|| (major(metadata.dev()), minor(metadata.dev())));
    holder_in(&std::fs::read_to_string("/proc/locks").ok()?, device, metadata.ino())
}

/// Who holds a `flock` on the file with this number, on this device if it is known, by the text of `/proc/locks`.
fn holder_in(locks: &str, device: Option<(u64, u64)>, inode: u64) -> Option<Pid> {
    locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 708 00:13:9437 0 EOF`
        let mut words = line.split_whitespace().skip(1);
        let (kind, _, _, pid, place) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        let mut numbers = place.split(':');
        let mut hexadecimal = || u64::from_str_radix(numbers.next()?, 16).ok();
        let there = (hexadecimal()?, hexadecimal()?);
        let is_it = numbers.next()?.parse() == Ok(inode) && device.is_none_or(|device| device == there);
        let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
        (kind == "FLOCK" && is_it).then(|| Pid::from_raw(pid))
    })
}

/// How long to wait for `holder` to let go.
fn grace(holder: Option<Pid>) -> Duration {
    match holder {
        None => RELEASE_GRACE,
        Some(pid) if nix::sys::signal::kill(pid, None) == Err(Errno::ESRCH) => DEAD_GRACE,
        Some(pid) if is_ending(pid) => ENDING_GRACE,
        Some(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_learns_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::take(&path).unwrap();
        match Lock::take(&path) {
            Err(LockError::Held(Some(pid))) => assert_eq!(pid, nix::unistd::getpid()),
            other => panic!("{other:?}"),
        }
        drop(held);
        assert!(Lock::take(&path).is_ok());
    }

    #[test]
    fn a_file_with_the_same_number_on_another_device_is_another_one() {
        let locks = "1: POSIX  ADVISORY  WRITE 5 00:1d:9 0 EOF\n2: FLOCK  ADVISORY  WRITE 6 00:1c:9 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 8 00:1d:9 0 EOF\n3: FLOCK  ADVISORY  WRITE 7 00:1d:9 0 EOF\n";
        let holder = |device, inode| holder_in(locks, device, inode).map(Pid::as_raw);
        assert_eq!(holder(Some((0, 0x1d)), 9), Some(7));
        assert_eq!(holder(Some((0, 0x1c)), 9), Some(6));
        assert_eq!(holder(None, 9), Some(6));
        assert_eq!((holder(Some((0, 0x1e)), 9), holder(None, 8)), (None, None));
    }

    #[test]
    fn a_removed_lock_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::take(&path).unwrap();
        assert!(held.is_at(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(!held.is_at(&path));
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(Lock::take(&path), Err(LockError::Io(_))));
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn it_is_taken_from_somebody_who_is_still_ending() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // Without a pause between the end and the next taker, and without the end being waited for.
        for _ in 0..50 {
            let script = "exec 9> $0; flock 9; echo; exec sleep 1000";
            let mut shell = std::process::Command::new("sh");
            let mut holder =
                shell.args(["-c", script]).arg(&path).stdout(std::process::Stdio::piped()).spawn().unwrap();
            let mut line = [0; 1];
            std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
            holder.kill().unwrap();
            assert!(Lock::take(&path).is_ok());
            holder.wait().unwrap();
        }
    }

    #[test]
    fn it_is_taken_from_the_dead_once_their_last_child_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // The shell takes the lock and dies; its child holds it for a while.
        let script = "exec 9> $0; flock 9; sleep 0.3 & exit 0";
        assert!(std::process::Command::new("sh").args(["-c", script]).arg(&path).status().unwrap().success());
        assert!(Lock::take(&path).is_ok());
    }
}
