//! Which process it was: pid, start time and boot, recorded so that a later supervisor can find it again.
//!
//! The child itself writes the record, before it lets go of our descriptors (the lock among them). So whoever gets
//! the lock after we were killed finds a record of every process that we ever started, at whatever point we
//! were killed. It is one line of the lock file:
//!
//! `run 0000004711 00000000000812345678 00000000000812399999 INODE BOOT-ID DEVICE:INODE`
//!
//! that is: what it is, its pid, two points of `CLOCK_BOOTTIME` in nanoseconds between which it was made
//! (`/proc/PID/stat` field 22 lies between them, to its 10 ms), the lock file's inode, the boot id, and the service
//! directory to which it belongs (0:0 for a command).

use crate::sys::files::file_id::FileId;
use crate::sys::files::flock::Lock;
use crate::sys::ok_unless_exhausted;
use crate::sys::process::pidfd::Pidfd;
use crate::sys::process::stat::{Stat, tick};
use crate::sys::time::{boot_id, boot_time};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::OnceLock;

/// Size of a record, in bytes.
pub const SIZE: usize = 160;

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
}

/// Where in the line the pid and the second point of time are filled in.
pub(super) const PID: std::ops::Range<usize> = 4..14;
pub(super) const AFTER: std::ops::Range<usize> = 36..56;

impl<'a> RecordWriter<'a> {
    /// A recorder into `lock`, for a process of the service directory `directory` that is going to be started now.
    pub fn new(lock: &'a Lock, role: Role, directory: Option<FileId>) -> RecordWriter<'a> {
        let line = line(role, 0, (boot_time(), 0), lock.inode(), directory);
        let file = lock.file().as_fd();
        debug_assert!(file.as_raw_fd() > 2);
        RecordWriter { file, line }
    }
}

/// A record, filled up with blanks.
fn line(role: Role, pid: i32, made: (u64, u64), inode: u64, directory: Option<FileId>) -> [u8; SIZE] {
    let mut line = [b' '; SIZE];
    let FileId { device, inode: directory } = directory.unwrap_or(FileId::NONE);
    let (role, boot) = (role.word(), boot());
    let mut place = &mut line[..SIZE - 1];
    // A boot id is 36 letters, a number at most 20: it fits.
    let _ = write!(place, "{role} {pid:010} {:020} {:020} {inode} {boot} {device}:{directory}", made.0, made.1);
    line[SIZE - 1] = b'\n';
    line
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
}

impl ProcessRecord {
    /// Reads the record in `lock`; `None` if there is none, or it is of another boot or another file.
    ///
    /// # Errors
    /// It cannot be told, for want of memory.
    pub fn read(lock: &File) -> io::Result<Option<ProcessRecord>> {
        let mut line = [0; SIZE];
        if ok_unless_exhausted(lock.read_exact_at(&mut line, 0))?.is_none() {
            return Ok(None);
        }
        let Some(inode) = ok_unless_exhausted(lock.metadata().map(|metadata| metadata.ino()))? else { return Ok(None) };
        Ok(std::str::from_utf8(&line).ok().and_then(|line| ProcessRecord::parse(line, inode, boot())))
    }

    /// Reads a record's line.
    pub fn parse(line: &str, inode: u64, boot: &str) -> Option<ProcessRecord> {
        let mut words = line.split_ascii_whitespace();
        let role = words.next()?;
        let role = [Role::Run, Role::Finish, Role::Hook].into_iter().find(|known| known.word() == role)?;
        let pid: i32 = words.next()?.parse().ok().filter(|pid| *pid > 1)?;
        let made = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let same = words.next()?.parse() == Ok(inode) && !boot.is_empty() && words.next()? == boot;
        let (device, directory) = words.next()?.split_once(':')?;
        let directory = Some(FileId { device: device.parse().ok()?, inode: directory.parse().ok()? });
        let directory = directory.filter(|known| *known != FileId::NONE);
        (same && made.0 <= made.1).then_some(ProcessRecord { role, pid: Pid::from_raw(pid), directory, made })
    }

