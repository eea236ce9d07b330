//! Status roots that cannot be written: supervision goes on, and the files become true when they can.

use crate::common::host::count;
use crate::common::{FAST, Module, Place, holds_for, is_alive, said_by, signal, wait_for};
use crate::stage::{Mounted, on_stage};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// A service that says in its own directory, which is on another disk, which process it is.
const TELLS_ITS_PID: &str = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000";

/// The pid that the service has told.
fn told_pid(place: &Place, name: &str) -> u32 {
    let told = std::fs::read_to_string(place.root().join(name).join("pid")).unwrap_or_default();
    told.trim().parse().unwrap_or(0)
}

/// Waits until the service runs as another process than `old`.
fn wait_told(place: &Place, name: &str, old: u32) -> u32 {
    let mut pid = 0;
    wait_for(&format!("{name} to run as another process than {old}"), place, || {
        pid = told_pid(place, name);
        pid != old && is_alive(pid)
    });
    pid
}

/// Fills the file system of `directory` to the last byte.
fn fill(directory: &Path) {
    let mut file = std::fs::File::create(directory.join("fill")).unwrap();
    for size in [4096, 1] {
        while file.write(&vec![b'x'; size]).is_ok_and(|written| written > 0) {}
    }
}

fn web_is_kept(place: &Place, web: &Module) {
    // Restarts go on.
    let mut pid = wait_told(place, "web", 0);
    for _ in 0..3 {
        signal(pid, "KILL");
        pid = wait_told(place, "web", pid);
    }
    // Commands are answered.
    web.send("d");
    wait_for("web to be down", place, || !is_alive(pid));
    holds_for(Duration::from_millis(200), "web is down", place, || told_pid(place, "web") == pid && !is_alive(pid));
    web.send("u");
    wait_told(place, "web", pid);
}

fn web_is_true_again(place: &Place, web: &Module) {
    let pid = wait_told(place, "web", 0);
    signal(pid, "KILL");
    let next = wait_told(place, "web", pid);
    wait_for("the status to be true", place, || web.pid() == next && web.state()["pid"] == next);
    assert_eq!(web.state_name(), "up");
    // The lines of the bad times come with the first one that can be written.
    wait_for("the lines that were kept", place, || web.log().contains(&format!("pid {pid}")));
}

#[test]
fn services_run_on_a_full_disk_and_their_files_are_true_when_there_is_room() {
    on_stage(|| {
        let place = Place::new();
        let _disk = Mounted::tmpfs(&place.status_root(), "size=400k");
        place.conf(FAST);
        place.run("web", TELLS_ITS_PID);
        let tree = place.tree();
        let web = place.module("web");
        web.wait_up(&place);
        fill(&place.status_root());
        web_is_kept(&place, &web);
        assert!(std::fs::write(place.status_root().join("more"), "x").is_err(), "the disk was not full");
        // What is there already has room.
        wait_for("the status to be true", &place, || web.pid() == told_pid(&place, "web") && web.state_name() == "up");
        // A service that is new runs, too.
        place.run("new", TELLS_ITS_PID);
        wait_told(&place, "new", 0);
        let told = count(&place.path().join("stderr"), "No space left on device");
        assert!((1..=10).contains(&told), "once for each file that could not be written, not {told} times");

        std::fs::remove_file(place.status_root().join("fill")).unwrap();
        web_is_true_again(&place, &web);
        // Nothing happens at this one: it is looked after all the same.
        let new = place.module("new");
        wait_for("the status of the new one", &place, || new.pid() == told_pid(&place, "new"));
        assert!(tree.stop().success());
    });
}

#[test]
fn on_a_full_disk_the_status_is_true_and_a_command_outlives_the_tree() {
    on_stage(|| {
        let place = Place::new();
        let _disk = Mounted::tmpfs(&place.status_root(), "size=400k");
        place.run("web", TELLS_ITS_PID);
        let tree = place.reaped_tree();
        let web = place.module("web");
        web.wait_up(&place);
        let pid = wait_told(&place, "web", 0);
        fill(&place.status_root());
        web.send("d");
        wait_for("web to be down, and said to be", &place, || !is_alive(pid) && web.pid() == 0);
        wait_for("state.json, too", &place, || web.state_name() == "down" && web.state()["want"] == "down");
        assert!(!place.svctl(&["check", "web"]).status.success());
        let table = place.svctl(&["status", "web"]);
        assert_eq!(table.status.code(), Some(3), "the disk is not as it is wanted");
        let table = said_by(&table);
        assert!(table.contains("is full") && !table.contains("stale"), "{table}");
        assert!(std::fs::write(place.status_root().join("more"), "x").is_err(), "the disk was not full");
        tree.kill();
        let _next = place.tree();
        wait_for("the next tree", &place, || web.is_supervised());
        holds_for(Duration::from_millis(300), "the command is remembered", &place, || told_pid(&place, "web") == pid);
        web.send("u");
        wait_told(&place, "web", pid);
        std::fs::remove_file(place.status_root().join("fill")).unwrap();
        wait_for("everything to be well again", &place, || place.svctl(&["status", "web"]).status.success());
    });
}

