//! `supervise -r`: the restart command runs at every end, at once, and finds the process gone (supervise(8)).

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::time::{Duration, Instant};

/// What the command notes: its argument, and the pid in `status`.
const HOOK: &str = "echo $1 $(od -An -j16 -N4 -tu4 status/app/status) >> hooks";

fn hooked(hook: &str, options: &[&str]) -> (Place, Module, u32) {
    let place = Place::new();
    script(&place.path().join("hook"), hook);
    script(&place.path().join("app"), "echo $$ >> starts; exec sleep 1000");
    let supervisor = place.supervised("app", &[&["-r", "./hook", "-f", "./app"], options].concat());
    let app = place.module("app");
    app.wait_up(&place);
    (place, app, supervisor)
}

fn hooks(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join("hooks")).unwrap_or_default();
    text.lines().map(str::to_string).collect()
}

fn wait_hooks(place: &Place, expected: &[&str]) {
    wait_for(&format!("{expected:?}"), place, || hooks(place).len() >= expected.len());
    assert_eq!(hooks(place), expected);
}

#[test]
fn it_finds_pid_0_in_status_each_time() {
    let (place, app, _) = hooked(HOOK, &[]);
    for (at, command) in ["k", "t", ""].iter().enumerate() {
        let pid = app.wait_up(&place);
        match *command {
            "" => signal(pid, "KILL"),
            command => app.send(command),
        }
        app.wait_new_pid(&place, pid);
        wait_for("the hook", &place, || hooks(&place).len() == at + 1);
    }
    assert_eq!(hooks(&place), ["1 0", "2 0", "3 0"]);
}

#[test]
fn it_runs_after_d_and_o_and_x_too() {
    let (place, app, supervisor) = hooked(HOOK, &[]);
    app.send("d");
    wait_hooks(&place, &["1 0"]);
    app.wait_state(&place, "down");
    app.send("o");
    let pid = app.wait_up(&place);
    signal(pid, "KILL");
    wait_hooks(&place, &["1 0", "2 0"]);
    app.wait_state(&place, "down");
    app.send("u");
    app.wait_up(&place);
    app.send("xk");
    wait_for("the end", &place, || !is_alive(supervisor));
    assert_eq!(hooks(&place), ["1 0", "2 0", "3 0"], "x waits for it");
    assert_eq!((app.pid(), app.status()[13]), (0, b'u'));
}

/// Not when the delay is over.
#[test]
fn it_runs_at_once_and_the_start_waits_for_the_delay() {
    let (place, app, _) = hooked("date +%s.%N >> hooks", &[]);
    let began = Instant::now();
    let pid = app.pid();
    signal(pid, "KILL");
    wait_for("the hook", &place, || hooks(&place).len() == 1);
    let hook_after = began.elapsed();
    app.wait_new_pid(&place, pid);
    // The delay is a second from the start on.
    assert!(hook_after < Duration::from_millis(700), "{hook_after:?}");
    assert_eq!(hooks(&place).len(), 1);
}

#[test]
fn commands_are_answered_while_it_runs() {
    let (place, app, supervisor) = hooked("echo hook >> hooks; while [ ! -e go ]; do sleep 0.01; done", &[]);
    app.send("k");
    app.wait_state(&place, "starting");
    wait_hooks(&place, &["hook"]);
    app.send("d");
    wait_for("the command", &place, || app.status()[13] == b'd');
    std::fs::write(place.path().join("go"), "").unwrap();
    app.wait_state(&place, "down");
    holds_for(Duration::from_millis(200), "it stays down", &place, || app.pid() == 0);
    app.send("x");
    wait_for("the end", &place, || !is_alive(supervisor));
    assert_eq!(hooks(&place), ["hook"]);
}

#[test]
fn a_negative_or_empty_t_begins_the_count_anew_each_time() {
    for value in ["-1", "", "0"] {
        let (place, app, _) = hooked(HOOK, &["-t", value]);
        for expected in [&["1 0"][..], &["1 0", "1 0"]] {
            let pid = app.wait_up(&place);
            signal(pid, "KILL");
            wait_hooks(&place, expected);
            app.wait_new_pid(&place, pid);
        }
    }
}

#[test]
fn it_runs_after_a_start_that_failed() {
    let (place, app, _) = hooked(HOOK, &[]);
    std::fs::rename(place.path().join("app"), place.path().join("away")).unwrap();
    app.send("k");
    wait_for("two calls", &place, || hooks(&place).len() >= 2);
    assert_eq!(hooks(&place)[..2], ["1 0", "2 0"]);
    std::fs::rename(place.path().join("away"), place.path().join("app")).unwrap();
    app.wait_up(&place);
}

/// The next supervise waits for the one that an earlier one was killed beside.
#[test]
fn one_that_outlives_its_supervise_is_waited_for() {
    let (place, app, supervisor) = hooked("echo hook >> hooks; while [ ! -e go ]; do sleep 0.01; done", &[]);
    app.send("k");
    wait_hooks(&place, &["hook"]);
    signal(supervisor, "KILL");
    wait_for("the end", &place, || !is_alive(supervisor));
    place.supervised("app", &["-r", "./hook", "-f", "./app"]);
    holds_for(Duration::from_millis(200), "nothing is started", &place, || app.pid() == 0);
    std::fs::write(place.path().join("go"), "").unwrap();
    app.wait_up(&place);
    assert_eq!(hooks(&place), ["hook"]);
}
