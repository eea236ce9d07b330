//! Stops of what is needed: by whomever, those who need it go first, and none takes for ever.

use crate::common::host::skipped;
use crate::common::*;
use crate::{RUNS, go, own, svctl, teller, told, wait_for_state, wait_reason, wait_told};
use std::time::{Duration, Instant};

/// `app` needs `web`, which needs `db`; `other` needs nobody.
fn chain(place: &Place) -> Running<'_> {
    place.conf("[global]\nready : fd\nrestart_delay : 0.01\n[web]\nneeds : db\n[app]\nneeds : web\n");
    ["app", "db", "web"].iter().for_each(|name| teller(place, name));
    place.run("other", RUNS);
    let tree = place.tree();
    wait_told(place, "+db +web +app");
    tree
}

const BACK: &str = "+db +web +app -app -web -db +db +web +app";

#[test]
fn a_byte_on_the_fifo_stops_in_order() {
    let place = Place::new();
    let _tree = chain(&place);
    let other = place.module("other").wait_up(&place);
    place.module("db").send("d");
    wait_told(&place, "+db +web +app -app -web -db");
    wait_reason(&place, "web", "needs db, which is down");
    wait_reason(&place, "app", "needs web, which is not ready yet");
    place.module("db").send("u");
    wait_told(&place, BACK);
    assert_eq!(place.module("other").pid(), other);
}

