//! `status_group` and `control_group`, and `svctl` as a member, as a stranger.

use crate::common::*;
use crate::{is_root, open_place};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

/// The group that may, and one that may not.
const MEMBERS: u32 = 4811;
const STRANGERS: u32 = 4812;

fn mode(path: &Path) -> (u32, u32) {
    let metadata = std::fs::metadata(path).expect("a file");
    (metadata.mode() & 0o777, metadata.gid())
}

/// Runs `svctl` as an ordinary user of this group.
fn svctl(place: &Place, group: u32, words: &[&str]) -> Output {
    let program = place.path().join("svctl");
    if !program.exists() {
        std::fs::copy(svctl_command().get_program(), &program).expect("a copy that others may execute");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=4801", &format!("--regid={group}"), "--clear-groups"]);
    command.arg(&program).arg("-p").arg(place.status_root()).args(words);
    place.output(command)
}

#[test]
fn a_member_sees_and_steers_and_a_stranger_does_neither() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf(&format!("[global]\nstatus_group : {MEMBERS}\ncontrol_group : {MEMBERS}\nrestart_delay : 0.05\n"));
    place.run("web", "echo hello; exec sleep 1000");
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    assert_eq!(mode(web.dir()), (0o750, MEMBERS));
    assert_eq!(mode(&web.path("control")), (0o660, MEMBERS));
    assert_eq!(mode(&web.path("ok")), (0o620, MEMBERS));
    assert_eq!(mode(&web.path("lock")).0, 0o600);
    let status = svctl(&place, MEMBERS, &["status"]);
    assert!(status.status.success() && said_by(&status).contains("up"), "{}", said_by(&status));
    assert!(said_by(&svctl(&place, MEMBERS, &["logs", "web"])).contains("hello"));
    let restart = svctl(&place, MEMBERS, &["restart", "web"]);
    assert!(restart.status.success(), "{}", said_by(&restart));
    let pid = web.wait_new_pid(&place, pid);
    for words in [&["status", "web"][..], &["restart", "web"], &["logs", "web"], &["kill", "web"]] {
        let output = svctl(&place, STRANGERS, words);
        assert!(!output.status.success() && said_by(&output).contains("Permission denied"), "{}", said_by(&output));
    }
    assert_eq!(web.pid(), pid);
}

#[test]
fn who_may_only_look_gives_no_commands() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf(&format!("[global]\nstatus_group : {MEMBERS}\n"));
    place.run("web", SLEEP);
    let _tree = place.tree_with(&["--runit-compat"]);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    assert_eq!((mode(&web.path("control")).0, mode(&web.path("ok"))), (0o600, (0o620, MEMBERS)));
    assert_eq!(mode(&web.path("supervise")), (0o750, MEMBERS));
    assert_eq!(mode(&web.path("supervise/control")).0, 0o600);
    assert!(svctl(&place, MEMBERS, &["status", "web"]).status.success());
    assert!(!svctl(&place, MEMBERS, &["stop", "web"]).status.success());
    assert_eq!(web.pid(), pid);
}

#[test]
fn what_is_no_longer_shared_is_ours_alone() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf(&format!("[web]\ncontrol_group : {MEMBERS}\n"));
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    assert_eq!((mode(web.dir()), mode(&web.path("control"))), ((0o750, MEMBERS), (0o660, MEMBERS)));
    place.conf("[web]\ncontrol_group : no-such-group\n");
    web.send("r");
    web.wait_text(&place, "supervise.log.wf", "no such group \"no-such-group\": it gets no access");
    wait_for("the modes", &place, || mode(&web.path("control")).0 == 0o600 && mode(web.dir()).0 == 0o700);
    // Also where another tree had shared it.
    place.conf(&format!("[web]\ncontrol_group : {MEMBERS}\n"));
    web.send("r");
    wait_for("the modes", &place, || mode(&web.path("control")).0 == 0o660);
    tree.kill();
    place.conf("");
    let _tree = place.tree();
    wait_for("the modes", &place, || mode(&web.path("control")).0 == 0o600 && mode(web.dir()).0 == 0o700);
}

#[test]
fn metrics_say_what_may_not_be_seen_and_do_not_take_it_for_down() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf(&format!("[web]\nstatus_group : {MEMBERS}\n"));
    place.run("web", SLEEP);
    place.run("shut", SLEEP);
    let _tree = place.tree();
    place.module("web").wait_up(&place);
    place.module("shut").wait_up(&place);
    let all = svctl(&place, MEMBERS, &["metrics"]);
    let (out, err) = (String::from_utf8_lossy(&all.stdout), String::from_utf8_lossy(&all.stderr));
    assert_eq!(all.status.code(), Some(111), "{out}{err}");
    assert!(err.starts_with("svctl: shut: ") && err.lines().count() == 1, "{err}");
    assert!(out.contains("supervise_module_starts_total{module=\"web\"} 1\n") && out.ends_with("# EOF\n"), "{out}");
    assert!(!out.contains("supervise_tree_up"), "{out}");
    let one = svctl(&place, MEMBERS, &["metrics", "web"]);
    assert!(one.status.success() && one.stderr.is_empty(), "{}", said_by(&one));
}
