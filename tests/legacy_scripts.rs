//! Command lines and settings as scripts of many years have them for the C program `supervise` (supervise(8)).

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::count;
use common::*;
use std::process::Output;

/// Writes its arguments into `args`, each in angle brackets.
const WORDS: &str = "for word do printf '<%s>' \"$word\"; done > args; exec sleep 1000";

fn supervise(place: &Place, arguments: &[&str]) -> Output {
    let mut command = supervise_command();
    command.args(arguments);
    place.output(command)
}

// ----- command lines -------------------------------------------------------------------------------------------------

/// Each line, and what the command gets.
#[test]
fn options_and_words_in_any_order() {
    let lines: &[(&[&str], &str)] = &[
        (&["-p", "status/app", "./app", "a", "b c"], "<a><b c>"),
        (&["-p", "status/app", "./app", "a", "-t", "5", "b"], "<a><b>"),
        (&["-p", "status/app", "--", "./app", "-t", "5"], "<-t><5>"),
        (&["./app", "a", "-p", "status/app", "b"], "<a><b>"),
        (&["-ustatus/app", "./app", "-x"], "<-x>"),
        (&["-u", "status/app", "--", "./app", "a"], "<a>"),
        (&["-f", "./app mine", "-u", "status/app", "./other"], "<mine>"),
        (&["stray", "-u", "status/app", "./app", "a"], "<a>"),
        (&["-f", "./app a", "stray", "-p", "status/app", "words"], "<a>"),
        (&["-p", "status/other", "-p", "status/app", "-f", "no-such-program", "-f", "./app a"], "<a>"),
        (&["-p", "status/app", "-f", "", "./app", "a"], "<a>"),
        (&["-p", "status/app  \t/", "-f./app a"], "<a>"),
        (&["-p", "status/other", "-u", "status/app", "./app", "a"], "<a>"),
        (&["-t", "10s", "-p", "status/app", "-f", "./app a"], "<a>"),
        (&["-t", "-1", "-p", "status/app", "-f", "./app a"], "<a>"),
        (&["-F", "", "-r", "", "-t", "", "-p", "status/app", "-f", "./app a"], "<a>"),
    ];
    for (line, words) in lines {
        let place = Place::new();
        script(&place.path().join("app"), WORDS);
        let output = supervise(&place, line);
        assert!(output.status.success() && output.stderr.is_empty(), "{line:?}: {output:?}");
        let args = || std::fs::read_to_string(place.path().join("args")).unwrap_or_default();
        wait_for(&format!("{line:?} to come to {words}, not {}", args()), &place, || args() == *words);
        place.module("app").wait_up(&place);
        assert!(!place.module("other").dir().exists(), "{line:?}");
    }
}

#[test]
fn words_that_are_not_used_are_noted() {
    let place = Place::new();
    place.supervised("app", &["-f", "sleep 1000", "stray", "words"]);
    place.module("app").wait_text(&place, "supervise.log", "not used, for -f says the command: stray words");
}

#[test]
fn with_posixly_correct_the_first_word_ends_the_options() {
    let place = Place::new();
    script(&place.path().join("app"), WORDS);
    let mut command = supervise_command();
    command.env("POSIXLY_CORRECT", "1").args(["-p", "status/app", "./app", "-x", "-t", "5"]);
    assert!(place.output(command).status.success());
    let args = || std::fs::read_to_string(place.path().join("args")).unwrap_or_default();
    wait_for("the words", &place, || args() == "<-x><-t><5>");
}

// ----- the file with the settings ------------------------------------------------------------------------------------

/// A program that writes its arguments into `sent`, beside a service that fails, and settings that call it.
fn alarmed(place: &Place) {
    for name in ["mail", "gsmsend-script"] {
        let body =
            format!("echo \"{name} $*\" | sed 's/20.*exited!/T/' >> {}/sent; cat > /dev/null", place.path().display());
        script(&place.path().join("sbin").join(name), &body);
    }
    script(&place.path().join("bad"), "exit 3");
}

fn run(place: &Place, script: &str) -> Output {
    let mut command = std::process::Command::new("bash");
    let path = format!("{}:{}", place.path().join("sbin").display(), std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).env("SUPERVISE", env!("CARGO_BIN_EXE_supervise")).args(["-c", script]);
    let output = place.output(command);
    assert!(output.status.success(), "{script}: {output:?}");
    output
}

fn wait_sent(place: &Place, lines: &[&str]) {
    let sent = || std::fs::read_to_string(place.path().join("sent")).unwrap_or_default();
    let missing = || lines.iter().any(|line| !sent().lines().any(|found| found == *line));
    wait_for(&format!("{lines:?}"), place, || !missing());
    assert_eq!(sent().lines().count(), lines.len(), "{}", sent());
}

/// The file that comes with the C program: all of its alarms are raised.
#[test]
fn the_sample_file_raises_every_alarm_it_describes() {
    let place = Place::new();
    alarmed(&place);
    let sample = "#\u{6bcf}\u{4e2a}\u{4ea7}\u{54c1}\u{7ebf}\n\n[someModuleThatNoNeedNewFunction]\n\n[global]\nalarm_interval : 60\n\
        alarm_mail :  somegroup@163.com \nalarm_gsm : 13800000000 someMobileGroup\nmax_tries : 0\nmax_tries_if_coredumped : 0\n\n\
        [redis]\nalarm_interval : 120\nalarm_mail : somebody@hotmail.com\nalarm_gsm : 98633333\nmax_tries : 3\n\
        max_tries_if_coredumped: 7\n\n[someOtherModuleName]\nalarm_interval :\nalarm_mail : meetbill@163.com\n";
    std::fs::write(place.path().join("supervise.conf"), sample).unwrap();
    run(&place, "$SUPERVISE -p status/redis -f ./bad");
    wait_sent(
        &place,
        &[
            "mail -s T somegroup@163.com somebody@hotmail.com",
            "gsmsend-script 13800000000@T",
            "gsmsend-script someMobileGroup@T",
            "gsmsend-script 98633333@T",
        ],
    );
}

