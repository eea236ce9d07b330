//! The services root itself: renamed, removed, replaced, put in again.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::*;
use common::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

#[test]
fn a_root_that_is_renamed_and_comes_back_finds_its_services_as_they_were() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let away = place.path().join("away");
    std::fs::rename(place.root(), &away).unwrap();
    place.wait_told("is not there");
    assert!(is_alive(pid) && web.is_supervised());
    std::fs::rename(&away, place.root()).unwrap();
    place.run("new", SLEEP);
    place.module("new").wait_up(&place);
    assert_eq!(web.pid(), pid);
    std::fs::remove_dir_all(place.root().join("web")).unwrap();
    wait_for("the removal to be seen in the root that came back", &place, || !web.is_supervised());
    assert!(tree.stop().success());
}

#[test]
fn a_root_that_is_removed_and_made_again_is_found() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    for _ in 0..3 {
        std::fs::remove_dir_all(place.root()).unwrap();
        // Whether the services are seen to go before the root is depends on who is quicker.
        std::fs::create_dir(place.root()).unwrap();
        place.run("web", "echo again; exec sleep 1000");
        wait_for("the service of the new root", &place, || {
            is_alive(web.pid()) && web.text("__stdout").contains("again")
        });
        assert!(!is_alive(pid));
        std::fs::remove_file(web.path("__stdout")).unwrap();
    }
    place.run("more", SLEEP);
    place.module("more").wait_up(&place);
    assert!(tree.stop().success());
}

#[test]
fn a_root_that_is_replaced_by_another_is_compared_by_what_is_in_it() {
    let place = Place::new();
    place.conf(FAST);
    place.run("same", "echo one; exec sleep 1000");
    place.run("old", SLEEP);
    let _tree = place.tree();
    let (same, old) = (place.module("same"), place.module("old"));
    let (first, gone) = (same.wait_up(&place), old.wait_up(&place));
    same.wait_text(&place, "__stdout", "one\n");
    let fresh = place.path().join("fresh");
    script(&fresh.join("same/run"), "echo two; exec sleep 1000");
    script(&fresh.join("new/run"), SLEEP);
    std::fs::rename(place.root(), place.path().join("sv.old")).unwrap();
    std::fs::rename(&fresh, place.root()).unwrap();
    same.wait_new_pid(&place, first);
    same.wait_text(&place, "__stdout", "one\ntwo\n");
    place.module("new").wait_up(&place);
    wait_for("what is not in the new root to end", &place, || !is_alive(gone) && !old.is_supervised());
    assert!(!is_alive(first));
}

#[test]
fn a_root_that_is_a_link_is_swapped_whole() {
    let place = Place::new();
    std::fs::remove_dir(place.root()).unwrap();
    for (dir, service) in [("green", "echo green"), ("blue", "echo blue")] {
        script(&place.path().join(dir).join("web/run"), &format!("{service}; exec sleep 1000"));
        std::fs::write(place.path().join(dir).join("supervise.conf"), FAST).unwrap();
    }
    script(&place.path().join("green/only/run"), SLEEP);
    symlink("green", place.root()).unwrap();
    let _tree = place.tree();
    let (web, only) = (place.module("web"), place.module("only"));
    let mut pid = web.wait_up(&place);
    let gone = only.wait_up(&place);
    for colour in ["blue", "green", "blue"] {
        let fresh = place.path().join("sv.new");
        symlink(colour, &fresh).unwrap();
        std::fs::rename(&fresh, place.root()).unwrap();
        pid = web.wait_new_pid(&place, pid);
        wait_for("the other colour", &place, || web.text("__stdout").ends_with(&format!("{colour}\n")));
    }
    wait_for("what the blue one does not have to end", &place, || !only.is_supervised());
    assert!(!is_alive(gone));
    // What is below the new one is watched.
    script(&place.path().join("blue/late/run"), SLEEP);
    place.module("late").wait_up(&place);
}

#[test]
fn a_change_in_a_root_that_has_just_gone_stops_nothing() {
    let place = Place::new();
    place.run("web", SLEEP);
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let away = place.path().join("away");
    for round in 0..30 {
        // An event on the name, and by the time that somebody looks the root is not there.
        std::fs::set_permissions(place.root().join("web"), std::fs::Permissions::from_mode(0o700 + round % 2)).unwrap();
        std::fs::rename(place.root(), &away).unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round % 4)));
        std::fs::rename(&away, place.root()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    place.run("after", SLEEP);
    place.module("after").wait_up(&place);
    assert_eq!((web.pid(), is_alive(pid)), (pid, true), "{}", place.own().log());
}

#[test]
fn names_that_are_passed_over_are_in_the_trees_state_with_the_reason() {
    let place = Place::new();
    place.run("web", SLEEP);
    place.run("late", SLEEP);
    let run = place.root().join("late/run");
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o644)).unwrap();
    symlink("nowhere", place.root().join("broken")).unwrap();
    let tree = place.tree();
    place.module("web").wait_up(&place);
    let not_begun = || {
        let state = place.own().state();
        let list = state["not_begun"].as_array().cloned().unwrap_or_default();
        let row = |one: &serde_json::Value| {
            format!("{}: {}", one["module"].as_str().unwrap(), one["reason"].as_str().unwrap())
        };
        list.iter().map(row).collect::<Vec<_>>()
    };
    wait_for("both", &place, || not_begun() == ["broken: a link that leads nowhere", "late: run is not executable"]);
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.module("late").wait_up(&place);
    wait_for("the list to be shorter", &place, || not_begun() == ["broken: a link that leads nowhere"]);
    // One that runs on without its run has a status of its own.
    std::fs::remove_file(&run).unwrap();
    signal(tree.pid(), "HUP");
    place.wait_told("late: run is gone");
    assert_eq!(not_begun().len(), 1);
}

#[test]
fn a_root_that_could_not_be_read_restarts_nothing() {
    if nix::unistd::geteuid().is_root() {
        return skipped("root reads everything");
    }
    let place = Place::new();
    place.run("web", SLEEP);
    let killed = place.reaped_tree();
    let pid = place.module("web").wait_up(&place);
    killed.kill();
    let mode = |mode| std::fs::set_permissions(place.root(), std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o000).expect("chmod");
    let tree = place.reaped_tree();
    wait_for("it to be adopted", &place, || place.module("web").state()["supervisor_pid"] == tree.pid());
    holds_for(Duration::from_secs(3), "few lines", &place, || {
        count(&place.own().path("supervise.log.wf"), "denied") <= 2
    });
    mode(0o755).expect("chmod");
    place.wait_told("is watched again");
    assert_eq!(place.module("web").pid(), pid);
    assert!(is_alive(pid) && tree.stop().success());
}
