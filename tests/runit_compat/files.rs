//! The files themselves, what they cost, and what becomes of them.

use crate::common::*;
use crate::fixture::*;
use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::process::Command;

/// The names in a directory.
fn names(dir: &std::path::Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Waits for `status`, which is written last.
fn wait_written(place: &Place, files: &Module, pid: u32) {
    wait_for("runit's files", place, || files.status().get(12..16) == Some(&pid.to_le_bytes()[..]));
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn they_are_as_runsv_makes_them() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("log/run", "exec cat > got")]);
    let _tree = place.tree_with(&["--runit-compat"]);
    for name in ["web", "web/log"] {
        let module = place.module(name);
        let pid = module.wait_up(&place);
        let files = place.module(&format!("{name}/supervise"));
        files.wait_text(&place, "stat", "run\n");
        // It is the last of the three, which are written one after the other.
        wait_for("the status", &place, || files.status().last() == Some(&1));
        let expected = ["control", "lock", "ok", "pid", "stat", "status"].map(String::from);
        // Beside them stands what the last change has replaced.
        let named: BTreeSet<_> = names(files.dir()).into_iter().filter(|name| !name.ends_with(".new")).collect();
        assert_eq!(named, BTreeSet::from(expected));
        let at = |entry: &str| std::fs::symlink_metadata(files.path(entry)).unwrap();
        let mode = |entry: &str| at(entry).permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("control"), mode("ok"), mode("status")), (0o700, 0o600, 0o600, 0o644));
        assert!(at("control").file_type().is_fifo());
        assert_eq!(at("control").ino(), at("ok").ino());
        assert_ne!(at("control").ino(), std::fs::metadata(module.path("control")).unwrap().ino());
        assert_eq!(at("lock").ino(), std::fs::metadata(module.path("lock")).unwrap().ino());
        assert_eq!(files.text("pid"), format!("{pid}\n"));
        let status = files.status();
        assert_eq!((status.len(), &status[12..16], &status[16..]), (20, &pid.to_le_bytes()[..], &[0, b'u', 0, 1][..]));
        let link = std::fs::read_link(place.root().join(name).join("supervise")).unwrap();
        assert_eq!(link, files.dir());
        assert_eq!(module.state()["svdir"], place.root().to_str().unwrap());
    }
}

#[test]
fn they_are_there_before_run_works_for_the_first_time() {
    let place = Place::new();
    let run = "[ -p supervise/ok ] && [ \"$(wc -c < supervise/status)\" = 20 ] && echo there; exec sleep 1000";
    for number in 0..8 {
        place.run(&format!("s{number}"), run);
    }
    let _tree = place.tree_with(&["--runit-compat"]);
    for number in 0..8 {
        let module = place.module(&format!("s{number}"));
        module.wait_up(&place);
        module.wait_text(&place, "__stdout", "there\n");
    }
}

#[test]
fn without_the_flag_there_are_none_and_with_it_one_more_descriptor() {
    let used = |arguments: &[&str]| {
        let place = Place::new();
        for name in ["a", "b", "c"] {
            place.run(name, SLEEP);
        }
        let tree = place.tree_with(arguments);
        for name in ["a", "b", "c"] {
            place.module(name).wait_up(&place);
        }
        let mut entries: Vec<_> = names(&place.root().join("a")).into_iter().collect();
        entries.extend(names(place.module("a").dir()));
        let svdir = place.module("a").state()["svdir"].clone();
        let mut seen = descriptors(tree.pid());
        // What is opened only for a moment is not counted.
        for _ in 0..20 {
            seen = seen.min(descriptors(tree.pid()));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        (seen, entries.contains(&"supervise".to_string()), svdir)
    };
    let without = used(&[]);
    let with = used(&["--runit-compat"]);
    assert_eq!((without.1, &without.2), (false, &serde_json::Value::Null));
    assert!(with.1);
    assert_eq!(with.0 - without.0, 3, "one for each service");
}

#[test]
fn the_status_root_serves_as_svdir() {
    if !installed(&["sv", "svstat"]) {
        return;
    }
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("log/run", "exec cat > got")]);
    let _tree = place.tree_with(&["--runit-compat"]);
    place.module("web").wait_up(&place);
    place.module("web/log").wait_up(&place);
    let root = place.status_root();
    let said = || normal(&tool(&root, &["sv", "status", "web"]));
    wait_for("sv to see both", &place, || said() == "run: web: (pid P) Ts; run: log: (pid P) Ts\nexit 0");
    assert_eq!(normal(&tool(&root, &["sv", "restart", "web"])), "ok: run: web: (pid P) Ts\nexit 0");
}

