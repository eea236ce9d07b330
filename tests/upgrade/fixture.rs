//! A tree that replaces itself.

use crate::common::host::*;
use crate::common::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many programs have begun to supervise: the first, and one for each upgrade.
pub fn begun(place: &Place) -> usize {
    count(&place.own().path("supervise.log"), " supervising ")
}

/// Asks for an upgrade by `ask`, and waits until the new program supervises.
pub fn upgrade(place: &Place, ask: impl FnOnce()) {
    let before = begun(place);
    ask();
    wait_for("the new program", place, || begun(place) > before);
}

/// A copy of the program, so that it can be replaced and removed.
pub fn own_copy(place: &Place) -> PathBuf {
    let copy = place.path().join("supervise-tree");
    std::fs::copy(env!("CARGO_BIN_EXE_supervise-tree"), &copy).expect("copied");
    copy
}

/// Starts the tree from a copy of its program that only this test has, and that it may replace: its path, and the tree.
pub fn tree_of_own_copy(place: &Place) -> (PathBuf, Running<'_>) {
    let program = own_copy(place);
    let tree = tree_of(place, &program);
    (program, tree)
}

/// Starts the tree from the program at `path`.
pub fn tree_of<'a>(place: &'a Place, path: &Path) -> Running<'a> {
    let mut command = Command::new(path);
    command.arg("-p").arg(place.status_root()).arg(place.root());
    let tree = place.start(command);
    wait_for("the tree to listen", place, || place.own().is_supervised());
    tree
}
