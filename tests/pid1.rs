//! The tree as process 1 of a pid namespace, as in a container: it reaps what nobody else does, and its end is the end
//! of all.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::skipped;
use common::*;
use std::path::Path;
use std::process::Command;

/// A service that leaves five processes behind whose parent ends at once.
const LEAVES_ORPHANS: &str =
    "for i in 1 2 3 4 5; do sh -c 'sh -c \"echo orphan; exec sleep 0.2\" &'; done; exec sleep 1000";

/// A tree that is process 1 of a namespace of its own, under `unshare`.
struct Init<'a> {
    unshare: Running<'a>,
    /// The tree's number outside of its namespace.
    pid: u32,
}

impl Init<'_> {
    fn stop(self) -> std::process::ExitStatus {
        signal(self.pid, "TERM");
        self.unshare.wait()
    }
}

/// The command that runs another one as process 1; it is killed with `unshare`.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
    command
}

/// Starts a tree as process 1; says why not, if that cannot be done here.
fn init(place: &Place) -> Option<Init<'_>> {
    match unshare().args(["sh", "-c", "[ $$ = 1 ]"]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            skipped(&format!("no pid namespace to be had: {}", String::from_utf8_lossy(&output.stderr).trim()));
            return None;
        }
        Err(error) => {
            skipped(&format!("no unshare to be had: {error}"));
            return None;
        }
    }
    let mut command = unshare();
    command.arg(env!("CARGO_BIN_EXE_supervise-tree")).args(["-p", "status", "sv"]);
    let unshare = place.start(command);
    wait_for("the tree to listen", place, || place.own().is_supervised());
    let pid = *children(unshare.pid()).first().expect("the tree");
    Some(Init { unshare, pid })
}

/// The children of a process, zombies too.
fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| proc_stat(*pid, 4) == i64::from(parent)).collect()
}

/// Waits until the service is up, and returns the number that it has outside of the namespace.
fn wait_up(place: &Place, init: &Init<'_>, module: &Module) -> u32 {
    let mut found = None;
    wait_for(&format!("{} to be up", module.dir().display()), place, || {
        let inside = module.pid().to_string();
        let is_it = |pid: &u32| proc_status(*pid, "NSpid").split_whitespace().last() == Some(inside.as_str());
        found = children(init.pid).into_iter().find(is_it).filter(|pid| is_alive(*pid));
        found.is_some() && module.state_name() == "up"
    });
    found.expect("found")
}

/// Waits until the tree has no child but `pids`: whatever else there was has ended and was reaped.
fn wait_alone(place: &Place, tree: u32, pids: &[u32]) {
    wait_for(&format!("no children of {tree} but {pids:?}"), place, || children(tree) == pids);
}

#[test]
fn it_is_process_1_and_its_services_run() {
    let place = Place::new();
    place.run("web", "echo $$ > ../../inside; exec sleep 1000");
    let Some(init) = init(&place) else { return };
    let web = place.module("web");
    let pid = wait_up(&place, &init, &web);
    assert_eq!(proc_status(init.pid, "NSpid").split_whitespace().last(), Some("1"));
    assert_eq!(web.state()["supervisor_pid"], 1);
    let inside = || std::fs::read_to_string(place.path().join("inside")).unwrap_or_default();
    wait_for("what it says of itself", &place, || inside().ends_with('\n'));
    assert_eq!(inside().trim(), web.pid().to_string());
    // A tree outside learns who it is by the number that it can use.
    let mut command = tree_command();
    command.args(["-p", "status", "sv"]);
    let output = place.output(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(111));
    assert!(said.trim_end().ends_with(&format!("already in use by supervise-tree, pid {}", init.pid)), "{said}");
    assert!(init.stop().success());
    assert!(!is_alive(pid));
}

#[test]
fn orphans_are_reaped() {
    let place = Place::new();
    place.run("web", LEAVES_ORPHANS);
    let Some(init) = init(&place) else { return };
    let web = place.module("web");
    let pid = wait_up(&place, &init, &web);
    web.wait_text(&place, "__stdout", &"orphan\n".repeat(5));
    wait_alone(&place, init.pid, &[pid]);
    assert!(init.stop().success());
}

#[test]
fn a_tree_that_is_not_process_1_reaps_them_too() {
    let place = Place::new();
    place.run("web", LEAVES_ORPHANS);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    web.wait_text(&place, "__stdout", &"orphan\n".repeat(5));
    wait_alone(&place, tree.pid(), &[pid]);
    assert!(tree.stop().success());
}

#[test]
fn nothing_is_left_of_services_and_finishes_that_ended() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", SLEEP), ("finish", "sleep 0.01 & exit 0")]);
    place.service("down", &[("run", "exit 1"), ("finish", "exit 125")]);
    let Some(init) = init(&place) else { return };
    let (web, down) = (place.module("web"), place.module("down"));
    let mut pid = wait_up(&place, &init, &web);
    for byte in ["k", "t", "k", "i", "k"] {
        web.send(byte);
        wait_for("the old process to be gone", &place, || !Path::new(&format!("/proc/{pid}")).exists());
        pid = wait_up(&place, &init, &web);
    }
    down.wait_state(&place, "down");
    wait_alone(&place, init.pid, &[pid]);
    assert_eq!(web.state()["restarts"], 5);
    assert!(init.stop().success());
}

#[test]
fn term_stops_services_then_loggers_and_ends_the_namespace() {
    for how in ["TERM", "INT", "t"] {
        let place = Place::new();
        let order = place.path().join("order");
        let order = order.display();
        let run = format!("trap 'sleep 0.1; echo service >> {order}; exit 0' TERM; setsid sh -c 'trap \"\" TERM HUP; echo left >> {order}; exec sleep 1000' > /dev/null 2>&1 &
            echo ready; sleep 1000 & while :; do wait $!; done");
        let log = format!(
            "trap 'echo logger got TERM >> {order}' TERM; while read -r line; do :; done; echo logger >> {order}"
        );
        place.service("web", &[("run", &run), ("log/run", &log)]);
        let Some(init) = init(&place) else { return };
        wait_up(&place, &init, &place.module("web"));
        wait_up(&place, &init, &place.module("web/log"));
        let said = || std::fs::read_to_string(place.path().join("order")).unwrap_or_default();
        wait_for("the orphan", &place, || said() == "left\n");
        match how {
            "t" => place.own().send("t"),
            signal_name => signal(init.pid, signal_name),
        }
        let status = init.unshare.wait();
        assert_eq!(status.code(), Some(0), "{how}\n{}", place.story());
        assert_eq!(said(), "left\nservice\nlogger\n", "{how}");
        // What it could not know of has gone with the namespace.
        wait_for("all to be gone", &place, || processes_of(&place.path().to_string_lossy()).is_empty());
        assert_eq!((place.module("web").pid(), place.module("web").state_name().as_str()), (0, "down"));
    }
}
