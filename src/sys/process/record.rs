//! Which process it was: pid, start time and boot, recorded so that a later supervisor can find it again.
//!
//! The child itself writes the record, before it lets go of our descriptors (the lock among them). So whoever gets
//! the lock after we were killed finds a record of every process that we ever started, at whatever point we
//! were killed. It is one line of the lock file:
//!
//! `run 0000004711 00000000000812345678 00000000000812399999 INODE BOOT-ID DEVICE:INODE 00000000000000812345`
//!
//! that is: what it is, its pid, two points of `CLOCK_BOOTTIME` in nanoseconds between which it was made
//! (`/proc/PID/stat` field 22 lies between them, to its 10 ms), the lock file's inode, the boot id (`-` if it is not
//! known), the service directory to which it belongs (0:0 for a command), and the number that the kernel gives to one process
//! of a boot alone (the inode of a pidfd, since Linux 6.9; 0 where there is none).
//!
//! Where both sides have that last number, it decides. It needs no `/proc`, and no clock. The times are those of the machine:
//! what a time namespace adds to them is taken off.

use crate::sys::files::file_id::FileId;
use crate::sys::files::flock::Lock;
use crate::sys::ok_unless_exhausted;
use crate::sys::process::pidfd::Pidfd;
use crate::sys::process::stat::{Stat, tick};
use crate::sys::time::{boot_id, boot_time, boot_time_offset};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::OnceLock;

/// Size of a record, in bytes.
pub const SIZE: usize = 192;

/// What earlier versions wrote, without the last number.
const SIZE_BEFORE: usize = 160;

/// What a process was started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The run process.
    Run,
    /// `finish`.
    Finish,
    /// What runs before a start: `control/u`, or the restart command.
    Hook,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Role::Run => "run",
            Role::Finish => "fin",
            Role::Hook => "hok",
        }
    }
}

/// Where a child writes its record, and all of it that is known before it exists.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    pub(super) file: BorrowedFd<'a>,
    pub(super) line: [u8; SIZE],
    /// The kernel numbers processes.
    pub(super) has_numbers: bool,
    /// What has to be taken off the clock, in nanoseconds.
    pub(super) clock_offset: i64,
}

/// Where in the line the pid, the second point of time and the process's own number are filled in.
pub(super) const PID: std::ops::Range<usize> = 4..14;
pub(super) const AFTER: std::ops::Range<usize> = 36..56;
pub(super) const NUMBER: std::ops::Range<usize> = SIZE - 21..SIZE - 1;

impl<'a> RecordWriter<'a> {
    /// A recorder into `lock`, for a process of the service directory `directory` that is going to be started now.
    pub fn new(lock: &'a Lock, role: Role, directory: Option<FileId>) -> RecordWriter<'a> {
        let line = line(role, 0, (machine_time(), 0), lock.inode(), directory, 0);
        let file = lock.file().as_fd();
        debug_assert!(file.as_raw_fd() > 2);
        RecordWriter { file, line, has_numbers: Pidfd::are_numbered(), clock_offset: clock_offset() }
    }
}

/// A record, filled up with blanks.
fn line(role: Role, pid: i32, made: (u64, u64), inode: u64, directory: Option<FileId>, number: u64) -> [u8; SIZE] {
    let mut line = [b' '; SIZE];
    let FileId { device, inode: directory } = directory.unwrap_or(FileId::NONE);
    let (role, boot) = (role.word(), Some(boot()).filter(|boot| !boot.is_empty()).unwrap_or(UNKNOWN_BOOT));
    // A boot id is 36 letters, a number at most 20: it fits.
    let mut place = &mut line[..NUMBER.start];
    let _ = write!(place, "{role} {pid:010} {:020} {:020} {inode} {boot} {device}:{directory}", made.0, made.1);
    let _ = write!(&mut line[NUMBER], "{number:020}");
    line[SIZE - 1] = b'\n';
    line
}

/// What stands for the boot id where there is no `/proc`.
const UNKNOWN_BOOT: &str = "-";

/// `CLOCK_BOOTTIME` as it is without a time namespace.
fn machine_time() -> u64 {
    boot_time().saturating_add_signed(clock_offset().saturating_neg())
}

/// What our time namespace adds to `CLOCK_BOOTTIME`, in nanoseconds.
fn clock_offset() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    *OFFSET.get_or_init(|| boot_time_offset().unwrap_or(0))
}

