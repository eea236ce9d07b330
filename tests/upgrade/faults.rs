//! What is missing at the moment at which the program replaces itself.

use crate::common::host::*;
use crate::common::*;
use crate::fixture::*;
use std::process::Command;

/// A program that is the tree's in all that it is asked, and does `meanwhile` before it takes over.
fn program_that(meanwhile: &str) -> String {
    let real = env!("CARGO_BIN_EXE_supervise-tree");
    format!("#!/bin/sh\ncase $1 in --handover=check*) ;; *) {meanwhile};; esac\nexec {real} \"$@\"\n")
}

#[test]
fn a_root_that_goes_away_at_the_last_moment_ends_no_tree() {
    let place = Place::new();
    place.run("web", HOLD);
    place.service("talk", &[("run", SLEEP), ("log/run", "exec cat >/dev/null")]);
    let (program, tree) = tree_of_own_copy(&place);
    let modules = ["web", "talk", "talk/log"].map(|name| place.module(name));
    let pids = modules.each_ref().map(|module| module.wait_up(&place));
    let (root, away) = (place.root(), place.path().join("away"));
    let fresh = place.path().join("fresh");
    script(&fresh, &program_that(&format!("mv {} {}", root.display(), away.display())));
    std::fs::rename(&fresh, &program).expect("replaced");
    tree.signal("USR2");
    place.wait_told("is not there: services go on");
    assert!(is_alive(tree.pid()) && pids.iter().all(|pid| is_alive(*pid)));
    std::fs::rename(&away, &root).expect("moved back");
    wait_for("all to be supervised", &place, || {
        modules.iter().all(|module| module.is_supervised() && module.state()["supervisor_pid"] == tree.pid())
    });
    assert_eq!(modules.each_ref().map(|module| module.wait_up(&place)), pids);
    // Still our child, and nobody else has reaped it.
    signal(pids[0], "USR1");
    modules[0].wait_new_pid(&place, pids[0]);
    assert_eq!(modules[0].state()["last_exit"]["code"], 7);
    assert!(tree.stop().success());
}

