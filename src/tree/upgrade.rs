//! SIGUSR2: the program replaces itself by the one that is now at its path. The pid stays, services and their parent
//! stay, exit statuses are still waited for, and no lock is free in between.

use super::handover::{HandoverState, ReExec};
use super::roster::members::Roster;
use super::signals::{Messages, TreeRequest};
use crate::status::dir::TREE_DIR;
use crate::supervisor::parking::{FdNumbers, Parking};
use crate::sys::files::file::c_path;
use crate::sys::files::flock::Lock;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::setup::inherited;
use crate::sys::process::start::{Environment, Input, Leader, Output, Plan, start};
use crate::sys::threads::poll::{self, Source};
use crate::sys::time::Mono;
use crate::sys::{describe, handover};
use crate::tree::tree_dir::TreeDir;
use log::{info, warn};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the threads may take to come to rest. One that hangs in a dead file system must not stop the rest for long.
const PARKING_TIME: Duration = Duration::from_secs(5);

/// How long the next program may take to say its version.
const VERSION_TIME: Duration = Duration::from_secs(2);

/// How often it is looked meanwhile whether one of them has ended instead.
const THREAD_END_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Why the program is still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReplaced {
    /// It was not possible, and why; that is in the log.
    Failed(String),
    /// It is to be tried again, after what is waiting: why.
    Retry(&'static str),
}

/// Replaces the program. Returns only if that was not possible; then all goes on as before.
pub fn upgrade(roster: &Roster, messages: &Messages, own: &TreeDir, re_exec: &ReExec) -> NotReplaced {
    let log = roster.log();
    roster.alarms().wait_at_most(PARKING_TIME);
    let parking = Arc::new(Parking::default());
    let mut modules = roster.park_all(&parking);
    messages.park(&parking);
    modules.push(TREE_DIR.to_string());
    let why = match wait(roster, &parking, &modules) {
        // A thread that has ended has something to say first; one that did so before it was asked never answers.
        _ if roster.has_reports() => {
            parking.resume();
            return NotReplaced::Retry("a service is just leaving");
        }
        Err(missing) => format!("no answer from {}", missing.join(", ")),
        Ok(_) if !parking.unwritten().is_empty() => {
            format!("what runs cannot be written down ({})", parking.unwritten().join(", "))
        }
        // What the listening thread has taken from the kernel would be lost with us.
        Ok(_) if others_wait(messages) => {
            parking.resume();
            return NotReplaced::Retry("something else was asked for first");
        }
        Ok(modules) => match check(own, re_exec) {
            Err(why) => why,
            Ok(()) => hand_over(modules, roster, own.lock(), re_exec),
        },
    };
    warn!(logger: log, "upgrade not done: {why}; all goes on as before");
    parking.resume();
    NotReplaced::Failed(why)
}

/// Hands over what the parked threads have left open, and all else. Returns only if that was not possible: why.
fn hand_over(mut modules: BTreeMap<String, FdNumbers>, roster: &Roster, own_lock: &Lock, re_exec: &ReExec) -> String {
    let log = roster.log();
    modules.extend(roster.keep_pipes_open(true));
    let dropped = roster.alarms().to_start();
    if dropped > 0 {
        warn!(logger: log, "{dropped} alarm programs not run: others take too long");
    }
    info!(logger: log, "replacing the program by {}", re_exec.program.display());
    let inherited = inherited();
    let state = HandoverState {
        own_lock: own_lock.file().as_raw_fd(),
        nofile: inherited.nofile,
        umask: inherited.umask,
        modules,
        told_to_exit: roster.told_to_exit(),
    };
    let failed = replace(&state, own_lock, re_exec);
    let _ = handover::keep_open(own_lock.file(), false);
    roster.keep_pipes_open(false);
    format!("{}: {failed}", re_exec.program.display())
}

/// Whether the next program could begin: nobody would be left to say so if not.
///
/// # Errors
/// Why not.
fn check(own: &TreeDir, re_exec: &ReExec) -> Result<(), String> {
    if !own.is_in_place() {
        return Err(format!("{} is not as it was", own.dir().path().display()));
    }
    if re_exec.are_relative && std::env::current_dir().is_err() {
        return Err("the working directory is gone, and the arguments are relative to it".into());
    }
    let named = |text: String| format!("{}: {text}", re_exec.program.display());
    let program = c_path(&re_exec.program, "").map_err(|error| named(error.to_string()))?;
    let started = start(&Plan {
        program: &program,
        arguments: &[program.clone(), c"--version".to_owned()],
        shell_fallback: false,
        environment: &Environment::inherited(),
        directory: None,
        leads: Leader::Session,
        change: None,
        recorder: None,
        stdin: Input::Null,
        stdout: Output::Null,
        stderr: Output::Null,
    });
    let pidfd = started.map_err(|error| named(error.to_string()))?.pidfd;
    let ended = || poll::wait([Some(Source::Readable(pidfd.as_fd()))], Some(Mono::now() + VERSION_TIME)) == [true];
    if !ended() {
        let _ = pidfd.signal(libc::SIGKILL);
        ended();
    }
    match pidfd.reap() {
        Ok(Some(ExitStatus::Code(0))) => Ok(()),
        Ok(Some(status)) => Err(named(format!("--version: {status}"))),
        Ok(None) | Err(_) => Err(named("--version does not end".into())),
    }
}

/// Waits until all are parked, or one of them has ended instead.
fn wait(roster: &Roster, parking: &Parking, modules: &[String]) -> Result<BTreeMap<String, FdNumbers>, Vec<String>> {
    let deadline = Instant::now() + PARKING_TIME;
    loop {
        let parked = parking.wait(modules, deadline.min(Instant::now() + THREAD_END_POLL_INTERVAL));
        if parked.is_ok() || roster.has_reports() || Instant::now() >= deadline {
            return parked;
        }
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

fn replace(state: &HandoverState, own_lock: &Lock, re_exec: &ReExec) -> String {
    let text = match serde_json::to_vec(state) {
        Ok(text) => text,
        Err(error) => return error.to_string(),
    };
    let file = match handover::letter(&text) {
        Ok(file) => file,
        Err(error) => return crate::sys::errno_text(&error),
    };
    if let Err(errno) = handover::keep_open(own_lock.file(), true) {
        return describe(errno).into();
    }
    let mut arguments = re_exec.arguments.clone();
    arguments.insert(1.min(arguments.len()), format!("--handover={}", file.as_raw_fd()).into());
    match handover::replace_program(&re_exec.program, &arguments) {
        Ok(never) => match never {},
        Err(errno) => describe(errno).into(),
    }
}