static BOOT: OnceLock<String> = OnceLock::new();

/// The boot id, read once; empty if it cannot be read.
pub fn boot() -> &'static str {
    BOOT.get_or_init(boot_id)
}

/// Takes the boot id from a program that this one has replaced: it may not be to be had any more.
pub fn know_boot(boot: &str) {
    if !boot.is_empty() {
        // It is read once, and so was not read yet.
        let _ = BOOT.set(boot.to_string());
    }
}

/// A process that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    /// What it was started as.
    pub role: Role,
    /// Its pid.
    pub pid: Pid,
    /// The service directory to which it belongs: device and inode.
    pub directory: Option<FileId>,
    made: (u64, u64),
    /// The number that the kernel has given to it alone.
    number: Option<u64>,
    /// The boot id cannot be read now, so the record may be of another boot.
    is_of_unknown_boot: bool,
}

impl ProcessRecord {
    /// Reads the record in `lock`; `None` if there is none, or it is of another boot or another file.
    ///
    /// # Errors
    /// It cannot be told, for want of memory.
    pub fn read(lock: &File) -> io::Result<Option<ProcessRecord>> {
        let mut line = [b' '; SIZE];
        let Some(size) = ok_unless_exhausted(lock.read_at(&mut line, 0))? else { return Ok(None) };
        if size < SIZE_BEFORE {
            return Ok(None);
        }
        let Some(inode) = ok_unless_exhausted(lock.metadata().map(|metadata| metadata.ino()))? else { return Ok(None) };
        Ok(std::str::from_utf8(&line).ok().and_then(|line| ProcessRecord::parse(line, inode, boot())))
    }

    /// Reads a record's line, in a lock file with this inode, during this `boot` (empty if that is not known).
    pub fn parse(line: &str, inode: u64, boot: &str) -> Option<ProcessRecord> {
        let mut words = line.split_ascii_whitespace();
        let role = words.next()?;
        let role = [Role::Run, Role::Finish, Role::Hook].into_iter().find(|known| known.word() == role)?;
        let pid: i32 = words.next()?.parse().ok().filter(|pid| *pid > 1)?;
        let made = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let is_same_file = words.next()?.parse() == Ok(inode);
        let recorded_boot = words.next()?;
        let (device, directory) = words.next()?.split_once(':')?;
        let directory = Some(FileId { device: device.parse().ok()?, inode: directory.parse().ok()? });
        let directory = directory.filter(|known| *known != FileId::NONE);
        // A record of an earlier version has none.
        let number = words.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
        let is_of_unknown_boot = boot.is_empty();
        // Somebody who could not read the boot id had no other boot for that: what tells boots apart then is the number.
        let may_be_same_boot = is_of_unknown_boot || recorded_boot == boot || recorded_boot == UNKNOWN_BOOT;
        let record = ProcessRecord { role, pid: Pid::from_raw(pid), directory, made, number, is_of_unknown_boot };
        (is_same_file && may_be_same_boot && made.0 <= made.1).then_some(record)
    }

    /// The record of a process of `directory` that runs now, and has not been reaped.
    pub fn of(role: Role, pid: Pid, directory: Option<FileId>, pidfd: &Pidfd) -> Option<ProcessRecord> {
        let number = pidfd.number();
        let made = match number {
            Some(_) => (0, machine_time()),
            None => start_time(pid).ok()?.map(|started| (started, started.saturating_add(tick())))?,
        };
        Some(ProcessRecord { role, pid, directory, made, number, is_of_unknown_boot: false })
    }

    /// Writes the record into a lock file.
    ///
    /// # Errors
    /// What `write` gives.
    pub fn write(&self, lock: &File) -> io::Result<()> {
        lock.write_all_at(&self.line(lock.metadata()?.ino()), 0)
    }