    /// The record of a process of `directory` that runs now, and has not been reaped.
    pub fn of(role: Role, pid: Pid, directory: Option<FileId>) -> Option<ProcessRecord> {
        let started = start_time(pid).ok()??;
        Some(ProcessRecord { role, pid, directory, made: (started, started.saturating_add(tick())) })
    }

    /// Writes the record into a lock file.
    ///
    /// # Errors
    /// What `write` gives.
    pub fn write(&self, lock: &File) -> std::io::Result<()> {
        let inode = lock.metadata()?.ino();
        lock.write_all_at(&line(self.role, self.pid.as_raw(), self.made, inode, self.directory), 0)
    }

    /// Opens the process if it is still the one that was recorded, and not a later one with its number.
    ///
    /// # Errors
    /// It cannot be told, for want of descriptors or memory.
    pub fn open(&self) -> io::Result<Option<Pidfd>> {
        if !self.matches()? {
            return Ok(None);
        }
        let Some(pidfd) = ok_unless_exhausted(Pidfd::open(self.pid).map_err(io::Error::from))? else { return Ok(None) };
        // It may have been replaced between the look and the open.
        Ok(self.matches()?.then_some(pidfd))
    }

    /// Whether it is stopped by a signal, whoever sent it.
    pub fn is_stopped(&self) -> bool {
        Stat::read(self.pid).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_stopped()))
    }

    fn matches(&self) -> io::Result<bool> {
        let Some(started) = start_time(self.pid)? else { return Ok(false) };
        let tick = tick();
        // The kernel rounds down to a tick.
        Ok(started.saturating_add(tick) >= self.made.0 && started <= self.made.1)
    }
}

/// When a process was made, in nanoseconds of `CLOCK_BOOTTIME`.
fn start_time(pid: Pid) -> io::Result<Option<u64>> {
    Ok(Stat::read(pid)?.and_then(|stat| stat.started()))
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
        assert!(ProcessRecord::parse(&record(5, 1, 2), 77, "").is_none());
        assert!(ProcessRecord::parse(&record(1, 1, 2), 77, "boot-id").is_none());
    }

    #[test]
    fn a_record_knows_the_service_directory_however_large_the_numbers() {
        let of = |line: &str| ProcessRecord::parse(line, 77, "boot-id").and_then(|recorded| recorded.directory);
        assert_eq!(of(&record(5, 1, 2)), Some(FileId { device: 8, inode: 9 }));
        assert_eq!(of(&record(5, 1, 2).replace("8:9", "0:0")), None);
        let most = (u64::MAX, u64::MAX);
        let line = line(Role::Finish, i32::MAX, most, u64::MAX, Some(most.into()));
        let recorded = ProcessRecord::parse(std::str::from_utf8(&line).unwrap(), u64::MAX, boot()).unwrap();
        assert_eq!((recorded.directory, recorded.made, recorded.pid.as_raw()), (Some(most.into()), most, i32::MAX));
    }

    #[test]
    fn we_are_found_by_our_start_time_and_not_by_another() {
        let us = nix::unistd::getpid();
        let now = boot_time();
        let recorded = |made| ProcessRecord { role: Role::Run, pid: us, directory: None, made };
        assert!(recorded((0, now)).open().unwrap().is_some());
        let started = start_time(us).unwrap().unwrap();
        assert!(recorded((started, started + tick())).open().unwrap().is_some());
        assert!(recorded((now + 2 * tick(), now + 3 * tick())).open().unwrap().is_none());
        assert!(recorded((0, started.saturating_sub(tick()))).open().unwrap().is_none());
    }

    #[test]
    fn what_is_written_later_is_read_as_if_it_had_been_there_from_the_start() {
        let lock = tempfile::tempfile().unwrap();
        let recorded =
            ProcessRecord::of(Role::Run, nix::unistd::getpid(), Some(FileId { device: 8, inode: 9 })).unwrap();
        recorded.write(&lock).unwrap();
        assert_eq!(ProcessRecord::read(&lock).unwrap(), Some(recorded));
        assert!(recorded.open().unwrap().is_some());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(text: String, inode: u64) {
            let _ = ProcessRecord::parse(&text, inode, "boot-id");
        }
    }
}
