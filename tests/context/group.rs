//! Control groups, where there is a hierarchy of version 2 in which groups can be made.

use crate::common::*;
use crate::{is_root, open_place};
use std::path::PathBuf;
use std::process::ExitStatus;
use supervise_tree::sys::context::cgroup::Hierarchy;

/// The group of `module` below ours, if there can be one.
fn group(module: &str) -> Option<PathBuf> {
    if !is_root() {
        return None;
    }
    let own = Hierarchy::find().and_then(|hierarchy| hierarchy.own());
    let own = own.map(|own| own.path().to_owned()).or_else(mounted_for_us);
    if own.is_none() {
        host::skipped("no control groups of version 2 here, and they cannot be mounted");
    }
    own.map(|own| own.join(module))
}

/// Our own group in a hierarchy that this thread, and what it starts, has mounted for itself.
fn mounted_for_us() -> Option<PathBuf> {
    let dir = Box::leak(Box::new(tempfile::tempdir().ok()?)).path();
    // SAFETY: it changes what this thread sees of the file system, and no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return None;
    }
    let mount = |words: &[&str]| std::process::Command::new("mount").args(words).arg(dir).status();
    let private = std::process::Command::new("mount").args(["--make-rprivate", "/"]).status();
    private.ok().filter(ExitStatus::success)?;
    mount(&["-t", "cgroup2", "none"]).ok().filter(ExitStatus::success)?;
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let below = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(dir.join(below))
}

/// A name that no other test has.
fn module(test: &str) -> String {
    format!("svt-{test}-{}", std::process::id())
}

/// Forks twice and leaves its session: its process group would never find it.
const ESCAPES: &str = "setsid sh -c 'sleep 2000 & echo $! > child; wait' & exec sleep 1000";

