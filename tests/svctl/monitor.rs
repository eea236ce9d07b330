//! `events`, on a real tree.

use crate::fixture::{Fixture, STEADY, until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// `svctl events --json`, read line by line; it is killed when this goes.
struct Events {
    child: Child,
    lines: Receiver<Value>,
}

impl Events {
    fn of(fixture: &Fixture, words: &[&str]) -> Events {
        let mut command = fixture.command(&["--json", "events"]);
        let mut child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))).is_err() {
                    return;
                }
            }
        });
        Events { child, lines }
    }

    /// All lines until one for which this holds.
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) if holds(&line) => {
                    seen.push(line);
                    return seen;
                }
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line in which {what}: {error}: {seen:#?}"),
            }
        }
    }

    fn module_is(&self, module: &str, state: &str) -> Value {
        let is = |line: &Value| line["module"] == module && line["state"] == state && line["event"] != "gone";
        self.until(&format!("{module} is {state}"), is).pop().unwrap()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_snapshot_comes_first_and_then_each_change() {
    let fixture = Fixture::tree(&[("web", STEADY), ("db", STEADY)]);
    fixture.all_up(&["web", "db"]);
    let events = Events::of(&fixture, &[]);
    let snapshot = events.until("it is live", |line| line["event"] == "live");
    assert_eq!((&snapshot[0]["event"], &snapshot[0]["tree"]), (&"snapshot".into(), &true.into()));
    let modules: Vec<_> = snapshot.iter().filter_map(|line| line["module"].as_str()).collect();
    assert_eq!(modules, ["db", "web"]);
    assert!(snapshot.iter().all(|line| line.get("memory").is_none() && line["time"].is_string()), "{snapshot:#?}");
    fixture.expect(0, &["stop", "web"]);
    let down = events.module_is("web", "down");
    assert_eq!(down["last_exit"]["signal"], "TERM");
    // A service that comes, and one that goes.
    fixture.service("new", STEADY);
    assert_eq!(events.module_is("new", "up")["event"], "change");
    std::fs::remove_dir_all(fixture.services.join("new")).unwrap();
    events.until("nobody supervises it", |line| line["module"] == "new" && line["supervised"] == false);
    std::fs::remove_dir_all(fixture.status.join("new")).unwrap();
    events.until("it is gone", |line| line["module"] == "new" && line["event"] == "gone");
}

#[test]
fn they_survive_the_upgrade_and_the_death_of_the_tree() {
    let mut fixture = Fixture::tree(&[("web", STEADY)]);
    let pid = fixture.up("web");
    let events = Events::of(&fixture, &[]);
    events.until("it is live", |line| line["event"] == "live");
    fixture.expect(0, &["upgrade"]);
    events.until("the next program runs", |line| line["tree"] == true && line["generation"] == 2);
    fixture.crash();
    events.until("the tree is dead", |line| line["tree"] == false);
    fixture.start_tree();
    events.until("a new one runs", |line| line["tree"] == true && line["generation"] == 1);
    until("it is supervised again", || fixture.svctl(&["check", "web"]).code.eq(&0).then_some(()));
    fixture.expect(0, &["restart", "web"]);
    let is_new = |line: &Value| line["module"] == "web" && line["state"] == "up" && line["pid"] != pid;
    events.until("the new process is up", is_new);
}

#[test]
fn they_survive_a_status_root_that_is_away_and_end_when_it_is_gone() {
    let mut fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let mut events = Events::of(&fixture, &[]);
    events.until("it is live", |line| line["event"] == "live");
    fixture.crash();
    let away = fixture.status.with_extension("away");
    std::fs::rename(&fixture.status, &away).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    std::fs::rename(&away, &fixture.status).unwrap();
    fixture.start_tree();
    events.until("a new one runs", |line| line["tree"] == true);
    until("it is supervised again", || fixture.svctl(&["check", "web"]).code.eq(&0).then_some(()));
    fixture.expect(0, &["stop", "web"]);
    events.module_is("web", "down");
    fixture.crash();
    std::fs::rename(&fixture.status, &away).unwrap();
    let status = until("they end", || events.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
}

#[test]
fn only_what_is_named_is_told_and_a_crash_loop_is_seen_whole() {
    let fixture = Fixture::tree(&[("web", STEADY), ("crash", "#!/bin/sh\nexit 3\n")]);
    fixture.all_up(&["web"]);
    let events = Events::of(&fixture, &["cra*"]);
    let restarts = |line: &Value| line["restarts"].as_u64() >= Some(3);
    let seen = events.until("it was restarted", restarts);
    assert!(seen.iter().all(|line| line.get("module").is_none_or(|module| module == "crash")), "{seen:#?}");
}

#[test]
fn they_end_when_nobody_reads_any_more() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let mut child = fixture.command(&["events"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("supervise-tree"), "{first}");
    // Nothing changes, and still it ends.
    let status = until("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_module_that_vanishes_is_told_once_and_the_stream_goes_on() {
    let fixture = Fixture::tree(&[("web", STEADY), ("old", STEADY)]);
    fixture.all_up(&["web", "old"]);
    let events = Events::of(&fixture, &[]);
    events.until("the snapshot ends", |line| line["event"] == "live");
    std::fs::remove_dir_all(fixture.services.join("old")).unwrap();
    events.until("nobody supervises it", |line| line["module"] == "old" && line["supervised"] == false);
    fixture.expect(0, &["forget", "old"]);
    let gone = events.until("it is gone", |line| line["event"] == "gone").pop().unwrap();
    assert_eq!((&gone["module"], gone.get("state")), (&"old".into(), None));
    fixture.expect(0, &["stop", "web"]);
    let seen = events.until("web is down", |line| line["module"] == "web" && line["state"] == "down");
    assert!(seen.iter().all(|line| line["module"] != "old"), "{seen:#?}");
}