#[test]
fn svctl_stop_stops_in_order_and_waits_for_it() {
    let place = Place::new();
    let _tree = chain(&place);
    let stopped = svctl(&place, &["stop", "db"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(told(&place)[3..], ["-app", "-web", "-db"]);
    assert!(svctl(&place, &["start", "db"]).status.success());
    wait_told(&place, BACK);
}

#[test]
fn one_whose_thread_has_panicked_still_hears_that_it_has_to_stop() {
    if !cfg!(debug_assertions) {
        return skipped("the command that asks for a panic is in debug builds alone");
    }
    let place = Place::new();
    let _tree = chain(&place);
    place.module("web").send("!");
    place.module("web").wait_text(&place, "supervise.log.wf", "a panic was asked for");
    // It begins anew after a pause; this comes before.
    place.module("db").send("d");
    wait_told(&place, "+db +web +app -app -web -db");
}

#[test]
fn the_removal_of_a_directory_stops_in_order() {
    let place = Place::new();
    let _tree = chain(&place);
    std::fs::rename(place.root().join("db"), place.path().join("away")).expect("moved");
    wait_told(&place, "+db +web +app -app -web -db");
    wait_reason(&place, "web", "needs db, which there is not");
    wait_reason(&place, "app", "needs web, which is not ready yet");
    std::fs::rename(place.path().join("away"), place.root().join("db")).expect("moved");
    wait_told(&place, BACK);
}

#[test]
fn the_end_of_the_tree_stops_in_order() {
    let place = Place::new();
    let tree = chain(&place);
    assert!(tree.stop().success());
    assert_eq!(told(&place)[3..], ["-app", "-web", "-db"]);
}

/// A service that ends by KILL alone.
const DEAF: &str = "trap '' TERM; while :; do sleep 1; done";

#[test]
fn each_is_waited_for_as_long_as_its_own_kill_timeout() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 0.5\nrestart_delay : 0.01\n[web]\nneeds : db\n[app]\nneeds : web\n");
    ["app", "db", "web"].iter().for_each(|name| place.run(name, DEAF));
    let tree = place.tree();
    wait_for_state(&place, "app", "up");
    ["db", "web", "app"].iter().for_each(|name| place.module(name).wait_trap());
    let begin = Instant::now();
    place.module("db").send("d");
    wait_for_state(&place, "db", "down");
    assert!(begin.elapsed() >= Duration::from_millis(1400), "three times half a second: {:?}", begin.elapsed());
    place.module("db").send("u");
    wait_for_state(&place, "app", "up");
    assert!(tree.stop().success());
}

#[test]
fn one_who_comes_back_before_the_stop_is_complete_is_back() {
    let place = Place::new();
    let _tree = chain(&place);
    let db = place.module("db").pid();
    place.module("db").send("du");
    // Whatever of it was done, all are up again, and in order.
    wait_for("all to be up again", &place, || {
        let story = told(&place);
        story.iter().filter(|word| word.starts_with('+')).count() - 3
            == story.iter().filter(|word| word.starts_with('-')).count()
            && ["db", "web", "app"].iter().all(|name| place.module(name).state_name() == "ready")
            && place.module("db").pid() != db
    });
    wait_told(&place, BACK);
}

#[test]
fn two_ends_of_a_chain_may_be_stopped_at_once() {
    let place = Place::new();
    let _tree = chain(&place);
    place.module("app").send("d");
    place.module("db").send("d");
    wait_told(&place, "+db +web +app -app -web -db");
    wait_for_state(&place, "app", "down");
    // It was told so itself, and stays.
    place.module("db").send("u");
    wait_told(&place, "+db +web +app -app -web -db +db +web");
    wait_for_state(&place, "web", "ready");
    wait_for_state(&place, "app", "down");
}

#[test]
fn one_without_a_time_limit_is_killed_by_a_second_request_to_end() {
    let place = Place::new();
    place.conf("[web]\nneeds : db\nkill_timeout : 0\n");
    place.run("db", RUNS);
    place.run("web", DEAF);
    let tree = place.tree();
    wait_for_state(&place, "web", "up");
    tree.signal("TERM");
    place.module("db").wait_text(&place, "supervise.log", "waiting: waits for the end of web");
    tree.signal("TERM");
    assert!(tree.wait().success());
}

/// The stops had begun, and those that need what is being stopped were not gone, when the tree was killed. There are some such
/// pairs, for the threads of the next tree begin in no order.
#[test]
fn a_stop_goes_on_in_order_after_the_tree_was_killed() {
    const PAIRS: usize = 12;
    let place = Place::new();
    let story = place.path().join("story").display().to_string();
    let mut conf = "[global]\nready : fd\nrestart_delay : 0.01\n".to_string();
    let slow = "trap 'sleep 1; echo -NAME >> STORY; exit 0' TERM; echo +NAME >> STORY; echo >&3; sleep 1000 & wait";
    for number in 0..PAIRS {
        conf += &format!("[web{number}]\nneeds : db{number}\n");
        teller(&place, &format!("db{number}"));
        place.run(&format!("web{number}"), &slow.replace("STORY", &story).replace("NAME", &format!("web{number}")));
    }
    place.conf(&conf);
    let killed = place.reaped_tree();
    wait_for("all", &place, || told(&place).len() == 2 * PAIRS);
    (0..PAIRS).for_each(|number| place.module(&format!("db{number}")).send("d"));
    for number in 0..PAIRS {
        place.module(&format!("db{number}")).wait_text(&place, "supervise.log", "waiting: waits for the end of");
    }
    killed.kill();
    let _tree = place.tree();
    for number in 0..PAIRS {
        wait_for_state(&place, &format!("db{number}"), "down");
        wait_reason(&place, &format!("web{number}"), &format!("needs db{number}, which is down"));
        let (told, find) = (told(&place), |word: String| move |told: &String| *told == word);
        let [web, db] = ["web", "db"].map(|name| told.iter().position(find(format!("-{name}{number}"))));
        assert!(web.is_some() && web < db, "{number}: {told:?}\n{}", place.story());
    }
}

/// Those that need it may be told to stop before their threads have begun. If nobody told them, it would take a minute.
#[test]
fn what_was_removed_while_no_tree_ran_stops_soon_and_in_order() {
    const PAIRS: usize = 12;
    let place = Place::new();
    let mut conf = "[global]\nready : fd\nrestart_delay : 0.01\n".to_string();
    for number in 0..PAIRS {
        conf += &format!("[web{number}]\nneeds : db{number}\n");
        teller(&place, &format!("db{number}"));
        teller(&place, &format!("web{number}"));
    }
    place.conf(&conf);
    let killed = place.reaped_tree();
    wait_for("all", &place, || told(&place).len() == 2 * PAIRS);
    killed.kill();
    for number in 0..PAIRS {
        std::fs::rename(place.root().join(format!("db{number}")), place.path().join(format!("db{number}"))).unwrap();
    }
    let tree = place.tree();
    for number in 0..PAIRS {
        wait_for("the end", &place, || told(&place).contains(&format!("-db{number}")));
        let (told, find) = (told(&place), |word: String| move |told: &String| *told == word);
        let [web, db] = ["web", "db"].map(|name| told.iter().position(find(format!("-{name}{number}"))));
        assert!(web.is_some() && web < db, "{number}: {told:?}\n{}", place.story());
    }
    assert!(tree.stop().success());
}

/// Only the directories themselves say who needs whom. The threads of the next tree begin in no order, and each reads its own
/// directory's file later than another one may be stopped.
fn named_by_directories(pairs: usize) -> (Place, Vec<(String, String)>) {
    let place = Place::new();
    place.conf("[global]\nready : fd\nrestart_delay : 0.01\n");
    let names: Vec<(String, String)> =
        (0..pairs).map(|number| (format!("web{number}"), format!("db{number}"))).collect();
    for (web, db) in &names {
        [web, db].iter().for_each(|name| teller(&place, name));
        own(&place, web, &format!("needs : {db}\n"));
    }
    {
        let killed = place.reaped_tree();
        wait_for("all", &place, || told(&place).len() == 2 * pairs);
        killed.kill();
    }
    (place, names)
}

fn all_stopped_in_order(place: &Place, names: &[(String, String)]) {
    for (web, db) in names {
        wait_for("the end", place, || told(place).contains(&format!("-{db}")));
        let told = told(place);
        let [web, db] = [web, db].map(|name| told.iter().position(|word| *word == format!("-{name}")));
        assert!(web.is_some() && web < db, "{told:?}\n{}", place.story());
    }
}

#[test]
fn the_end_of_a_tree_that_has_just_begun_is_in_the_order_of_directories() {
    let (place, names) = named_by_directories(12);
    let tree = place.tree();
    // Before its threads have begun.
    tree.signal("TERM");
    assert!(tree.wait().success());
    all_stopped_in_order(&place, &names);
}

#[test]
fn what_was_stopped_while_no_tree_ran_stops_in_the_order_of_directories() {
    let (place, names) = named_by_directories(12);
    for (_, db) in &names {
        std::fs::rename(place.root().join(db), place.path().join(db)).expect("moved");
    }
    let tree = place.tree();
    all_stopped_in_order(&place, &names);
    assert!(tree.stop().success());
}

#[test]
fn a_stop_says_whom_it_waits_for_and_is_right_about_it_to_the_end() {
    let place = Place::new();
    let names = ["a", "b", "c", "d", "e"];
    place.conf(&names.map(|name| format!("[{name}]\nneeds : db\nkill_timeout : 0\n")).concat());
    place.run("db", RUNS);
    for name in names {
        place.run(name, &format!("trap '' TERM; until [ -e ../../end-{name} ]; do sleep 0.02; done"));
    }
    let _tree = place.tree();
    names.iter().for_each(|name| wait_for_state(&place, name, "up"));
    let db = place.module("db");
    db.send("d");
    let says = |text: &str| wait_for(text, &place, || db.state()["reason"] == text);
    let end = |name: &str| std::fs::write(place.path().join(format!("end-{name}")), "").expect("a file");
    wait_for("the stop", &place, || {
        db.state()["reason"].as_str().is_some_and(|reason| reason.ends_with(" and 2 more"))
    });
    let told = said_by(&svctl(&place, &["-w", "1", "stop", "db"]));
    let why = db.state()["reason"].as_str().unwrap_or_default().to_string();
    assert!(told.contains(&format!("stopping (pid {}): {why}, still there after 1 s", db.pid())), "{told}");
    end("a");
    end("b");
    says("waits for the end of c, d and e");
    end("d");
    says("waits for the end of c and e");
    end("c");
    says("waits for the end of e");
    end("e");
    wait_for_state(&place, "db", "down");
    // One line, and not one for each of them.
    assert_eq!(db.log().matches("waits for the end").count(), 1, "{}", db.log());
}

#[test]
fn a_stop_takes_along_who_needs_it_whatever_it_was_doing() {
    let place = Place::new();
    place.conf(
        "[global]\nrestart_delay : 0\nalarm_interval : 6000\n[backoff]\nrestart_delay : 600\n[failed]\nmax_tries : 1\n\
         [ended]\nrestart : never\n[finishing]\nfinish_timeout : 60\nrestart_delay : 600\n[finished]\nrestart : on-failure\n",
    );
    let names = ["backoff", "failed", "ended", "finished", "finishing"];
    for name in names {
        let run = "until [ -e ../../go ]; do sleep 0.02; done; exit CODE";
        place.run(name, &run.replace("CODE", if name == "finished" { "0" } else { "1" }));
        place.run(&format!("of-{name}"), RUNS);
        own(&place, &format!("of-{name}"), &format!("needs : {name}\n"));
    }
    script(&place.root().join("finishing/finish"), "until [ -e ../../gone ]; do sleep 0.02; done");
    let _tree = place.tree();
    for name in names {
        wait_for_state(&place, &format!("of-{name}"), "up");
    }
    go(&place);
    for (name, state) in names.iter().zip(["backoff", "failed", "down", "done", "finishing"]) {
        wait_for_state(&place, name, state);
        wait_for_state(&place, &format!("of-{name}"), "up");
    }
    for name in names {
        place.module(name).send("d");
        if name == "finishing" {
            std::fs::write(place.path().join("gone"), "").expect("a file");
        }
        wait_for_state(&place, &format!("of-{name}"), "waiting");
    }
}