#[test]
fn each_word_of_a_list_is_passed_on_as_it_is() {
    let place = Place::new();
    alarmed(&place);
    let conf = "[global]   # all\nalarm_interval : 60  # a minute\nalarm_mail : root a@b.c,d@e.f -oQ/tmp # the team\nalarm_gsm : 12-34\n";
    std::fs::write(place.path().join("supervise.conf"), conf).unwrap();
    run(&place, "$SUPERVISE -p status/app -f ./bad");
    wait_sent(&place, &["mail -s T root a@b.c,d@e.f", "gsmsend-script 12-34@T"]);
    let app = place.module("app");
    app.wait_text(&place, "supervise.log.wf", "supervise.conf:3: alarm_mail: \"-oQ/tmp\" looks like an option");
}

#[test]
fn an_empty_name_reads_no_file() {
    let place = Place::new();
    alarmed(&place);
    std::fs::write(place.path().join("supervise.conf"), "[global]\nalarm_interval : 60\nalarm_gsm : 1\n").unwrap();
    run(&place, "$SUPERVISE -F '' -p status/app -f ./bad");
    let app = place.module("app");
    wait_for("two ends", &place, || app.log().matches(" ended ").count() >= 2);
    assert!(!place.path().join("sent").exists());
    // An empty -r is none, and the file is read.
    run(&place, "$SUPERVISE -r '' -p status/other -f ./bad");
    wait_sent(&place, &["gsmsend-script 1@T"]);
}

#[test]
fn the_settings_may_come_through_a_pipe_and_are_read_once() {
    let conf = "[global]\\nalarm_interval : 60\\nalarm_gsm : 1\\n";
    for line in [
        format!("$SUPERVISE -p status/app -f ./bad -F <(printf '{conf}')"),
        format!("$SUPERVISE -p status/app -f ./bad -F <(sleep 0.2; printf '{conf}')"),
        format!("mkfifo pipe; (sleep 0.2; printf '{conf}' > pipe) & $SUPERVISE -p status/app -f ./bad -F pipe"),
        format!("printf '{conf}' | $SUPERVISE -p status/app -f ./bad -F /dev/stdin"),
    ] {
        let place = Place::new();
        alarmed(&place);
        run(&place, &line);
        wait_sent(&place, &["gsmsend-script 1@T"]);
        let app = place.module("app");
        assert_eq!(app.text("supervise.log.wf").matches("cannot be read").count(), 0, "{}", app.log());
    }
    let place = Place::new();
    run(&place, "mkfifo pipe; printf '[global]\\n' > pipe & $SUPERVISE -p status/app -f 'sleep 1000' -F pipe");
    let app = place.module("app");
    app.wait_up(&place);
    app.send("r");
    app.wait_text(&place, "supervise.log.wf", "is a pipe, which is read at the start alone; the old settings stay");
}

#[test]
fn a_pipe_that_nobody_ends_holds_the_start_up_for_five_seconds_at_most() {
    let place = Place::new();
    let begin = std::time::Instant::now();
    run(&place, "mkfifo pipe; $SUPERVISE -p status/app -f 'sleep 1000' -F pipe");
    assert!(begin.elapsed().as_secs() >= 4 && begin.elapsed().as_secs() < 15, "{:?}", begin.elapsed());
    let app = place.module("app");
    app.wait_up(&place);
    app.wait_text(&place, "supervise.log.wf", "pipe: cannot be read: ");
    // Nothing at all is an empty file, and no trouble.
    run(
        &place,
        "$SUPERVISE -p status/null -f 'sleep 1000' -F /dev/null; $SUPERVISE -p status/none -f 'sleep 1000' -F <(:)",
    );
    for module in ["null", "none"] {
        place.module(module).wait_up(&place);
        assert_eq!(place.module(module).text("supervise.log.wf"), "", "{module}");
    }
}

#[test]
fn the_file_is_found_after_the_working_directory_was_renamed() {
    let place = Place::new();
    let (old, new) = (place.path().join("old"), place.path().join("new"));
    std::fs::create_dir(&old).unwrap();
    run(
        &place,
        "cd old; : > supervise.conf; : > named.conf; $SUPERVISE -p status/app -f 'sleep 1000'; \
        $SUPERVISE -F named.conf -p status/named -f 'sleep 1000'",
    );
    std::fs::rename(&old, &new).unwrap();
    for (module, file) in [("app", "supervise.conf"), ("named", "named.conf")] {
        std::fs::write(new.join(file), "[global]\nno_such_key : 1\n").unwrap();
        std::fs::OpenOptions::new().write(true).open(new.join("status").join(module).join("control")).unwrap();
        std::fs::write(new.join("status").join(module).join("control"), "r").unwrap();
        let log = new.join("status").join(module).join("supervise.log.wf");
        let complaint = format!("{}:2: unknown key no_such_key", new.join(file).display());
        wait_for(&complaint, &place, || count(&log, &complaint) == 1);
        let state = std::fs::read_to_string(new.join("status").join(module).join("state.json")).unwrap();
        assert!(state.contains(&format!("\"config\":\"{}\"", new.join(file).display())), "{state}");
    }
}
