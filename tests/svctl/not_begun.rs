//! Modules that the tree knows and cannot begin.

use crate::common::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_run_that_is_not_executable_is_a_row_that_counts_and_is_found_by_name() {
    let place = Place::new();
    ["web", "dud"].iter().for_each(|name| place.run(name, SLEEP));
    let run = place.root().join("dud/run");
    let chmod = |mode| std::fs::set_permissions(&run, std::fs::Permissions::from_mode(mode)).expect("chmod");
    chmod(0o644);
    std::fs::write(place.root().join("README.txt"), "nothing of a service").expect("a file");
    let tree = place.tree();
    place.module("web").wait_up(&place);
    let why = "not begun: run is not executable";
    wait_for("the row", &place, || said_by(&place.svctl(&["status"])).contains(why));

    let all = place.svctl(&["status"]);
    assert_eq!(all.status.code(), Some(3), "{}", said_by(&all));
    assert!(!said_by(&all).contains("README"), "{}", said_by(&all));
    for (words, code) in [
        (&["status", "dud"][..], 3),
        (&["status", "--failed"], 3),
        (&["check"], 4),
        (&["check", "dud"], 4),
        (&["start", "dud"], 4),
        (&["show", "dud"], 0),
    ] {
        let output = place.svctl(words);
        assert!(said_by(&output).contains(why), "{words:?}: {}", said_by(&output));
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said_by(&output));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&place.svctl(&["--json", "status", "dud"]).stdout).expect("JSON");
    assert_eq!((&json[0]["state"], &json[0]["reason"]), (&"failed".into(), &why.into()), "{json}");

    // Once it can begin, it is a module like any other.
    chmod(0o755);
    place.module("dud").wait_up(&place);
    wait_for("all is well", &place, || place.svctl(&["status"]).status.code() == Some(0));

    // What a dead tree has said counts no more.
    chmod(0o644);
    tree.stop();
    assert!(!said_by(&place.svctl(&["status"])).contains(why));
}
