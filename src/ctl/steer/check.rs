//! A service's `check` script: whether the service does its work, by its own account.
//!
//! It is run in the service directory with no arguments, in a session of its own, which has no terminal and is killed when
//! the time is over. It runs as whoever wrote `state.json`: that file names the directory, and root must not run a
//! program because another user wrote down where it is. If that is somebody else, the script gets a bare environment, too;
//! otherwise it runs in the context that the service's settings say.
//! Its output is read, and the last line of it is shown when the check fails.

use crate::ctl::access;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::{Extra, Report};
use crate::ctl::root::{Missing, Module, StatusRoot};
use crate::ctl::service::context;
use crate::ctl::service::directory::{Owner, ServiceDirectory};
use crate::ctl::show::health::Health;
use crate::ctl::snapshot::Snapshot;
use crate::ctl::steer::send::unsupervised;
use crate::service::context::Resolved;
use crate::service::names;
use crate::sys::files::file;
use crate::sys::process::isolate::{isolate, take_on};
use crate::sys::process::pidfd::{ExitStatus, Pidfd, signal_group};
use crate::sys::threads::poll;
use crate::sys::threads::poll::PollSource;
use crate::sys::time::Mono;
use crate::sys::{Errno, Pid, errno_text};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// At the end of a script's output, so many bytes are looked at.
const OUTPUT_MAX: usize = 4096;

/// The environment of a script that another user wrote, beside what names the module.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A script that is there to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    directory: ServiceDirectory,
    module: Module,
    snapshot: Snapshot,
}

/// A script that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pidfd: Pidfd,
    output: Option<OwnedFd>,
    /// The end of what it has written.
    written: VecDeque<u8>,
    ended: bool,
}

impl Script {
    /// The script of a module, if it has one.
    ///
    /// # Errors
    /// As [`ServiceDirectory::of`].
    pub fn find(module: &Module, snapshot: &Snapshot) -> Result<Option<Script>, String> {
        let directory = ServiceDirectory::of(module, snapshot)?;
        let directory = directory.filter(|directory| file::is_executable(&directory.path.join("check")));
        Ok(directory.map(|directory| Script { directory, module: module.clone(), snapshot: snapshot.clone() }))
    }

    /// Runs it.
    ///
    /// # Errors
    /// Why it does not run.
    pub fn start(&self) -> Result<Running, String> {
        let failed =
            |error: io::Error| format!("{}: {}", access::shown(&self.directory.path.join("check")), errno_text(&error));
        let (reader, writer) = pipe().map_err(|errno| failed(errno.into()))?;
        let context = if self.directory.owner.is_none() { self.context()? } else { None };
        // With a working directory of its own, it is not found from there.
        let elsewhere = context.as_ref().is_some_and(|context| context.change.directory.is_some());
        let program = if elsewhere { self.directory.path.join("check") } else { "./check".into() };
        let mut command = Command::new(program);
        command.current_dir(&self.directory.path).stdin(Stdio::null());
        command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
        isolate(&mut command);
        match self.directory.owner {
            // This drops supplementary groups, too. What we may read for a context, they may not.
            Some(Owner { uid, gid }) => drop(command.uid(uid).gid(gid).env_clear().env("PATH", PATH)),
            None => {
                if let Some(Resolved { change, environment, .. }) = context {
                    command.env_clear().envs(environment.pairs());
                    take_on(&mut command, change);
                }
            }
        }
        command.envs(names::variables(self.module.name.as_ref(), &self.module.status_root()));
        let child = command.spawn().map_err(failed)?;
        match Pidfd::open(Pid::from_raw(child.id() as i32)) {
            Ok(pidfd) => Ok(Running { child, pidfd, output: Some(reader), written: VecDeque::new(), ended: false }),
            Err(errno) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                Err(failed(errno.into()))
            }
        }
    }
}

impl Script {
    /// The context of the service, if that is not its supervisor's.
    fn context(&self) -> Result<Option<Resolved>, String> {
        let context = context::of_service(&self.module.json(), &self.directory.path, &self.snapshot);
        context.map_err(|why| format!("check: {why}"))
    }
}

/// A pipe whose reading end never blocks; the script may be the last to close the other one, or one of its children.
fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

