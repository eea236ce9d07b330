//! Restart limits and delays with real programs: what is counted, when it is given up, and when the next start comes.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::hook::*;
use common::host::{count, skipped};
use common::*;

/// A service that dumps core at once.
const DUMPER: &str = "echo run; ulimit -c unlimited; kill -ABRT $$";

// ----- limits ----------------------------------------------------------------------------------------------------

#[test]
fn the_exit_after_max_tries_restarts_is_given_up_until_u() {
    let place = Place::new();
    conf(&place, "max_tries : 2");
    place.run("web", CRASHER);
    place.run("other", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let other = place.module("other").wait_up(&place);
    for round in 1..=2 {
        // The log is written last.
        wait_for("the end", &place, || count(&web.path("supervise.log.wf"), "giving up") == round);
        assert_eq!((web.state_name().as_str(), runs(&web)), ("failed", 3 * round));
        let state = web.state();
        assert_eq!((&state["reason"], &state["want"]), (&"gave up after 2 restarts".into(), &"down".into()));
        assert_eq!((web.status()[13], web.pid(), web.is_supervised()), (b'd', 0, true));
        let log = web.text("supervise.log.wf");
        assert!(
            log.contains("] ")
                && log.contains("gave up after 2 restarts: no restart; `svctl start web` starts it again"),
            "{log}"
        );
        assert_eq!(count(&web.path("supervise.log.wf"), "[FATAL]"), round);
        // Its counters begin anew.
        web.send("u");
        wait_for("the next run", &place, || runs(&web) > 3 * round);
    }
    assert_eq!(place.module("other").pid(), other, "no other module notices");
    assert!(tree.stop().success());
}

#[test]
fn one_restart_is_no_restarts() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    conf(&place, &format!("max_tries : 1\nalarm_command : {}", tell.display()));
    place.run("web", CRASHER);
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_state(&place, "failed");
    assert_eq!(web.state()["reason"], "gave up after 1 restart");
    let all = wait_alarms(&place, 2);
    let last = all.iter().find(|text| text.contains("gave up")).expect("the alarm of giving up");
    assert!(last.contains("Service web gave up after 1 restart!\n"), "{last}");
    assert!(last.contains("\nrestarts in this interval: 1\n"), "{last}");
}

#[test]
fn exits_that_were_asked_for_do_not_count() {
    let place = Place::new();
    conf(&place, "max_tries : 1");
    place.run("web", SLEEP);
    let _tree = place.tree();
    let web = place.module("web");
    let mut pid = web.wait_up(&place);
    for byte in ["k", "t", "i", "q", "k"] {
        web.send(byte);
        pid = web.wait_new_pid(&place, pid);
    }
    // One that was not: the first, and so no alarm program, but one that counts.
    signal(pid, "KILL");
    pid = web.wait_new_pid(&place, pid);
    signal(pid, "KILL");
    web.wait_state(&place, "failed");
}

#[test]
fn without_an_interval_there_are_neither_limits_nor_alarms() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    place.conf(&format!(
        "[global]\nrestart_delay : 0.02\nmax_tries : 1\nmax_tries_if_coredumped : 1\nalarm_command : {0}\n\
         alarm_mailer : {0}\nalarm_mail : ops@example.org\nalarm_gsm_command : {0}\nalarm_gsm : 123\n",
        tell.display()
    ));
    place.run("web", CRASHER);
    place.run("core", DUMPER);
    let tree = place.tree();
    for name in ["web", "core"] {
        wait_for("run after run", &place, || runs(&place.module(name)) >= 6);
        assert_eq!(place.module(name).state()["reason"], serde_json::Value::Null);
        assert_eq!(count(&place.module(name).path("supervise.log"), "alarm:"), 0);
    }
    assert!(tree.stop().success());
    assert_eq!(alarms(&place), [""; 0]);
}

#[test]
fn the_nth_core_dump_is_given_up() {
    if !dumps_core() {
        return skipped("no core dumps here: core_pattern, or a limit, forbids them");
    }
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    conf(&place, &format!("max_tries_if_coredumped : 2\nalarm_command : {}", tell.display()));
    place.run("web", DUMPER);
    // Every third run dumps core: other exits do not count for this limit.
    place.run("mixed", "echo run; [ $(($(wc -l < ../../status/mixed/__stdout) % 3)) = 0 ] || exit 1\n ulimit -c unlimited; kill -ABRT $$");
    let _tree = place.tree();
    for (name, expected) in [("web", 2), ("mixed", 6)] {
        let module = place.module(name);
        module.wait_state(&place, "failed");
        assert_eq!(
            (runs(&module), &module.state()["reason"]),
            (expected, &"gave up after 2 core dumps".into()),
            "{name}"
        );
        assert_eq!(module.state()["last_exit"]["core"], true);
    }
    let all = wait_alarms(&place, 4);
    let has = |text: &str| all.iter().filter(|alarm| alarm.contains(text)).count();
    assert_eq!(has("Service web exited with coredump!\n"), 1, "{all:?}");
    assert_eq!(has("Service mixed exited!\n"), 1, "{all:?}");
    assert_eq!(has("gave up after 2 core dumps!\n"), 2, "{all:?}");
    assert_eq!(has("ALARM_EXIT=ABRT\n"), 3, "{all:?}");
}

