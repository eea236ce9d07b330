//! The bytes of the control FIFO, whatever state they meet.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::time::Duration;

/// Waits in `finish` for the file `go`.
const SLOW_FINISH: &str = "echo finish; while [ ! -e go ]; do sleep 0.01; done";

fn up(place: &Place, run: &str) -> (Module, u32) {
    place.run("web", run);
    let web = place.module("web");
    let pid = web.wait_up(place);
    (web, pid)
}

#[test]
fn every_signal_byte_sends_its_signal_and_changes_nothing_else() {
    let place = Place::new();
    let _tree = place.tree();
    let (web, pid) = up(&place, TALKER);
    web.wait_text(&place, "__stdout", "ready");
    let bytes = [("t", "TERM"), ("i", "INT"), ("h", "HUP"), ("a", "ALRM"), ("q", "QUIT")];
    for (byte, name) in bytes.into_iter().chain([("1", "USR1"), ("2", "USR2"), ("w", "WINCH")]) {
        web.send(byte);
        web.wait_text(&place, "__stdout", &format!("{name}\n"));
        let said = format!("{name} sent to pid {pid}");
        wait_for("the log", &place, || web.log().contains(&said));
    }
    let expected = "ready\nTERM\nINT\nHUP\nALRM\nQUIT\nUSR1\nUSR2\nWINCH\n";
    assert_eq!(web.text("__stdout"), expected, "each once, in the order of the bytes");
    assert_eq!((web.pid(), web.state_name().as_str(), web.status()[13]), (pid, "up", b'u'));
}

#[test]
fn bytes_that_mean_nothing_change_nothing_however_many_come() {
    let place = Place::new();
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    let before = web.status();
    // `!` makes a debug build panic, for tests of what follows.
    let known = b"udoktihaq12wpcxsnr!";
    let unknown: Vec<u8> = (0..=255).filter(|byte| !known.contains(byte)).collect();
    let junk: Vec<u8> = unknown.iter().copied().cycle().take(60_000).collect();
    let mut options = std::fs::OpenOptions::new();
    let mut fifo = std::os::unix::fs::OpenOptionsExt::custom_flags(options.write(true), libc::O_NONBLOCK)
        .open(web.path("control"))
        .unwrap();
    std::io::Write::write_all(&mut fifo, &junk).unwrap();
    drop(fifo);
    // Behind the junk stands a byte that means something: when it is carried out, the junk has been read.
    web.send("\nu\r\n p\n");
    wait_for("the p behind the junk", &place, || is_stopped(pid) && web.status()[12] == 1);
    assert_eq!(web.pid(), pid);
    assert_eq!(web.status()[13..], before[13..]);
    let log = web.log();
    assert_eq!(log.lines().count(), 1, "nothing but the start: {log}");
}

#[test]
fn sixty_thousand_commands_at_once_are_all_carried_out_in_order() {
    let place = Place::new();
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send(&"pc".repeat(30_000));
    web.send("s");
    wait_for("the last byte", &place, || web.status()[14] == b'x');
    assert!(!is_stopped(pid) && is_alive(pid));
    assert_eq!((web.pid(), web.status()[12]), (pid, 0));
}

#[test]
fn k_starts_again_and_never_makes_two_copies() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n");
    let _tree = place.tree();
    let (web, mut pid) = up(&place, &(ALONE.to_string() + SLEEP));
    for round in 0..20 {
        web.send(if round % 2 == 0 { "k" } else { "kkuku" });
        pid = web.wait_new_pid(&place, pid);
    }
    assert!(web.state()["restarts"].as_u64() >= Some(20));
    assert_eq!(web.state()["last_exit"]["signal"], "KILL");
    assert!(!web.text("__stdout").contains("DOUBLE"), "{}", web.text("__stdout"));
    assert_eq!(web.status()[13], b'u');
}

#[test]
fn d_takes_it_down_for_good_and_u_brings_it_back() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send("d");
    web.wait_state(&place, "down");
    assert!(!is_alive(pid));
    assert_eq!((web.pid(), web.status()[13]), (0, b'd'));
    assert_eq!(web.state()["last_exit"]["signal"], "TERM");
    holds_for(Duration::from_millis(200), "it stays down", &place, || web.state_name() == "down");
    web.send("u");
    let again = web.wait_new_pid(&place, pid);
    assert!(is_alive(again));
    assert_eq!((web.status()[13], web.state()["want"].as_str()), (b'u', Some("up")));
}

#[test]
fn d_and_u_at_once_end_up_up() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, mut pid) = up(&place, &(ALONE.to_string() + SLEEP));
    for _ in 0..5 {
        web.send("du");
        pid = web.wait_new_pid(&place, pid);
    }
    web.send("ud");
    web.wait_state(&place, "down");
    web.send("dududud");
    web.send("u");
    web.wait_new_pid(&place, pid);
    assert!(!web.text("__stdout").contains("DOUBLE"));
}

