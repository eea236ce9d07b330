//! What commands, signals and ends lead to in `supervise`, for scripts that know the C program (supervise(8)).

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::count;
use common::*;
use std::time::Duration;

/// A service that notes each start.
const APP: &str = "echo $$ >> starts; exec sleep 1000";

/// One that TERM does not end.
const STUBBORN: &str = "trap '' TERM; echo $$ >> starts; exec sleep 1000";

/// Quick restarts, so that a test need not wait for them.
const QUICK: &str = "[global]\nrestart_delay : 0.05\n";

/// Alarms that are counted in `alarms`, and a limit.
fn limits(place: &Place) -> String {
    script(&place.path().join("tell"), &format!("echo alarm >> {}/alarms", place.path().display()));
    format!("{QUICK}alarm_interval : 600\nmax_tries : 2\nalarm_command : {}/tell\n", place.path().display())
}

fn supervised(place: &Place, app: &str, conf: &str) -> (Module, u32) {
    script(&place.path().join("app"), app);
    std::fs::write(place.path().join("supervise.conf"), conf).unwrap();
    let supervisor = place.supervised("app", &["-f", "./app"]);
    let module = place.module("app");
    module.wait_up(place);
    // Before that, a signal would end it without a trace.
    wait_for("its note", place, || starts(place) > 0);
    (module, supervisor)
}

fn starts(place: &Place) -> usize {
    count(&place.path().join("starts"), "\n")
}

fn alarms(place: &Place) -> usize {
    count(&place.path().join("alarms"), "alarm\n")
}

/// Kills the run process from outside, and waits for the next one.
fn crash(place: &Place, module: &Module) {
    let pid = module.wait_up(place);
    let before = starts(place);
    signal(pid, "KILL");
    module.wait_new_pid(place, pid);
    wait_for("its note", place, || starts(place) > before);
}

fn wait_gone(place: &Place, supervisor: u32) {
    wait_for("the end of supervise", place, || !is_alive(supervisor));
}

// ----- alarms off ----------------------------------------------------------------------------------------------------

/// The C program's client restarts with `s`, KILL from outside, and `n`.
#[test]
fn while_alarms_are_off_ends_neither_count_nor_open_the_window() {
    let place = Place::new();
    let conf = limits(&place);
    let (app, supervisor) = supervised(&place, APP, &conf);
    for _ in 0..5 {
        app.send("s");
        wait_for("alarms off", &place, || app.status()[14] == b'x');
        crash(&place, &app);
        app.send("n");
        wait_for("alarms on", &place, || app.status()[14] == b'o');
    }
    assert!(is_alive(supervisor));
    wait_for("six starts", &place, || starts(&place) == 6);
    assert_eq!(alarms(&place), 0);
    // The next end that nobody asked for is the first one of its window.
    crash(&place, &app);
    wait_for("its alarm", &place, || alarms(&place) == 1);
}

#[test]
fn a_core_dump_while_alarms_are_off_does_not_count() {
    if !dumps_core() {
        return host::skipped("processes dump no core here");
    }
    let place = Place::new();
    let conf = format!("{QUICK}alarm_interval : 600\nmax_tries_if_coredumped : 1\n");
    let (app, supervisor) = supervised(&place, &format!("ulimit -c unlimited; {APP}"), &conf);
    app.send("s");
    wait_for("alarms off", &place, || app.status()[14] == b'x');
    // It says so when its limit is set.
    wait_for("its note", &place, || starts(&place) == 1);
    let pid = app.pid();
    signal(pid, "ABRT");
    let next = app.wait_new_pid(&place, pid);
    wait_for("its note", &place, || starts(&place) == 2);
    app.send("n");
    wait_for("alarms on", &place, || app.status()[14] == b'o');
    assert!(is_alive(supervisor));
    signal(next, "ABRT");
    wait_gone(&place, supervisor);
}

#[test]
fn alrm_to_supervise_begins_the_counting_anew() {
    let place = Place::new();
    let conf = limits(&place);
    let (app, supervisor) = supervised(&place, APP, &conf);
    for round in 1..=3 {
        crash(&place, &app);
        crash(&place, &app);
        wait_for("one alarm a window", &place, || alarms(&place) == round);
        signal(supervisor, "ALRM");
        app.wait_text(&place, "supervise.log", "got SIGALRM");
        wait_for("the counting", &place, || count(&app.path("supervise.log"), "got SIGALRM") == round);
    }
    assert!(is_alive(supervisor));
    crash(&place, &app);
    crash(&place, &app);
    signal(app.pid(), "KILL");
    wait_gone(&place, supervisor);
}

