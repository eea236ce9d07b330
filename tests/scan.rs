//! Directories in the services root: they come, go, and change their insides.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

fn executable(path: &Path, yes: bool) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(if yes { 0o755 } else { 0o644 })).unwrap();
}

fn pids_in(dir: &Path) -> Vec<u32> {
    processes_of(&dir.to_string_lossy())
}

#[test]
fn services_start_with_the_tree_and_stop_with_it() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    assert!(tree.stop().success());
    assert!(!is_alive(pid));
    assert!(!place.module("web").is_supervised());
    assert_eq!(place.module("web").pid(), 0);
}

#[test]
fn a_directory_that_is_moved_in_starts_and_one_that_is_removed_stops() {
    let place = Place::new();
    let tree = place.tree();
    place.run("web", SLEEP);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    std::fs::remove_dir_all(place.root().join("web")).unwrap();
    wait_for("the service to end", &place, || !is_alive(pid) && !web.is_supervised());
    assert_eq!(web.state_name(), "down");
    assert!(web.path("supervise.log").exists(), "its status directory stays");
    assert!(tree.stop().success());
}

// ----- directories that come in steps -----------------------------------------------------------------------

#[test]
fn a_directory_that_is_copied_in_starts_with_its_logger() {
    let place = Place::new();
    let _tree = place.tree();
    let source = place.path().join("source");
    script(&source.join("run"), "echo line; exec sleep 1000");
    script(&source.join("log/run"), "exec cat > got");
    for n in 0..5 {
        let target = place.root().join(format!("web{n}"));
        let begin = Instant::now();
        let copied = std::process::Command::new("cp").arg("-r").arg(&source).arg(&target).status().unwrap();
        assert!(copied.success());
        // On a machine that is busy, a step of it may come too late.
        if begin.elapsed() > Duration::from_millis(40) {
            continue;
        }
        let got = target.join("log/got");
        wait_for("the line in the logger's hands", &place, || std::fs::read(&got).is_ok_and(|text| text == b"line\n"));
        let web = place.module(&format!("web{n}"));
        web.wait_up(&place);
        assert_eq!(web.state()["restarts"], 0);
    }
}

#[test]
fn a_directory_that_is_made_step_by_step_starts_once_and_with_its_logger() {
    let place = Place::new();
    place.conf(FAST);
    // What the tree finds when it begins is taken as it is.
    place.run("first", SLEEP);
    let _tree = place.tree();
    place.module("first").wait_up(&place);
    // A step that comes late, because the machine is busy, may be too late: then the round does not count.
    let counted = (0..20).any(|round| {
        let name = format!("web{round}");
        let dir = place.root().join(&name);
        let mut last = Instant::now();
        let mut longest = Duration::ZERO;
        let mut step = |make: &dyn Fn()| {
            make();
            std::thread::sleep(Duration::from_millis(15));
            longest = longest.max(last.elapsed());
            last = Instant::now();
        };
        step(&|| std::fs::create_dir(&dir).unwrap());
        step(&|| std::fs::write(dir.join("run"), "").unwrap());
        step(&|| executable(&dir.join("run"), true));
        step(&|| std::fs::write(dir.join("run"), "#!/bin/sh\necho line\n").unwrap());
        step(&|| std::fs::write(dir.join("run"), "#!/bin/sh\necho line\nexec sleep 1000\n").unwrap());
        step(&|| std::fs::create_dir(dir.join("log")).unwrap());
        step(&|| script(&dir.join("log/run"), "exec cat > got"));
        if longest > Duration::from_millis(30) {
            return false;
        }
        let got = || std::fs::read_to_string(dir.join("log/got")).unwrap_or_default();
        wait_for("the line", &place, || got() == "line\n");
        assert_eq!(place.module(&name).text("supervise.log.wf"), "");
        true
    });
    if !counted {
        eprintln!("SKIPPED: this machine is too busy for steps of 15 ms");
    }
}

#[test]
fn a_log_that_comes_late_is_found_with_the_next_rescan() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nkill_timeout : 0.1\n");
    let tree = place.tree();
    place.run("web", TALKER);
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "ready");
    let log = place.root().join("web/log");
    std::fs::create_dir(&log).unwrap();
    script(&log.join("run"), "exec cat >> got");
    tree.signal("HUP");
    place.module("web/log").wait_up(&place);
    // Whether by a restart or not: what the service writes from now on goes to its logger.
    wait_for("the service's output in the logger's hands", &place, || {
        if web.pid() != 0 {
            web.send("1");
        }
        let text = std::fs::read_to_string(log.join("got")).unwrap_or_default();
        text.contains("ready") || text.contains("USR1")
    });
}

