//! runit's files of one module, beside our own.
//!
//! They lie in `supervise/` of the status directory, so that the status root itself can serve as `SVDIR`; the service
//! directory's `supervise` is a link to them, where one can be made.

use crate::machine::words::command::Command;
use crate::machine::{Machine, State, Want};
use crate::status::StatusDir;
use crate::status::log::Log;
use crate::status::runit_files::{Files, NAME, Phase, Record};
use crate::supervisor::report::lines::Lines;
use crate::sys::errno_text;
use crate::sys::files::path_error::PathError;
use crate::sys::time::Mono;
use log::Level;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// What `runsv`, `supervise` and older `s6-supervise` leave in a directory of their own. With anything else in it, it
/// is not only theirs.
const THEIR_FILES: [&str; 9] = ["control", "ok", "lock", "pid", "pid.new", "stat", "stat.new", "status", "status.new"];

/// What the modules of a tree share.
#[derive(Debug)]
pub struct RunitTree {
    root: PathBuf,
    status_root: PathBuf,
    log: Log,
    told: AtomicBool,
}

impl RunitTree {
    /// For the services below `root`.
    pub fn new(root: PathBuf, status_root: PathBuf, log: Log) -> RunitTree {
        RunitTree { root, status_root, log, told: AtomicBool::new(false) }
    }

    /// Says, once for all modules, that there are no links in the service directories.
    fn links_cannot_be_made(&self, why: &io::Error) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let (root, svdir) = (self.root.display(), self.status_root.display());
            let why = errno_text(why);
            log::info!(logger: self.log, "{root}: {why}; runit's files are below {svdir} alone: SVDIR={svdir} sv ...");
        }
    }
}

/// One module's part.
#[derive(Debug)]
pub struct Runit {
    files: Files,
    svdir: PathBuf,
    since: SystemTime,
    shown: (Phase, u32),
    /// Until when a start that failed was put off.
    deferred: Option<Mono>,
}

/// The line for an error after which the next report tries again.
fn tried_again(error: PathError) -> String {
    format!("{error}; tried again within 5 s")
}

impl Runit {
    /// The descriptor to wait for.
    pub fn control(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.files.control()
    }

    /// As [`Files::keep_open`].
    pub fn keep_open(&self, keep: bool) -> Option<std::os::fd::RawFd> {
        self.files.keep_open(keep)
    }

    /// As [`Files::are_in_order`].
    pub fn is_in_order(&self) -> bool {
        self.files.are_in_order()
    }

    /// Where runit's files are.
    pub fn directory(&self) -> &Path {
        self.files.path()
    }

    /// What `SVDIR` has to be for this module.
    pub fn svdir(&self) -> &Path {
        &self.svdir
    }

    fn record(&mut self, machine: &Machine) -> Record {
        let (phase, pid) = match machine.state() {
            State::Up(run) => (Phase::Run, run.pid.as_raw().unsigned_abs()),
            State::Finishing { pid, .. } => (Phase::Finish, pid.as_raw().unsigned_abs()),
            State::Down
            | State::Backoff { .. }
            | State::Waiting
            | State::Done
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::FinishRequested(_)
            | State::Failed
            | State::Ended => (Phase::Down, 0),
        };
        let deferred = if let State::Backoff { until } = machine.state() { Some(until) } else { None };
        let now = SystemTime::now();
        let run = machine.run();
        match (phase, run) {
            (Phase::Run, Some(run)) if self.shown != (phase, pid) => {
                self.since = now.checked_sub(Mono::now().since(run.since)).unwrap_or(now);
            }
            (Phase::Down, _) if self.shown.0 != Phase::Down || (deferred.is_some() && deferred != self.deferred) => {
                self.since = now;
            }
            // `finish` goes on with the time of its `run`.
            (Phase::Run | Phase::Down | Phase::Finish, _) => {}
        }
        self.shown = (phase, pid);
        self.deferred = deferred;
        Record {
            since: self.since,
            pid,
            phase,
            paused: run.is_some_and(|run| run.paused),
            up: machine.want() == Want::Up && machine.leave().is_none(),
            leaving: machine.leave().is_some(),
            got_term: run.is_some_and(|run| run.got_term),
        }
    }
}

