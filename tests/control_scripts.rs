//! `control/X` in a service directory: when it runs, in which order, and what its exit code means.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::count;
use common::*;
use std::time::{Duration, Instant};

/// A script that writes down its name, and exits so.
fn note(name: &str, code: i32) -> String {
    format!("echo {name} >> calls; exit {code}")
}

/// A service that writes down which signals it got, and goes on until INT.
const LISTENER: &str = "for s in TERM HUP CONT USR1; do trap \"echo $s >> calls\" $s; done
    trap 'echo INT >> calls; kill $!; exit 0' INT; echo run >> calls; sleep 1000 & while :; do wait $!; done";

/// What has happened in the service directory `web`, in a line.
fn calls(place: &Place) -> String {
    let text = std::fs::read_to_string(place.root().join("web/calls")).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn wait_calls(place: &Place, expected: &str) {
    wait_for(&format!("{expected:?}, not {:?}", calls(place)), place, || calls(place) == expected);
}

#[test]
fn u_runs_before_every_start_and_its_exit_code_means_nothing() {
    let place = Place::new();
    place.conf(FAST);
    place.service(
        "web",
        &[("run", "echo run >> calls; exec sleep 1000"), ("control/u", &note("u", 1)), ("finish", &note("finish", 0))],
    );
    let _tree = place.tree();
    let web = place.module("web");
    let first = web.wait_up(&place);
    wait_calls(&place, "u run");
    signal(first, "KILL");
    let second = web.wait_new_pid(&place, first);
    wait_calls(&place, "u run finish u run");
    signal(second, "KILL");
    web.wait_new_pid(&place, second);
    wait_calls(&place, "u run finish u run finish u run");
    web.send("d");
    web.wait_state(&place, "down");
    web.send("o");
    wait_calls(&place, "u run finish u run finish u run finish u run");
}

#[test]
fn a_stop_runs_t_before_the_signal_and_d_after_it() {
    let place = Place::new();
    place.conf(FAST);
    place.service(
        "web",
        &[
            ("run", "trap 'echo TERM >> calls; kill $!; exit 0' TERM; sleep 1000 & echo run >> calls; wait"),
            ("finish", &note("finish", 0)),
            ("control/t", &note("t", 1)),
            ("control/d", "while ! grep -q TERM calls; do sleep 0.01; done; echo d >> calls"),
            ("control/x", &note("x", 0)),
            ("control/k", &note("k", 0)),
        ],
    );
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    wait_calls(&place, "run");
    web.send("d");
    web.wait_state(&place, "down");
    wait_calls(&place, "run t TERM d finish");
}

#[test]
fn a_t_that_exits_0_has_stopped_it_in_its_own_way() {
    let place = Place::new();
    place.conf(FAST);
    // It ends long before its script does; what follows the end waits for that.
    place.service(
        "web",
        &[
            ("run", LISTENER),
            ("finish", &note("finish", 0)),
            ("control/t", "kill -INT $(cat pid); sleep 0.2; echo t >> calls"),
            ("control/d", &note("d", 0)),
        ],
    );
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    std::fs::write(place.root().join("web/pid"), pid.to_string()).unwrap();
    wait_calls(&place, "run");
    web.send("d");
    web.wait_state(&place, "down");
    wait_calls(&place, "run INT t d finish");
    web.wait_text(&place, "supervise.log", "TERM left to control/t");
    // The same for a restart: the old one's script is through before the new one runs.
    web.send("u");
    let pid = web.wait_new_pid(&place, pid);
    std::fs::write(place.root().join("web/pid"), pid.to_string()).unwrap();
    wait_calls(&place, "run INT t d finish run");
    web.send("t");
    wait_calls(&place, "run INT t d finish run INT t finish run");
}

#[test]
fn a_signals_script_decides_whether_it_is_sent() {
    let place = Place::new();
    place.service("web", &[("run", LISTENER), ("control/h", &note("h", 0)), ("control/1", &note("1", 3))]);
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_calls(&place, "run");
    web.send("h");
    wait_calls(&place, "run h");
    web.wait_text(&place, "supervise.log", &format!("HUP not sent to pid {pid}: control/h exited 0"));
    web.send("1");
    wait_calls(&place, "run h 1 USR1");
    assert_eq!(web.pid(), pid);
}

#[test]
fn what_cannot_be_executed_or_is_no_script_is_passed_over() {
    let place = Place::new();
    place.service("web", &[("run", LISTENER), ("control/t/readme", "nothing"), ("control/h", "#!/nowhere\n")]);
    let control = place.root().join("web/control");
    std::fs::write(control.join("1"), "#!/bin/sh\nexit 0\n").unwrap();
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    wait_calls(&place, "run");
    web.send("t");
    wait_calls(&place, "run TERM");
    web.send("1");
    wait_calls(&place, "run TERM USR1");
    web.send("h");
    wait_calls(&place, "run TERM USR1 HUP");
    web.wait_text(&place, "supervise.log.wf", "control/h could not be run");
}

#[test]
fn a_script_runs_like_run_does() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("control/h", "echo \"$0 $# $(pwd -P)\"; readlink /proc/$$/fd/0")]);
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    web.send("h");
    let dir = std::fs::canonicalize(place.root().join("web")).unwrap();
    web.wait_text(&place, "__stdout", &format!("control/h 0 {}\n/dev/null\n", dir.display()));
}

