//! The 20 bytes of `status`, as any reader may find them: what can be read means one thing only.

use supervise_tree::status::record::Record;

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let Some(record) = Record::decode(bytes) else { return };
    assert_eq!(Record::decode(&record.encode()), Some(record));
    // `svctl` shows it.
    let _ = supervise_tree::status::state::rfc3339(record.changed);
}
