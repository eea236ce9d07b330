//! `svctl pause`: nobody expects anything of a service that was told to stand still.

use crate::common::*;
use crate::{say, web};
use std::time::Duration;

/// Longer than any time limit here.
const LONG: Duration = Duration::from_millis(1500);

fn pause(place: &Place, web: &Module, pid: u32) {
    web.send("p");
    web.wait_state(place, "paused");
    // A signal that was sent has not come yet.
    wait_for("it to stand still", place, || is_stopped(pid));
    holds_for(LONG, "paused", place, || web.state_name() == "paused" && is_stopped(pid));
}

#[test]
fn the_watchdog_rests_and_begins_anew() {
    let (place, web) = web("ready : notify\nwatchdog : 1", SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    say(&place, "READY=1\nWATCHDOG=1");
    pause(&place, &web, pid);
    web.send("c");
    web.wait_state(&place, "ready");
    assert_eq!(web.pid(), pid, "{}", place.story());
    // Silent after that, too.
    web.wait_new_pid(&place, pid);
}

#[test]
fn the_time_to_get_ready_begins_anew() {
    let (place, web) = web("ready : notify\nready_timeout : 1", SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    pause(&place, &web, pid);
    web.send("c");
    say(&place, "READY=1");
    web.wait_state(&place, "ready");
    assert_eq!((web.pid(), web.state()["starts"].as_u64()), (pid, Some(1)), "{}", place.story());
}

#[test]
fn nobody_looks_at_it_until_it_goes_on() {
    let settings = "ready : start\ncheck : sh -c 'echo >> ../../looks; test ! -e ../../sick'\ncheck_interval : 0.1\ncheck_failures : 2";
    let (place, web) = web(settings, SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    let looks = || std::fs::metadata(place.path().join("looks")).map_or(0, |looks| looks.len());
    wait_for("a look", &place, || looks() > 0);
    web.send("p");
    web.wait_state(&place, "paused");
    std::fs::write(place.path().join("sick"), "").unwrap();
    wait_for("it to stand still", &place, || is_stopped(pid));
    holds_for(LONG, "paused", &place, || web.state_name() == "paused" && is_stopped(pid));
    std::fs::remove_file(place.path().join("sick")).unwrap();
    let before = looks();
    web.send("c");
    wait_for("looks after that", &place, || looks() > before + 1);
    assert_eq!((web.pid(), web.state_name().as_str()), (pid, "up"), "{}", place.story());
    // It is looked at in earnest.
    std::fs::write(place.path().join("sick"), "").unwrap();
    web.wait_new_pid(&place, pid);
}
