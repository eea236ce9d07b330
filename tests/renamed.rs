//! Directories that get another name, or another one in their place.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

fn pids_in(dir: &Path) -> Vec<u32> {
    processes_of(&dir.to_string_lossy())
}

#[test]
fn a_renamed_directory_never_has_two_copies() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    // It takes its time to end, so that a hasty start would meet it.
    let run = "trap 'sleep 0.2; exit 0' TERM; echo ready; sleep 1000 & while :; do wait $!; done";
    let run = ALONE.to_string() + run;
    place.run("a", &run);
    place.module("a").wait_text(&place, "__stdout", "ready");
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let old = place.module(from).wait_up(&place);
        std::fs::rename(place.root().join(from), place.root().join(to)).unwrap();
        place.module(to).wait_new_pid(&place, old);
        wait_for("the new one", &place, || place.module(to).text("__stdout").ends_with("ready\n"));
        assert!(!is_alive(old));
        wait_for("the old name to be let go", &place, || !place.module(from).is_supervised());
    }
    for name in ["a", "b", "c"] {
        assert!(!place.module(name).text("__stdout").contains("DOUBLE"), "{name}");
    }
}

#[test]
fn renamed_forth_and_back_at_once_it_runs_under_its_own_name() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    place.run("web", &(ALONE.to_string() + SLEEP));
    let web = place.module("web");
    web.wait_up(&place);
    for _ in 0..20 {
        std::fs::rename(place.root().join("web"), place.root().join("other")).unwrap();
        std::fs::rename(place.root().join("other"), place.root().join("web")).unwrap();
    }
    wait_for("one process under the old name", &place, || {
        web.is_supervised()
            && is_alive(web.pid())
            && !place.module("other").is_supervised()
            && pids_in(&place.root().join("web")).len() == 1
    });
    assert!(!(web.text("__stdout") + &place.module("other").text("__stdout")).contains("DOUBLE"));
}

#[test]
fn one_whose_old_name_cannot_be_looked_at_has_no_second_copy() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", &(ALONE.to_string() + SLEEP));
    let tree = place.reaped_tree();
    let pid = place.module("web").wait_up(&place);
    tree.kill();
    std::fs::rename(place.root().join("web"), place.root().join("api")).unwrap();
    // A link to itself: neither there nor gone. So it is for a moment when the root itself is being exchanged.
    symlink("web", place.root().join("web")).unwrap();
    let _tree = place.tree();
    let next = place.module("api").wait_up(&place);
    assert!(next != pid && !is_alive(pid));
    assert!(!place.module("api").text("__stdout").contains("DOUBLE"));
}

#[test]
fn two_directories_that_change_places_change_places() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    place.run("a", "echo one; exec sleep 1000");
    place.run("b", "echo two; exec sleep 1000");
    let (a, b) = (place.module("a"), place.module("b"));
    let (pid_a, pid_b) = (a.wait_up(&place), b.wait_up(&place));
    a.wait_text(&place, "__stdout", "one\n");
    b.wait_text(&place, "__stdout", "two\n");
    let root = place.root();
    std::fs::rename(root.join("a"), root.join(".x")).unwrap();
    std::fs::rename(root.join("b"), root.join("a")).unwrap();
    std::fs::rename(root.join(".x"), root.join("b")).unwrap();
    a.wait_text(&place, "__stdout", "one\ntwo\n");
    b.wait_text(&place, "__stdout", "two\none\n");
    assert!(!is_alive(pid_a) && !is_alive(pid_b));
}

#[test]
fn a_directory_deleted_and_made_again_is_started_anew() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let dir = place.root().join("web");
    let web = place.module("web");
    let mut pid = 0;
    let mut inodes = Vec::new();
    for round in 0..6 {
        if round > 0 {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        // Made again at once: the file system may well give it the inode that was just freed.
        script(&dir.join("run"), &format!("echo {round} >> ../../rounds; {ALONE}{SLEEP}"));
        inodes.push(std::fs::metadata(&dir).unwrap().ino());
        let rounds = || std::fs::read_to_string(place.path().join("rounds")).unwrap_or_default();
        wait_for(&format!("round {round}, inodes {inodes:?}"), &place, || rounds().ends_with(&format!("{round}\n")));
        let next = web.wait_new_pid(&place, pid);
        assert!(!is_alive(pid) || pid == 0, "the old one is gone");
        pid = next;
    }
    assert!(!web.text("__stdout").contains("DOUBLE"));
}

#[test]
fn a_directory_made_again_while_no_tree_lived_is_another_one() {
    let place = Place::new();
    place.conf(FAST);
    let make = |name: &str| script(&place.root().join(name).join("run"), SLEEP);
    ["web", "api"].into_iter().for_each(make);
    let (web, api) = (place.module("web"), place.module("api"));
    let tree = place.reaped_tree();
    let (pid, other) = (web.wait_up(&place), api.wait_up(&place));
    web.send("d");
    web.wait_state(&place, "down");
    tree.kill();
    assert!(!is_alive(pid) && is_alive(other));
    for name in ["web", "api"] {
        let dir = place.root().join(name);
        let inode = || std::fs::metadata(&dir).unwrap().ino();
        let old = inode();
        // The file system may well give it the inode that was just freed.
        for _ in 0..20 {
            std::fs::remove_dir_all(&dir).unwrap();
            make(name);
            if inode() == old {
                break;
            }
        }
    }
    let tree = place.tree();
    // What was wanted of the old one is not wanted of it, and what runs is not what it would run.
    web.wait_up(&place);
    api.wait_new_pid(&place, other);
    assert!(!is_alive(other));
    assert!(tree.stop().success());
}

