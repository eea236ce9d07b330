//! What a killed tree leaves behind when its service directories are not where they were by the time of the next one.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::*;
use common::*;
use std::time::Duration;

/// A service that ignores TERM, and says `DOUBLE` if an earlier copy of it is still there.
fn stubborn() -> String {
    format!("{ALONE}trap '' TERM; while :; do sleep 0.05; done")
}

/// Makes the service directory `name` elsewhere in the place.
fn aside(place: &Place, name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
    let path = place.path().join("aside").join(name);
    files.iter().for_each(|(file, text)| script(&path.join(file), text));
    path
}

#[test]
fn a_renamed_service_is_stopped_before_it_is_started_under_its_new_name() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nkill_timeout : 0.7\n");
    place.run("web", &stubborn());
    let (web, api) = (place.module("web"), place.module("api"));
    let killed = place.reaped_tree();
    let pid = web.wait_up(&place);
    wait_for("its mark", &place, || place.root().join("web/alone").exists());
    killed.kill();
    std::fs::rename(place.root().join("web"), place.root().join("api")).expect("renamed");
    let tree = place.reaped_tree();
    let next = api.wait_up(&place);
    assert!(!is_alive(pid) && next != pid);
    wait_for("the old name to be left", &place, || !web.is_supervised() && web.pid() == 0);
    assert!(!api.text("__stdout").contains("DOUBLE"), "{}", place.story());
    assert!(tree.stop().success());
}

#[test]
fn another_directory_under_the_name_gets_a_logger_of_its_own() {
    let place = Place::new();
    place.conf(FAST);
    let [(old, old_log), (new, new_log)] = ["old", "new"].map(|word| {
        let log = format!("exec cat >> {}/{word}", place.path().display());
        (format!("while :; do echo {word}; sleep 0.02; done"), log)
    });
    place.service("web", &[("run", &old), ("log/run", &old_log)]);
    let fresh = aside(&place, "web", &[("run", &new), ("log/run", &new_log)]);
    let log = place.module("web/log");
    let killed = place.reaped_tree();
    let pids = (place.module("web").wait_up(&place), log.wait_up(&place));
    wait_growth(&place, &place.path().join("old"));
    killed.kill();
    std::fs::rename(place.root().join("web"), place.path().join("gone")).expect("moved out");
    std::fs::rename(fresh, place.root().join("web")).expect("moved in");
    let tree = place.reaped_tree();
    wait_growth(&place, &place.path().join("new"));
    assert!(!is_alive(pids.0) && !is_alive(pids.1));
    assert!(!std::fs::read_to_string(place.path().join("old")).expect("old").contains("new"));
    assert!(tree.stop().success());
}

#[test]
fn a_process_that_nobody_wrote_down_but_itself_is_found() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    place.run("api", SLEEP);
    let (web, api) = (place.module("web"), place.module("api"));
    let pids: (u32, u32) = place.left_running([&web, &api]).into();
    // As if it had been killed just after the start.
    for module in [&web, &api] {
        std::fs::remove_file(module.path("state.json")).expect("removed");
    }
    std::fs::rename(place.root().join("web"), place.path().join("gone")).expect("moved out");
    std::fs::rename(place.root().join("api"), place.path().join("gone too")).expect("moved out");
    std::fs::rename(aside(&place, "api", &[("run", SLEEP)]), place.root().join("api")).expect("moved in");
    let tree = place.reaped_tree();
    wait_for("the one to end", &place, || !is_alive(pids.0) && web.pid() == 0 && !web.is_supervised());
    api.wait_new_pid(&place, pids.1);
    assert!(!is_alive(pids.1));
    assert!(tree.stop().success());
}

#[test]
fn what_was_wanted_of_another_directory_is_forgotten() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    place.run("api", SLEEP);
    let (web, api) = (place.module("web"), place.module("api"));
    let killed = place.reaped_tree();
    for module in [&web, &api] {
        module.wait_up(&place);
        module.send("d");
        module.wait_state(&place, "down");
    }
    killed.kill();
    std::fs::rename(place.root().join("web"), place.path().join("gone")).expect("moved out");
    std::fs::rename(aside(&place, "web", &[("run", SLEEP)]), place.root().join("web")).expect("moved in");
    let tree = place.reaped_tree();
    web.wait_up(&place);
    wait_for("the other to be supervised", &place, || api.is_supervised());
    assert_eq!((api.pid(), api.state_name().as_str()), (0, "down"));
    assert!(tree.stop().success());
}

#[test]
fn a_service_that_is_gone_is_not_shown_as_running() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let web = place.module("web");
    let [pid] = place.left_running([&web]);
    signal(pid, "KILL");
    wait_for("its end", &place, || !is_alive(pid));
    std::fs::rename(place.root().join("web"), place.path().join("gone")).expect("moved out");
    assert_eq!(web.pid(), pid);
    let tree = place.reaped_tree();
    wait_for("the truth", &place, || web.pid() == 0 && web.state()["pid"].is_null() && !web.is_supervised());
    assert!(tree.stop().success());
}

