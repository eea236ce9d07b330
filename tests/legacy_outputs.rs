//! The files of a status directory that somebody has prepared: links, FIFOs, devices, an owner, a umask (supervise(8)).

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// Says something on both outputs.
const TALK: &str = "echo out; echo err >&2; exec sleep 1000";

/// A status directory, prepared.
fn prepared(place: &Place, script: &str) -> Module {
    common::script(&place.path().join("app"), TALK);
    let app = place.module("app");
    std::fs::create_dir_all(app.dir()).unwrap();
    std::fs::set_permissions(app.dir(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let done = Command::new("sh").args(["-ec", script]).current_dir(app.dir()).status().unwrap();
    assert!(done.success(), "{script}");
    app
}

fn text(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path().join(name)).unwrap_or_default()
}

// ----- links, FIFOs and devices --------------------------------------------------------------------------------------

#[test]
fn an_administrators_links_are_followed() {
    let place = Place::new();
    let app = prepared(
        &place,
        "for name in __stdout __stderr supervise.log supervise.log.wf; do ln -s ../../elsewhere-$name $name; done",
    );
    std::fs::write(place.path().join("elsewhere-__stdout"), "before\n").unwrap();
    place.supervised("app", &["-f", "./app"]);
    let pid = app.wait_up(&place);
    wait_for("the output", &place, || text(&place, "elsewhere-__stdout") == "before\nout\n");
    wait_for("the errors", &place, || text(&place, "elsewhere-__stderr") == "err\n");
    wait_for("the notice", &place, || text(&place, "elsewhere-supervise.log").contains(&format!("started, pid {pid}")));
    assert_eq!(text(&place, "elsewhere-supervise.log.wf"), "");
    assert!(app.path("__stdout").is_symlink() && app.path("supervise.log").is_symlink());
}

#[test]
fn links_to_dev_null_are_a_way_to_keep_nothing() {
    let place = Place::new();
    let app = prepared(
        &place,
        "for name in __stdout __stderr supervise.log supervise.log.wf; do ln -s /dev/null $name; done",
    );
    let output = place.supervise("app", &["-f", "./app"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let pid = app.wait_up(&place);
    for fd in [1, 2] {
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap(), Path::new("/dev/null"));
    }
}

#[test]
fn a_fifo_takes_the_output_with_or_without_a_reader() {
    let place = Place::new();
    let app = prepared(&place, "mkfifo __stdout");
    place.supervised("app", &["-f", "./app"]);
    let pid = app.wait_up(&place);
    let mut reader = Command::new("head");
    reader.args(["-n", "1"]).arg(app.path("__stdout"));
    let output = place.output(reader);
    assert_eq!(output.stdout, b"out\n", "what was said waits for its reader");
    assert!(is_alive(pid));
    assert_eq!(app.text("supervise.log.wf"), "");
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/1")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    assert_eq!(i32::from_str_radix(flags, 8).unwrap() & libc::O_NONBLOCK, 0);
}

#[test]
fn a_log_may_be_a_fifo_that_somebody_reads() {
    let place = Place::new();
    let app = prepared(&place, "mkfifo supervise.log");
    let mut options = std::fs::OpenOptions::new();
    let mut reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(app.path("supervise.log")).unwrap();
    place.supervised("app", &["-f", "./app"]);
    app.wait_up(&place);
    let mut read = Vec::new();
    wait_for("the notice", &place, || {
        // It says WouldBlock while somebody has it open and nothing comes.
        let _ = reader.read_to_end(&mut read);
        String::from_utf8_lossy(&read).contains("started, pid ")
    });
}

#[test]
fn where_others_may_write_a_link_is_refused_and_that_is_said_everywhere() {
    let place = Place::new();
    let app = prepared(&place, "ln -s ../../precious __stdout; ln -s ../../precious supervise.log; chmod 0777 .");
    std::fs::write(place.path().join("precious"), "precious").unwrap();
    let output = place.supervise("app", &["-f", "./app"]);
    assert!(output.status.success());
    app.wait_up(&place);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("supervise.log: Too many symbolic links"), "before it detaches: {said}");
    app.wait_text(&place, "supervise.log.wf", "supervise.log: Too many symbolic links");
    app.wait_text(&place, "supervise.log.wf", "__stdout: ");
    assert_eq!(text(&place, "precious"), "precious");
}

#[test]
fn a_log_that_cannot_be_written_is_told_in_the_other_one() {
    for (bad, other) in [("supervise.log", "supervise.log.wf"), ("supervise.log.wf", "supervise.log")] {
        let place = Place::new();
        let app = prepared(&place, &format!("mkdir {bad}"));
        let output = place.supervise("app", &["-f", "./app"]);
        assert!(output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("{bad}: Is a directory")), "{said}");
        app.wait_text(&place, other, &format!("{bad}: Is a directory"));
    }
}

