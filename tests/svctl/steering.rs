//! Each verb against a real tree.

use crate::common::script;
use crate::fixture::{CommandOutput, Fixture, STEADY, until};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Dies at once, and says something first.
const DOOMED: &str = "#!/bin/sh\necho the port is taken >&2\nexit 3\n";

/// Writes the name of each signal that it gets, and lives on.
const LISTENER: &str = "#!/bin/sh
for s in HUP INT QUIT ALRM USR1 USR2 WINCH TERM; do trap \"echo $s\" $s; done
echo ready
while :; do sleep 0.02; done
";

#[test]
fn stop_start_and_restart_do_what_they_say() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    let first = fixture.up("web");
    assert_eq!(fixture.expect(0, &["stop", "web"]).out, "ok: web: down\n");
    assert_eq!(fixture.pid("web"), None);
    let answer = fixture.expect(0, &["start", "web"]);
    let second = fixture.pid("web").unwrap();
    assert!(answer.out.starts_with(&format!("ok: web: up (pid {second}) 1 s")), "{answer:?}");
    fixture.expect(0, &["restart", "web"]);
    let third = fixture.pid("web").unwrap();
    assert!(first != second && second != third);
    // It is up, and a start of what is up takes no time.
    let begun = Instant::now();
    fixture.expect(0, &["start", "web"]);
    assert!(begun.elapsed() < Duration::from_millis(900));
    assert_eq!(fixture.pid("web"), Some(third));
}

#[test]
fn a_start_that_cannot_succeed_fails_at_once_and_says_of_what() {
    for (run, mode, reason) in [
        ("exec sleep 1000\n", 0o755, "run has no #! line in front, such as #!/bin/sh"),
        ("#!/no/such/shell\n", 0o755, "run names /no/such/shell, which is not there"),
        ("#!/bin/sh\r\nexec sleep 1000\r\n", 0o755, "run end with CR LF"),
        ("#!/bin/sh\nexec sleep 1000\n", 0o644, "run is not executable: chmod +x"),
    ] {
        let fixture = Fixture::tree(&[("web", STEADY)]);
        fixture.up("web");
        fixture.expect(0, &["stop", "web"]);
        // In its place, as an editor does it: nothing that is being written can be executed.
        let (new, path) = (fixture.services.join(".new"), fixture.services.join("web/run"));
        std::fs::write(&new, run).unwrap();
        std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        std::fs::rename(&new, &path).unwrap();
        let begun = Instant::now();
        let answer = fixture.expect(1, &["-w", "60", "start", "web"]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{reason}: {:?}", begun.elapsed());
        assert!(answer.out.starts_with("fail: web: cannot be started: "), "{answer:?}");
        assert!(answer.out.contains(reason), "{answer:?}");
        // A line is written a moment after the state.
        let log = || std::fs::read_to_string(fixture.status.join("web/supervise.log.wf")).unwrap_or_default();
        until("it to be logged", || log().contains(reason).then_some(()));
        assert_eq!(log().matches(reason).count(), 1, "{}", log());
    }
}

#[test]
fn all_are_sent_their_command_before_any_is_waited_for() {
    let services: Vec<(String, &str)> = (0..12).map(|n| (format!("w{n}"), STEADY)).collect();
    let services: Vec<(&str, &str)> = services.iter().map(|(name, run)| (name.as_str(), *run)).collect();
    let fixture = Fixture::tree(&services);
    services.iter().for_each(|(name, _)| {
        fixture.up(name);
    });
    let begun = Instant::now();
    let answer = fixture.expect(0, &["-w", "20", "restart", "w*"]);
    // One after the other, twelve throttle seconds alone would take longer.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(answer.out.lines().count(), 13, "{answer:?}");
    assert_eq!(answer.out.lines().last(), Some("12 modules: 12 ok"));
}

#[test]
fn restarts_at_the_same_time_are_all_done() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    let calls = (0..6).map(|_| fixture.command(&["restart", "web"]).stdout(Stdio::piped()).spawn().unwrap());
    let calls: Vec<_> = calls.collect();
    for call in calls {
        let output = call.wait_with_output().unwrap();
        // What another one stops has ended at once; that it cannot be started, nobody may say.
        assert!(!String::from_utf8_lossy(&output.stdout).contains("cannot be started"), "{output:?}");
    }
    fixture.expect(0, &["wait", "up", "web"]);
}

