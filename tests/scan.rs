//! The services root: directories that come, go, change their names and their insides.

mod common;

use common::*;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

fn own_log(place: &Place) -> String {
    place.module(".supervise-tree").log()
}

fn told(place: &Place, text: &str) {
    wait_for(&format!("the tree to say {text:?}"), place, || own_log(place).contains(text));
}

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
        let copied = std::process::Command::new("cp").arg("-r").arg(&source).arg(&target).status().unwrap();
        assert!(copied.success());
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
    let _tree = place.tree();
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
        told(&place, &format!("{name}: no executable run yet"));
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
    assert_eq!(web.text("__stdout"), "v1\nv2\n");
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
    told(&place, "broken: passed over: a link that leads nowhere");
    told(&place, "circle: passed over");
    told(&place, "device: passed over");
    // Once, however often the root changes.
    place.run("another", SLEEP);
    place.module("another").wait_up(&place);
    symlink("nowhere", place.path().join("again")).unwrap();
    std::fs::rename(place.path().join("again"), place.root().join("broken")).unwrap();
    place.run("third", SLEEP);
    place.module("third").wait_up(&place);
    assert_eq!(own_log(&place).matches("broken: passed over").count(), 1, "{}", own_log(&place));
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

// ----- replaced and renamed -----------------------------------------------------------------------------------

#[test]
fn a_renamed_directory_never_has_two_copies() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    // It takes its time to end, so that a hasty start would meet it.
    let run = "trap 'sleep 0.2; exit 0' TERM; echo ready; sleep 1000 & while :; do wait $!; done";
    let run = ALONE.to_string() + run;
    place.run("a", &run);
    place.module("a").wait_text(&place, "__stdout", "ready");
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let old = place.module(from).wait_up(&place);
        std::fs::rename(place.root().join(from), place.root().join(to)).unwrap();
        place.module(to).wait_new_pid(&place, old);
        wait_for("the new one", &place, || place.module(to).text("__stdout").ends_with("ready\n"));
        assert!(!is_alive(old));
        wait_for("the old name to be let go", &place, || !place.module(from).is_supervised());
    }
    for name in ["a", "b", "c"] {
        assert!(!place.module(name).text("__stdout").contains("DOUBLE"), "{name}");
    }
}

#[test]
fn renamed_forth_and_back_at_once_it_runs_under_its_own_name() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    place.run("web", &(ALONE.to_string() + SLEEP));
    let web = place.module("web");
    web.wait_up(&place);
    for _ in 0..20 {
        std::fs::rename(place.root().join("web"), place.root().join("other")).unwrap();
        std::fs::rename(place.root().join("other"), place.root().join("web")).unwrap();
    }
    wait_for("one process under the old name", &place, || {
        web.is_supervised()
            && is_alive(web.pid())
            && !place.module("other").is_supervised()
            && pids_in(&place.root().join("web")).len() == 1
    });
    assert!(!(web.text("__stdout") + &place.module("other").text("__stdout")).contains("DOUBLE"));
}

#[test]
fn two_directories_that_change_places_change_places() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    place.run("a", "echo one; exec sleep 1000");
    place.run("b", "echo two; exec sleep 1000");
    let (a, b) = (place.module("a"), place.module("b"));
    let (pid_a, pid_b) = (a.wait_up(&place), b.wait_up(&place));
    a.wait_text(&place, "__stdout", "one\n");
    b.wait_text(&place, "__stdout", "two\n");
    let root = place.root();
    std::fs::rename(root.join("a"), root.join(".x")).unwrap();
    std::fs::rename(root.join("b"), root.join("a")).unwrap();
    std::fs::rename(root.join(".x"), root.join("b")).unwrap();
    a.wait_text(&place, "__stdout", "one\ntwo\n");
    b.wait_text(&place, "__stdout", "two\none\n");
    assert!(!is_alive(pid_a) && !is_alive(pid_b));
}

#[test]
fn a_directory_deleted_and_made_again_is_started_anew() {
    let place = Place::new();
    place.conf(FAST);
    let _tree = place.tree();
    let dir = place.root().join("web");
    let web = place.module("web");
    let mut pid = 0;
    let mut inodes = Vec::new();
    for round in 0..6 {
        if round > 0 {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        // Made again at once: the file system may well give it the inode that was just freed.
        script(&dir.join("run"), &format!("echo {round} >> ../../rounds; {ALONE}{SLEEP}"));
        inodes.push(std::fs::metadata(&dir).unwrap().ino());
        let rounds = || std::fs::read_to_string(place.path().join("rounds")).unwrap_or_default();
        wait_for(&format!("round {round}, inodes {inodes:?}"), &place, || rounds().ends_with(&format!("{round}\n")));
        let next = web.wait_new_pid(&place, pid);
        assert!(!is_alive(pid) || pid == 0, "the old one is gone");
        pid = next;
    }
    assert!(!web.text("__stdout").contains("DOUBLE"));
}

#[test]
fn a_directory_that_is_replaced_while_its_old_process_ends_is_not_forgotten() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nkill_timeout : 0.3\n");
    let _tree = place.tree();
    let dir = place.root().join("web");
    script(&dir.join("run"), "trap '' TERM; echo ready; exec sleep 1000");
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "ready");
    let pid = web.wait_up(&place);
    for name in ["second", "third"] {
        std::fs::remove_dir_all(&dir).unwrap();
        wait_for("the stop", &place, || web.state_name() == "stopping");
        script(&dir.join("run"), &format!("echo {name}; exec sleep 1000"));
    }
    web.wait_new_pid(&place, pid);
    web.wait_text(&place, "__stdout", "third");
    assert_eq!(web.text("__stdout"), "ready\nthird\n");
}

