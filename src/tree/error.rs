//! What keeps a tree from beginning.

use super::tree_dir::TreeDirError;
use crate::sys::{Errno, describe, errno_text};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a tree cannot begin. Nothing was started, and no status root was made for a root that is none.
#[derive(Debug)]
pub enum TreeError {
    /// The root cannot be read; it may come later.
    Root(PathBuf, io::Error),
    /// The root's path leads to something else, or over it: a person has to mend the argument.
    RootIsNoDirectory(PathBuf),
    /// The root has a directory with the name that the command has.
    NameIsTaken(PathBuf),
    /// The command cannot be executed: its first word, and why.
    Command(String, Errno),
    /// The tree's own status directory.
    TreeDir(TreeDirError),
    /// The kernel gives no signal descriptor.
    Signals(Errno),
    /// The kernel gives no thread.
    Thread(io::Error),
}

impl From<TreeDirError> for TreeError {
    fn from(error: TreeDirError) -> TreeError {
        TreeError::TreeDir(error)
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeError::Root(path, error) => write!(f, "cannot read {}: {}", path.display(), errno_text(error)),
            TreeError::RootIsNoDirectory(path) => write!(f, "{} is not a directory", path.display()),
            TreeError::NameIsTaken(path) => {
                write!(f, "{}: the command after -- is called so: give the directory another name", path.display())
            }
            TreeError::Command(name, Errno::ENOENT) if !name.contains('/') => write!(f, "{name}: not found in PATH"),
            TreeError::Command(name, errno) => write!(f, "{name}: {}", describe(*errno)),
            TreeError::TreeDir(error) => error.fmt(f),
            TreeError::Signals(errno) => write!(f, "cannot take signals: {}", describe(*errno)),
            TreeError::Thread(error) => write!(f, "cannot start a thread: {}", errno_text(error)),
        }
    }
}

impl std::error::Error for TreeError {}
