//! What stays over an upgrade: processes, locks, lines, wants and counts.

use crate::common::host::*;
use crate::common::*;
use crate::fixture::*;
use nix::fcntl::{Flock, FlockArg};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How often a tree under test replaces itself in a row.
const UPGRADES: usize = 100;

#[test]
fn the_pids_of_the_tree_and_of_its_services_stay() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", HOLD);
    place.service("talk", &[("run", SLEEP), ("log/run", "exec cat >/dev/null")]);
    let tree = place.tree();
    let modules = ["web", "talk", "talk/log"].map(|name| place.module(name));
    let pids = modules.each_ref().map(|module| module.wait_up(&place));
    upgrade(&place, || tree.signal("USR2"));
    upgrade(&place, || place.own().send("2"));
    wait_for("all to be supervised", &place, || modules.iter().all(Module::is_supervised));
    assert_eq!(modules.each_ref().map(Module::pid), pids);
    for module in &modules {
        assert_eq!(module.state()["supervisor_pid"], tree.pid());
    }
    for pid in pids {
        assert_eq!(proc_status(pid, "PPid"), tree.pid().to_string());
    }
    // Still our child: its exit is known on any kernel.
    signal(pids[0], "USR1");
    let next = modules[0].wait_new_pid(&place, pids[0]);
    assert_eq!(modules[0].state()["last_exit"]["code"], 7);
    assert!(tree.stop().success());
    assert!(!is_alive(next) && !is_alive(pids[1]) && !is_alive(pids[2]));
}

#[test]
fn a_hundred_upgrades_in_a_row_lose_nothing() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.02\n");
    place.run("steady", SLEEP);
    let once = "mkdir ../../mark.$N || echo $N >> ../../doubled; echo x >> ../../ran; sleep 0.02; rmdir ../../mark.$N";
    for (name, code) in [("three", 3), ("four", 4)] {
        place.service(name, &[("run", &format!("{}; exit {code}", once.replace("$N", name))), ("finish", ":")]);
    }
    place.service("talk", &[("run", NUMBERS), ("log/run", "exec cat >> ../../../lines")]);
    let lines = place.path().join("lines");
    let tree = place.tree();
    let [steady, talk, log] = ["steady", "talk", "talk/log"].map(|name| place.module(name));
    let pids = [&steady, &talk, &log].map(|module| module.wait_up(&place));
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", tree.pid())).map_or(0, Iterator::count);
    let most = descriptors() + 4;

    let (done, free, probes) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let locks = [place.own().path("lock"), steady.path("lock"), talk.path("lock"), log.path("lock")];
        // Ends the probing also when this thread panics: the scope would wait for it.
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        let (done, free, probes) = (&done, &free, &probes);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                for lock in &locks {
                    let file = std::fs::File::open(lock).expect("lock");
                    if Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok() {
                        free.store(true, Ordering::Relaxed);
                    }
                    probes.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for _ in 0..UPGRADES {
            upgrade(&place, || tree.signal("USR2"));
        }
    });
    assert!(!free.load(Ordering::Relaxed), "a lock was free\n{}", place.story());
    assert!(probes.load(Ordering::Relaxed) > UPGRADES);

    let ran = place.path().join("ran");
    let before = count(&ran, "x");
    wait_for("all to go on", &place, || count(&ran, "x") > before + 4);
    wait_growth(&place, &lines);
    assert!(!place.path().join("doubled").exists(), "{}", place.story());
    assert_eq!([&steady, &talk, &log].map(Module::pid), pids);
    for (name, code) in [("three", 3), ("four", 4)] {
        let log = place.module(name).log();
        let ends = log.lines().filter(|line| line.contains(" ended after ")).count();
        let right = log.lines().filter(|line| line.contains(&format!(": exit code {code}; "))).count();
        assert!(ends > 10 && ends == right, "{name}: {ends} ends, {right} with its code\n{log}");
    }
    wait_for("no descriptor to be left over", &place, || descriptors() <= most);
    let parent = tree.pid().to_string();
    wait_for("no zombie to be left over", &place, || {
        let is_zombie = |pid| proc_status(pid, "PPid") == parent && proc_status(pid, "State").starts_with('Z');
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        !entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).any(is_zombie)
    });
    assert!(tree.stop().success());
    assert!(numbered_lines(&lines) > 100);
}

/// Does something when it goes out of scope.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_module_that_was_told_to_exit_stays_away() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    place.run("api", SLEEP);
    let (web, api) = (place.module("web"), place.module("api"));
    let tree = place.tree();
    web.wait_up(&place);
    let other = api.wait_up(&place);
    web.send("dx");
    place.own().wait_text(&place, "supervise.log", "web: left, as told by x");
    for _ in 0..3 {
        upgrade(&place, || tree.signal("USR2"));
        wait_for("the other to be supervised", &place, || api.is_supervised());
        holds_for(Duration::from_millis(200), "it stays away", &place, || !web.is_supervised() && web.pid() == 0);
    }
    tree.signal("HUP");
    web.wait_up(&place);
    assert_eq!(api.pid(), other);
    assert!(tree.stop().success());
}

