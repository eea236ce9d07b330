//! `runit-links restore`: the packaged links, after a tree that could not put them back itself.

use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::Report;
use crate::ctl::root::StatusRoot;
use crate::status::runit_files::NAME;
use crate::status::runit_link::{self, PutBack};
use crate::status::tree_state::TreeState;
use crate::sys::errno_text;
use crate::sys::files::flock::{Lock, LockError};
use std::path::{Path, PathBuf};

/// Puts the packaged links in all service directories below `root` back, or below that of the last tree that had the status
/// root.
///
/// # Errors
/// There is no such directory, or nobody knows which is meant.
pub fn restore(
    root: Option<&Path>,
    status_root: impl FnOnce() -> Result<StatusRoot, CtlError>,
    report: &mut Report<'_>,
) -> Result<(), CtlError> {
    let root = match root {
        Some(root) => root.to_owned(),
        None => of_last_tree(status_root)?,
    };
    let mut names = Vec::new();
    let shown = crate::ctl::access::shown(&root);
    let entries = std::fs::read_dir(&root)
        .map_err(|error| CtlError::new(Outcome::Failed, format!("{shown}: {}", errno_text(&error))))?;
    names.extend(entries.flatten().map(|entry| entry.file_name()));
    names.sort();
    let mut are_there = false;
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| !name.starts_with('.')) {
        for module in [name.to_owned(), format!("{name}/log")] {
            are_there |= one(&root.join(&module), &module, report);
        }
    }
    if !are_there {
        report.tree(Outcome::Done, false, &format!("{shown}: no link is to be put back"));
    }
    Ok(())
}

fn of_last_tree(status_root: impl FnOnce() -> Result<StatusRoot, CtlError>) -> Result<PathBuf, CtlError> {
    let unknown = |why: String| {
        let text = format!("{why}: name the directory of the services: svctl runit-links restore /etc/service");
        CtlError::new(Outcome::Usage, text)
    };
    let status_root = status_root().map_err(|error| unknown(error.text))?;
    let state = TreeState::read(&status_root.tree().state()).filter(|state| !state.root.is_empty());
    state.map(|state| state.root.into()).ok_or_else(|| unknown("no tree has left its state here".into()))
}

/// Whether there was anything to do in the directory of `module`.
fn one(dir: &Path, module: &str, report: &mut Report<'_>) -> bool {
    let name = format::text(module);
    if let Some(holder) = holder(dir) {
        let text = format!("{name}: {holder} supervises it: stop that first (svctl shutdown)");
        report.tree(Outcome::Failed, false, &text);
        return true;
    }
    let ends = Path::new(module).join(NAME);
    match runit_link::put_back(dir, |there| there.ends_with(&ends)) {
        Ok(PutBack::Nothing) => return false,
        Ok(PutBack::Removed) => report.tree(Outcome::Done, true, &format!("{name}: the link of the tree is gone")),
        Ok(PutBack::Packaged(there)) => {
            report.tree(
                Outcome::Done,
                true,
                &format!("{name}: {NAME} -> {} is back", format::text(&there.to_string_lossy())),
            );
        }
        Err(error) => report.tree(Outcome::Failed, false, &format!("{name}: {}", errno_text(&error))),
    }
    true
}

/// Who supervises the service directory, by our link or otherwise.
fn holder(dir: &Path) -> Option<String> {
    if !dir.join(NAME).is_symlink() {
        return None;
    }
    match Lock::take_foreign(&dir.join(NAME).join("lock")) {
        Err(LockError::Held(Some(pid))) => Some(format!("pid {pid}")),
        Err(LockError::Held(None)) => Some("a process of another pid namespace".into()),
        Ok(_) | Err(LockError::Io(_)) => None,
    }
}
