//! What `svctl` says of settings: what is wrong, what is in force, and what is not read yet.

use crate::common::*;

#[test]
fn reload_tells_what_is_wrong_and_of_a_named_module_that_alone() {
    let place = Place::new();
    place.conf("[global]\nnice : 1\n");
    ["web", "db"].iter().for_each(|name| place.run(name, SLEEP));
    let _tree = place.tree();
    ["web", "db"].iter().for_each(|name| assert_ne!(place.module(name).wait_up(&place), 0));
    let good = place.svctl(&["reload"]);
    assert_eq!(good.status.code(), Some(0), "{}", said_by(&good));

    place.conf("[global]\nnice : x\n[web]\nnicer : 1\n[db]\nnice : 2\n[wbe]\nnice : 3\n");
    std::fs::write(place.root().join("db/supervise.conf"), "[db]\n").expect("its own file");
    let all = place.svctl(&["reload"]);
    let told = said_by(&all);
    assert_eq!(all.status.code(), Some(1), "{told}");
    for line in [
        "supervise.conf:2: nice: \"x\"",
        "supervise.conf:4: unknown key nicer: did you mean nice?",
        "supervise.conf:7: [wbe] names no module: did you mean [web]?",
        "db/supervise.conf:1: [db] has no place",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(told.lines().filter(|line| line.starts_with("fail: ")).count(), 4, "{told}");

    let web = place.svctl(&["reload", "web"]);
    let told = said_by(&web);
    assert_eq!(web.status.code(), Some(1), "{told}");
    assert!(told.contains("fail: web: ") && told.contains("nicer") && !told.contains("wbe"), "{told}");
    let check = place.svctl(&["config", "--check"]);
    assert_eq!((check.status.code(), said_by(&check).lines().count()), (Some(1), 4), "{}", said_by(&check));
    let check = place.svctl(&["config", "--check", "db"]);
    assert_eq!((check.status.code(), said_by(&check).lines().count()), (Some(1), 1), "{}", said_by(&check));
}

#[test]
fn what_is_in_force_is_shown_beside_what_is_not_read_yet() {
    let place = Place::new();
    place.conf("[web]\nmax_tries : 3\nalarm_interval : 60\n");
    place.run("web", SLEEP);
    let _tree = place.tree();
    place.module("web").wait_up(&place);
    let unread = |words: &[&str]| said_by(&place.svctl(words)).matches("not read yet").count();
    assert_eq!((unread(&["config", "web"]), unread(&["status"])), (0, 0));

    place.conf("# another\n[web]\nmax_tries : 7\nalarm_interval : 60\n");
    let config = said_by(&place.svctl(&["config", "web"]));
    let lines: Vec<&str> = config.lines().filter(|line| line.starts_with("max_tries ")).collect();
    let [held, file] = lines[..] else { panic!("{config}") };
    assert!(held.contains(" 3 ") && held.ends_with("supervise.conf:2"), "{config}");
    assert!(file.contains(" 7 ") && file.contains("not read yet: svctl reload"), "{config}");
    assert_eq!((unread(&["config", "web"]), unread(&["status"])), (1, 1));
    let json: serde_json::Value =
        serde_json::from_slice(&place.svctl(&["--json", "config", "web"]).stdout).expect("JSON");
    let tries = |in_force: bool| {
        let all = json.as_array().expect("an array");
        let found = all.iter().find(|value| value["key"] == "max_tries" && value["in_force"] == in_force);
        found.map(|value| value["value"].clone())
    };
    assert_eq!((tries(true), tries(false)), (Some("3".into()), Some("7".into())));

    // By one module, or by all: then there is nothing to be read any more.
    assert!(place.svctl(&["reload", "web"]).status.success());
    wait_for("the settings", &place, || unread(&["config", "web"]) == 0 && unread(&["status"]) == 0);
    place.conf("[web]\nmax_tries : 9\nalarm_interval : 60\n");
    assert!(place.svctl(&["reload"]).status.success());
    wait_for("the settings", &place, || {
        let config = said_by(&place.svctl(&["config", "web"]));
        config.lines().any(|line| line.starts_with("max_tries ") && line.contains(" 9 ")) && unread(&["status"]) == 0
    });
}
