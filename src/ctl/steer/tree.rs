//! The verbs for the tree itself: `rescan`, `upgrade`, `shutdown`, and `reload` without a module.

use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::Report;
use crate::ctl::root::StatusRoot;
use crate::ctl::steer::send;
use crate::ctl::steer::timeout::Allowances;
use crate::status::tree_state::TreeState;
use crate::sys::Pid;
use crate::sys::files::flock;
use crate::sys::files::inotify::{Interest, Watches};
use crate::sys::process::pidfd::Pidfd;
use crate::sys::threads::poll;
use crate::sys::threads::poll::PollSource;
use crate::sys::time::Mono;
use std::os::fd::AsFd;
use std::time::Duration;

/// `rescan` and `reload`: the byte for HUP.
pub fn hup(root: &StatusRoot, told: &str, report: &mut Report<'_>) {
    let pid = holder(root);
    match give(root, b"h") {
        Ok(()) => report.tree(Outcome::Done, true, &format!("{}: {told}", name(pid))),
        Err(error) => report.tree(error.outcome, false, &error.text),
    }
}

/// `shutdown`: the byte for TERM; waits until the tree has ended, as long as `wait` or the services' settings allow.
pub fn shutdown(root: &StatusRoot, wait: Option<Duration>, report: &mut Report<'_>) {
    let timeout = wait.unwrap_or_else(|| Allowances::default().of_tree(root));
    let pid = holder(root);
    // Before the byte: afterwards the number could be somebody else's.
    let pidfd = pid.and_then(|pid| Pidfd::open(pid).ok());
    if let Err(error) = give(root, b"t") {
        return report.tree(error.outcome, false, &error.text);
    }
    let Some(pidfd) = pidfd.filter(|_| !timeout.is_zero()) else {
        return report.tree(Outcome::Done, true, &format!("{}: told to stop all services and end", name(pid)));
    };
    match poll::wait([Some(PollSource::Readable(pidfd.as_fd()))], Some(Mono::now() + timeout)) {
        [true] => report.tree(Outcome::Done, true, &format!("{}: has stopped all services and ended", name(pid))),
        [false] => {
            let text = format!("{}: still stopping services after {}", name(pid), format::spoken(timeout));
            report.tree(Outcome::TimedOut, true, &text);
        }
    }
}

/// `upgrade`: the byte for USR2; waits until the tree's state file says what came of it.
pub fn upgrade(root: &StatusRoot, timeout: Duration, report: &mut Report<'_>) {
    let pid = holder(root);
    let dir = root.tree();
    let last = || TreeState::read(&dir.state()).and_then(|state| state.last_upgrade);
    // What the file says already is of an earlier upgrade.
    let earlier = last().map(|last| last.number);
    let watches =
        Watches::new().and_then(|mut watches| watches.add(dir.path(), (), Interest::Writes).map(|()| watches));
    if let Err(error) = give(root, b"2") {
        return report.tree(error.outcome, false, &error.text);
    }
    let Some(mut watches) = watches.ok().filter(|_| !timeout.is_zero()) else {
        return report.tree(Outcome::Done, true, &format!("{}: told to replace itself", name(pid)));
    };
    let deadline = Mono::now() + timeout;
    loop {
        if let Some(last) = last().filter(|last| Some(last.number) != earlier) {
            return match last.failure {
                Some(why) => report.tree(Outcome::Failed, false, &format!("{}: upgrade not done: {why}", name(pid))),
                None => report.tree(Outcome::Done, true, &format!("{}: has replaced itself", name(pid))),
            };
        }
        if poll::wait([Some(PollSource::Readable(watches.as_fd()))], Some(deadline)) == [false] {
            let text = format!("{}: has not replaced itself after {}", name(pid), format::spoken(timeout));
            return report.tree(Outcome::TimedOut, true, &text);
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
