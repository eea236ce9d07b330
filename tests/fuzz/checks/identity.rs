//! The record in a lock file, as a supervisor may find it when it begins: nothing but a process that was recorded by
//! this boot in this file, and never PID 1, ourselves by mistake, or a process group.

use supervise_tree::sys::process::record::ProcessRecord;

const INODE: u64 = 77;
const BOOT: &str = "2f0c7e0a-6f9f-4b9e-8d35-6b3a53d1b0a4";

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    let Some(recorded) = ProcessRecord::parse(line, INODE, BOOT) else { return };
    assert!(recorded.pid.as_raw() > 1);
    // Who could not read the boot id wrote `-`.
    let is_of_unknown_boot = line.split_ascii_whitespace().nth(5) == Some("-");
    assert!(is_of_unknown_boot || line.contains(BOOT));
    assert_eq!(ProcessRecord::parse(line, INODE + 1, BOOT), None);
    assert_eq!(ProcessRecord::parse(line, INODE, "another").is_some(), is_of_unknown_boot);
    // Looks into /proc; whatever process has that number now was made by nobody who wrote this line.
    let _ = recorded.open();
}
