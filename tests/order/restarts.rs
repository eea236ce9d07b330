//! `restart_with`, and restarts of what is needed.

use crate::common::*;
use crate::{RUNS, svctl, teller, wait_for_state, wait_told};

#[test]
fn one_is_restarted_with_another_and_not_with_its_first_start() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.01\n[panel]\nrestart_with : sound\n");
    place.service("sound", &[("run", RUNS), ("down", "")]);
    place.run("panel", RUNS);
    let _tree = place.tree();
    let panel = place.module("panel").wait_up(&place);
    place.module("sound").send("u");
    let sound = place.module("sound").wait_up(&place);
    // A crash replaces it.
    signal(sound, "KILL");
    place.module("sound").wait_new_pid(&place, sound);
    let next = place.module("panel").wait_new_pid(&place, panel);
    assert_eq!(place.module("panel").state()["starts"], 2, "{}", place.story());
    // So does somebody's restart.
    assert!(svctl(&place, &["restart", "sound"]).status.success());
    place.module("panel").wait_new_pid(&place, next);
}

#[test]
fn a_restart_of_what_is_needed_takes_along_who_needs_it_in_order() {
    let place = Place::new();
    place.conf("[global]\nready : fd\nrestart_delay : 0.01\n[web]\nneeds : db\n[app]\nneeds : web\n");
    ["app", "db", "web"].iter().for_each(|name| teller(&place, name));
    let _tree = place.tree();
    wait_told(&place, "+db +web +app");
    let restarted = svctl(&place, &["restart", "db"]);
    assert!(restarted.status.success(), "{restarted:?}");
    wait_told(&place, "+db +web +app -app -web -db +db +web +app");
}

#[test]
fn a_crash_of_what_is_needed_changes_nothing_for_who_runs() {
    let place = Place::new();
    place.conf("[global]\nready : fd\nrestart_delay : 0.01\n[web]\nneeds : db\n");
    ["db", "web"].iter().for_each(|name| teller(&place, name));
    let _tree = place.tree();
    wait_told(&place, "+db +web");
    let (db, web) = (place.module("db").wait_up(&place), place.module("web").wait_up(&place));
    signal(db, "KILL");
    place.module("db").wait_new_pid(&place, db);
    wait_told(&place, "+db +web +db");
    wait_for_state(&place, "web", "ready");
    assert_eq!(place.module("web").pid(), web);
}
