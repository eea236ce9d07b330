//! The verbs for the tree itself: `rescan`, `upgrade`, `shutdown`, and `reload` without a module.

use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::Report;
use crate::ctl::root::StatusRoot;
use crate::ctl::steer::send;
use crate::sys::Pid;
use crate::sys::files::flock;
use crate::sys::files::inotify::{Interest, Watches};
use crate::sys::process::pidfd::Pidfd;
use crate::sys::threads::poll;
use crate::sys::threads::poll::Source;
use crate::sys::time::Mono;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// What the tree logs when it begins, and when an upgrade was not possible.
const BEGINS: &str = "supervising ";
const NOT_DONE: &str = "upgrade not done";

/// `rescan` and `reload`: the byte for HUP.
pub fn hup(root: &StatusRoot, told: &str, report: &mut Report<'_>) {
    let pid = holder(root);
    match give(root, b"h") {
        Ok(()) => report.tree(Outcome::Done, &format!("{}: {told}", name(pid))),
        Err(error) => report.tree(error.outcome, &error.text),
    }
}

/// `shutdown`: the byte for TERM; waits until the tree has ended, as long as `timeout` allows.
pub fn shutdown(root: &StatusRoot, timeout: Duration, report: &mut Report<'_>) {
    let pid = holder(root);
    // Before the byte: afterwards the number could be somebody else's.
    let pidfd = pid.and_then(|pid| Pidfd::open(pid).ok());
    if let Err(error) = give(root, b"t") {
        return report.tree(error.outcome, &error.text);
    }
    let Some(pidfd) = pidfd.filter(|_| !timeout.is_zero()) else {
        return report.tree(Outcome::Done, &format!("{}: told to stop all services and end", name(pid)));
    };
    match poll::wait([Some(Source::Readable(pidfd.as_fd()))], Some(Mono::now() + timeout)) {
        [true] => report.tree(Outcome::Done, &format!("{}: has stopped all services and ended", name(pid))),
        [false] => {
            let text = format!("{}: still stopping services after {}", name(pid), format::spoken(timeout));
            report.tree(Outcome::TimedOut, &text);
        }
    }
}

/// `upgrade`: the byte for USR2; waits until the tree's log says what came of it.
pub fn upgrade(root: &StatusRoot, timeout: Duration, report: &mut Report<'_>) {
    let pid = holder(root);
    let dir = root.tree();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let (log, trouble) = (dir.log(), dir.log_wf());
    // What is in the logs already is of earlier upgrades.
    let (old_log, old_trouble) = (read(&log).len(), read(&trouble).len());
    let watches =
        Watches::new().and_then(|mut watches| watches.add(dir.path(), (), Interest::Writes).map(|()| watches));
    if let Err(error) = give(root, b"2") {
        return report.tree(error.outcome, &error.text);
    }
    let Some(mut watches) = watches.ok().filter(|_| !timeout.is_zero()) else {
        return report.tree(Outcome::Done, &format!("{}: told to replace itself", name(pid)));
    };
    let deadline = Mono::now() + timeout;
    loop {
        let failure = read(&trouble)
            .get(old_trouble..)
            .and_then(|new| new.lines().find(|line| line.contains(NOT_DONE)).map(String::from));
        if let Some(line) = failure {
            return report.tree(Outcome::Failed, &format!("{}: {line}", name(pid)));
        }
        if read(&log).get(old_log..).is_some_and(|new| new.contains(BEGINS)) {
            return report.tree(Outcome::Done, &format!("{}: has replaced itself", name(pid)));
        }
        if poll::wait([Some(Source::Readable(watches.as_fd()))], Some(deadline)) == [false] {
            let text = format!("{}: has not replaced itself after {}", name(pid), format::spoken(timeout));
            return report.tree(Outcome::TimedOut, &text);
        }
        watches.take();
    }
}

/// Who holds the tree's lock.
fn holder(root: &StatusRoot) -> Option<Pid> {
    let lock = crate::sys::files::file::read(&root.tree().lock_path()).ok()?;
    flock::holder(&lock)
}

fn name(pid: Option<Pid>) -> String {
    pid.map_or_else(|| "supervise-tree".into(), |pid| format!("supervise-tree (pid {pid})"))
}

fn give(root: &StatusRoot, bytes: &[u8]) -> Result<(), CtlError> {
    send::send(&root.tree(), bytes).map_err(|refused| {
        refused.unwrap_or_else(|| {
            let root = crate::ctl::access::shown(root.path());
            CtlError::new(Outcome::NotSupervised, format!("no supervise-tree runs with the status root {root}"))
        })
    })
}