/// What is not a plain file in the directory is the administrator's to rotate.
#[test]
fn a_linked_log_is_never_renamed() {
    let place = Place::new();
    let app = prepared(&place, "ln -s ../../big supervise.log");
    let size = 16 * 1024 * 1024 + 1;
    std::fs::File::create(place.path().join("big")).unwrap().set_len(size).unwrap();
    place.supervised("app", &["-f", "./app"]);
    app.wait_up(&place);
    wait_for("the notice", &place, || std::fs::metadata(place.path().join("big")).unwrap().len() > size);
    assert!(app.path("supervise.log").is_symlink() && !app.path("supervise.log.1").exists());
}

// ----- the umask -----------------------------------------------------------------------------------------------------

#[test]
fn files_obey_the_callers_umask() {
    let all = [
        "",
        "control",
        "ok",
        "lock",
        "status",
        "state.json",
        "__stdout",
        "__stderr",
        "supervise.log",
        "supervise.log.wf",
    ];
    for (umask, dir, fifo, file) in [
        (0o000, 0o700, 0o600, 0o644),
        (0o022, 0o700, 0o600, 0o644),
        (0o077, 0o700, 0o600, 0o600),
        (0o137, 0o640 & 0o700, 0o600, 0o640),
    ] {
        let place = Place::new();
        if umask & 0o100 != 0 && !nix::unistd::geteuid().is_root() {
            continue;
        }
        script(&place.path().join("app"), TALK);
        std::fs::create_dir(place.status_root()).unwrap();
        let line = format!("umask {umask:03o}; exec {} -p status/app -f ./app", env!("CARGO_BIN_EXE_supervise"));
        let mut command = Command::new("sh");
        command.args(["-c", &line]);
        assert!(place.output(command).status.success());
        let app = place.module("app");
        let pid = app.wait_up(&place);
        app.send("p");
        wait_for("a second writing", &place, || app.status()[12] == 1);
        app.send("c");
        wait_for("a third writing", &place, || app.status()[12] == 0);
        for name in all {
            let mode = std::fs::metadata(app.path(name)).unwrap().mode() & 0o7777;
            let expected = match name {
                "" => dir,
                "control" | "ok" | "lock" => fifo,
                _ => file,
            };
            assert_eq!(mode, expected, "{name:?} under {umask:03o}");
        }
        assert_eq!(proc_status(pid, "Umask"), format!("{umask:04o}"));
    }
}

// ----- somebody else's directory -------------------------------------------------------------------------------------

/// Neither we nor root.
const OTHER: u32 = 4711;

fn foreign(place: &Place, script: &str) -> Option<Module> {
    if !nix::unistd::geteuid().is_root() {
        host::skipped("only root can give a directory away");
        return None;
    }
    let app = prepared(place, script);
    for entry in std::fs::read_dir(app.dir()).unwrap().flatten() {
        std::os::unix::fs::lchown(entry.path(), Some(OTHER), Some(OTHER)).unwrap();
    }
    chown(app.dir(), Some(OTHER), Some(OTHER)).unwrap();
    Some(app)
}

