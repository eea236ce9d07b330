//! A thousand services in one tree: all are up, nothing wakes up while nothing happens, all that are killed come
//! back, and all stop.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::host::skipped;
use common::*;
use nix::sys::resource::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

const SERVICES: usize = 1000;

/// A limit of descriptors that many machines have.
const NOFILE: u64 = 20_000;

/// Descriptors for each service, and those that the tree has anyway.
const PER_SERVICE: usize = 4;
const OF_THE_TREE: usize = 50;

/// Nothing wakes up for this long.
const IDLE: Duration = Duration::from_secs(2);

/// A service that costs a shell and no more: nobody ever writes to the FIFO.
const WAITS: &str = "#!/bin/sh\nread never < ../../fifo\n";

/// How often each thread of the process has been switched away from, by its number.
fn switches(pid: u32) -> BTreeMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the threads");
    let count = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        let sum = counts.map(|(_, count)| count.trim().parse::<u64>().expect("a count")).sum();
        (task.file_name().to_string_lossy().into_owned(), sum)
    };
    tasks.flatten().map(count).collect()
}

/// Waits until no thread has woken up for a while, and then asserts that none does for longer.
fn is_idle(place: &Place, pid: u32) {
    let mut last = (switches(pid), Instant::now());
    wait_for("the tree to settle", place, || {
        let now = switches(pid);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(300)
    });
    std::thread::sleep(IDLE);
    let woken: Vec<_> = switches(pid).into_iter().filter(|(thread, count)| last.0.get(thread) != Some(count)).collect();
    assert!(woken.is_empty(), "threads woke up within {IDLE:?} in which nothing happened: {woken:?}");
}

#[test]
fn a_thousand_services_in_one_tree() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < NOFILE && !nix::unistd::geteuid().is_root() {
        return skipped(&format!("{NOFILE} descriptors are needed, and the hard limit is {hard}"));
    }
    let place = Place::in_memory();
    nix::unistd::mkfifo(&place.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    script(&place.path().join("run"), WAITS);
    let modules: Vec<Module> = (0..SERVICES).map(|at| place.module(&format!("s{at}"))).collect();
    for at in 0..SERVICES {
        let dir = place.root().join(format!("s{at}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::hard_link(place.path().join("run"), dir.join("run")).unwrap();
    }
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -n {NOFILE} && exec \"$0\" -p status sv"),
        env!("CARGO_BIN_EXE_supervise-tree"),
    ]);
    let tree = place.start(command);
    let up: Vec<u32> = modules.iter().map(|module| module.wait_up(&place)).collect();

    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", tree.pid())).unwrap().count();
    assert!(descriptors <= PER_SERVICE * SERVICES + OF_THE_TREE, "{descriptors} descriptors");
    is_idle(&place, tree.pid());

    // All at once; they have lived for longer than their delay, so no start has to wait.
    for pid in &up {
        signal(*pid, "KILL");
    }
    let again: Vec<u32> = modules.iter().zip(&up).map(|(module, old)| module.wait_new_pid(&place, *old)).collect();
    for module in &modules {
        assert_eq!(module.state()["restarts"], 1, "{}", module.dir().display());
        assert_eq!(module.state()["last_exit"]["signal"], "KILL");
    }
    is_idle(&place, tree.pid());
    let after = std::fs::read_dir(format!("/proc/{}/fd", tree.pid())).unwrap().count();
    assert_eq!(after, descriptors, "a restart keeps no descriptor");

    assert!(tree.stop().success());
    assert!(again.iter().all(|pid| !is_alive(*pid)));
    for module in &modules {
        assert_eq!((module.pid(), module.state_name().as_str(), module.is_supervised()), (0, "down", false));
    }
    // Nothing went wrong that anybody was told of.
    let said = std::fs::read_to_string(place.path().join("stderr")).unwrap();
    let wrong: Vec<&str> = said.lines().filter(|line| !line.starts_with("[NOTICE]")).collect();
    assert_eq!(wrong.len(), SERVICES, "the kills alone: {:?}", &wrong[..wrong.len().min(10)]);
    assert!(
        wrong.iter().all(|line| line.contains(": signal KILL; restarting in ")),
        "{:?}",
        &wrong[..wrong.len().min(10)]
    );
}