// ----- names ---------------------------------------------------------------------------------------------------

#[test]
fn hostile_names_are_just_names() {
    let place = Place::new();
    place.conf(FAST);
    let long = "x".repeat(255);
    let names = [
        "with blank",
        " lead",
        "trail ",
        "-rf",
        "--help",
        "$(touch pwned)",
        "`touch pwned`",
        "a;touch pwned",
        "a'b\"c",
        "*",
        "?",
        "[global]",
        "~",
        "ünïcödé",
        "日本",
        "a\\b",
        "a%sb%n",
        "status",
        "control",
        "log",
        &long,
    ];
    for name in names {
        place.service(name, &[("run", "echo $# $0; exec sleep 1000"), ("finish", "printf '%s\\n' \"$3\" > finished")]);
    }
    let tree = place.tree();
    for name in names {
        let module = place.module(name);
        let pid = module.wait_up(&place);
        assert_eq!(module.state()["module"], name);
        module.wait_text(&place, "__stdout", "0 ./run\n");
        module.send("k");
        module.wait_new_pid(&place, pid);
        let finished = std::fs::read_to_string(place.root().join(name).join("finished")).unwrap();
        assert_eq!(finished, format!("{name}\n"));
    }
    assert!(tree.stop().success());
    for name in names {
        assert!(!place.root().join(name).join("pwned").exists());
    }
    assert!(!place.path().join("pwned").exists());
}

#[test]
fn control_characters_and_bytes_that_are_no_text_are_passed_over_with_one_line_each() {
    let place = Place::new();
    let _tree = place.tree();
    let names: [&[u8]; 5] = [b"new\nline", b"esc\x1b[31mred", b"tab\there", b"bell\x07", b"\xff\xfe"];
    for name in names {
        let dir = place.root().join(std::ffi::OsStr::from_bytes(name));
        script(&dir.join("run"), SLEEP);
    }
    place.run("fine", SLEEP);
    place.module("fine").wait_up(&place);
    wait_for("a line for each", &place, || own_log(&place).matches("passed over").count() >= 5);
    // More events on them: no more lines.
    for name in names {
        let dir = place.root().join(std::ffi::OsStr::from_bytes(name));
        executable(&dir.join("run"), true);
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    place.run("later", SLEEP);
    place.module("later").wait_up(&place);
    let log = own_log(&place);
    assert_eq!(log.matches("passed over").count(), 5, "{log}");
    assert!(!log.contains('\x1b') && !log.contains('\x07'), "{log:?}");
    assert!(log.lines().all(|line| line.starts_with('[')), "one event a line: {log}");
    let started = std::fs::read_dir(place.status_root()).unwrap().count();
    assert_eq!(started, 3, "the tree's own, fine and later");
}

#[test]
fn a_name_that_is_no_text_does_not_stop_one_that_looks_like_it() {
    let place = Place::new();
    let _tree = place.tree();
    place.run("a\u{fffd}", SLEEP);
    let module = place.module("a\u{fffd}");
    let pid = module.wait_up(&place);
    std::fs::create_dir(place.root().join(std::ffi::OsStr::from_bytes(b"a\xff"))).unwrap();
    told(&place, "passed over");
    place.run("after", SLEEP);
    place.module("after").wait_up(&place);
    assert!(is_alive(pid) && module.is_supervised());
}

#[test]
fn entries_that_are_no_directories_are_passed_over_once() {
    let place = Place::new();
    std::fs::write(place.root().join("file"), "").unwrap();
    nix::unistd::mkfifo(&place.root().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.root().join("socket")).unwrap();
    script(&place.root().join(".hidden/run"), SLEEP);
    place.conf("# nothing\n");
    let tree = place.tree();
    for name in ["file", "fifo", "socket"] {
        told(&place, &format!("{name}: passed over: not a directory"));
    }
    std::fs::write(place.root().join("file"), "changed").unwrap();
    place.run("web", SLEEP);
    place.module("web").wait_up(&place);
    assert_eq!(own_log(&place).matches("file: passed over").count(), 1);
    assert!(!own_log(&place).contains("hidden") && !own_log(&place).contains("supervise.conf"), "{}", own_log(&place));
    // A file in the place of a service: the service is gone.
    std::fs::rename(place.root().join("web"), place.path().join("old")).unwrap();
    std::fs::write(place.root().join("web"), "").unwrap();
    wait_for("the end", &place, || !place.module("web").is_supervised());
    // And a directory in the place of the file.
    std::fs::remove_file(place.root().join("file")).unwrap();
    place.run("file", SLEEP);
    place.module("file").wait_up(&place);
    assert!(tree.stop().success());
}

// ----- the root itself -------------------------------------------------------------------------------------------

#[test]
fn a_root_that_is_renamed_and_comes_back_finds_its_services_as_they_were() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let away = place.path().join("away");
    std::fs::rename(place.root(), &away).unwrap();
    told(&place, "is not there");
    assert!(is_alive(pid) && web.is_supervised());
    std::fs::rename(&away, place.root()).unwrap();
    place.run("new", SLEEP);
    place.module("new").wait_up(&place);
    assert_eq!(web.pid(), pid);
    std::fs::remove_dir_all(place.root().join("web")).unwrap();
    wait_for("the removal to be seen in the root that came back", &place, || !web.is_supervised());
    assert!(tree.stop().success());
}

