//! `check` runs as the service does.

use crate::common::*;
use crate::{field, is_root, open_place};

fn svctl(place: &Place, words: &[&str]) -> (bool, String) {
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(words).env("FROM_SVCTL", "1");
    let output = place.output(command);
    (output.status.success(), said_by(&output))
}

/// A check that tells how it is run, and fails so that it is shown.
const TELLS: &str = "echo $(id -u) $(id -G) $A $B ${FROM_SVCTL-none} $(ulimit -n) $(umask) $(pwd) $0; exit 1";

#[test]
fn a_check_has_the_users_variables_limits_and_directory_of_its_service() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[web]\nlimit_nofile : 123\numask : 027\nenv : B=two\ndirectory : /tmp\n");
    place.service("web", &[("run", "exec sleep 1000"), ("check", TELLS)]);
    std::fs::write(place.root().join("web/supervise.conf"), "user : 4798:4799\nenv : A=one\n").expect("its own file");
    let _tree = place.tree();
    place.module("web").wait_up(&place);
    let (done, told) = svctl(&place, &["check", "web"]);
    assert!(
        !done && told.contains("4798 4799 one two none 123 0027 /tmp /") && told.ends_with("/web/check\n"),
        "{told}"
    );
}

#[test]
fn a_check_that_cannot_have_its_services_context_fails_and_says_why() {
    let place = Place::new();
    place.service("web", &[("run", "exec sleep 1000"), ("check", "exit 0")]);
    let _tree = place.tree();
    place.module("web").wait_up(&place);
    assert!(svctl(&place, &["check", "web"]).0);
    // What the next start cannot have, a check cannot have either.
    std::fs::write(place.root().join("web/supervise.conf"), "env_file : /none/web.env\n").expect("its own file");
    let (done, told) = svctl(&place, &["check", "web"]);
    assert!(!done && told.contains("check: env_file: /none/web.env: No such file or directory"), "{told}");
}

#[test]
fn a_check_of_the_supervisor_runs_in_the_same_context() {
    if !is_root() {
        return;
    }
    let place = open_place();
    let settings = "ready : check\nlimit_nofile : 123\numask : 027\nuser : 4798:4799\nenv : A=one B=two\n";
    place.conf(&format!(
        "[file]\n{settings}directory : /tmp\n[words]\n{settings}check : ./look --at it\n[named]\n{settings}check : sh ./look\n"
    ));
    place.service("file", &[("run", SLEEP), ("check", TELLS)]);
    place.service("words", &[("run", SLEEP), ("look", &format!("set -- \"$*\"; echo; {TELLS}"))]);
    place.service("named", &[("run", SLEEP), ("look", TELLS)]);
    // It stays what the run process was started with.
    std::fs::create_dir(place.root().join("file/env")).expect("env");
    let _tree = place.tree();
    let says = |module: &str, place_and_name: String| {
        let expected = format!("4798 4799 one two none 123 0027 {place_and_name}");
        let module = place.module(module);
        wait_for("what its check says", &place, || module.state()["check"] == expected.as_str());
    };
    let path = |name: &str| place.root().join(name).display().to_string();
    says("file", format!("/tmp {}", path("file/check")));
    says("words", format!("{} ./look", path("words")));
    says("named", format!("{} ./look", path("named")));
}

#[test]
fn a_check_does_not_get_what_the_run_process_tells_its_readiness_by() {
    let place = Place::new();
    place.conf(
        "[web]\nready : notify\ncheck_interval : 0.1\ncheck : sh -c 'echo ${NOTIFY_SOCKET-none} $A'\nenv : A=one\n",
    );
    place.run("web", SLEEP);
    let web = place.module("web");
    let _tree = place.tree();
    web.wait_up(&place);
    let socket = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
    socket.send_to(b"READY=1", place.status_root().join(".notify/web")).expect("sent");
    wait_for("what its check says", &place, || web.state()["check"] == "none one");
}

#[test]
fn a_look_at_a_socket_is_the_users_and_takes_no_process_of_his() {
    if !is_root() {
        return;
    }
    let place = open_place();
    let path = place.path().join("web.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let mode = |mode| std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o600).expect("root's alone");
    place.conf(&format!("[web]\nuser : 4797\nlimit_nproc : 1\ncheck : tcp {}\n", path.display()));
    place.run("web", SLEEP);
    let web = place.module("web");
    let _tree = place.tree();
    let denied = || web.state()["check"].as_str().is_some_and(|said| said.ends_with("Permission denied"));
    wait_for("a refusal", &place, denied);
    mode(0o666).expect("everybody's");
    web.wait_state(&place, "ready");
}

#[test]
fn a_check_of_another_user_ends_with_the_tree_too() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[web]\nuser : 4798\ncheck : sh -c 'echo $$; exec sleep 1000'\ncheck_timeout : 1000\n");
    place.run("web", SLEEP);
    let killed = place.reaped_tree();
    let run = place.module("web").wait_up(&place);
    let all = || processes_of(&place.root().join("web").to_string_lossy());
    wait_for("the check", &place, || all().iter().any(|pid| *pid != run && field(*pid, "Name") == "sleep"));
    killed.kill();
    wait_for("its end", &place, || all() == [run]);
}
