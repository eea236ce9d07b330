//! The verbs that send a command: to all modules first, and then they are waited for together.

use crate::ctl::access;
use crate::ctl::exit::Outcome;
use crate::ctl::report::{Extra, Report};
use crate::ctl::root::{CtlError, Missing, Module, StatusRoot};
use crate::ctl::service::ServiceDirectory;
use crate::ctl::snapshot::{Snapshot, SnapshotError};
use crate::ctl::steer::goal::Goal;
use crate::ctl::steer::module_wait::{ModuleWait, VANISHED};
use crate::ctl::steer::send;
use crate::ctl::steer::wait::Waiting;
use crate::sys::time::Mono;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// What a verb does to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The command bytes, all in one write.
    pub bytes: &'static [u8],
    /// What is done before, with the `down` file.
    pub mark: Option<DownFileChange>,
    /// What is waited for.
    pub then: Effect,
}

/// What happens to the service's `down` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownFileChange {
    /// It is made: the service stays down when the tree starts again.
    Down,
    /// It is removed.
    Up,
}

/// What follows the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The module becomes what was asked for, and that is waited for; the words say what it was told.
    Becomes(Goal, &'static str),
    /// Its process gets this signal; there must be one.
    Signal(&'static str),
    /// The supervisor takes note; these words say of what.
    Noted(&'static str),
}

const fn becomes(bytes: &'static [u8], mark: Option<DownFileChange>, goal: Goal, told: &'static str) -> Order {
    Order { bytes, mark, then: Effect::Becomes(goal, told) }
}

const fn signal(byte: &'static [u8; 1], name: &'static str) -> Order {
    Order { bytes: byte, mark: None, then: Effect::Signal(name) }
}

const fn noted(byte: &'static [u8; 1], what: &'static str) -> Order {
    Order { bytes: byte, mark: None, then: Effect::Noted(what) }
}

/// `start`
pub const START: Order = becomes(b"u", None, Goal::Up, "told to start");
/// `stop`
pub const STOP: Order = becomes(b"d", None, Goal::Down, "told to stop");
/// `restart`: both bytes in one write, so that nobody else's command comes between them.
pub const RESTART: Order = becomes(b"du", None, Goal::NewRun, "told to restart");
/// `once`
pub const ONCE: Order = becomes(b"o", None, Goal::Once, "told to run once");
/// `enable`
pub const ENABLE: Order = becomes(b"u", Some(DownFileChange::Up), Goal::Up, "enabled, and told to start");
/// `disable`
pub const DISABLE: Order = becomes(b"d", Some(DownFileChange::Down), Goal::Down, "disabled, and told to stop");
/// `pause`
pub const PAUSE: Order = signal(b"p", "STOP");
/// `cont`
pub const CONT: Order = signal(b"c", "CONT");
/// `kill`
pub const KILL: Order = signal(b"k", "KILL");
/// `term`
pub const TERM: Order = signal(b"t", "TERM");
/// `hup`
pub const HUP: Order = signal(b"h", "HUP");
/// `int`
pub const INT: Order = signal(b"i", "INT");
/// `quit`
pub const QUIT: Order = signal(b"q", "QUIT");
/// `alrm`
pub const ALRM: Order = signal(b"a", "ALRM");
/// `usr1`
pub const USR1: Order = signal(b"1", "USR1");
/// `usr2`
pub const USR2: Order = signal(b"2", "USR2");
/// `winch`
pub const WINCH: Order = signal(b"w", "WINCH");
/// `exit`
pub const EXIT: Order = noted(b"x", "its supervisor ends as soon as it is down");
/// `alarm on`
pub const ALARM_ON: Order = noted(b"n", "alarms on");
/// `alarm off`
pub const ALARM_OFF: Order = noted(b"s", "alarms off");
/// `reload`
pub const RELOAD: Order = noted(b"r", "told to read its settings again");

/// Sends `order` to all of `selected`, then waits for all; `timeout` of zero does not wait.
///
/// # Errors
/// inotify is used up; nothing has been sent then.
pub fn steer(
    root: &StatusRoot,
    selected: Vec<Result<Module, Missing>>,
    order: Order,
    timeout: Duration,
    report: &mut Report<'_>,
) -> Result<(), CtlError> {
    let mut waiting = None;
    let from = Mono::now();
    if let Effect::Becomes(..) = order.then
        && !timeout.is_zero()
    {
        waiting = Some(Waiting::new()?);
    }
    for found in selected {
        let module = match found {
            Ok(module) => module,
            Err(missing) => {
                report.missing(&missing);
                continue;
            }
        };
        if let Some(waiting) = &mut waiting {
            waiting.watch_next(root, module.dir.path())?;
        }
        match command(&module, order, waiting.as_mut()) {
            Ok(None) => {}
            Ok(Some(done)) => report.module(&module, Outcome::Done, &done, Extra::default()),
            Err((outcome, why)) => report.module(&module, outcome, &why, Extra::default()),
        }
    }
    match waiting {
        Some(waiting) => waiting.run(root, from, timeout, report),
        None => Ok(()),
    }
}

/// Gives one module its command; the words for a result that is there at once, `None` if it is waited for.
fn command(module: &Module, order: Order, waiting: Option<&mut Waiting>) -> Result<Option<String>, (Outcome, String)> {
    let before = Snapshot::read(module).map_err(|unseen| match unseen {
        SnapshotError::Denied(why) => (Outcome::Denied, why),
        SnapshotError::Gone => (Outcome::NoSuchModule, VANISHED.into()),
    })?;
    match (order.then, waiting) {
        (Effect::Becomes(goal, _), Some(waiting)) => {
            let errand = ModuleWait::new(module.clone(), goal, &before);
            give(module, &before, order)?;
            waiting.add(errand);
            Ok(None)
        }
        _ => give(module, &before, order).map(Some),
    }
}

/// Carries the order out for one module; gives the words for a result that is not waited for.
fn give(module: &Module, snapshot: &Snapshot, order: Order) -> Result<String, (Outcome, String)> {
    if let Effect::Signal(name) = order.then
        && snapshot.supervised == crate::ctl::snapshot::Supervised::Yes
        && snapshot.state.pid.is_none()
    {
        // The byte would be taken, and do nothing: whoever asked for it has to know.
        return Err((Outcome::Failed, format!("{}: there is no process to send {name} to", snapshot.state_name())));
    }
    if let Some(mark) = order.mark {
        // A service that nobody supervises must not be left half enabled without a word.
        self::mark(module, snapshot, mark)?;
    }
    send::to_module(module, snapshot, order.bytes)?;
    Ok(match order.then {
        Effect::Becomes(_, told) => told.to_string(),
        Effect::Noted(what) => what.to_string(),
        Effect::Signal(name) => match snapshot.state.pid {
            Some(pid) => format!("{name} sent (pid {pid})"),
            None => format!("{name} sent"),
        },
    })
}

/// Makes or removes the `down` file.
fn mark(module: &Module, snapshot: &Snapshot, mark: DownFileChange) -> Result<(), (Outcome, String)> {
    let none = || (Outcome::Failed, "has no service directory: enable and disable are for services of a tree".into());
    let directory = ServiceDirectory::of(module, snapshot).map_err(|why| (Outcome::Denied, why))?.ok_or_else(none)?;
    if !directory.is_theirs() {
        let shown = access::shown(&directory.path);
        return Err((Outcome::Denied, format!("{shown} does not belong to the user whose supervisor names it")));
    }
    let directory = directory.path;
    let path = directory.join("down");
    let done = match mark {
        DownFileChange::Up => std::fs::remove_file(&path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }),
        // O_EXCL follows no link; what is there already does its job, whatever it is.
        DownFileChange::Down => match OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map(drop),
        },
    };
    done.map_err(|error| {
        let outcome = if access::is_denied(&error) { Outcome::Denied } else { Outcome::Failed };
        // To make and remove a file is up to the directory's owner.
        let why = match access::is_denied(&error) {
            true => access::explain(&directory, &error),
            false => access::explain(&path, &error),
        };
        (outcome, why)
    })
}

/// `wait`: no command, only patience. A name that no module has yet may still get one.
///
/// # Errors
/// The status root cannot be read, or inotify is used up.
pub fn wait(
    root: &StatusRoot,
    words: &[OsString],
    goal: Goal,
    timeout: Duration,
    report: &mut Report<'_>,
) -> Result<(), CtlError> {
    let mut waiting = Waiting::new()?;
    let from = Mono::now();
    for found in root.select(words)? {
        let (module, missing) = match found {
            Ok(module) => (module, None),
            Err(missing) => match root.would_be(&missing.word).filter(|_| !missing.is_glob()) {
                Some(module) => (module, Some(missing.why)),
                None => {
                    report.missing(&missing);
                    continue;
                }
            },
        };
        waiting.watch_next(root, module.dir.path())?;
        waiting.add(ModuleWait::expecting(module, goal, missing));
    }
    waiting.run(root, from, timeout, report)
}