// ----- a new supervise -----------------------------------------------------------------------------------------------

/// Whatever an earlier one was told: who calls it wants the service.
#[test]
fn a_new_one_begins_with_want_up_and_alarms_on() {
    for commands in ["d", "o", "s", "sd", "p"] {
        for end in ["TERM", "KILL"] {
            let place = Place::new();
            let (app, supervisor) = supervised(&place, APP, QUICK);
            let pid = app.pid();
            app.send(commands);
            let down = commands.contains('d');
            if down {
                wait_for("down", &place, || app.pid() == 0);
            }
            app.send("h");
            wait_for("all to be taken", &place, || app.log().contains("HUP"));
            signal(supervisor, end);
            wait_gone(&place, supervisor);
            let next = place.supervised("app", &["-f", "./app"]);
            let now = app.wait_up(&place);
            assert_eq!(&app.status()[13..15], b"uo", "{commands} {end}");
            assert_eq!(now == pid, !down, "{commands} {end}");
            wait_for("the starts", &place, || starts(&place) == 1 + usize::from(down));
            // And it is started again when it ends.
            signal(now, "CONT");
            signal(now, "KILL");
            app.wait_new_pid(&place, now);
            signal(next, "KILL");
        }
    }
}

/// A process that an earlier one has told to end, and that does so later.
#[test]
fn what_was_being_stopped_is_wanted_again() {
    let place = Place::new();
    let conf = limits(&place);
    let (app, supervisor) = supervised(&place, STUBBORN, &conf);
    let pid = app.pid();
    app.send("d");
    wait_for("the stop", &place, || app.state_name() == "stopping");
    signal(supervisor, "TERM");
    wait_gone(&place, supervisor);
    place.supervised("app", &["-f", "./app"]);
    assert_eq!((app.wait_up(&place), app.state_name().as_str(), app.status()[13]), (pid, "up", b'u'));
    signal(pid, "KILL");
    app.wait_new_pid(&place, pid);
    assert_eq!(alarms(&place), 0, "somebody had asked for that end");
}

/// The tree goes on remembering what was wanted.
#[test]
fn a_new_tree_remembers_what_was_wanted() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    web.send("ds");
    web.wait_state(&place, "down");
    wait_for("all to be written down", &place, || &web.status()[13..15] == b"dx");
    tree.kill();
    let _tree = place.tree();
    holds_for(Duration::from_millis(200), "it stays down", &place, || web.pid() == 0);
    assert_eq!(&web.status()[13..15], b"dx");
}

// ----- once ----------------------------------------------------------------------------------------------------------

#[test]
fn o_while_the_process_is_still_ending_starts_nothing_after_it() {
    for (commands, again) in
        [(&["d", "o"][..], false), (&["d", "u"], true), (&["d", "u", "o"], false), (&["d", "o", "u"], true)]
    {
        let place = Place::new();
        let (app, _) = supervised(&place, STUBBORN, QUICK);
        let pid = app.pid();
        for command in commands {
            app.send(command);
        }
        let last = if commands.ends_with(&["o"]) { 0 } else { b'u' };
        wait_for("the last command", &place, || app.status()[13] == last);
        signal(pid, "KILL");
        if again {
            app.wait_new_pid(&place, pid);
        } else {
            wait_for("down", &place, || app.pid() == 0);
            holds_for(Duration::from_millis(300), "it stays down", &place, || starts(&place) == 1);
            app.send("o");
            app.wait_up(&place);
        }
        wait_for("two starts", &place, || starts(&place) == 2);
        assert_eq!(app.status()[13], last, "{commands:?}");
    }
}

// ----- the end -------------------------------------------------------------------------------------------------------

#[test]
fn byte_13_stays_what_was_wanted_after_the_end() {
    for (commands, byte) in [("xk", b'u'), ("oxk", 0), ("dx", b'd')] {
        let place = Place::new();
        let (app, supervisor) = supervised(&place, APP, QUICK);
        app.send(commands);
        wait_gone(&place, supervisor);
        assert_eq!((app.pid(), &app.status()[12..16]), (0, &[0, byte, b'o', 0][..]), "{commands}");
        // That it has ended in good order is known all the same: nothing is recalled.
        let next = place.supervised("app", &["-f", "./app"]);
        app.wait_up(&place);
        assert!(!app.log().contains("earlier supervisor"), "{}", app.log());
        signal(next, "KILL");
    }
}

