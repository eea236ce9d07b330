//! The record of a process in `lock`: what agrees with it is adopted, and nothing else is.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;

/// Kills a tree, changes word number `word` of the record of its service, and starts another tree; returns whether
/// the service was adopted.
fn adopts_after_change(place: &Place, word: usize, value: &str) -> bool {
    place.conf(FAST);
    place.run("web", SLEEP);
    let web = place.module("web");
    let killed = place.reaped_tree();
    let pid = web.wait_up(place);
    killed.kill();
    let record = web.text("lock");
    let words: Vec<&str> = record.split_whitespace().collect();
    assert_eq!((words[0], words[1].parse()), ("run", Ok(pid)));
    let changed = words.iter().enumerate().map(|(at, old)| if at == word { value } else { old });
    let changed = changed.collect::<Vec<_>>().join(" ");
    std::fs::write(web.path("lock"), format!("{changed:<159}\n")).expect("record");
    let tree = place.reaped_tree();
    wait_for("the new tree's word", place, || {
        let state = web.state();
        state["supervisor_pid"] == tree.pid() && !state["pid"].is_null()
    });
    let adopted = web.pid() == pid;
    if !adopted {
        assert!(is_alive(pid), "what is not ours is left alone");
        signal(pid, "KILL");
    }
    assert!(tree.stop().success());
    adopted
}

/// Has a service run, kills the tree, has `change` done to the status directory, and starts another tree by `command`: whether
/// the service was adopted, and no second copy started.
fn survives(change: impl FnOnce(&Module), command: std::process::Command) -> bool {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", &format!("echo x >> ../../ran; {SLEEP}"));
    let web = place.module("web");
    let killed = place.reaped_tree();
    let pid = web.wait_up(&place);
    wait_for("the record to be everywhere", &place, || web.state()["memory"]["process"].is_string());
    killed.kill();
    change(&web);
    let _tree = place.reaped_tree_as(command);
    wait_for("the new tree", &place, || web.is_supervised() && (is_alive(web.pid()) || web.pid() != pid));
    holds_for(std::time::Duration::from_millis(300), "one copy", &place, || is_alive(pid));
    let ran = std::fs::read_to_string(place.path().join("ran")).unwrap();
    let adopted = ran.lines().count() == 1 && web.pid() == pid;
    signal(pid, "KILL");
    adopted
}

#[test]
fn a_lock_file_that_was_emptied_starts_no_second_copy() {
    let empty = |web: &Module| std::fs::write(web.path("lock"), "").expect("emptied");
    assert!(survives(empty, tree_command()));
}

#[test]
fn a_record_for_which_there_was_no_room_is_found_in_the_link() {
    let move_record = |web: &Module| {
        let record = web.state()["memory"]["process"].as_str().expect("a record").to_string();
        std::fs::write(web.path("lock"), "").expect("emptied");
        std::fs::remove_file(web.path("state.json")).expect("removed");
        std::os::unix::fs::symlink(record, web.path("record")).expect("link");
    };
    assert!(survives(move_record, tree_command()));
}

#[test]
fn a_tree_in_another_time_namespace_adopts_what_runs() {
    let shifted = ["--user", "--map-root-user", "--time", "--boottime", "100000", "--monotonic", "100000"];
    let unshare = || {
        let mut command = std::process::Command::new("unshare");
        command.args(shifted);
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        return common::host::skipped("no time namespace is to be had");
    }
    // By the times alone, as on a kernel that does not number processes.
    let forget_number = |web: &Module| {
        let record = web.text("lock");
        let words: Vec<&str> = record.split_whitespace().collect();
        std::fs::write(web.path("lock"), format!("{:<159}\n", words[..7].join(" "))).expect("record");
    };
    let in_it = || {
        let mut command = unshare();
        command.arg(env!("CARGO_BIN_EXE_supervise-tree"));
        command
    };
    assert!(survives(forget_number, in_it()));
    assert!(survives(|_| (), in_it()));
}

#[test]
fn room_for_the_record_is_made_with_the_lock() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("down", "")]);
    let tree = place.tree();
    let web = place.module("web");
    web.wait_state(&place, "down");
    let lock = std::fs::metadata(web.path("lock")).expect("lock");
    assert!(lock.len() > 0, "nothing was started yet");
    assert!(std::os::unix::fs::MetadataExt::blocks(&lock) > 0);
    assert!(tree.stop().success());
}

#[test]
fn a_record_that_agrees_is_adopted() {
    // The same change that changes nothing: the tests below fail for the right reason.
    assert!(adopts_after_change(&Place::new(), 0, "run"));
}

#[test]
fn a_record_of_another_boot_is_not_adopted() {
    assert!(!adopts_after_change(&Place::new(), 5, "00000000-0000-4000-8000-000000000000"));
}

#[test]
fn a_record_of_another_lock_file_is_not_adopted() {
    assert!(!adopts_after_change(&Place::new(), 4, "1"));
}

#[test]
fn a_process_that_got_the_number_later_is_not_adopted() {
    let place = Place::new();
    let mut sleep = std::process::Command::new("sleep");
    sleep.arg("1000");
    let stranger = place.start(sleep);
    // Start times are kept in ticks of 10 ms: what was started in the same tick cannot be told apart, and a number is
    // not given out again so soon.
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!adopts_after_change(&place, 1, &format!("{:010}", stranger.pid())));
    assert!(is_alive(stranger.pid()), "it is none of ours");
}

#[test]
fn a_copied_status_directory_adopts_nothing() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let killed = place.reaped_tree();
    let pid = place.module("web").wait_up(&place);
    killed.kill();
    let copy = place.module("copy");
    std::fs::create_dir(copy.dir()).expect("copy");
    for entry in ["lock", "state.json", "status"] {
        std::fs::copy(place.module("web").path(entry), copy.path(entry)).expect("copied");
    }
    place.run("copy", SLEEP);
    let tree = place.reaped_tree();
    let other = copy.wait_new_pid(&place, pid);
    assert_eq!(place.module("web").pid(), pid);
    assert!(other != pid && tree.stop().success());
}
