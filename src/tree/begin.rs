//! What a tree needs before anything else. One that was started ends without it; one that has taken over waits.

use super::error::TreeError;
use crate::conf::defaults::MAIN;
use crate::service::CommandLine;
use crate::sys::terminal::console;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often a program that has taken over tries again what it cannot do without.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Does `what`; where it fails and `is_upgrade`, tries again until it succeeds: services run on, and nobody else is there for
/// them. Signals wait meanwhile.
pub(super) fn retrying<T>(is_upgrade: bool, mut what: impl FnMut() -> Result<T, TreeError>) -> Result<T, TreeError> {
    let mut is_told = false;
    loop {
        match what() {
            Err(error) if is_upgrade => {
                if !std::mem::replace(&mut is_told, true) {
                    let name = "supervise-tree";
                    console::line(&format!("{name}: {error}; services go on, tried again until it succeeds"));
                }
                std::thread::sleep(RETRY_INTERVAL);
            }
            result => return result,
        }
    }
}

/// Whether there is a directory at `root`, and the command, if there is one, can be the tree's.
///
/// # Errors
/// There is none, or it cannot.
pub(super) fn check(root: &Path, command: Option<&CommandLine>) -> Result<(), TreeError> {
    check_root(root)?;
    command.map_or(Ok(()), |command| check_command(root, command))
}

/// Whether the command can be executed, and its name is free. Nothing is started for one that cannot.
///
/// # Errors
/// It cannot, or is not.
fn check_command(root: &Path, command: &CommandLine) -> Result<(), TreeError> {
    let directory = root.join(MAIN);
    if directory.is_dir() {
        return Err(TreeError::NameIsTaken(directory));
    }
    command.check().map_err(|error| TreeError::Command(command.name(), error.errno))
}

/// Whether there is a directory at `root`.
///
/// # Errors
/// There is none.
fn check_root(root: &Path) -> Result<(), TreeError> {
    match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(TreeError::RootIsNoDirectory(root.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(TreeError::RootIsNoDirectory(root.to_owned()))
        }
        Err(error) => Err(TreeError::Root(root.to_owned(), error)),
    }
}
