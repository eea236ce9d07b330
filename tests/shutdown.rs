//! The end of the tree: with a service (`shutdown_on`), in a limited time (`--stop-timeout`), and its exit code.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::time::{Duration, Instant};

/// Says in the file `ended` that it was stopped in order.
const ORDERLY: &str = "trap 'echo web > ../../ended; exit 0' TERM; sleep 1000 & wait";

/// A service that lives until the file `go` is there, and then ends so.
fn until_told(ends: &str) -> String {
    format!("until [ -e ../../go ]; do sleep 0.02; done; {ends}")
}

fn go(place: &Place) {
    std::fs::write(place.path().join("go"), "").expect("a file");
}

fn ended(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("ended")).unwrap_or_default()
}

#[test]
fn the_tree_leaves_with_the_exit_code_of_the_service_that_ends_it() {
    for (ends, code) in [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137)] {
        let place = Place::new();
        place.conf("[main]\nshutdown_on : exit\n");
        place.run("web", ORDERLY);
        place.run("main", &until_told(ends));
        let tree = place.tree();
        place.module("web").wait_up(&place);
        place.module("main").wait_up(&place);
        go(&place);
        assert_eq!(tree.wait().code(), Some(code), "{ends}\n{}", place.story());
        assert_eq!(ended(&place), "web\n", "the other one was not stopped in order");
        let log = place.own().text("supervise.log.wf");
        assert!(log.contains("main: ") && log.contains("its shutdown_on ends the tree"), "{log}");
        assert_eq!(place.module("main").state()["restarts"], 0, "it was started again");
    }
}

#[test]
fn failure_lets_the_service_end_well_and_start_again() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n[job]\nshutdown_on : failure\n");
    place.run("job", "[ -e ../../go ] && exit 4; sleep 0.05; exit 0");
    let tree = place.tree();
    let job = place.module("job");
    wait_for("some good ends", &place, || job.state()["restarts"].as_u64() > Some(3));
    go(&place);
    assert_eq!(tree.wait().code(), Some(4), "{}", place.story());
}

#[test]
fn failed_ends_the_tree_when_the_limits_are_reached() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n[crash]\nshutdown_on : failed\nalarm_interval : 60\nmax_tries : 2\n");
    place.run("crash", "exit 9");
    assert_eq!(place.tree().wait().code(), Some(9), "{}", place.story());
    assert_eq!(place.module("crash").state()["restarts"], 2);
}

#[test]
fn a_service_that_cannot_be_started_ends_the_tree_as_a_shell_would_tell_it() {
    let place = Place::new();
    place.conf("[main]\nshutdown_on : failure\n");
    place.service("main", &[("run", "#!/no/such/interpreter\n")]);
    assert_eq!(place.tree().wait().code(), Some(127), "{}", place.story());
}

#[test]
fn what_was_asked_for_does_not_end_the_tree() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n[main]\nshutdown_on : exit\n");
    place.run("main", SLEEP);
    let tree = place.tree();
    let main = place.module("main");
    let pid = main.wait_up(&place);
    for bytes in ["t", "k", "du"] {
        let old = main.pid();
        main.send(bytes);
        main.wait_new_pid(&place, old);
    }
    // Nor does an adoption.
    assert!(is_alive(main.pid()) && !is_alive(pid));
    tree.signal("USR2");
    wait_for("the new program", &place, || host::count(&place.own().path("supervise.log"), " supervising ") == 2);
    main.send("d");
    main.wait_state(&place, "down");
    assert!(tree.stop().success());
}

#[test]
fn its_own_end_counts_after_the_program_has_replaced_itself() {
    let place = Place::new();
    place.conf("[main]\nshutdown_on : exit\n");
    place.run("main", &until_told("exit 5"));
    let tree = place.tree();
    place.module("main").wait_up(&place);
    tree.signal("USR2");
    wait_for("the new program", &place, || host::count(&place.own().path("supervise.log"), " supervising ") == 2);
    go(&place);
    assert_eq!(tree.wait().code(), Some(5), "{}", place.story());
}

#[test]
fn a_stop_takes_no_longer_than_it_may() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 600\n");
    place.service(
        "deaf",
        &[("run", "trap '' TERM; while :; do sleep 1; done"), ("log/run", "trap '' TERM; while :; do sleep 1; done")],
    );
    place.service("slow", &[("run", SLEEP), ("finish", "exec sleep 1000")]);
    let tree = place.tree_with(&["--stop-timeout", "0.5"]);
    let pids = ["deaf", "deaf/log", "slow"].map(|name| place.module(name).wait_up(&place));
    let begin = Instant::now();
    assert!(tree.stop().success());
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    assert!(place.own().log().contains("--stop-timeout is over"), "{}", place.story());
}

#[test]
fn a_wrong_word_is_told_and_ends_nothing() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n[job]\nshutdown_on : fail\n");
    place.run("job", "exit 1");
    let tree = place.tree();
    let job = place.module("job");
    wait_for("it to be started again", &place, || job.is_supervised() && job.state()["restarts"].as_u64() > Some(2));
    assert!(tree.stop().success());
    let told = place.story();
    assert!(told.contains("shutdown_on") && told.contains("is not never, failed, failure or exit"), "{told}");
}

/// When so many end at once, each looks at its process only when all have their signals, and what is written waits for the rest.
#[test]
fn a_crowd_ends_with_all_that_belongs_to_it() {
    const CROWD: usize = 30;
    let place = Place::new();
    place.conf("[deaf]\nkill_timeout : 0.3\n");
    let name = |number: usize| format!("web{number}");
    for number in 0..CROWD {
        let finish = "echo $1 $2 >> ../../ended";
        place.service(&name(number), &[("run", "exec sleep 1000"), ("finish", finish)]);
    }
    place.run("deaf", "trap '' TERM; while :; do sleep 1; done");
    // It counts its signals, and would count a second one.
    place.run(
        "slow",
        "trap 'echo TERM >> ../../signals; sleep 0.3; end=1' TERM; until [ \"$end\" ]; do sleep 0.02; done",
    );
    // It is stopped by a script instead.
    place.service("scripted", &[("run", "exec sleep 1000"), ("control/t", "kill -INT $(cat ../../pid)")]);
    let tree = place.tree();
    for number in 0..CROWD {
        place.module(&name(number)).wait_up(&place);
    }
    for name in ["deaf", "slow"] {
        place.module(name).wait_up(&place);
        place.module(name).wait_trap();
    }
    let scripted = place.module("scripted");
    std::fs::write(place.path().join("pid"), scripted.wait_up(&place).to_string()).expect("a file");
    assert!(tree.stop().success(), "{}", place.story());
    assert_eq!(ended(&place), "-1 15\n".repeat(CROWD), "not each had its finish");
    for number in 0..CROWD {
        let module = place.module(&name(number));
        assert_eq!(module.state_name(), "down", "{}", place.story());
        assert_eq!(module.state()["last_exit"]["signal"], "TERM", "{}", module.state());
        let log = module.text("supervise.log");
        assert!(log.contains("signal TERM; leaving") && log.contains("leaving: nothing runs any more"), "{log}");
    }
    assert!(place.module("deaf").text("supervise.log.wf").contains("KILL"), "{}", place.story());
    assert_eq!(std::fs::read_to_string(place.path().join("signals")).expect("it was told"), "TERM\n");
    assert_eq!(scripted.state()["last_exit"]["signal"], "INT", "{}", place.story());
}
