//! `--container`: output on standard output, a status root without configuration, and an orderly end.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::skipped;
use common::*;
use std::process::{Command, Stdio};

/// What the tree has written on its standard output.
fn output(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("stdout")).unwrap_or_default()
}

/// A tree with `--container`, whose standard output is a file.
fn container<'a>(place: &'a Place, arguments: &[&str]) -> Running<'a> {
    let mut command = tree_command();
    command.args(["-p", "status", "--container"]).args(arguments).arg("sv");
    command.stdout(std::fs::File::create(place.path().join("stdout")).unwrap());
    place.start(command)
}

#[test]
fn each_line_has_its_module_in_front_and_the_job_gives_the_exit_code() {
    let place = Place::new();
    place.conf("[job]\nshutdown_on : exit\n[own]\nlog : files\n");
    place.run("web", "echo hello; exec sleep 1000");
    place.run("own", "echo apart; exec sleep 1000");
    place.run("job", "until [ -e ../../go ]; do sleep 0.02; done; echo done; exit 7");
    let tree = container(&place, &[]);
    wait_for("a line of web", &place, || output(&place).contains("web | hello\n"));
    place.module("own").wait_text(&place, "__stdout", "apart");
    std::fs::write(place.path().join("go"), "").unwrap();
    assert_eq!(tree.wait().code(), Some(7), "{}", place.story());
    assert!(output(&place).contains("job | done\n"), "{}", output(&place));
    assert!(!output(&place).contains("apart"), "{}", output(&place));
}

#[test]
fn a_second_term_leaves_the_stop_in_order() {
    let place = Place::new();
    let orderly = "trap 'sleep 0.5; echo orderly > ../../ended; exit' TERM; while :; do sleep 0.05; done";
    place.run("web", orderly);
    let tree = container(&place, &[]);
    place.module("web").wait_up(&place);
    tree.signal("TERM");
    place.wait_told("told to end: stopping");
    tree.signal("TERM");
    place.wait_told("told to end again: it ends already");
    assert!(tree.wait().success());
    assert_eq!(std::fs::read_to_string(place.path().join("ended")).unwrap_or_default(), "orderly\n");
}

#[test]
fn nothing_has_to_be_configured_and_svctl_finds_it() {
    let place = Place::new();
    place.run("web", SLEEP);
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
    // A read-only root, and one place to write: /run, or /dev/shm where that is missing.
    let programs = [env!("CARGO_BIN_EXE_supervise-tree"), env!("CARGO_BIN_EXE_svctl")];
    let script = format!(
        "mount -t tmpfs none $1 || exit 77
         [ $1 = /run ] || mount -t tmpfs -o ro none /run || exit 77
         unset SUPERVISE_STATUS
         {0} --container sv > stdout 2> stderr & tree=$!
         for i in $(seq 400); do {1} -w 1 check web && break; sleep 0.05; done
         ls -d $1/supervise-status*/web; {1} shutdown; wait $tree",
        programs[0], programs[1]
    );
    for at in ["/run", "/dev/shm"] {
        let mut command = clone(&command);
        command.args([&script, "sh", at]).current_dir(place.path()).stdin(Stdio::null());
        let Ok(done) = command.output() else { return skipped("no unshare to be had") };
        if done.status.code() == Some(77) || String::from_utf8_lossy(&done.stderr).starts_with("unshare:") {
            return skipped(&format!("no mount to be had: {}", String::from_utf8_lossy(&done.stderr).trim()));
        }
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(said.contains(&format!("{at}/supervise-status")), "{at}: {done:?}");
        assert!(done.status.success(), "{at}: {done:?}");
    }
}

/// The same command once more.
fn clone(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    copy
}
