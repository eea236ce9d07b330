//! The same verbs on a real `supervise`.

use crate::house::{House, until};

#[test]
fn supervise_is_steered_like_a_tree() {
    let mut house = House::new();
    house.supervise("web", "sleep 1000");
    let first = house.pid("web").unwrap();
    house.expect(0, &["status"]);
    house.expect(0, &["check", "web"]);
    house.expect(0, &["restart", "web"]);
    assert_ne!(house.pid("web"), Some(first));
    house.expect(0, &["stop", "web"]);
    house.expect(3, &["status", "web"]);
    house.expect(0, &["start", "web"]);
    house.expect(0, &["usr1", "web"]);
    until("USR1 has killed it", || house.state("web").filter(|state| state["last_exit"]["signal"] == "USR1"));
    house.expect(0, &["reload", "web"]);
    let answer = house.expect(1, &["disable", "web"]);
    assert!(answer.out.contains("has no service directory"), "{answer:?}");
    let answer = house.expect(4, &["rescan"]);
    assert!(answer.out.contains("no supervise-tree runs"), "{answer:?}");
    let answer = house.expect(0, &["config", "web"]);
    let mode = answer.out.lines().find(|line| line.starts_with("kill_mode")).unwrap();
    assert!(mode.contains("process"), "{answer:?}");
    house.expect(0, &["exit", "web"]);
    house.expect(0, &["stop", "web"]);
    assert_eq!(house.ended(), 0);
    house.expect(4, &["status", "web"]);
}