    /// The record for the lock file with this inode, as it stands elsewhere: at most 127 bytes for numbers as they are.
    pub fn text(&self, inode: u64) -> String {
        let line = self.line(inode);
        let words = std::str::from_utf8(&line).unwrap_or_default().split_ascii_whitespace();
        // A number need not be filled up there.
        let short = |word: &str| match word.trim_start_matches('0') {
            "" => "0".to_string(),
            short if word.bytes().all(|byte| byte.is_ascii_digit()) => short.to_string(),
            _ => word.to_string(),
        };
        words.map(short).collect::<Vec<_>>().join(" ")
    }

    /// Whether the file has room for a record, and none in it.
    ///
    /// # Errors
    /// What `read` gives.
    pub fn is_missing_in(lock: &File) -> io::Result<bool> {
        let mut first = [0; 1];
        Ok(lock.read_at(&mut first, 0)? == 0 || first == [0])
    }

    fn line(&self, inode: u64) -> [u8; SIZE] {
        line(self.role, self.pid.as_raw(), self.made, inode, self.directory, self.number.unwrap_or(0))
    }

    /// Opens the process if it is still the one that was recorded, and not a later one with its number.
    ///
    /// # Errors
    /// It cannot be told, for want of descriptors, memory or `/proc`.
    pub fn open(&self) -> io::Result<Option<Pidfd>> {
        let Some(pidfd) = ok_unless_exhausted(Pidfd::open(self.pid).map_err(io::Error::from))? else { return Ok(None) };
        let is_same = match (self.number, pidfd.number()) {
            (Some(recorded), Some(there)) => recorded == there,
            (None, _) | (_, None) => self.matches(&pidfd)?,
        };
        if is_same && self.is_of_unknown_boot {
            return Err(io::Error::other("/proc does not say which boot this is"));
        }
        Ok(is_same.then_some(pidfd))
    }

    /// Whether it is stopped by a signal, whoever sent it.
    pub fn is_stopped(&self) -> bool {
        Stat::read(self.pid).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_stopped()))
    }

    /// By the time at which it was made.
    fn matches(&self, pidfd: &Pidfd) -> io::Result<bool> {
        let started = start_time(self.pid)?;
        // If it is gone, what was read may be another's.
        if pidfd.signal(0) == Err(Errno::ESRCH) {
            return Ok(false);
        }
        let Some(started) = started else {
            return Err(io::Error::other(format!("/proc does not show pid {}", self.pid)));
        };
        // The kernel rounds down to a tick.
        Ok(started.saturating_add(tick()) >= self.made.0 && started <= self.made.1)
    }
}

/// When a process was made, in nanoseconds of the machine's `CLOCK_BOOTTIME`.
fn start_time(pid: Pid) -> io::Result<Option<u64>> {
    let started = Stat::read(pid)?.and_then(|stat| stat.started());
    // The kernel adds the reader's offset.
    Ok(started.map(|started| started.saturating_add_signed(clock_offset().saturating_neg())))
}