#[test]
fn a_restart_that_dies_at_once_fails_and_shows_what_it_wrote() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    script(&fixture.services.join("web/run"), DOOMED);
    let answer = fixture.expect(1, &["restart", "web"]);
    assert!(answer.out.starts_with("fail: web: came up"), "{answer:?}");
    assert!(answer.out.contains("exit 3"), "{answer:?}");
    assert!(answer.out.contains("\n    | the port is taken\n"), "{answer:?}");
}

#[test]
fn a_restart_of_what_cannot_be_executed_fails_with_the_reason() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    std::fs::write(fixture.services.join("web/run"), "#!/no/such/interpreter\n").unwrap();
    let answer = fixture.expect(1, &["restart", "web"]);
    assert!(answer.out.contains("names /no/such/interpreter, which is not there"), "{answer:?}");
}

#[test]
fn a_service_that_ignores_term_is_a_timeout() {
    let fixture = Fixture::tree(&[("deaf", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n")]);
    let pid = fixture.up("deaf");
    until("the trap is set", || std::fs::read(fixture.status.join("deaf/__stdout")).ok().filter(|out| !out.is_empty()));
    let answer = fixture.expect(1, &["-w", "0.5", "stop", "deaf"]);
    assert_eq!(answer.out, format!("timeout: deaf: stopping (pid {pid}), still there after 0.5 s\n"));
    // Otherwise the tree would wait for it.
    fixture.expect(0, &["kill", "deaf"]);
}

#[test]
fn a_stop_is_waited_for_as_long_as_its_settings_allow() {
    let run = "#!/bin/sh\ntrap 'sleep 8; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done\n";
    let fixture = Fixture::tree(&[("slow", run)]);
    until("the trap is set", || std::fs::read(fixture.status.join("slow/__stdout")).ok().filter(|out| !out.is_empty()));
    // The usual 7 s are over by then, but not the 10 s of kill_timeout.
    assert_eq!(fixture.expect(0, &["stop", "slow"]).out, "ok: slow: down\n");
    fixture.expect(0, &["-w", "inf", "start", "slow"]);
    fixture.expect(0, &["kill", "slow"]);
}

#[test]
fn without_waiting_it_only_tells() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    assert_eq!(fixture.expect(0, &["-w", "0", "stop", "web"]).out, "ok: web: told to stop\n");
    until("it is down", || fixture.pid("web").is_none().then_some(()));
}

#[test]
fn once_runs_once() {
    let fixture = Fixture::with(&[("job", "#!/bin/sh\nexit 0\n"), ("bad", "#!/bin/sh\necho no >&2\nexit 4\n")]);
    for name in ["job", "bad"] {
        std::fs::write(fixture.services.join(name).join("down"), "").unwrap();
    }
    let mut fixture = fixture;
    fixture.start_tree();
    until("both are there", || fixture.state("job").and(fixture.state("bad")));
    assert_eq!(fixture.expect(0, &["once", "job"]).out, "ok: job: ran and ended: exit 0\n");
    let answer = fixture.expect(1, &["once", "bad"]);
    assert!(answer.out.contains("exit 4") && answer.out.contains("    | no"), "{answer:?}");
}

#[test]
fn every_signal_arrives_under_its_own_verb() {
    let fixture = Fixture::tree(&[("ears", LISTENER)]);
    fixture.up("ears");
    let heard = || std::fs::read_to_string(fixture.status.join("ears/__stdout")).unwrap_or_default();
    until("the traps are set", || heard().contains("ready").then_some(()));
    for verb in ["hup", "alrm", "usr1", "usr2", "winch", "int", "quit", "term"] {
        let name = verb.to_uppercase();
        let answer = fixture.expect(0, &[verb, "ears"]);
        assert!(answer.out.starts_with(&format!("ok: ears: {name} sent (pid ")), "{answer:?}");
        until(&format!("{name} is heard"), || heard().contains(&name).then_some(()));
    }
    let pid = fixture.pid("ears").unwrap();
    fixture.expect(0, &["kill", "ears"]);
    until("another one runs", || fixture.pid("ears").filter(|other| *other != pid));
}

#[test]
fn pause_and_cont_stop_and_go_on() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["pause", "web"]);
    until("it is paused", || fixture.state("web").filter(|state| state["state"] == "paused"));
    assert_eq!(fixture.expect(3, &["status", "web"]).out.lines().count(), 2);
    let answer = fixture.expect(0, &["start", "web"]);
    assert!(answer.out.contains("paused"), "{answer:?}");
    fixture.expect(0, &["cont", "web"]);
    fixture.expect(0, &["wait", "up", "web"]);
}

