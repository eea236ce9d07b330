//! The tree's own `state.json`, as `svctl` may find it: what can be read can be written and read again.

use supervise_tree::status::tree_state::TreeState;

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let Some(state) = TreeState::decode(bytes) else { return };
    let line = state.encode();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    assert_eq!(TreeState::decode(&line), Some(state));
}