#[test]
fn a_directory_of_the_services_user_is_used_with_a_warning() {
    let place = Place::new();
    let Some(app) = foreign(&place, ":") else { return };
    let supervisor = place.supervised("app", &["-f", "./app"]);
    let pid = app.wait_up(&place);
    app.wait_text(&place, "supervise.log.wf", &format!("belongs to uid {OTHER}"));
    app.wait_text(&place, "__stdout", "out\n");
    app.wait_text(&place, "__stderr", "err\n");
    app.send("k");
    let next = app.wait_new_pid(&place, pid);
    assert_eq!(std::fs::metadata(app.path("status")).unwrap().uid(), 0);
    app.send("dx");
    wait_for("the end", &place, || !is_alive(supervisor));
    assert!(!is_alive(next));
    // The paths in it are those that the caller knows.
    assert!(!app.log().contains("/proc/"), "{}", app.log());
}

#[test]
fn nothing_in_it_is_followed() {
    let place = Place::new();
    let links = "for name in __stdout __stderr supervise.log supervise.log.wf lock status status.new state.json state.json.new; do \
        ln -s ../../precious $name; done";
    let Some(app) = foreign(&place, links) else { return };
    std::fs::write(place.path().join("precious"), "precious").unwrap();
    let output = place.supervise("app", &["-f", "./app"]);
    assert_eq!(output.status.code(), Some(111), "a lock that is a link: {output:?}");
    assert_eq!(text(&place, "precious"), "precious");
    std::fs::remove_file(app.path("lock")).unwrap();
    place.supervised("app", &["-f", "./app"]);
    app.wait_up(&place);
    app.send("s");
    wait_for("the command", &place, || app.status()[14] == b'x');
    assert_eq!(text(&place, "precious"), "precious");
}

#[test]
fn a_hard_link_in_it_is_not_written_to() {
    let place = Place::new();
    std::fs::write(place.path().join("precious"), "precious").unwrap();
    let Some(app) = foreign(
        &place,
        "for name in __stdout __stderr supervise.log supervise.log.wf; do ln ../../precious $name; done",
    ) else {
        return;
    };
    place.supervised("app", &["-f", "./app"]);
    app.wait_up(&place);
    app.send("k");
    wait_for("a second start", &place, || app.state()["restarts"] == 1);
    assert_eq!(text(&place, "precious"), "precious");
    signal(app.state()["supervisor_pid"].as_u64().unwrap() as u32, "KILL");
    std::fs::remove_file(app.path("lock")).unwrap();
    std::fs::hard_link(place.path().join("precious"), app.path("lock")).unwrap();
    assert_eq!(place.supervise("app", &["-f", "./app"]).status.code(), Some(111));
    assert_eq!(text(&place, "precious"), "precious");
}

/// What it says of a process may be a lie: it is neither adopted nor signalled.
#[test]
fn nothing_in_it_is_believed() {
    let place = Place::new();
    let Some(app) = foreign(&place, ":") else { return };
    std::fs::write(place.path().join("supervise.conf"), "[global]\nkill_mode : group\n").unwrap();
    let supervisor = place.supervised("app", &["-f", "./app"]);
    let pid = app.wait_up(&place);
    app.send("p");
    wait_for("the pause", &place, || is_stopped(pid));
    signal(supervisor, "KILL");
    wait_for("the end", &place, || !is_alive(supervisor));
    let next = place.supervised("app", &["-f", "./app"]);
    let second = app.wait_new_pid(&place, pid);
    assert_ne!(second, pid);
    assert!(is_alive(pid), "the record is nobody's word");
    app.send("dx");
    wait_for("the end of the second", &place, || !is_alive(next));
    assert!(is_alive(pid));
    assert!(!app.log().contains("adopted"), "{}", app.log());
}

#[test]
fn one_who_is_not_root_leaves_it_alone() {
    let place = Place::new();
    let Some(app) = foreign(&place, "chmod 0777 .") else { return };
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = place.path().join("supervise");
    std::fs::copy(env!("CARGO_BIN_EXE_supervise"), &copy).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=4712", "--regid=4712", "--clear-groups"]).arg(copy).args([
        "-p",
        "status/app",
        "-f",
        "./app",
    ]);
    let output = place.output(command);
    assert_eq!(output.status.code(), Some(111), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("belongs to uid {OTHER}")), "{output:?}");
    assert!(!app.path("lock").exists());
}
