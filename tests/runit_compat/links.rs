//! The packaged links `supervise`: replaced while the tree runs, and restored for runit.

use crate::common::*;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A service that some package has brought, with its link, and another one without; and where the link leads.
fn packaged(place: &Place) -> PathBuf {
    let service = place.path().join("packaged/web");
    script(&service.join("run"), "#!/bin/sh\nexec sleep 1000\n");
    let there = place.path().join("run/supervise.web");
    std::fs::create_dir(place.path().join("run")).unwrap();
    symlink(&there, service.join("supervise")).unwrap();
    symlink(&service, place.root().join("web")).unwrap();
    place.run("plain", SLEEP);
    there
}

fn leads(path: &Path) -> Option<PathBuf> {
    std::fs::read_link(path).ok()
}

fn is_at(link: &Path, ours: &Path) -> bool {
    std::fs::canonicalize(link).is_ok_and(|there| std::fs::canonicalize(ours).is_ok_and(|ours| there == ours))
}

fn link(place: &Place, name: &str) -> PathBuf {
    place.root().join(name).join("supervise")
}

fn sv_status(place: &Place) -> String {
    let mut sv = Command::new("sv");
    sv.env("SVDIR", place.root()).args(["status", "web"]);
    said_by(&place.output(sv))
}

#[test]
fn the_end_of_the_tree_puts_packaged_links_back_and_takes_others_away() {
    let place = Place::new();
    let there = packaged(&place);
    let tree = place.tree_with(&["--runit-compat"]);
    let ours = |name: &str| place.module(name).path("supervise");
    for name in ["web", "plain"] {
        place.module(name).wait_up(&place);
        assert!(is_at(&link(&place, name), &ours(name)));
        // Nothing is added to the directory: Debian's cpsv(8) would take it for one that somebody has changed.
        assert_eq!(std::fs::read_dir(place.root().join(name)).unwrap().count(), 2);
    }
    assert!(tree.stop().success());
    assert_eq!(leads(&link(&place, "web")), Some(there));
    assert!(!link(&place, "plain").is_symlink());
    // As after a reboot: nothing of the tree is there any more, and runsv starts.
    std::fs::remove_dir_all(place.status_root()).unwrap();
    let mut runsv = Command::new("runsv");
    runsv.arg(place.root().join("web"));
    let runsv = place.start(runsv);
    wait_for("runsv's service", &place, || sv_status(&place).starts_with("run: web"));
    runsv.signal("TERM");
    runsv.wait();
}

#[test]
fn one_that_has_left_before_the_end_gets_its_link_back_with_the_end() {
    let place = Place::new();
    let there = packaged(&place);
    let tree = place.tree_with(&["--runit-compat"]);
    place.module("web").wait_up(&place);
    place.module("web").send("dx");
    wait_for("it to leave", &place, || !place.module("web").is_supervised());
    assert!(sv_status(&place).contains("runsv not running"));
    assert!(tree.stop().success());
    assert_eq!(leads(&link(&place, "web")), Some(there));
}

#[test]
fn a_link_that_an_upgrade_of_the_package_puts_back_is_noticed() {
    let place = Place::new();
    packaged(&place);
    let tree = place.tree_with(&["--runit-compat"]);
    let web = place.module("web");
    web.wait_up(&place);
    // As dpkg does it.
    let newer = place.path().join("run/supervise/web");
    let unpacked = place.root().join("web/supervise.dpkg-new");
    symlink(&newer, &unpacked).unwrap();
    std::fs::rename(&unpacked, link(&place, "web")).unwrap();
    wait_for("our link", &place, || is_at(&link(&place, "web"), &web.path("supervise")));
    wait_for("sv to see it", &place, || sv_status(&place).starts_with("run: web"));
    place.module(".supervise-tree").wait_text(&place, "supervise.log", "a package has put its link supervise -> ");
    assert!(tree.stop().success());
    assert_eq!(leads(&link(&place, "web")), Some(newer));
}

#[test]
fn svctl_puts_back_what_a_killed_tree_has_left() {
    let place = Place::new();
    let there = packaged(&place);
    let tree = place.tree_with(&["--runit-compat"]);
    let (web, plain) = (place.module("web"), place.module("plain"));
    let pids = [web.wait_up(&place), plain.wait_up(&place)];
    let restore = || place.svctl(&["runit-links", "restore"]);
    let refused = restore();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said_by(&refused).contains(&format!("fail: web: pid {} supervises it", tree.pid())),
        "{}",
        said_by(&refused)
    );
    tree.kill();
    let said = said_by(&restore());
    assert_eq!(
        said,
        format!("ok: plain: the link of the tree is gone\nok: web: supervise -> {} is back\n", there.display())
    );
    assert_eq!(leads(&link(&place, "web")), Some(there));
    std::fs::remove_dir_all(place.status_root()).unwrap();
    let root = place.root();
    let again = place.svctl(&["runit-links", "restore", root.to_str().unwrap()]);
    assert!(again.status.success() && said_by(&again).contains("no link is to be put back"), "{}", said_by(&again));
    let unknown = place.svctl(&["runit-links", "restore"]);
    assert!(said_by(&unknown).contains("svctl runit-links restore /etc/service"), "{}", said_by(&unknown));
    pids.iter().for_each(|pid| signal(*pid, "KILL"));
}

#[test]
fn stat_keeps_its_time_when_the_tree_is_replaced_or_killed() {
    let place = Place::new();
    place.run("web", SLEEP);
    let web = place.module("web");
    let stat = || std::fs::metadata(web.path("supervise/stat")).map(|stat| (stat.mtime(), stat.mtime_nsec())).ok();
    let tree = place.tree_with(&["--runit-compat"]);
    let pid = web.wait_up(&place);
    wait_for("stat", &place, || web.text("supervise/stat") == "run\n");
    let before = stat();
    assert!(place.svctl(&["upgrade"]).status.success());
    web.wait_text(&place, "supervise.log", "adopted: pid");
    assert_eq!((web.pid(), stat()), (pid, before));
    tree.kill();
    let _tree = place.tree_with(&["--runit-compat"]);
    wait_for("the adoption", &place, || count_adopted(&web) == 2);
    web.send("h");
    web.wait_text(&place, "supervise.log", "HUP sent to pid");
    assert_eq!((web.text("supervise/stat").as_str(), stat()), ("run\n", before));
}

fn count_adopted(web: &Module) -> usize {
    web.text("supervise.log").matches("adopted: pid").count()
}
