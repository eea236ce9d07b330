//! Status directories that somebody removes while nothing else happens.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;

/// A service whose processes can be counted.
fn countable(place: &Place) -> String {
    let program = place.path().join("counted");
    std::fs::copy("/bin/sleep", &program).expect("copied");
    format!("exec {} 1000", program.display())
}

/// The pids of all such processes.
fn copies(place: &Place) -> Vec<u32> {
    let program = place.path().join("counted");
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> =
        pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)).collect();
    pids.sort_unstable();
    pids
}

/// Removes a directory in which somebody makes new files meanwhile.
fn remove_all(path: &std::path::Path) {
    let until = std::time::Instant::now() + DEADLINE;
    while let Err(error) = std::fs::remove_dir_all(path) {
        assert!(error.kind() == std::io::ErrorKind::DirectoryNotEmpty && std::time::Instant::now() < until, "{error}");
    }
}

fn is_whole(module: &Module) -> bool {
    let there = ["lock", "control", "ok", "status", "state.json"].iter().all(|entry| module.path(entry).exists());
    there && module.is_supervised() && module.text("lock").starts_with("run ")
}

#[test]
fn a_directory_that_is_removed_is_made_and_written_again_while_nothing_happens() {
    let place = Place::new();
    for name in ["web", "mail"] {
        place.run(name, SLEEP);
    }
    let tree = place.tree();
    let (web, mail) = (place.module("web"), place.module("mail"));
    let pids = [web.wait_up(&place), mail.wait_up(&place)];
    wait_for("all to be written", &place, || is_whole(&web) && is_whole(&mail));
    remove_all(web.dir());
    wait_for("it to be made anew", &place, || is_whole(&web));
    // Each by itself: nothing else has changed, and would be written.
    for file in ["lock", "control", "ok", "status", "state.json"] {
        std::fs::remove_file(mail.path(file)).expect("removed");
        wait_for(&format!("{file} to be made anew"), &place, || is_whole(&mail));
    }
    std::fs::rename(web.dir(), place.path().join("away")).expect("moved away");
    wait_for("it to be made in its place", &place, || is_whole(&web));
    remove_all(&place.status_root());
    wait_for("everything to be made anew", &place, || is_whole(&web) && is_whole(&mail) && place.own().is_supervised());
    // Once more, for what was made anew is watched, too.
    remove_all(&place.status_root());
    wait_for("everything to be made anew again", &place, || is_whole(&web) && is_whole(&mail));
    assert_eq!([web.pid(), mail.pid()], pids);
    assert!(tree.stop().success());
}

#[test]
fn what_was_made_anew_is_found_by_the_next_tree() {
    let place = Place::new();
    place.run("web", &countable(&place));
    let killed = place.reaped_tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_for("all to be written", &place, || is_whole(&web));
    remove_all(&place.status_root());
    wait_for("it to be made anew", &place, || is_whole(&web));
    killed.kill();
    let tree = place.reaped_tree();
    wait_for("it to be adopted", &place, || web.state()["supervisor_pid"] == tree.pid() && web.pid() == pid);
    assert_eq!(copies(&place), [pid]);
    assert!(tree.stop().success());
}

#[test]
fn a_start_finds_the_directory_that_was_removed_just_before() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n");
    place.run("web", "echo word; exec sleep 1000");
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_for("all to be written", &place, || is_whole(&web) && web.text("__stdout").contains("word"));
    remove_all(web.dir());
    signal(pid, "KILL");
    wait_for("the output of the next one", &place, || web.text("__stdout").contains("word"));
    assert!(tree.stop().success());
}

#[test]
fn of_two_trees_the_one_that_has_lost_its_locks_lets_go() {
    let place = Place::new();
    let run = countable(&place);
    for name in ["web", "mail"] {
        place.run(name, &run);
    }
    let first = place.tree();
    let modules = [place.module("web"), place.module("mail")];
    let old = modules.each_ref().map(|module| module.wait_up(&place));
    wait_for("all to be written", &place, || modules.iter().all(is_whole));
    // The second one takes the place of the first before that can make anything anew.
    first.signal("STOP");
    remove_all(&place.status_root());
    let second = place.tree();
    modules.iter().for_each(|module| _ = module.wait_up(&place));
    first.signal("CONT");
    wait_for("the first to let go", &place, || old.iter().all(|pid| !is_alive(*pid)));
    let mut new = modules.each_ref().map(Module::pid);
    new.sort_unstable();
    assert_eq!(copies(&place), new);
    assert!(modules.iter().all(|module| module.state()["supervisor_pid"] == second.pid()));
    // It waits for the other one to go, and is there then.
    assert!(is_alive(first.pid()));
    assert!(second.stop().success());
    wait_for("the first to take over", &place, || copies(&place).len() == 2);
    assert!(first.stop().success());
    assert!(copies(&place).is_empty());
}

#[test]
fn a_second_tree_that_comes_at_once_waits_for_the_first_to_make_all_anew() {
    let runtime =
        if nix::unistd::geteuid().is_root() { Some("/run".into()) } else { std::env::var_os("XDG_RUNTIME_DIR") };
    let is_there =
        |dir: &std::ffi::OsString| nix::unistd::access(dir.as_os_str(), nix::unistd::AccessFlags::W_OK).is_ok();
    if !runtime.is_some_and(|runtime| is_there(&runtime)) {
        return host::skipped(
            "a_second_tree_that_comes_at_once_waits_for_the_first_to_make_all_anew: nowhere to leave a path",
        );
    }
    let place = Place::new();
    place.run("web", &countable(&place));
    let first = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_for("all to be written", &place, || is_whole(&web));
    for _ in 0..5 {
        remove_all(&place.status_root());
        let mut second = tree_command();
        second.arg("-p").arg(place.status_root()).arg(place.root());
        let said = place.output(second);
        assert_eq!(said.status.code(), Some(111), "{}", said_by(&said));
        assert!(said_by(&said).contains("already in use by supervise-tree"), "{}", said_by(&said));
        wait_for("all to be written again", &place, || is_whole(&web));
        assert_eq!(copies(&place), [pid]);
    }
    assert!(first.stop().success());
}
