//! Modules that the tree knows and cannot begin.

use crate::common::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

fn svctl(place: &Place, words: &[&str]) -> Output {
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(words);
    place.output(command)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

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
    wait_for("the row", &place, || text(&svctl(&place, &["status"])).contains(why));

    let all = svctl(&place, &["status"]);
    assert_eq!(all.status.code(), Some(3), "{}", text(&all));
    assert!(!text(&all).contains("README"), "{}", text(&all));
    for (words, code) in [
        (&["status", "dud"][..], 3),
        (&["status", "--failed"], 3),
        (&["check"], 4),
        (&["check", "dud"], 4),
        (&["start", "dud"], 4),
        (&["show", "dud"], 0),
    ] {
        let output = svctl(&place, words);
        assert!(text(&output).contains(why), "{words:?}: {}", text(&output));
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&svctl(&place, &["--json", "status", "dud"]).stdout).expect("JSON");
    assert_eq!((&json[0]["state"], &json[0]["reason"]), (&"failed".into(), &why.into()), "{json}");

    // Once it can begin, it is a module like any other.
    chmod(0o755);
    place.module("dud").wait_up(&place);
    wait_for("all is well", &place, || svctl(&place, &["status"]).status.code() == Some(0));

    // What a dead tree has said counts no more.
    chmod(0o644);
    tree.stop();
    assert!(!text(&svctl(&place, &["status"])).contains(why));
}