#[test]
fn u_within_the_second_after_a_start_waits_for_its_time_and_is_not_lost() {
    let place = Place::new();
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send("d");
    web.wait_state(&place, "down");
    web.send("u");
    web.wait_state(&place, "backoff");
    assert!(web.state()["next_start"].is_string(), "{}", web.text("state.json"));
    assert_eq!(web.status()[13], b'u');
    web.wait_new_pid(&place, pid);
    assert!(web.state()["next_start"].is_null());
}

#[test]
fn u_while_it_is_stopping_starts_it_once_it_is_gone() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let run = "trap 'while [ ! -e go ]; do sleep 0.01; done; exit 0' TERM; echo ready
        sleep 1000 & while :; do wait $!; done";
    let (web, pid) = up(&place, &(ALONE.to_string() + run));
    web.wait_text(&place, "__stdout", "ready");
    web.send("d");
    web.wait_state(&place, "stopping");
    web.send("u");
    wait_for("u to be seen", &place, || web.status()[13] == b'u');
    assert_eq!((web.pid(), web.state_name().as_str()), (pid, "stopping"), "the stop is carried through");
    std::fs::write(place.root().join("web/go"), "").unwrap();
    web.wait_new_pid(&place, pid);
    assert!(!is_alive(pid));
    assert!(!web.text("__stdout").contains("DOUBLE"));
}

#[test]
fn commands_during_finish_are_not_lost() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nfinish_timeout : 0\n");
    let _tree = place.tree();
    place.service("web", &[("run", SLEEP), ("finish", SLOW_FINISH)]);
    let (web, go) = (place.module("web"), place.root().join("web/go"));
    let pid = web.wait_up(&place);

    // d during the finish of a crash: it stays down.
    web.send("k");
    web.wait_state(&place, "finishing");
    assert_eq!(web.pid(), 0);
    web.send("d");
    wait_for("d to be seen", &place, || web.status()[13] == b'd');
    assert_eq!(web.state_name(), "finishing", "finish is not cut short");
    std::fs::write(&go, "").unwrap();
    web.wait_state(&place, "down");

    // u during the finish of a stop: it comes up.
    web.send("u");
    let second = web.wait_new_pid(&place, pid);
    std::fs::remove_file(&go).unwrap();
    web.send("d");
    web.wait_state(&place, "finishing");
    web.send("u");
    wait_for("u to be seen", &place, || web.status()[13] == b'u');
    std::fs::write(&go, "").unwrap();
    let third = web.wait_new_pid(&place, second);

    // Signals during finish hit nobody, and x leaves when finish is through.
    std::fs::remove_file(&go).unwrap();
    web.send("d");
    web.wait_state(&place, "finishing");
    web.send("tkx");
    web.wait_text(&place, "supervise.log", "KILL not sent: nothing runs");
    assert!(web.is_supervised());
    std::fs::write(&go, "").unwrap();
    wait_for("the end of supervision", &place, || !web.is_supervised());
    assert!(!is_alive(third));
    assert_eq!(web.text("__stdout").matches("finish").count(), 3, "{}", web.text("__stdout"));
}

#[test]
fn commands_during_the_delay_are_answered_at_once() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 1000\n");
    let _tree = place.tree();
    place.run("web", "echo run; exit 3");
    let web = place.module("web");
    web.wait_state(&place, "backoff");
    assert_eq!(web.state()["last_exit"]["code"], 3);
    web.send("k");
    web.wait_text(&place, "supervise.log", "KILL not sent: nothing runs");
    web.send("s");
    wait_for("s to be seen", &place, || web.status()[14] == b'x');
    web.send("d");
    web.wait_state(&place, "down");
    assert!(web.state()["next_start"].is_null());
    web.send("o");
    web.wait_state(&place, "backoff");
    assert_eq!((web.status()[13], web.state()["want"].as_str()), (0, Some("once")));
    web.send("x");
    wait_for("the end of supervision", &place, || !web.is_supervised());
    assert_eq!(web.text("__stdout"), "run\n");
}

#[test]
fn p_stops_c_continues_and_the_status_says_so() {
    let place = Place::new();
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send("p");
    wait_for("a stopped process", &place, || is_stopped(pid));
    web.wait_state(&place, "paused");
    assert_eq!((web.status()[12], web.state()["paused"].as_bool()), (1, Some(true)));
    web.send("p");
    web.send("c");
    web.wait_state(&place, "up");
    wait_for("a process that goes on", &place, || !is_stopped(pid));
    assert_eq!((web.status()[12], web.pid()), (0, pid));
    // d ends a paused one: TERM alone would wait for the CONT.
    web.send("p");
    web.wait_state(&place, "paused");
    web.send("d");
    web.wait_state(&place, "down");
    assert_eq!(web.status()[12], 0);
    assert_eq!(web.state()["last_exit"]["signal"], "TERM", "CONT was sent, KILL was not needed");
}

