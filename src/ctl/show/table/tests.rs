use super::*;
use crate::status::StatusDir;
use crate::status::state::{LastExit, StateFile};
use std::time::{Duration, UNIX_EPOCH};

/// 2026-01-31 12:00:00 UTC.
const NOW: u64 = 1_769_860_800;

fn ago(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW - seconds)
}

fn stamp(at: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(at).to_rfc3339()
}

fn module(name: &str) -> Module {
    Module { name: name.into(), dir: StatusDir::new("/nowhere") }
}

fn seen(name: &str, state: &str, pid: Option<u32>, since: u64, more: impl FnOnce(&mut Snapshot)) -> Seen {
    let state = StateFile {
        state: ModuleState::from_name(state),
        want: Want::from_name(if matches!(state, "down" | "stopping") { "down" } else { "up" }),
        pid,
        ..StateFile::default()
    };
    let mut snapshot = Snapshot { supervised: Supervised::Yes, state, raw: None, changed: Some(ago(since)) };
    more(&mut snapshot);
    (module(name), Ok(snapshot))
}

fn ended(snapshot: &mut Snapshot, code: Option<i32>, signal: Option<&str>, core: bool, at: u64) {
    snapshot.state.last_exit = Some(LastExit { code, signal: signal.map(Into::into), core, at: stamp(ago(at)) });
}

fn three_in_the_morning() -> Vec<Seen> {
    vec![
        seen("api", "up", Some(812), 273_600, |_| ()),
        seen("api/log", "up", Some(813), 273_601, |_| ()),
        seen("cache", "paused", Some(900), 7320, |_| ()),
        seen("db", "failed", None, 125, |s| {
            s.state.restarts = 10;
            s.state.reason = Some("gave up after 10 restarts in 60 s".into());
            ended(s, Some(3), None, false, 125);
        }),
        seen("mail", "down", None, 4000, |s| ended(s, None, Some("TERM"), false, 4000)),
        seen("queue", "up", Some(1200), 31, |_| ()),
        seen("queue/log", "backoff", None, 2, |s| {
            s.state.restarts = 7;
            s.state.next_start = Some(stamp(UNIX_EPOCH + Duration::from_secs(NOW + 3)));
            ended(s, None, Some("SEGV"), true, 2);
        }),
        seen("web", "stopping", Some(77), 100_000, |_| ()),
    ]
}

fn style(colour: bool, columns: Option<usize>) -> Style {
    Style { colour, columns, now: ago(0) }
}

#[test]
fn what_is_not_up_comes_first_and_says_why() {
    insta::assert_snapshot!(draw(&three_in_the_morning(), style(false, None)));
}

#[test]
fn states_have_colours_and_columns_still_line_up() {
    let text = draw(&three_in_the_morning(), style(true, None));
    insta::assert_snapshot!(text.replace('\x1b', "^"));
}

#[test]
fn what_a_narrow_terminal_has_no_room_for_stands_below() {
    let mut all = three_in_the_morning();
    let why =
        "the reason of a service that has much to say about what it waits for, and which does not end before this";
    all.push(seen(&"long".repeat(25), "up", Some(4_000_000), 8, |_| ()));
    all.push(seen("wordy", "waiting", None, 8, |s| s.state.reason = Some(why.into())));
    let text = draw(&all, style(false, Some(80)));
    assert!(text.lines().all(|line| format::width(line) <= 80), "{text}");
    insta::assert_snapshot!(text);
    let narrow = draw(&all, style(false, Some(40)));
    assert!(narrow.lines().all(|line| format::width(line) <= 40), "{narrow}");
    assert!(why.split(' ').all(|word| narrow.contains(word)), "{narrow}");
}

#[test]
fn what_is_left_of_a_dead_tree_says_so() {
    let left = |runs_on| move |s: &mut Snapshot| s.supervised = Supervised::No { runs_on };
    let all = [
        seen("gone", "down", None, 90, |s| s.supervised = Supervised::Removed),
        seen("idle", "down", None, 90, left(false)),
        seen("lives", "up", Some(5), 90, left(true)),
        (module("secret"), Err(SnapshotError::Denied("status/secret: Permission denied".into()))),
        seen("stale", "up", Some(6), 90, left(false)),
        (module("vanished"), Err(SnapshotError::Gone)),
    ];
    insta::assert_snapshot!(draw(&all, style(false, None)));
}

#[test]
fn any_name_is_one_word_in_one_line() {
    let names = ["a b", "line\nbreak", "\x1b[31mred", "-option", "服务器", "x".repeat(60).as_str()].map(String::from);
    let all: Vec<Seen> = names.iter().map(|name| seen(name, "up", Some(1), 5, |_| ())).collect();
    insta::assert_snapshot!(draw(&all, style(false, None)));
}

#[test]
fn many_modules_are_summed_up() {
    let mut all: Vec<Seen> = (0..11).map(|n| seen(&format!("w{n:02}"), "up", Some(n), 5, |_| ())).collect();
    all.push(seen("z", "failed", None, 5, |_| ()));
    let text = draw(&all, style(false, None));
    assert_eq!(text.lines().last(), Some("12 modules: 1 failed, 11 up"));
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("z ")), "{text}");
}

#[test]
fn nothing_is_said_to_be_nothing() {
    assert_eq!(draw(&[], style(false, None)), "no modules\n");
}

#[test]
fn what_is_up_and_not_fit_says_what_its_check_says() {
    let unfit = |reason: Option<&str>, said: Option<&str>| {
        let (reason, said) = (reason.map(String::from), said.map(String::from));
        move |s: &mut Snapshot| (s.state.ready, s.state.reason, s.state.check) = (Some(false), reason, said)
    };
    let all = [
        seen("a", "up", Some(1), 5, unfit(None, None)),
        seen("b", "up", Some(2), 5, unfit(None, Some("no answer"))),
        seen("c", "up", Some(3), 5, unfit(Some("it cannot tell"), None)),
        seen("d", "unhealthy", Some(4), 5, unfit(None, Some("no answer"))),
        seen("e", "ready", Some(5), 5, |s| (s.state.ready, s.state.check) = (Some(true), Some("fine".into()))),
        seen("f", "up", Some(6), 5, |_| ()),
    ];
    let text = draw(&all, style(false, None));
    let said: std::collections::BTreeMap<_, _> =
        text.lines().skip(1).map(|line| (&line[..1], line.rsplit("  ").next().unwrap_or_default().trim())).collect();
    assert_eq!(said["a"], "not ready yet");
    assert_eq!(said["b"], "not ready yet; its check says: no answer");
    assert_eq!(said["c"], "not ready yet; it cannot tell");
    assert_eq!(said["d"], "its check says: no answer");
    assert_eq!((said["e"], said["f"]), ("-", "-"));
}
