//! A tree that stood still itself stops nobody for it.

use crate::common::*;
use crate::{say, web};
use std::time::{Duration, Instant};

/// Has the tree stand still, for twice as long as anything may take here.
fn stand_still(tree: &Running<'_>) {
    tree.signal("STOP");
    std::thread::sleep(Duration::from_millis(2000));
    tree.signal("CONT");
}

#[test]
fn a_watchdog_begins_anew() {
    let (place, web) = web("ready : notify\nwatchdog : 1", SLEEP);
    let tree = place.tree();
    let pid = web.wait_up(&place);
    say(&place, "READY=1");
    web.wait_state(&place, "ready");
    // The whole machine stands still: the service says nothing either.
    for _ in 0..2 {
        stand_still(&tree);
        let end = Instant::now() + Duration::from_millis(600);
        holds_for(Duration::from_millis(600), "alive", &place, || {
            if Instant::now() + Duration::from_millis(300) > end {
                say(&place, "WATCHDOG=1");
            }
            is_alive(pid)
        });
    }
    assert_eq!((web.pid(), web.state()["starts"].as_u64()), (pid, Some(1)), "{}", place.story());
    // Whoever is silent after that, too, is not spared.
    web.wait_new_pid(&place, pid);
}

#[test]
fn the_time_to_get_ready_begins_anew() {
    let (place, web) = web("ready : notify\nready_timeout : 1", SLEEP);
    let tree = place.tree();
    let pid = web.wait_up(&place);
    stand_still(&tree);
    web.wait_text(&place, "supervise.log", "we stood still");
    assert_eq!(web.state_name(), "up", "{}", place.story());
    say(&place, "READY=1");
    web.wait_state(&place, "ready");
    assert_eq!((web.pid(), web.state()["starts"].as_u64()), (pid, Some(1)), "{}", place.story());
}

#[test]
fn a_look_begins_anew_or_counts_as_it_ended() {
    let settings = "ready : start\ncheck : sh -c 'sleep 0.2; echo >> ../../looks'\ncheck_interval : 0.2\ncheck_timeout : 1\ncheck_failures : 1";
    let (place, web) = web(settings, SLEEP);
    let tree = place.tree();
    let pid = web.wait_up(&place);
    let looks = || std::fs::metadata(place.path().join("looks")).map_or(0, |looks| looks.len());
    for _ in 0..2 {
        let before = looks();
        wait_for("a look", &place, || looks() > before);
        stand_still(&tree);
        let before = looks();
        wait_for("looks after that", &place, || looks() > before + 1);
        assert_eq!((web.pid(), web.state_name() == "unhealthy"), (pid, false), "{}", place.story());
    }
    assert_eq!(web.state()["starts"], 1, "{}", place.story());
}
