//! The status directory, byte by byte, as scripts made for the C program `supervise` read it
//! (supervise-status(5)).

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a shell prints for `script`, run in the status directory of `module`.
fn shell(place: &Place, module: &Module, script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).current_dir(module.dir()).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}\n{}", place.story());
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// A supervised `sleep`, with its module and the pid of its supervisor.
fn sleeping(place: &Place) -> (Module, u32) {
    let supervisor = place.supervised("some-app", &["-f", "sleep 1000"]);
    (place.module("some-app"), supervisor)
}

#[test]
fn the_directory_has_what_the_document_lists_with_its_modes() {
    let place = Place::new();
    let (app, _) = sleeping(&place);
    app.wait_up(&place);
    wait_for("the log", &place, || app.path("supervise.log").exists());
    app.send("t");
    wait_for("a NOTICE of the end", &place, || app.log().contains("ended"));
    let kind = |name: &str| {
        let metadata = std::fs::symlink_metadata(app.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let kind = metadata.file_type();
        let letter = match () {
            () if kind.is_fifo() => 'p',
            () if kind.is_symlink() => 'l',
            () if kind.is_file() => '-',
            () => '?',
        };
        (letter, metadata.permissions().mode() & 0o7777)
    };
    for name in ["control", "ok"] {
        assert_eq!(kind(name), ('p', 0o600), "{name}");
    }
    assert_eq!(kind("lock"), ('-', 0o600));
    for name in ["status", "state.json", "__stdout", "__stderr", "supervise.log", "supervise.log.wf"] {
        assert_eq!(kind(name), ('-', 0o644), "{name}");
    }
    assert_eq!(kind("svcontrol").0, 'l');
    assert_eq!(std::fs::read_link(app.path("svcontrol")).unwrap().to_str(), Some("control"));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(app.dir()), mode(&place.status_root())), (0o700, 0o755));
    assert_eq!(app.text("supervise.log.wf"), "", "nothing was wrong");
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let place = Place::new();
    let script = format!("umask 0; exec {} -p status/web -f 'sleep 1000'", env!("CARGO_BIN_EXE_supervise"));
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    assert!(place.output(command).status.success());
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let mode = |name: &str| std::fs::metadata(web.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        [mode(""), mode("control"), mode("lock"), mode("status"), mode("__stdout")],
        [0o700, 0o600, 0o600, 0o644, 0o644]
    );
    assert_eq!(proc_status(pid, "Umask"), "0000", "the run process has the umask of whoever called");
}

#[test]
fn the_status_file_is_twenty_bytes_and_od_reads_the_pid() {
    let place = Place::new();
    let before = SystemTime::now();
    let (app, _) = sleeping(&place);
    let pid = app.wait_up(&place);
    let after = SystemTime::now();
    assert_eq!(shell(&place, &app, "od -An -j16 -N4 -tu4 status"), pid.to_string());
    let bytes = app.status();
    assert_eq!(bytes.len(), 20);
    assert_eq!(bytes[16..], pid.to_le_bytes(), "little-endian");
    assert_eq!(bytes[12..16], [0, b'u', b'o', 0]);
    let seconds = u64::from_be_bytes(bytes[..8].try_into().unwrap()) - 4_611_686_018_427_387_914;
    let nanoseconds = u32::from_be_bytes(bytes[8..12].try_into().unwrap());
    let at = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    assert!(before <= at && at <= after, "{before:?} {at:?} {after:?}");
    assert_eq!(shell(&place, &app, "od -An -j12 -N4 -tx1 status"), "00 75 6f 00");
}

#[test]
fn each_flag_is_where_scripts_look_for_it() {
    let place = Place::new();
    let (app, _) = sleeping(&place);
    let pid = app.wait_up(&place);
    let flags = |expected: &str| {
        wait_for(&format!("the bytes {expected}"), &place, || {
            shell(&place, &app, "od -An -j12 -N8 -tx1 status").starts_with(expected)
        });
    };
    let stamp = app.status()[..12].to_vec();
    app.send("p");
    flags("01 75 6f 00");
    app.send("c");
    flags("00 75 6f 00");
    app.send("s");
    flags("00 75 78 00");
    app.send("n");
    flags("00 75 6f 00");
    app.send("o");
    flags("00 00 6f 00");
    app.send("u");
    flags("00 75 6f 00");
    assert_eq!(app.status()[..12], stamp, "the time is that of the last change of the pid");
    app.send("d");
    flags("00 64 6f 00 00 00 00 00");
    assert_ne!(app.status()[..12], stamp);
    assert!(!is_alive(pid));
}

