//! A service directory's own `supervise.conf`.

use crate::common::*;
use crate::{is_root, open_place, variable};
use std::path::PathBuf;

fn own(place: &Place, name: &str) -> PathBuf {
    place.root().join(name).join("supervise.conf")
}

fn nice(pid: u32) -> i64 {
    proc_stat(pid, 19)
}

#[test]
fn its_keys_count_at_every_start_and_the_shared_section_wins() {
    let place = Place::new();
    place.conf("[global]\nenv : A=global B=global C=global\nnice : 1\n[web]\nenv : C=section\nrestart_delay : 0\n");
    place.run("web", SLEEP);
    std::fs::write(own(&place, "web"), "nice : 3\nenv : B=own C=own\nrestart_delay : 30\n").expect("its own file");
    let _tree = place.tree();
    let web = place.module("web");
    let first = web.wait_up(&place);
    let variables = |pid| ["A", "B", "C"].map(|name| variable(pid, name).unwrap_or_default());
    assert_eq!((nice(first), variables(first)), (3, ["global", "own", "section"].map(str::to_owned)));

    let config = said_by(&place.svctl(&["config", "web"]));
    let line = |key: &str| config.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("nice").ends_with("/web/supervise.conf:1"), "{config}");
    assert!(line("restart_delay ").ends_with("/supervise.conf:6"), "{config}");
    let show = said_by(&place.svctl(&["show", "web"]));
    assert!(show.contains("/web/supervise.conf:1"), "{show}");

    // What changes is in force with the next start, and what is wrong is told with its line.
    std::fs::write(own(&place, "web"), "nice : 4\n nice : 5\n[web]\nnice : 6\n").expect("its own file");
    web.send("t");
    let second = web.wait_new_pid(&place, first);
    assert_eq!((nice(second), variables(second)[1].as_str()), (4, "global"));
    // The log may come a moment after the start.
    web.wait_text(&place, "supervise.log.wf", "web/supervise.conf:2: nice is indented");
    web.wait_text(&place, "supervise.log.wf", "web/supervise.conf:3: [web] has no place");

    std::fs::remove_file(own(&place, "web")).expect("gone");
    web.send("t");
    let third = web.wait_new_pid(&place, second);
    assert_eq!(nice(third), 1);
    // The same lines are not told again and again.
    assert_eq!(host::count(&web.path("supervise.log.wf"), "is indented"), 1);
}

#[test]
fn its_keys_for_the_supervisor_count_too() {
    let place = Place::new();
    place.run("web", "exit 3");
    std::fs::write(own(&place, "web"), "restart : never\n").expect("its own file");
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_state(&place, "down");
    // Without a start, what is new counts once somebody asks for that.
    std::fs::write(own(&place, "web"), "restart_delay : 0\nmax_tries : 2\nalarm_interval : 1m\n")
        .expect("its own file");
    web.send("r");
    web.send("u");
    web.wait_text(&place, "supervise.log.wf", "gave up after 2 restarts");
    web.wait_state(&place, "failed");
}

#[test]
fn a_logger_has_one_of_its_own() {
    let place = Place::new();
    place.service("web", &[("run", "exec sleep 1000"), ("log/run", "exec cat >/dev/null")]);
    std::fs::write(place.root().join("web/log/supervise.conf"), "nice : 7\n").expect("its own file");
    let _tree = place.tree();
    let pids = ["web", "web/log"].map(|name| place.module(name).wait_up(&place));
    assert_eq!(pids.map(nice), [0, 7]);
}

#[test]
fn what_cannot_be_read_is_no_start_without_it() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.2\n");
    place.run("web", SLEEP);
    nix::unistd::mkfifo(&own(&place, "web"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_text(&place, "supervise.log.wf", "web/supervise.conf: cannot be read: not a regular file");
    assert_eq!(web.pid(), 0);
    std::fs::remove_file(own(&place, "web")).expect("gone");
    web.wait_up(&place);
}

#[test]
fn root_takes_no_orders_from_another_users_file() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[global]\nrestart_delay : 0.2\n");
    place.run("web", SLEEP);
    std::fs::write(own(&place, "web"), "nice : 3\n").expect("its own file");
    std::os::unix::fs::chown(own(&place, "web"), Some(4711), None).expect("chown");
    let tree = place.tree();
    let web = place.module("web");
    web.wait_text(&place, "supervise.log.wf", "belongs to uid 4711, who may not say what root is to do");
    let tree_log = place.status_root().join(".supervise-tree/supervise.log.wf");
    assert_eq!(host::count(&tree_log, "uid 4711 may write"), 1);
    std::os::unix::fs::chown(own(&place, "web"), Some(0), None).expect("chown");
    assert_eq!(nice(web.wait_up(&place)), 3);
    assert!(tree.stop().success());

    std::os::unix::fs::chown(own(&place, "web"), Some(4711), None).expect("chown");
    let _tree = place.tree_with(&["--strict"]);
    wait_for("the refusal", &place, || host::count(&tree_log, "web: passed over: somebody other than root") == 1);
}

#[test]
fn files_of_s6_count_like_its_keys_and_its_keys_win() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 60\nmax_tries : 9\n");
    place.run("web", "trap '' INT TERM; exec sleep 1000");
    let file = |name: &str, text: &str| std::fs::write(place.root().join("web").join(name), text).expect("a file");
    file("down-signal", "INT\n");
    file("timeout-kill", "200\n");
    file("timeout-finish", "7000\n");
    file("max-death-tally", "4\n");
    std::fs::write(own(&place, "web"), "finish_timeout : 3\n").expect("its own file");
    let _tree = place.tree();
    let web = place.module("web");
    let first = web.wait_up(&place);

    let config = said_by(&place.svctl(&["config", "web"]));
    for (key, value, origin) in [
        ("stop_signal", "INT", "web/down-signal"),
        ("kill_timeout", "200ms", "web/timeout-kill"),
        ("finish_timeout", "3", "web/supervise.conf:1"),
        ("max_tries", "4", "web/max-death-tally"),
        ("alarm_interval", "60", "web/max-death-tally"),
    ] {
        let line = config.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap_or_default();
        assert!(line.split_whitespace().nth(1) == Some(value) && line.ends_with(origin), "{line:?} of {config}");
    }

    web.send("d");
    web.wait_state(&place, "down");
    let log = web.text("supervise.log");
    assert!(log.contains(&format!("stopping pid {first}: INT sent, KILL in 0.2 s")), "{log}");
    // What is in them counts for the next start, and what is wrong is told.
    file("timeout-kill", "soon\n");
    std::fs::remove_file(place.root().join("web/down-signal")).expect("gone");
    web.send("u");
    let second = web.wait_new_pid(&place, first);
    web.wait_text(&place, "supervise.log.wf", "web/timeout-kill: ");
    web.send("d");
    web.wait_text(&place, "supervise.log", &format!("stopping pid {second}: TERM sent, KILL in 60.0 s"));
    web.send("k");
}
