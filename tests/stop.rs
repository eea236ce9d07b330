//! The end of a tree: everything stops, in order, whatever the services do about it.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// A service that ignores TERM.
const STUBBORN: &str = "trap '' TERM; echo ready; exec sleep 1000";

fn last_signal(module: &Module) -> String {
    module.state()["last_exit"]["signal"].as_str().unwrap_or_default().to_string()
}

#[test]
fn int_and_the_fifo_stop_it_like_term() {
    for how in ["TERM", "INT", "t"] {
        let place = Place::new();
        place.run("web", SLEEP);
        let tree = place.tree();
        let pid = place.module("web").wait_up(&place);
        match how {
            "t" => place.module(".supervise-tree").send("t"),
            signal => tree.signal(signal),
        }
        assert_eq!(tree.wait().code(), Some(0), "{how}");
        assert!(!is_alive(pid));
        assert_eq!(last_signal(&place.module("web")), "TERM");
    }
}

#[test]
fn commands_without_end_do_not_keep_orders_from_being_heard() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    let mut control = options.open(web.path("control")).unwrap();
    let writer = std::thread::spawn(move || {
        loop {
            match control.write(&[b'u'; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
                // Nobody reads any more.
                Err(error) => return error.kind(),
            }
        }
    });
    tree.signal("TERM");
    assert_eq!(tree.wait().code(), Some(0));
    assert!(!is_alive(pid));
    assert_eq!(writer.join().unwrap(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_service_that_ignores_term_is_killed_after_kill_timeout() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 0.3\n");
    place.run("stubborn", STUBBORN);
    place.run("tame", SLEEP);
    let tree = place.tree();
    let (stubborn, tame) = (place.module("stubborn"), place.module("tame"));
    stubborn.wait_text(&place, "__stdout", "ready");
    let pid = stubborn.wait_up(&place);
    tame.wait_up(&place);
    let begin = Instant::now();
    tree.signal("TERM");
    tame.wait_state(&place, "down");
    assert!(is_alive(pid), "it has its time");
    assert_eq!(tree.wait().code(), Some(0));
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
    assert_eq!((last_signal(&stubborn), last_signal(&tame)), ("KILL".into(), "TERM".into()));
    assert!(!is_alive(pid));
}

#[test]
fn a_group_child_that_ignores_term_does_not_outlive_the_tree() {
    let place = Place::new();
    place.run("web", "(trap '' TERM; exec sleep 1000) & echo $! > child; echo ready; wait");
    let tree = place.tree();
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "ready");
    let child = std::fs::read_to_string(place.root().join("web/child")).unwrap().trim().parse().unwrap();
    assert!(tree.stop().success());
    // It is not a child of the tree any more, which ends without waiting for it: KILL is on its way.
    wait_for("the child's end", &place, || !is_alive(child));
    assert_eq!(last_signal(&web), "TERM");
}

#[test]
fn stopped_services_are_woken_to_see_the_term() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 0\n");
    place.run("stopped", SLEEP);
    place.run("paused", SLEEP);
    let tree = place.tree();
    let (stopped, paused) = (place.module("stopped"), place.module("paused"));
    let pid = stopped.wait_up(&place);
    signal(pid, "STOP");
    paused.wait_up(&place);
    paused.send("p");
    paused.wait_state(&place, "paused");
    wait_for("a stopped process", &place, || is_stopped(pid));
    assert_eq!(tree.stop().code(), Some(0));
    assert_eq!((last_signal(&stopped), last_signal(&paused)), ("TERM".into(), "TERM".into()));
}

#[test]
fn term_right_at_the_start_leaves_nothing_behind() {
    for round in 0..8u64 {
        let place = Place::new();
        for n in 0..30 {
            place.service(&format!("s{n}"), &[("run", SLEEP), ("log/run", "exec cat")]);
        }
        let tree = place.tree();
        std::thread::sleep(Duration::from_millis(round * 2));
        assert_eq!(tree.stop().code(), Some(0));
        let left = processes_of(&place.root().to_string_lossy());
        assert!(left.is_empty(), "round {round}: {left:?}\n{}", place.story());
    }
}

#[test]
fn term_while_things_start_fail_and_wait() {
    let place = Place::new();
    place.conf("[crashes]\nrestart_delay : 0\n[waits]\nrestart_delay : 1000\n[global]\n");
    place.run("crashes", "exit 1");
    place.run("waits", "exit 1");
    place.run("broken", "#!/nonexistent\n");
    place.service("finishes", &[("run", "exit 0"), ("finish", "echo finish; sleep 0.3; echo done")]);
    place.service("down", &[("run", SLEEP), ("down", "")]);
    let tree = place.tree();
    place.module("waits").wait_state(&place, "backoff");
    place.module("down").wait_state(&place, "down");
    place.module("finishes").wait_text(&place, "__stdout", "finish");
    assert_eq!(tree.stop().code(), Some(0));
    assert_eq!(processes_of(&place.root().to_string_lossy()), [0; 0]);
    let text = place.module("finishes").text("__stdout");
    assert!(text.ends_with("done\n"), "a finish is not cut short: {text}");
}