impl Runit {
    /// Makes the files of the service in `service_dir`. `control` is the FIFO that the program before us has handed over;
    /// `is_wanted` says whether the service is to be started.
    pub(in crate::supervisor) fn open(
        tree: &RunitTree,
        service_dir: &Path,
        dir: &StatusDir,
        (control, is_wanted): (Option<OwnedFd>, bool),
        lines: &mut Lines,
    ) -> Runit {
        let mut runit = Runit {
            files: Files::new(dir, control),
            svdir: tree.root.clone(),
            since: SystemTime::now(),
            shown: (Phase::Down, 0),
            deferred: None,
        };
        let first = Record {
            since: runit.since,
            pid: 0,
            phase: Phase::Down,
            paused: false,
            up: is_wanted,
            leaving: false,
            got_term: false,
        };
        let first = runit.files.write_first(first).err();
        let mut complaint = runit.files.keep(dir).err().or(first).map(tried_again);
        let link = service_dir.join(NAME);
        if let Err(error) = place_link(&link, runit.files.path()) {
            runit.svdir.clone_from(&tree.status_root);
            match error.raw_os_error() {
                Some(libc::EROFS | libc::EACCES | libc::EPERM) => tree.links_cannot_be_made(&error),
                // The directory is gone: there is a process of it to be stopped, and no more.
                Some(libc::ENOENT) => {}
                _ => {
                    let (link, svdir, why) = (link.display(), runit.svdir.display(), describe(&error));
                    complaint = Some(format!("{link}: {why}; runit's files are below {svdir} alone"));
                }
            }
        }
        if let Some(text) = complaint {
            lines.say(Level::Warn, text);
        }
        runit
    }

    /// Makes the lock's other name anew, after the lock was.
    pub(in crate::supervisor) fn relink(&self, dir: &StatusDir, lines: &mut Lines) {
        if let Err(error) = self.files.link_lock(dir) {
            lines.say(Level::Warn, error.to_string());
        }
    }

    /// The commands that runit's tools have given.
    pub(in crate::supervisor) fn commands(&self) -> Vec<Command> {
        self.files.read().into_iter().filter_map(Command::from_runit_byte).collect()
    }

    /// Writes what has changed, and makes what is missing.
    pub(in crate::supervisor) fn publish(&mut self, machine: &Machine, dir: &StatusDir, lines: &mut Lines) {
        let kept = self.files.keep(dir);
        let record = self.record(machine);
        let written = if self.files.written() == Some(record) { Ok(()) } else { self.files.write(record) };
        for error in [kept, written].into_iter().filter_map(Result::err) {
            lines.say(Level::Warn, tried_again(error));
        }
    }
}

/// Makes `link` a link to `target`. What an earlier supervisor has left there goes, if it is only that.
fn place_link(link: &Path, target: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(link) {
        Ok(there) if there.is_symlink() => {
            if std::fs::read_link(link).is_ok_and(|there| there == target) {
                return Ok(());
            }
            std::fs::remove_file(link)?;
        }
        Ok(there) if there.is_dir() => remove_leftovers(link)?,
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match std::os::unix::fs::symlink(target, link) {
        // The thread of another module that is the same directory was faster; the last one's stays.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && link.is_symlink() => Ok(()),
        other => other,
    }
}

fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !THEIR_FILES.iter().any(|known| name == *known) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
    }
    for name in THEIR_FILES {
        match std::fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::remove_dir(dir)
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::DirectoryNotEmpty => "it holds more than an earlier supervisor has left, and stays".into(),
        io::ErrorKind::NotADirectory => "it is not a directory, and stays".into(),
        _ => errno_text(error),
    }
}
