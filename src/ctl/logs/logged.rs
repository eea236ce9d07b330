//! Where the output of a service with a logger is.

use crate::ctl::logs::last_words::current_file;
use crate::ctl::root::Module;
use crate::status::StatusDir;
use crate::status::dir::TREE_DIR;
use crate::status::state::StateFile;
use crate::sys::files::file;
use std::path::{Path, PathBuf};

/// The output of a service, as far as its logger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// The file that the logger writes.
    File(PathBuf),
    /// There is a logger, with this pid, and which file it writes cannot be told.
    Somewhere(u32),
}

/// What is said of a module of which [`is_on_the_trees_output`] holds.
pub const ON_THE_TREES_OUTPUT: &str = "writes to the standard output of supervise-tree";

/// Whether what `module` writes goes to the tree's own standard output: it is the tree's command, or has `log : stdout`.
pub fn is_on_the_trees_output(module: &Module) -> bool {
    let state = StateFile::read(&module.dir.state()).ok().flatten();
    let pipe = || StatusDir::of(&module.status_root().join(TREE_DIR).join("stdout"), &module.json()).log_pipe();
    state.is_some_and(|state| state.command || file::is_fifo(&pipe()))
}

/// Where the logger of `module` writes, if it has one.
pub fn of(module: &Module) -> Option<Logged> {
    let read = |dir: &StatusDir| StateFile::read(&dir.state()).ok().flatten();
    let logger = StatusDir::new(module.dir.path().join("log"));
    let pid = read(&module.dir).and_then(|state| state.log_pid);
    // What it has open is the truth; where it is to write is known of the tree's own loggers alone.
    let open = pid.and_then(current_file);
    let told = || read(&logger)?.log_dir.map(|dir| Path::new(&dir).join("current"));
    open.or_else(told).map(Logged::File).or(pid.map(Logged::Somewhere))
}
