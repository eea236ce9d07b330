//! Modules that leave by `x`, and when they come back.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::time::Duration;

/// How often a module is sent away and called back.
const ROUNDS: usize = 60;

#[test]
fn hup_brings_back_what_has_left_however_soon_it_comes() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n");
    place.service("talk", &[("run", SLEEP), ("log/run", "exec cat > /dev/null")]);
    let (talk, log) = (place.module("talk"), place.module("talk/log"));
    let tree = place.tree();
    for round in 0..ROUNDS {
        let (service, logger) = (talk.wait_up(&place), log.wait_up(&place));
        let (module, pid) = if round % 2 == 0 { (&talk, service) } else { (&log, logger) };
        module.send("xk");
        // The tree has not heard of it yet.
        while module.is_supervised() {
            std::hint::spin_loop();
        }
        tree.signal("HUP");
        module.wait_new_pid(&place, pid);
        wait_for("both to be supervised", &place, || talk.is_supervised() && log.is_supervised());
    }
    assert!(tree.stop().success());
}

#[test]
fn hup_before_the_end_brings_nothing_back() {
    let place = Place::new();
    place.run("web", SLEEP);
    let web = place.module("web");
    let tree = place.tree();
    let pid = web.wait_up(&place);
    web.send("x");
    web.wait_text(&place, "supervise.log", "told to exit");
    tree.signal("HUP");
    place.wait_told("looking at everything again");
    web.send("h");
    web.wait_text(&place, "supervise.log", "HUP sent");
    place.own().wait_text(&place, "supervise.log", "web: left, as told by x");
    assert!(!is_alive(pid) && !web.is_supervised());
    assert!(tree.stop().success());
}

#[test]
fn what_leaves_while_the_program_is_replaced_stays_away() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("down", "")]);
    let web = place.module("web");
    let tree = place.tree();
    let begun = || host::count(&place.own().path("supervise.log"), " supervising ");
    for _ in 0..ROUNDS {
        wait_for("it to be supervised", &place, || web.is_supervised());
        let before = begun();
        tree.signal("USR2");
        web.send("x");
        wait_for("the new program", &place, || begun() > before);
        wait_for("it to be away", &place, || !web.is_supervised());
        tree.signal("HUP");
    }
    assert!(tree.stop().success());
}

#[test]
fn what_ends_while_the_program_is_replaced_leaves_as_it_was_told() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n");
    place.run("web", SLEEP);
    let web = place.module("web");
    let said = |text| host::count(&place.own().path("supervise.log"), text);
    for round in 0..16 {
        // It is not a child of the tree that replaces itself, so nothing of it is left when it has ended.
        let [pid] = place.left_running([&web]);
        let tree = place.reaped_tree();
        wait_for("it to be adopted", &place, || web.state()["supervisor_pid"] == tree.pid());
        let (begun, left) = (said(" supervising "), said("web: left, as told by x"));
        web.send("x");
        wait_for("x to be heard", &place, || host::count(&web.path("supervise.log"), "told to exit") > round);
        tree.signal("USR2");
        // Before, while and after nobody looks.
        std::thread::sleep(Duration::from_millis(round as u64 % 8));
        signal(pid, "KILL");
        wait_for("the new program", &place, || said(" supervising ") > begun);
        wait_for("it to have left", &place, || said("web: left, as told by x") > left);
        assert!(tree.stop().success());
    }
}
