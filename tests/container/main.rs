//! `--container`: output on standard output, a status root without configuration, and an orderly end.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod ends;
mod image;
mod manifests;
mod namespace;
mod outputs;
mod page;
mod places;

use common::*;
use std::process::Command;

/// What the tree has written on its standard output.
fn output(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("stdout")).unwrap_or_default()
}

/// The same, for a tree that must have written `text`.
fn wait_output(place: &Place, text: &str) {
    wait_for(&format!("{text:?} on standard output"), place, || output(place).contains(text));
}

/// A tree with `--container`, whose standard output is a file.
fn container<'a>(place: &'a Place, arguments: &[&str]) -> Running<'a> {
    let mut command = tree_command();
    command.args(["-p", "status", "--container"]).args(arguments).arg("sv");
    started(place, command)
}

/// Starts such a tree by a command of one's own, and waits until its signals are taken.
fn started<'a>(place: &'a Place, mut command: Command) -> Running<'a> {
    command.stdout(std::fs::File::create(place.path().join("stdout")).unwrap());
    let tree = place.start(command);
    wait_for("the tree to listen", place, || place.own().is_supervised());
    tree
}

#[test]
fn each_line_has_its_module_in_front_and_the_job_gives_the_exit_code() {
    let place = Place::new();
    place.conf("[job]\nshutdown_on : exit\n[own]\nlog : files\n");
    place.run("web", "echo hello; exec sleep 1000");
    place.run("own", "echo apart; exec sleep 1000");
    place.run("job", "until [ -e ../../go ]; do sleep 0.02; done; echo done; exit 7");
    let tree = container(&place, &[]);
    wait_for("a line of web", &place, || output(&place).contains("web | hello\n"));
    place.module("own").wait_text(&place, "__stdout", "apart");
    std::fs::write(place.path().join("go"), "").unwrap();
    assert_eq!(tree.wait().code(), Some(7), "{}", place.story());
    assert!(output(&place).contains("job | done\n"), "{}", output(&place));
    assert!(!output(&place).contains("apart"), "{}", output(&place));
    // Nobody can read them there a second time, and svctl says so.
    let told = said_by(&place.svctl(&["logs", "web"]));
    assert_eq!(told, "svctl: web: writes to the standard output of supervise-tree\n");
}

#[test]
fn a_second_term_leaves_the_stop_in_order() {
    let place = Place::new();
    let orderly = "trap 'sleep 0.5; echo orderly > ../../ended; exit' TERM; while :; do sleep 0.05; done";
    place.run("web", orderly);
    let tree = container(&place, &[]);
    place.module("web").wait_up(&place);
    tree.signal("TERM");
    place.wait_told("told to end: stopping");
    tree.signal("TERM");
    place.wait_told("told to end again: it ends already");
    assert!(tree.wait().success());
    assert_eq!(std::fs::read_to_string(place.path().join("ended")).unwrap_or_default(), "orderly\n");
}