/// The lock file is the record of the process; the program that takes over has it open, whatever has become of its name.
#[test]
fn a_status_directory_that_is_removed_at_the_last_moment_makes_no_second_copy() {
    let place = Place::new();
    place.run("web", SLEEP);
    place.service("talk", &[("run", SLEEP), ("log/run", "exec cat >/dev/null")]);
    let (program, tree) = tree_of_own_copy(&place);
    let modules = ["web", "talk", "talk/log"].map(|name| place.module(name));
    let pids = modules.each_ref().map(|module| module.wait_up(&place));
    let fresh = place.path().join("fresh");
    let status = place.status_root();
    script(&fresh, &program_that(&format!("rm -rf {0}/web; rm {0}/talk/lock {0}/talk/log/lock", status.display())));
    std::fs::rename(&fresh, &program).expect("replaced");
    upgrade(&place, || tree.signal("USR2"));
    wait_for("all to be supervised", &place, || modules.iter().all(|module| module.is_supervised()));
    assert_eq!(modules.each_ref().map(|module| module.wait_up(&place)), pids);
    // It is recorded anew, so that it is found after a KILL, too.
    tree.kill();
    let next = place.reaped_tree();
    wait_for("all to be adopted", &place, || {
        modules.iter().all(|module| module.is_supervised() && module.state()["supervisor_pid"] == next.pid())
    });
    assert_eq!(modules.each_ref().map(|module| module.wait_up(&place)), pids);
    assert!(next.stop().success());
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn a_command_waits_for_a_status_directory_that_may_not_be_used_just_now() {
    if !nix::unistd::geteuid().is_root() {
        return skipped(
            "a_command_waits_for_a_status_directory_that_may_not_be_used_just_now: only root can give it away",
        );
    }
    let place = Place::new();
    place.run("web", SLEEP);
    let (program, tree) = tree_of_own_copy(&place);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let fresh = place.path().join("fresh");
    let dir = web.dir().to_path_buf();
    let once = place.path().join("given");
    // Whoever hands the FIFO over has it open for reading and writing, so nobody waits.
    let meanwhile =
        format!("[ -e {0} ] || {{ printf d > {1}/control; chown 4711 {1}; }}; : > {0}", once.display(), dir.display());
    script(&fresh, &program_that(&meanwhile));
    std::fs::rename(&fresh, &program).expect("replaced");
    upgrade(&place, || tree.signal("USR2"));
    place.own().wait_text(&place, "supervise.log.wf", "belongs to uid 4711");
    upgrade(&place, || tree.signal("USR2"));
    assert!(is_alive(pid));
    std::os::unix::fs::chown(&dir, Some(0), None).unwrap();
    wait_for("the command to be heard", &place, || !is_alive(pid));
    web.wait_state(&place, "down");
    assert!(tree.stop().success());
}

#[test]
fn what_has_left_comes_back_by_a_hup_while_the_root_is_away() {
    let place = Place::new();
    ["web", "left"].iter().for_each(|name| place.run(name, SLEEP));
    let (program, tree) = tree_of_own_copy(&place);
    let (web, left) = (place.module("web"), place.module("left"));
    web.wait_up(&place);
    left.wait_up(&place);
    left.send("dx");
    place.own().wait_text(&place, "supervise.log", "left: left, as told by x");
    let (root, away) = (place.root(), place.path().join("away"));
    let fresh = place.path().join("fresh");
    script(&fresh, &program_that(&format!("mv {} {}", root.display(), away.display())));
    std::fs::rename(&fresh, &program).expect("replaced");
    tree.signal("USR2");
    place.wait_told("is not there: services go on");
    tree.signal("HUP");
    place.own().wait_text(&place, "supervise.log", "looking at everything again");
    std::fs::rename(&away, &root).expect("moved back");
    left.wait_up(&place);
    assert!(tree.stop().success());
}

#[test]
fn a_tree_without_its_root_stops_what_it_was_handed_over() {
    let place = Place::new();
    place.run("web", SLEEP);
    let (program, tree) = tree_of_own_copy(&place);
    let pid = place.module("web").wait_up(&place);
    let fresh = place.path().join("fresh");
    script(&fresh, &program_that(&format!("mv {} {}/away", place.root().display(), place.path().display())));
    std::fs::rename(&fresh, &program).expect("replaced");
    tree.signal("USR2");
    place.wait_told("is not there: services go on");
    assert!(is_alive(pid));
    assert!(tree.stop().success());
    assert!(!is_alive(pid));
}

#[test]
fn old_settings_hold_when_the_next_program_cannot_read_the_file() {
    let place = Place::new();
    let conf = place.path().join("my.conf");
    std::fs::write(&conf, "[global]\nrestart_delay : 0.02\nmax_tries : 2\nalarm_interval : 600\n").expect("written");
    place.run("web", HOLD);
    let tree = place.tree_with(&["-F", conf.to_str().expect("text")]);
    let web = place.module("web");
    let first = web.wait_up(&place);
    std::fs::remove_file(&conf).expect("removed");
    // The second one has them from the first, which had them from nowhere else.
    upgrade(&place, || tree.signal("USR2"));
    upgrade(&place, || tree.signal("USR2"));
    place.wait_told("the old settings stay");
    let mut pid = first;
    for _ in 0..2 {
        signal(pid, "USR1");
        pid = web.wait_new_pid(&place, pid);
    }
    signal(pid, "USR1");
    web.wait_state(&place, "failed");
    assert!(tree.stop().success());
}

#[test]
fn signals_of_the_first_moment_end_nothing() {
    let place = Place::new();
    place.run("web", SLEEP);
    let letter = place.path().join("letter");
    nix::unistd::mkfifo(&letter, nix::sys::stat::Mode::S_IRWXU).expect("made");
    // It stands still at the first thing that it does: reading what was handed over.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 9<letter", "sh", env!("CARGO_BIN_EXE_supervise-tree"), "--handover=9", "-p"]);
    command.arg(place.status_root()).arg(place.root());
    let tree = place.start(command);
    let writer = std::fs::OpenOptions::new().write(true).open(&letter).expect("opened");
    let is_blocked = |signal: nix::sys::signal::Signal| {
        let mask = u64::from_str_radix(&proc_status(tree.pid(), "SigBlk"), 16).unwrap_or(0);
        mask & (1 << (signal as u32 - 1)) != 0
    };
    use nix::sys::signal::Signal::{SIGHUP, SIGUSR1, SIGUSR2};
    wait_for("signals to be blocked", &place, || [SIGHUP, SIGUSR1, SIGUSR2].into_iter().all(is_blocked));
    ["HUP", "USR1", "USR2"].into_iter().for_each(|name| tree.signal(name));
    drop(writer);
    place.module("web").wait_up(&place);
    wait_for("the upgrade that was asked for", &place, || begun(&place) == 2);
    assert!(tree.stop().success());
}

#[test]
fn a_working_directory_that_is_gone_stops_an_upgrade_only_if_it_is_needed() {
    for is_needed in [true, false] {
        let place = Place::new();
        place.run("web", SLEEP);
        let here = place.path().join("here");
        std::fs::create_dir(&here).expect("made");
        let mut command = Command::new("sh");
        command.args(["-c", "cd here && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_supervise-tree")]);
        command.args(if is_needed { vec!["-F", "supervise.conf"] } else { Vec::new() });
        command.arg("-p").arg(place.status_root()).arg(place.root());
        let tree = place.start(command);
        let pid = place.module("web").wait_up(&place);
        std::fs::remove_dir(&here).expect("removed");
        if is_needed {
            tree.signal("USR2");
            place.own().wait_text(&place, "supervise.log.wf", "upgrade not done: the working directory is gone");
        } else {
            upgrade(&place, || tree.signal("USR2"));
        }
        assert_eq!((place.module("web").wait_up(&place), is_alive(pid)), (pid, true));
        assert!(tree.stop().success());
    }
}

#[test]
fn no_program_is_replaced_while_its_root_is_away() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    let away = place.path().join("away");
    std::fs::rename(place.root(), &away).expect("moved away");
    tree.signal("USR2");
    place.own().wait_text(&place, "supervise.log.wf", "upgrade not done: ");
    assert!(is_alive(tree.pid()) && is_alive(pid));
    std::fs::rename(&away, place.root()).expect("moved back");
    upgrade(&place, || tree.signal("USR2"));
    wait_for("it to be supervised", &place, || place.module("web").is_supervised());
    assert_eq!(place.module("web").pid(), pid);
    assert!(tree.stop().success());
}
