//! Circles, and names that nobody has.

use crate::common::*;
use crate::{RUNS, own, svctl, wait_for_state, wait_reason};

#[test]
fn a_circle_and_an_unknown_name_wait_and_say_so() {
    let place = Place::new();
    place.conf("[a]\nneeds : b\n[b]\nneeds : a\n[c]\nneeds : nobody\n");
    for name in ["a", "b", "c"] {
        place.run(name, RUNS);
    }
    let _tree = place.tree();
    for (name, why) in [("a", "in a circle: a needs b needs a"), ("c", "needs nobody, which there is not")] {
        wait_for_state(&place, name, "waiting");
        wait_for(why, &place, || place.module(name).state()["reason"] == why);
    }
    // A circle does not pass by itself, so nobody waits for that.
    let begin = std::time::Instant::now();
    let started = svctl(&place, &["-w", "100", "start", "a"]);
    let said = String::from_utf8_lossy(&started.stdout).into_owned();
    assert_eq!(started.status.code(), Some(1), "{started:?}");
    assert!(said.contains("a: cannot be started: in a circle: a needs b needs a"), "{started:?}");
    assert!(begin.elapsed() < std::time::Duration::from_secs(50), "it waited");
    // It starts when that module appears.
    place.run("nobody", RUNS);
    wait_for_state(&place, "c", "up");
}

/// How often the tree and the modules have told of a circle.
fn tells(place: &Place) -> usize {
    let text = std::fs::read_to_string(place.path().join("stderr")).unwrap_or_default();
    text.matches("circle").count()
}

fn is_told_once_and_starts_when_mended(place: &Place, mend: impl Fn()) {
    let tree = place.tree();
    for name in ["a", "b"] {
        wait_for_state(place, name, "waiting");
        wait_for("the reason", place, || {
            place.module(name).state()["reason"].as_str().unwrap_or("").contains("circle")
        });
        assert_eq!(place.module(name).text("supervise.log.wf"), "", "the tree says it");
    }
    place.wait_told("[WARNING]");
    tree.signal("HUP");
    place.wait_told("looking at everything again");
    wait_for_state(place, "c", "up");
    assert_eq!(tells(place), 1, "{}", place.story());
    place.wait_told("a circle: a needs b needs a; none of them is started until that is mended");
    let checked = svctl(place, &["config", "--check"]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(1), "{text}");
    assert!(text.contains("a needs b needs a"), "{text}");
    mend();
    tree.signal("HUP");
    wait_for_state(place, "a", "up");
    wait_for_state(place, "b", "up");
    assert_eq!(svctl(place, &["config", "--check"]).status.code(), Some(0));
}

#[test]
fn a_circle_is_told_once_and_starts_when_it_is_mended() {
    let place = Place::new();
    place.conf("[a]\nneeds : b\n[b]\nneeds : a\n");
    ["a", "b", "c"].iter().for_each(|name| place.run(name, RUNS));
    is_told_once_and_starts_when_mended(&place, || place.conf("[a]\nneeds : b\n"));
}

#[test]
fn a_circle_through_the_directories_own_files_is_told_once_too() {
    let place = Place::new();
    ["a", "b", "c"].iter().for_each(|name| place.run(name, RUNS));
    own(&place, "a", "needs : b\n");
    own(&place, "b", "needs : a\n");
    is_told_once_and_starts_when_mended(&place, || own(&place, "b", "nice : 1\n"));
}

#[test]
fn who_needs_itself_waits_and_who_needs_that_one_too() {
    let place = Place::new();
    place.conf("[a]\nneeds : a\n[b]\nneeds : a\n");
    ["a", "b", "c"].iter().for_each(|name| place.run(name, RUNS));
    let tree = place.tree();
    wait_reason(&place, "a", "in a circle: a needs a");
    wait_reason(&place, "b", "needs a, which is not ready yet");
    wait_for_state(&place, "c", "up");
    // They do not hinder the end.
    assert!(tree.stop().success());
}

#[test]
fn a_need_that_cannot_be_a_name_is_refused_with_its_line() {
    let place = Place::new();
    place.conf("[web]\nneeds : ../db a/b @ .x db\n");
    place.run("web", RUNS);
    place.run("db", RUNS);
    let _tree = place.tree();
    // The good one among them stands.
    wait_for_state(&place, "web", "up");
    let checked = svctl(&place, &["config", "--check"]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{text}");
    for bad in ["../db", "a/b", "@", ".x"] {
        assert!(
            text.lines().any(|line| line.contains("supervise.conf:2: ") && line.contains(&format!("{bad:?}"))),
            "{bad}: {text}"
        );
    }
}
