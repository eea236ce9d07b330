//! SIGUSR2: the program replaces itself by the one that is now at its path. The pid stays, services and their parent
//! stay, exit statuses are still waited for, and no lock is free in between.

use super::candidate::ProgramFault;
use super::handover::{HandedSettings, HandoverState, ReExec};
use super::roster::members::Roster;
use super::signals::{Messages, TreeRequest};
use crate::status::dir::TREE_DIR;
use crate::supervisor::requests::parking::{Descriptors, Parking};
use crate::sys::Errno;
use crate::sys::files::flock::Lock;
use crate::sys::handover::{self, ProgramFile};
use crate::sys::process::oom;
use crate::sys::process::record::boot;
use crate::sys::process::setup::inherited;
use crate::tree::tree_dir::TreeDir;
use crossbeam_channel::Select;
use log::{info, warn};
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the threads may take to come to rest. One that hangs in a dead file system must not stop the rest for long.
const PARKING_TIME: Duration = Duration::from_secs(5);

/// Why the program is still the same.
#[derive(Debug)]
pub enum NotReplaced {
    /// It was not possible; that is in the log.
    Failed(UpgradeError),
    /// Try again, after the messages that wait; why.
    Retry(&'static str),
}

/// What replaces the program, and how.
#[derive(Clone, Copy, Debug)]
pub struct Next<'a> {
    /// The file that has answered.
    pub program: &'a ProgramFile,
    /// How this program was started.
    pub re_exec: &'a ReExec,
}

/// Replaces the program. Returns only if that was not possible; then all goes on as before.
pub fn upgrade(roster: &Roster, messages: &Messages, tree_dir: &TreeDir, next: Next<'_>) -> NotReplaced {
    roster.alarms().wait_at_most(PARKING_TIME);
    let parking = Arc::new(Parking::default());
    let not_replaced = replace_when_parked(&parking, roster, messages, tree_dir, next);
    parking.resume();
    not_replaced
}

fn replace_when_parked(
    parking: &Arc<Parking>,
    roster: &Roster,
    messages: &Messages,
    tree_dir: &TreeDir,
    next: Next<'_>,
) -> NotReplaced {
    let mut modules = roster.park_all(parking);
    messages.park(parking);
    modules.push(TREE_DIR.to_string());
    let parked = wait(roster, parking, &modules);
    // A thread that has ended has something to say first; one that did so before it was asked never answers.
    if roster.has_reports() {
        return NotReplaced::Retry("a service is just leaving");
    }
    let modules = match parked {
        Ok(modules) => modules,
        Err(missing) => return NotReplaced::Failed(UpgradeError::NoAnswer(missing)),
    };
    let unwritten = parking.unwritten();
    if !unwritten.is_empty() {
        return NotReplaced::Failed(UpgradeError::Unwritten(unwritten));
    }
    // What the listening thread has taken from the kernel would be lost with us.
    if others_wait(messages) {
        return NotReplaced::Retry("something else was asked for first");
    }
    // The next program would have a lock that keeps nobody out.
    if !tree_dir.is_in_place() {
        return NotReplaced::Failed(UpgradeError::TreeDirIsAnother(tree_dir.dir().path().to_owned()));
    }
    NotReplaced::Failed(hand_over(modules, roster, tree_dir.lock(), next))
}

/// Hands over what the parked threads have left open, and all else. Returns only if that was not possible: why.
fn hand_over(
    mut modules: BTreeMap<String, Descriptors<RawFd>>,
    roster: &Roster,
    own_lock: &Lock,
    next: Next<'_>,
) -> UpgradeError {
    let log = roster.log();
    for (module, numbers) in roster.keep_handed_over_open(true) {
        modules.entry(module).or_insert(numbers);
    }
    modules.extend(roster.keep_pipes_open(true));
    let dropped = roster.alarms().to_start();
    if dropped > 0 {
        warn!(logger: log, "{dropped} alarm programs not run: others take too long");
    }
    let program = &next.re_exec.program;
    info!(logger: log, "replacing the program by {}", program.display());
    let inherited = inherited();
    let state = HandoverState {
        own_lock: own_lock.file().as_raw_fd(),
        nofile: inherited.nofile,
        umask: inherited.umask,
        modules,
        told_to_exit: roster.told_to_exit(),
        program: program.as_os_str().as_bytes().to_vec(),
        boot: boot().to_string(),
        settings: None,
    };
    let failed = replace(state, roster, own_lock, next);
    let _ = handover::keep_open(own_lock.file(), false);
    roster.keep_pipes_open(false);
    roster.keep_handed_over_open(false);
    UpgradeError::Program(program.clone(), failed)
}

