//! A status root that an ordinary user owns, whose directories he replaces by links while a tree of root's works in them.

use crate::common::host::skipped;
use crate::common::{FAST, Module, Place, SLEEP, is_alive, signal, wait_for};
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::{Path, PathBuf};

const STRANGER: u32 = 4711;

/// A place whose status root is the stranger's.
fn place() -> Place {
    let place = Place::new();
    place.conf(&format!("{FAST}[logged]\nlog : yes\n[tells]\nready : notify\n"));
    std::fs::create_dir_all(place.status_root()).unwrap();
    chown(place.status_root(), Some(STRANGER), None).unwrap();
    place
}

/// Puts a link of the stranger's to `victim` in the place of `at`; where that is moved to.
fn exchange(at: &Path, victim: &Path) -> PathBuf {
    let away = at.with_extension("away");
    std::fs::rename(at, &away).unwrap();
    symlink(victim, at).unwrap();
    lchown(at, Some(STRANGER), Some(STRANGER)).unwrap();
    away
}

/// Directories of root's that have what a status directory has.
fn victim(place: &Place) -> PathBuf {
    let victim = place.path().join("victim");
    std::fs::create_dir_all(victim.join("log/main")).unwrap();
    victim
}

fn assert_untouched(victim: &Path, place: &Place) {
    let names = |dir: &Path| -> Vec<String> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for (dir, expected) in [("", &["log"][..]), ("log", &["main"]), ("log/main", &[])] {
        assert_eq!(names(&victim.join(dir)), expected, "in victim/{dir}\n{}", place.story());
    }
}

#[test]
fn nothing_is_written_where_a_link_in_its_place_leads() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("nothing_is_written_where_a_link_in_its_place_leads: only root can give directories away");
    }
    let place = place();
    let victim = victim(&place);
    place.run("web", "echo hello; exec sleep 1000");
    place.run("logged", "echo hello; exec sleep 1000");
    place.run("tells", SLEEP);
    let tree = place.tree();
    let modules = ["web", "logged", "logged/log", "tells"].map(|name| place.module(name));
    let pids = modules.each_ref().map(|module| module.wait_up(&place));
    place.own().wait_text(&place, "supervise.log.wf", &format!("uid {STRANGER} may write "));
    wait_for("lines", &place, || modules[2].path("main/current").exists());
    let root = place.status_root();
    let away = exchange(&root.join("web"), &victim);
    for other in ["logged", "tells", ".notify"] {
        exchange(&root.join(other), &victim);
    }
    // Each is started anew, and writes where its files have gone.
    let now = ["web.away", "logged.away", "logged.away/log", "tells.away"].map(|name| place.module(name));
    for (module, pid) in now.iter().zip(pids).rev() {
        signal(pid, "KILL");
        module.wait_new_pid(&place, pid);
    }
    wait_for("what it said", &place, || {
        std::fs::read_to_string(away.join("__stdout")).unwrap_or_default() == "hello\nhello\n"
    });
    assert_untouched(&victim, &place);
    // What is repaired is created again.
    std::fs::remove_file(root.join("web")).unwrap();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    assert!(is_alive(pid));
    for other in ["logged", "tells", ".notify"] {
        std::fs::remove_file(root.join(other)).unwrap();
        std::fs::rename(root.join(other).with_extension("away"), root.join(other)).unwrap();
    }
    assert!(tree.stop().success());
    assert_untouched(&victim, &place);
}

#[test]
fn a_later_tree_and_a_replaced_program_find_what_runs() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("a_later_tree_and_a_replaced_program_find_what_runs: only root can give directories away");
    }
    let place = place();
    for name in ["web", "logged"] {
        place.run(name, SLEEP);
    }
    let tree = place.tree();
    let modules = ["web", "logged", "logged/log"].map(|name| place.module(name));
    let pids = modules.each_ref().map(|module| module.wait_up(&place));
    tree.signal("USR2");
    let supervised = |pid| modules.iter().all(|module| module.state()["supervisor_pid"] == pid);
    let generation = || place.own().state()["generation"].as_u64();
    wait_for("the program to be replaced", &place, || generation() == Some(2) && supervised(tree.pid()));
    tree.kill();
    let tree = place.tree();
    wait_for("all to be adopted", &place, || supervised(tree.pid()));
    assert_eq!(modules.each_ref().map(Module::pid), pids, "{}", place.story());
    // The user may clean up.
    std::fs::remove_dir_all(place.status_root().join("web")).unwrap();
    wait_for("the directory to be made anew", &place, || modules[0].is_supervised() && modules[0].pid() == pids[0]);
    assert!(tree.stop().success());
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}
