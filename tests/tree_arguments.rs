//! The command line of `supervise-tree`: every wrong argument is one line and an exit code, and a standard error that
//! nobody reads holds nothing up.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::skipped;
use common::*;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

/// What the smallest pipe holds, in bytes.
const PIPE_SIZE: usize = 4096;

/// Runs `supervise-tree` to its end, which is to come at once.
fn tree(place: &Place, arguments: &[&OsStr]) -> Output {
    let mut command = tree_command();
    command.args(arguments).env_remove("SUPERVISE_STATUS");
    place.output(command)
}

fn words<'a>(words: &[&'a str]) -> Vec<&'a OsStr> {
    words.iter().map(|word| OsStr::new(*word)).collect()
}

/// Asserts that it has said one line, with `said` in it, and has ended with `code`.
fn refused(place: &Place, arguments: &[&OsStr], code: i32, said: &str) {
    let output = tree(place, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("supervise-tree: ") && stderr.contains(said), "{arguments:?}: {stderr}");
    assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "{arguments:?}: one line: {stderr}");
    assert!(!stderr.trim_end().contains(|letter: char| letter.is_control()), "{arguments:?}: {stderr:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

// ----- wrong usage: 100 ------------------------------------------------------------------------------------------

#[test]
fn every_wrong_argument_exits_100_with_one_line() {
    let place = Place::new();
    place.run("web", SLEEP);
    for (arguments, said) in [
        (&[][..], "not provided: <ROOT>"),
        (&["-p", "status"], "not provided: <ROOT>"),
        (&["-F", "conf"], "not provided: <ROOT>"),
        (&["sv", "-p"], "'-p <STATUS_ROOT>'"),
        (&["sv", "-F"], "'-F <CONF>'"),
        (&["sv", "other"], "'other'"),
        (&["-p", "status", "-p", "other", "sv"], "'-p <STATUS_ROOT>'"),
        (&["-F", "a", "-F", "b", "sv"], "'-F <CONF>'"),
        (&["-q", "-v", "sv"], "'--quiet' cannot be used with '--verbose'"),
        (&["-q", "-q", "sv"], "'--quiet'"),
        (&["--quiet=1", "sv"], "'--quiet'"),
        (&["-z", "sv"], "'-z'"),
        (&["-f", "sleep 1", "sv"], "'-f'"),
        (&["--nonsense", "sv"], "'--nonsense'"),
        (&["--verbos", "sv"], "'--verbose'"),
        (&["--bell\x07", "sv"], "'--bell"),
        (&["--handover=x", "sv"], "'x'"),
        (&[""], "[ROOT]"),
        (&["-p", "", "sv"], "'-p <STATUS_ROOT>'"),
        (&["-F", "", "sv"], "'-F <CONF>'"),
    ] {
        refused(&place, &words(arguments), 100, said);
    }
    assert!(!place.status_root().exists(), "nothing is made");
}

#[test]
fn arguments_that_are_no_text_are_arguments_like_others() {
    let place = Place::new();
    let strange = OsStr::from_bytes(b"sv\xff");
    refused(&place, &[OsStr::from_bytes(b"--no\xff"), OsStr::new("sv")], 100, "--no");
    refused(&place, &[strange], 111, "No such file or directory");
    // And work where they are right.
    script(&place.path().join(strange).join("web/run"), SLEEP);
    let mut command = tree_command();
    command.arg("-p").arg(place.path().join(OsStr::from_bytes(b"status\xff"))).arg(strange);
    let tree = place.start(command);
    let status = place.path().join(OsStr::from_bytes(b"status\xff/web/status"));
    wait_for("the service", &place, || std::fs::read(&status).is_ok_and(|bytes| bytes[16..20] != [0; 4]));
    assert!(tree.stop().success());
}

#[test]
fn help_and_version_answer_on_standard_output() {
    let place = Place::new();
    for arguments in [["-h"], ["--help"], ["-V"], ["--version"]] {
        let output = tree(&place, &words(&arguments));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{arguments:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let expected = if arguments[0].to_lowercase().contains('v') { env!("CARGO_PKG_VERSION") } else { "<ROOT>" };
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
    assert!(!place.status_root().exists());
}

// ----- the root and the status root -------------------------------------------------------------------------------

#[test]
fn a_root_that_is_not_there_exits_111_naming_it() {
    let place = Place::new();
    symlink("nowhere", place.path().join("broken")).unwrap();
    symlink("circle", place.path().join("circle")).unwrap();
    for (root, said) in [
        ("none", "none: No such file or directory"),
        ("broken", "broken: No such file or directory"),
        ("circle", "circle: Too many symbolic links encountered"),
    ] {
        refused(&place, &words(&[root]), 111, said);
    }
    refused(&place, &words(&["--", "-dash"]), 111, "/-dash: No such file or directory");
    assert!(!place.status_root().exists(), "nothing is made");
}

#[test]
fn a_root_that_is_not_a_directory_exits_100_naming_it() {
    let place = Place::new();
    std::fs::write(place.path().join("file"), "").unwrap();
    for (root, said) in [
        ("file", "file is not a directory"),
        ("file/below", "file/below is not a directory"),
        ("/dev/null", "/dev/null is not a directory"),
    ] {
        refused(&place, &words(&[root]), 100, said);
    }
    assert!(!place.status_root().exists(), "nothing is made");
}

#[test]
fn a_status_root_that_cannot_be_made_exits_110_naming_it() {
    let place = Place::new();
    place.run("web", SLEEP);
    std::fs::write(place.path().join("file"), "").unwrap();
    for (root, said) in [
        ("file", "file/.supervise-tree: "),
        ("file/below", "file/below/.supervise-tree: Not a directory"),
        ("/proc/nothing", "/proc/nothing/.supervise-tree: "),
        (&"x".repeat(300), ".supervise-tree: File name too long"),
    ] {
        refused(&place, &words(&["-p", root, "sv"]), 110, said);
    }
    // A file where the tree's own directory is to be.
    std::fs::create_dir(place.status_root()).unwrap();
    std::fs::write(place.status_root().join(".supervise-tree"), "").unwrap();
    refused(&place, &words(&["sv"]), 110, "status/.supervise-tree: ");
    if nix::unistd::geteuid().is_root() {
        return skipped("root may write everywhere");
    }
    std::fs::create_dir(place.path().join("closed")).unwrap();
    std::fs::set_permissions(place.path().join("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    refused(&place, &words(&["-p", "closed", "sv"]), 110, "closed/.supervise-tree: Permission denied");
}

#[test]
fn a_second_tree_on_one_status_root_exits_111_naming_the_first() {
    let place = Place::new();
    place.run("web", SLEEP);
    let first = place.tree();
    let pid = place.module("web").wait_up(&place);
    symlink("status", place.path().join("alias")).unwrap();
    std::fs::create_dir(place.path().join("other")).unwrap();
    let named = format!("already in use by supervise-tree, pid {}", first.pid());
    for arguments in
        [["-p", "status", "sv"], ["-p", "alias", "sv"], ["-p", "sv/../status/", "sv"], ["-p", "status", "other"]]
    {
        refused(&place, &words(&arguments), 111, &named);
    }
    assert!(is_alive(pid) && place.module("web").is_supervised());
    assert_eq!(place.module("web").pid(), pid);
    assert!(first.stop().success());
    // And the status root is free when the tree has ended.
    let next = place.tree();
    place.module("web").wait_new_pid(&place, pid);
    assert!(next.stop().success());
}

#[test]
fn two_trees_on_one_root_with_two_status_roots_do_not_know_of_each_other() {
    let place = Place::new();
    place.run("web", SLEEP);
    let first = place.tree();
    let mut command = tree_command();
    command.args(["-p", "elsewhere", "sv"]);
    let second = place.start(command);
    let other = place.path().join("elsewhere/web/status");
    let pid = place.module("web").wait_up(&place);
    wait_for("the other one", &place, || {
        std::fs::read(&other).is_ok_and(|bytes| bytes.len() == 20 && bytes[16..20] != [0; 4])
    });
    assert!(second.stop().success());
    assert!(is_alive(pid));
    assert!(first.stop().success());
}

// ----- where the status root is ----------------------------------------------------------------------------------

#[test]
fn the_status_root_is_p_else_the_environments_else_status_here() {
    for (option, variable, expected) in [
        (Some("asked"), Some("meant"), "asked"),
        (None, Some("meant"), "meant"),
        (None, Some(""), "status"),
        (None, None, "status"),
        // Unlike with `supervise`, no `status/` is needed in it.
        (Some("deep/er"), None, "deep/er"),
        (Some("."), None, ""),
    ] {
        let place = Place::new();
        place.run("web", SLEEP);
        let mut command = tree_command();
        command.args(option.map(|option| ["-p", option]).iter().flatten()).arg("sv").env_remove("SUPERVISE_STATUS");
        if let Some(variable) = variable {
            command.env("SUPERVISE_STATUS", variable);
        }
        let tree = place.start(command);
        let status = place.path().join(expected).join("web/status");
        wait_for("the status file", &place, || std::fs::read(&status).is_ok_and(|bytes| bytes[16..20] != [0; 4]));
        assert!(tree.stop().success(), "{expected}");
    }
}

// ----- a standard error that nobody reads ------------------------------------------------------------------------

/// A pipe that is full, and whose other end nobody reads.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE_SIZE as i32)).unwrap();
    let size = usize::try_from(size).unwrap();
    assert_eq!(nix::unistd::write(&writer, &vec![b'.'; size]).unwrap(), size);
    (reader, writer)
}

/// Everything that has gone into the pipe when all that write to it have ended.
fn rest(reader: OwnedFd) -> String {
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    text.trim_start_matches('.').to_string()
}

#[test]
fn a_standard_error_that_is_full_holds_nothing_up() {
    let (reader, writer) = full_pipe();
    is_not_held_up_by(writer);
    assert_eq!(rest(reader), "", "nothing could be written");
}

#[test]
fn a_terminal_or_a_socket_that_nobody_reads_holds_nothing_up() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    is_not_held_up_by(terminal.slave);
    drop(terminal.master);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    is_not_held_up_by(theirs.into());
    drop(ours);
}

/// Runs a tree that has more to say on its standard error than fits there.
fn is_not_held_up_by(stderr: OwnedFd) {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\nnonsense : 1\n");
    for at in 0..5 {
        place.run(&format!("crasher{at}"), "exit 1");
    }
    place.run("web", SLEEP);
    let mut child = Command::new(env!("CARGO_BIN_EXE_supervise-tree"))
        .args(["-v", "-p", "status", "sv"])
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let restarts = |at: usize| place.module(&format!("crasher{at}")).state()["restarts"].as_u64().unwrap_or(0);
    wait_for("many restarts of each", &place, || (0..5).all(|at| restarts(at) > 400));
    // The main loop and the signals' thread have something to say, too.
    signal(child.id(), "HUP");
    place.run("later", SLEEP);
    place.module("later").wait_up(&place);
    place.module("web").wait_up(&place);
    place.module("web").send("d");
    place.module("web").wait_state(&place, "down");
    place.wait_told("reading the settings");
    signal(child.id(), "TERM");
    let mut status = None;
    wait_for("the end", &place, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    // The files have all of it.
    assert!(place.own().text("supervise.log.wf").contains("unknown key nonsense"));
}

#[test]
fn lines_that_could_not_be_written_are_counted_when_somebody_reads_again() {
    let place = Place::new();
    let (reader, writer) = full_pipe();
    let mut child = Command::new(env!("CARGO_BIN_EXE_supervise-tree"))
        .args(["-p", "status", "sv"])
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    wait_for("the tree", &place, || place.own().text("supervise.log").contains("supervising"));
    let mut dots = vec![0; 2 * PIPE_SIZE];
    let read = nix::unistd::read(&reader, &mut dots).unwrap();
    assert!(dots[..read].iter().all(|byte| *byte == b'.'), "{:?}", String::from_utf8_lossy(&dots[..read]));
    wait_for("the tree to listen", &place, || place.own().is_supervised());
    signal(child.id(), "TERM");
    let text = rest(reader);
    let status = child.wait().unwrap();
    assert!(status.success());
    assert!(text.starts_with("(1 line before this one could not be written)\n[NOTICE] "), "{text}");
    assert!(text.contains("told to end"), "{text}");
}

#[test]
fn a_standard_error_that_is_closed_or_whose_reader_is_gone_holds_nothing_up() {
    for how in ["2>&-", "2>/dev/full", "2>&1 | true", "0<&- 1>&- 2>&-"] {
        let place = Place::new();
        place.conf(FAST);
        place.run("web", "echo run; exit 1");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("\"$0\" -v -p status sv {how}"), env!("CARGO_BIN_EXE_supervise-tree")]);
        let shell = place.start(command);
        let web = place.module("web");
        web.wait_text(&place, "__stdout", "run\nrun\nrun\n");
        // What the tree has opened has not become its standard error.
        for file in ["lock", "status", "__stdout"] {
            assert!(!web.text(file).contains("NOTICE") && !web.text(file).contains("WARNING"), "{how}: {file}");
        }
        assert!(web.text("supervise.log").contains("started, pid "), "{how}");
        place.own().send("t");
        shell.wait();
        assert!(!web.is_supervised(), "{how}");
    }
}
