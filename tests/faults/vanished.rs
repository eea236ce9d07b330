//! Directories that go away under what runs: status directories, and those of services, with their file systems.

use crate::common::{FAST, Place, SLEEP, is_alive, script, signal, tree_command, wait_for};
use crate::stage::{Mounted, on_stage};
use std::path::Path;
use std::time::Duration;

/// Removes a directory into which a log line may just be written.
fn remove(place: &Place, dir: &Path) {
    wait_for("it to be removed", place, || std::fs::remove_dir_all(dir).is_ok() || !dir.exists());
}

#[test]
fn a_status_directory_that_is_removed_is_made_anew_and_nothing_is_started_twice() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    place.service("mail", &[("run", "while :; do echo line; sleep 0.1; done"), ("log/run", "exec cat > got")]);
    let tree = place.reaped_tree();
    let (web, mail) = (place.module("web"), place.module("mail"));
    let (pid, old) = (web.wait_up(&place), mail.wait_up(&place));
    remove(&place, web.dir());
    remove(&place, mail.dir());
    tree.signal("HUP");
    assert_eq!(web.wait_up(&place), pid);
    assert_eq!(mail.wait_up(&place), old);
    wait_for("both to listen", &place, || web.is_supervised() && mail.is_supervised());
    wait_for("the logger, too", &place, || place.module("mail/log").is_supervised());
    web.wait_text(&place, "supervise.log.wf", "was removed: made anew");
    assert!(web.path("svcontrol").is_symlink());
    // The record of the process is in the new lock file, too.
    tree.kill();
    let tree = place.reaped_tree();
    wait_for("web to be adopted", &place, || web.log().contains("adopted"));
    assert_eq!((web.wait_up(&place), mail.wait_up(&place)), (pid, old));
    web.send("k");
    web.wait_new_pid(&place, pid);
    // A logger that is started again finds its pipe.
    let log = place.module("mail/log");
    log.send("k");
    let got = place.root().join("mail/log/got");
    wait_for("the logger to be started again", &place, || log.state()["restarts"] == 1);
    std::fs::remove_file(&got).unwrap_or_default();
    mail.send("k");
    mail.wait_new_pid(&place, old);
    assert!(tree.stop().success());
}

#[test]
fn a_status_root_that_is_removed_keeps_a_second_tree_out_again() {
    let place = Place::new();
    place.conf(FAST);
    let modules: Vec<_> = ["web", "mail", "cron"].map(|name| (name, place.module(name))).into();
    modules.iter().for_each(|(name, _)| place.run(name, SLEEP));
    let tree = place.tree();
    let pids: Vec<_> = modules.iter().map(|(_, module)| module.wait_up(&place)).collect();
    remove(&place, &place.status_root());
    tree.signal("HUP");
    wait_for("the tree to listen", &place, || place.own().is_supervised());
    for ((_, module), pid) in modules.iter().zip(&pids) {
        assert_eq!(module.wait_up(&place), *pid);
        assert_eq!(module.state()["restarts"], 0);
    }
    let mut second = tree_command();
    second.arg("-p").arg(place.status_root()).arg(place.root());
    let second = place.output(second);
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(111), "{told}");
    assert!(told.contains(&format!("already in use by supervise-tree, pid {}", tree.pid())), "{told}");
    // One event of a service is as good as HUP, and the tree's own FIFO works again.
    remove(&place, &place.status_root());
    signal(pids[0], "KILL");
    modules[0].1.wait_new_pid(&place, pids[0]);
    tree.signal("HUP");
    wait_for("the tree to listen", &place, || place.own().is_supervised());
    place.own().send("t");
    assert!(tree.wait().success());
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn a_status_root_whose_file_system_vanishes_is_made_anew_where_it_was() {
    on_stage(|| {
        let place = Place::new();
        place.conf(FAST);
        let disk = Mounted::tmpfs(&place.status_root(), "size=1m");
        place.run("web", SLEEP);
        let tree = place.tree();
        let web = place.module("web");
        let pid = web.wait_up(&place);
        drop(disk);
        assert!(!web.dir().exists());
        tree.signal("HUP");
        assert_eq!(web.wait_up(&place), pid);
        // The status comes first.
        wait_for("web to listen", &place, || web.is_supervised());
        web.send("k");
        web.wait_new_pid(&place, pid);
        assert!(tree.stop().success());
    });
}

#[test]
fn a_service_whose_file_system_vanishes_is_started_again_when_it_is_back() {
    on_stage(|| {
        let place = Place::new();
        place.conf("[global]\nrestart_delay : 0.2\n");
        // The file system stays alive here.
        let disk = place.path().join("disk");
        let _disk = Mounted::tmpfs(&disk, "size=1m");
        for name in ["linked", "bound"] {
            script(&disk.join(name).join("run"), SLEEP);
        }
        // One is reached by a link into what vanishes, one is itself what vanishes.
        let mounted = Mounted::bind(&disk, &place.path().join("mnt"));
        std::os::unix::fs::symlink(place.path().join("mnt/linked"), place.root().join("linked")).unwrap();
        let bound = Mounted::bind(&disk.join("bound"), &place.root().join("bound"));
        place.run("other", SLEEP);
        let tree = place.tree();
        let modules = ["linked", "bound"].map(|name| place.module(name));
        let pids = modules.each_ref().map(|module| module.wait_up(&place));
        let other = place.module("other").wait_up(&place);

        drop((mounted, bound));
        // What runs goes on: it holds on to its directory.
        pids.iter().for_each(|pid| assert!(is_alive(*pid)));
        pids.iter().for_each(|pid| signal(*pid, "KILL"));
        modules[0].wait_text(&place, "supervise.log.wf", "cannot start: chdir: No such file or directory");
        modules[1].wait_text(&place, "supervise.log.wf", "cannot start: chdir: Stale file handle");
        // They are tried again and again, and answer meanwhile.
        for module in &modules {
            module.send("d");
            module.wait_state(&place, "down");
            module.send("u");
            wait_for("to be tried again", &place, || module.log().matches("cannot start: chdir").count() > 3);
        }
        let _mounted = Mounted::bind(&disk, &place.path().join("mnt"));
        let _bound = Mounted::bind(&disk.join("bound"), &place.root().join("bound"));
        for (module, pid) in modules.iter().zip(pids) {
            module.wait_new_pid(&place, pid);
        }
        crate::common::holds_for(Duration::from_millis(200), "all are up", &place, || {
            modules.iter().all(|module| module.state_name() == "up")
        });
        assert_eq!(place.module("other").pid(), other);
        assert!(tree.stop().success());
    });
}
