//! What runit's and daemontools' tools say of a service, in every state and for every command: the same as beside it
//! for a real `runsv`.

use crate::common::*;
use crate::fixture::*;

const TOOLS: [&str; 5] = ["runsv", "sv", "svc", "svstat", "svok"];
const STATUS: [&str; 3] = ["sv", "status", "web"];
const STAT: [&str; 2] = ["svstat", "web"];

/// Ends on TERM, a moment later.
const POLITE: &str = "trap 'kill $!; exit 0' TERM; sleep 1000 & wait";
/// Does not end on TERM, but says that it is ready to hear it.
const DEAF: &str = "trap '' TERM; : > ready; exec sleep 1000";

#[test]
fn up_down_and_up_again() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", POLITE)]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    pair.comes_to(&STAT, "web: up (pid P) T seconds\nexit 0");
    pair.says(&["svok", "web"], "exit 0");
    pair.says(&["sv", "stop", "web"], "ok: down: web: Ts, normally up\nexit 0");
    pair.comes_to(&STATUS, "down: web: Ts, normally up\nexit 0");
    pair.comes_to(&STAT, "web: down T seconds, normally up\nexit 0");
    pair.says(&["sv", "stop", "web"], "ok: down: web: Ts, normally up\nexit 0");
    pair.says(&["sv", "start", "web"], "ok: run: web: (pid P) Ts\nexit 0");
    pair.says(&["sv", "start", "web"], "ok: run: web: (pid P) Ts\nexit 0");
    pair.says(&["sv", "-v", "down", "web"], "ok: down: web: Ts, normally up\nexit 0");
    pair.says(&["sv", "-v", "up", "web"], "ok: run: web: (pid P) Ts\nexit 0");
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
}

#[test]
fn restart_gives_a_new_pid() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", POLITE)]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    for verb in ["restart", "try-restart", "force-reload", "force-restart"] {
        pair.a_second_later();
        let before = pair.pids();
        pair.says(&["sv", verb, "web"], "ok: run: web: (pid P) Ts\nexit 0");
        let after = pair.pids();
        assert!(before[0] != after[0] && before[1] != after[1], "{verb}: {before:?} {after:?}");
    }
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    // One that is down stays so, or comes up.
    pair.says(&["sv", "stop", "web"], "ok: down: web: Ts, normally up\nexit 0");
    pair.a_second_later();
    pair.says(&["sv", "try-restart", "web"], "ok: down: web: Ts, normally up\nexit 0");
    pair.says(&["sv", "restart", "web"], "ok: run: web: (pid P) Ts\nexit 0");
}

