//! Service directories that somebody else supervises, or did.

use crate::common::*;
use crate::fixture::*;
use std::path::Path;
use std::process::Command;

/// Starts a supervisor of another kind on the services root's `web`.
fn other<'a>(place: &'a Place, program: &str) -> Running<'a> {
    let mut command = Command::new(program);
    command.arg(place.root().join("web"));
    place.start(command)
}

fn supervise_is_a_link(place: &Place, name: &str) -> bool {
    let link = place.root().join(name).join("supervise");
    std::fs::read_link(link).is_ok_and(|target| target == place.status_root().join(name).join("supervise"))
}

/// A directory that `program` holds is left alone, and taken over when it is free.
fn left_alone(program: &str, locked: &str) {
    let place = Place::new();
    place.run("web", "echo $$ >> pids; exec sleep 1000");
    place.run("free", SLEEP);
    let pids = || std::fs::read_to_string(place.root().join("web/pids")).unwrap_or_default().lines().count();
    let other = other(&place, program);
    wait_for("the other supervisor", &place, || {
        place.root().join("web/supervise").join(locked).exists() && pids() == 1
    });
    let _tree = place.tree_with(&["--runit-compat"]);
    place.module("free").wait_up(&place);
    let web = place.module("web");
    let line = format!("already supervised by {program} (pid {})", other.pid());
    web.wait_text(&place, "supervise.log.wf", &line);
    assert!(!place.root().join("web/supervise").is_symlink());
    assert_eq!(pids(), 1, "a second copy");
    // It is killed; what it has started goes on alone, as it would before another runsv.
    let old: u32 = std::fs::read_to_string(place.root().join("web/pids")).unwrap().trim().parse().unwrap();
    other.kill();
    signal(old, "KILL");
    web.wait_up(&place);
    assert!(supervise_is_a_link(&place, "web"));
    assert_eq!(host::count(&web.path("supervise.log.wf"), "already supervised"), 1, "said once");
}

#[test]
fn a_directory_of_a_live_runsv_is_left_alone_and_taken_over_when_it_is_free() {
    if installed(&["runsv"]) {
        left_alone("runsv", "lock");
    }
}

#[test]
fn a_directory_of_a_live_daemontools_supervise_likewise() {
    // Our own program has the same name; theirs is meant.
    if installed(&["supervise", "svscan"]) {
        left_alone("supervise", "lock");
    }
}

#[test]
fn a_directory_of_a_live_s6_supervise_likewise() {
    if installed(&["s6-supervise"]) {
        left_alone_by_s6();
    }
}

/// It keeps more in its directory than we would remove; the files stay in the status directory then.
fn left_alone_by_s6() {
    let place = Place::new();
    place.run("web", "echo $$ >> pids; exec sleep 1000");
    let other = other(&place, "s6-supervise");
    wait_for("s6-supervise", &place, || place.root().join("web/pids").exists());
    let _tree = place.tree_with(&["--runit-compat"]);
    let web = place.module("web");
    web.wait_text(&place, "supervise.log.wf", &format!("already supervised by s6-supervise (pid {})", other.pid()));
    other.signal("TERM");
    other.wait();
    web.wait_up(&place);
    assert_eq!(web.state()["svdir"], place.status_root().to_str().unwrap());
    web.wait_text(&place, "supervise.log.wf", "it holds more than an earlier supervisor has left, and stays");
}

#[test]
fn the_logger_of_a_live_runsv_is_left_alone_too() {
    if !installed(&["runsv"]) {
        return;
    }
    let place = Place::new();
    place.service("web", &[("run", "echo $$ >> pids; exec sleep 1000"), ("log/run", "echo $$ >> pids; exec cat")]);
    let lines = |name: &str| std::fs::read_to_string(place.root().join(name)).unwrap_or_default().lines().count();
    let other = other(&place, "runsv");
    wait_for("runsv", &place, || lines("web/pids") == 1 && lines("web/log/pids") == 1);
    let _tree = place.tree_with(&["--runit-compat"]);
    for module in ["web", "web/log"] {
        let line = format!("already supervised by runsv (pid {})", other.pid());
        place.module(module).wait_text(&place, "supervise.log.wf", &line);
    }
    other.signal("TERM");
    other.wait();
    place.module("web").wait_up(&place);
    place.module("web/log").wait_up(&place);
    assert!(supervise_is_a_link(&place, "web") && supervise_is_a_link(&place, "web/log"));
    wait_for("one more of each", &place, || (lines("web/pids"), lines("web/log/pids")) == (2, 2));
}

