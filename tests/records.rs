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
