//! Clocks that are not what they should be: the wall clock is set, and time itself begins elsewhere.

use crate::common::host::skipped;
use crate::common::{FAST, Place, SLEEP, holds_for, is_alive, signal, tree_command, wait_for};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const YEAR: i64 = 365 * 24 * 3600;

/// A library that has the wall clock shifted by the seconds in a file, which may change at any time.
const SHIFTED: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = syscall(SYS_clock_gettime, clock, at);
    char *path = getenv("CLOCK_SHIFT");
    if (clock == CLOCK_REALTIME && path) {
        char text[32] = "";
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0 && read(file, text, sizeof text - 1) > 0) at->tv_sec += atol(text);
        if (file >= 0) close(file);
    }
    return result;
}
"#;

/// A wall clock for the processes of one test, which can be set.
struct Clock {
    library: PathBuf,
    shift: PathBuf,
}

impl Clock {
    fn new(place: &Place) -> Option<Clock> {
        let (source, library) = (place.path().join("shifted.c"), place.path().join("shifted.so"));
        std::fs::write(&source, SHIFTED).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        let clock = Clock { library, shift: place.path().join("shift") };
        clock.set(0);
        built.is_ok_and(|status| status.success()).then_some(clock)
    }

    fn set(&self, seconds: i64) {
        let fresh = self.shift.with_extension("new");
        std::fs::write(&fresh, seconds.to_string()).unwrap();
        std::fs::rename(fresh, &self.shift).unwrap();
    }

    fn on(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", &self.library).env("CLOCK_SHIFT", &self.shift);
        command
    }
}

/// Seconds since 1970 in the 20 bytes.
fn stamp(bytes: &[u8]) -> i64 {
    let label = bytes.get(..8).map_or(0, |label| u64::from_be_bytes(label.try_into().unwrap()));
    label as i64 - 4_611_686_018_427_387_914
}

#[test]
fn a_wall_clock_that_is_set_forward_and_back_changes_no_delay_and_no_limit() {
    let place = Place::new();
    let Some(clock) = Clock::new(&place) else {
        return skipped("a_wall_clock_that_is_set_forward_and_back_changes_no_delay_and_no_limit: no C compiler");
    };
    place.conf("[global]\nrestart_delay : 1\nkill_timeout : 1\n[limited]\nalarm_interval : 3600\nmax_tries : 2\n");
    place.run("web", SLEEP);
    place.run("limited", SLEEP);
    place.run("stubborn", "trap '' TERM; echo ready; while :; do sleep 1; done");
    let mut command = clock.on(tree_command());
    command.arg("-p").arg(place.status_root()).arg(place.root());
    let tree = place.start(command);
    let web = place.module("web");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut pid = web.wait_up(&place);
    for shift in [YEAR, -YEAR, 0] {
        // It runs for longer than the delay, so the next start comes at once; the one after that has to wait.
        wait_for("a start without a delay", &place, || web.state_name() == "up");
        signal(pid, "KILL");
        pid = web.wait_new_pid(&place, pid);
        let started = Instant::now();
        signal(pid, "KILL");
        web.wait_state(&place, "backoff");
        clock.set(shift);
        let next = web.wait_new_pid(&place, pid);
        let waited = started.elapsed();
        assert!(waited > Duration::from_millis(500) && waited < Duration::from_secs(15), "{waited:?} after {shift}");
        // What people read is by the clock on the wall, and so we know that it was set.
        let shown = stamp(&web.status());
        assert!((shown - now - shift).abs() < 600, "shown: {shown}, with {shift} it is about {}", now + shift);
        pid = next;
    }
    // A stop that waits for its KILL.
    let stubborn = place.module("stubborn");
    let old = stubborn.wait_up(&place);
    stubborn.wait_text(&place, "__stdout", "ready");
    let asked = Instant::now();
    stubborn.send("d");
    stubborn.wait_state(&place, "stopping");
    clock.set(-YEAR);
    stubborn.wait_state(&place, "down");
    assert!(!is_alive(old) && asked.elapsed() > Duration::from_millis(800));
    // A window that is not over because the wall clock says so.
    let limited = place.module("limited");
    let mut pid = limited.wait_up(&place);
    for shift in [YEAR, -YEAR] {
        signal(pid, "KILL");
        pid = limited.wait_new_pid(&place, pid);
        clock.set(shift);
    }
    signal(pid, "KILL");
    limited.wait_state(&place, "failed");
    assert!(tree.stop().success());
}

/// Between fork and exec: what is executed finds ten days more on the clocks that count from the start of the machine.
fn shift_time() -> io::Result<()> {
    let text = "monotonic 864000 0\nboottime 864000 0\n";
    // SAFETY: integers, and pointers to constants.
    unsafe {
        let ids = (libc::geteuid(), libc::getegid());
        if ids.0 != 0 && libc::unshare(libc::CLONE_NEWUSER) != 0 || libc::unshare(libc::CLONE_NEWTIME) != 0 {
            return Err(io::Error::last_os_error());
        }
        let file = libc::open(c"/proc/self/timens_offsets".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 || libc::write(file, text.as_ptr().cast(), text.len()) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[test]
fn a_time_namespace_is_as_good_as_any_other_time() {
    let name = "a_time_namespace_is_as_good_as_any_other_time";
    let mut probe = Command::new("cat");
    probe.arg("/proc/uptime");
    // SAFETY: raw system calls only, which are allowed between fork and exec.
    unsafe { probe.pre_exec(shift_time) };
    let uptime = probe.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let uptime: f64 = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
    if uptime < 864_000.0 {
        return skipped(&format!("{name}: no time namespaces to be had here"));
    }
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let shifted = || {
        let mut command = tree_command();
        // SAFETY: as above.
        unsafe { command.pre_exec(shift_time) };
        command
    };
    let tree = place.reaped_tree_as(shifted());
    let web = place.module("web");
    let pid = web.wait_up(&place);
    web.send("k");
    let pid = web.wait_new_pid(&place, pid);
    tree.kill();
    let tree = place.reaped_tree_as(shifted());
    wait_for("web to be adopted", &place, || web.log().contains("adopted"));
    holds_for(Duration::from_millis(200), "it is the same process", &place, || web.pid() == pid || web.pid() == 0);
    web.send("k");
    web.wait_new_pid(&place, pid);
    assert!(tree.stop().success());
}
