//! Modules that the tree knows and could not begin: it says in its own `state.json` which, and why.

use crate::status::StatusDir;
use crate::status::tree_state::{NotBegun, TreeState};
use crate::sys::files::fifo;

/// All of them, while a tree runs; what a dead one has left says nothing.
pub fn all(tree: &StatusDir) -> Vec<NotBegun> {
    if !fifo::has_reader(&tree.control()).unwrap_or(false) {
        return Vec::new();
    }
    TreeState::read(&tree.state()).unwrap_or_default().not_begun
}

/// Why the module called `name` has not begun, if it is one of them.
pub fn reason(tree: &StatusDir, name: &str) -> Option<String> {
    all(tree).into_iter().find(|one| one.module == name).map(|one| one.reason)
}
