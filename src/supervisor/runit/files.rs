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
use crate::supervisor::runit::links::Links;
use crate::sys::errno_text;
use crate::sys::files::path_error::PathError;
use crate::sys::time::Mono;
use log::Level;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// What the modules of a tree share.
#[derive(Debug)]
pub struct RunitTree {
    root: PathBuf,
    status_root: PathBuf,
    log: Log,
    told: AtomicBool,
    links: Links,
}

impl RunitTree {
    /// For the services below `root`.
    pub fn new(root: PathBuf, status_root: PathBuf, log: Log) -> RunitTree {
        let links = Links::new(status_root.clone(), log.clone());
        RunitTree { root, status_root, log, told: AtomicBool::new(false), links }
    }

    /// The links in the service directories.
    pub fn links(&self) -> &Links {
        &self.links
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
    /// The canonical path of the directory that has the link to them.
    service_dir: Option<PathBuf>,
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

    /// The directory that has the link to them, if there is one.
    pub fn service_dir(&self) -> Option<&Path> {
        self.service_dir.as_deref()
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
            service_dir: None,
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
        match tree.links.place(service_dir, runit.files.path()) {
            Ok(dir) => runit.service_dir = Some(dir),
            Err(error) => {
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

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::DirectoryNotEmpty => "it holds more than an earlier supervisor has left, and stays".into(),
        io::ErrorKind::NotADirectory => "it is not a directory, and stays".into(),
        _ => errno_text(error),
    }
}
