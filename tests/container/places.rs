//! Where the status root comes from, when nothing is configured and little can be written.

use crate::common::host::skipped;
use crate::common::*;
use crate::namespace::{READ_ONLY, can, run};
use std::os::unix::fs::PermissionsExt;

/// Starts the tree in the background of process 1, waits until `web` is well, tells where its status is, and ends it.
const ONCE_AROUND: &str = "TREE --container sv > /dev/null & tree=$!
    for i in $(seq 400); do SVCTL -w 1 check web && break; sleep 0.05; done
    ls -d /run/supervise-status*/web /dev/shm/supervise-status*/web /tmp/supervise-status*/web 2> /dev/null
    SVCTL shutdown && wait $tree";

/// A tree comes up, and ends well, with its status root there. Whoever we are, we are root in the namespace.
fn around(setup: &str, status: &str) {
    let place = Place::new();
    place.run("web", SLEEP);
    let Some(done) = run(&place, setup, ONCE_AROUND) else { return };
    let said = said_by(&done);
    assert!(done.status.success() && said.lines().any(|line| line == format!("{status}/web")), "{setup}: {said}");
}

#[test]
fn it_is_run_where_that_can_be_written() {
    around("mount -t tmpfs none /run", "/run/supervise-status");
}

#[test]
fn it_is_dev_shm_where_that_is_all_there_is() {
    // The kernel tells nothing of itself there either.
    let setup = format!("{READ_ONLY} && mount -t tmpfs none /dev/shm && mount -t tmpfs -o ro none /proc/sys");
    around(&setup, "/dev/shm/supervise-status-0");
}

#[test]
fn it_is_tmp_where_a_read_only_root_has_a_tmpfs_there() {
    let setup = format!("{READ_ONLY} && mount -t tmpfs none /tmp");
    around(&setup, "/tmp/supervise-status-0");
}

#[test]
fn without_any_place_there_is_a_line() {
    let place = Place::new();
    place.run("web", SLEEP);
    let Some(done) = run(&place, READ_ONLY, "exec TREE --container sv") else { return };
    let said = said_by(&done);
    assert_eq!(done.status.code(), Some(110), "{said}");
    assert_eq!(said, "supervise-tree: cannot make /run/supervise-status/.supervise-tree: Read-only file system\n");
}

#[test]
fn anybody_may_be_process_1() {
    let place = Place::new();
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can become somebody else");
    }
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    place.run("web", "echo I am $(id -u):$(id -g); exec sleep 1000");
    place.run("job", "until [ -e /tmp/go ]; do sleep 0.02; done; exit 6");
    place.conf("[job]\nshutdown_on : exit\n");
    let setup = format!("{READ_ONLY} && mount -t tmpfs none /tmp && cp TREE /tmp/supervise-tree && cp TREE /tmp/svctl");
    // The status root is found by whoever is the same user.
    let checks = "until /tmp/svctl check web; do sleep 0.05; done > /dev/null 2>&1; touch /tmp/go";
    let changed = "setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps=-all";
    let script = format!("{changed} sh -c '{checks}' & exec {changed} /tmp/supervise-tree --container sv");
    let Some(done) = run(&place, &setup, &script) else { return };
    let said = said_by(&done);
    assert_eq!(done.status.code(), Some(6), "{said}");
    assert!(said.contains("web | I am 12345:12345\n"), "{said}");
}

#[test]
fn a_dev_shm_that_is_full_is_told_and_its_services_run() {
    let place = Place::new();
    place.run("web", "echo runs; exec sleep 1000");
    let full =
        format!("{READ_ONLY} && mount -t tmpfs -o size=64k none /dev/shm && (cat /dev/zero > /dev/shm/full; true)");
    if !can(&place, &full) {
        return;
    }
    let until = |what: &str| format!("for i in $(seq 200); do {what} && break; sleep 0.1; done");
    let (stale, well) = (until("SVCTL status | grep stale"), until("SVCTL check web"));
    let ends = "kill -TERM $tree; wait $tree; echo ended $?";
    let script = format!(
        "TREE --container sv & tree=$!; {stale}; rm /dev/shm/full; {well}; SVCTL check web && echo well; {ends}"
    );
    let said = said_by(&run(&place, &full, &script).unwrap());
    assert!(said.contains("web | runs\n") && said.contains("status: No space left on device"), "{said}");
    // Once there is room, what could not be written is.
    assert!(said.contains("web     stale") && said.contains("\nwell\n") && said.contains("\nended 0\n"), "{said}");
}