impl Running {
    /// How it ended, if it has; never waits.
    pub fn result(&mut self) -> Option<Result<(), String>> {
        self.read_output();
        let status = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status,
            Err(error) => return Some(Err(errno_text(&error))),
        };
        self.read_output();
        self.ended = true;
        if status.success() {
            return Some(Ok(()));
        }
        let ending = ExitStatus::from_wait_status(status.into_raw());
        Some(Err(self.last_line().map_or_else(|| ending.to_string(), |line| format!("{ending}: {line}"))))
    }

    /// Reads what it has written, as far as there is something: one that writes without end holds nobody up.
    fn read_output(&mut self) {
        let mut part = [0; OUTPUT_MAX];
        // As much as a pipe holds.
        for _ in 0..16 {
            let Some(output) = &self.output else { return };
            match nix::unistd::read(output, &mut part) {
                Ok(0) => self.output = None,
                Ok(length) => {
                    self.written.extend(&part[..length]);
                    let too_many = self.written.len().saturating_sub(OUTPUT_MAX);
                    self.written.drain(..too_many);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// The last line of its output that is not empty, with what a terminal would obey made visible.
    pub fn last_line(&mut self) -> Option<String> {
        let text = String::from_utf8_lossy(self.written.make_contiguous()).into_owned();
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(format::text)
    }

    /// What to wait for: its end, and its output.
    pub fn sources(&self) -> impl Iterator<Item = PollSource<'_>> {
        let output = self.output.as_ref().map(|output| PollSource::Readable(output.as_fd()));
        std::iter::once(PollSource::Readable(self.pidfd.as_fd())).chain(output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // It is not reaped yet, so the group that it leads is still its own.
            let _ = signal_group(Pid::from_raw(self.child.id() as i32), libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// The modules that `check` is about: those that are named, each with its logger; without a name, all that are wanted up.
///
/// # Errors
/// The status root cannot be read.
pub fn select(root: &StatusRoot, words: &[OsString]) -> Result<Vec<Result<Module, Missing>>, CtlError> {
    if words.is_empty() {
        // One that went away meanwhile has no health; one that may not be seen has to be told.
        let wanted = |module: &Module| {
            Health::of(&Snapshot::read(module)).is_some_and(|health| health == Health::Up || !health.is_as_wanted())
        };
        return Ok(root.modules()?.into_iter().filter(wanted).map(Ok).collect());
    }
    let mut selected = Vec::new();
    for found in root.select(words)? {
        let logger =
            found.as_ref().ok().and_then(|module| root.module(Path::new(&module.name).join("log").as_os_str()));
        let is_chosen = |module: &Module| selected.iter().flatten().any(|chosen: &Module| chosen == module);
        let new = [Some(found), logger.map(Ok)].into_iter().flatten();
        let new: Vec<_> = new.filter(|found| !found.as_ref().is_ok_and(is_chosen)).collect();
        selected.extend(new);
    }
    Ok(selected)
}

/// The verb `check`: each module is looked at once; its script may take until the time is over. All scripts of one
/// call run beside each other.
pub fn check(selected: Vec<Result<Module, Missing>>, limit: Duration, report: &mut Report<'_>) {
    let deadline = Mono::now() + limit;
    let mut running = Vec::new();
    for module in report.known(selected) {
        match probe(&module) {
            Ok((snapshot, Some(script))) => match script.start() {
                Ok(run) => running.push((module, snapshot, run)),
                Err(why) => report.module(&module, Outcome::Failed, &why, Extra::seen(Some(snapshot))),
            },
            Ok((snapshot, None)) => passed(&module, &snapshot, report),
            Err(error) => {
                let seen = Extra::seen(Snapshot::read_now(&module).ok());
                report.module(&module, error.outcome, &error.text, seen);
            }
        }
    }
    while !running.is_empty() {
        let late = Mono::now() >= deadline;
        running.retain_mut(|(module, snapshot, run)| match run.result() {
            Some(Ok(())) => {
                passed(module, snapshot, report);
                false
            }
            Some(Err(why)) => {
                let text = format!("its check fails: {why}");
                report.module(module, Outcome::Failed, &text, Extra::seen(Some(snapshot.clone())));
                false
            }
            None if late => {
                let said = run.last_line().map_or_else(String::new, |line| format!(": {line}"));
                let text = format!("its check takes longer than {}{said}", format::spoken(limit));
                report.module(module, Outcome::TimedOut, &text, Extra::seen(Some(snapshot.clone())));
                false
            }
            None => true,
        });
        let descriptors: Vec<_> = running.iter().flat_map(|(_, _, run)| run.sources()).collect();
        if !descriptors.is_empty() {
            poll::wait_many(&descriptors, Some(deadline));
        }
    }
}

fn passed(module: &Module, snapshot: &Snapshot, report: &mut Report<'_>) {
    report.module(module, Outcome::Done, &snapshot.describe(SystemTime::now()), Extra::seen(Some(snapshot.clone())));
}

/// The script that decides about a module that is up, if there is one. A one-shot that is done has nothing left to look at.
fn probe(module: &Module) -> Result<(Snapshot, Option<Script>), CtlError> {
    let snapshot = Snapshot::read(module)?;
    if !snapshot.is_supervised() {
        return Err(CtlError::new(Outcome::NotSupervised, unsupervised(&snapshot)));
    }
    if snapshot.is_one_shot_done() {
        return Ok((snapshot, None));
    }
    if !snapshot.is_up() || snapshot.state.ready == Some(false) {
        let not_ready = if snapshot.is_up() { ", not ready" } else { "" };
        let (now, said) = (snapshot.describe(SystemTime::now()), snapshot.why_unfit());
        return Err(CtlError::failed(format!("{now}{not_ready}{said}")));
    }
    let script = Script::find(module, &snapshot).map_err(CtlError::denied)?;
    Ok((snapshot, script))
}