#[test]
fn readers_never_see_a_half_written_status() {
    let place = Place::new();
    std::fs::write(place.path().join("supervise.conf"), "[global]\nrestart_delay : 0\n").unwrap();
    let app = place.module("some-app");
    place.supervised("some-app", &["-f", "sleep 1000"]);
    let mut pid = app.wait_up(&place);
    for _ in 0..20 {
        app.send("k");
        wait_for("the next pid", &place, || {
            let bytes = app.status();
            assert_eq!(bytes.len(), 20);
            let state: serde_json::Value =
                serde_json::from_slice(&std::fs::read(app.path("state.json")).unwrap()).unwrap();
            assert_eq!(state["module"], "some-app");
            app.pid() != 0 && app.pid() != pid
        });
        pid = app.pid();
    }
}

#[test]
fn state_json_says_what_twenty_bytes_cannot() {
    let place = Place::new();
    let supervisor = place.supervised("a/b", &["-f", "sleep 1000"]);
    let module = place.module("a/b");
    let pid = module.wait_up(&place);
    let state = module.state();
    assert_eq!(state["module"], "a/b");
    assert_eq!((state["state"].as_str(), state["want"].as_str()), (Some("up"), Some("up")));
    assert_eq!((state["pid"].as_u64(), state["supervisor_pid"].as_u64()), (Some(pid.into()), Some(supervisor.into())));
    assert_eq!(state["definition"], "sleep 1000");
    for (key, expected) in [("paused", false), ("alarm", true)] {
        assert_eq!(state[key], expected, "{key}");
    }
    assert_eq!(state["restarts"], 0);
    for key in ["last_exit", "reason", "next_start", "log_pid"] {
        assert!(state[key].is_null(), "{key}: {state}");
    }
    let since = state["since"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(since).is_ok(), "{since}");
    // The run process of the C program's manual is found from the status file, and its supervisor from /proc.
    let found = shell(
        &place,
        &module,
        "pid=`od -An -j16 -N4 -tu4 status | tr -d ' '`; grep PPid /proc/$pid/status | awk '{print $2}'",
    );
    assert_eq!(found, supervisor.to_string());
}

#[test]
fn svcontrol_takes_commands_from_echo() {
    let place = Place::new();
    let (app, supervisor) = sleeping(&place);
    app.wait_up(&place);
    shell(&place, &app, "echo 'd' > svcontrol");
    app.wait_state(&place, "down");
    shell(&place, &app, "echo u > svcontrol; echo s > control");
    let pid = app.wait_up(&place);
    shell(&place, &app, "echo dx > svcontrol");
    wait_for("the end of both", &place, || !is_alive(supervisor) && !is_alive(pid));
    assert_eq!(app.pid(), 0);
}

#[test]
fn the_lock_names_its_holder_as_fuser_does() {
    let place = Place::new();
    let (app, supervisor) = sleeping(&place);
    // fuser looks for processes that have the file open; it may not be installed, and does no more than this.
    let lock = std::fs::canonicalize(app.path("lock")).unwrap();
    let mut holders = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(descriptors) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        if descriptors.flatten().any(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|to| to == lock)) {
            holders.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    assert_eq!(holders, [supervisor.to_string()], "the supervisor, and not the run process");
    // And the kernel's own list of locks says the same.
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&lock).unwrap());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let held = locks.lines().any(|line| {
        line.contains("FLOCK") && line.contains(&format!(" {supervisor} ")) && line.contains(&format!(":{inode} "))
    });
    assert!(held, "{locks}");
    app.send("dx");
    wait_for("the end", &place, || !is_alive(supervisor));
    let free = Command::new("flock").args(["-n", lock.to_str().unwrap(), "true"]).status().unwrap();
    assert!(free.success(), "the lock is free again");
}