#[test]
fn run_made_executable_starts_it() {
    let place = Place::new();
    place.run("early", SLEEP);
    executable(&place.root().join("early/run"), false);
    let _tree = place.tree();
    let late = place.path().join("late");
    script(&late.join("run"), SLEEP);
    executable(&late.join("run"), false);
    std::fs::rename(&late, place.root().join("late")).unwrap();
    for name in ["early", "late"] {
        let module = place.module(name);
        place.wait_told(&format!("{name}: no executable run yet"));
        assert!(!module.is_supervised());
        executable(&place.root().join(name).join("run"), true);
        module.wait_up(&place);
    }
}

#[test]
fn a_run_that_comes_later_by_rename_or_link_starts_it() {
    let place = Place::new();
    for name in ["renamed", "linked", "written"] {
        std::fs::create_dir(place.root().join(name)).unwrap();
    }
    let _tree = place.tree();
    let source = place.path().join("run");
    script(&source, SLEEP);
    symlink(&source, place.root().join("linked/run")).unwrap();
    place.module("linked").wait_up(&place);
    std::fs::copy(&source, place.root().join("written/run")).unwrap();
    place.module("written").wait_up(&place);
    std::fs::rename(&source, place.root().join("renamed/run")).unwrap();
    place.module("renamed").wait_up(&place);
}

#[test]
fn a_service_that_loses_its_run_goes_on() {
    let place = Place::new();
    let _tree = place.tree();
    place.run("web", SLEEP);
    let pid = place.module("web").wait_up(&place);
    // Before that, the shell may not have opened the file yet.
    wait_for("the shell to be replaced", &place, || proc_status(pid, "Name") == "sleep");
    executable(&place.root().join("web/run"), false);
    std::fs::remove_file(place.root().join("web/run")).unwrap();
    place.run("other", SLEEP);
    place.module("other").wait_up(&place);
    assert!(is_alive(pid) && place.module("web").is_supervised());
}

// ----- links -------------------------------------------------------------------------------------------------

#[test]
fn a_link_is_a_service_and_follows_its_target() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    for name in ["v1", "v2"] {
        script(&place.path().join(name).join("run"), &format!("echo {name}; exec sleep 1000"));
    }
    let link = place.root().join("web");
    symlink(place.path().join("v1"), &link).unwrap();
    let web = place.module("web");
    let first = web.wait_up(&place);
    web.wait_text(&place, "__stdout", "v1\n");
    // Retargeted as careful people do it: a new link is renamed over the old one.
    symlink(place.path().join("v2"), place.root().join(".web.new")).unwrap();
    std::fs::rename(place.root().join(".web.new"), &link).unwrap();
    let second = web.wait_new_pid(&place, first);
    assert!(!is_alive(first));
    web.wait_text(&place, "__stdout", "v1\nv2\n");
    // And as `ln -sfn` does it: removed and made.
    std::fs::remove_file(&link).unwrap();
    symlink("../v1", &link).unwrap();
    let third = web.wait_new_pid(&place, second);
    web.wait_text(&place, "__stdout", "v1\nv2\nv1\n");
    std::fs::remove_file(&link).unwrap();
    wait_for("the end", &place, || !is_alive(third) && !web.is_supervised());
    assert!(place.path().join("v1/run").exists());
}

#[test]
fn a_link_to_the_same_directory_again_changes_nothing() {
    let place = Place::new();
    let _tree = place.tree();
    script(&place.path().join("v1/run"), SLEEP);
    symlink(place.path().join("v1"), place.root().join("web")).unwrap();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    symlink("../v1", place.root().join(".new")).unwrap();
    std::fs::rename(place.root().join(".new"), place.root().join("web")).unwrap();
    place.run("after", SLEEP);
    place.module("after").wait_up(&place);
    assert_eq!(web.pid(), pid);
    assert!(is_alive(pid));
}

#[test]
fn a_link_whose_target_is_replaced_is_started_from_the_new_one_by_hup() {
    let place = Place::new();
    place.conf(FAST);
    let tree = place.tree();
    for name in ["v1", "v2"] {
        script(&place.path().join(name).join("web/run"), &format!("echo {name}; exec sleep 1000"));
    }
    // The link itself stays as it is: what it leads over is changed, far from the root.
    symlink("v1", place.path().join("current")).unwrap();
    symlink(place.path().join("current/web"), place.root().join("web")).unwrap();
    let web = place.module("web");
    let first = web.wait_up(&place);
    web.wait_text(&place, "__stdout", "v1\n");
    symlink("v2", place.path().join("new")).unwrap();
    std::fs::rename(place.path().join("new"), place.path().join("current")).unwrap();
    tree.signal("HUP");
    web.wait_new_pid(&place, first);
    web.wait_text(&place, "__stdout", "v1\nv2\n");
    assert!(!is_alive(first));
}