#[test]
fn whether_a_service_is_paused_is_seen_and_not_remembered() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    place.run("api", SLEEP);
    let (web, api) = (place.module("web"), place.module("api"));
    let killed = place.reaped_tree();
    let pids = (web.wait_up(&place), api.wait_up(&place));
    api.send("p");
    api.wait_state(&place, "paused");
    killed.kill();
    // As if it had been killed between the signal and the note of it.
    signal(pids.0, "STOP");
    signal(pids.1, "CONT");
    wait_for("both signals", &place, || is_stopped(pids.0) && !is_stopped(pids.1));
    let tree = place.reaped_tree();
    web.wait_state(&place, "paused");
    api.wait_state(&place, "up");
    assert_eq!((web.pid(), api.pid()), pids);
    assert!(tree.stop().success());
}

#[test]
fn a_directory_that_is_just_being_removed_shows_nothing_that_ran() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", SLEEP), ("log/run", "exec cat")]);
    let modules = ["web", "web/log"].map(|name| place.module(name));
    let tree = place.reaped_tree();
    let pids = modules.each_ref().map(|module| module.wait_up(&place));
    tree.kill();
    for pid in pids {
        signal(pid, "KILL");
        wait_for("the end", &place, || !is_alive(pid));
    }
    // `run` has gone, and the rest goes while the next tree looks on.
    std::fs::remove_file(place.root().join("web/run")).expect("run");
    let tree = place.reaped_tree();
    std::fs::remove_dir_all(place.root().join("web")).expect("the rest");
    wait_for("the truth", &place, || modules.iter().all(|module| module.pid() == 0 && module.state()["pid"].is_null()));
    assert!(tree.stop().success());
}

#[test]
fn what_is_left_of_a_group_whose_leader_ended_without_a_tree_is_killed_before_the_start() {
    for (mode, output, killed) in [
        ("group", "", true),
        ("mixed", "", true),
        ("process", "", false),
        ("mixed", "> /dev/null 2>&1", false),
        ("group", "> /dev/null 2>&1", false),
    ] {
        let place = Place::new();
        place.conf(&format!("{FAST}kill_mode : {mode}\n"));
        place.run("web", &format!("sleep 1000 {output} & echo $! >> ../../children; exec sleep 1000"));
        let web = place.module("web");
        let tree = place.reaped_tree();
        let pid = web.wait_up(&place);
        let children = || std::fs::read_to_string(place.path().join("children")).unwrap_or_default();
        wait_for("the child", &place, || children().lines().count() == 1);
        let child: u32 = children().trim().parse().expect("a pid");
        // Its first words were said before it was made a `sleep`.
        wait_for("both to be sleeping", &place, || {
            [pid, child]
                .iter()
                .all(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n"))
        });
        tree.kill();
        signal(pid, "KILL");
        wait_for("the leader's end", &place, || !is_alive(pid));
        assert!(is_alive(child));
        let tree = place.reaped_tree();
        let next = web.wait_new_pid(&place, pid);
        wait_for("another child", &place, || children().lines().count() == 2);
        if killed {
            wait_for("its end", &place, || !is_alive(child));
            web.wait_log(&place, "it is killed before the next start");
        } else {
            assert!(is_alive(child), "{mode} {output}")
        }
        // The lines of a start are written after it, in their order.
        wait_for("the start in the log", &place, || {
            web.text("supervise.log").contains(&format!("started, pid {next}\n"))
        });
        assert_eq!(web.text("supervise.log.wf").contains("it is killed before the next start"), killed);
        if mode == "process" {
            children().lines().for_each(|pid| signal(pid.parse().expect("a pid"), "KILL"));
        }
        assert!(tree.stop().success());
    }
}

/// A `run` that leaves a child behind in its process group. It does not start beside the child of an earlier one.
const LEAVES_A_CHILD: &str = "kill -0 $(cat child 2>/dev/null) 2>/dev/null && cat /proc/$(cat child)/stat >> blocked\n\
     sleep 1000 & echo $! > child.new; mv child.new child";

/// The pid that a service has written into a file of its directory.
fn pid_in(place: &Place, file: &str) -> u32 {
    let read = || std::fs::read_to_string(place.root().join("web").join(file)).unwrap_or_default().trim().parse().ok();
    wait_for(file, place, || read().is_some());
    read().unwrap()
}

#[test]
fn what_a_run_leaves_behind_is_told_once_and_killed_before_the_next_start() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", LEAVES_A_CHILD);
    let web = place.module("web");
    let tree = place.tree();
    wait_for("a few starts", &place, || web.text("supervise.log").matches("started, pid").count() > 4);
    let blocked = std::fs::read_to_string(place.root().join("web/blocked")).unwrap_or_default();
    assert_eq!(blocked, "", "{}", place.story());
    let trouble = web.text("supervise.log.wf");
    assert_eq!(trouble.matches("run must stay in the foreground").count(), 1, "{trouble}");
    assert!(trouble.contains("; it is killed before the next start"), "{trouble}");
    let child = pid_in(&place, "child");
    assert!(tree.stop().success());
    wait_for("the last child's end", &place, || !is_alive(child));
}

