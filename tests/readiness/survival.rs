//! Readiness that comes when the tree was killed or has replaced itself since the start.

use crate::common::*;
use crate::notify::say;
use crate::{WAIT, go, is_not_ready, web};

fn generation(place: &Place) -> u64 {
    place.own().state()["generation"].as_u64().unwrap_or(0)
}

/// Has the tree replace itself.
fn upgraded(place: &Place, pid: u32) {
    let before = generation(place);
    signal(pid, "USR2");
    wait_for("the next program", place, || generation(place) == before + 1);
}

const TELLS: &str = "echo >&3; : > ../../told; exec sleep 1000";

#[test]
fn a_newline_that_was_written_while_no_tree_lived_is_heard() {
    let (place, web) = web("ready : fd", &format!("{WAIT}; {TELLS}"));
    let killed = place.reaped_tree();
    is_not_ready(&place, &web);
    let pid = web.pid();
    killed.kill();
    go(&place);
    wait_for("the newline", &place, || place.path().join("told").exists());
    let _tree = place.tree();
    web.wait_state(&place, "ready");
    assert_eq!((web.pid(), web.state()["starts"].as_u64()), (pid, Some(1)));
}

#[test]
fn a_newline_after_a_kill_or_an_upgrade_is_heard() {
    let (place, web) = web("ready : fd", &format!("{WAIT}; {TELLS}"));
    let killed = place.reaped_tree();
    is_not_ready(&place, &web);
    let pid = web.pid();
    killed.kill();
    let tree = place.tree();
    is_not_ready(&place, &web);
    upgraded(&place, tree.pid());
    is_not_ready(&place, &web);
    go(&place);
    web.wait_state(&place, "ready");
    assert_eq!(web.pid(), pid);
    // Who was ready stays so.
    upgraded(&place, tree.pid());
    wait_for("ready", &place, || web.state_name() == "ready" && web.state()["pid"] == pid);
    tree.kill();
    let _tree = place.tree();
    wait_for("ready", &place, || web.state_name() == "ready" && web.state()["pid"] == pid);
    assert!(!web.log()[web.log().find("adopted").unwrap_or(0)..].contains("stopping"), "{}", web.log());
}

#[test]
fn the_socket_is_there_again_under_its_name() {
    let (place, web) = web("ready : notify", SLEEP);
    let killed = place.reaped_tree();
    is_not_ready(&place, &web);
    let pid = web.pid();
    killed.kill();
    let tree = place.tree();
    is_not_ready(&place, &web);
    upgraded(&place, tree.pid());
    is_not_ready(&place, &web);
    wait_for("the socket", &place, || place.status_root().join(".notify/web").exists());
    say(&place, b"READY=1");
    web.wait_state(&place, "ready");
    assert_eq!(web.pid(), pid);
}

#[test]
fn a_check_and_a_time_go_on_with_the_next_tree() {
    let (place, web) = web("check : test -e ../../go", SLEEP);
    place.run("timed", SLEEP);
    std::fs::write(place.root().join("timed/supervise.conf"), "ready : 1.5\n").expect("a file");
    let timed = place.module("timed");
    let killed = place.reaped_tree();
    is_not_ready(&place, &web);
    timed.wait_up(&place);
    killed.kill();
    let tree = place.tree();
    upgraded(&place, tree.pid());
    go(&place);
    web.wait_state(&place, "ready");
    timed.wait_state(&place, "ready");
    for module in [&web, &timed] {
        assert_eq!(module.state()["starts"], 1, "{}", place.story());
    }
}

#[test]
fn who_waits_for_readiness_hears_of_it_also_over_an_upgrade() {
    let (place, db) = web("ready : fd\n[app]\nneeds : web", &format!("{WAIT}; {TELLS}"));
    place.run("app", SLEEP);
    let app = place.module("app");
    let killed = place.reaped_tree();
    app.wait_state(&place, "waiting");
    is_not_ready(&place, &db);
    killed.kill();
    let tree = place.tree();
    app.wait_state(&place, "waiting");
    upgraded(&place, tree.pid());
    app.wait_state(&place, "waiting");
    is_not_ready(&place, &db);
    go(&place);
    app.wait_up(&place);
    assert_eq!(db.state_name(), "ready");
}