#[test]
fn a_services_root_that_is_read_only_has_none_and_one_line_says_so() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.run(name, SLEEP);
    }
    let read_only = "mount --bind sv sv && mount -o remount,bind,ro sv";
    let mut probe = Command::new("unshare");
    probe.args(["-rm", "sh", "-c", read_only]);
    if !place.output(probe).status.success() {
        return host::skipped("no user namespaces: the services root cannot be made read-only");
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &format!("{read_only} && exec \"$0\" -p status --runit-compat sv")]);
    command.arg(env!("CARGO_BIN_EXE_supervise-tree"));
    let tree = place.start(command);
    let status_root = place.status_root();
    for name in ["a", "b"] {
        let module = place.module(name);
        module.wait_up(&place);
        assert!(module.path("supervise/control").exists());
        assert!(!place.root().join(name).join("supervise").is_symlink());
        assert_eq!(module.state()["svdir"], status_root.to_str().unwrap());
        assert_eq!(module.text("supervise.log.wf"), "");
    }
    let own = place.module(".supervise-tree");
    let line = format!("SVDIR={} sv", status_root.display());
    own.wait_text(&place, "supervise.log", &line);
    assert_eq!(host::count(&own.path("supervise.log"), &line), 1);
    let mut svctl = svctl_command();
    svctl.arg("-p").arg(&status_root).arg("status");
    let said = String::from_utf8(place.output(svctl).stdout).unwrap();
    assert!(said.contains(&format!("SVDIR={}", status_root.display())), "{said}");
    assert!(tree.stop().success());
}

#[test]
fn what_is_removed_is_made_anew_at_the_next_event() {
    let place = Place::new();
    place.run("web", SLEEP);
    let _tree = place.tree_with(&["--runit-compat"]);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let files = place.module("web/supervise");
    let complete = || ["control", "lock", "ok", "pid", "stat", "status"].iter().all(|name| files.path(name).exists());
    wait_for("all files", &place, complete);
    std::fs::remove_dir_all(files.dir()).unwrap();
    web.send("p");
    wait_for("all files again", &place, complete);
    files.wait_text(&place, "stat", "run, paused\n");
    files.send("c");
    files.wait_text(&place, "stat", "run\n");
    assert_eq!(web.pid(), pid);
}

#[test]
fn bytes_that_runit_does_not_know_mean_nothing() {
    let place = Place::new();
    place.run("web", SLEEP);
    let _tree = place.tree_with(&["--runit-compat"]);
    let web = place.module("web");
    web.wait_up(&place);
    let files = place.module("web/supervise");
    // Alarms stay on, and the settings are not read again.
    files.send("srwn\n!p");
    web.wait_state(&place, "paused");
    assert_eq!(web.state()["alarm"], true);
    assert!(!web.log().contains("settings"), "{}", web.log());
}

#[test]
fn the_fifo_is_handed_over_when_the_program_replaces_itself() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree_with(&["--runit-compat"]);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let files = place.module("web/supervise");
    let inode = || std::fs::metadata(files.path("control")).unwrap().ino();
    let before = inode();
    // Held open by somebody all the time, as by `sv` in the middle of a command.
    let mut writer =
        std::fs::OpenOptions::new().write(true).open(files.path("control")).expect("the FIFO has a reader");
    let own = place.module(".supervise-tree");
    let begun = || host::count(&own.path("supervise.log"), "supervising ");
    tree.signal("USR2");
    wait_for("the new program", &place, || begun() == 2);
    std::io::Write::write_all(&mut writer, b"p").unwrap();
    files.wait_text(&place, "stat", "run, paused\n");
    assert_eq!((web.pid(), inode()), (pid, before));
    assert!(files.text("pid").starts_with(&pid.to_string()));
}

#[test]
fn a_tree_that_was_killed_is_followed_by_one_with_the_same_files() {
    let place = Place::new();
    place.run("web", SLEEP);
    let mut command = tree_command();
    command.arg("--runit-compat");
    let tree = place.reaped_tree_as(command);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let files = place.module("web/supervise");
    wait_written(&place, &files, pid);
    let started = files.status()[..8].to_vec();
    tree.kill();
    let _next = place.tree_with(&["--runit-compat"]);
    wait_for("the next tree", &place, || web.is_supervised() && files.is_supervised());
    wait_written(&place, &files, pid);
    let seconds = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().unwrap());
    assert!(seconds(&files.status()).abs_diff(seconds(&started)) <= 1, "the time of its start");
    files.send("t");
    web.wait_new_pid(&place, pid);
}

