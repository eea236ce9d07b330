//! `logs`, of what is there and of what comes.

use crate::fixture::{Fixture, STEADY, until};
use serde_json::json;
use std::io::Write;
use std::process::{Child, Stdio};

/// A `svctl logs -f` whose output is collected in a file.
struct Following {
    child: Child,
    out: std::path::PathBuf,
}

impl Following {
    fn start(fixture: &Fixture, arguments: &[&str]) -> Following {
        let out = fixture.path().join("followed");
        let file = std::fs::File::create(&out).unwrap();
        let child = fixture.command(arguments).stdout(file).stderr(Stdio::null()).spawn().unwrap();
        Following { child, out }
    }

    fn sees(&self, text: &str) {
        let read = || std::fs::read_to_string(&self.out).unwrap();
        until(&format!("{text:?} is shown"), || read().contains(text).then_some(()));
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &std::path::Path, text: &str) {
    std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_status_root_without_modules_gets_them_while_it_is_followed() {
    let mut fixture = Fixture::new();
    std::fs::create_dir_all(&fixture.status).unwrap();
    let following = Following::start(&fixture, &["logs", "-f"]);
    fixture.service("late", "#!/bin/sh\necho here I am\nexec sleep 1000\n");
    fixture.start_tree();
    following.sees("here I am");
}

#[test]
fn the_last_lines_of_one_are_bare_and_of_several_have_names() {
    let fixture = Fixture::new();
    for name in ["web", "db"] {
        let dir = fixture.fabricate(name, &json!({}));
        append(&dir.join("__stdout"), &format!("{name} 1\n{name} 2\n{name} 3\n"));
    }
    append(&fixture.status.join("web/__stderr"), "trouble\n");
    assert_eq!(fixture.expect(0, &["logs", "-n", "2", "web"]).out, "web 2\nweb 3\ntrouble\n");
    assert_eq!(fixture.expect(0, &["logs", "-n", "1"]).out, "db  | db 3\nweb | web 3\nweb ! trouble\n");
    let out = fixture.expect(0, &["--json", "logs", "-n", "1", "db"]).out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["line"], "db 3");
    fixture.expect(4, &["logs", "wbe"]);
}

#[test]
fn several_are_followed_through_truncation_and_rename() {
    let fixture = Fixture::new();
    let web = fixture.fabricate("web", &json!({})).join("__stdout");
    let db = fixture.fabricate("db", &json!({})).join("__stderr");
    append(&web, "begin\n");
    let following = Following::start(&fixture, &["logs", "-f"]);
    following.sees("web | begin\n");
    append(&db, "from db\n");
    following.sees("db  ! from db\n");
    std::fs::write(&web, "cut\n").unwrap();
    following.sees("web | cut\n");
    std::fs::rename(&web, web.with_extension("1")).unwrap();
    append(&web.with_extension("1"), "still the old one\n");
    following.sees("web | still the old one\n");
    append(&web, "the new one\n");
    following.sees("web | the new one\n");
    // A module that comes later is followed, too.
    let late = fixture.fabricate("late", &json!({}));
    append(&late.join("__stdout"), "here I am\n");
    following.sees("| here I am\n");
    append(&late.join("__stdout"), "and on\n");
    following.sees("| and on\n");
}

#[test]
fn a_follower_whose_reader_leaves_ends() {
    let fixture = Fixture::new();
    let web = fixture.fabricate("web", &json!({}));
    append(&web.join("__stdout"), "begin\n");
    let (reading, writing) = std::io::pipe().unwrap();
    let mut child = fixture.command(&["logs", "-f", "web"]).stdout(writing).stderr(Stdio::piped()).spawn().unwrap();
    let mut room = [0; 64];
    assert!(std::io::Read::read(&mut &reading, &mut room).unwrap() > 0);
    drop(reading);
    let status = until("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn the_supervisors_own_log_is_one_story() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["kill", "web"]);
    let killed = || Some(fixture.svctl(&["logs", "--supervisor", "web"])).filter(|answer| answer.out.contains("KILL"));
    let answer = until("the exit is logged", killed);
    assert!(answer.out.starts_with("[NOTICE] "), "{answer:?}");
    assert!(fixture.expect(0, &["logs", "--supervisor"]).out.contains("supervise-tree | "));
}