#[test]
fn byte_13_stays_u_when_it_gives_up_and_the_next_one_begins_afresh() {
    let place = Place::new();
    let conf = limits(&place);
    let (app, supervisor) = supervised(&place, APP, &conf);
    crash(&place, &app);
    crash(&place, &app);
    signal(app.pid(), "KILL");
    wait_gone(&place, supervisor);
    assert_eq!((app.pid(), &app.status()[12..16]), (0, b"\0uo\0".as_slice()));
    let before = starts(&place);
    place.supervised("app", &["-f", "./app"]);
    wait_for("its note", &place, || starts(&place) > before);
    crash(&place, &app);
    crash(&place, &app);
    wait_for("six starts", &place, || starts(&place) == 6);
}

// ----- signals -------------------------------------------------------------------------------------------------------

#[test]
fn the_service_is_started_with_sighup_ignored() {
    let place = Place::new();
    let (app, _) = supervised(&place, APP, QUICK);
    let pid = app.pid();
    let ignored = |pid| u64::from_str_radix(&proc_status(pid, "SigIgn"), 16).unwrap();
    assert_eq!(ignored(pid), 1 << (libc::SIGHUP - 1));
    app.send("h");
    app.wait_text(&place, "supervise.log", "HUP sent");
    signal(pid, "HUP");
    holds_for(Duration::from_millis(200), "it runs on", &place, || is_alive(pid) && app.pid() == pid);
    // In the tree, it is the default.
    place.run("web", SLEEP);
    let _tree = place.tree();
    assert_eq!(ignored(place.module("web").wait_up(&place)), 0);
}

#[test]
fn a_service_that_handles_hup_gets_it() {
    // A shell cannot trap what was ignored when it began; most programs can handle it.
    let python = std::process::Command::new("python3").arg("-c").arg("pass").status();
    if !python.is_ok_and(|status| status.success()) {
        return host::skipped("no python3");
    }
    let place = Place::new();
    std::fs::write(
        place.path().join("app.py"),
        "import signal, time\nsignal.signal(signal.SIGHUP, lambda *a: open('hup', 'w').write('x'))\nopen('ready', 'w')\n\
         while True: time.sleep(0.05)\n",
    )
    .unwrap();
    place.supervised("app", &["-f", "python3 app.py"]);
    wait_for("the handler", &place, || place.path().join("ready").exists());
    place.module("app").send("h");
    wait_for("HUP", &place, || place.path().join("hup").exists());
}

// ----- the log -------------------------------------------------------------------------------------------------------

#[test]
fn supervise_log_wf_is_there_from_the_start() {
    let place = Place::new();
    let (app, _) = supervised(&place, APP, QUICK);
    assert!(app.path("supervise.log").exists());
    assert_eq!(std::fs::read(app.path("supervise.log.wf")).unwrap(), b"");
}

/// A service that fails at once, and its supervisor.
fn failing(place: &Place, conf: &str) -> (Module, u32) {
    script(&place.path().join("app"), "exit 3");
    std::fs::write(place.path().join("supervise.conf"), conf).unwrap();
    let supervisor = place.supervised("app", &["-f", "./app"]);
    (place.module("app"), supervisor)
}

#[test]
fn an_end_with_a_restart_is_a_notice_unless_it_opens_a_window() {
    let place = Place::new();
    let (app, supervisor) = failing(&place, QUICK);
    wait_for("four ends", &place, || count(&app.path("supervise.log"), "exit code 3; restarting in") >= 4);
    assert_eq!(app.text("supervise.log.wf"), "");
    signal(supervisor, "TERM");

    let place = Place::new();
    let conf = limits(&place);
    let (app, supervisor) = failing(&place, &conf);
    wait_gone(&place, supervisor);
    let trouble = app.text("supervise.log.wf");
    let levels: Vec<&str> = trouble.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(levels, ["[WARNING]", "[FATAL]"], "{trouble}");
    assert!(trouble.lines().next().is_some_and(|line| line.contains("exit code 3; restarting in")), "{trouble}");
    assert!(trouble.contains("gave up after 2 restarts"), "{trouble}");
    assert_eq!(count(&app.path("supervise.log"), "exit code 3; restarting in"), 1, "{}", app.log());
}
