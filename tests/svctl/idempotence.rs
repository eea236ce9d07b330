//! `--json` of actions: what Ansible and the like need to tell whether anything had to be done.

use crate::fixture::{Fixture, STEADY, until};
use serde_json::{Value, json};

/// Runs an action on one module, or on the tree; gives `ok`, `changed` and `state` of its only result.
fn result(fixture: &Fixture, code: i32, arguments: &[&str]) -> (bool, bool, Value) {
    let answer = fixture.expect(code, &[&["--json"], arguments].concat());
    assert_eq!(answer.out.lines().count(), 1, "{answer:?}");
    let results = answer.json();
    let [result] = &results.as_array().unwrap()[..] else { panic!("{answer:?}") };
    assert!(result["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    let flag = |key: &str| result[key].as_bool().unwrap_or_else(|| panic!("{key}: {answer:?}"));
    (flag("ok"), flag("changed"), result["state"].clone())
}

/// Runs an action twice: the first time something has to be done, the second time nothing.
fn twice(fixture: &Fixture, arguments: &[&str], state: &str) {
    for changed in [true, false] {
        assert_eq!(result(fixture, 0, arguments), (true, changed, json!(state)), "{arguments:?}");
    }
}

#[test]
fn what_is_done_again_has_changed_nothing() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    twice(&fixture, &["stop", "web"], "down");
    twice(&fixture, &["start", "web"], "up");
    twice(&fixture, &["once", "web"], "up");
    twice(&fixture, &["disable", "web"], "down");
    twice(&fixture, &["enable", "web"], "up");
    twice(&fixture, &["pause", "web"], "paused");
    twice(&fixture, &["cont", "web"], "up");
    twice(&fixture, &["alarm", "off", "web"], "up");
    twice(&fixture, &["alarm", "on", "web"], "up");
    // What is told and not waited for, too.
    assert_eq!(result(&fixture, 0, &["-w", "0", "start", "web"]), (true, false, json!("up")));
    // Whoever asks for these wants them to happen each time.
    for verb in ["restart", "hup"] {
        assert!(result(&fixture, 0, &[verb, "web"]).1, "{verb}");
        fixture.expect(0, &["wait", "up", "web"]);
    }
    // These only look.
    assert_eq!(result(&fixture, 0, &["wait", "up", "web"]), (true, false, json!("up")));
    assert_eq!(result(&fixture, 0, &["check", "web"]), (true, false, json!("up")));
}

#[test]
fn a_reload_has_changed_something_if_other_settings_were_read() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    assert_eq!(result(&fixture, 0, &["reload", "web"]), (true, false, json!("up")));
    std::fs::write(fixture.services.join("web/supervise.conf"), "restart_delay : 3\n").unwrap();
    twice(&fixture, &["reload", "web"], "up");
    let seen = fixture.state("web").unwrap();
    assert!(seen["own_config_hash"].is_u64(), "{seen}");
}

#[test]
fn what_fails_says_so_and_whether_it_has_done_something() {
    let fixture = Fixture::tree(&[("doomed", "#!/bin/sh\nexit 3\n"), ("web", STEADY)]);
    fixture.up("web");
    let (ok, changed, state) = result(&fixture, 1, &["restart", "doomed"]);
    assert!(!ok && changed && state.is_string(), "{changed} {state}");
    assert_eq!(result(&fixture, 4, &["start", "nope"]), (false, false, Value::Null));
    assert_eq!(result(&fixture, 4, &["-w", "0.1", "wait", "up", "nope"]), (false, false, Value::Null));
    assert_eq!(result(&fixture, 1, &["-w", "0.1", "wait", "down", "web"]), (false, false, json!("up")));
    fixture.expect(0, &["stop", "web"]);
    assert_eq!(result(&fixture, 1, &["hup", "web"]), (false, false, json!("down")));
    assert_eq!(result(&fixture, 1, &["check", "web"]), (false, false, json!("down")));
    assert_eq!(result(&fixture, 1, &["forget", "web"]), (false, false, json!("down")));
}

