//! The same verbs on a real `supervise`.

use crate::fixture::{Fixture, until};

#[test]
fn supervise_is_steered_like_a_tree() {
    let mut fixture = Fixture::new();
    fixture.supervise("web", "sleep 1000");
    let first = fixture.pid("web").unwrap();
    fixture.expect(0, &["status"]);
    fixture.expect(0, &["check", "web"]);
    fixture.expect(0, &["restart", "web"]);
    assert_ne!(fixture.pid("web"), Some(first));
    fixture.expect(0, &["stop", "web"]);
    fixture.expect(0, &["status", "web"]);
    fixture.expect(0, &["start", "web"]);
    fixture.expect(0, &["usr1", "web"]);
    until("USR1 has killed it", || fixture.state("web").filter(|state| state["last_exit"]["signal"] == "USR1"));
    // Its next start may still wait; an `exit` would find it down, and end the supervision at once.
    fixture.up("web");
    fixture.expect(0, &["reload", "web"]);
    let answer = fixture.expect(1, &["disable", "web"]);
    assert!(answer.out.contains("has no service directory"), "{answer:?}");
    let answer = fixture.expect(4, &["rescan"]);
    assert!(answer.out.contains("no supervise-tree runs"), "{answer:?}");
    let answer = fixture.expect(0, &["config", "web"]);
    let mode = answer.out.lines().find(|line| line.starts_with("kill_mode")).unwrap();
    assert!(mode.contains("process"), "{answer:?}");
    fixture.expect(0, &["exit", "web"]);
    fixture.expect(0, &["stop", "web"]);
    assert_eq!(fixture.ended(), 0);
    fixture.expect(4, &["status", "web"]);
}