#[test]
fn a_root_that_is_removed_and_made_again_is_found() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    for _ in 0..3 {
        std::fs::remove_dir_all(place.root()).unwrap();
        // Whether the services are seen to go before the root is depends on who is quicker.
        std::fs::create_dir(place.root()).unwrap();
        place.run("web", "echo again; exec sleep 1000");
        wait_for("the service of the new root", &place, || {
            is_alive(web.pid()) && web.text("__stdout").contains("again")
        });
        assert!(!is_alive(pid));
        std::fs::remove_file(web.path("__stdout")).unwrap();
    }
    place.run("more", SLEEP);
    place.module("more").wait_up(&place);
    assert!(tree.stop().success());
}

#[test]
fn a_root_that_is_replaced_by_another_is_compared_by_what_is_in_it() {
    let place = Place::new();
    place.conf(FAST);
    place.run("same", "echo one; exec sleep 1000");
    place.run("old", SLEEP);
    let _tree = place.tree();
    let (same, old) = (place.module("same"), place.module("old"));
    let (first, gone) = (same.wait_up(&place), old.wait_up(&place));
    same.wait_text(&place, "__stdout", "one\n");
    let fresh = place.path().join("fresh");
    script(&fresh.join("same/run"), "echo two; exec sleep 1000");
    script(&fresh.join("new/run"), SLEEP);
    std::fs::rename(place.root(), place.path().join("sv.old")).unwrap();
    std::fs::rename(&fresh, place.root()).unwrap();
    same.wait_new_pid(&place, first);
    same.wait_text(&place, "__stdout", "one\ntwo\n");
    place.module("new").wait_up(&place);
    wait_for("what is not in the new root to end", &place, || !is_alive(gone) && !old.is_supervised());
    assert!(!is_alive(first));
}

#[test]
fn a_root_that_is_a_link_is_swapped_whole() {
    let place = Place::new();
    std::fs::remove_dir(place.root()).unwrap();
    for (dir, service) in [("green", "echo green"), ("blue", "echo blue")] {
        script(&place.path().join(dir).join("web/run"), &format!("{service}; exec sleep 1000"));
        std::fs::write(place.path().join(dir).join("supervise.conf"), FAST).unwrap();
    }
    script(&place.path().join("green/only/run"), SLEEP);
    symlink("green", place.root()).unwrap();
    let _tree = place.tree();
    let (web, only) = (place.module("web"), place.module("only"));
    let mut pid = web.wait_up(&place);
    let gone = only.wait_up(&place);
    for colour in ["blue", "green", "blue"] {
        let fresh = place.path().join("sv.new");
        symlink(colour, &fresh).unwrap();
        std::fs::rename(&fresh, place.root()).unwrap();
        pid = web.wait_new_pid(&place, pid);
        wait_for("the other colour", &place, || web.text("__stdout").ends_with(&format!("{colour}\n")));
    }
    wait_for("what the blue one does not have to end", &place, || !only.is_supervised());
    assert!(!is_alive(gone));
    // What is below the new one is watched.
    script(&place.path().join("blue/late/run"), SLEEP);
    place.module("late").wait_up(&place);
}

#[test]
fn a_change_in_a_root_that_has_just_gone_stops_nothing() {
    let place = Place::new();
    place.run("web", SLEEP);
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let away = place.path().join("away");
    for round in 0..30 {
        // An event on the name, and by the time that somebody looks the root is not there.
        std::fs::set_permissions(place.root().join("web"), std::fs::Permissions::from_mode(0o700 + round % 2)).unwrap();
        std::fs::rename(place.root(), &away).unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round % 4)));
        std::fs::rename(&away, place.root()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    place.run("after", SLEEP);
    place.module("after").wait_up(&place);
    assert_eq!((web.pid(), is_alive(pid)), (pid, true), "{}", own_log(&place));
}

// ----- rescans -------------------------------------------------------------------------------------------------

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
