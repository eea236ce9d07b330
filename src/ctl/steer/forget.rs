//! `forget`: removes what is left of a service that is gone.

use crate::ctl::access;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::{Extra, Report};
use crate::ctl::root::{Missing, Module, StatusRoot};
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::status::StatusDir;
use crate::sys::errno_text;
use crate::sys::files::file;
use crate::sys::files::flock::{Lock, LockError};
use crate::sys::process::record::ProcessRecord;
use std::ffi::OsString;

/// What is said of a module that is forgotten.
const FORGOTTEN: &str = "forgotten: its status directory is removed, with what it wrote there";

/// Forgets those of `words` that are gone. A glob or a tag means those alone; a name that is not gone is a failure.
///
/// # Errors
/// The status root cannot be read.
pub fn forget(root: &StatusRoot, words: &[OsString], report: &mut Report<'_>) -> Result<(), CtlError> {
    let selected: Vec<Result<Module, Missing>> = root.select(words)?;
    let is_chosen = |module: &Module| {
        words.contains(&module.name) || words.iter().any(|word| *word == *module.shown()) || is_gone(module)
    };
    for module in report.known(selected).into_iter().filter(is_chosen) {
        // It may have been its service that was forgotten just now.
        if !module.dir.path().exists() {
            report.module(&module, Outcome::Done, FORGOTTEN, forgotten());
            continue;
        }
        match forget_one(root, &module) {
            Ok(()) => report.module(&module, Outcome::Done, FORGOTTEN, forgotten()),
            Err(error) => {
                let seen = Extra::seen(Snapshot::read_now(&module).ok());
                report.module(&module, error.outcome, &error.text, seen);
            }
        }
    }
    Ok(())
}

fn forgotten() -> Extra {
    Extra { changed: true, ..Extra::default() }
}

fn is_gone(module: &Module) -> bool {
    Snapshot::read_now(module).is_ok_and(|snapshot| snapshot.supervised == Supervised::Removed)
}

fn forget_one(root: &StatusRoot, module: &Module) -> Result<(), CtlError> {
    let mut locks = Vec::new();
    // Its logger's status directory lies in its own.
    for part in std::iter::once(module.clone()).chain(below(root, module)?) {
        // Nobody can begin with it from here on, and nobody has since it was looked at.
        locks.push(lock(&part)?);
        may_go(&part)?;
    }
    let path = module.dir.path();
    std::fs::remove_dir_all(path).map_err(|error| {
        let outcome = if access::is_denied(&error) { Outcome::Denied } else { Outcome::Failed };
        CtlError::new(outcome, access::explain(path, &error))
    })?;
    // There need not be one, and an empty socket is in nobody's way.
    let _ = std::fs::remove_file(StatusDir::of(root.path(), &module.json()).notify_socket());
    Ok(())
}

/// The modules whose status directories lie in that of `module`.
fn below(root: &StatusRoot, module: &Module) -> Result<Vec<Module>, CtlError> {
    let is_below =
        |other: &Module| other.dir.path() != module.dir.path() && other.dir.path().starts_with(module.dir.path());
    Ok(root.modules()?.into_iter().filter(is_below).collect())
}

/// Its lock; `None` where it never had one.
fn lock(module: &Module) -> Result<Option<Lock>, CtlError> {
    let path = module.dir.lock_path();
    if !path.exists() {
        return Ok(None);
    }
    match Lock::take(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held(holder)) => {
            let by = holder.map_or_else(String::new, |pid| format!(" by pid {pid}"));
            Err(CtlError::failed(format!("{} is supervised{by}: {TO_REMOVE}", module.shown())))
        }
        Err(LockError::Io(error)) if access::is_denied(&error) => Err(CtlError::denied(access::explain(&path, &error))),
        Err(LockError::Io(error)) => Err(CtlError::failed(format!("{}: {}", access::shown(&path), errno_text(&error)))),
    }
}

/// What to do about a service that is not gone.
const TO_REMOVE: &str = "remove its service directory first";

/// Whether nothing but the status directory is left of it.
fn may_go(module: &Module) -> Result<(), CtlError> {
    let snapshot = Snapshot::read(module)?;
    let name = module.shown();
    let definition = format::text(&snapshot.state.definition);
    match snapshot.supervised {
        Supervised::Removed => {}
        Supervised::Yes | Supervised::Stale => {
            return Err(CtlError::failed(format!("{name} is supervised: {TO_REMOVE}")));
        }
        Supervised::No { runs_on: true } => {
            let pid = snapshot.state.pid.unwrap_or_default();
            return Err(CtlError::failed(format!(
                "{name} is not over: its process (pid {pid}) runs on; end that first"
            )));
        }
        Supervised::NotBegun => return Err(CtlError::failed(format!("{name} is not gone: {TO_REMOVE}"))),
        Supervised::No { runs_on: false } => {
            let path = access::shown(module.dir.path());
            let why = match definition.as_str() {
                "" => format!("nothing says what it was; if it is of no use, remove {path}"),
                text if text.starts_with('/') => format!("{text} is still there: {TO_REMOVE}"),
                text => format!("supervise may be started again for `{text}`; if not, remove {path}"),
            };
            return Err(CtlError::failed(format!("{name} is not gone: {why}")));
        }
    }
    // The state may have been written before the last process started.
    let lock = file::read(&module.dir.lock_path()).ok();
    let record = lock.and_then(|lock| ProcessRecord::read(&lock).ok().flatten());
    match record.map(|record| record.open().map(|process| (record.pid, process.is_some()))) {
        Some(Ok((pid, true))) => {
            Err(CtlError::failed(format!("{name} is not over: its process (pid {pid}) runs on; end that first")))
        }
        Some(Err(error)) => {
            Err(CtlError::failed(format!("{name}: cannot tell whether its process lives: {}", errno_text(&error))))
        }
        Some(Ok((_, false))) | None => Ok(()),
    }
}
