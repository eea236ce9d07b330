//! `check` runs as the service does.

use crate::common::*;
use crate::{is_root, open_place};

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
