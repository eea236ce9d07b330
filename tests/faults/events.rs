//! inotify: limits that are reached, events that are lost, and events that are none of ours.

use crate::common::host::{count, skipped};
use crate::common::{Place, SLEEP, wait_for};
use crate::stage::on_stage;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Sets a limit of the user namespace that we are the root of.
fn set_limit(name: &str, value: u32) {
    std::fs::write(Path::new("/proc/sys/user").join(name), value.to_string()).expect("a limit of our namespace");
}

fn own_log(place: &Place) -> String {
    place.own().log()
}

#[test]
fn without_inotify_instances_the_root_is_looked_at_again_and_again() {
    on_stage(|| {
        let place = Place::new();
        place.run("first", SLEEP);
        set_limit("max_inotify_instances", 0);
        let tree = place.tree();
        place.module("first").wait_up(&place);
        place.run("second", SLEEP);
        place.module("second").wait_up(&place);
        let warnings = place.own().text("supervise.log.wf");
        // One for the root, and one for the tree's own directory.
        assert_eq!(warnings.lines().filter(|line| line.contains("looking every")).count(), 1, "{warnings}");
        assert_eq!(warnings.lines().count(), 2, "{warnings}");
        assert!(warnings.contains("no more inotify instances") && warnings.contains("looking every 5 s"), "{warnings}");
        set_limit("max_inotify_instances", 2);
        wait_for("the root to be watched", &place, || own_log(&place).contains("is watched again"));
        place.run("third", SLEEP);
        let moved_in = Instant::now();
        place.module("third").wait_up(&place);
        assert!(moved_in.elapsed() < Duration::from_secs(4), "at once, not by looking every 5 s");
        assert!(tree.stop().success());
    });
}

#[test]
fn without_inotify_watches_directories_are_looked_at_again_and_again() {
    on_stage(|| {
        let place = Place::new();
        place.run("first", SLEEP);
        // The root and its parent.
        set_limit("max_inotify_watches", 2);
        let tree = place.tree();
        place.module("first").wait_up(&place);
        let late = place.root().join("late");
        std::fs::create_dir(&late).unwrap();
        place.own().wait_text(&place, "supervise.log.wf", "no more watches");
        // Its run is put in by a rename, for which its own directory would have to be watched.
        crate::common::script(&place.path().join("run"), SLEEP);
        std::fs::rename(place.path().join("run"), late.join("run")).unwrap();
        place.module("late").wait_up(&place);
        let warnings = place.own().text("supervise.log.wf");
        assert_eq!(warnings.lines().count(), 1, "{warnings}");
        assert!(warnings.contains("looking every 5 s"), "{warnings}");
        assert!(tree.stop().success());
    });
}

#[test]
fn nothing_is_forgotten_when_events_are_lost() {
    let room = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let Some(room) = room.trim().parse::<usize>().ok().filter(|room| *room <= 65536) else {
        return skipped("nothing_is_forgotten_when_events_are_lost: the event queue here is too long to be filled");
    };
    let place = Place::new();
    for number in 0..5 {
        place.run(&format!("old{number}"), SLEEP);
    }
    let tree = place.tree();
    for number in 0..5 {
        place.module(&format!("old{number}")).wait_up(&place);
    }
    tree.signal("STOP");
    // Each file is made, opened, closed and deleted: four events at least.
    for number in 0..room / 3 {
        let path = place.root().join(format!(".{number}"));
        std::fs::write(&path, "").unwrap();
        std::fs::remove_file(&path).unwrap();
    }
    // These events find no room.
    for number in 0..20 {
        place.run(&format!("new{number}"), SLEEP);
    }
    std::fs::rename(place.root().join("old0"), place.path().join("away")).unwrap();
    tree.signal("CONT");
    for number in 0..20 {
        place.module(&format!("new{number}")).wait_up(&place);
    }
    place.module("old0").wait_state(&place, "down");
    assert_eq!(own_log(&place).matches("directory events were lost").count(), 1, "{}", own_log(&place));
    for number in 1..5 {
        assert_eq!(place.module(&format!("old{number}")).state()["restarts"], 0);
    }
    assert!(tree.stop().success());
}

/// How often the threads of a process were put on a processor.
fn wakeups(pid: u32) -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).expect("tasks").flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let switches = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
        sum += switches.filter_map(|(_, number)| number.trim().parse::<u64>().ok()).sum::<u64>();
    }
    sum
}

#[test]
fn writes_beside_the_root_wake_nobody() {
    let place = Place::new();
    place.run("web", SLEEP);
    // Its own messages go into a file beside the root, too.
    let tree = place.tree_with(&["-v"]);
    let web = place.module("web");
    web.wait_up(&place);
    let mut before = wakeups(tree.pid());
    let mut since = Instant::now();
    wait_for("the tree to be quiet for a second", &place, || {
        let now = wakeups(tree.pid());
        if now != before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    });
    let mut file = std::fs::File::create(place.path().join("app.log")).unwrap();
    for line in 0..100 {
        writeln!(file, "{line}").unwrap();
        // Writes that follow at once would be one event.
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(file);
    std::fs::rename(place.path().join("app.log"), place.path().join("app.log.1")).unwrap();
    std::fs::remove_file(place.path().join("app.log.1")).unwrap();
    // The kernel may hand an event on a moment later.
    std::thread::sleep(Duration::from_millis(100));
    let woken = wakeups(tree.pid()) - before;
    // Names that come and go beside it are looked at; lines are not.
    assert!(woken <= 10, "woken {woken} times");
    // It still sees what matters.
    std::fs::rename(place.root(), place.path().join("away")).unwrap();
    place.own().wait_text(&place, "supervise.log.wf", "is not there");
    std::fs::rename(place.path().join("away"), place.root()).unwrap();
    place.own().wait_text(&place, "supervise.log", "is watched again");
    // What it says goes into a file beside the root, and that must not make it say more.
    assert_eq!(count(&place.path().join("stderr"), "is watched again"), 1);
    assert!(tree.stop().success());
}
