//! What a killed supervisor leaves behind, and the next one goes on with: never lost, and never a second copy.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::*;
use common::*;
use std::path::Path;
use std::time::Duration;

/// Waits until the exit of a process that was not our child is known; with code `code` where the kernel tells.
fn wait_exit(place: &Place, module: &Module, code: i64) {
    wait_for("the exit to be seen", place, || !module.state()["last_exit"].is_null());
    let exit = module.state()["last_exit"].clone();
    if kernel_is(6, 15) {
        assert_eq!(exit["code"], code, "{exit}\n{}", place.story())
    } else {
        assert!(exit["code"].is_null() && exit["signal"].is_null(), "{exit}")
    }
}

#[test]
fn a_service_keeps_its_pid_and_its_exit_is_seen() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", HOLD);
    let web = place.module("web");
    let [pid] = place.left_running([&web]);
    assert!(is_alive(pid) && !web.is_supervised());
    let tree = place.reaped_tree();
    wait_for("the new tree's word", &place, || web.state()["supervisor_pid"] == tree.pid());
    assert_eq!(web.pid(), pid);
    web.wait_text(&place, "supervise.log", &format!("adopted: pid {pid}"));
    signal(pid, "USR1");
    let next = web.wait_new_pid(&place, pid);
    wait_exit(&place, &web, 7);
    assert!(!is_alive(pid));
    // What was adopted ends like any other when it is told to.
    assert!(tree.stop().success());
    assert!(!is_alive(next));
}

#[test]
fn an_adopted_service_that_is_told_to_stop_tells_finish_how_it_ended() {
    if !kernel_is(6, 15) {
        return skipped("the kernel does not tell how a stranger ended");
    }
    let place = Place::new();
    let run = "trap 'exit 7' TERM; while :; do sleep 0.02; done";
    place.service("web", &[("run", run), ("finish", "echo $1 $2 >> ../../ends")]);
    let ends = place.path().join("ends");
    let web = place.module("web");
    let mut tree = place.reaped_tree();
    // It was lost in half the rounds.
    for round in 1..=6 {
        web.wait_up(&place);
        web.wait_state(&place, "up");
        tree.kill();
        tree = place.reaped_tree();
        wait_for("it to be adopted", &place, || web.is_supervised() && web.state()["supervisor_pid"] == tree.pid());
        web.send("d");
        wait_for("finish", &place, || count(&ends, " ") == round);
        web.wait_state(&place, "down");
        web.send("u");
    }
    assert_eq!(std::fs::read_to_string(&ends).unwrap(), "7 0\n".repeat(6));
    assert!(tree.stop().success());
}

#[test]
fn an_end_while_no_tree_lived_is_told_once() {
    let place = Place::new();
    let alarm = place.path().join("alarm");
    script(&alarm, "echo alarm >> alarms");
    let keys = "restart_delay : 0.05\nalarm_interval : 60\nmax_tries : 2";
    place.conf(&format!("[global]\n{keys}\nalarm_command : {}\n", alarm.display()));
    place.service("web", &[("run", HOLD), ("finish", "echo $1 $2 >> ../../ends")]);
    let (ends, alarms) = (place.path().join("ends"), place.path().join("alarms"));
    let web = place.module("web");
    let mut tree = place.reaped_tree();
    for round in 1..=2 {
        let pid = web.wait_up(&place);
        tree.kill();
        signal(pid, "KILL");
        wait_for("its end", &place, || !Path::new(&format!("/proc/{pid}")).exists());
        tree = place.reaped_tree();
        wait_for("finish", &place, || count(&ends, "-1 0") == round);
        web.wait_new_pid(&place, pid);
        wait_for("the count", &place, || web.state()["restarts"] == round);
        web.wait_text(
            &place,
            "supervise.log.wf",
            &format!("pid {pid} ended while there was no supervisor: exit status unknown"),
        );
        // It is the next one's only if it happens again.
        tree.kill();
        tree = place.reaped_tree();
        wait_for("the new tree's word", &place, || web.state()["supervisor_pid"] == tree.pid());
    }
    wait_for("an alarm", &place, || count(&alarms, "alarm") == 1);
    // The third end is one too many.
    let pid = web.pid();
    tree.kill();
    signal(pid, "KILL");
    wait_for("its end", &place, || !Path::new(&format!("/proc/{pid}")).exists());
    let tree = place.reaped_tree();
    web.wait_state(&place, "failed");
    wait_for("the last alarm", &place, || count(&alarms, "alarm") == 2);
    assert_eq!(std::fs::read_to_string(&ends).unwrap(), "-1 0\n".repeat(3));
    assert!(tree.stop().success());
}

