//! What `svctl` tells of the order of modules, and what it does because of it.

use crate::fixture::{Fixture, STEADY, until};
use serde_json::json;

/// `app` needs `web`, which needs `db` and `setup`; all but `setup` have a tag.
fn chain() -> Fixture {
    let mut fixture =
        Fixture::with(&[("app", STEADY), ("web", STEADY), ("db", STEADY), ("setup", "#!/bin/sh\nexit 0\n")]);
    let conf =
        "[app]\nneeds : web\n[web]\nneeds : db setup\ntags : blue front\n[db]\ntags : blue\n[setup]\ntype : oneshot\n";
    std::fs::write(fixture.services.join("supervise.conf"), conf).unwrap();
    fixture.start_tree();
    fixture.all_up(&["app", "web", "db"]);
    fixture
}

#[test]
fn a_stop_says_what_it_stops_and_a_start_starts_what_is_needed() {
    let fixture = chain();
    assert_eq!(fixture.expect(0, &["stop", "db"]).out, "ok: db: down; stopped with it: app, web\n");
    until("web waits", || fixture.state("web").filter(|state| state["state"] == "waiting"));
    // Alone it waits, and says for what.
    let answer = fixture.expect(1, &["-w", "1.5", "start", "--no-deps", "app"]);
    assert!(answer.out.starts_with("timeout: app: waiting: needs web"), "{answer:?}");
    assert!(answer.err.contains("svctl: app: waiting: needs web, which"), "{answer:?}");
    let done = fixture.state("setup").unwrap()["since"].clone();
    let answer = fixture.expect(0, &["-w", "20", "--json", "start", "app"]).json();
    let told: Vec<_> =
        answer.as_array().unwrap().iter().map(|one| (&one["module"], &one["result"], &one["with"])).collect();
    assert!(told.contains(&(&json!("db"), &json!("ok"), &json!(["app"]))), "{answer}");
    assert!(told.contains(&(&json!("app"), &json!("ok"), &json!(null))), "{answer}");
    // It is needed, too, and is done already.
    assert_eq!(fixture.state("setup").unwrap()["since"], done);
    let answer = fixture.expect(0, &["-w", "0", "disable", "db"]);
    assert_eq!(answer.out, "ok: db: disabled, and told to stop; stopped with it: app, web\n");
}

#[test]
fn a_tag_stands_wherever_a_name_does() {
    let fixture = chain();
    let answer = fixture.expect(0, &["--json", "status", "@blue"]).json();
    let names: Vec<_> = answer.as_array().unwrap().iter().map(|one| one["module"].as_str().unwrap()).collect();
    assert_eq!(names, ["db", "web"]);
    fixture.expect(0, &["check", "@front"]);
    fixture.expect(0, &["wait", "up", "@blue"]);
    let answer = fixture.expect(4, &["restart", "@bleu"]);
    assert_eq!(answer.out, "fail: @bleu: no module has this tag (did you mean @blue?)\n");
    fixture.expect(4, &["wait", "up", "@nobody"]);
}

#[test]
fn deps_and_show_have_both_directions() {
    let fixture = chain();
    let tree = "app  up\n└─ needs web  up\n   ├─ needs db  up\n   └─ needs setup  done\n";
    assert_eq!(fixture.expect(0, &["deps"]).out, tree);
    let answer = fixture.expect(0, &["deps", "web"]);
    assert_eq!(answer.out, "web  up\n├─ needs db  up\n└─ needs setup  done\n└─ needed by app  up\n");
    let answer = fixture.expect(0, &["--json", "deps", "db"]).json();
    let db = &answer.as_array().unwrap().iter().find(|one| one["module"] == "db").unwrap().clone();
    assert_eq!((&db["needed_by"], &db["tags"]), (&json!(["web"]), &json!(["blue"])));
    let dot = fixture.expect(0, &["deps", "--dot"]).out;
    assert!(dot.contains("\t\"web\" -> \"db\";\n") && dot.contains("\t\"app\" -> \"web\";\n"), "{dot}");
    fixture.expect(100, &["--json", "deps", "--dot"]);
    fixture.expect(4, &["deps", "nobody"]);
    let page = fixture.expect(0, &["show", "web"]).out;
    assert!(page.contains("  needs          db (up), setup (done)\n"), "{page}");
    assert!(page.contains("  needed by      app (up)\n"), "{page}");
    assert_eq!(fixture.expect(0, &["--json", "show", "web"]).json()[0]["needed_by"], json!(["app"]));
}

#[test]
fn a_start_begins_with_a_needed_service_that_has_finished() {
    let finishes = "#!/bin/sh\ntest -e again || exit 0\necho >&3\nexec sleep 1000\n";
    let mut fixture = Fixture::with(&[("db", finishes), ("web", STEADY)]);
    let conf = "[db]\nrestart : on-failure\nready : fd\n[web]\nneeds : db\n";
    std::fs::write(fixture.services.join("supervise.conf"), conf).unwrap();
    fixture.start_tree();
    until("db has finished", || fixture.state("db").filter(|state| state["state"] == "done"));
    let why = "needs db, which has finished";
    until("web waits", || fixture.state("web").filter(|state| state["reason"] == why));
    // It serves nobody, whatever it is called.
    fixture.expect(1, &["-w", "0.2", "wait", "ready", "db"]);
    fixture.expect(1, &["check", "db"]);
    std::fs::write(fixture.services.join("db/again"), "").unwrap();
    let answer = fixture.expect(0, &["-w", "20", "start", "web"]);
    assert!(answer.out.contains("ok: db: ready") && answer.out.contains("ok: web: up"), "{answer:?}");
}

#[test]
fn a_one_shot_that_is_done_passes_a_check_by_name_and_by_tag() {
    let fixture = chain();
    std::fs::write(
        fixture.services.join("supervise.conf"),
        "[setup]\ntype : oneshot\ntags : boot\n[db]\ntags : boot\n",
    )
    .unwrap();
    fixture.expect(0, &["reload"]);
    until("the tag is read", || fixture.state("setup").filter(|state| state["tags"][0] == "boot"));
    until("and the other", || fixture.state("db").filter(|state| state["tags"][0] == "boot"));
    for words in [&["check"][..], &["check", "setup"], &["check", "@boot"]] {
        let answer = fixture.expect(0, words);
        assert_eq!((answer.out.as_str(), answer.err.as_str()), ("", ""));
    }
    fixture.expect(0, &["stop", "setup"]);
    fixture.expect(1, &["check", "setup"]);
}
