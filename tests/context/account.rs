//! `user`, `groups`, `capabilities`, `no_new_privileges`.

use crate::common::*;
use crate::{field, is_root, open_place, variable};
use std::process::Command;

const NONE: &str = "0000000000000000";

#[test]
fn nothing_of_root_is_left() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[web]\nuser : nobody\ngroups : 4712 4711\nno_new_privileges : yes\n");
    place.run("web", SLEEP);
    let _tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    let nobody = nix::unistd::User::from_name("nobody").expect("a database").expect("nobody");
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    assert_eq!(field(pid, "Uid"), format!("{uid} {uid} {uid} {uid}"));
    assert_eq!(field(pid, "Gid"), format!("{gid} {gid} {gid} {gid}"));
    let mut groups = [4711, 4712, gid];
    groups.sort_unstable();
    assert_eq!(field(pid, "Groups"), groups.map(|group| group.to_string()).join(" "));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(pid, set), NONE, "{set}");
    }
    assert_eq!(field(pid, "NoNewPrivs"), "1");
    let home = nobody.dir.to_str().expect("a path").to_string();
    let shell = nobody.shell.to_str().expect("a path").to_string();
    let all = ["HOME", "USER", "LOGNAME", "SHELL"].map(|name| variable(pid, name).unwrap_or_default());
    assert_eq!(all, [home, "nobody".into(), "nobody".into(), shell]);
    // Its output is still opened by root, who alone may write there.
    assert!(place.module("web").path("__stdout").exists());
}

#[test]
fn a_number_that_nobody_has_works_without_variables() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[web]\nuser : 4799\n[db]\nuser : 4799:4800\ngroups : -\n");
    place.run("web", SLEEP);
    place.run("db", SLEEP);
    let mut command = tree_command();
    command.env("HOME", "/root").env("USER", "root").arg("-p").arg(place.status_root()).arg(place.root());
    let _tree = place.start(command);
    let web = place.module("web").wait_up(&place);
    assert_eq!((field(web, "Uid"), field(web, "Gid")), ("4799 4799 4799 4799".into(), "4799 4799 4799 4799".into()));
    assert_eq!((field(web, "Groups"), variable(web, "HOME"), variable(web, "USER")), (String::new(), None, None));
    let db = place.module("db").wait_up(&place);
    assert_eq!((field(db, "Gid"), field(db, "Groups")), ("4800 4800 4800 4800".into(), String::new()));
}

#[test]
fn a_port_below_1024_is_had_without_root() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[web]\nuser : nobody\ncapabilities : cap_net_bind_service\n");
    place.run("web", SLEEP);
    let _tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(pid, set), "0000000000000400", "{set}");
    }
}

#[test]
fn the_groups_of_the_database_are_asked_for_one_user_alone() {
    if !is_root() || Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| !status.success()) {
        return;
    }
    let place = open_place();
    // A database of our own, in a mount namespace of its own.
    let passwd = "root:x:0:0::/root:/bin/sh\nalice:x:4701:4701::/home/alice:/bin/bash\n";
    let group = "root:x:0:\nalice:x:4701:\nssl:x:4710:bob,alice\nother:x:4711:bob\n";
    std::fs::write(place.path().join("passwd"), passwd).expect("passwd");
    std::fs::write(place.path().join("group"), group).expect("group");
    place.conf("[web]\nuser : alice\n[db]\nuser : alice:ssl\ngroups : other\n");
    place.run("web", SLEEP);
    place.run("db", SLEEP);
    let mut command = Command::new("unshare");
    let script = "mount --bind $0/passwd /etc/passwd; mount --bind $0/group /etc/group; exec \"$@\"";
    command.args(["-m", "sh", "-c", script]).arg(place.path());
    command.arg(tree_command().get_program()).arg("-p").arg(place.status_root()).arg(place.root());
    let _tree = place.start(command);
    let web = place.module("web").wait_up(&place);
    assert_eq!((field(web, "Gid"), field(web, "Groups")), ("4701 4701 4701 4701".into(), "4701 4710".into()));
    assert_eq!(variable(web, "HOME").as_deref(), Some("/home/alice"));
    let db = place.module("db").wait_up(&place);
    assert_eq!((field(db, "Gid"), field(db, "Groups")), ("4710 4710 4710 4710".into(), "4710 4711".into()));
}

#[test]
fn control_u_runs_as_the_user_and_finish_does_not() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[web]\nuser : 4799\nrestart_delay : 0.05\n");
    place.service("web", &[("control/u", "id -u"), ("run", "id -u; exit 0"), ("finish", "id -u; exec sleep 1000")]);
    let _tree = place.tree();
    place.module("web").wait_text(&place, "__stdout", "4799\n4799\n0\n");
}

#[test]
fn supervise_reads_the_same_keys() {
    if !is_root() {
        return;
    }
    let place = open_place();
    let conf = place.path().join("supervise.conf");
    std::fs::write(&conf, "[web]\nuser : 4799\nlimit_nofile : 99\ndirectory : /usr\n").expect("supervise.conf");
    place.supervised("web", &["-F", conf.to_str().expect("a path"), "-f", "sleep 1000"]);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    assert_eq!(field(pid, "Uid"), "4799 4799 4799 4799");
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).expect("cwd"), std::path::Path::new("/usr"));
    web.send("dx");
    wait_for("the end", &place, || !web.is_supervised());
}