#[test]
fn an_adopted_service_takes_commands_and_stops_with_the_tree() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    place.run("api", SLEEP);
    let (web, api) = (place.module("web"), place.module("api"));
    let killed = place.reaped_tree();
    let (pid, other) = (web.wait_up(&place), api.wait_up(&place));
    killed.kill();
    let tree = place.reaped_tree();
    wait_for("both to be supervised", &place, || web.is_supervised() && api.is_supervised());
    web.send("k");
    let next = web.wait_new_pid(&place, pid);
    assert_eq!(api.pid(), other);
    assert!(tree.stop().success());
    assert!(!is_alive(next) && !is_alive(other));
}

#[test]
fn a_logger_is_adopted_and_no_line_is_lost_or_doubled() {
    let place = Place::new();
    place.service("talk", &[("run", NUMBERS), ("log/run", "exec cat >> ../../../lines")]);
    let (talk, log) = (place.module("talk"), place.module("talk/log"));
    let lines = place.path().join("lines");
    let mut tree = place.reaped_tree();
    let pids = (talk.wait_up(&place), log.wait_up(&place));
    for _ in 0..8 {
        wait_growth(&place, &lines);
        tree.kill();
        wait_growth(&place, &lines);
        tree = place.reaped_tree();
        wait_for("the new tree to have both", &place, || {
            [&talk, &log].iter().all(|module| module.state()["supervisor_pid"] == tree.pid())
        });
    }
    wait_growth(&place, &lines);
    assert_eq!((talk.pid(), log.pid()), pids);
    wait_for("the service to know its logger", &place, || talk.state()["log_pid"] == pids.1);
    assert!(tree.stop().success());
    assert!(!is_alive(pids.0) && !is_alive(pids.1));
    assert!(numbered_lines(&lines) > 100);
}

#[test]
fn a_logger_that_is_restarted_after_adoption_reads_the_same_pipe() {
    let place = Place::new();
    place.conf(FAST);
    // It takes one line at a time, and ends by itself after each tenth: no signal catches it with a line in its hands.
    let reader = "while read -r n; do echo $n >> ../../../lines; [ $((n % 10)) != 0 ] || exit 0; done";
    let writer = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done";
    place.service("talk", &[("run", writer), ("log/run", reader)]);
    let (talk, log) = (place.module("talk"), place.module("talk/log"));
    let lines = place.path().join("lines");
    let killed = place.reaped_tree();
    let (writing, reading) = (talk.wait_up(&place), log.wait_up(&place));
    wait_growth(&place, &lines);
    killed.kill();
    let tree = place.reaped_tree();
    wait_for("the logger to be restarted", &place, || {
        log.state()["supervisor_pid"] == tree.pid() && log.pid() != reading
    });
    let restarts = || log.state()["restarts"].as_u64().unwrap_or(0);
    let before = restarts();
    wait_for("more restarts", &place, || restarts() > before + 3);
    assert_eq!(talk.pid(), writing);
    assert!(tree.stop().success());
    numbered_lines(&lines);
}

