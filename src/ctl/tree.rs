//! The verbs for the tree itself: `rescan`, `shutdown`, and `reload` without a module.

use super::exit::Outcome;
use super::report::Report;
use super::root::StatusRoot;
use super::{send, words};
use crate::sys::pidfd::Pidfd;
use crate::sys::poll::Source;
use crate::sys::time::Mono;
use crate::sys::{Pid, flock, poll};
use std::os::fd::AsFd;
use std::time::Duration;

/// `rescan` and `reload`: the byte for HUP.
pub fn hup(root: &StatusRoot, told: &str, report: &mut Report<'_>) {
    let pid = holder(root);
    match give(root, b"h") {
        Ok(()) => report.tree(Outcome::Done, &format!("{}: {told}", name(pid))),
        Err((outcome, why)) => report.tree(outcome, &why),
    }
}

/// `shutdown`: the byte for TERM; waits until the tree has ended, as long as `patience` allows.
pub fn shutdown(root: &StatusRoot, patience: Duration, report: &mut Report<'_>) {
    let pid = holder(root);
    // Before the byte: afterwards the number could be somebody else's.
    let pidfd = pid.and_then(|pid| Pidfd::open(pid).ok());
    if let Err((outcome, why)) = give(root, b"t") {
        return report.tree(outcome, &why);
    }
    let Some(pidfd) = pidfd.filter(|_| !patience.is_zero()) else {
        return report.tree(Outcome::Done, &format!("{}: told to stop all services and end", name(pid)));
    };
    match poll::wait([Some(Source::Readable(pidfd.as_fd()))], Some(Mono::now() + patience)) {
        [true] => report.tree(Outcome::Done, &format!("{}: has stopped all services and ended", name(pid))),
        [false] => {
            let text = format!("{}: still stopping services after {}", name(pid), words::spoken(patience));
            report.tree(Outcome::TimedOut, &text);
        }
    }
}

/// Who holds the tree's lock.
fn holder(root: &StatusRoot) -> Option<Pid> {
    let lock = crate::sys::file::read(&root.tree().lock_path()).ok()?;
    flock::holder(&lock)
}

fn name(pid: Option<Pid>) -> String {
    pid.map_or_else(|| "supervise-tree".into(), |pid| format!("supervise-tree (pid {pid})"))
}

fn give(root: &StatusRoot, bytes: &[u8]) -> Result<(), (Outcome, String)> {
    send::send(&root.tree(), bytes).map_err(|refused| {
        refused.unwrap_or_else(|| {
            let root = super::access::shown(root.path());
            (Outcome::NotSupervised, format!("no supervise-tree runs with the status root {root}"))
        })
    })
}
