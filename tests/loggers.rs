//! Loggers that are missing, and what becomes of what their services write.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::path::Path;

/// Writes long numbered lines without end, and the last number that it could write into the file `n`.
const WRITER: &str = "n=0; while :; do n=$((n + 1)); printf '%5000d\\n' $n; echo $n > ../../n; sleep 0.005; done";

/// A logger that keeps what it reads.
const LOGGER: &str = "exec cat >> ../../../got";

fn written(place: &Place) -> u64 {
    std::fs::read_to_string(place.path().join("n")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Waits until the service has written much more than a pipe holds.
fn wait_written(place: &Place) {
    let before = written(place);
    wait_for("it to write more than a pipe holds", place, || written(place) > before + 40);
}

/// Waits until that is where it writes. A shell redirects its own output for as long as an `echo` takes.
fn wait_output(place: &Place, pid: u32, path: &Path) {
    let leads_there = || std::fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|output| output == path);
    wait_for(&format!("{pid} to write to {}", path.display()), place, leads_there);
}

/// The numbers in the files, in the order of the lines.
fn numbers(files: &[&Path]) -> Vec<u64> {
    let text = |file: &&Path| std::fs::read_to_string(file).unwrap_or_default();
    files.iter().map(text).collect::<String>().lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// A service that writes, `web`, with its logger.
fn writer_and_logger() -> (Place, Module, Module) {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", WRITER), ("log/run", LOGGER)]);
    let (web, log) = (place.module("web"), place.module("web/log"));
    (place, web, log)
}

#[test]
fn a_logger_that_cannot_be_started_gives_way_to_stdout_and_no_line_is_lost() {
    let (place, web, log) = writer_and_logger();
    let tree = place.tree();
    let (pid, logger) = (web.wait_up(&place), log.wait_up(&place));
    std::fs::remove_dir_all(place.root().join("web/log")).unwrap();
    signal(logger, "TERM");
    wait_written(&place);
    assert_eq!(web.pid(), pid, "it was not left alone");
    web.wait_text(&place, "supervise.log.wf", "the pipe to it is full: what it writes goes to __stdout");
    wait_for("status to say so", &place, || web.state()["reason"].to_string().contains("__stdout"));
    // The next process writes there by itself.
    web.send("t");
    let next = web.wait_new_pid(&place, pid);
    web.wait_text(&place, "supervise.log.wf", "until a start with a logger");
    wait_written(&place);
    wait_output(&place, next, &web.path("__stdout"));
    // Put back, it is there for the next process.
    std::fs::create_dir(place.root().join("web/log")).unwrap();
    script(&place.root().join("web/log/run"), LOGGER);
    log.wait_new_pid(&place, logger);
    web.send("t");
    web.wait_new_pid(&place, next);
    let size = || std::fs::metadata(place.path().join("got")).map_or(0, |file| file.len());
    let before = size();
    wait_for("the logger to read", &place, || size() > before);
    assert!(tree.stop().success());
    let all = numbers(&[&place.path().join("got"), &web.path("__stdout")]);
    let first = all.iter().take_while(|number| **number <= 40).count();
    assert!(first >= 40, "{all:?}");
    let mut sorted = all.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let highest = *sorted.last().unwrap();
    // Three processes have counted from 1, so no number up to the first one's last is missing.
    assert!((1..highest).all(|number| sorted.binary_search(&number).is_ok()), "{all:?}");
}

#[test]
fn a_live_logger_without_its_run_is_kept_over_an_upgrade_and_a_kill() {
    for kill in [false, true] {
        let place = Place::new();
        place.conf(FAST);
        place.service("web", &[("run", "while :; do echo line; sleep 0.02; done"), ("log/run", LOGGER)]);
        let (web, log) = (place.module("web"), place.module("web/log"));
        let tree = place.tree();
        let (pid, logger) = (web.wait_up(&place), log.wait_up(&place));
        std::fs::remove_file(place.root().join("web/log/run")).unwrap();
        let tree = if kill {
            tree.kill();
            place.tree()
        } else {
            tree.signal("USR2");
            tree
        };
        let begun = || host::count(&place.own().path("supervise.log"), " supervising ");
        wait_for("the next program", &place, || begun() == 2);
        wait_for("it to be supervised", &place, || log.is_supervised() && web.is_supervised());
        assert_eq!((web.pid(), log.pid()), (pid, logger));
        assert!(tree.stop().success());
        assert!(!is_alive(logger) && !is_alive(pid), "left running");
    }
}

#[test]
fn a_logger_that_is_no_program_is_told_and_comes_with_chmod() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", "while :; do echo line; sleep 0.05; done")]);
    place.service("dead", &[("run", SLEEP)]);
    place.service("empty", &[("run", SLEEP)]);
    for name in ["web", "dead", "empty"] {
        std::fs::create_dir(place.root().join(name).join("log")).unwrap();
    }
    std::fs::write(place.root().join("web/log/run"), format!("#!/bin/sh\n{LOGGER}\n")).unwrap();
    std::os::unix::fs::symlink("/no/such/logger", place.root().join("dead/log/run")).unwrap();
    let tree = place.tree();
    place.module("web").wait_up(&place);
    place.wait_told("web: log/run is not executable");
    place.wait_told("dead: log/run is a link that leads nowhere");
    assert!(!place.own().log().contains("empty:"), "an empty log directory is no logger, and no fault");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.root().join("web/log/run"), mode).unwrap();
    place.module("web/log").wait_up(&place);
    let got = place.path().join("got");
    wait_for("a line in the logger's hands", &place, || std::fs::metadata(&got).is_ok_and(|file| file.len() > 0));
    assert!(tree.stop().success());
}