#[test]
fn a_signal_for_nobody_is_a_failure() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["stop", "web"]);
    assert_eq!(fixture.expect(1, &["hup", "web"]).out, "fail: web: down: there is no process to send HUP to\n");
}

#[test]
fn enable_and_disable_are_remembered_in_the_service_directory() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let down = fixture.services.join("web/down");
    fixture.expect(0, &["disable", "web"]);
    assert!(down.exists() && fixture.pid("web").is_none());
    fixture.expect(0, &["disable", "web"]);
    fixture.expect(0, &["enable", "web"]);
    assert!(!down.exists() && fixture.pid("web").is_some());
    fixture.expect(0, &["enable", "web"]);
}

#[test]
fn alarms_are_switched_per_module() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["alarm", "off", "web"]);
    until("it is off", || fixture.state("web").filter(|state| state["alarm"] == false));
    fixture.expect(0, &["alarm", "on", "web"]);
    until("it is on", || fixture.state("web").filter(|state| state["alarm"] == true));
}

#[test]
fn exit_ends_the_supervisor_of_a_module_that_is_down() {
    let fixture = Fixture::tree(&[("web", STEADY), ("other", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["exit", "web"]);
    assert!(fixture.pid("web").is_some());
    fixture.expect(0, &["stop", "web"]);
    let gone = |answer: &CommandOutput| answer.code == 4;
    until("nobody supervises it", || Some(fixture.svctl(&["status", "web"])).filter(gone));
    assert_eq!(fixture.expect(4, &["stop", "web"]).out, "fail: web: not supervised\n");
    assert_eq!(fixture.expect(0, &["rescan"]).code, 0);
    fixture.expect(0, &["wait", "up", "web"]);
}

#[test]
fn the_tree_is_told_to_reload_to_rescan_and_to_end() {
    let mut fixture = Fixture::tree(&[("web", STEADY)]);
    let pid = fixture.up("web");
    for verb in ["reload", "rescan"] {
        let answer = fixture.expect(0, &[verb]);
        assert!(answer.out.starts_with("ok: supervise-tree (pid "), "{answer:?}");
    }
    fixture.expect(0, &["reload", "web"]);
    let answer = fixture.expect(0, &["shutdown"]);
    assert!(answer.out.contains("has stopped all services and ended"), "{answer:?}");
    assert_eq!(fixture.ended(), 0);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let answer = fixture.expect(4, &["shutdown"]);
    assert!(answer.out.contains("no supervise-tree runs"), "{answer:?}");
}

#[test]
fn names_may_be_globs_and_wrong_ones_get_a_hint() {
    let fixture = Fixture::tree(&[("web1", STEADY), ("web2", STEADY), ("db", STEADY)]);
    fixture.all_up(&["web1", "web2", "db"]);
    assert_eq!(fixture.expect(0, &["-w", "0", "stop", "web*"]).out.lines().count(), 2);
    let answer = fixture.expect(4, &["start", "wbe1"]);
    assert!(answer.out.starts_with("fail: wbe1: no such module (did you mean web1?)"), "{answer:?}");
    assert_eq!(fixture.expect(4, &["start", "x*"]).out, "fail: x*: matches no module\n");
    assert_eq!(fixture.expect(100, &["start"]).out, "");
}

#[test]
fn json_is_all_that_is_on_standard_output() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let results = fixture.expect(4, &["--json", "restart", "web", "nope"]).json();
    assert_eq!(results[0]["module"], "nope");
    assert_eq!(results[0]["result"], "fail");
    assert_eq!(results[1]["result"], "ok");
    assert_eq!(results[1]["status"]["pid"].as_u64(), fixture.pid("web").map(u64::from));
    assert_eq!(fixture.expect(0, &["--json", "rescan"]).json()[0]["result"], "ok");
}

#[test]
fn a_wait_ends_when_all_are_there() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["wait", "up", "web"]);
    let answer = fixture.expect(1, &["-w", "0.3", "wait", "down", "web"]);
    assert!(answer.out.contains("still there after 0.3 s"), "{answer:?}");
    let waiting =
        fixture.command(&["-w", "20", "wait", "down", "web"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    fixture.expect(0, &["stop", "web"]);
    let answer = CommandOutput::of(waiting.wait_with_output().unwrap());
    assert_eq!((answer.code, answer.out.as_str()), (0, "ok: web: down\n"));
}

#[test]
fn a_wait_may_be_for_a_module_that_is_still_to_come() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let waiting = fixture
        .command(&["-w", "20", "wait", "up", "late", "late/log"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    fixture.service("late/log", "#!/bin/sh\nexec cat\n");
    fixture.service("late", STEADY);
    let answer = CommandOutput::of(waiting.wait_with_output().unwrap());
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.out.lines().count(), 2, "{answer:?}");
    let answer = fixture.expect(4, &["-w", "0.2", "wait", "up", "wbe"]);
    assert!(answer.out.contains("did you mean web?"), "{answer:?}");
}

#[test]
fn what_is_told_after_a_command_is_never_older_than_it() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    for _ in 0..5 {
        fixture.expect(0, &["pause", "web"]);
        assert_eq!(fixture.state("web").unwrap()["state"], "paused");
        fixture.expect(0, &["cont", "web"]);
        assert_eq!(fixture.state("web").unwrap()["state"], "up");
    }
    for told in [&["-w", "0", "stop", "web"][..], &["term", "web"], &["kill", "web"]] {
        let old = fixture.pid("web").unwrap();
        fixture.expect(0, told);
        let answer = fixture.expect(0, &["start", "web"]);
        assert!(answer.out.starts_with("ok: web: up") && !answer.out.contains(&format!("(pid {old})")), "{answer:?}");
    }
}

