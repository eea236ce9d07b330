//! `needs`, `type`, circles, and readiness as others wait for it.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

use common::*;

/// A service that runs on.
const RUNS: &str = "exec sleep 1000";

/// A service that is ready once the file `go` is there.
const READY_WHEN_TOLD: &str = "until [ -e ../../go ]; do sleep 0.02; done; echo >&3; exec sleep 1000";

fn wait_for_state(place: &Place, module: &str, wanted: &str) {
    place.module(module).wait_state(place, wanted);
}

fn go(place: &Place) {
    std::fs::write(place.path().join("go"), "").expect("a file");
}

#[test]
fn a_chain_starts_when_what_it_needs_is_ready_and_stops_the_other_way_round() {
    let place = Place::new();
    place.conf("[db]\nready : fd\n[web]\nneeds : db setup\n[setup]\ntype : oneshot\n");
    place.run("db", READY_WHEN_TOLD);
    place.run("setup", "exit 0");
    place.run("web", RUNS);
    // The third link is in the service directory itself.
    place.run("app", "trap 'echo app >> ../../ended; exit 0' TERM; sleep 1000 & wait");
    std::fs::write(place.root().join("app/supervise.conf"), "needs : web\n").expect("a file");
    let _tree = place.tree();
    wait_for_state(&place, "setup", "done");
    wait_for_state(&place, "web", "waiting");
    wait_for_state(&place, "app", "waiting");
    assert_eq!(place.module("web").state()["waits_for"], "db", "{}", place.story());
    go(&place);
    wait_for_state(&place, "app", "up");
    assert_eq!(place.module("db").state_name(), "ready");
    place.module("db").send("d");
    wait_for_state(&place, "db", "down");
    wait_for_state(&place, "app", "waiting");
    assert_eq!(std::fs::read_to_string(place.path().join("ended")).unwrap_or_default(), "app\n");
    let log = place.module("db").text("supervise.log");
    assert!(log.contains("waiting: waits for the end of one that needs it"), "{log}");
    place.module("db").send("u");
    wait_for_state(&place, "app", "up");
}

#[test]
fn a_circle_and_an_unknown_name_wait_and_say_so() {
    let place = Place::new();
    place.conf("[a]\nneeds : b\n[b]\nneeds : a\n[c]\nneeds : nobody\n");
    for name in ["a", "b", "c"] {
        place.run(name, RUNS);
    }
    let _tree = place.tree();
    for (name, why) in [("a", "in a circle: a needs b needs a"), ("c", "needs nobody, which there is not")] {
        wait_for_state(&place, name, "waiting");
        wait_for(why, &place, || place.module(name).state()["reason"] == why);
    }
    // It starts when that module appears.
    place.run("nobody", RUNS);
    wait_for_state(&place, "c", "up");
}

#[test]
fn a_check_makes_ready_and_unhealthy() {
    let place = Place::new();
    place.conf("[web]\ncheck_interval : 0.1\ncheck_failures : 2\nunhealthy : ignore\n");
    place.run("web", RUNS);
    let check = place.root().join("web/check");
    script(&check, "echo looked; test -e ../../go");
    let _tree = place.tree();
    place.module("web").wait_up(&place);
    assert_eq!(place.module("web").state()["ready"], false, "{}", place.story());
    go(&place);
    wait_for_state(&place, "web", "ready");
    std::fs::remove_file(place.path().join("go")).expect("it is there");
    wait_for_state(&place, "web", "unhealthy");
    assert_eq!(place.module("web").state()["health"], "failing");
    go(&place);
    wait_for_state(&place, "web", "ready");
    assert_eq!(place.module("web").state()["check"], "looked");
}