#[test]
fn a_logger_whose_directory_is_gone_goes_with_a_rescan_and_a_restart_and_no_line_is_lost() {
    let place = Place::new();
    place.conf(FAST);
    let writer = "n=$(cat ../../n 2> /dev/null || echo 0); while :; do n=$((n + 1)); echo $n; echo $n > ../../n; sleep 0.02; done";
    place.service("web", &[("run", writer), ("log/run", LOGGER)]);
    let (web, log) = (place.module("web"), place.module("web/log"));
    let tree = place.tree();
    let (pid, logger) = (web.wait_up(&place), log.wait_up(&place));
    let got = place.path().join("got");
    wait_for("the logger to read", &place, || std::fs::metadata(&got).is_ok_and(|file| file.len() > 0));
    std::fs::remove_dir_all(place.root().join("web/log")).unwrap();
    signal(logger, "KILL");
    log.wait_text(&place, "supervise.log.wf", "cannot start");
    let table = || said_by(&place.svctl(&["status"]));
    assert!(table().contains("web/log  backoff"), "it is still there, for what the service writes");
    tree.signal("HUP");
    place.wait_told("web: its log/run is gone");
    web.send("t");
    let next = web.wait_new_pid(&place, pid);
    wait_for("the logger to leave", &place, || !log.is_supervised());
    wait_output(&place, next, &web.path("__stdout"));
    let row = table().lines().find(|line| line.contains("web/log")).map(str::to_string).unwrap_or_default();
    assert!(row.contains("removed"), "as any service that was removed: {}", table());
    wait_for("status to be plain", &place, || web.state()["reason"].is_null() && web.state()["log_pid"].is_null());
    // Put back, it is there again.
    std::fs::create_dir(place.root().join("web/log")).unwrap();
    script(&place.root().join("web/log/run"), LOGGER);
    tree.signal("HUP");
    log.wait_new_pid(&place, logger);
    web.wait_new_pid(&place, next);
    assert!(tree.stop().success());
    let mut all = numbers(&[&got, &web.path("__stdout")]);
    all.sort_unstable();
    all.dedup();
    let highest = *all.last().unwrap();
    assert_eq!(all.len() as u64, highest, "{all:?}");
}