#[test]
fn what_ends_again_and_again_is_counted_and_what_is_down_says_why() {
    let fixture = Fixture::tree(&[("loop", "#!/bin/sh\nsleep 0.1\nexit 3\n"), ("web", STEADY)]);
    fixture.up("web");
    let looping =
        || Some(()).filter(|()| fixture.state("loop").is_some_and(|state| state["exits"].as_u64() >= Some(3)));
    until("three exits", looping);
    let seen = fixture.svctl(&["--json", "status"]).json();
    let of = |name: &str| seen.as_array().unwrap().iter().find(|row| row["module"] == name).unwrap().clone();
    assert_eq!((of("loop")["flapping"].as_bool(), of("web")["flapping"].as_bool()), (Some(true), Some(false)));
    assert!(of("loop")["starts"].as_u64() > of("loop")["restarts"].as_u64());
    assert!(fixture.svctl(&["status"]).out.contains("flapping: "));
    fixture.expect(0, &["disable", "web"]);
    let web = fixture.state("web").unwrap();
    assert_eq!(web["reason"], "stopped by command; disabled: there is a down file");
    assert_eq!((web["enabled"].as_bool(), web["exits"].as_u64()), (Some(false), Some(0)));
}

#[test]
fn a_stop_that_somebody_overtakes_ends_soon_and_says_so() {
    let run = "#!/bin/sh\ntrap 'while ! test -e go; do sleep 0.02; done; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done\n";
    let fixture = Fixture::tree(&[("web", run)]);
    until("the trap is set", || std::fs::read(fixture.status.join("web/__stdout")).ok().filter(|out| !out.is_empty()));
    let stopping = fixture.command(&["-w", "60", "stop", "web"]).stdout(Stdio::piped()).spawn().unwrap();
    until("it is being stopped", || fixture.state("web").filter(|state| state["state"] == "stopping"));
    let begun = Instant::now();
    fixture.expect(0, &["-w", "0", "start", "web"]);
    std::fs::write(fixture.services.join("web/go"), "").unwrap();
    let output = stopping.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(told, "fail: web: stopped, and wanted up again meanwhile\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn so_does_a_start() {
    let mut fixture = Fixture::with(&[("web", STEADY), ("db", STEADY)]);
    std::fs::write(fixture.services.join("supervise.conf"), "[web]\nneeds : db\n").unwrap();
    std::fs::write(fixture.services.join("db/down"), "").unwrap();
    fixture.start_tree();
    until("web waits", || fixture.state("web").filter(|state| state["state"] == "waiting"));
    let before = fixture.state("web").unwrap()["commands"].as_u64();
    let starting = fixture.command(&["-w", "60", "start", "--no-deps", "web"]).stdout(Stdio::piped()).spawn().unwrap();
    until("it is told", || fixture.state("web").filter(|state| state["commands"].as_u64() > before));
    let begun = Instant::now();
    fixture.expect(0, &["stop", "web"]);
    let output = starting.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(told, "fail: web: wanted down again meanwhile: stopped by command\n");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
