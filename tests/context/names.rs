//! `SUPERVISE_MODULE` and `SUPERVISE_STATUS` in the environment of everything that runs for a module.

use crate::common::hook::{self, wait_alarms};
use crate::common::*;

/// Writes down who it is, and what it was told.
fn tell(name: &str) -> String {
    format!("echo {name}: $SUPERVISE_MODULE $SUPERVISE_STATUS >> \"$TOLD\"")
}

/// The tree, with variables that must not be handed down, and one that must.
fn tree(place: &Place) -> Running<'_> {
    let mut command = tree_command();
    command.args(["-v", "-p"]).arg(place.status_root()).arg(place.root());
    command.env("SUPERVISE_MODULE", "outer").env("SUPERVISE_STATUS", "/outer").env("TOLD", place.path().join("told"));
    place.start(command)
}

fn wait_told(place: &Place, name: &str, module: &str) {
    let line = format!("{name}: {module} {}\n", place.status_root().display());
    let told = || std::fs::read_to_string(place.path().join("told")).unwrap_or_default();
    wait_for(&format!("{line:?} in {:?}", told()), place, || told().contains(&line));
}

#[test]
fn everything_of_a_module_is_told_which_one_it_is_and_where() {
    let place = Place::new();
    hook::hook(&place, "alarm");
    hook::conf(&place, &format!("alarm_command : '{}'\n[web]\nready : check", place.path().join("alarm").display()));
    place.service(
        "web",
        &[
            ("run", &format!("{}; exec sleep 1000", tell("run"))),
            ("finish", &tell("finish")),
            ("check", &tell("check")),
            ("control/u", &tell("control/u")),
            ("control/h", &tell("control/h")),
            ("log/run", &format!("{}; exec cat > /dev/null", tell("log"))),
            ("log/finish", &tell("log/finish")),
        ],
    );
    let _tree = tree(&place);
    let pid = place.module("web").wait_up(&place);
    for name in ["control/u", "run", "check"] {
        wait_told(&place, name, "web");
    }
    place.module("web").send("h");
    wait_told(&place, "control/h", "web");
    wait_told(&place, "log", "web/log");
    let told = std::fs::read_to_string(place.path().join("told")).expect("told");
    assert!(!told.contains("outer"), "{told}");
    signal(pid, "KILL");
    wait_told(&place, "finish", "web");
    signal(place.module("web/log").wait_up(&place), "KILL");
    wait_told(&place, "log/finish", "web/log");
    // That of the logger may come first.
    let alarms = wait_alarms(&place, 2);
    let alarm = alarms.iter().find(|alarm| alarm.lines().any(|line| line == "ALARM_MODULE=web")).expect("one of web");
    for line in ["SUPERVISE_MODULE=web".to_string(), format!("SUPERVISE_STATUS={}", place.status_root().display())] {
        assert!(alarm.lines().any(|other| other == line), "{line}: {alarm}");
    }
}

#[test]
fn so_is_a_service_with_a_context_of_its_own_and_a_logger_of_the_tree() {
    let place = Place::new();
    place.conf("[global]\nlog : yes\n[web]\nenv_clear : yes\nenv : SUPERVISE_MODULE=mine\n");
    place.run("web", SLEEP);
    let _tree = tree(&place);
    let status_root = place.status_root().display().to_string();
    for module in ["web", "web/log"] {
        let pid = place.module(module).wait_up(&place);
        assert_eq!(super::variable(pid, "SUPERVISE_MODULE").as_deref(), Some(module));
        assert_eq!(super::variable(pid, "SUPERVISE_STATUS"), Some(status_root.clone()));
    }
    let output = place.svctl(&["config", "--env", "web"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("SUPERVISE_MODULE=web\n"), "{said}");
    assert!(said.contains(&format!("SUPERVISE_STATUS={status_root}\n")), "{said}");
}

#[test]
fn so_is_what_supervise_runs_and_its_status_root_is_absolute() {
    let place = Place::new();
    let told = place.path().join("told");
    script(&place.path().join("hook"), &format!("TOLD={}; {}", told.display(), tell("hook")));
    let mut command = supervise_command();
    command.current_dir(place.path()).args(["--foreground", "-p", "status/a/b", "-r", "./hook", "-f", "sleep 1000"]);
    let _running = place.start(command);
    let pid = place.module("a/b").wait_up(&place);
    assert_eq!(super::variable(pid, "SUPERVISE_MODULE").as_deref(), Some("a/b"));
    assert_eq!(super::variable(pid, "SUPERVISE_STATUS"), Some(place.status_root().display().to_string()));
    signal(pid, "KILL");
    wait_told(&place, "hook", "a/b");
}

#[test]
fn a_tree_that_is_a_service_has_a_status_root_of_its_own() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("inner")).expect("inner");
    let (program, inner) = (tree_command().get_program().to_owned(), place.path().join("inner"));
    place.run("tree", &format!("cd {}; exec {} .", inner.display(), program.display()));
    let _tree = tree(&place);
    wait_for("a status root of the inner tree", &place, || inner.join("status/.supervise-tree/lock").exists());
}