#[test]
fn a_logger_that_says_at_once_that_it_cannot_run_is_none() {
    for code in [126, 127] {
        let place = Place::new();
        place.conf(FAST);
        place.service("web", &[("run", WRITER), ("log/run", LOGGER)]);
        let (web, log) = (place.module("web"), place.module("web/log"));
        let tree = place.tree();
        let (pid, logger) = (web.wait_up(&place), log.wait_up(&place));
        script(&place.root().join("web/log/run"), &format!("exit {code}"));
        signal(logger, "KILL");
        wait_written(&place);
        wait_for("status to say so", &place, || web.state()["reason"].to_string().contains("__stdout"));
        wait_written(&place);
        let told = web.text("supervise.log").matches("its logger is back").count();
        assert_eq!(told, 0, "each try to start it was taken for its return: {}", web.log());
        script(&place.root().join("web/log/run"), LOGGER);
        web.wait_text(&place, "supervise.log", "its logger is back");
        wait_for("status to be plain", &place, || web.state()["reason"].is_null());
        assert_eq!(web.pid(), pid);
        assert!(tree.stop().success());
    }
}

/// Nobody has asked for a start: a logger that comes, or comes back, is no command.
#[test]
fn a_service_that_was_stopped_stays_down_when_it_gets_a_logger() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    web.send("d");
    web.wait_state(&place, "down");
    script(&place.root().join("web/log/run"), LOGGER);
    tree.signal("HUP");
    place.module("web/log").wait_up(&place);
    wait_for("the service to be supervised again", &place, || web.is_supervised() && web.state()["want"] == "down");
    assert_eq!(web.pid(), 0);
    assert!(!web.text("supervise.log").contains("there is a down file"), "{}", web.text("supervise.log"));
    web.send("u");
    web.wait_up(&place);
    assert!(tree.stop().success());
}

#[test]
fn a_service_that_has_got_a_logger_while_no_tree_lived_begins_anew_with_it() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", WRITER);
    let web = place.module("web");
    let tree = place.reaped_tree();
    let pid = web.wait_up(&place);
    wait_for("state.json", &place, || web.state()["memory"]["into_files"] == true);
    tree.kill();
    script(&place.root().join("web/log/run"), LOGGER);
    let tree = place.tree();
    let next = web.wait_new_pid(&place, pid);
    wait_for("the logger to read", &place, || place.path().join("got").exists());
    assert!(!is_alive(pid));
    wait_output(&place, next, &place.module("web/log").path("stdin"));
    place.own().wait_text(&place, "supervise.log", "web: has a log/run now");
    assert!(tree.stop().success());
}

#[test]
fn a_logger_of_which_nothing_was_written_down_is_missed_by_its_service_all_the_same() {
    let (place, web, log) = writer_and_logger();
    let tree = place.tree();
    let (pid, logger) = (web.wait_up(&place), log.wait_up(&place));
    wait_output(&place, pid, &log.path("stdin"));
    // As if the tree had been killed before it had told of the logger's start, which dies as well; and the directory cannot
    // be looked into just now.
    let run = place.root().join("web/run");
    std::fs::rename(&run, place.path().join("run")).unwrap();
    tree.kill();
    signal(logger, "KILL");
    wait_for("the logger to be gone", &place, || !is_alive(logger));
    for file in ["state.json", "lock"] {
        std::fs::remove_file(log.path(file)).unwrap();
    }
    let before = written(&place);
    let tree = place.tree();
    place.own().wait_text(
        &place,
        "supervise.log",
        "web: runs on from an earlier tree, and its directory is not complete",
    );
    log.wait_up(&place);
    std::fs::rename(place.path().join("run"), &run).unwrap();
    let got = place.path().join("got");
    wait_for("its lines to be read", &place, || numbers(&[&got]).last().is_some_and(|last| *last > before));
    assert_eq!(web.pid(), pid, "{}", place.story());
    assert!(tree.stop().success());
}