#[test]
fn a_finish_that_was_running_is_waited_for_and_not_run_again() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nfinish_timeout : 0\n");
    let finish = "echo x >> ../../finished; while [ ! -e ../../go ]; do sleep 0.02; done";
    place.service("web", &[("run", SLEEP), ("finish", finish)]);
    let web = place.module("web");
    let killed = place.reaped_tree();
    let pid = web.wait_up(&place);
    signal(pid, "KILL");
    web.wait_state(&place, "finishing");
    wait_for("finish to run", &place, || place.path().join("finished").exists());
    killed.kill();
    let tree = place.reaped_tree();
    web.wait_text(&place, "supervise.log", "adopted: finish, pid ");
    assert_eq!(web.state_name(), "finishing");
    assert_eq!(web.pid(), 0);
    std::fs::write(place.path().join("go"), "").expect("go");
    web.wait_new_pid(&place, pid);
    assert_eq!(count(&place.path().join("finished"), "x"), 1);
    assert!(tree.stop().success());
}

#[test]
fn a_restart_command_that_was_running_is_waited_for_and_not_run_again() {
    let place = Place::new();
    let mark = place.path().join("hooked");
    let hook = place.path().join("hook");
    script(&hook, "echo $1 >> hooked; while [ ! -e go ]; do sleep 0.02; done");
    let web = place.module("web");
    let arguments = ["-f", "sleep 1000", "-r", "./hook", "--foreground"];
    let start = || {
        let mut command = supervise_command();
        command.arg("-p").arg(web.dir()).args(arguments);
        place.reaped(command)
    };
    let killed = start();
    let pid = web.wait_up(&place);
    signal(pid, "KILL");
    wait_for("the restart command to run", &place, || mark.exists());
    web.wait_state(&place, "starting");
    killed.kill();
    let next = start();
    web.wait_text(&place, "supervise.log", "adopted: the restart command");
    std::fs::write(place.path().join("go"), "").expect("go");
    web.wait_new_pid(&place, pid);
    assert_eq!(std::fs::read_to_string(&mark).expect("hooked"), "1\n");
    web.send("dx");
    assert!(next.stop().success());
}

#[test]
fn wants_are_remembered_after_a_kill_and_forgotten_after_a_clean_stop() {
    let place = Place::new();
    place.conf(FAST);
    for name in ["down", "once", "paused", "silent", "ran"] {
        place.run(name, HOLD);
    }
    let module = |name| place.module(name);
    let killed = place.reaped_tree();
    let pids = ["down", "once", "paused", "silent", "ran"].map(|name| module(name).wait_up(&place));
    module("down").send("d");
    module("once").send("o");
    module("paused").send("p");
    module("silent").send("s");
    module("ran").send("o");
    wait_for("the commands to be shown", &place, || {
        module("once").state()["want"] == "once"
            && module("paused").state_name() == "paused"
            && module("silent").state()["alarm"] == false
            && module("ran").state()["want"] == "once"
    });
    signal(pids[4], "USR1");
    for name in ["down", "ran"] {
        module(name).wait_state(&place, "down");
    }
    killed.kill();

    let tree = place.reaped_tree();
    wait_for("all to be supervised", &place, || {
        ["down", "once", "paused", "silent", "ran"]
            .iter()
            .all(|name| module(name).state()["supervisor_pid"] == tree.pid())
    });
    assert_eq!(["once", "paused", "silent"].map(|name| module(name).pid()), [pids[1], pids[2], pids[3]]);
    assert!(is_stopped(pids[2]));
    assert_eq!((module("paused").state_name().as_str(), module("paused").status()[12]), ("paused", 1));
    assert_eq!((module("silent").status()[14], module("web").status().get(14)), (b'x', None));
    assert_eq!((module("down").status()[13], module("once").status()[13], module("ran").status()[13]), (b'd', 0, 0));
    // What was to run once runs to its end, and that was that.
    signal(pids[1], "USR1");
    module("once").wait_state(&place, "down");
    let idle = || ["down", "once", "ran"].iter().all(|name| module(name).pid() == 0);
    holds_for(Duration::from_millis(300), "what is not wanted is down", &place, idle);
    module("paused").send("c");
    wait_for("it to go on", &place, || !is_stopped(pids[2]));
    assert!(tree.stop().success());

    let fresh = place.reaped_tree();
    for name in ["down", "once", "paused", "silent", "ran"] {
        module(name).wait_up(&place);
        assert_eq!((module(name).status()[13], module(name).status()[14]), (b'u', b'o'), "{name}");
    }
    assert!(fresh.stop().success());
}