#[test]
fn with_kill_mode_process_what_a_run_leaves_behind_is_told_and_lives() {
    let place = Place::new();
    place.conf(&format!("{FAST}kill_mode : process\n"));
    place.run("web", &format!("{LEAVES_A_CHILD}; exec sleep 1000"));
    let web = place.module("web");
    let tree = place.tree();
    let pid = web.wait_up(&place);
    let child = pid_in(&place, "child");
    web.send("k");
    web.wait_new_pid(&place, pid);
    web.wait_text(&place, "supervise.log.wf", "kill_mode : process lets it live");
    assert!(is_alive(child));
    assert!(tree.stop().success());
    [child, pid_in(&place, "child")].iter().for_each(|pid| signal(*pid, "KILL"));
}

#[test]
fn finish_ends_the_rest_of_the_service_before_it_is_killed() {
    for mode in ["mixed", "group"] {
        let place = Place::new();
        place.conf(&format!("{FAST}kill_mode : {mode}\n"));
        let child =
            "trap 'echo saved > saved; exit 0' USR1; trap '' TERM; echo $$ > child; while :; do sleep 0.05; done";
        let finish = "kill -USR1 $(cat child); for i in $(seq 200); do [ -e saved ] && exit 0; sleep 0.05; done";
        place.service("web", &[("run", "sh ./rest & exec sleep 1000"), ("finish", finish)]);
        script(&place.root().join("web/rest"), child);
        let web = place.module("web");
        let tree = place.tree();
        web.wait_up(&place);
        pid_in(&place, "child");
        web.send("d");
        web.wait_state(&place, "down");
        assert!(place.root().join("web/saved").exists(), "{mode}: {}", place.story());
        assert!(tree.stop().success());
    }
}

#[test]
fn what_a_job_that_is_done_has_started_lives_until_its_next_run() {
    let place = Place::new();
    place.conf(&format!("{FAST}type : oneshot\n"));
    place.run("web", LEAVES_A_CHILD);
    let web = place.module("web");
    let tree = place.tree();
    web.wait_state(&place, "done");
    let child = pid_in(&place, "child");
    holds_for(Duration::from_millis(300), "the child", &place, || is_alive(child));
    web.send("u");
    wait_for("the next run's child", &place, || pid_in(&place, "child") != child);
    assert!(!is_alive(child));
    assert!(tree.stop().success());
    signal(pid_in(&place, "child"), "KILL");
}

#[test]
fn what_ends_with_its_run_is_no_leftover() {
    let place = Place::new();
    place.conf(FAST);
    let child =
        "trap 'sleep 0.02; echo saved > ../../saved; exit 0' TERM; echo > ../../ready; while :; do sleep 0.01; done";
    place.service(
        "web",
        &[("run", "sh ./child & child=$!; trap 'kill $child; exit 7' USR1; while :; do sleep 0.02; done")],
    );
    script(&place.root().join("web/child"), child);
    let web = place.module("web");
    let tree = place.reaped_tree();
    let pid = web.wait_up(&place);
    wait_for("the child", &place, || place.path().join("ready").exists());
    web.send("1");
    web.wait_new_pid(&place, pid);
    assert!(place.path().join("saved").exists(), "{}", place.story());
    assert!(!web.text("supervise.log.wf").contains("left processes of its group"), "{}", place.story());
    assert!(tree.stop().success());
}

/// Some PID 1 reap once a second, and some never: what they leave is no process.
#[test]
fn what_has_ended_and_was_not_reaped_is_not_adopted() {
    let place = Place::new();
    place.run("web", SLEEP);
    place.conf("[web]\nshutdown_on : exit\n");
    let web = place.module("web");
    let ended = |pid: u32| {
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        wait_for("its end", &place, || stat().rsplit_once(')').unwrap().1.starts_with(" Z"));
    };
    let killed = place.unreaped_tree();
    let first = web.wait_up(&place);
    killed.kill();
    signal(first, "KILL");
    ended(first);
    let status = said_by(&place.svctl(&["status", "web"]));
    assert!(status.contains(" dead ") && !status.contains("orphaned"), "{status}");
    // It ended while there was no tree, so it does not end this one.
    let next = place.reaped_tree();
    let second = web.wait_new_pid(&place, first);
    web.wait_text(&place, "supervise.log.wf", &format!("pid {first} ended while there was no supervisor"));
    assert!(!web.log().contains("adopted"), "{}", place.story());
    assert!(next.stop().success());
    // One that was stopped in good order, by a tree that it was no child of, is not the next tree's to tell of.
    let other = place.unreaped_tree();
    let third = web.wait_new_pid(&place, second);
    other.kill();
    let next = place.reaped_tree();
    web.wait_log(&place, &format!("adopted: pid {third}"));
    assert!(next.stop().success());
    ended(third);
    let warnings = || web.path("supervise.log.wf");
    let before = std::fs::read_to_string(warnings()).unwrap();
    let last = place.reaped_tree();
    web.wait_new_pid(&place, third);
    assert_eq!(web.log().matches("adopted").count(), 1, "{}", place.story());
    assert_eq!(std::fs::read_to_string(warnings()).unwrap(), before, "{}", place.story());
    assert!(last.stop().success());
}
