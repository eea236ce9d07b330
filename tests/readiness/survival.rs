//! Readiness that comes when the tree was killed or has replaced itself since the start.

use crate::common::*;
use crate::notify::say;
use crate::{WAIT, go, is_not_ready, web};
use std::time::Duration;

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

/// What it has to tell that it is ready it gets at its start: new settings count from the next one on, whoever supervises it by
/// then.
#[test]
fn settings_that_came_after_the_start_stop_nobody_who_is_taken_over() {
    let place = Place::new();
    let names = ["told", "by_fd", "watched", "other"];
    let app = "[app]\nneeds : told by_fd watched\n";
    place.conf(&format!("[other]\nready : fd\n{app}"));
    names.iter().for_each(|name| place.run(name, SLEEP));
    place.run("app", SLEEP);
    let killed = place.reaped_tree();
    place.module("app").wait_up(&place);
    let pids = names.map(|name| place.module(name).wait_up(&place));
    let state = |name: &str| place.module(name).state();
    wait_for("it to be written", &place, || {
        names.iter().zip(pids).all(|(name, pid)| state(name)["pid"] == pid && place.module(name).pid() == pid)
    });
    let run_on = |by: u64| {
        wait_for("their pids", &place, || names.map(|name| state(name)["supervisor_pid"] == by) == [true; 4]);
        holds_for(Duration::from_millis(1000), "all run on", &place, || {
            names.map(|name| place.module(name).pid()) == pids
        });
        let told =
            ["told", "by_fd", "watched"].map(|name| (place.module(name).state_name(), state(name)["ready"].clone()));
        assert_eq!(told, ["up"; 3].map(|up| (up.to_string(), serde_json::Value::Null)), "{}", place.story());
        assert_eq!(state("other")["ready"], false, "{}", place.story());
        let outdated = |name: &str| state(name)["outdated"] == "its settings were changed";
        assert_eq!(names.map(outdated), [true; 4], "{}", place.story());
        assert!(!outdated("app"), "{}", place.story());
    };
    place.conf(&format!(
        "[told]\nready : notify\nready_timeout : 0.3\n[by_fd]\nready : fd\nready_timeout : 0.3\n\
         [watched]\nready : notify\nwatchdog : 0.3\n[other]\nready : notify\n{app}"
    ));
    killed.kill();
    let tree = place.tree();
    run_on(tree.pid().into());
    upgraded(&place, tree.pid());
    run_on(tree.pid().into());
    // With their next start they are asked.
    place.module("by_fd").send("du");
    wait_for("it to be asked", &place, || state("by_fd")["pid"] != pids[1] && state("by_fd")["ready"] == false);
}
