//! `check_interval` and `unhealthy`.

use crate::common::*;
use crate::web;
use std::time::Duration;

const LOOKS: &str =
    "check : sh -c 'echo looked; echo >> ../../looks; test -e ../../go'\ncheck_interval : 0.1\ncheck_failures : 2";

fn go(place: &Place) {
    std::fs::write(place.path().join("go"), "").expect("a file");
}

fn fail(place: &Place) {
    std::fs::remove_file(place.path().join("go")).expect("it is there");
}

#[test]
fn who_is_unhealthy_is_restarted_and_that_is_a_failure() {
    let (place, web) = web(&format!("{LOOKS}\nmax_tries : 1\nalarm_interval : 60"), SLEEP);
    let _tree = place.tree();
    go(&place);
    web.wait_state(&place, "ready");
    let pid = web.pid();
    fail(&place);
    web.wait_new_pid(&place, pid);
    let told = "is unhealthy: 2 checks in a row have failed; it is stopped, as a failure";
    web.wait_log(&place, &format!("pid {pid} {told}"));
    web.wait_log(&place, &format!("stopping pid {pid}: TERM sent"));
    assert!(!is_alive(pid));
    // Until it is ready, failures do not count.
    holds_for(Duration::from_millis(700), "up, not ready", &place, || web.state_name() == "up");
    go(&place);
    web.wait_state(&place, "ready");
    fail(&place);
    web.wait_state(&place, "failed");
    assert_eq!(web.state()["reason"], "gave up after 1 restart", "{}", place.story());
}

#[test]
fn an_alarm_tells_of_it_once_and_it_runs_on() {
    let place = Place::new();
    let alarms = place.path().join("alarms");
    let tell = place.path().join("tell");
    script(&tell, &format!("echo \"$ALARM_MODULE $ALARM_REASON\" >> {}", alarms.display()));
    place.conf(&format!("[web]\n{LOOKS}\nunhealthy : alarm\nalarm_command : {}\n", tell.display()));
    place.run("web", SLEEP);
    let web = place.module("web");
    let _tree = place.tree();
    let told = || std::fs::read_to_string(&alarms).unwrap_or_default();
    let pid = web.wait_up(&place);
    for times in 1..3 {
        go(&place);
        web.wait_state(&place, "ready");
        assert_eq!(web.state()["health"], "ok", "{}", place.story());
        fail(&place);
        web.wait_state(&place, "unhealthy");
        wait_for("the alarm", &place, || told().lines().count() >= times);
        let looks = || std::fs::metadata(place.path().join("looks")).map_or(0, |looks| looks.len());
        let before = looks();
        wait_for("more looks", &place, || looks() > before + 3);
        assert_eq!(told().lines().count(), times, "{}", told());
    }
    assert_eq!(web.pid(), pid);
    assert!(told().starts_with("web "), "{}", told());
}

#[test]
fn it_may_be_shown_and_no_more() {
    let (place, web) = web(&format!("{LOOKS}\nunhealthy : ignore"), SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    assert_eq!(web.state()["ready"], false, "{}", place.story());
    go(&place);
    web.wait_state(&place, "ready");
    fail(&place);
    web.wait_state(&place, "unhealthy");
    assert_eq!(web.state()["health"], "failing");
    go(&place);
    web.wait_state(&place, "ready");
    assert_eq!((web.pid(), web.state()["check"].as_str()), (pid, Some("looked")));
    web.wait_log(&place, &format!("pid {pid} is ready and well again"));
}

#[test]
fn a_look_that_takes_too_long_has_failed() {
    let settings = "ready : start\ncheck : sh -c 'test -e ../../go || sleep 1000'\ncheck_interval : 0.1\ncheck_failures : 1\ncheck_timeout : 0.2\nunhealthy : ignore";
    let (place, web) = web(settings, SLEEP);
    go(&place);
    let _tree = place.tree();
    web.wait_up(&place);
    holds_for(Duration::from_millis(600), "well", &place, || web.state_name() != "unhealthy");
    fail(&place);
    web.wait_state(&place, "unhealthy");
    go(&place);
    wait_for("well again", &place, || web.state_name() != "unhealthy");
}

#[test]
fn health_outlives_the_tree() {
    let (place, web) = web(&format!("{LOOKS}\nunhealthy : ignore"), SLEEP);
    let killed = place.reaped_tree();
    go(&place);
    web.wait_state(&place, "ready");
    let pid = web.pid();
    fail(&place);
    web.wait_state(&place, "unhealthy");
    killed.kill();
    let tree = place.tree();
    wait_for("it to be adopted", &place, || web.state()["supervisor_pid"] == tree.pid());
    assert_eq!(web.state_name(), "unhealthy", "{}", place.story());
    go(&place);
    web.wait_state(&place, "ready");
    assert_eq!(web.pid(), pid);
}

#[test]
fn other_settings_hold_for_who_runs() {
    let (place, web) = web(&format!("{LOOKS}\nunhealthy : ignore"), SLEEP);
    let tree = place.tree();
    go(&place);
    web.wait_state(&place, "ready");
    let pid = web.pid();
    // Nobody looks any more.
    place.conf("[web]\nready : start\n");
    tree.signal("HUP");
    place.wait_told("looking at everything again");
    fail(&place);
    let looks = || std::fs::metadata(place.path().join("looks")).map_or(0, |looks| looks.len());
    wait_for("the last look", &place, || {
        let before = looks();
        std::thread::sleep(Duration::from_millis(400));
        looks() == before
    });
    assert_eq!((web.pid(), web.state_name() != "unhealthy"), (pid, true));
    place.conf(&format!("[web]\n{LOOKS}\nunhealthy : ignore\n"));
    tree.signal("HUP");
    web.wait_state(&place, "unhealthy");
}
