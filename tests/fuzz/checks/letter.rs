//! What one program hands to the next when it replaces itself, in any bytes: what can be read can be written and read again.

use supervise_tree::tree::handover::HandoverState;

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let Ok(state) = HandoverState::decode(bytes) else { return };
    assert_eq!(HandoverState::decode(&state.encode()).ok(), Some(state));
}