#[test]
fn a_start_that_cannot_be_done_is_given_up_like_an_exit() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    conf(&place, &format!("max_tries : 1\nalarm_command : {}", tell.display()));
    place.run("web", "#!/no/such/interpreter\n");
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_state(&place, "failed");
    wait_for("both lines", &place, || count(&web.path("supervise.log.wf"), "cannot start: ") == 2);
    let all = wait_alarms(&place, 2);
    for alarm in &all {
        assert!(alarm.contains("\nALARM_PID=\n") && alarm.contains("No such file or directory"), "{alarm}");
    }
}

#[test]
fn a_window_that_is_over_is_followed_by_a_new_one() {
    let place = Place::new();
    conf(&place, "max_tries : 2");
    place.run("web", SLEEP);
    let tree = place.reaped_tree();
    let web = place.module("web");
    let mut pid = web.wait_up(&place);
    for _ in 0..2 {
        signal(pid, "KILL");
        pid = web.wait_new_pid(&place, pid);
    }
    tree.kill();
    // No window is shorter than a minute: what the next tree remembers of this one is made that much older.
    let mut state = web.state();
    let opened = state["memory"]["window"]["opened"].as_u64().expect("a window");
    if opened < 61_000_000_000 {
        signal(pid, "KILL");
        return skipped("the machine has not been up for a minute");
    }
    state["memory"]["window"]["opened"] = (opened - 61_000_000_000).into();
    std::fs::write(web.path("state.json"), state.to_string()).unwrap();
    let tree = place.reaped_tree();
    wait_for("the adoption", &place, || web.log().contains("adopted: "));
    for _ in 0..2 {
        signal(pid, "KILL");
        pid = web.wait_new_pid(&place, pid);
    }
    signal(pid, "KILL");
    web.wait_state(&place, "failed");
    assert!(tree.stop().success());
}

// ----- delays ----------------------------------------------------------------------------------------------------

/// The times between the first runs of a service that fails at once, in seconds.
fn distances(settings: &str, number: usize) -> Vec<f64> {
    let place = Place::new();
    place.conf(&format!("[global]\n{settings}\n"));
    place.run("web", "read up idle < /proc/uptime; echo $up; exit 1");
    let _tree = place.tree();
    let web = place.module("web");
    wait_for("the runs", &place, || web.text("__stdout").lines().count() > number);
    let text = web.text("__stdout");
    let times: Vec<f64> = text.lines().map(|line| line.parse().expect("a time")).collect();
    times.windows(2).take(number).map(|pair| pair[1] - pair[0]).collect()
}

/// What `/proc/uptime` may be wrong by, and the shell between its start and its line. A start may always be late.
const INEXACT: f64 = 0.08;

#[test]
fn two_starts_are_never_closer_than_restart_delay() {
    let distances = distances("restart_delay : 0.3", 4);
    assert!(distances.iter().all(|seconds| *seconds >= 0.3 - INEXACT), "{distances:?}");
}

#[test]
fn a_delay_doubles_up_to_its_maximum() {
    let distances = distances("restart_delay : 0.1\nrestart_delay_max : 0.7", 5);
    for (distance, least) in distances.iter().zip([0.1, 0.2, 0.4, 0.7, 0.7]) {
        assert!(*distance >= least - INEXACT, "{distances:?}");
    }
}

#[test]
fn a_service_that_lived_for_its_delay_is_started_at_once() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.5\nrestart_delay_max : 100\n");
    place.run("web", "echo run; sleep 0.6; exit 1");
    let _tree = place.tree();
    // A delay that grew from run to run would be seen in the log.
    let web = place.module("web");
    wait_for("some runs", &place, || runs(&web) >= 4);
    let log = web.text("supervise.log.wf");
    assert!(log.lines().all(|line| line.ends_with(": exit code 1; restarting in 0.0 s")), "{log}");
}
