//! What cannot be had: one clear line that names the key, and no process.

use crate::common::*;
use crate::{is_root, open_place};

/// Starts a service with these settings; it must not run, and its log has to say why.
fn refused(keys: &str, why: &str) {
    let place = open_place();
    place.conf(&format!("[web]\nrestart_delay : 60\n{keys}\n"));
    place.run("web", "echo ran; exec sleep 1000");
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_text(&place, "supervise.log.wf", why);
    assert_eq!((web.pid(), web.text("__stdout")), (0, String::new()));
    let lines = web.text("supervise.log.wf");
    assert_eq!(lines.lines().count(), 1, "one line: {lines}");
}

/// A value that is bad by itself: told by the line, and the service runs without.
fn ignored(keys: &str, why: &str) {
    let place = open_place();
    place.conf(&format!("[web]\n{keys}\n"));
    place.run("web", SLEEP);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    let config = place.root().join("supervise.conf");
    let mut command = svctl_command();
    command.args(["config", "--check", "-F"]).arg(&config);
    let output = String::from_utf8(place.output(command).stdout).expect("text");
    assert!(output.starts_with(&format!("{}:2: {why}", config.display())), "{output}");
    assert!(tree.stop().success());
}

#[test]
fn who_is_not_there() {
    if !is_root() {
        return;
    }
    refused("user : no-such-user", "user: no such user \"no-such-user\"");
    refused("user : root:no-such-group", "user: no such group \"no-such-group\"");
    refused("groups : no-such-group", "groups: no such group \"no-such-group\"");
}

#[test]
fn files_that_are_none() {
    refused("env_file : /none/web.env", "env_file: /none/web.env: No such file or directory");
    refused("env_file : -/proc", "env_file: /proc: not a regular file");
    let place = Place::new();
    let path = place.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    refused(&format!("env_file : {}", path.display()), "fifo: not a regular file");
    let huge = place.path().join("huge");
    std::fs::File::create(&huge).and_then(|file| file.set_len(10 << 20)).expect("a file");
    refused(&format!("env_file : {}", huge.display()), "huge: is larger than 1024 KiB");
    if !nix::unistd::geteuid().is_root() {
        let closed = place.path().join("closed");
        std::fs::write(&closed, "A=1").expect("a file");
        std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("chmod");
        refused(&format!("env_file : {}", closed.display()), "closed: Permission denied");
    }
}

#[test]
fn what_this_machine_has_not() {
    refused("cpus : 0,4000", "cpus: there is no processor 4000");
    refused("directory : /nonexistent", "directory: No such file or directory");
    if is_root() {
        refused("user : nobody\ndirectory : /root", "directory: Permission denied (for the user that it runs as)");
        refused("limit_nofile : infinity", "limit_nofile: Operation not permitted (above the hard limit, which");
    }
}

#[test]
fn values_that_are_none() {
    ignored("limit_nofile : 20:10", "limit_nofile: the soft limit 20 is above the hard one, 10");
    ignored("nice : 40", "nice: \"40\" is not a nice value");
    ignored("limit_nofle : 20", "unknown key limit_nofle: did you mean limit_nofile?");
}

/// Without these keys the service would have rights that it is not to have: it is not started, and that is one more line
/// beside the file's complaint.
#[test]
fn rights_are_not_kept_because_of_a_typing_error() {
    for (key, why) in [
        ("user : 4294967295", "user: there is no user 4294967295"),
        ("user : a b", "user: \"a b\" is "),
        ("capabilities : cap_nothing", "capabilities: \"cap_nothing\" is "),
        ("no_new_privileges : 1", "no_new_privileges: \"1\" is "),
    ] {
        let place = open_place();
        place.conf("[global]\nrestart_delay : 60\n");
        place.run("web", "echo ran; exec sleep 1000");
        std::fs::write(place.root().join("web/supervise.conf"), key).expect("its own file");
        let _tree = place.tree();
        let web = place.module("web");
        web.wait_text(&place, "supervise.log.wf", &format!("supervise.conf:1: {why}"));
        web.wait_text(&place, "supervise.log.wf", &format!("cannot start: supervise.conf: {why}"));
        assert_eq!((web.pid(), web.text("__stdout")), (0, String::new()), "{key}");
    }
}

#[test]
fn who_is_not_root_cannot_become_another() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf(
        "[web]\nuser : nobody\nrestart_delay : 60\n[db]\nlimit_nofile : 999999\nrestart_delay : 60\n\
        [mail]\ncapabilities : cap_net_admin\nrestart_delay : 60\n[same]\nuser : 4711:4711\n",
    );
    for name in ["web", "db", "mail", "same"] {
        place.run(name, SLEEP);
    }
    std::fs::create_dir(place.status_root()).expect("a status root");
    std::os::unix::fs::chown(place.status_root(), Some(4711), Some(4711)).expect("chown");
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=4711", "--regid=4711", "--clear-groups", "sh", "-c", "ulimit -n 500; exec \"$@\"", "sh"]);
    let program = place.path().join("supervise-tree");
    std::fs::copy(tree_command().get_program(), &program).expect("a copy that others may execute");
    command.arg(&program).arg("-p").arg(place.status_root()).arg(place.root());
    let _tree = place.start(command);
    let told = |module: &str, why: &str| place.module(module).wait_text(&place, "supervise.log.wf", why);
    told("web", ": Operation not permitted (only root may change the user)");
    told("db", "limit_nofile: Operation not permitted");
    told("mail", "capabilities: the supervisor itself has not cap_net_admin");
    // Nobody needs a privilege to stay who he is.
    place.module("same").wait_up(&place);
}

#[test]
fn what_others_may_write_is_told_once_or_refused() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.run("web", SLEEP);
    place.run("mine", SLEEP);
    std::os::unix::fs::chown(place.root().join("web/run"), Some(4711), None).expect("chown");
    let tree = place.tree();
    let own = place.status_root().join(".supervise-tree/supervise.log.wf");
    let told = format!("web: uid 4711 may write {}/web/run, and so decides", place.root().display());
    place.module("web").wait_up(&place);
    wait_for("the warning", &place, || host::count(&own, &told) == 1);
    tree.signal("HUP");
    wait_for("the rescan", &place, || host::count(&own.with_extension(""), "looking at everything again") == 1);
    place.module("mine").wait_up(&place);
    assert_eq!(host::count(&own, "decides what is run as root"), 1);
    assert!(tree.stop().success());

    let tree = place.tree_with(&["--strict"]);
    wait_for("the refusal", &place, || host::count(&own, "web: passed over: somebody other than root") == 1);
    place.module("mine").wait_up(&place);
    assert_eq!(place.module("web").pid(), 0);
    // A chown is noticed by the next look.
    std::os::unix::fs::chown(place.root().join("web/run"), Some(0), None).expect("chown");
    tree.signal("HUP");
    place.module("web").wait_up(&place);
}
