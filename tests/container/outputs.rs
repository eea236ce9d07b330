//! Standard output that nobody can write to.

use crate::common::host::*;
use crate::common::*;
use std::process::Command;

/// The tree by a shell that does something about its standard output.
fn by_shell<'a>(place: &'a Place, script: &str) -> Running<'a> {
    let mut command = Command::new("sh");
    let tree = env!("CARGO_BIN_EXE_supervise-tree");
    command.args(["-c", &script.replace("TREE", &format!("{tree} -p status --container sv"))]);
    let running = place.start(command);
    wait_for("the tree to listen", place, || place.own().is_supervised());
    running
}

#[test]
fn where_it_is_closed_services_run_and_their_lines_are_gone() {
    let place = Place::new();
    place.run(
        "web",
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo > ../../written; exec sleep 1000",
    );
    let tree = by_shell(&place, "exec TREE >&-");
    wait_for("all to be written", &place, || place.path().join("written").exists());
    assert!(place.svctl(&["-w", "10", "restart", "web"]).status.success());
    assert!(tree.stop().success(), "{}", place.story());
}

#[test]
fn where_its_reader_has_gone_supervision_goes_on_and_the_end_comes_in_time() {
    let place = Place::new();
    place.run("web", "echo first; while :; do echo more; sleep 0.05; done");
    // `head` ends with the first line.
    let tree = by_shell(&place, "{ TREE; echo $? > ended; } | head -n 1 > stdout");
    wait_for("the first line", &place, || crate::output(&place) == "web | first\n");
    let stderr = place.path().join("stderr");
    wait_for("that to be told", &place, || count(&stderr, "supervise-log: standard output: Broken pipe") > 0);
    let answer = place.svctl(&["-w", "10", "restart", "web"]);
    assert!(answer.status.success(), "{}\n{}", said_by(&answer), place.story());
    assert!(place.svctl(&["-w", "20", "shutdown"]).status.success(), "{}", place.story());
    tree.wait();
    assert_eq!(std::fs::read_to_string(place.path().join("ended")).unwrap(), "0\n");
}

#[test]
fn where_it_is_full_the_writer_waits_and_nothing_else_does() {
    if !std::path::Path::new("/dev/full").exists() {
        return skipped("no /dev/full");
    }
    let place = Place::new();
    place.run("web", "echo line; exec sleep 1000");
    let mut command = tree_command();
    command.args(["-p", "status", "--container", "sv"]);
    command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let tree = place.start(command);
    let web = place.module("web");
    let first = web.wait_up(&place);
    assert!(place.svctl(&["restart", "web"]).status.success());
    assert_ne!(web.wait_up(&place), first);
    assert!(tree.stop().success(), "{}", place.story());
}
