//! Where the output of a service with a logger is.

use crate::ctl::access;
use crate::ctl::root::Module;
use crate::logger::archive::names::CURRENT;
use crate::service::logger::current_file;
use crate::status::StatusDir;
use crate::status::dir::TREE_DIR;
use crate::status::state::StateFile;
use crate::sys::files::{fifo, file};
use std::path::{Path, PathBuf};

/// The output of a service, as far as its logger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// The file that the logger writes.
    File(PathBuf),
    /// There is a logger, with this pid if it runs, and which file it writes cannot be told.
    Somewhere(Option<u32>),
}

/// What is said of a module of which [`is_on_the_trees_output`] holds.
pub const ON_THE_TREES_OUTPUT: &str = "writes to the standard output of supervise-tree";

/// Whether what `module` writes goes to the tree's own standard output: it is the tree's command, or has `log : stdout`.
pub fn is_on_the_trees_output(module: &Module) -> bool {
    let state = StateFile::read(&module.dir.state()).ok().flatten();
    let pipe = || StatusDir::of(&module.status_root().join(TREE_DIR).join("stdout"), &module.json()).log_pipe();
    state.is_some_and(|state| state.command || file::is_fifo(&pipe()))
}

/// What has become of the service whose logger is `module`, if that is one that the tree runs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Its service directory is gone.
    Gone,
    /// Nobody supervises it.
    Rests,
    /// It is supervised.
    Lives,
}

/// The service of the logger `module`, whose own state is `state`; `None` where that is no logger that the tree runs by itself.
pub fn service_of(module: &Module, state: &StateFile) -> Option<Service> {
    let service = module.logged().filter(|_| state.log_dir.is_some())?;
    let dir = StatusDir::of(&module.status_root(), &service.to_string_lossy());
    let definition = StateFile::read(&dir.state()).ok().flatten().map(|state| state.definition);
    if definition.is_none_or(|definition| !Path::new(&definition).exists()) {
        return Some(Service::Gone);
    }
    Some(if is_supervised(&dir) { Service::Lives } else { Service::Rests })
}

/// Whether the logger of `module` is one that it had before, and the service logs elsewhere now.
pub fn is_former(module: &Module) -> bool {
    let mut name = module.name.clone();
    name.push("/log");
    let logger = Module { name, dir: StatusDir::new(module.dir.path().join("log")) };
    let state = StateFile::read(&logger.dir.state()).ok().flatten();
    let service = state.and_then(|state| service_of(&logger, &state));
    service == Some(Service::Lives) && !is_supervised(&logger.dir)
}

/// Whether somebody holds `ok` open. Who may not look is told so elsewhere.
fn is_supervised(dir: &StatusDir) -> bool {
    match fifo::has_reader(&dir.ok()) {
        Ok(is_there) => is_there,
        Err(error) => access::is_denied(&error),
    }
}

/// Where the logger of `module` writes, if it has one.
pub fn of(module: &Module) -> Option<Logged> {
    let read = |dir: &StatusDir| StateFile::read(&dir.state()).ok().flatten();
    let logger = StatusDir::new(module.dir.path().join("log"));
    let pid = read(&module.dir).and_then(|state| state.log_pid);
    // What it has open is the truth; where it is to write is known of the tree's own loggers alone.
    if let Some(open) = pid.and_then(current_file) {
        return Some(Logged::File(open));
    }
    let state = read(&logger);
    if let Some(told) = state.as_ref().and_then(|state| state.log_dir.as_ref()) {
        return Some(Logged::File(Path::new(told).join(CURRENT)));
    }
    let own = state.map(|state| PathBuf::from(state.definition)).filter(|own| own.join("run").exists());
    match own {
        Some(own) => Some(only_current(&own).map_or(Logged::Somewhere(pid), Logged::File)),
        None => pid.map(|pid| Logged::Somewhere(Some(pid))),
    }
}

/// The one file `current` in the directory of a logger that has nothing open, or below it: nearly each `log/run` writes into
/// `./main` or the like.
fn only_current(own: &Path) -> Option<PathBuf> {
    let below = std::fs::read_dir(own).ok()?.flatten().map(|entry| entry.path());
    let mut all =
        std::iter::once(own.to_owned()).chain(below).map(|dir| dir.join(CURRENT)).filter(|path| path.is_file());
    all.next().filter(|_| all.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_if_there_is_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("run"), "").unwrap();
        std::fs::create_dir(dir.path().join("main")).unwrap();
        assert_eq!(only_current(dir.path()), None);
        let main = dir.path().join("main").join(CURRENT);
        std::fs::write(&main, "").unwrap();
        assert_eq!(only_current(dir.path()), Some(main));
        std::fs::write(dir.path().join(CURRENT), "").unwrap();
        assert_eq!(only_current(dir.path()), None);
    }
}
