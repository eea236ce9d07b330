//! `check`: a file, words, a socket and a URL; and checks that misbehave.

use crate::common::*;
use crate::{WAIT, go, is_not_ready, web};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn a_file_looks_until_it_succeeds_and_then_no_more() {
    let (place, web) = web("ready : check", SLEEP);
    script(&place.root().join("web/check"), "echo >> ../../looks; echo looked; echo again >&2; test -e ../../go");
    let _tree = place.tree();
    is_not_ready(&place, &web);
    wait_for("what the check says", &place, || web.state()["check"] == "again");
    go(&place);
    web.wait_state(&place, "ready");
    let looks = || std::fs::metadata(place.path().join("looks")).map_or(0, |looks| looks.len());
    let before = looks();
    assert!(before >= 2);
    holds_for(Duration::from_millis(1200), "no more looks", &place, || looks() == before);
}

#[test]
fn words_are_a_program_with_arguments() {
    let (place, web) = web("check : sh -c 'echo \"$1\"; test -e ../../go' sh 'two words'", SLEEP);
    let _tree = place.tree();
    is_not_ready(&place, &web);
    wait_for("what the check says", &place, || web.state()["check"] == "two words");
    go(&place);
    web.wait_state(&place, "ready");
}

#[test]
fn somebody_who_accepts_connections_makes_ready() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let (place, web) = web(&format!("check : tcp 127.0.0.1:{port}"), SLEEP);
    let _tree = place.tree();
    is_not_ready(&place, &web);
    let said = web.state()["check"].as_str().unwrap_or_default().to_string();
    assert!(said.contains("Connection refused"), "{said}");
    let _listener = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    web.wait_state(&place, "ready");
}

#[test]
fn a_socket_in_the_file_system_does_so_too() {
    let socket = tempfile::tempdir().expect("a directory");
    let path = socket.path().join("web.sock");
    let (place, web) = web(&format!("check : tcp {}", path.display()), SLEEP);
    let _tree = place.tree();
    is_not_ready(&place, &web);
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    web.wait_state(&place, "ready");
}

#[test]
fn a_url_has_to_answer_with_success() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (place, web) = web(&format!("check : http http://{address}/health"), SLEEP);
    let told = place.path().join("go");
    // Detached: it ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let status = if told.exists() { "204 No Content" } else { "503 Busy" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\n\r\n");
        }
    });
    let _tree = place.tree();
    is_not_ready(&place, &web);
    let said = web.state()["check"].as_str().unwrap_or_default().to_string();
    assert!(said.ends_with("status 503"), "{said}");
    go(&place);
    web.wait_state(&place, "ready");
}

#[test]
fn one_that_is_missing_is_told_once_and_tried_again() {
    let (place, web) = web("check : ./look", SLEEP);
    let _tree = place.tree();
    is_not_ready(&place, &web);
    web.wait_text(&place, "supervise.log.wf", "check could not be run: ");
    is_not_ready(&place, &web);
    assert_eq!(web.text("supervise.log.wf").matches("check could not be run").count(), 1, "{}", web.log());
    // Whoever asks why it is not ready is told.
    let why = format!("could not be run: there is no {}", place.root().join("web/look").display());
    assert_eq!(web.state()["check"], why, "{}", place.story());
    let told = said_by(&place.svctl(&["check", "web"]));
    assert!(told.contains(&format!("not ready; its check says: {why}")), "{told}");
    let staged = place.path().join("look");
    script(&staged, "exit 0");
    std::fs::rename(staged, place.root().join("web/look")).expect("moved");
    web.wait_state(&place, "ready");
}

#[test]
fn ready_by_a_check_that_there_is_not_is_ready_when_it_runs() {
    let (place, web) = web("ready : check", SLEEP);
    let _tree = place.tree();
    web.wait_text(&place, "supervise.log.wf", "there is no check: it is ready when it runs");
    web.wait_state(&place, "up");
}