#[test]
fn neither_runsv_nor_a_second_tree_starts_beside_us() {
    if !installed(&["runsv"]) {
        return;
    }
    let place = Place::new();
    place.run("web", "echo $$ >> pids; exec sleep 1000");
    let tree = place.tree_with(&["--runit-compat"]);
    place.module("web").wait_up(&place);
    let mut runsv = Command::new("runsv");
    runsv.arg(place.root().join("web"));
    let output = place.output(runsv);
    assert_eq!(output.status.code(), Some(111));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unable to lock supervise/lock"));
    // Another tree, with a status root of its own.
    let mut second = tree_command();
    second.args(["-p", "second", "--runit-compat", "sv"]);
    let second = place.start(second);
    let log = place.path().join("second/web/supervise.log.wf");
    let line = format!("already supervised by supervise-tree (pid {})", tree.pid());
    wait_for("the second tree to see it", &place, || host::count(&log, &line) == 1);
    let pids = || std::fs::read_to_string(place.root().join("web/pids")).unwrap_or_default();
    wait_for("the service to say its pid", &place, || pids().ends_with('\n'));
    assert_eq!(pids().lines().count(), 1);
    drop(second);
}

#[test]
fn what_an_earlier_runsv_has_left_is_replaced_and_what_is_not_its_own_stays() {
    let place = Place::new();
    for (name, extra) in [("web", None), ("kept", Some("notes"))] {
        place.run(name, SLEEP);
        let dir = place.root().join(name).join("supervise");
        std::fs::create_dir(&dir).unwrap();
        for file in ["lock", "status", "stat", "pid", "status.new"].into_iter().chain(extra) {
            std::fs::write(dir.join(file), "").unwrap();
        }
        nix::unistd::mkfifo(&dir.join("control"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        nix::unistd::mkfifo(&dir.join("ok"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    place.run("linked", SLEEP);
    std::os::unix::fs::symlink("/nowhere/runit/linked", place.root().join("linked/supervise")).unwrap();
    place.run("file", SLEEP);
    std::fs::write(place.root().join("file/supervise"), "").unwrap();
    let _tree = place.tree_with(&["--runit-compat"]);
    for name in ["web", "kept", "linked", "file"] {
        place.module(name).wait_up(&place);
    }
    assert!(supervise_is_a_link(&place, "web"));
    // It says where the one led that it has replaced.
    let target = std::fs::read_link(place.root().join("linked/supervise")).unwrap();
    assert!(target.starts_with(place.status_root().join("linked/supervise")), "{target:?}");
    assert!(place.root().join("kept/supervise/notes").exists() && place.root().join("kept/supervise/status").exists());
    place.module("kept").wait_text(&place, "supervise.log.wf", "it holds more than an earlier supervisor has left");
    place.module("file").wait_text(&place, "supervise.log.wf", "it is not a directory, and stays");
    let svdir = |name: &str| place.module(name).state()["svdir"].as_str().map(|path| Path::new(path).to_owned());
    assert_eq!(svdir("web"), Some(place.root()));
    assert_eq!(svdir("kept"), Some(place.status_root()));
}

#[test]
fn a_directory_that_was_copied_with_its_link_is_a_service_of_its_own() {
    let place = Place::new();
    place.run("web", SLEEP);
    let _tree = place.tree_with(&["--runit-compat"]);
    place.module("web").wait_up(&place);
    let copied = place.path().join("copy");
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(place.root().join("web")).arg(&copied);
    assert!(place.output(copy).status.success());
    std::fs::rename(&copied, place.root().join("copy")).unwrap();
    place.module("copy").wait_up(&place);
    assert!(supervise_is_a_link(&place, "web") && supervise_is_a_link(&place, "copy"));
}
