//! A service's `check` script: whether the service does its work, by its own account.
//!
//! It is run in the service directory with no arguments, all three descriptors on `/dev/null`, in a process group of
//! its own, which is killed when the time is over. It runs as whoever wrote `state.json`: that file names the
//! directory, and root must not run a program because another user wrote down where it is.

use crate::ctl::access;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::report::{Extra, Report};
use crate::ctl::root::{Missing, Module};
use crate::ctl::service::{Owner, ServiceDirectory};
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::ctl::steer::send::unsupervised;
use crate::sys::Pid;
use crate::sys::files::file;
use crate::sys::process::pidfd::{ExitStatus, Pidfd, signal_group};
use crate::sys::threads::poll;
use crate::sys::threads::poll::Source;
use crate::sys::time::Mono;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// A script that is there to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(ServiceDirectory);

/// A script that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pidfd: Pidfd,
    ended: bool,
}

impl Script {
    /// The script of a module, if it has one.
    ///
    /// # Errors
    /// As [`ServiceDirectory::of`].
    pub fn find(module: &Module, snapshot: &Snapshot) -> Result<Option<Script>, String> {
        let directory = ServiceDirectory::of(module, snapshot)?;
        Ok(directory.filter(|directory| file::is_executable(&directory.path.join("check"))).map(Script))
    }

    /// Runs it.
    ///
    /// # Errors
    /// Why it does not run.
    pub fn start(&self) -> Result<Running, String> {
        let mut command = Command::new("./check");
        command.current_dir(&self.0.path).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(Owner { uid, gid }) = self.0.owner {
            // This drops supplementary groups, too.
            command.uid(uid).gid(gid);
        }
        let failed = |error: std::io::Error| {
            format!("{}: {}", access::shown(&self.0.path.join("check")), crate::sys::errno_text(&error))
        };
        let child = command.spawn().map_err(failed)?;
        match Pidfd::open(Pid::from_raw(child.id() as i32)) {
            Ok(pidfd) => Ok(Running { child, pidfd, ended: false }),
            Err(errno) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                Err(failed(errno.into()))
            }
        }
    }
}

impl Running {
    /// How it ended, if it has; never waits.
    pub fn result(&mut self) -> Option<Result<(), String>> {
        let status = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status,
            Err(error) => return Some(Err(crate::sys::errno_text(&error))),
        };
        self.ended = true;
        if status.success() {
            return Some(Ok(()));
        }
        Some(Err(ExitStatus::from_wait_status(status.into_raw()).to_string()))
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // It is not reaped yet, so the group is still its own.
            let _ = signal_group(Pid::from_raw(self.child.id() as i32), libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// The verb `check`: each module is looked at once; its script may take until the time is over. All scripts of one
/// call run beside each other.
pub fn check(selected: Vec<Result<Module, Missing>>, limit: Duration, report: &mut Report<'_>) {
    let deadline = Mono::now() + limit;
    let mut running = Vec::new();
    for found in selected {
        let module = match found {
            Ok(module) => module,
            Err(missing) => {
                report.missing(&missing);
                continue;
            }
        };
        match probe(&module) {
            Ok((snapshot, Some(script))) => match script.start() {
                Ok(run) => running.push((module, snapshot, run)),
                Err(why) => report.module(&module, Outcome::Failed, &why, Extra::default()),
            },
            Ok((snapshot, None)) => passed(&module, &snapshot, report),
            Err(error) => report.module(&module, error.outcome, &error.text, Extra::default()),
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
                report.module(module, Outcome::Failed, &format!("its check fails: {why}"), Extra::default());
                false
            }
            None if late => {
                let text = format!("its check takes longer than {}", crate::ctl::format::spoken(limit));
                report.module(module, Outcome::TimedOut, &text, Extra::default());
                false
            }
            None => true,
        });
        let descriptors: Vec<_> = running.iter().map(|(_, _, run)| Source::Readable(run.as_fd())).collect();
        if !descriptors.is_empty() {
            poll::wait_many(&descriptors, Some(deadline));
        }
    }
}

fn passed(module: &Module, snapshot: &Snapshot, report: &mut Report<'_>) {
    report.module(module, Outcome::Done, &snapshot.describe(SystemTime::now()), Extra::default());
}

/// The script that decides about a module that is up, if there is one.
fn probe(module: &Module) -> Result<(Snapshot, Option<Script>), CtlError> {
    let snapshot = Snapshot::read(module)?;
    if snapshot.supervised != Supervised::Yes {
        return Err(CtlError::new(Outcome::NotSupervised, unsupervised(&snapshot)));
    }
    if !snapshot.is_up() || snapshot.state.ready == Some(false) {
        return Err(CtlError::failed(snapshot.describe(SystemTime::now())));
    }
    let script = Script::find(module, &snapshot).map_err(CtlError::denied)?;
    Ok((snapshot, script))
}