#[test]
fn a_pause_ends_with_the_process() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send("p");
    web.wait_state(&place, "paused");
    web.send("k");
    let next = web.wait_new_pid(&place, pid);
    assert!(!is_stopped(next));
    assert_eq!((web.status()[12], web.state_name().as_str()), (0, "up"));
}

#[test]
fn o_runs_it_once() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", "echo run"), ("down", "")]);
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_state(&place, "down");
    assert_eq!(web.text("__stdout"), "", "down: not started");
    web.send("o");
    web.wait_text(&place, "__stdout", "run\n");
    wait_for("the exit", &place, || web.state()["last_exit"]["code"] == 0 && web.state_name() == "down");
    holds_for(Duration::from_millis(200), "no second run", &place, || web.text("__stdout") == "run\n");
}

#[test]
fn o_while_it_runs_means_no_restart() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send("o");
    wait_for("the 0 of once", &place, || web.status()[13] == 0);
    assert_eq!(web.pid(), pid);
    web.send("k");
    web.wait_state(&place, "down");
    holds_for(Duration::from_millis(200), "it stays down", &place, || web.pid() == 0);
}

#[test]
fn x_leaves_when_the_process_is_down_and_does_not_stop_it() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send("x");
    web.wait_text(&place, "supervise.log", "told to exit");
    holds_for(Duration::from_millis(100), "it runs on", &place, || is_alive(pid) && web.is_supervised());
    web.send("k");
    wait_for("the end of supervision", &place, || !web.is_supervised());
    assert!(!is_alive(pid));
    assert_eq!((web.pid(), web.state_name().as_str()), (0, "down"));
}

#[test]
fn dx_stops_and_leaves() {
    let place = Place::new();
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    web.send("dx");
    wait_for("the end of supervision", &place, || !web.is_supervised());
    assert!(!is_alive(pid));
}

/// A run process whose child, of the same group, ignores TERM; the child's pid is in `child`.
const WITH_CHILD: &str = "(trap '' TERM; exec sleep 1000) & echo $! > child.new; mv child.new child; exec sleep 1000";

fn child_of(place: &Place, old: u32) -> u32 {
    let path = place.root().join("web/child");
    let read = || std::fs::read_to_string(&path).unwrap_or_default().trim().parse().unwrap_or(0);
    wait_for("the child", place, || read() != 0 && read() != old && proc_status(read(), "Name") == "sleep");
    read()
}

#[test]
fn kill_mode_process_leaves_the_group_alone() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nkill_mode : process\n");
    let _tree = place.tree();
    let (web, _) = up(&place, WITH_CHILD);
    let child = child_of(&place, 0);
    web.send("k");
    let second = child_of(&place, child);
    web.send("d");
    web.wait_state(&place, "down");
    assert!(is_alive(child) && is_alive(second));
}

#[test]
fn kill_mode_mixed_kills_what_a_stop_leaves_and_what_is_left_before_a_start() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, WITH_CHILD);
    let child = child_of(&place, 0);
    web.send("t");
    web.wait_new_pid(&place, pid);
    let second = child_of(&place, child);
    assert!(!is_alive(child), "what was left was not killed before the start");
    web.send("d");
    web.wait_state(&place, "down");
    wait_for("the child that ignores TERM to be killed", &place, || !is_alive(second));
    assert_eq!(web.state()["last_exit"]["signal"], "TERM", "the run process itself got TERM alone");
}

#[test]
fn kill_mode_mixed_kills_the_whole_group_after_kill_timeout() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 0.2\n");
    let _tree = place.tree();
    let (web, pid) = up(&place, "trap '' TERM; sleep 1000 & echo $! > child.new; mv child.new child; exec sleep 1000");
    let child = child_of(&place, 0);
    wait_for("a process that ignores TERM", &place, || proc_status(pid, "Name") == "sleep");
    web.send("d");
    web.wait_state(&place, "stopping");
    web.wait_state(&place, "down");
    assert_eq!(web.state()["last_exit"]["signal"], "KILL");
    wait_for("the group to be gone", &place, || !is_alive(child) && !is_alive(pid));
    web.wait_text(&place, "supervise.log.wf", "KILL");
}