#[test]
fn the_tree_has_results_too() {
    let mut fixture = Fixture::tree(&[("web", STEADY), ("old", STEADY)]);
    fixture.all_up(&["web", "old"]);
    for verb in ["rescan", "reload", "upgrade"] {
        assert_eq!(result(&fixture, 0, &[verb]), (true, true, Value::Null), "{verb}");
    }
    std::fs::remove_dir_all(fixture.services.join("old")).unwrap();
    until("it is gone", || (fixture.svctl(&["status", "old"]).code == 4).then_some(()));
    assert_eq!(result(&fixture, 0, &["forget", "old"]), (true, true, Value::Null));
    assert_eq!(result(&fixture, 0, &["shutdown"]), (true, true, Value::Null));
    assert_eq!(fixture.ended(), 0);
    assert_eq!(result(&fixture, 4, &["shutdown"]), (false, false, Value::Null));
    // Without a supervisor it is the file that changes, and the state is none that anybody knows.
    for changed in [true, false] {
        assert_eq!(result(&fixture, 0, &["disable", "web"]), (true, changed, json!("unsupervised")));
    }
    // Where there is nothing at all, programs that read an array get the reason in it.
    std::fs::remove_dir_all(&fixture.status).unwrap();
    assert_eq!(result(&fixture, 111, &["start", "web"]), (false, false, Value::Null));
}

#[test]
fn a_directory_is_linked_and_enabled_once() {
    let mut fixture = Fixture::tree(&[("taken", STEADY)]);
    for name in ["app", "other", "empty"] {
        std::fs::create_dir(fixture.path().join(name)).unwrap();
    }
    for name in ["app", "other"] {
        crate::common::script(&fixture.path().join(name).join("run"), STEADY);
    }
    // A service that is not to start by itself is enabled all the same.
    std::fs::write(fixture.path().join("app/down"), "").unwrap();
    twice(&fixture, &["enable", "web", "./app"], "up");
    let link = std::fs::read_link(fixture.services.join("web")).unwrap();
    assert_eq!(std::fs::canonicalize(&link).unwrap(), std::fs::canonicalize(fixture.path().join("app")).unwrap());
    assert!(link.is_absolute() && !fixture.path().join("app/down").exists(), "{link:?}");
    twice(&fixture, &["disable", "web"], "down");
    twice(&fixture, &["enable", "web", "./app"], "up");

    let refused = |code: i32, arguments: &[&str], why: &str| {
        let answer = fixture.expect(code, arguments);
        assert!(answer.err.contains(why) && answer.err.lines().count() == 1 && answer.out.is_empty(), "{answer:?}");
    };
    refused(1, &["enable", "web", "./other"], "sv/web exists already and leads to /");
    refused(1, &["enable", "taken", "./other"], "sv/taken exists already and is no link");
    refused(1, &["enable", "new", "./empty"], "empty is no service directory: run: No such file");
    refused(1, &["enable", "new", "./none"], "none is no service directory: No such file");
    refused(1, &["enable", "new", "./app/run"], "app/run is no service directory: not a directory");
    std::fs::write(fixture.path().join("empty/run"), "").unwrap();
    refused(1, &["enable", "new", "./empty"], "empty is no service directory: its run is not executable");
    refused(100, &["enable", "a/b", "./other"], "a/b cannot be the name of a service");
    refused(100, &["enable", ".b", "./other"], ".b cannot be the name of a service");
    // It would take the place of the configuration.
    refused(100, &["enable", "supervise.conf", "./other"], "supervise.conf cannot be the name of a service");
    assert!(fixture.services.join("supervise.conf").symlink_metadata().is_err());
    assert!(!fixture.services.join("new").exists());
    // Two modules are two modules.
    fixture.expect(0, &["enable", "web", "taken"]);
    fixture.expect(0, &["shutdown"]);
    assert_eq!(fixture.ended(), 0);
    let answer = fixture.expect(4, &["enable", "new", "./other"]);
    assert!(answer.err.contains("no supervise-tree runs with the status root"), "{answer:?}");
}

#[test]
fn a_start_of_what_waits_has_changed_it_if_it_comes_up() {
    let mut fixture = Fixture::with(&[("db", STEADY), ("web", STEADY)]);
    std::fs::write(fixture.services.join("supervise.conf"), "[web]\nneeds : db\n").unwrap();
    fixture.start_tree();
    fixture.all_up(&["db", "web"]);
    fixture.expect(0, &["stop", "db"]);
    until("web waits", || fixture.state("web").filter(|state| state["state"] == "waiting"));
    assert!(!result(&fixture, 1, &["-w", "0.2", "start", "--no-deps", "web"]).1);
    let answer = fixture.expect(0, &["-w", "20", "--json", "start", "web"]).json();
    let all: Vec<_> = answer.as_array().unwrap().iter().map(|one| (&one["module"], &one["changed"])).collect();
    assert_eq!(all.len(), 2, "{answer}");
    assert!(all.iter().all(|(_, changed)| **changed == json!(true)), "{answer}");
}