#[test]
fn links_that_lead_nowhere_or_in_circles_are_passed_over() {
    let place = Place::new();
    symlink("nowhere", place.root().join("broken")).unwrap();
    symlink("circle", place.root().join("circle")).unwrap();
    symlink("/dev/null", place.root().join("device")).unwrap();
    place.run("web", SLEEP);
    let _tree = place.tree();
    place.module("web").wait_up(&place);
    place.wait_told("broken: passed over: a link that leads nowhere");
    place.wait_told("circle: passed over");
    place.wait_told("device: passed over");
    // Once, however often the root changes.
    place.run("another", SLEEP);
    place.module("another").wait_up(&place);
    symlink("nowhere", place.path().join("again")).unwrap();
    std::fs::rename(place.path().join("again"), place.root().join("broken")).unwrap();
    place.run("third", SLEEP);
    place.module("third").wait_up(&place);
    assert_eq!(place.own().log().matches("broken: passed over").count(), 1, "{}", place.own().log());
    for name in ["broken", "circle", "device"] {
        assert!(!place.module(name).dir().exists(), "{name}");
    }
    // The target comes: nobody told the root, so it takes a rescan or a new link.
    std::fs::remove_file(place.root().join("broken")).unwrap();
    script(&place.path().join("target/run"), SLEEP);
    symlink("../target", place.root().join("broken")).unwrap();
    place.module("broken").wait_up(&place);
}

#[test]
fn one_directory_under_two_names_is_two_services() {
    let place = Place::new();
    place.run("web", SLEEP);
    symlink("web", place.root().join("alias")).unwrap();
    let _tree = place.tree();
    let (web, alias) = (place.module("web").wait_up(&place), place.module("alias").wait_up(&place));
    assert_ne!(web, alias);
}

// ----- names ---------------------------------------------------------------------------------------------------

#[test]
fn a_module_that_left_by_x_stays_away_until_hup() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    for bring_back in ["HUP", "h"] {
        let pid = web.wait_up(&place);
        web.send("dx");
        wait_for("the end of supervision", &place, || !web.is_supervised());
        // Events in its directory are no reason to come back.
        executable(&place.root().join("web/run"), true);
        std::fs::set_permissions(place.root().join("web"), std::fs::Permissions::from_mode(0o755)).unwrap();
        holds_for(Duration::from_millis(150), "it stays away", &place, || !web.is_supervised());
        match bring_back {
            "HUP" => tree.signal("HUP"),
            byte => place.module(".supervise-tree").send(byte),
        }
        web.wait_new_pid(&place, pid);
    }
    assert!(tree.stop().success());
}

#[test]
fn a_module_that_left_by_x_comes_back_when_its_directory_is_put_in_again() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", SLEEP), ("log/run", "exec cat > got")]);
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    web.send("dx");
    wait_for("the end of both", &place, || !web.is_supervised() && !place.module("web/log").is_supervised());
    std::fs::rename(place.root().join("web"), place.path().join("web")).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    std::fs::rename(place.path().join("web"), place.root().join("web")).unwrap();
    web.wait_new_pid(&place, pid);
    place.module("web/log").wait_up(&place);
}

#[test]
fn hup_again_and_again_restarts_nothing() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("log/run", "exec cat > got")]);
    let tree = place.tree();
    let (web, log) = (place.module("web"), place.module("web/log"));
    let pids = (web.wait_up(&place), log.wait_up(&place));
    for _ in 0..50 {
        tree.signal("HUP");
    }
    place.run("after", SLEEP);
    place.module("after").wait_up(&place);
    assert_eq!((web.pid(), log.pid()), pids);
    assert!(tree.stop().success());
}

// ----- many at once ------------------------------------------------------------------------------------------------

#[test]
fn a_hundred_come_and_go_at_once() {
    let place = Place::new();
    place.conf(FAST);
    let tree = place.tree();
    let names: Vec<String> = (0..100).map(|n| format!("s{n}")).collect();
    for name in &names {
        place.run(name, SLEEP);
    }
    let pids: Vec<u32> = names.iter().map(|name| place.module(name).wait_up(&place)).collect();
    // Half of them go, half of them get new names, while more come.
    for (at, name) in names.iter().enumerate() {
        match at % 2 {
            0 => std::fs::remove_dir_all(place.root().join(name)).unwrap(),
            _ => std::fs::rename(place.root().join(name), place.root().join(format!("renamed-{name}"))).unwrap(),
        }
        place.run(&format!("new{at}"), SLEEP);
    }
    for (at, name) in names.iter().enumerate() {
        place.module(&format!("new{at}")).wait_up(&place);
        if at % 2 == 1 {
            place.module(&format!("renamed-{name}")).wait_up(&place);
        }
        wait_for("the old names to be gone", &place, || !place.module(name).is_supervised());
    }
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    assert_eq!(pids_in(&place.root()).iter().filter(|pid| proc_status(**pid, "Name") == "sleep").count(), 150);
    assert!(tree.stop().success());
    assert_eq!(pids_in(&place.root()), [0; 0]);
}
