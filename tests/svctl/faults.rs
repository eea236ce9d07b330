//! Dead trees, hostile names, closed pipes, other users' files, modules that come and go.

use crate::fixture::{CommandOutput, Fixture, STEADY, until};
use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn what_is_left_of_a_dead_tree_is_shown_as_such() {
    let mut fixture = Fixture::tree(&[("web", STEADY), ("idle", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["stop", "idle"]);
    let pid = fixture.up("web");
    fixture.crash();
    let answer = fixture.expect(4, &["status"]);
    assert!(answer.out.starts_with("no supervise-tree runs here"), "{answer:?}");
    assert!(answer.out.contains("orphaned") && answer.out.contains("the process runs on"), "{answer:?}");
    let answer = fixture.expect(4, &["restart", "web"]);
    assert!(answer.out.contains(&format!("not supervised; its process (pid {pid}) runs on")), "{answer:?}");
    assert_eq!(fixture.expect(0, &["--json", "wait", "down", "idle"]).json()[0]["status"]["supervised"], false);
    assert_eq!(fixture.expect(4, &["--json", "status", "web"]).json()[0]["supervised"], false);
    // The next tree adopts it, and whoever waits for that sees it.
    let waiting = fixture.command(&["-w", "20", "wait", "up", "web"]).stdout(Stdio::piped()).spawn().unwrap();
    fixture.start_tree();
    let answer = CommandOutput::of(waiting.wait_with_output().unwrap());
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(fixture.pid("web"), Some(pid));
}

#[test]
fn a_supervisor_that_dies_while_it_is_waited_for_is_noticed() {
    let mut fixture = Fixture::tree(&[("deaf", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n")]);
    fixture.up("deaf");
    until("the trap is set", || std::fs::read(fixture.status.join("deaf/__stdout")).ok().filter(|out| !out.is_empty()));
    let waiting = fixture.command(&["-w", "60", "stop", "deaf"]).stdout(Stdio::piped()).spawn().unwrap();
    until("it is being stopped", || fixture.state("deaf").filter(|state| state["state"] == "stopping"));
    let begun = Instant::now();
    fixture.crash();
    let answer = CommandOutput::of(waiting.wait_with_output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(answer.code, 4, "{answer:?}");
}

#[test]
fn a_removed_service_is_no_alarm() {
    let fixture = Fixture::tree(&[("web", STEADY), ("old", STEADY)]);
    fixture.all_up(&["web", "old"]);
    std::fs::remove_dir_all(fixture.services.join("old")).unwrap();
    let answer =
        until("it is removed", || Some(fixture.svctl(&["status"])).filter(|answer| answer.out.contains("removed")));
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.lines().last().unwrap().starts_with("old "), "{answer:?}");
    fixture.expect(4, &["status", "old"]);
    assert!(answer.out.contains("svctl forget old\n"), "{answer:?}");
    let refused = fixture.expect(1, &["forget", "web"]);
    assert!(refused.out.starts_with("fail: web: web is supervised by pid "), "{refused:?}");
    // A glob means what is gone, and nothing else.
    assert!(fixture.expect(0, &["forget", "*"]).out.starts_with("ok: old: forgotten"));
    assert!(!fixture.status.join("old").exists() && fixture.status.join("web").exists());
    fixture.expect(0, &["check", "web"]);
    fixture.expect(4, &["forget", "old"]);
}

#[test]
fn nothing_is_forgotten_that_may_come_back_or_still_runs() {
    let mut fixture = Fixture::tree(&[("web", STEADY)]);
    let pid = fixture.up("web");
    fixture.crash();
    std::fs::remove_dir_all(fixture.services.join("web")).unwrap();
    let answer = fixture.expect(1, &["forget", "web"]);
    assert!(answer.out.contains(&format!("its process (pid {pid}) runs on")), "{answer:?}");
    crate::common::signal(pid, "KILL");
    until("it is gone", || (!crate::common::is_alive(pid)).then_some(()));
    let dir = fixture.fabricate("single", &json!({ "definition": "sleep 1", "state": "down" }));
    let answer = fixture.expect(1, &["forget", "single"]);
    assert!(answer.out.contains("supervise may be started again for `sleep 1`"), "{answer:?}");
    assert!(dir.exists());
}

#[test]
fn a_fifo_without_a_reader_blocks_nobody() {
    let fixture = Fixture::new();
    fixture.fabricate("web", &json!({ "state": "up", "pid": null }));
    let begun = Instant::now();
    for verb in ["stop", "kill", "exit", "reload"] {
        fixture.expect(4, &[verb, "web"]);
    }
    for file in ["control", "ok"] {
        std::fs::remove_file(fixture.status.join("web").join(file)).unwrap();
        std::fs::write(fixture.status.join("web").join(file), "precious").unwrap();
    }
    let answer = fixture.expect(1, &["stop", "web"]);
    assert!(answer.out.contains("control is not a FIFO"), "{answer:?}");
    assert_eq!(std::fs::read_to_string(fixture.status.join("web/control")).unwrap(), "precious");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_fifo_in_the_place_of_a_file_blocks_nobody() {
    let fixture = Fixture::new();
    let dir = fixture.fabricate("web", &json!({ "state": "up" }));
    for file in ["state.json", "status", "__stdout", "__stderr"] {
        let _ = std::fs::remove_file(dir.join(file));
        nix::unistd::mkfifo(&dir.join(file), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    fixture.expect(4, &["status", "web"]);
    fixture.expect(1, &["logs", "web"]);
}

#[test]
fn hostile_names_are_escaped_everywhere_but_in_json() {
    let fixture = Fixture::new();
    let names: [&[u8]; 4] = [b"a b", b"new\nline", b"\x1b[31mred", b"-w"];
    for name in names {
        let name = OsStr::from_bytes(name);
        let dir = fixture.status.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("state.json"), json!({ "state": "down" }).to_string()).unwrap();
    }
    for arguments in
        [&["status"][..], &["stop", "*"], &["logs"], &["check", "*"], &["config", "*"], &["stop", "new\nlines"]]
    {
        let answer = fixture.svctl(arguments);
        let all = answer.out.clone() + &answer.err;
        assert!(!all.contains('\x1b') && !all.contains("\nline") && !all.contains("a b"), "{all}");
    }
    let answer = fixture.expect(4, &["stop", "--", "-w"]);
    assert_eq!(answer.out, "fail: \\x2dw: not supervised\n");
    let json = fixture.expect(4, &["--json", "status"]).json();
    let mut found: Vec<&str> = json.as_array().unwrap().iter().filter_map(|entry| entry["module"].as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["\x1b[31mred", "-w", "a b", "new\nline"]);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let fixture = Fixture::new();
    for n in 0..2000 {
        fixture.fabricate(&format!("module-with-a-long-name-{n}"), &json!({ "state": "down" }));
    }
    for arguments in [&["status"][..], &["--json", "status"], &["stop", "*"], &["completions", "bash"], &["--help"]] {
        let (reading, writing) = std::io::pipe().unwrap();
        drop(reading);
        let child = fixture.command(arguments).stdout(writing).stderr(Stdio::piped()).spawn().unwrap();
        let answer = CommandOutput::of(child.wait_with_output().unwrap());
        assert_eq!(answer.err, "", "{arguments:?}: {answer:?}");
        assert!([0, 4].contains(&answer.code), "{arguments:?}: {answer:?}");
    }
}

#[test]
fn without_a_status_root_it_says_so() {
    let fixture = Fixture::new();
    let answer = fixture.expect(111, &["status"]);
    assert!(answer.err.contains("No such file or directory; name the status root with -p"), "{answer:?}");
    assert_eq!(fixture.expect(111, &["--json", "status"]).out, "[]\n");
    fixture.expect(100, &["no-such-verb"]);
    fixture.expect(100, &["-w", "soon", "start", "web"]);
    fixture.expect(0, &["--help"]);
    fixture.expect(0, &["--version"]);
}

#[test]
fn somebody_elses_files_are_named_with_their_owner() {
    if !nix::unistd::geteuid().is_root() {
        // Not eprintln: the test harness would keep it to itself.
        let text = "SKIPPED: somebody_elses_files_are_named_with_their_owner has to run as root to be two users";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
        return;
    }
    let mut fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let world = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(fixture.path(), world).unwrap();
    // The program may lie where nobody else gets.
    let copy = fixture.path().join("svctl");
    std::fs::copy(crate::fixture::SVCTL, &copy).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).arg("-p").arg(&fixture.status);
        let answer = CommandOutput::of(command.args(arguments).current_dir("/").output().unwrap());
        eprintln!("as nobody: {arguments:?}: {answer:?}");
        answer
    };
    for arguments in [&["stop", "web"][..], &["status", "web"], &["status"], &["wait", "up", "web"], &["check", "web"]]
    {
        let answer = as_nobody(arguments);
        assert_eq!(answer.code, 111, "{answer:?}");
        let all = answer.out + &answer.err;
        assert!(all.contains("web belongs to root (mode 0700); run svctl as root"), "{all}");
    }
    let answer = as_nobody(&["logs", "web"]);
    assert_eq!(answer.code, 111, "{answer:?}");
    assert!(fixture.pid("web").is_some());
    // The other way round: root on a status root that nobody's supervisor made does what its `state.json` names as
    // that user.
    fixture.expect(0, &["shutdown"]);
    let check = fixture.services.join("web/check");
    crate::common::script(&check, "#!/bin/sh\nid -u > /proc/self/fd/3 2>/dev/null; test \"$(id -u)\" = 65534\n");
    fixture.start_tree();
    fixture.expect(0, &["wait", "up", "web"]);
    fixture.expect(1, &["check", "web"]);
    nix::unistd::chown(&fixture.status.join("web/state.json"), Some(65534.into()), Some(65534.into())).unwrap();
    fixture.expect(0, &["check", "web"]);
}

#[test]
fn a_service_that_a_later_tree_has_adopted_is_shown_as_such() {
    let mut fixture = Fixture::tree(&[("web", STEADY)]);
    let pid = fixture.up("web");
    assert_eq!(fixture.expect(0, &["--json", "show", "web"]).json()[0]["adopted"], false);
    fixture.crash();
    fixture.start_tree();
    until("it is adopted", || Some(fixture.svctl(&["check", "web"])).filter(|check| check.code == 0));
    assert_eq!(fixture.pid("web"), Some(pid));
    assert_eq!(fixture.expect(0, &["--json", "show", "web"]).json()[0]["adopted"], true);
    let page = fixture.expect(0, &["show", "web"]).out;
    assert!(page.contains("adopted        an earlier supervisor started it"), "{page}");
}

#[test]
fn modules_that_come_and_go_disturb_nothing() {
    let fixture = Fixture::new();
    for n in 0..20 {
        fixture.fabricate(&format!("m{n}"), &json!({ "state": "down" }));
    }
    let status = fixture.status.clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let until_stopped = stop.clone();
    let churn = std::thread::spawn(move || {
        let state = json!({ "state": "down" }).to_string();
        while !until_stopped.load(std::sync::atomic::Ordering::Relaxed) {
            for n in 0..20 {
                let dir = status.join(format!("m{n}"));
                let _ = std::fs::remove_dir_all(&dir);
                let _ = std::fs::create_dir(&dir);
                let _ = std::fs::write(dir.join("lock"), "");
                let _ = std::fs::write(dir.join("state.json"), &state);
            }
        }
    });
    for _ in 0..30 {
        for arguments in
            [&["status"][..], &["--json", "status"], &["stop", "m*"], &["logs"], &["-w", "0.01", "wait", "up", "m1"]]
        {
            let answer = fixture.svctl(arguments);
            assert!([0, 4].contains(&answer.code), "{arguments:?}: {answer:?}");
            assert!(!answer.err.contains("panicked"), "{answer:?}");
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    churn.join().unwrap();
}
