//! Which program takes over, and which does not.

use crate::common::host::*;
use crate::common::*;
use crate::fixture::*;
use std::os::unix::fs::MetadataExt;

#[test]
fn the_program_that_is_at_the_path_by_now_is_executed() {
    let place = Place::new();
    place.run("web", SLEEP);
    let (program, tree) = tree_of_own_copy(&place);
    let pid = place.module("web").wait_up(&place);
    let fresh = place.path().join("fresh");
    std::fs::copy(env!("CARGO_BIN_EXE_supervise-tree"), &fresh).expect("copied");
    std::fs::rename(&fresh, &program).expect("replaced");
    upgrade(&place, || tree.signal("USR2"));
    let runs = std::fs::metadata(format!("/proc/{}/exe", tree.pid())).expect("exe").ino();
    assert_eq!(runs, std::fs::metadata(&program).expect("program").ino());
    // The next upgrade does not see what was handed over by the one before.
    upgrade(&place, || tree.signal("USR2"));
    let line = proc_words(tree.pid(), "cmdline");
    assert_eq!(String::from_utf8_lossy(&line).matches("--handover=").count(), 1);
    assert_eq!(place.module("web").pid(), pid);
    assert!(tree.stop().success());
}

#[test]
fn an_upgrade_that_cannot_be_executed_changes_nothing() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", HOLD);
    place.service("talk", &[("run", SLEEP), ("log/run", "exec cat >/dev/null")]);
    let (program, tree) = tree_of_own_copy(&place);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    place.module("talk").wait_up(&place);
    place.module("talk/log").wait_up(&place);
    let failures = || count(&place.own().path("supervise.log.wf"), "upgrade not done");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", tree.pid())).map_or(0, Iterator::count);
    let open = descriptors();

    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("chmod");
    tree.signal("USR2");
    wait_for("the first failure", &place, || failures() == 1);
    assert!(place.own().text("supervise.log.wf").contains("Permission denied"), "{}", place.story());
    std::fs::remove_file(&program).expect("removed");
    tree.signal("USR2");
    wait_for("the second failure", &place, || failures() == 2);
    assert!(place.own().text("supervise.log.wf").contains("No such file or directory"), "{}", place.story());

    assert_eq!(begun(&place), 1);
    signal(pid, "USR1");
    let next = web.wait_new_pid(&place, pid);
    assert_eq!(web.state()["last_exit"]["code"], 7);
    // A log may just have been open when they were counted first.
    wait_for("no more descriptors than before", &place, || descriptors() <= open);
    // Children must not get what was about to be handed over.
    let theirs = std::fs::read_dir(format!("/proc/{next}/fd")).expect("fd");
    let high = theirs.flatten().filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0) > 2);
    assert!(
        high.filter(|entry| entry
            .path()
            .read_link()
            .is_ok_and(|to| to.starts_with(place.status_root()) && to.ends_with("lock")))
            .count()
            == 0
    );
    assert!(tree.stop().success());
    assert!(!is_alive(next));
}

#[test]
fn a_program_that_could_not_begin_is_not_tried() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let (program, tree) = tree_of_own_copy(&place);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let fresh = place.path().join("fresh");
    let not_done = |ask: &dyn Fn(), why: &str| {
        ask();
        tree.signal("USR2");
        wait_for(why, &place, || {
            let text = place.own().text("supervise.log.wf");
            text.lines().any(|line| line.contains("upgrade not done") && line.contains(why))
        });
        assert_eq!((begun(&place), web.pid(), is_alive(pid)), (1, pid, true));
    };
    let replace_by = |content: &[u8]| {
        std::fs::write(&fresh, content).expect("written");
        std::fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        std::fs::rename(&fresh, &program).expect("replaced");
    };
    let whole = std::fs::read(&program).expect("program");
    not_done(&|| replace_by(&whole[..whole.len() / 4]), "its end is missing");
    not_done(&|| replace_by(b"#!/bin/sh\nexit 3\n"), "asked whether it can take over: exit code 3");
    replace_by(&whole);
    let lock = place.own().path("lock");
    let in_its_place = || {
        std::fs::remove_file(&lock).expect("removed");
        std::fs::create_dir(&lock).expect("made");
    };
    not_done(&in_its_place, "is not as it was");
    std::fs::remove_dir(&lock).expect("removed");
    tree.signal("HUP");
    place.wait_told("was removed: made anew");
    upgrade(&place, || tree.signal("USR2"));
    assert_eq!(web.wait_up(&place), pid);
    assert!(tree.stop().success());
}

#[test]
fn another_program_does_not_take_the_place_of_the_tree() {
    let place = Place::new();
    place.run("web", SLEEP);
    let (program, tree) = tree_of_own_copy(&place);
    let pid = place.module("web").wait_up(&place);
    // They end well, the last two with words on standard output; the last one repeats what it was asked.
    let others = ["#!/bin/true\n", "#!/bin/sh\necho supervise-tree 9\n", "#!/bin/sh\necho \"$@\" >&0; echo \"$@\"\n"];
    for (number, other) in others.iter().enumerate() {
        let fresh = place.path().join("fresh");
        script(&fresh, other);
        std::fs::rename(&fresh, &program).expect("replaced");
        tree.signal("USR2");
        wait_for("the answer", &place, || {
            count(&place.own().path("supervise.log.wf"), "not a supervise-tree") > number
        });
    }
    std::fs::copy(env!("CARGO_BIN_EXE_svctl"), place.path().join("fresh")).expect("copied");
    std::fs::rename(place.path().join("fresh"), &program).expect("replaced");
    tree.signal("USR2");
    place.own().wait_text(&place, "supervise.log.wf", "asked whether it can take over: exit code 100");
    assert_eq!((begun(&place), place.module("web").pid(), is_alive(pid)), (1, pid, true));
    assert!(tree.stop().success());
}

#[test]
fn a_program_that_hangs_when_it_is_asked_holds_nothing_up() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", HOLD);
    let (program, tree) = tree_of_own_copy(&place);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let hangs = place.path().join("hangs");
    script(&hangs, &format!("#!/bin/sh\n: > {0}/asked\nexec sleep 1000\n", place.path().display()));
    std::fs::rename(&hangs, &program).expect("replaced");
    tree.signal("USR2");
    wait_for("the question", &place, || place.path().join("asked").exists());
    tree.signal("USR2");
    signal(pid, "USR1");
    web.wait_new_pid(&place, pid);
    place.run("late", SLEEP);
    place.module("late").wait_up(&place);
    assert_eq!(count(&place.own().path("supervise.log.wf"), "upgrade not done"), 0, "{}", place.story());
    place.own().wait_text(&place, "supervise.log.wf", "no answer within 5 s");
    assert_eq!(begun(&place), 1);
    assert!(tree.stop().success());
}