#[test]
fn a_logger_has_none() {
    let place = Place::new();
    place.conf(FAST);
    let none = "echo called > called; exit 0";
    let scripts = ["u", "t", "d", "k"].map(|letter| (format!("log/control/{letter}"), none));
    let mut files = vec![("run", SLEEP), ("log/run", "exec cat > got")];
    files.extend(scripts.iter().map(|(name, text)| (name.as_str(), *text)));
    place.service("web", &files);
    let tree = place.tree();
    let log = place.module("web/log");
    let pid = log.wait_up(&place);
    log.send("k");
    log.wait_new_pid(&place, pid);
    tree.stop();
    assert!(!place.root().join("web/log/called").exists());
}

#[test]
fn a_removed_service_runs_x() {
    let place = Place::new();
    // Its directory is gone by then, so it notes that elsewhere; a script that is gone is none.
    let note = |name: &str| format!("echo {name} >> {}", place.path().join("calls").display());
    place.service("web", &[("run", SLEEP), ("control/x", &note("x")), ("control/d", &note("d"))]);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    assert!(tree.stop().success());
    assert_eq!(std::fs::read_to_string(place.path().join("calls")).unwrap(), "x\n");
}

#[test]
fn a_script_that_hangs_holds_nobody_up_and_is_killed_with_its_children() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", LISTENER), ("control/h", "sleep 1000 & echo $! > hanging; wait")]);
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_calls(&place, "run");
    web.send("h");
    let began = Instant::now();
    let child = || std::fs::read_to_string(place.root().join("web/hanging")).unwrap_or_default();
    wait_for("the script", &place, || child().ends_with('\n'));
    let child: u32 = child().trim().parse().unwrap();
    // Others are answered meanwhile, also those that end the service.
    web.send("1");
    wait_calls(&place, "run USR1");
    signal(pid, "KILL");
    let next = web.wait_new_pid(&place, pid);
    wait_calls(&place, "run USR1 run");
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for the script");
    wait_for("the script to be killed", &place, || !is_alive(child));
    web.wait_text(&place, "supervise.log.wf", "is killed: it takes longer than 10 s");
    // It was meant for the old process.
    holds_for(Duration::from_millis(100), "no HUP", &place, || !calls(&place).contains("HUP"));
    assert_eq!(web.pid(), next);
}

#[test]
fn a_stop_waits_for_a_hanging_t_no_longer_than_its_time() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("control/t", "exec sleep 1000")]);
    place.service("impatient", &[("run", SLEEP), ("control/t", "echo > asked; exec sleep 1000")]);
    let _tree = place.tree();
    let (web, impatient) = (place.module("web"), place.module("impatient"));
    web.wait_up(&place);
    impatient.wait_up(&place);
    web.send("d");
    web.wait_state(&place, "stopping");
    // KILL has no script here, and so does not wait.
    impatient.send("d");
    wait_for("the script", &place, || place.root().join("impatient/asked").exists());
    impatient.send("k");
    web.wait_state(&place, "down");
    web.wait_text(&place, "supervise.log", "TERM sent");
    impatient.wait_state(&place, "down");
}

#[test]
fn a_second_term_to_the_tree_waits_for_no_script() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("control/t", "echo > asked; exec sleep 1000")]);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    let began = Instant::now();
    tree.signal("TERM");
    wait_for("the script", &place, || place.root().join("web/asked").exists());
    tree.stop();
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for the script");
}

#[test]
fn an_upgrade_waits_for_a_script_and_forgets_nothing() {
    let place = Place::new();
    place.service("web", &[("run", LISTENER), ("control/h", "echo h >> calls; sleep 0.5; exit 1")]);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_calls(&place, "run");
    web.send("h");
    wait_calls(&place, "run h");
    let own = place.module(".supervise-tree");
    let begun = || count(&own.path("supervise.log"), "supervising ");
    let before = begun();
    tree.signal("USR2");
    wait_calls(&place, "run h HUP");
    wait_for("the new program", &place, || begun() > before);
    web.send("1");
    wait_calls(&place, "run h HUP USR1");
    assert_eq!(web.pid(), pid);
}

#[test]
fn a_stop_whose_script_ran_when_the_tree_was_killed_is_carried_through() {
    let place = Place::new();
    place.service("web", &[("run", LISTENER), ("control/t", "echo t >> calls; sleep 2; kill -INT $(cat pid)")]);
    let tree = place.reaped_tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    std::fs::write(place.root().join("web/pid"), pid.to_string()).unwrap();
    wait_calls(&place, "run");
    web.send("d");
    web.wait_state(&place, "stopping");
    wait_calls(&place, "run t");
    tree.kill();
    let _next = place.tree();
    web.wait_state(&place, "down");
    assert!(!is_alive(pid));
    assert!(calls(&place).starts_with("run t t"), "{}", calls(&place));
}
