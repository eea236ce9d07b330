//! Starts that wait for others.

use crate::common::*;
use crate::{READY_WHEN_TOLD, RUNS, go, teller, told, wait_for_state, wait_reason, wait_told};

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
    place.module("app").wait_trap();
    assert_eq!(place.module("db").state_name(), "ready");
    place.module("db").send("d");
    wait_for_state(&place, "db", "down");
    wait_for_state(&place, "app", "waiting");
    assert_eq!(std::fs::read_to_string(place.path().join("ended")).unwrap_or_default(), "app\n");
    let log = place.module("db").text("supervise.log");
    assert!(log.contains("waiting: waits for the end of web"), "{log}");
    place.module("db").send("u");
    wait_for_state(&place, "app", "up");
}

#[test]
fn a_chain_starts_one_after_another_and_ends_the_other_way_round() {
    let place = Place::new();
    place.conf("[global]\nready : fd\n[b]\nneeds : a\n[c]\nneeds : b\n[d]\nneeds : c\n");
    ["d", "c", "b", "a"].iter().for_each(|name| teller(&place, name));
    let tree = place.tree();
    wait_told(&place, "+a +b +c +d");
    assert!(tree.stop().success());
    assert_eq!(told(&place)[4..], ["-d", "-c", "-b", "-a"]);
}

#[test]
fn what_global_needs_comes_first_and_goes_last() {
    let place = Place::new();
    place.conf("[global]\nneeds : init\n[init]\nready : fd\n");
    place.run("init", READY_WHEN_TOLD);
    teller(&place, "web");
    place.service("db", &[("run", RUNS), ("log/run", "exec cat > lines")]);
    let tree = place.tree();
    wait_reason(&place, "web", "needs init, which is not ready yet");
    wait_reason(&place, "db", "needs init, which is not ready yet");
    // A logger has no place in the order.
    place.module("db/log").wait_up(&place);
    go(&place);
    wait_for_state(&place, "init", "ready");
    wait_for_state(&place, "db", "up");
    wait_told(&place, "+web");
    let init = place.module("init").pid();
    tree.signal("TERM");
    wait_told(&place, "+web -web");
    assert!(tree.wait().success());
    assert!(!is_alive(init));
    let log = place.module("init").log();
    assert!(log.contains("waits for the end of"), "{log}");
}

#[test]
fn a_tag_means_all_who_have_it() {
    let place = Place::new();
    place.conf("[a]\ntags : store\n[b]\ntags : store\nready : fd\n[web]\nneeds : @store\n");
    place.run("a", RUNS);
    place.run("b", READY_WHEN_TOLD);
    place.run("web", RUNS);
    let _tree = place.tree();
    wait_for_state(&place, "a", "up");
    wait_reason(&place, "web", "needs b, which is not ready yet");
    go(&place);
    wait_for_state(&place, "web", "up");
    place.module("a").send("d");
    wait_reason(&place, "web", "needs a, which is down");
}
