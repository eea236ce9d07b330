//! `watchdog`: a service that has to say that it is well.

use crate::common::*;
use crate::{say, web};
use std::time::{Duration, Instant};

const WATCHED: &str = "ready : notify\nwatchdog : 0.5\n";

/// Says this again and again.
fn say_for(place: &Place, time: Duration, text: &str) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        say(place, text);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn who_says_nothing_for_so_long_gets_the_signal_and_is_started_again() {
    let (place, web) = web(
        &format!("{WATCHED}watchdog_signal : USR1"),
        "trap 'echo USR1 > ../../got; exit 3' USR1; sleep 1000 & wait",
    );
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    say_for(&place, Duration::from_millis(1500), "READY=1\nWATCHDOG=1");
    assert_eq!((web.pid(), web.state_name().as_str()), (pid, "ready"), "{}", place.story());
    web.wait_new_pid(&place, pid);
    web.wait_log(&place, &format!("pid {pid} has not said for 0.5 s that it is well: USR1 sent"));
    assert_eq!(std::fs::read_to_string(place.path().join("got")).unwrap(), "USR1\n");
    assert_eq!(web.state()["exits"].as_u64().map(|exits| exits >= 1), Some(true), "it was a failure");
}

#[test]
fn the_core_that_it_dumps_is_counted() {
    if !dumps_core() {
        return host::skipped("no core dumps here: core_pattern, or a limit, forbids them");
    }
    let (place, web) = web(
        &format!("{WATCHED}alarm_interval : 60\nmax_tries_if_coredumped : 2"),
        "ulimit -c unlimited; exec sleep 1000",
    );
    let _tree = place.tree();
    web.wait_state(&place, "failed");
    let state = web.state();
    assert_eq!((&state["reason"], &state["starts"]), (&"gave up after 2 core dumps".into(), &2.into()), "{state}");
    let exit = &state["last_exit"];
    assert_eq!((&exit["signal"], &exit["core"]), (&"ABRT".into(), &true.into()), "{state}");
}

#[test]
fn one_that_ignores_the_signal_is_killed() {
    let (place, web) = web(&format!("{WATCHED}kill_timeout : 0.3"), "trap '' ABRT TERM; while :; do sleep 1; done");
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    web.wait_new_pid(&place, pid);
    web.wait_log(&place, "signal KILL");
}

#[test]
fn who_says_that_it_is_not_well_is_believed() {
    let (place, web) = web("ready : notify\nwatchdog : 60", SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    say(&place, "READY=1");
    web.wait_state(&place, "ready");
    say(&place, "WATCHDOG=trigger");
    web.wait_new_pid(&place, pid);
    web.wait_log(&place, "says that it is unwell: ABRT sent");
    // It may say itself how often it will.
    let pid = web.pid();
    say(&place, "WATCHDOG_USEC=200000");
    web.wait_new_pid(&place, pid);
    web.wait_log(&place, "has not said for 0.2 s");
    // However short that is, nobody goes round in circles.
    let pid = web.wait_up(&place);
    say(&place, "WATCHDOG_USEC=1");
    web.wait_new_pid(&place, pid);
}

#[test]
fn the_interval_is_in_the_environment_and_nobody_is_watched_without_the_key() {
    let place = Place::new();
    let tells = "env | grep -E '^(NOTIFY_SOCKET|WATCHDOG_USEC)=' > ../../NAME; exec sleep 1000";
    place.conf("[watched]\nready : notify\nwatchdog : 30\n[told]\nready : notify\n");
    for name in ["watched", "told", "plain"] {
        place.run(name, &tells.replace("NAME", name));
    }
    let _tree = place.tree();
    let text = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap_or_default();
    for name in ["watched", "told", "plain"] {
        place.module(name).wait_up(&place);
    }
    let socket = |name: &str| format!("NOTIFY_SOCKET={}\n", place.status_root().join(".notify").join(name).display());
    wait_for("the variables", &place, || text("watched").lines().count() == 2 && !text("told").is_empty());
    assert!(text("watched").contains("WATCHDOG_USEC=30000000\n") && text("watched").contains(&socket("watched")));
    assert_eq!((text("told"), text("plain")), (socket("told"), String::new()));
}