/// The parent of `pid`, if it is there and its parent can be seen from here.
pub fn parent(pid: Pid) -> Option<Pid> {
    Stat::read(pid).ok()??.parent().filter(|parent| parent.as_raw() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(pid: u32, before: u64, after: u64) -> String {
        format!("run {pid:010} {before:020} {after:020} 77 boot-id 8:9   \n")
    }

    #[test]
    fn a_record_of_another_boot_or_file_is_none() {
        assert!(ProcessRecord::parse(&record(5, 1, 2), 77, "boot-id").is_some());
        assert!(ProcessRecord::parse(&record(5, 1, 2), 78, "boot-id").is_none());
        assert!(ProcessRecord::parse(&record(5, 1, 2), 77, "another").is_none());
        assert!(ProcessRecord::parse(&record(5, 1, 2), 77, "").unwrap().is_of_unknown_boot);
        assert!(ProcessRecord::parse(&record(1, 1, 2), 77, "boot-id").is_none());
    }

    #[test]
    fn a_record_knows_the_service_directory_however_large_the_numbers() {
        let of = |line: &str| ProcessRecord::parse(line, 77, "boot-id").and_then(|recorded| recorded.directory);
        assert_eq!(of(&record(5, 1, 2)), Some(FileId { device: 8, inode: 9 }));
        assert_eq!(of(&record(5, 1, 2).replace("8:9", "0:0")), None);
        let most = (u64::MAX, u64::MAX);
        let line = line(Role::Finish, i32::MAX, most, u64::MAX, Some(most.into()), u64::MAX);
        let recorded = ProcessRecord::parse(std::str::from_utf8(&line).unwrap(), u64::MAX, boot()).unwrap();
        assert_eq!((recorded.directory, recorded.made, recorded.pid.as_raw()), (Some(most.into()), most, i32::MAX));
        assert_eq!(recorded.number, Some(u64::MAX));
    }

    #[test]
    fn we_are_found_by_our_start_time_and_not_by_another() {
        let us = nix::unistd::getpid();
        let now = machine_time();
        let is_of_unknown_boot = false;
        let recorded =
            |made| ProcessRecord { role: Role::Run, pid: us, directory: None, made, number: None, is_of_unknown_boot };
        assert!(recorded((0, now)).open().unwrap().is_some());
        let started = start_time(us).unwrap().unwrap();
        assert!(recorded((started, started + tick())).open().unwrap().is_some());
        assert!(recorded((now + 2 * tick(), now + 3 * tick())).open().unwrap().is_none());
        assert!(recorded((0, started.saturating_sub(tick()))).open().unwrap().is_none());
    }

    #[test]
    fn what_is_written_later_is_read_as_if_it_had_been_there_from_the_start() {
        let lock = tempfile::tempfile().unwrap();
        let us = nix::unistd::getpid();
        let pidfd = Pidfd::open(us).unwrap();
        let recorded = ProcessRecord::of(Role::Run, us, Some(FileId { device: 8, inode: 9 }), &pidfd).unwrap();
        recorded.write(&lock).unwrap();
        assert_eq!(ProcessRecord::read(&lock).unwrap(), Some(recorded));
        let inode = lock.metadata().unwrap().ino();
        let text = recorded.text(inode);
        assert!(text.len() < 128, "{text}");
        assert_eq!(ProcessRecord::parse(&text, inode, boot()), Some(recorded));
        assert!(!ProcessRecord::is_missing_in(&lock).unwrap());
        lock.set_len(0).unwrap();
        assert!(ProcessRecord::is_missing_in(&lock).unwrap());
        lock.set_len(SIZE as u64).unwrap();
        assert!(ProcessRecord::is_missing_in(&lock).unwrap());
        assert!(recorded.open().unwrap().is_some());
    }

    #[test]
    fn the_number_of_a_process_decides_whatever_the_clocks_say() {
        let us = nix::unistd::getpid();
        let pidfd = Pidfd::open(us).unwrap();
        let Some(number) = pidfd.number() else { return };
        let recorded = ProcessRecord::of(Role::Run, us, None, &pidfd).unwrap();
        assert!(ProcessRecord { made: (0, 1), ..recorded }.open().unwrap().is_some());
        assert!(ProcessRecord { number: Some(number + 1), ..recorded }.open().unwrap().is_none());
        // Without a boot id, it may be one of another boot: that is neither yes nor no.
        assert!(ProcessRecord { is_of_unknown_boot: true, ..recorded }.open().is_err());
        let other = ProcessRecord { is_of_unknown_boot: true, number: Some(number + 1), ..recorded };
        assert!(other.open().unwrap().is_none());
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let us = nix::unistd::getpid();
        let lock = tempfile::tempfile().unwrap();
        let recorded = ProcessRecord::of(Role::Run, us, None, &Pidfd::open(us).unwrap()).unwrap();
        recorded.write(&lock).unwrap();
        lock.set_len(SIZE_BEFORE as u64).unwrap();
        let read = ProcessRecord::read(&lock).unwrap().unwrap();
        assert_eq!(read, ProcessRecord { number: None, ..recorded });
        assert!(read.open().unwrap().is_some());
        lock.set_len(SIZE_BEFORE as u64 - 1).unwrap();
        assert_eq!(ProcessRecord::read(&lock).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(text: String, inode: u64) {
            let _ = ProcessRecord::parse(&text, inode, "boot-id");
        }
    }
}
