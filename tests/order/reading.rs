//! Relations that come with a later reading of the files: they count from then on, wherever they stand.

use crate::common::*;
use crate::{RUNS, own, svctl, wait_for_state, wait_reason};

#[test]
fn tags_of_a_directory_count_also_where_the_order_begins_later() {
    let place = Place::new();
    place.service("db", &[("run", RUNS)]);
    own(&place, "db", "tags : store\n");
    let _tree = place.tree();
    wait_for_state(&place, "db", "up");
    place.service("web", &[("run", RUNS)]);
    place.service("api", &[("run", RUNS), ("supervise.conf", "needs : @store\n")]);
    wait_for_state(&place, "api", "up");
    own(&place, "web", "needs : @store\n");
    assert!(svctl(&place, &["restart", "web"]).status.success(), "{}", place.story());
    assert!(svctl(&place, &["stop", "db"]).status.success(), "{}", place.story());
    wait_reason(&place, "web", "needs db, which is down");
    wait_reason(&place, "api", "needs db, which is down");
}

#[test]
fn what_one_module_reads_again_counts_for_it() {
    for ordered in ["", "[other]\nneeds : db\n"] {
        let place = Place::new();
        place.conf(ordered);
        ["db", "web", "other"].map(|name| place.run(name, RUNS)).to_vec();
        let _tree = place.tree();
        ["db", "web", "other"].iter().for_each(|name| wait_for_state(&place, name, "up"));
        place.conf(&format!("{ordered}[web]\nneeds : db\n"));
        assert!(svctl(&place, &["reload", "web"]).status.success(), "{}", place.story());
        assert!(svctl(&place, &["stop", "db"]).status.success(), "{}", place.story());
        wait_reason(&place, "web", "needs db, which is down");
        wait_for_state(&place, "other", if ordered.is_empty() { "up" } else { "waiting" });
    }
}

#[test]
fn what_a_directory_says_by_now_counts_for_its_next_start() {
    for ordered in ["", "[other]\nneeds : db\n"] {
        let place = Place::new();
        place.conf(ordered);
        ["db", "web"].map(|name| place.run(name, RUNS)).to_vec();
        let _tree = place.tree();
        ["db", "web"].iter().for_each(|name| wait_for_state(&place, name, "up"));
        assert!(svctl(&place, &["stop", "db"]).status.success(), "{}", place.story());
        own(&place, "web", "needs : db\n");
        place.module("web").send("du");
        wait_reason(&place, "web", "needs db, which is down");
        place.module("db").send("u");
        wait_for_state(&place, "web", "up");
    }
}