#[test]
fn kill_mode_group_signals_all_and_kills_the_rest_before_a_start() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nkill_mode : group\n");
    let _tree = place.tree();
    let (web, pid) = up(&place, WITH_CHILD);
    let child = child_of(&place, 0);
    // The run process ends by itself, not told by us: the child must still be gone before the next start.
    signal(pid, "KILL");
    web.wait_new_pid(&place, pid);
    assert!(!is_alive(child), "what was left was not killed before the start");
    let second = child_of(&place, child);
    web.send("w2");
    wait_for("USR2 to end the whole group", &place, || !is_alive(second));
    let third = child_of(&place, second);
    web.send("p");
    wait_for("the whole group to be stopped", &place, || is_stopped(third));
    web.send("cd");
    web.wait_state(&place, "down");
    wait_for("the group to be gone", &place, || !is_alive(third));
}

#[test]
fn stop_signal_is_what_d_sends() {
    let place = Place::new();
    place.conf("[global]\nstop_signal : USR1\n");
    let _tree = place.tree();
    let (web, _) = up(&place, "trap 'exit 9' USR1; trap '' TERM; echo ready; sleep 1000 & while :; do wait $!; done");
    web.wait_text(&place, "__stdout", "ready");
    web.send("d");
    web.wait_state(&place, "down");
    assert_eq!(web.state()["last_exit"]["code"], 9);
}

#[test]
fn a_deleted_fifo_is_made_anew_at_the_next_event() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    std::fs::remove_file(web.path("control")).unwrap();
    std::fs::remove_file(web.path("ok")).unwrap();
    signal(pid, "KILL");
    let next = web.wait_new_pid(&place, pid);
    wait_for("both FIFOs", &place, || web.path("control").exists() && web.path("ok").exists());
    web.send("k");
    web.wait_new_pid(&place, next);
    assert!(web.is_supervised());
}

#[test]
fn a_file_in_the_place_of_the_fifo_is_refused_and_never_read() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    std::fs::remove_file(web.path("control")).unwrap();
    std::fs::write(web.path("control"), "dddd").unwrap();
    signal(pid, "KILL");
    web.wait_text(&place, "supervise.log.wf", "[FATAL]");
    let third = {
        let second = web.wait_new_pid(&place, pid);
        signal(second, "KILL");
        web.wait_new_pid(&place, second)
    };
    assert_eq!(web.status()[13], b'u', "nothing of the file was taken for a command");
    assert_eq!(web.text("control"), "dddd");
    let fatal = web.text("supervise.log.wf").matches("is not a FIFO").count();
    assert_eq!(fatal, 1, "said once: {}", web.log());
    std::fs::remove_file(web.path("control")).unwrap();
    signal(third, "KILL");
    web.wait_new_pid(&place, third);
    wait_for("the FIFO", &place, || {
        std::fs::metadata(web.path("control"))
            .is_ok_and(|metadata| std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type()))
    });
    web.send("d");
    web.wait_state(&place, "down");
}

#[test]
fn a_link_in_the_place_of_the_fifo_is_not_followed() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let (web, pid) = up(&place, SLEEP);
    std::fs::write(place.path().join("elsewhere"), "d").unwrap();
    std::fs::remove_file(web.path("control")).unwrap();
    std::os::unix::fs::symlink(place.path().join("elsewhere"), web.path("control")).unwrap();
    signal(pid, "KILL");
    web.wait_text(&place, "supervise.log.wf", "is not a FIFO");
    web.wait_new_pid(&place, pid);
    assert_eq!(web.status()[13], b'u');
}

#[test]
fn a_logger_that_left_comes_back_with_hup_and_reads_what_has_waited() {
    let place = Place::new();
    place.conf(FAST);
    // It takes one line at a time, and is not sent away with one in its hands.
    let reader = "while read -r n; do echo $n >> ../../../lines; [ $n != 50 ] || exit 0; done";
    let writer = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; done; exec sleep 1000";
    place.service("talk", &[("run", writer), ("log/run", reader), ("log/down", "")]);
    let (talk, log) = (place.module("talk"), place.module("talk/log"));
    let tree = place.tree();
    let pid = talk.wait_up(&place);
    log.send("ox");
    place.own().wait_text(&place, "supervise.log.wf", "talk/log: logger left");
    assert!(!log.is_supervised());
    std::fs::remove_file(place.root().join("talk/log/down")).expect("removed");
    tree.signal("HUP");
    let lines = place.path().join("lines");
    wait_for("the rest", &place, || host::count(&lines, "\n") == 100);
    assert_eq!(host::numbered_lines(&lines), 100);
    wait_for("the logger's pid to be shown", &place, || talk.state()["log_pid"] == log.pid() && log.pid() != 0);
    assert_eq!(talk.pid(), pid);
    assert!(tree.stop().success());
}