#[test]
fn a_down_file() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", POLITE), ("down", "")]);
    pair.comes_to(&STATUS, "down: web: Ts\nexit 0");
    pair.comes_to(&STAT, "web: down T seconds\nexit 0");
    pair.does(&["svc", "-u", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, normally down\nexit 0");
    pair.comes_to(&STAT, "web: up (pid P) T seconds, normally down\nexit 0");
}

#[test]
fn once() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", "echo run >> calls; read line < go; exit 0"), ("down", "")]);
    for svdir in pair.both() {
        let go = svdir.join("web/go");
        nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    pair.a_second_later();
    pair.says(&["sv", "-v", "once", "web"], "ok: run: web: (pid P) Ts, normally down, want down\nexit 0");
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, normally down, want down\nexit 0");
    pair.comes_to(&STAT, "web: up (pid P) T seconds, normally down, want down\nexit 0");
    for svdir in pair.both() {
        std::fs::write(svdir.join("web/go"), "\n").unwrap();
    }
    pair.comes_to(&STATUS, "down: web: Ts\nexit 0");
    pair.wait_calls("run");
    // Of one that runs, it only means that there is no next time.
    pair.says(&["sv", "start", "web"], "ok: run: web: (pid P) Ts, normally down\nexit 0");
    pair.does(&["svc", "-o", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, normally down, want down\nexit 0");
}

#[test]
fn pause_and_continue() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", "exec sleep 1000")]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    pair.does(&["sv", "pause", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, paused\nexit 0");
    pair.comes_to(&STAT, "web: up (pid P) T seconds, paused\nexit 0");
    for pid in pair.pids() {
        wait_for("it to be stopped", &place, || is_stopped(pid));
    }
    pair.does(&["sv", "cont", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    for pid in pair.pids() {
        wait_for("it to go on", &place, || !is_stopped(pid));
    }
    // A stop reaches one that is paused. What runsv then keeps to say of nobody (`down, paused`), we do not.
    pair.does(&["svc", "-p", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, paused\nexit 0");
    pair.does(&["svc", "-c", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    pair.does(&["svc", "-p", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, paused\nexit 0");
    pair.does(&["svc", "-d", "web"]);
    pair.comes_to_say(&STATUS, "down: web: Ts, normally up\nexit 0");
    assert_eq!(place.module("web/supervise").text("stat"), "down\n");
    pair.says(&["sv", "start", "web"], "ok: run: web: (pid P) Ts\nexit 0");
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
}

#[test]
fn one_that_does_not_end() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", DEAF)]);
    for svdir in pair.both() {
        wait_for("it to be deaf", &place, || svdir.join("web/ready").exists());
    }
    pair.does(&["svc", "-t", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, got TERM\nexit 0");
    pair.a_second_later();
    pair.says(&["sv", "-w", "1", "restart", "web"], "timeout: run: web: (pid P) Ts, got TERM\nexit 1");
    pair.says(&["sv", "-w", "1", "stop", "web"], "timeout: run: web: (pid P) Ts, want down, got TERM\nexit 1");
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, want down, got TERM\nexit 0");
    pair.comes_to(&STAT, "web: up (pid P) T seconds, want down\nexit 0");
    pair.says(&["sv", "-w", "1", "force-stop", "web"], "kill: run: web: (pid P) Ts, want down, got TERM\nexit 1");
    pair.comes_to(&STATUS, "down: web: Ts, normally up\nexit 0");
}

#[test]
fn force_restart_and_force_shutdown_kill_one_that_does_not_end() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", DEAF)]);
    let ready = |gone: bool| {
        for svdir in pair.both() {
            let ready = svdir.join("web/ready");
            wait_for("it to be deaf", &place, || ready.exists());
            if gone {
                std::fs::remove_file(ready).unwrap();
            }
        }
    };
    ready(true);
    pair.a_second_later();
    pair.says(&["sv", "-w", "1", "force-restart", "web"], "kill: run: web: (pid P) Ts, got TERM\nexit 1");
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    ready(false);
    pair.says(&["sv", "-w", "1", "force-shutdown", "web"], "kill: run: web: (pid P) Ts, want down, got TERM\nexit 1");
    pair.comes_to_say(&STATUS, "fail: web: runsv not running\nexit 1");
}

#[test]
fn while_finish_runs() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", POLITE), ("finish", "while ! [ -e done ]; do sleep 0.02; done")]);
    let finish = |there: bool| {
        for svdir in pair.both() {
            let done = svdir.join("web/done");
            let _ = if there { std::fs::write(done, "") } else { std::fs::remove_file(done) };
        }
    };
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    pair.does(&["sv", "kill", "web"]);
    // Whether it is wanted up shows only where it is not.
    pair.comes_to(&STATUS, "finish: web: (pid P) Ts\nexit 0");
    pair.comes_to(&STAT, "web: up (pid P) T seconds\nexit 0");
    finish(true);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    finish(false);
    pair.says(&["sv", "-w", "1", "stop", "web"], "timeout: finish: web: (pid P) Ts, want down\nexit 1");
    pair.comes_to(&STATUS, "finish: web: (pid P) Ts, want down\nexit 0");
    finish(true);
    pair.comes_to(&STATUS, "down: web: Ts, normally up\nexit 0");
}

#[test]
fn check_decides_about_start_restart_and_check() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", POLITE), ("check", "[ -e good ]")]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    pair.says(&["sv", "-w", "1", "check", "web"], "timeout: run: web: (pid P) Ts\nexit 1");
    pair.says(&["sv", "-w", "1", "start", "web"], "timeout: run: web: (pid P) Ts\nexit 1");
    pair.says(&["sv", "-w", "1", "restart", "web"], "timeout: run: web: (pid P) Ts\nexit 1");
    for svdir in pair.both() {
        std::fs::write(svdir.join("web/good"), "").unwrap();
    }
    for verb in ["check", "start", "restart"] {
        pair.says(&["sv", verb, "web"], "ok: run: web: (pid P) Ts\nexit 0");
    }
    pair.does(&["svc", "-d", "web"]);
    pair.comes_to(&STATUS, "down: web: Ts, normally up\nexit 0");
    pair.says(&["sv", "check", "web"], "ok: down: web: Ts, normally up\nexit 0");
}

#[test]
fn exit_stops_it_first() {
    if !installed(&TOOLS) {
        return;
    }
    for words in [["sv", "exit", "web"], ["svc", "-x", "web"], ["sv", "shutdown", "web"]] {
        let place = Place::new();
        let pair = Pair::start(&place, &[("run", POLITE)]);
        pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
        let pids = pair.pids();
        let expected = if words[1] == "shutdown" { "ok: web: runsv not running\nexit 0" } else { "exit 0" };
        pair.says(&words, expected);
        pair.comes_to_say(&STATUS, "fail: web: runsv not running\nexit 1");
        assert!(pids.iter().all(|pid| !is_alive(*pid)));
        pair.says(&["svok", "web"], "exit 100");
        pair.says(&STAT, "web: supervise not running\nexit 0");
        pair.says(&["sv", "start", "web"], "fail: web: runsv not running\nexit 1");
        pair.says(&["sv", "exit", "web"], "ok: web: runsv not running\nexit 0");
    }
}

#[test]
fn exit_while_it_does_not_end() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", DEAF)]);
    for svdir in pair.both() {
        wait_for("it to be deaf", &place, || svdir.join("web/ready").exists());
    }
    pair.does(&["sv", "exit", "web"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts, want down, got TERM\nexit 0");
    assert_eq!(place.module("web/supervise").text("stat"), "run, got TERM, want exit\n");
}

#[test]
fn a_run_that_cannot_be_started() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", "#!/nowhere\n")]);
    pair.comes_to(&STATUS, "down: web: Ts, normally up, want up\nexit 0");
    pair.comes_to(&STAT, "web: down T seconds, normally up, want up\nexit 0");
    pair.says(&["sv", "-w", "1", "start", "web"], "timeout: down: web: Ts, normally up, want up\nexit 1");
    // runsv sleeps for a second after each; until then, it shows what was.
    pair.does(&["sv", "stop", "web"]);
    pair.comes_to(&STATUS, "down: web: Ts, normally up\nexit 0");
}

#[test]
fn every_signal_arrives() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let run = "for s in TERM INT HUP ALRM QUIT USR1 USR2; do trap \"echo $s >> calls\" $s; done
        sleep 1000 & echo ready >> calls; while :; do wait $!; done";
    let pair = Pair::start(&place, &[("run", run)]);
    pair.wait_calls("ready");
    let mut expected = "ready".to_string();
    let by_svc =
        [("-t", "TERM"), ("-i", "INT"), ("-h", "HUP"), ("-a", "ALRM")].map(|(flag, s)| (["svc", flag, "web"], s));
    let by_sv = [
        ("term", "TERM"),
        ("interrupt", "INT"),
        ("hup", "HUP"),
        ("reload", "HUP"),
        ("alarm", "ALRM"),
        ("quit", "QUIT"),
        ("1", "USR1"),
        ("2", "USR2"),
    ]
    .map(|(verb, s)| (["sv", verb, "web"], s));
    for (words, signal) in by_svc.into_iter().chain(by_sv) {
        pair.does(&words);
        expected = format!("{expected} {signal}");
        pair.wait_calls(&expected);
    }
    let before = pair.pids();
    pair.does(&["svc", "-k", "web"]);
    expected += " ready";
    pair.wait_calls(&expected);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    assert!(pair.pids().iter().zip(before).all(|(now, then)| *now != then));
}

#[test]
fn a_service_with_a_logger() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", "echo hello; exec sleep 1000"), ("log/run", "exec cat >> got")]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts; run: log: (pid P) Ts\nexit 0");
    pair.says(&["svok", "web/log"], "exit 0");
    pair.does(&["sv", "down", "web/log"]);
    pair.comes_to_say(&["sv", "status", "web/log"], "down: web/log: Ts, normally up\nexit 0");
    pair.comes_to(&STATUS, "run: web: (pid P) Ts; down: log: Ts, normally up\nexit 0");
    pair.does(&["sv", "up", "web/log"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts; run: log: (pid P) Ts\nexit 0");
    // A logger is not told to exit alone.
    pair.does(&["sv", "exit", "web/log"]);
    pair.does(&["sv", "hup", "web/log"]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts; run: log: (pid P) Ts\nexit 0");
    pair.does(&["sv", "exit", "web"]);
    pair.comes_to_say(&["sv", "status", "web/log"], "fail: web/log: runsv not running\nexit 1");
    pair.wait_same("what was logged", |svdir| std::fs::read_to_string(svdir.join("web/log/got")).unwrap_or_default());
}

#[test]
fn the_seconds_are_the_same() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", POLITE), ("finish", "while ! [ -e done ]; do sleep 0.02; done")]);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    let seconds = |svdir: &std::path::Path| -> i64 {
        let said = tool(svdir, &STATUS);
        let word = said
            .split([' ', '\n', ','])
            .find(|word| word.strip_suffix('s').is_some_and(|number| number.parse::<i64>().is_ok()));
        word.and_then(|word| word.trim_end_matches('s').parse().ok()).unwrap_or_else(|| panic!("{said}"))
    };
    // A busy machine takes its time between the two, at their start and at each look.
    let both = || pair.both().map(|svdir| seconds(&svdir));
    let [ours, theirs] = both();
    let later = theirs - ours;
    let agree = || {
        let mut theirs = 0;
        wait_for("the same seconds as under runsv", &place, || {
            let [mine, other] = both();
            theirs = other;
            (mine + later - other).abs() <= 1
        });
        theirs
    };
    wait_for("three seconds", &place, || agree() >= 3);
    pair.does(&["sv", "term", "web"]);
    pair.comes_to(&STATUS, "finish: web: (pid P) Ts\nexit 0");
    // Those of `run` go on.
    assert!(agree() >= 3);
    pair.does(&["sv", "down", "web"]);
    let before = agree();
    for svdir in pair.both() {
        std::fs::write(svdir.join("web/done"), "").unwrap();
    }
    pair.comes_to(&STATUS, "down: web: Ts, normally up\nexit 0");
    // They begin anew.
    assert!(both().iter().all(|seconds| *seconds < before));
}

#[test]
fn finish_gets_the_same_two_arguments() {
    if !installed(&TOOLS) {
        return;
    }
    let core = dumps_core();
    for (run, expected) in [
        ("exit 7", "7 0"),
        ("exit 0", "0 0"),
        ("kill -TERM $$", "-1 15"),
        ("kill -KILL $$", "-1 9"),
        ("ulimit -c unlimited; kill -ABRT $$", if core { "-1 134" } else { "-1 6" }),
        ("#!/nowhere\n", "111 0"),
    ] {
        let place = Place::new();
        let finish = "echo \"$1 $2\" >> calls; : > done; while :; do sleep 1; done";
        let pair = Pair::start(&place, &[("run", run), ("finish", finish)]);
        // It hangs, so that there is only one.
        pair.wait_calls(expected);
        pair.comes_to(&STATUS, "finish: web: (pid P) Ts\nexit 0");
    }
}

#[test]
fn as_an_init_script() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = Pair::start(&place, &[("run", POLITE)]);
    // A link of the service's name to `sv` takes the words of an init script, and has its exit codes.
    let sv =
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|dir| dir.join("sv")).find(|sv| sv.is_file());
    std::fs::create_dir(place.path().join("init.d")).unwrap();
    let script = place.path().join("init.d/web");
    std::os::unix::fs::symlink(sv.unwrap(), &script).unwrap();
    let script = script.to_str().unwrap();
    pair.comes_to(&[script, "status"], "run: web: (pid P) Ts\nexit 0");
    pair.says(&[script, "stop"], "ok: down: web: Ts, normally up\nexit 0");
    pair.says(&[script, "status"], "down: web: Ts, normally up\nexit 3");
    pair.says(&[script, "start"], "ok: run: web: (pid P) Ts\nexit 0");
    pair.does(&["sv", "exit", "web"]);
    pair.comes_to_say(&STATUS, "fail: web: runsv not running\nexit 1");
}