#[test]
fn a_stop_that_was_under_way_is_finished_by_the_next_tree() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nkill_timeout : 2\n");
    place.run("deaf", "trap '' TERM; while :; do sleep 0.1; done");
    let deaf = place.module("deaf");
    let killed = place.reaped_tree();
    let pid = deaf.wait_up(&place);
    // It is deaf only once its shell has got that far.
    wait_for("TERM to be ignored", &place, || proc_status(pid, "SigIgn").ends_with("4000"));
    deaf.send("d");
    deaf.wait_state(&place, "stopping");
    killed.kill();
    let tree = place.reaped_tree();
    wait_for("KILL to come", &place, || !is_alive(pid));
    deaf.wait_state(&place, "down");
    assert!(tree.stop().success());
}

#[test]
fn counters_and_the_alarm_window_are_remembered() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nalarm_interval : 60\nmax_tries : 3\n");
    place.run("web", HOLD);
    let web = place.module("web");
    let crash = |pid| {
        signal(pid, "USR1");
        web.wait_new_pid(&place, pid)
    };
    let killed = place.reaped_tree();
    let pid = crash(crash(web.wait_up(&place)));
    wait_for("two restarts to be shown", &place, || web.state()["restarts"] == 2);
    killed.kill();
    let tree = place.reaped_tree();
    wait_for("the new tree's word", &place, || web.state()["supervisor_pid"] == tree.pid());
    assert_eq!((web.state()["restarts"].as_u64(), web.pid()), (Some(2), pid));
    // The third restart is the last that the window allows.
    let last = crash(pid);
    signal(last, "USR1");
    web.wait_state(&place, "failed");
    assert_eq!(web.state()["restarts"], 3);

    // Giving up is remembered, too.
    tree.kill();
    let third = place.reaped_tree();
    wait_for("the third tree's word", &place, || web.state()["supervisor_pid"] == third.pid());
    holds_for(Duration::from_millis(300), "it stays given up", &place, || web.state_name() == "failed");
    web.send("u");
    web.wait_new_pid(&place, last);
    assert!(third.stop().success());
}

#[test]
fn giving_up_is_not_forgotten_while_finish_runs() {
    // Whether the tree replaces itself or is killed, and whether finish ends before there is another one.
    for (killed, ends_between) in [(false, false), (true, false), (true, true)] {
        let place = Place::new();
        place.conf("[global]\nrestart_delay : 0.05\nalarm_interval : 60\nmax_tries : 1\nfinish_timeout : 0\n");
        let finish = "echo x >> ../../finished; while [ ! -e ../../go ]; do sleep 0.02; done";
        place.service("web", &[("run", HOLD), ("finish", finish)]);
        let (web, go) = (place.module("web"), place.path().join("go"));
        let finished = |times| wait_for("finish", &place, || count(&place.path().join("finished"), "x") == times);
        let mut tree = place.reaped_tree();
        let first = web.wait_up(&place);
        std::fs::write(&go, "").expect("go");
        signal(first, "USR1");
        let second = web.wait_new_pid(&place, first);
        std::fs::remove_file(&go).expect("no go");
        signal(second, "USR1");
        web.wait_text(&place, "supervise.log.wf", "gave up after 1 restart");
        finished(2);
        web.wait_state(&place, "finishing");
        if killed {
            tree.kill();
            if ends_between {
                let finish: u32 = web.text("lock").split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).unwrap();
                std::fs::write(&go, "").expect("go");
                wait_for("finish to end", &place, || !is_alive(finish));
            }
            tree = place.reaped_tree();
        } else {
            tree.signal("USR2");
            web.wait_text(&place, "supervise.log", "adopted: finish");
        }
        wait_for("the new tree's word", &place, || web.state()["supervisor_pid"] == tree.pid());
        std::fs::write(&go, "").expect("go");
        web.wait_state(&place, "failed");
        assert_eq!(web.state()["reason"], "gave up under an earlier supervisor");
        web.send("u");
        web.wait_new_pid(&place, second);
        assert!(tree.stop().success());
    }
}

