//! A thread that panics begins anew, and what it supervises keeps running.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::*;
use common::*;
use std::time::Duration;

#[test]
fn a_panic_is_told_and_the_service_keeps_its_pid() {
    if !cfg!(debug_assertions) {
        return skipped("the command that asks for a panic is in debug builds alone");
    }
    let place = Place::new();
    place.conf(FAST);
    place.run("web", HOLD);
    place.run("api", SLEEP);
    let (web, api) = (place.module("web"), place.module("api"));
    let tree = place.tree();
    let (pid, other) = (web.wait_up(&place), api.wait_up(&place));
    web.send("!");
    web.wait_text(&place, "supervise.log.wf", "a panic was asked for");
    assert!(web.text("supervise.log.wf").contains("src/supervisor/thread.rs:"), "{}", place.story());
    assert!(web.text("supervise.log.wf").contains("[FATAL] "));
    web.wait_text(&place, "supervise.log", &format!("adopted: pid {pid}"));
    assert_eq!((web.pid(), api.pid()), (pid, other));
    // It is our child still: its exit is seen on any kernel.
    signal(pid, "USR1");
    let next = web.wait_new_pid(&place, pid);
    assert_eq!(web.state()["last_exit"]["code"], 7);
    web.send("!");
    web.wait_text(&place, "supervise.log", &format!("adopted: pid {next}"));
    assert!(!api.log().contains("panic"));
    assert!(tree.stop().success());
    assert!(!is_alive(next));
}

#[test]
fn a_logger_whose_thread_begins_anew_is_told_of_the_end_of_its_input() {
    if !cfg!(debug_assertions) {
        return skipped("the command that asks for a panic is in debug builds alone");
    }
    let place = Place::new();
    let reads = "while read -r line; do echo $line; done; echo end";
    place.service("talk", &[("run", SLEEP), ("log/run", reads)]);
    let log = place.module("talk/log");
    let tree = place.tree();
    log.wait_up(&place);
    log.send("!");
    log.wait_text(&place, "supervise.log.wf", "a panic was asked for");
    // The thread rests for a moment, and hears of the end when it begins anew.
    let began = std::time::Instant::now();
    assert!(tree.stop().success());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(log.text("__stdout"), "end\n", "it was not killed");
}

#[test]
fn the_byte_for_a_panic_does_nothing_outside_of_tests() {
    let place = Place::new();
    let web = place.module("web");
    let mut command = common::supervise_command();
    command.env_remove("SUPERVISE_TEST_PANICS").arg("-p").arg(web.dir()).args(["-f", "sleep 1000"]);
    assert!(place.output(command).status.success(), "{}", place.story());
    let pid = web.wait_up(&place);
    web.send("!dx");
    wait_for("the service to end", &place, || !is_alive(pid) && !web.is_supervised());
    assert!(!web.text("supervise.log.wf").contains("panic"), "{}", place.story());
}

#[test]
fn supervise_survives_its_own_panic() {
    if !cfg!(debug_assertions) {
        return skipped("the command that asks for a panic is in debug builds alone");
    }
    let place = Place::new();
    let web = place.module("web");
    let supervisor = place.supervised("web", &["-f", "sleep 1000"]);
    let pid = web.wait_up(&place);
    web.send("!");
    web.wait_text(&place, "supervise.log", &format!("adopted: pid {pid}"));
    assert!(is_alive(supervisor));
    web.send("dx");
    wait_for("supervise to end", &place, || !is_alive(supervisor));
    assert!(!is_alive(pid));
}