#[test]
fn a_directory_that_is_replaced_while_its_old_process_ends_is_not_forgotten() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nkill_timeout : 0.3\n");
    let _tree = place.tree();
    let dir = place.root().join("web");
    script(&dir.join("run"), "trap '' TERM; echo ready; exec sleep 1000");
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "ready");
    let pid = web.wait_up(&place);
    for name in ["second", "third"] {
        std::fs::remove_dir_all(&dir).unwrap();
        wait_for("the stop", &place, || web.state_name() == "stopping");
        script(&dir.join("run"), &format!("echo {name}; exec sleep 1000"));
    }
    web.wait_new_pid(&place, pid);
    web.wait_text(&place, "__stdout", "third");
    assert_eq!(web.text("__stdout"), "ready\nthird\n");
}

#[test]
fn a_logger_is_not_started_again_in_a_directory_that_is_another_one_by_now() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\nkill_timeout : 60\n");
    let logger = format!("{ALONE}exec cat > /dev/null");
    let stubborn = "trap '' TERM; echo ready >&2; while :; do sleep 0.05; done";
    for name in ["web", "api"] {
        place.service(name, &[("run", stubborn), ("log/run", &logger)]);
    }
    let tree = place.tree();
    let [web, api, web_log, api_log] = ["web", "api", "web/log", "api/log"].map(|name| place.module(name));
    for module in [&web, &api] {
        module.wait_text(&place, "__stderr", "ready");
    }
    let (old, moved) = (web_log.wait_up(&place), api_log.wait_up(&place));
    wait_for("its mark", &place, || place.root().join("api/log/alone").exists());
    std::fs::rename(place.root().join("web"), place.path().join("gone")).expect("moved out");
    std::fs::rename(place.root().join("api"), place.root().join("web")).expect("renamed");
    for module in [&web, &api] {
        module.wait_state(&place, "stopping");
    }
    // What lies in its place now belongs to a service that still runs under its old name, with a logger of its own.
    signal(old, "KILL");
    web_log.wait_text(&place, "supervise.log.wf", "the directory was replaced");
    for module in [&web, &api] {
        module.send("k");
    }
    web_log.wait_new_pid(&place, old);
    assert!(!is_alive(moved));
    assert!(!web_log.text("__stdout").contains("DOUBLE"), "{}", place.story());
    web.wait_up(&place);
    web.send("k");
    drop(tree);
}

#[test]
fn a_link_outside_of_the_root_that_is_switched_is_followed_at_the_next_start() {
    followed_when_switched(&[]);
}

#[test]
fn so_it_is_with_settings_and_variables_in_the_directory() {
    followed_when_switched(&["supervise.conf", "env/RELEASE", "log/supervise.conf"]);
}

fn followed_when_switched(files: &[&str]) {
    let place = Place::new();
    place.conf(FAST);
    let release = |version: &str| place.path().join("releases").join(version);
    for version in ["v1", "v2", "v3"] {
        script(&release(version).join("run"), &format!("echo {version}; {SLEEP}"));
        for file in files {
            let path = release(version).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }
    let deploy = |version: &str| {
        symlink(release(version), place.path().join("next")).unwrap();
        std::fs::rename(place.path().join("next"), place.path().join("current")).unwrap();
    };
    deploy("v1");
    std::fs::create_dir_all(place.root()).unwrap();
    symlink("../current", place.root().join("site")).unwrap();
    let _tree = place.tree();
    let site = place.module("site");
    site.wait_text(&place, "__stdout", "v1\n");
    let first = site.wait_up(&place);
    deploy("v2");
    assert!(is_alive(first) && site.pid() == first, "what runs is left alone");
    site.send("t");
    site.wait_text(&place, "__stdout", "v1\nv2\n");
    let second = site.wait_new_pid(&place, first);
    // The old directory may be gone by then, too, and its process may end by itself.
    deploy("v3");
    std::fs::remove_dir_all(release("v2")).unwrap();
    signal(second, "KILL");
    site.wait_text(&place, "__stdout", "v1\nv2\nv3\n");
    site.wait_new_pid(&place, second);
    assert_eq!(site.text("__stdout"), "v1\nv2\nv3\n");
}

#[test]
fn a_link_that_was_switched_and_is_renamed_has_no_two_copies() {
    let place = Place::new();
    place.conf(FAST);
    let run = "trap 'sleep 0.2; exit 0' TERM; echo ready; sleep 1000 & while :; do wait $!; done";
    let alive = place.path().join("alive");
    // The directories are two, the service is one.
    let alone = format!("[ ! -e {0} ] || echo DOUBLE; : > {0}; trap 'rm {0}' EXIT\n", alive.display());
    for version in ["v1", "v2"] {
        script(&place.path().join(version).join("run"), &format!("{alone}{run}"));
    }
    symlink("v1", place.path().join("current")).unwrap();
    std::fs::create_dir_all(place.root()).unwrap();
    symlink("../current", place.root().join("a")).unwrap();
    let tree = place.tree();
    let old = place.module("a").wait_up(&place);
    place.module("a").wait_text(&place, "__stdout", "ready");
    std::fs::remove_file(place.path().join("current")).unwrap();
    symlink("v2", place.path().join("current")).unwrap();
    std::fs::rename(place.root().join("a"), place.root().join("b")).unwrap();
    place.module("b").wait_new_pid(&place, old);
    place.module("b").wait_text(&place, "__stdout", "ready");
    assert_eq!(place.module("b").text("__stdout"), "ready\n");
    assert!(!is_alive(old));
    assert!(tree.stop().success());
}