#[test]
fn a_directory_that_went_while_no_tree_was_there_is_stopped() {
    let place = Place::new();
    place.run("web", SLEEP);
    place.service("talk", &[("run", SLEEP), ("log/run", "exec cat >/dev/null")]);
    let killed = place.reaped_tree();
    let pids = ["web", "talk", "talk/log"].map(|name| place.module(name).wait_up(&place));
    killed.kill();
    std::fs::remove_dir_all(place.root().join("web")).expect("removed");
    std::fs::remove_dir_all(place.root().join("talk")).expect("removed");
    let tree = place.reaped_tree();
    for pid in pids {
        wait_for("what has no directory to be stopped", &place, || !is_alive(pid));
    }
    assert!(tree.stop().success());
}

#[test]
fn supervise_adopts_what_an_earlier_one_has_left() {
    let place = Place::new();
    let web = place.module("web");
    for name in ["TERM", "KILL"] {
        let first = place.supervised("web", &["-f", "sleep 1000"]);
        let pid = web.wait_up(&place);
        signal(first, name);
        wait_for("supervise to end", &place, || !is_alive(first) && !web.is_supervised());
        assert!(is_alive(pid), "the run process is left alone");
        let second = place.supervised("web", &["-f", "sleep 1000"]);
        assert_eq!(web.wait_up(&place), pid, "{}", place.story());
        signal(pid, "KILL");
        web.wait_new_pid(&place, pid);
        web.send("dx");
        wait_for("supervise to end", &place, || !is_alive(second));
        assert_eq!(web.pid(), 0);
    }
}

#[test]
fn what_cannot_look_for_an_earlier_copy_starts_no_second_one() {
    let place = Place::new();
    let web = place.module("web");
    let first = place.supervised("web", &["-f", "sleep 1000"]);
    let pid = web.wait_up(&place);
    signal(first, "KILL");
    wait_for("supervise to end", &place, || !is_alive(first) && !web.is_supervised());
    for descriptors in 4..14 {
        let mut command = std::process::Command::new("sh");
        let script = format!("ulimit -n {descriptors}; exec \"$0\" -p status/web -f 'sleep 1000'");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_supervise")]);
        // Without descriptors, it cannot let go of its standard output.
        let status = place.start(command).wait();
        let copies = processes_of("sleep\x001000\0").into_iter().filter(|copy| is_of(&place, *copy)).count();
        assert_eq!(copies, 1, "{descriptors} descriptors: {status}\n{}", place.story());
        assert!(is_alive(pid));
        if status.success() {
            break;
        }
    }
    signal(pid, "KILL");
}

/// Whether the process was started in `place`.
fn is_of(place: &Place, pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(place.path()))
}

#[test]
fn there_is_never_a_second_copy_whenever_the_tree_is_killed() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.02\n");
    // Nobody but the service itself ends it, so a mark that is there already is one of another copy.
    let once = "mkdir ../../mark.$N || echo $N >> ../../doubled; echo $N >> ../../ran; sleep 0.03; rmdir ../../mark.$N";
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        place.run(name, &once.replace("$N", name));
    }
    for round in 0..30 {
        let tree = place.reaped_tree();
        // A different moment of the services' lives each time.
        std::thread::sleep(Duration::from_millis(7 * round % 60));
        tree.kill();
    }
    let tree = place.reaped_tree();
    let before = count(&place.path().join("ran"), "\n");
    wait_for("all to go on", &place, || count(&place.path().join("ran"), "\n") > before + 3 * names.len());
    assert!(!place.path().join("doubled").exists(), "{}", place.story());
    // The services are stopped while they hold their marks: what counts was counted before.
    assert!(tree.stop().success());
}