#[test]
fn a_change_writes_five_files_at_most() {
    let place = Place::new();
    place.run("web", "trap '' TERM; : > deaf; exec sleep 1000");
    let _tree = place.tree_with(&["--runit-compat"]);
    let (web, files) = (place.module("web"), place.module("web/supervise"));
    let pid = web.wait_up(&place);
    wait_for("it to be deaf", &place, || place.root().join("web/deaf").exists());
    wait_written(&place, &files, pid);
    let flags = nix::sys::inotify::InitFlags::IN_NONBLOCK;
    let watch = nix::sys::inotify::Inotify::init(flags).unwrap();
    for dir in [web.dir(), files.dir()] {
        watch.add_watch(dir, nix::sys::inotify::AddWatchFlags::IN_MOVED_TO).unwrap();
    }
    // All are written before the line in the log is.
    let written = |line: &str| {
        web.wait_text(&place, "supervise.log", line);
        let mut names: Vec<String> = Vec::new();
        while let Ok(events) = watch.read_events() {
            names.extend(events.into_iter().filter_map(|event| event.name?.into_string().ok()));
        }
        // The spare that a file is exchanged with.
        names.retain(|name| !name.ends_with(".new"));
        names.sort();
        names.join(" ")
    };
    files.send("t");
    assert_eq!(written("TERM sent to pid"), "stat state.json status");
    files.send("d");
    assert_eq!(written(&format!("stopping pid {pid}")), "stat state.json status status");
    signal(pid, "KILL");
    assert_eq!(written("ended after"), "pid stat state.json status status");
    files.send("u");
    wait_for("the next start", &place, || web.text("supervise.log").matches("started, pid").count() == 2);
    let names = written("started, pid");
    // With a delay before it, it is two changes.
    assert!(names.ends_with("pid stat state.json status status") || names.contains("state.json state.json"), "{names}");
}

#[test]
fn svctl_does_not_take_them_for_modules() {
    let place = Place::new();
    place.service("web", &[("run", SLEEP), ("log/run", "exec cat > got")]);
    let _tree = place.tree_with(&["--runit-compat"]);
    place.module("web").wait_up(&place);
    place.module("web/log").wait_up(&place);
    let mut svctl = svctl_command();
    svctl.arg("-p").arg(place.status_root()).args(["--json", "status"]);
    let said: serde_json::Value = serde_json::from_slice(&place.output(svctl).stdout).unwrap();
    let names: Vec<_> = said.as_array().unwrap().iter().map(|module| module["module"].as_str().unwrap()).collect();
    assert_eq!(names, ["web", "web/log"]);
}

#[test]
fn a_stop_is_that_of_runsv() {
    let place = Place::new();
    place.run("web", "sleep 1000 & echo $! > child.new; mv child.new child; exec sleep 1000");
    let _tree = place.tree_with(&["--runit-compat"]);
    let web = place.module("web");
    web.wait_up(&place);
    let child = place.root().join("web/child");
    wait_for("the child", &place, || child.exists());
    let child: u32 = std::fs::read_to_string(child).unwrap().trim().parse().unwrap();
    for (key, value) in [("kill_timeout", "0"), ("kill_mode", "process")] {
        let said = said_by(&place.svctl(&["config", "web"]));
        let line = said.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), [key, value, "default"], "{said}");
    }
    web.send("d");
    web.wait_state(&place, "down");
    web.wait_text(&place, "supervise.log", "TERM sent, KILL never");
    web.wait_text(&place, "supervise.log.wf", "kill_mode : process lets it live");
    assert!(is_alive(child), "{}", place.story());
    signal(child, "KILL");
}

#[test]
fn an_empty_log_directory_is_no_logger_and_no_complaint() {
    let place = Place::new();
    place.run("web", SLEEP);
    std::fs::create_dir(place.root().join("web/log")).unwrap();
    let tree = place.tree_with(&["--runit-compat"]);
    place.module("web").wait_up(&place);
    assert!(!place.module("web/log").dir().join("status").exists());
    assert!(tree.stop().success());
    for trouble in
        [place.module("web").path("supervise.log.wf"), place.module(".supervise-tree").path("supervise.log.wf")]
    {
        assert_eq!(std::fs::read_to_string(&trouble).unwrap_or_default(), "", "{}", place.story());
    }
}
