//! The services root: directories that come, go, change their names and their insides.

mod common;

use common::*;

const SLEEP: &str = "exec sleep 1000";

#[test]
fn services_start_with_the_tree_and_stop_with_it() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    assert!(tree.stop().success());
    assert!(!is_alive(pid));
    assert!(!place.module("web").is_supervised());
    assert_eq!(place.module("web").pid(), 0);
}

#[test]
fn a_directory_that_is_moved_in_starts_and_one_that_is_removed_stops() {
    let place = Place::new();
    let tree = place.tree();
    place.run("web", SLEEP);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    std::fs::remove_dir_all(place.root().join("web")).unwrap();
    wait_for("the service to end", &place, || !is_alive(pid) && !web.is_supervised());
    assert_eq!(web.state_name(), "down");
    assert!(tree.stop().success());
}