#[test]
fn what_could_not_be_logged_is_logged_when_it_can_although_nothing_else_happens() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", TELLS_ITS_PID);
    let tree = place.tree();
    let (own, web) = (place.own(), place.module("web"));
    let pid = web.wait_up(&place);
    for module in [&own, &web] {
        std::fs::remove_file(module.path("supervise.log")).unwrap();
        std::fs::create_dir(module.path("supervise.log")).unwrap();
    }
    signal(pid, "KILL");
    let next = wait_told(&place, "web", pid);
    signal(tree.pid(), "HUP");
    let said = || std::fs::read_to_string(place.path().join("stderr")).unwrap_or_default();
    wait_for("both to say so", &place, || said().matches("lines are kept").count() == 2);
    for module in [&own, &web] {
        std::fs::remove_dir(module.path("supervise.log")).unwrap();
    }
    web.wait_text(&place, "supervise.log", &format!("started, pid {next}"));
    own.wait_text(&place, "supervise.log", "looking at everything again");
    assert!(tree.stop().success());
}

#[test]
fn a_start_that_cannot_be_recorded_is_told_until_there_is_room() {
    on_stage(|| {
        let place = Place::new();
        let _disk = Mounted::tmpfs(&place.status_root(), "size=400k,nr_inodes=64");
        place.conf(FAST);
        place.run("web", TELLS_ITS_PID);
        let tree = place.tree();
        let web = place.module("web");
        let pid = web.wait_up(&place);
        // The lock file loses its room while the tree cannot give it back, and there is no inode for a link.
        signal(tree.pid(), "STOP");
        std::fs::write(web.path("lock"), "").unwrap();
        fill(&place.status_root());
        let inode = |number: u32| place.status_root().join(format!("inode{number}"));
        let taken = (0..).take_while(|number| std::fs::write(inode(*number), "").is_ok()).count() as u32;
        signal(pid, "KILL");
        signal(tree.pid(), "CONT");
        let next = wait_told(&place, "web", pid);
        wait_for("the warning", &place, || {
            web.pid() == next && web.state()["unrecorded"].as_str().is_some_and(|why| why.contains("a second copy"))
        });
        let table = place.svctl(&["status", "web"]);
        assert_eq!(table.status.code(), Some(3), "{}", said_by(&table));
        assert!(said_by(&table).contains("the next tree would start a second copy"), "{}", said_by(&table));
        (0..taken).for_each(|number| std::fs::remove_file(inode(number)).unwrap());
        std::fs::remove_file(place.status_root().join("fill")).unwrap();
        wait_for("the record", &place, || web.text("lock").starts_with("run ") && web.state()["unrecorded"].is_null());
        assert!(is_alive(next));
        assert!(tree.stop().success());
    });
}

#[test]
fn what_was_started_on_a_full_disk_is_adopted_once_there_was_room() {
    on_stage(|| {
        let place = Place::new();
        let _disk = Mounted::tmpfs(&place.status_root(), "size=400k");
        let tree = place.reaped_tree();
        fill(&place.status_root());
        place.run("new", TELLS_ITS_PID);
        let pid = wait_told(&place, "new", 0);
        std::fs::remove_file(place.status_root().join("fill")).unwrap();
        let new = place.module("new");
        wait_for("the status", &place, || new.pid() == pid);
        tree.kill();
        let _next = place.tree();
        wait_for("the next tree to have it", &place, || new.log().contains("adopted"));
        assert_eq!(told_pid(&place, "new"), pid);
    });
}

#[test]
fn services_run_on_a_read_only_disk_and_their_files_are_true_when_it_can_be_written() {
    on_stage(|| {
        let place = Place::new();
        place.conf(FAST);
        place.run("web", TELLS_ITS_PID);
        let tree = place.tree();
        let web = place.module("web");
        web.wait_up(&place);
        let read_only = Mounted::read_only(&place.status_root());
        web_is_kept(&place, &web);
        assert_ne!(web.pid(), told_pid(&place, "web"), "the disk was not read-only");
        // Nothing tells of the new process but what the supervisor says beside its files.
        assert!(said_by(&place.svctl(&["status", "web"])).contains("stale"));
        assert!(!place.svctl(&["check", "web"]).status.success());
        // A service that is new has nowhere to be locked, and two copies would be worse than none.
        place.run("new", TELLS_ITS_PID);
        wait_for("new to be refused", &place, || count(&place.path().join("stderr"), "cannot make") > 0);
        let told = count(&place.path().join("stderr"), "Read-only file system");
        assert!((1..=10).contains(&told), "once for each file that could not be written, not {told} times");

        drop(read_only);
        web_is_true_again(&place, &web);
        assert!(place.svctl(&["check", "web"]).status.success());
        wait_told(&place, "new", 0);
        assert!(tree.stop().success());
    });
}
