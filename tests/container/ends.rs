//! How a container ends: in order, in time, and with the right exit code.

use crate::common::*;
use crate::namespace::{can, command};
use crate::{container, output, started, wait_output};
use std::time::{Duration, Instant};

/// A tree that is process 1, with these arguments and a status root in the place; the number outside comes with it.
fn init<'a>(place: &'a Place, arguments: &str) -> Option<(Running<'a>, u32)> {
    if !can(place, "true") {
        return None;
    }
    let unshare = started(place, command(place, "true", &format!("exec TREE -p status --container {arguments} sv")));
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", unshare.pid())).unwrap();
    let pid = children.split_whitespace().next().unwrap().parse().unwrap();
    Some((unshare, pid))
}

/// A service that takes its time to stop, and tells it.
const ORDERLY: &str = "trap 'sleep 0.5; echo orderly; exit' TERM; echo runs; while :; do sleep 0.05; done";

#[test]
fn a_second_term_leaves_the_stop_of_process_1_in_order() {
    let place = Place::new();
    place.run("web", ORDERLY);
    let Some((unshare, tree)) = init(&place, "") else { return };
    wait_output(&place, "web | runs\n");
    signal(tree, "TERM");
    place.wait_told("told to end: stopping");
    signal(tree, "TERM");
    place.wait_told("told to end again: it ends already");
    assert!(unshare.wait().success(), "{}", place.story());
    assert!(output(&place).ends_with("web | orderly\n"), "{}", output(&place));
}

#[test]
fn a_finish_that_sends_term_to_process_1_ends_all_in_order() {
    let place = Place::new();
    place.run("web", ORDERLY);
    // A common recipe: the container ends with this service. Its stop is one more end, and one more TERM.
    let finish = "kill -TERM 1";
    place.service("app", &[("run", "until [ -e ../../go ]; do sleep 0.02; done; exit 3"), ("finish", finish)]);
    place.service("other", &[("run", SLEEP), ("finish", finish)]);
    let Some((unshare, _)) = init(&place, "") else { return };
    wait_output(&place, "web | runs\n");
    place.module("other").wait_state(&place, "up");
    std::fs::write(place.path().join("go"), "").unwrap();
    assert!(unshare.wait().success(), "{}", place.story());
    assert!(output(&place).ends_with("web | orderly\n"), "{}", output(&place));
    assert!(place.own().log().contains("told to end again: it ends already"), "{}", place.story());
}

#[test]
fn the_stop_takes_no_longer_than_it_may() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 0\nfinish_timeout : 0\n");
    place.service("web", &[("run", "trap '' TERM; echo runs; while :; do sleep 1; done"), ("finish", SLEEP)]);
    place.service("slow", &[("run", "echo runs; exec sleep 1000"), ("finish", "trap '' TERM; exec sleep 1000")]);
    let Some((unshare, tree)) = init(&place, "--stop-timeout 1") else { return };
    wait_output(&place, "web | runs\n");
    wait_output(&place, "slow | runs\n");
    let begin = Instant::now();
    signal(tree, "TERM");
    assert!(unshare.wait().success(), "{}", place.story());
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}\n{}", place.story());
    assert!(place.own().log().contains("--stop-timeout is over: killing what is left"), "{}", place.story());
}

#[test]
fn three_hundred_orphans_a_second_leave_no_zombie() {
    let place = Place::new();
    let batch = "i=0; while [ $i -lt 30 ]; do (: &); i=$((i+1)); done";
    place.run(
        "web",
        &format!("n=0; while [ $n -lt 20 ]; do {batch}; n=$((n+1)); sleep 0.1; done; echo done; exec sleep 1000"),
    );
    let Some((unshare, tree)) = init(&place, "") else { return };
    // `children` lists zombies, too.
    let children = || {
        let text = std::fs::read_to_string(format!("/proc/{tree}/task/{tree}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    let zombies = || children().into_iter().filter(|pid| !is_alive(*pid)).count();
    let mut most = 0;
    wait_for("the last of them", &place, || {
        most = most.max(zombies());
        output(&place).contains("web | done\n")
    });
    wait_for("no zombie", &place, || zombies() == 0);
    // They are reaped every 100 ms, which is 30 of them; a machine that is busy may be late.
    assert!(most < 300, "{most}");
    signal(tree, "TERM");
    assert!(unshare.wait().success());
}

#[test]
fn a_key_with_a_typing_error_is_told_and_ends_nothing() {
    let place = Place::new();
    place.conf("[job]\nshutdown_on : exitt\n[web]\nshutdwn_on : exit\n");
    place.run("job", "echo ran; exit 3");
    place.run("web", "exit 0");
    let tree = container(&place, &[]);
    wait_for("a second run", &place, || output(&place).matches("job | ran\n").count() > 1);
    let log = place.own().log();
    let line = "supervise.conf:2: shutdown_on: ";
    assert!(log.contains(line) && log.contains("supervise.conf:4: "), "{log}");
    let check = said_by(&place.svctl(&["config", "--check"]));
    assert!(check.contains(line) && check.contains("shutdown_on") && check.lines().count() == 2, "{check}");
    assert!(tree.stop().success());
}

#[test]
fn the_tree_that_follows_one_that_was_killed_in_its_end_begins_anew() {
    let place = Place::new();
    place.conf("[job]\nshutdown_on : exit\nfinish_timeout : 0\n");
    let finish = "[ -e ../../again ] || exec sleep 1000";
    place.service("job", &[("run", "[ -e ../../go ] || exec sleep 1000; echo job; exit 3"), ("finish", finish)]);
    let tree = place.reaped_tree();
    let job = place.module("job");
    job.wait_up(&place);
    std::fs::write(place.path().join("go"), "").unwrap();
    signal(job.pid(), "KILL");
    place.wait_told("its shutdown_on ends the tree");
    job.wait_state(&place, "finishing");
    tree.kill();
    processes_of(&place.path().to_string_lossy()).into_iter().for_each(|pid| signal(pid, "KILL"));
    std::fs::write(place.path().join("again"), "").unwrap();
    assert_eq!(container(&place, &[]).wait().code(), Some(3), "{}", place.story());
    assert!(output(&place).contains("job | job\n"), "{}", output(&place));
}
