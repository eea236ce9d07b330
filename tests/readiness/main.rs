//! When a service is ready: by a descriptor, by sd_notify(3), by a check and by time; told by real programs.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod bad_datagrams;
mod check;
mod descriptor;
mod notify;
mod survival;

use common::*;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// So long it is looked whether something stays as it is.
const A_WHILE: Duration = Duration::from_millis(400);

/// A place with one service `web`, whose settings and `run` are these.
fn web(settings: &str, run: &str) -> (Place, Module) {
    let place = Place::new();
    place.conf(&format!("[global]\nrestart_delay : 0.05\n[web]\n{settings}\n"));
    place.run("web", run);
    let web = place.module("web");
    (place, web)
}

fn go(place: &Place) {
    std::fs::write(place.path().join("go"), "").expect("a file");
}

/// Until the file `go` is there.
const WAIT: &str = "until [ -e ../../go ]; do sleep 0.02; done";

/// It runs, and does not get ready.
fn is_not_ready(place: &Place, web: &Module) {
    web.wait_state(place, "up");
    holds_for(A_WHILE, "not ready", place, || web.state_name() == "up" && web.state()["ready"] == false);
}

/// Where a program is, if it is installed.
fn program(name: &str) -> Option<PathBuf> {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().ok()?;
    let path = String::from_utf8_lossy(&found.stdout).trim().to_string();
    (!path.is_empty()).then(|| path.into())
}

#[test]
fn a_time_makes_ready() {
    let (place, web) = web("ready : 0.5", SLEEP);
    let _tree = place.tree();
    web.wait_up(&place);
    assert_eq!(web.state_name(), "up", "{}", place.story());
    web.wait_state(&place, "ready");
    web.wait_log(&place, "is ready after 0.5 s");
    // Whoever ends before was never ready.
    place.run("brief", "sleep 0.1");
    std::fs::write(place.root().join("brief/supervise.conf"), "ready : 0.5\n").expect("a file");
    let brief = place.module("brief");
    wait_for("some runs", &place, || brief.state()["starts"].as_u64().unwrap_or(0) >= 3);
    assert!(!brief.log().contains("is ready"), "{}", brief.log());
}

#[test]
fn a_start_is_enough_where_nothing_is_said_or_start_is() {
    let (place, web) = web("ready : start", SLEEP);
    std::fs::write(place.root().join("web/notification-fd"), "3\n").expect("a file");
    let _tree = place.tree();
    web.wait_up(&place);
    web.wait_state(&place, "up");
    assert_eq!(web.state()["ready"], serde_json::Value::Null, "{}", place.story());
}

#[test]
fn what_is_not_asked_any_more_is_not_waited_for() {
    let place = Place::new();
    let rest = "[app]\nneeds : told looked moved\n";
    place.conf(&format!(
        "[told]\nready : notify\n[looked]\ncheck : false\n[moved]\nready : fd\n[stays]\nready : fd\n{rest}"
    ));
    for name in ["told", "looked", "moved", "stays", "app"] {
        place.run(name, SLEEP);
    }
    let tree = place.tree();
    let names = ["told", "looked", "moved", "stays"];
    let pids = names.map(|name| place.module(name).wait_up(&place));
    place.module("app").wait_state(&place, "waiting");
    place.conf(&format!("[moved]\ncheck : true\n[stays]\nready : notify\n{rest}"));
    tree.signal("HUP");
    place.module("app").wait_up(&place);
    assert_eq!(names.map(|name| place.module(name).pid()), pids, "{}", place.story());
    let expected = [serde_json::Value::Null, serde_json::Value::Null, true.into(), false.into()];
    wait_for("their readiness", &place, || names.map(|name| place.module(name).state()["ready"].clone()) == expected);
}
