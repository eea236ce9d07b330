//! Services that are done.

use crate::common::*;
use crate::{RUNS, go, svctl, wait_for_state, wait_reason};

#[test]
fn a_one_shot_is_tried_until_it_succeeds_and_then_it_is_done() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\n[migrate]\ntype : oneshot\nmax_tries : 0\n[web]\nneeds : migrate\n");
    place.run("migrate", "echo >> ../../runs; test -e ../../go || exit 3");
    place.run("web", RUNS);
    let tree = place.tree();
    let runs = || std::fs::read(place.path().join("runs")).unwrap_or_default().len();
    wait_for("some runs", &place, || runs() >= 3);
    wait_reason(&place, "web", "needs migrate, which is not ready yet");
    go(&place);
    wait_for_state(&place, "migrate", "done");
    let pid = place.module("web").wait_up(&place);
    // `u` runs it again, which is no stop of it.
    let before = runs();
    place.module("migrate").send("u");
    wait_for("another run", &place, || runs() == before + 1);
    wait_for_state(&place, "migrate", "done");
    assert_eq!(place.module("web").pid(), pid);
    // Its stop is one.
    place.module("migrate").send("d");
    wait_reason(&place, "web", "needs migrate, which is down");
    assert!(tree.stop().success());
}

#[test]
fn svctl_takes_it_for_ready_when_it_is_done() {
    let place = Place::new();
    place.conf("[migrate]\ntype : oneshot\n");
    place.run("migrate", "until test -e ../../go; do sleep 0.02; done");
    let tree = place.tree();
    place.module("migrate").wait_up(&place);
    let waited = svctl(&place, &["-w", "0.3", "wait", "ready", "migrate"]);
    assert_eq!(waited.status.code(), Some(1), "{waited:?}");
    go(&place);
    for _ in 0..2 {
        let waited = svctl(&place, &["wait", "ready", "migrate"]);
        assert!(waited.status.success(), "{waited:?}");
    }
    assert!(tree.stop().success());
}

#[test]
fn one_that_gives_up_is_waited_for_and_the_reason_says_so() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.01\n[migrate]\ntype : oneshot\nalarm_interval : 60\nmax_tries : 2\n[web]\nneeds : migrate\n");
    place.run("migrate", "exit 3");
    place.run("web", RUNS);
    let _tree = place.tree();
    wait_for_state(&place, "migrate", "failed");
    wait_reason(&place, "web", "needs migrate, which is failed");
    place.module("web").wait_text(&place, "supervise.log.wf", "waiting: needs migrate, which is failed");
}

#[test]
fn what_is_done_stays_so_when_the_tree_is_killed_or_replaced() {
    let place = Place::new();
    place.conf("[migrate]\ntype : oneshot\n[web]\nneeds : migrate\n[late]\nneeds : migrate\n");
    place.run("migrate", "echo >> ../../runs");
    place.run("web", RUNS);
    let killed = place.reaped_tree();
    let pid = place.module("web").wait_up(&place);
    wait_for_state(&place, "migrate", "done");
    killed.kill();
    let tree = place.tree();
    place.run("late", RUNS);
    wait_for_state(&place, "late", "up");
    tree.signal("USR2");
    wait_for("the next program", &place, || place.own().state()["generation"] == 2);
    wait_for_state(&place, "migrate", "done");
    assert_eq!(place.module("web").pid(), pid);
    assert_eq!(std::fs::read_to_string(place.path().join("runs")).unwrap(), "\n", "it ran once");
}