#[test]
fn an_interval_without_a_check_is_told_unless_all_inherit_it() {
    let (place, web) = web("check_interval : 7", SLEEP);
    place.conf("[global]\ncheck_interval : 5\n[web]\ncheck_interval : 7\n");
    place.run("db", SLEEP);
    let db = place.module("db");
    let _tree = place.tree();
    web.wait_text(&place, "supervise.log.wf", "check_interval, and there is no check: it is never looked at");
    db.wait_state(&place, "up");
    assert!(!db.log().contains("check_interval"), "{}", db.log());
}

#[test]
fn one_that_hangs_is_killed_with_all_that_it_has_started() {
    let (place, web) = web(
        "check : sh -c 'sleep 1000 & echo $! >> ../../pids; echo $$ >> ../../pids; wait'\ncheck_timeout : 0.2",
        SLEEP,
    );
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    let pids = || -> Vec<u32> {
        let text = std::fs::read_to_string(place.path().join("pids")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    wait_for("some looks", &place, || pids().len() >= 6);
    let old = pids()[..4].to_vec();
    wait_for("their end", &place, || !old.iter().any(|pid| is_alive(*pid)));
    // A stop does not wait for it.
    web.send("d");
    web.wait_state(&place, "down");
    wait_for("the end of all", &place, || !pids().iter().any(|pid| is_alive(*pid)));
    assert!(!is_alive(pid) && web.state()["starts"] == 1);
}

#[test]
fn one_that_forks_leaves_nothing_behind() {
    let (place, web) =
        web("check : sh -c '(echo $$ > ../../parent; sleep 1000) & echo $! > ../../left; exit 0'", SLEEP);
    let _tree = place.tree();
    web.wait_state(&place, "ready");
    let left = std::fs::read_to_string(place.path().join("left")).expect("written").trim().parse().expect("a pid");
    wait_for("its end", &place, || !is_alive(left));
}

#[test]
fn one_that_writes_a_gigabyte_needs_no_memory_and_its_last_line_is_kept() {
    let (place, web) = web(
        "check : sh -c 'dd if=/dev/zero bs=1M count=1024 2> /dev/null; echo; echo that is all'\ncheck_timeout : 60",
        SLEEP,
    );
    let tree = place.tree();
    let begin = Instant::now();
    while web.state_name() != "ready" && begin.elapsed() < 4 * DEADLINE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(web.state()["check"], "that is all", "{}", place.story());
    let peak: u64 = proc_status(tree.pid(), "VmHWM").trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < 64 * 1024, "{peak} kB after {:?}", begin.elapsed());
}

#[test]
fn a_check_that_takes_long_does_not_keep_commands_waiting() {
    let (place, web) = web(&format!("check : sh -c '{WAIT}'\ncheck_timeout : 60"), SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    let end = Instant::now() + Duration::from_secs(5);
    web.send("d");
    web.wait_state(&place, "down");
    assert!(!is_alive(pid) && Instant::now() < end);
}

#[test]
fn one_that_takes_too_long_is_told() {
    let (place, web) = web("check : sh -c 'echo asking; exec sleep 1000'\ncheck_timeout : 0.3", SLEEP);
    let _tree = place.tree();
    let told = "took longer than check_timeout (0.3 s): asking";
    wait_for("what became of it", &place, || web.state()["check"] == told);
    let said = said_by(&place.svctl(&["check", "web"]));
    assert!(said.contains(&format!("not ready; its check says: {told}")), "{said}");
}

#[test]
fn one_that_runs_ends_with_its_tree() {
    let (place, web) = web("check : sh -c 'echo $$ > ../../pid; exec sleep 1000'\ncheck_timeout : 1000", SLEEP);
    let killed = place.reaped_tree();
    let run = web.wait_up(&place);
    let pid = || -> Option<u32> { std::fs::read_to_string(place.path().join("pid")).ok()?.trim().parse().ok() };
    wait_for("a look", &place, || pid().is_some_and(is_alive));
    let check = pid().unwrap();
    killed.kill();
    wait_for("its end", &place, || !is_alive(check));
    assert!(is_alive(run));
}
