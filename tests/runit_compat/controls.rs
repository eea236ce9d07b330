//! Control scripts: the same calls in the same order, under the tree and under a real `runsv`.

use crate::common::*;
use crate::fixture::*;

const TOOLS: [&str; 2] = ["runsv", "sv"];
const STATUS: [&str; 3] = ["sv", "status", "web"];

/// Ends on TERM, but only after a moment: runsv looks at the next command first.
const SLOW: &str = "trap 'sleep 0.3; kill $!; exit 0' TERM; trap : HUP; sleep 1000 &
    echo run >> calls; while :; do wait $!; done";

/// All scripts, each of which writes down its name and exits with this code.
fn scripts(code: u8) -> Vec<(String, String)> {
    ["u", "d", "t", "x", "k", "p", "c", "a", "h", "i", "q", "1", "2", "o"]
        .iter()
        .map(|letter| (format!("control/{letter}"), format!("echo {letter} >> calls; exit {code}")))
        .collect()
}

fn start<'a>(place: &'a Place, run: &str, code: u8) -> Pair<'a> {
    let scripts = scripts(code);
    let mut files = vec![("run", run), ("finish", "echo finish >> calls")];
    files.extend(scripts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    Pair::start(place, &files)
}

#[test]
fn the_order_of_a_life() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let pair = start(&place, SLOW, 1);
    let mut expected = "u run".to_string();
    pair.wait_calls(&expected);
    for (verb, calls) in [
        ("restart", " t c finish u run"),
        ("hup", " h"),
        ("pause", " p"),
        ("cont", " c"),
        ("stop", " t d finish"),
        ("start", " u run"),
        ("stop", " t d finish"),
        ("once", " u run"),
        ("stop", " t d finish"),
        ("start", " u run"),
        ("exit", " t x finish"),
    ] {
        pair.does(&["sv", verb, "web"]);
        expected += calls;
        pair.wait_calls(&expected);
    }
    pair.comes_to_say(&STATUS, "fail: web: runsv not running\nexit 1");
}

#[test]
fn exit_0_suppresses_every_signal() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let run = "for s in TERM INT HUP ALRM QUIT USR1 USR2; do trap \"echo $s >> calls\" $s; done
        sleep 1000 & echo run >> calls; while :; do wait $!; done";
    let pair = start(&place, run, 0);
    let mut expected = "u run".to_string();
    pair.wait_calls(&expected);
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    let before = pair.pids();
    for (verb, calls) in [
        ("hup", " h"),
        ("alarm", " a"),
        ("interrupt", " i"),
        ("quit", " q"),
        ("1", " 1"),
        ("2", " 2"),
        ("term", " t"),
        ("pause", " p"),
        ("cont", " c"),
        ("down", " t d"),
        ("up", ""),
    ] {
        pair.does(&["sv", verb, "web"]);
        expected += calls;
        pair.wait_calls(&expected);
    }
    assert_eq!(pair.pids(), before);
    // Nothing was sent, so nothing is said of it; and nobody is stopped.
    pair.comes_to(&STATUS, "run: web: (pid P) Ts\nexit 0");
    assert!(before.iter().all(|pid| !is_stopped(*pid)));
}

#[test]
fn any_other_exit_lets_the_signal_through() {
    let Some(place) = place_beside(&TOOLS) else { return };
    let run = "for s in INT HUP ALRM QUIT USR1 USR2; do trap \"echo $s >> calls\" $s; done
        sleep 1000 & echo run >> calls; while :; do wait $!; done";
    let pair = start(&place, run, 7);
    let mut expected = "u run".to_string();
    pair.wait_calls(&expected);
    for (verb, calls) in
        [("hup", " h HUP"), ("alarm", " a ALRM"), ("interrupt", " i INT"), ("quit", " q QUIT"), ("1", " 1 USR1")]
    {
        pair.does(&["sv", verb, "web"]);
        expected += calls;
        pair.wait_calls(&expected);
    }
    pair.does(&["sv", "kill", "web"]);
    expected += " k finish u run";
    pair.wait_calls(&expected);
}
