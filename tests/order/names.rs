//! Names that come, go and change.

use crate::common::*;
use crate::{RUNS, teller, wait_for_state, wait_reason, wait_told};

#[test]
fn one_that_is_renamed_is_another_one() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.01\n[web]\nneeds : db\n");
    teller(&place, "web");
    place.run("old", RUNS);
    let _tree = place.tree();
    wait_reason(&place, "web", "needs db, which there is not");
    wait_for_state(&place, "old", "up");
    std::fs::rename(place.root().join("old"), place.root().join("db")).expect("renamed");
    wait_told(&place, "+web");
    wait_for_state(&place, "db", "up");
    std::fs::rename(place.root().join("db"), place.root().join("old")).expect("renamed");
    wait_told(&place, "+web -web");
    wait_reason(&place, "web", "needs db, which there is not");
    place.module("old").wait_up(&place);
}

#[test]
fn who_waits_may_go_and_nobody_minds() {
    let place = Place::new();
    place.conf("[web]\nneeds : nobody\n[app]\nneeds : web\n");
    place.run("web", RUNS);
    place.run("app", RUNS);
    let tree = place.tree();
    wait_reason(&place, "web", "needs nobody, which there is not");
    std::fs::rename(place.root().join("web"), place.path().join("away")).expect("moved");
    wait_reason(&place, "app", "needs web, which there is not");
    // A command to one that waits is obeyed.
    place.module("app").send("d");
    wait_for_state(&place, "app", "down");
    place.module("app").send("u");
    wait_reason(&place, "app", "needs web, which there is not");
    assert!(tree.stop().success());
}

#[test]
fn a_change_of_the_settings_counts_for_who_waits_and_not_for_who_runs() {
    let place = Place::new();
    place.conf("[web]\nneeds : nobody\n");
    ["web", "app", "db"].iter().for_each(|name| place.run(name, RUNS));
    let tree = place.tree();
    wait_reason(&place, "web", "needs nobody, which there is not");
    let app = place.module("app").wait_up(&place);
    place.conf("[web]\nneeds : db\n[app]\nneeds : nobody\n");
    tree.signal("HUP");
    wait_for_state(&place, "web", "up");
    assert_eq!(place.module("app").pid(), app);
    place.module("db").send("d");
    wait_reason(&place, "web", "needs db, which is down");
    place.module("app").send("d");
    wait_for_state(&place, "app", "down");
    place.module("app").send("u");
    wait_reason(&place, "app", "needs nobody, which there is not");
}
