//! Names in the services root: what is a module's name, and what is passed over.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

#[test]
fn hostile_names_are_just_names() {
    let place = Place::new();
    place.conf(FAST);
    let long = "x".repeat(255);
    let names = [
        "with blank",
        " lead",
        "trail ",
        "-rf",
        "--help",
        "$(touch pwned)",
        "`touch pwned`",
        "a;touch pwned",
        "a'b\"c",
        "*",
        "?",
        "[global]",
        "~",
        "ünïcödé",
        "日本",
        "a\\b",
        "a%sb%n",
        "status",
        "control",
        "log",
        &long,
    ];
    for name in names {
        place.service(name, &[("run", "echo $# $0; exec sleep 1000"), ("finish", "printf '%s\\n' \"$3\" > finished")]);
    }
    let tree = place.tree();
    for name in names {
        let module = place.module(name);
        let pid = module.wait_up(&place);
        assert_eq!(module.state()["module"], name);
        module.wait_text(&place, "__stdout", "0 ./run\n");
        module.send("k");
        module.wait_new_pid(&place, pid);
        let finished = std::fs::read_to_string(place.root().join(name).join("finished")).unwrap();
        assert_eq!(finished, format!("{name}\n"));
    }
    assert!(tree.stop().success());
    for name in names {
        assert!(!place.root().join(name).join("pwned").exists());
    }
    assert!(!place.path().join("pwned").exists());
}

#[test]
fn control_characters_and_bytes_that_are_no_text_are_passed_over_with_one_line_each() {
    let place = Place::new();
    let _tree = place.tree();
    let names: [&[u8]; 5] = [b"new\nline", b"esc\x1b[31mred", b"tab\there", b"bell\x07", b"\xff\xfe"];
    for name in names {
        let dir = place.root().join(std::ffi::OsStr::from_bytes(name));
        script(&dir.join("run"), SLEEP);
    }
    place.run("fine", SLEEP);
    place.module("fine").wait_up(&place);
    wait_for("a line for each", &place, || place.own().log().matches("passed over").count() >= 5);
    // More events on them: no more lines.
    for name in names {
        let dir = place.root().join(std::ffi::OsStr::from_bytes(name));
        std::fs::set_permissions(dir.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    place.run("later", SLEEP);
    place.module("later").wait_up(&place);
    let log = place.own().log();
    assert_eq!(log.matches("passed over").count(), 5, "{log}");
    assert!(!log.contains('\x1b') && !log.contains('\x07'), "{log:?}");
    assert!(log.lines().all(|line| line.starts_with('[')), "one event a line: {log}");
    let started = std::fs::read_dir(place.status_root()).unwrap().count();
    assert_eq!(started, 3, "the tree's own, fine and later");
}

#[test]
fn a_name_that_is_no_text_does_not_stop_one_that_looks_like_it() {
    let place = Place::new();
    let _tree = place.tree();
    place.run("a\u{fffd}", SLEEP);
    let module = place.module("a\u{fffd}");
    let pid = module.wait_up(&place);
    std::fs::create_dir(place.root().join(std::ffi::OsStr::from_bytes(b"a\xff"))).unwrap();
    place.wait_told("passed over");
    place.run("after", SLEEP);
    place.module("after").wait_up(&place);
    assert!(is_alive(pid) && module.is_supervised());
}

#[test]
fn entries_that_are_no_directories_are_passed_over_once() {
    let place = Place::new();
    std::fs::write(place.root().join("file"), "").unwrap();
    nix::unistd::mkfifo(&place.root().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.root().join("socket")).unwrap();
    script(&place.root().join(".hidden/run"), SLEEP);
    place.conf("# nothing\n");
    let tree = place.tree();
    for name in ["file", "fifo", "socket"] {
        place.wait_told(&format!("{name}: passed over: not a directory"));
    }
    std::fs::write(place.root().join("file"), "changed").unwrap();
    place.run("web", SLEEP);
    place.module("web").wait_up(&place);
    assert_eq!(place.own().log().matches("file: passed over").count(), 1);
    assert!(!place.own().text("supervise.log.wf").contains("passed over"), "a README is no reason for a warning");
    assert!(
        !place.own().log().contains("hidden") && !place.own().log().contains("supervise.conf"),
        "{}",
        place.own().log()
    );
    // A file in the place of a service: the service is gone.
    std::fs::rename(place.root().join("web"), place.path().join("old")).unwrap();
    std::fs::write(place.root().join("web"), "").unwrap();
    wait_for("the end", &place, || !place.module("web").is_supervised());
    // And a directory in the place of the file.
    std::fs::remove_file(place.root().join("file")).unwrap();
    place.run("file", SLEEP);
    place.module("file").wait_up(&place);
    assert!(tree.stop().success());
}

// ----- rescans -------------------------------------------------------------------------------------------------