#[test]
fn ok_can_be_opened_for_writing_only_while_supervised() {
    let place = Place::new();
    let (app, supervisor) = sleeping(&place);
    let open = || std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(app.path("ok"));
    assert!(open().is_ok());
    app.send("d");
    app.wait_state(&place, "down");
    assert!(open().is_ok(), "down, but supervised");
    app.send("x");
    wait_for("the end", &place, || !is_alive(supervisor));
    assert_eq!(open().unwrap_err().raw_os_error(), Some(libc::ENXIO));
    let control = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(app.path("control"));
    assert_eq!(control.unwrap_err().raw_os_error(), Some(libc::ENXIO));
}

#[test]
fn what_was_wanted_last_is_written_down_when_term_ends_supervise_just_then() {
    for _ in 0..5 {
        let place = Place::new();
        let (app, supervisor) = sleeping(&place);
        let pid = app.wait_up(&place);
        // Whichever is heard first, what has been heard is known to the next one.
        app.send("d");
        wait_for("d to be carried out", &place, || !is_alive(pid));
        signal(supervisor, "TERM");
        wait_for("the end", &place, || !is_alive(supervisor));
        assert_eq!((app.status()[13], app.state()["want"].as_str()), (b'd', Some("down")));
        assert!(app.log().contains("got SIGTERM: leaving"), "{}", app.log());
        let next = place.supervised("some-app", &["-f", "sleep 1000"]);
        signal(next, "TERM");
    }
}

#[test]
fn what_others_write_into_ok_does_no_harm() {
    let place = Place::new();
    let (app, _) = sleeping(&place);
    let pid = app.wait_up(&place);
    let mut ok = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(app.path("ok")).unwrap();
    std::io::Write::write_all(&mut ok, b"dkx").unwrap();
    drop(ok);
    app.send("p");
    wait_for("the command", &place, || app.status()[12] == 1);
    assert_eq!((app.pid(), app.status()[13]), (pid, b'u'));
}

