//! `needs`, `after`, `restart_with`, `type` and `tags`: who starts and stops when.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod after;
mod chains;
mod circles;
mod names;
mod oneshots;
mod reading;
mod restarts;
mod samples;
mod stops;

use common::*;

/// A service that runs on.
const RUNS: &str = "exec sleep 1000";

/// A service that is ready once the file `go` is there.
const READY_WHEN_TOLD: &str = "until [ -e ../../go ]; do sleep 0.02; done; echo >&3; exec sleep 1000";

fn wait_for_state(place: &Place, module: &str, wanted: &str) {
    place.module(module).wait_state(place, wanted);
}

fn go(place: &Place) {
    std::fs::write(place.path().join("go"), "").expect("a file");
}

/// A service that tells in the file `story` when it starts, is ready then, and tells when its stop is complete, which takes a
/// while.
fn teller(place: &Place, name: &str) {
    let story = place.path().join("story").display().to_string();
    place.run(
        name,
        &format!("trap 'sleep 0.2; echo -{name} >> {story}; exit 0' TERM; echo +{name} >> {story}; echo >&3; sleep 1000 & wait"),
    );
}

/// What those have told.
fn told(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join("story")).unwrap_or_default();
    text.split_whitespace().map(str::to_string).collect()
}

/// Waits until exactly this was told.
fn wait_told(place: &Place, all: &str) {
    let all: Vec<&str> = all.split(' ').collect();
    wait_for(&format!("{all:?}, not {:?}", told(place)), place, || told(place).len() >= all.len());
    assert_eq!(told(place), all, "{}", place.story());
}

/// Waits until that is why a module waits.
fn wait_reason(place: &Place, module: &str, why: &str) {
    wait_for_state(place, module, "waiting");
    wait_for(why, place, || place.module(module).state()["reason"] == why);
}

/// Writes a service directory's own settings.
fn own(place: &Place, module: &str, text: &str) {
    std::fs::write(place.root().join(module).join("supervise.conf"), text).expect("a file");
}

fn svctl(place: &Place, words: &[&str]) -> std::process::Output {
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(words);
    place.output(command)
}
