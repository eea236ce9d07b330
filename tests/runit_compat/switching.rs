//! `runsvchdir`: the services root is a link to `current`, which is switched.

use crate::common::*;
use crate::fixture::*;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

/// Two sets of services with one in common, and `sv` as a link to the current one.
fn place() -> Place {
    let place = Place::new();
    for name in ["shared", "old", "new"] {
        script(&place.path().join("services").join(name).join("run"), "#!/bin/sh\nexec sleep 1000\n");
    }
    for (set, names) in [("default", ["shared", "old"]), ("single", ["shared", "new"])] {
        let dir = place.path().join("runsvdir").join(set);
        std::fs::create_dir_all(&dir).unwrap();
        for name in names {
            symlink(place.path().join("services").join(name), dir.join(name)).unwrap();
        }
    }
    symlink("default", place.path().join("runsvdir/current")).unwrap();
    std::fs::remove_dir(place.root()).unwrap();
    symlink("runsvdir/current", place.root()).unwrap();
    place
}

/// Switches there and back three times. The tree needs a moment each time; how long a busy machine takes for it, nobody
/// knows, but not each time a second, as it would if the tree looked for the root only so often.
fn switches(place: &Place, tree: &Running<'_>, switch: impl Fn(&str)) {
    let module = |name: &str| place.module(name);
    let shared = module("shared").wait_up(place);
    module("old").wait_up(place);
    let mut fastest = DEADLINE;
    for (set, gone, come) in [("single", "old", "new"), ("default", "new", "old")].repeat(3) {
        let old = module(gone).pid();
        let before = Instant::now();
        switch(set);
        module(come).wait_up(place);
        wait_for("the old one's end", place, || !is_alive(old));
        fastest = fastest.min(before.elapsed());
        wait_for("nobody to supervise what is gone", place, || !module(gone).is_supervised());
        assert_eq!((module("shared").pid(), is_alive(shared)), (shared, true), "the same process");
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    assert_eq!(proc_stat(shared, 4), i64::from(tree.pid()));
}

#[test]
fn the_renames_of_runsvchdir_switch_within_a_second_and_keep_what_stays() {
    let place = place();
    let tree = place.tree_with(&["--runit-compat"]);
    switches(&place, &tree, |set| {
        let dir = place.path().join("runsvdir");
        symlink(set, dir.join("current.new")).unwrap();
        let _ = std::fs::remove_file(dir.join("previous"));
        std::fs::rename(dir.join("current"), dir.join("previous")).unwrap();
        std::fs::rename(dir.join("current.new"), dir.join("current")).unwrap();
    });
}

#[test]
fn runsvchdir_itself_does() {
    if !installed(&["runsvchdir"]) {
        return;
    }
    let place = place();
    // It knows one place only.
    let there = "mount --bind runsvdir /etc/runit/runsvdir && exec runsvchdir \"$0\"";
    let run = |set: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", there, set]);
        place.output(command)
    };
    if !run("default").status.success() {
        return host::skipped("no user namespaces: runsvchdir cannot be given another directory");
    }
    let tree = place.tree_with(&["--runit-compat"]);
    switches(&place, &tree, |set| {
        let output = run(set);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("runsvchdir: {set}: now current.\n"));
    });
}