/// Waits until all are parked, or a thread has ended instead.
///
/// # Errors
/// Those that are not parked.
fn wait(
    roster: &Roster,
    parking: &Parking,
    modules: &[String],
) -> Result<BTreeMap<String, Descriptors<RawFd>>, Vec<String>> {
    let deadline = Instant::now() + PARKING_TIME;
    let reports = roster.reports();
    let mut either = Select::new();
    either.recv(parking.arrivals());
    either.recv(&reports);
    loop {
        let parked = parking.parked(modules);
        if parked.is_ok() || roster.has_reports() || either.ready_deadline(deadline).is_err() {
            return parked;
        }
        // It says that somebody has come, not who.
        let _ = parking.arrivals().try_recv();
    }
}

/// Whether something else than an upgrade waits; other upgrades that were asked for become one with this.
fn others_wait(messages: &Messages) -> bool {
    let others: Vec<TreeRequest> =
        messages.requests.try_iter().filter(|request| *request != TreeRequest::Upgrade).collect();
    for request in &others {
        // They come before the upgrade, which is put behind them; we hold the other end, so it cannot be closed.
        let _ = messages.request.send(*request);
    }
    !others.is_empty()
}

fn replace(mut state: HandoverState, roster: &Roster, own_lock: &Lock, next: Next<'_>) -> ProgramFault {
    // The next program may find no file, or none that it can read: then these settings go on to hold.
    let settings = match roster.config().text().map(handover::letter).transpose() {
        Ok(settings) => settings,
        Err(error) => return ProgramFault::HandOver(error),
    };
    state.settings = settings.as_ref().map(|file| {
        let path = roster.config().path().as_os_str().as_bytes().to_vec();
        HandedSettings { path, text: file.as_raw_fd() }
    });
    let file = match handover::letter(&state.encode()) {
        Ok(file) => file,
        Err(error) => return ProgramFault::HandOver(error),
    };
    if let Err(errno) = handover::keep_open(own_lock.file(), true) {
        return ProgramFault::HandOver(errno.into());
    }
    let mut arguments = next.re_exec.arguments.clone();
    arguments.insert(1.min(arguments.len()), format!("--handover={}", file.as_raw_fd()).into());
    // The next program is to find the score that we were started with.
    oom::expose();
    let executed = next.program.execute(&arguments);
    oom::protect();
    match executed {
        Ok(never) => match never {},
        Err(Errno::ESTALE) => ProgramFault::Replaced,
        Err(errno) => ProgramFault::Execute(errno),
    }
}

/// Why the program could not be replaced.
#[derive(Debug)]
pub enum UpgradeError {
    /// The tree has been told to end.
    ShuttingDown,
    /// The services root is not there: what was meant to be run next may be with it.
    NoRoot(PathBuf),
    /// These modules' threads did not come to rest in time.
    NoAnswer(Vec<String>),
    /// What these modules do could not be written down, so the next program could not know of it.
    Unwritten(Vec<String>),
    /// The tree's own status directory was removed or replaced.
    TreeDirIsAnother(PathBuf),
    /// The arguments have relative paths, and the directory that they are relative to is gone.
    NoWorkingDirectory,
    /// The next program's path, and what is wrong with it.
    Program(PathBuf, ProgramFault),
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpgradeError::ShuttingDown => f.write_str("shutting down"),
            UpgradeError::NoRoot(path) => write!(f, "{} is not there", path.display()),
            UpgradeError::NoAnswer(modules) => write!(f, "no answer from {}", modules.join(", ")),
            UpgradeError::Unwritten(modules) => write!(f, "what runs cannot be written down ({})", modules.join(", ")),
            UpgradeError::TreeDirIsAnother(path) => write!(f, "{} is not as it was", path.display()),
            UpgradeError::NoWorkingDirectory => {
                f.write_str("the working directory is gone, and the arguments are relative to it")
            }
            UpgradeError::Program(path, fault) => write!(f, "{}: {fault}", path.display()),
        }
    }
}

impl std::error::Error for UpgradeError {}