#[test]
fn a_logger_that_is_still_reading_ends_and_its_service_stays_away() {
    let place = Place::new();
    place.conf(FAST);
    // The logger goes on for a while after the end of its input.
    let logger = "cat > /dev/null; while [ ! -e ../../../go ]; do sleep 0.02; done";
    place.service("talk", &[("run", SLEEP), ("log/run", logger)]);
    let (talk, log) = (place.module("talk"), place.module("talk/log"));
    let tree = place.tree();
    talk.wait_up(&place);
    let reader = log.wait_up(&place);
    talk.send("dx");
    place.own().wait_text(&place, "supervise.log", "talk: left, as told by x");
    upgrade(&place, || tree.signal("USR2"));
    wait_for("the logger to be adopted", &place, || log.log().contains("adopted: pid"));
    assert!(is_alive(reader) && talk.pid() == 0);
    std::fs::write(place.path().join("go"), "").expect("go");
    wait_for("both to have left", &place, || !is_alive(reader) && !log.is_supervised() && !talk.is_supervised());
    holds_for(Duration::from_millis(200), "it stays away", &place, || talk.pid() == 0 && log.pid() == 0);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", tree.pid())).expect("fd").flatten();
    let left = descriptors.filter_map(|entry| entry.path().read_link().ok()).find(|to| to.starts_with(talk.dir()));
    assert_eq!(left, None, "still open");
    tree.signal("HUP");
    talk.wait_up(&place);
    log.wait_new_pid(&place, reader);
    assert!(tree.stop().success());
}

#[test]
fn wants_states_and_counts_are_kept() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nfinish_timeout : 0\nalarm_interval : 60\nmax_tries : 2\n");
    for name in ["down", "once", "paused", "silent", "failing"] {
        place.run(name, HOLD);
    }
    let finish = "echo x >> ../../finished; while [ ! -e ../../go ]; do sleep 0.02; done";
    place.service("slow", &[("run", SLEEP), ("finish", finish)]);
    let module = |name| place.module(name);
    let tree = place.tree();
    let pids = ["down", "once", "paused", "silent", "failing", "slow"].map(|name| module(name).wait_up(&place));
    module("down").send("d");
    module("once").send("o");
    module("paused").send("p");
    module("silent").send("s");
    signal(pids[4], "USR1");
    let second = module("failing").wait_new_pid(&place, pids[4]);
    signal(pids[5], "KILL");
    module("slow").wait_state(&place, "finishing");
    wait_for("finish to run", &place, || place.path().join("finished").exists());
    module("down").wait_state(&place, "down");
    module("paused").wait_state(&place, "paused");
    wait_for("the rest to be shown", &place, || {
        module("once").state()["want"] == "once" && module("silent").state()["alarm"] == false
    });
    for _ in 0..3 {
        upgrade(&place, || tree.signal("USR2"));
    }
    for name in ["down", "once", "paused", "silent", "failing", "slow"] {
        wait_for("all to be adopted", &place, || module(name).is_supervised());
    }
    holds_for(Duration::from_millis(300), "what is down stays down", &place, || module("down").pid() == 0);
    assert_eq!(["once", "paused", "silent"].map(|name| module(name).pid()), [pids[1], pids[2], pids[3]]);
    assert!(is_stopped(pids[2]) && module("paused").state_name() == "paused");
    assert_eq!(module("silent").state()["alarm"], false);
    assert_eq!(module("slow").state_name(), "finishing");
    std::fs::write(place.path().join("go"), "").expect("go");
    module("slow").wait_new_pid(&place, pids[5]);
    assert_eq!(count(&place.path().join("finished"), "x"), 1);
    // The second restart is the last that the window allows; one was used up before.
    signal(second, "USR1");
    let third = module("failing").wait_new_pid(&place, second);
    signal(third, "USR1");
    module("failing").wait_state(&place, "failed");
    signal(pids[1], "USR1");
    module("once").wait_state(&place, "down");
    assert!(tree.stop().success());
}

#[test]
fn upgrades_and_the_end_of_the_tree_do_not_get_in_each_others_way() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    for _ in 0..20 {
        tree.signal("USR2");
    }
    let pipe = place.own();
    // A full stop in the midst of it; if the program is just being replaced, the signal waits for the next one.
    pipe.send("2222");
    assert!(tree.stop().success());
    assert!(!is_alive(pid));
}

#[test]
fn what_was_asked_for_and_is_yet_to_come_comes_after_an_upgrade() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 3\n");
    place.run("web", SLEEP);
    place.run("api", SLEEP);
    let (web, api) = (place.module("web"), place.module("api"));
    let tree = place.tree();
    let pids = (web.wait_up(&place), api.wait_up(&place));
    // One is to leave with its process, the other to run once, as soon as the delay is over.
    web.send("x");
    web.wait_text(&place, "supervise.log", "told to exit");
    api.send("d");
    api.wait_state(&place, "down");
    api.send("o");
    api.wait_state(&place, "backoff");
    upgrade(&place, || tree.signal("USR2"));
    api.wait_new_pid(&place, pids.1);
    assert_eq!(api.state()["want"], "once");
    wait_for("it to be adopted", &place, || web.log().contains("adopted: pid"));
    signal(pids.0, "KILL");
    place.own().wait_text(&place, "supervise.log", "web: left, as told by x");
    assert!(tree.stop().success());
}

#[test]
fn a_service_that_is_just_leaving_does_not_hold_all_others_up() {
    let place = Place::new();
    place.conf(FAST);
    let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    names.iter().for_each(|name| place.run(name, SLEEP));
    let tree = place.tree();
    for name in &names {
        place.module(name).wait_up(&place);
    }
    // Some of them end when they have been asked to rest, and before they do.
    for name in &names {
        place.module(name).send("dx");
        upgrade(&place, || tree.signal("USR2"));
        wait_for("the next program to listen", &place, || place.own().is_supervised());
    }
    let own = place.own();
    assert_eq!(count(&own.path("supervise.log.wf"), "no answer"), 0, "{}", own.log());
    assert!(tree.stop().success());
}
