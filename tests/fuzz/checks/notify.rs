//! A datagram to the notify socket, in any bytes: what it says can be shown and reckoned with.

use std::time::Duration;
use supervise_tree::readiness::notify::{Assignment, DATAGRAM_MAX, parse};

const CENTURY: Duration = Duration::from_secs(3_155_760_000);

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let says = parse(bytes);
    assert!(says.len() <= bytes.len() / 7, "an assignment has at least seven bytes");
    assert!(bytes.len() <= DATAGRAM_MAX || says.is_empty());
    for assignment in &says {
        match assignment {
            Assignment::Status(text) => assert!(!text.contains(char::is_control) && text.chars().count() <= 256),
            Assignment::MainPid(pid) => assert!(*pid > 1),
            Assignment::Errno(errno) => assert!(*errno >= 0),
            Assignment::Extend(time) | Assignment::WatchdogInterval(time) | Assignment::Reloading(Some(time)) => {
                assert!(*time < CENTURY);
            }
            Assignment::Barrier => assert_eq!(says.len(), 1),
            Assignment::Ready
            | Assignment::Reloading(None)
            | Assignment::Stopping
            | Assignment::Alive
            | Assignment::Trigger => {}
        }
    }
}
