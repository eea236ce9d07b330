//! `after`: the order alone.

use crate::common::*;
use crate::{READY_WHEN_TOLD, RUNS, go, own, wait_for_state, wait_reason};

#[test]
fn what_is_on_its_way_is_waited_for_also_if_the_directory_alone_says_so() {
    let place = Place::new();
    // Alone in knowing of any order, and first to begin.
    place.run("app", RUNS);
    own(&place, "app", "after : db\n");
    place.run("db", READY_WHEN_TOLD);
    own(&place, "db", "ready : fd\n");
    // There are many, so that the last is seen long after the first has begun.
    (0..40).for_each(|number| place.run(&format!("b{number}"), RUNS));
    let _tree = place.tree();
    wait_reason(&place, "app", "after db, which is not ready yet");
    let log = place.module("app").log();
    assert!(!log.contains("started"), "{log}");
    go(&place);
    wait_for_state(&place, "app", "up");
}

#[test]
fn what_is_down_failed_or_unknown_is_not_waited_for() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.01\n[a]\nafter : rests\n[b]\nafter : fails\n[c]\nafter : nobody @none\n[fails]\nalarm_interval : 60\nmax_tries : 1\n");
    ["a", "b", "c"].iter().for_each(|name| place.run(name, RUNS));
    place.service("rests", &[("run", RUNS), ("down", "")]);
    place.run("fails", "exit 1");
    let _tree = place.tree();
    wait_for_state(&place, "fails", "failed");
    ["a", "b", "c"].iter().for_each(|name| wait_for_state(&place, name, "up"));
    // A stop of the one concerns nobody who only comes after it.
    let pid = place.module("b").pid();
    place.module("rests").send("u");
    wait_for_state(&place, "rests", "up");
    place.module("rests").send("d");
    wait_for_state(&place, "rests", "down");
    assert_eq!((place.module("a").state_name().as_str(), place.module("b").pid()), ("up", pid));
}