#[test]
fn a_second_term_kills_at_once() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 1000\n");
    for name in ["one", "two"] {
        place.service(name, &[("run", STUBBORN), ("log/run", "trap '' TERM; exec cat")]);
    }
    let tree = place.tree();
    let one = place.module("one");
    for name in ["one", "two", "one/log", "two/log"] {
        place.module(name).wait_up(&place);
    }
    wait_for("a process that ignores TERM", &place, || proc_status(one.pid(), "Name") == "sleep");
    tree.signal("TERM");
    one.wait_state(&place, "stopping");
    place.module("two").wait_state(&place, "stopping");
    tree.signal("TERM");
    assert_eq!(tree.wait().code(), Some(0));
    assert_eq!(last_signal(&one), "KILL");
    assert_eq!(processes_of(&place.root().to_string_lossy()), [0; 0]);
}

#[test]
fn a_second_term_kills_a_finish_that_hangs() {
    let place = Place::new();
    place.conf("[global]\nfinish_timeout : 0\n");
    place.service("web", &[("run", SLEEP), ("finish", "trap '' TERM; echo finish; sleep 1000")]);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    tree.signal("TERM");
    place.module("web").wait_text(&place, "__stdout", "finish");
    tree.signal("INT");
    assert_eq!(tree.wait().code(), Some(0));
    wait_for("the end of all", &place, || processes_of(&place.root().to_string_lossy()).is_empty());
}

#[test]
fn hup_and_new_directories_during_the_shutdown_change_nothing() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 0.5\n");
    place.run("stubborn", STUBBORN);
    let tree = place.tree();
    let stubborn = place.module("stubborn");
    stubborn.wait_text(&place, "__stdout", "ready");
    tree.signal("TERM");
    stubborn.wait_state(&place, "stopping");
    place.run("late", SLEEP);
    tree.signal("HUP");
    stubborn.send("u");
    place.module(".supervise-tree").wait_text(&place, "supervise.log", "rescan not done");
    assert_eq!(tree.wait().code(), Some(0));
    assert_eq!(place.module("late").pid(), 0);
    assert_eq!(processes_of(&place.root().to_string_lossy()), [0; 0]);
}

#[test]
fn commands_during_the_shutdown_bring_nothing_back() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\nkill_timeout : 0.5\n");
    place.run("stubborn", "trap '' TERM; echo ready; exec sleep 1000");
    let tree = place.tree();
    let stubborn = place.module("stubborn");
    stubborn.wait_text(&place, "__stdout", "ready");
    tree.signal("TERM");
    stubborn.wait_state(&place, "stopping");
    stubborn.send("uok");
    assert_eq!(tree.wait().code(), Some(0));
    assert_eq!(stubborn.text("__stdout"), "ready\n", "started again");
    assert_eq!(stubborn.pid(), 0);
}

#[test]
fn services_end_before_loggers() {
    let place = Place::new();
    let run = |n| {
        format!(
            "trap 'sleep 0.{n}; date +%s%N > ended; exit 0' TERM; echo ready; sleep 1000 & while :; do wait $!; done"
        )
    };
    for n in 1..4 {
        let logger = "trap 'echo TERM >> signals' TERM; cat > got; date +%s%N > ended";
        place.service(&format!("s{n}"), &[("run", &run(n)), ("log/run", logger)]);
    }
    let tree = place.tree();
    let read = |path: String| std::fs::read_to_string(place.root().join(path)).unwrap_or_default();
    for n in 1..4 {
        wait_for("the line", &place, || read(format!("s{n}/log/got")) == "ready\n");
    }
    assert_eq!(tree.stop().code(), Some(0));
    for n in 1..4 {
        let ended = |path: String| read(path).trim().parse::<u128>().unwrap();
        assert!(ended(format!("s{n}/ended")) <= ended(format!("s{n}/log/ended")));
        assert!(!place.root().join(format!("s{n}/log/signals")).exists(), "the logger was signalled");
    }
}

#[test]
fn a_logger_that_is_down_or_crashes_does_not_hold_the_end_up() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\n");
    place.service("crash", &[("run", SLEEP), ("log/run", "exit 1")]);
    place.service("down", &[("run", SLEEP), ("log/run", "exec cat"), ("log/down", "")]);
    let tree = place.tree();
    place.module("crash").wait_up(&place);
    place.module("down").wait_up(&place);
    let begin = Instant::now();
    assert_eq!(tree.stop().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn the_status_says_down_when_the_tree_has_ended() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    assert!(tree.stop().success());
    assert_eq!(web.status()[16..], [0; 4]);
    assert_eq!(web.state()["state"], "down");
    assert!(web.state()["pid"].is_null());
    assert!(!web.is_supervised());
    // And the next tree takes over without a word.
    let tree = place.tree();
    web.wait_up(&place);
    assert!(tree.stop().success());
    assert_eq!(web.text("supervise.log.wf"), "");
}

#[test]
fn a_killed_tree_leaves_its_services_running() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    tree.kill();
    holds_for(Duration::from_millis(100), "the service lives", &place, || is_alive(pid));
}