#[test]
fn log_lines_have_the_documented_form() {
    let place = Place::new();
    std::fs::write(place.path().join("supervise.conf"), "[global]\nrestart_delay : 0.05\nno_such_key : 1\n").unwrap();
    let app = place.module("some-app");
    place.supervised("some-app", &["-f", "sh -c 'sleep 0.02; exit 3'"]);
    wait_for("two ends", &place, || app.text("supervise.log").matches("ended").count() >= 2);
    app.send("dx");
    wait_for("the end", &place, || !app.is_supervised());
    let form = |line: &str, levels: &[&str]| {
        let (level, rest) = line.split_once("] ").unwrap_or_else(|| panic!("{line}"));
        assert!(levels.contains(&&level[1..]) && level.starts_with('['), "{line}");
        let (time, message) = rest.split_at(19);
        assert!(chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").is_ok(), "{line}");
        assert!(message.starts_with(' ') && message.len() > 3, "{line}");
    };
    let (notices, trouble) = (app.text("supervise.log"), app.text("supervise.log.wf"));
    assert!(notices.ends_with('\n') && trouble.ends_with('\n'));
    notices.lines().for_each(|line| form(line, &["NOTICE"]));
    trouble.lines().for_each(|line| form(line, &["WARNING", "FATAL"]));
    assert!(notices.contains("started, pid "), "{notices}");
    assert!(notices.contains("exit code 3; restarting in "), "what happens next: {notices}");
    assert!(trouble.contains("supervise.conf:3: unknown key no_such_key"), "{trouble}");
}

#[test]
fn a_log_past_sixteen_megabytes_is_renamed() {
    let place = Place::new();
    let app = place.module("some-app");
    std::fs::create_dir_all(app.dir()).unwrap();
    let size = 16 * 1024 * 1024 + 1;
    std::fs::File::create(app.path("supervise.log")).unwrap().set_len(size).unwrap();
    std::fs::write(app.path("supervise.log.1"), "older").unwrap();
    place.supervised("some-app", &["-f", "sleep 1000"]);
    app.wait_text(&place, "supervise.log", "started");
    assert_eq!(std::fs::metadata(app.path("supervise.log.1")).unwrap().len(), size, "the older one is replaced");
    assert!(app.text("supervise.log").starts_with("[NOTICE]"));
    // A log that somebody removes is made anew with the next line.
    std::fs::remove_file(app.path("supervise.log")).unwrap();
    app.send("h");
    app.wait_text(&place, "supervise.log", "HUP sent");
}

#[test]
fn a_log_that_cannot_be_written_is_no_reason_to_stop() {
    let place = Place::new();
    std::fs::write(place.path().join("supervise.conf"), "[global]\nrestart_delay : 0\n").unwrap();
    let app = place.module("some-app");
    // An empty directory in the place of status.new would be taken away.
    for name in ["supervise.log", "supervise.log.wf", "status.new/full"] {
        std::fs::create_dir_all(app.path(name)).unwrap();
    }
    let mut command = supervise_command();
    command.args(["-n", "-p"]).arg(app.dir()).args(["-f", "sleep 1000"]);
    let running = place.start(command);
    wait_for("the service", &place, || app.is_supervised() && processes_of(&place.path().to_string_lossy()).len() >= 2);
    std::fs::remove_dir_all(app.path("status.new")).unwrap();
    app.send("k");
    app.wait_up(&place);
    std::fs::remove_dir(app.path("supervise.log")).unwrap();
    app.send("h");
    app.wait_text(&place, "supervise.log", "HUP sent");
    let said = std::fs::read_to_string(place.path().join("stderr")).unwrap();
    assert_eq!(said.matches("supervise.log: Is a directory").count(), 1, "said once for as long as it lasts: {said}");
    running.kill();
}

#[test]
fn output_goes_into_the_files_directly_and_is_appended() {
    let place = Place::new();
    std::fs::write(place.path().join("supervise.conf"), "[global]\nrestart_delay : 0.05\n").unwrap();
    let app = place.module("some-app");
    place.supervised("some-app", &["-f", "sh -c 'echo out; echo err >&2; exec sleep 1000'"]);
    let pid = app.wait_up(&place);
    for (fd, name) in [("1", "__stdout"), ("2", "__stderr")] {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
        assert_eq!(target, std::fs::canonicalize(app.path(name)).unwrap(), "no copy in between");
        let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & libc::O_APPEND, 0);
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    }
    app.wait_text(&place, "__stderr", "err\n");
    app.send("k");
    app.wait_new_pid(&place, pid);
    wait_for("both runs' output", &place, || {
        app.text("__stdout") == "out\nout\n" && app.text("__stderr") == "err\nerr\n"
    });
}

#[test]
fn the_documents_way_to_end_both_works() {
    let place = Place::new();
    let (app, supervisor) = sleeping(&place);
    let pid = app.wait_up(&place);
    // Word for word from the document, section 2.3.2.
    let recipe = "cd ../..
        pid=`od -d --skip-bytes=16 ./status/some-app/status | awk '{print $2}'`
        pid=`od -An -j16 -N4 -tu4 ./status/some-app/status | tr -d ' '`
        sv_pid=`grep 'PPid' /proc/$pid/status | awk '{print $2}'`
        kill -15 $sv_pid
        kill -15 $pid";
    shell(&place, &app, recipe);
    wait_for("the end of both", &place, || !is_alive(supervisor) && !is_alive(pid));
    holds_for(Duration::from_millis(100), "nothing comes back", &place, || {
        processes_of(&place.path().to_string_lossy()).is_empty()
    });
    // And the directory can be used again at once.
    place.supervised("some-app", &["-f", "sleep 1000"]);
    app.wait_new_pid(&place, pid);
}

#[test]
fn the_child_killed_before_its_supervisor_is_restarted_by_it() {
    let place = Place::new();
    std::fs::write(place.path().join("supervise.conf"), "[global]\nrestart_delay : 0\n").unwrap();
    let (app, supervisor) = sleeping(&place);
    let pid = app.wait_up(&place);
    shell(&place, &app, "kill -9 `od -An -j16 -N4 -tu4 status`");
    let next = app.wait_new_pid(&place, pid);
    assert_eq!(proc_stat(next, 4), i64::from(supervisor));
    assert_eq!(app.state()["restarts"], 1);
}