fn escaped(place: &Place, name: &str) -> u32 {
    let file = place.root().join(name).join("child");
    wait_for("the child that leaves", place, || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
    std::fs::read_to_string(&file).expect("a pid").trim().parse().expect("a pid")
}

#[test]
fn a_stop_ends_all_that_the_service_ever_started() {
    let name = module("stop");
    let Some(group) = group(&name) else { return };
    let place = open_place();
    place.conf(&format!("[{name}]\nkill_mode : cgroup\n"));
    place.run(&name, ESCAPES);
    let _tree = place.tree();
    let web = place.module(&name);
    let pid = web.wait_up(&place);
    let child = escaped(&place, &name);
    let cgroup = |pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    assert!(cgroup(pid).contains(&format!("/{name}\n")), "{}", cgroup(pid));
    assert!(cgroup(child).contains(&format!("/{name}\n")), "{}", cgroup(child));
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(["--json", "show", &name]);
    let shown: serde_json::Value = serde_json::from_slice(&place.output(command).stdout).expect("JSON");
    // The run process, the shell that has left its session, and the child of that.
    assert_eq!(shown[0]["processes"], 3, "{shown}");
    assert!(shown[0]["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{shown}");
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(["--json", "status", &name]);
    let shown: serde_json::Value = serde_json::from_slice(&place.output(command).stdout).expect("JSON");
    assert_eq!(shown[0]["processes"], 3, "{shown}");
    web.send("d");
    web.wait_state(&place, "down");
    wait_for("the child's end", &place, || !is_alive(child));
    wait_for("the group's end", &place, || !group.exists());
}

#[test]
fn a_crash_leaves_nothing_beside_the_next_run() {
    let name = module("crash");
    let Some(_group) = group(&name) else { return };
    let place = open_place();
    place.conf(&format!("[{name}]\nkill_mode : cgroup\nrestart_delay : 0.05\n"));
    place.run(&name, ESCAPES);
    let _tree = place.tree();
    let web = place.module(&name);
    let pid = web.wait_up(&place);
    let child = escaped(&place, &name);
    signal(pid, "KILL");
    web.wait_new_pid(&place, pid);
    assert!(!is_alive(child), "killed before the next start");
    web.send("d");
    web.wait_state(&place, "down");
}

#[test]
fn the_next_tree_finds_the_group_again() {
    let name = module("adopt");
    let Some(group) = group(&name) else { return };
    let place = open_place();
    place.conf(&format!("[{name}]\nkill_mode : cgroup\nrestart_delay : 0.05\n"));
    place.run(&name, ESCAPES);
    let tree = place.tree();
    let web = place.module(&name);
    let pid = web.wait_up(&place);
    let child = escaped(&place, &name);
    tree.kill();
    let tree = place.tree();
    wait_for("the adoption", &place, || web.pid() == pid);
    // And once more without the run process: what is left is killed all the same.
    tree.kill();
    signal(pid, "KILL");
    let _tree = place.tree();
    wait_for("the end of what is left", &place, || !is_alive(child));
    web.wait_new_pid(&place, pid);
    web.send("d");
    web.wait_state(&place, "down");
    wait_for("the group's end", &place, || !group.exists());
}

#[test]
fn a_group_of_somebody_elses_is_left_alone() {
    let name = module("foreign");
    let Some(group) = group(&name) else { return };
    std::fs::create_dir(&group).expect("a group");
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    std::fs::write(group.join("cgroup.procs"), stranger.id().to_string()).expect("moved");
    let place = open_place();
    place.conf(&format!("[{name}]\nkill_mode : cgroup\n[{name}x]\ncgroup : required\nmemory_max : 1\n"));
    place.run(&name, SLEEP);
    let tree = place.tree();
    let web = place.module(&name);
    web.wait_up(&place);
    web.wait_text(&place, "supervise.log.wf", "is there already, and somebody else's; it runs without");
    web.send("d");
    web.wait_state(&place, "down");
    assert!(stranger.try_wait().expect("a child").is_none(), "it lives");
    tree.stop();
    stranger.kill().and_then(|()| stranger.wait()).expect("killed");
    std::fs::remove_dir(&group).expect("removed");
}

/// Keys, the controller that each needs, and what the kernel has then.
const LIMITS: [(&str, &str, &str, &str); 4] = [
    ("memory_max : 200M", "memory", "memory.max", "209715200"),
    ("memory_high : 100M", "memory", "memory.high", "104857600"),
    ("cpu_max : 150%", "cpu", "cpu.max", "150000 100000"),
    ("tasks_max : 50", "pids", "pids.max", "50"),
];

#[test]
fn each_limit_is_in_the_kernels_file_or_its_lack_is_told() {
    let (name, strict) = (module("lack"), module("need"));
    let Some(group) = group(&name) else { return };
    let place = open_place();
    let keys: String = LIMITS.iter().map(|(key, ..)| format!("{key}\n")).collect();
    place.conf(&format!("[{name}]\n{keys}[{strict}]\n{keys}cgroup : required\nrestart_delay : 60\n"));
    place.run(&name, SLEEP);
    place.run(&strict, SLEEP);
    let _tree = place.tree();
    let (web, strict) = (place.module(&name), place.module(&strict));
    web.wait_up(&place);
    let offered = std::fs::read_to_string(group.with_file_name("cgroup.controllers")).unwrap_or_default();
    let mut lacks = false;
    for (key, controller, file, value) in LIMITS {
        if offered.split_whitespace().any(|other| other == controller) {
            let is = std::fs::read_to_string(group.join(file)).unwrap_or_default();
            assert_eq!(is.trim_end(), value, "{key}");
            continue;
        }
        host::skipped(&format!("{key}: version 1 holds the controller {controller}, or nobody has it"));
        lacks = true;
        let (key, _) = key.split_once(' ').expect("a key");
        let told = || {
            let log = web.text("supervise.log.wf");
            log.lines()
                .filter(|line| line.contains(key) && line.contains(&format!("no {controller} controller")))
                .count()
        };
        wait_for("one warning", &place, || told() == 1);
    }
    if lacks {
        strict.wait_text(&place, "supervise.log.wf", "cgroup: ");
        assert_eq!(strict.pid(), 0);
        assert!(!group.with_file_name(module("need")).exists(), "nothing is left of what was refused");
    } else {
        strict.wait_up(&place);
    }
    web.send("d");
    strict.send("d");
    web.wait_state(&place, "down");
    wait_for("the group's end", &place, || !group.exists());
}
