//! `ready : fd`: a newline on a descriptor, as with s6.

use crate::common::*;
use crate::{A_WHILE, WAIT, go, is_not_ready, program, web};
use nix::fcntl::{FcntlArg, fcntl};

#[test]
fn the_newline_counts_and_nothing_before_it_or_after_it() {
    let (place, web) = web("ready : fd", &format!("printf before >&3; {WAIT}; printf '\\nafter' >&3; exec sleep 1000"));
    let _tree = place.tree();
    is_not_ready(&place, &web);
    go(&place);
    web.wait_state(&place, "ready");
    holds_for(A_WHILE, "ready", &place, || web.state_name() == "ready");
    web.wait_log(&place, "is ready after");
}

#[test]
fn the_descriptor_may_be_closed_once_the_newline_is_written() {
    let (place, web) = web("ready : fd 7", "echo >&7; exec 7>&-; exec sleep 1000");
    let _tree = place.tree();
    web.wait_state(&place, "ready");
    holds_for(A_WHILE, "ready", &place, || web.state_name() == "ready");
}

#[test]
fn who_closes_it_at_once_or_never_writes_is_stopped_after_ready_timeout() {
    for run in ["exec 3>&-; exec sleep 1000", SLEEP, "echo no newline | tr -d '\\n' >&3; exec sleep 1000"] {
        let (place, web) = web("ready : fd\nready_timeout : 0.3", run);
        let _tree = place.tree();
        wait_for("a restart", &place, || web.state()["restarts"].as_u64().unwrap_or(0) >= 2);
        web.wait_log(&place, "was not ready within 0.3 s: it is stopped, as a failure");
        assert!(!web.log().contains("is ready after"), "{run}: {}", web.log());
    }
}

#[test]
fn without_a_time_limit_who_never_writes_runs_on() {
    let (place, web) = web("ready : fd", "exec 3>&-; exec sleep 1000");
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    is_not_ready(&place, &web);
    assert_eq!(web.pid(), pid);
}

#[test]
fn the_file_notification_fd_names_the_descriptor() {
    let (place, web) = web("", &format!("{WAIT}; echo >&5; exec sleep 1000"));
    std::fs::write(place.root().join("web/notification-fd"), "5\n").expect("a file");
    let _tree = place.tree();
    is_not_ready(&place, &web);
    go(&place);
    web.wait_state(&place, "ready");
}

#[test]
fn one_that_is_input_output_or_error_is_refused() {
    for number in ["0", "1", "2", "256", "x"] {
        let (place, web) = web(&format!("ready : fd {number}"), "echo ready; exec sleep 1000");
        let _tree = place.tree();
        web.wait_up(&place);
        web.wait_state(&place, "up");
        let mut check = svctl_command();
        let checked = place.output({
            check.arg("-p").arg(place.status_root()).args(["config", "--check"]);
            check
        });
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(checked.status.code(), Some(1), "{text}");
        assert!(text.contains("supervise.conf:4: ready: "), "{text}");
    }
    let (place, web) = web("", "exec sleep 1000");
    std::fs::write(place.root().join("web/notification-fd"), "1\n").expect("a file");
    let _tree = place.tree();
    web.wait_up(&place);
    web.wait_text(&place, "supervise.log.wf", "notification-fd: descriptor 1 is input, output or error");
}

#[test]
fn what_is_left_of_an_earlier_run_process_makes_no_later_one_ready() {
    let (place, web) = web(
        "ready : fd\nkill_mode : process",
        &format!("[ -e second ] && exec sleep 1000; : > second; ({WAIT}; echo >&3; : > written) & sleep 0.2"),
    );
    let _tree = place.tree();
    wait_for("the second", &place, || web.state()["starts"] == 2);
    web.wait_up(&place);
    go(&place);
    let written = place.root().join("web/written");
    wait_for("the late newline", &place, || written.exists());
    is_not_ready(&place, &web);
}

/// `s6-notifyoncheck` runs a check, and writes the newline when that succeeds. It insists on `s6-supervise`: on a lock on
/// `supervise/lock`, which this test holds, and on the directory `event`.
#[test]
fn s6_notifyoncheck_tells_it_on_the_same_wire() {
    let (Some(notify), Some(mkfifodir)) = (program("s6-notifyoncheck"), program("s6-mkfifodir")) else {
        return host::skipped("there is no s6-notifyoncheck (Debian: s6)");
    };
    let run = format!("exec {} -d -n 0 -w 50 -c 'test -e ../../go' sleep 1000", notify.display());
    let (place, web) = web("", &run);
    let dir = place.root().join("web");
    std::fs::write(dir.join("notification-fd"), "3\n").expect("a file");
    std::fs::create_dir(dir.join("supervise")).expect("a directory");
    let made = std::process::Command::new(mkfifodir).arg(dir.join("event")).status();
    assert!(made.is_ok_and(|status| status.success()));
    let lock = std::fs::File::create(dir.join("supervise/lock")).expect("a file");
    let whole = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&lock, FcntlArg::F_SETLK(&whole)).expect("locked");
    let _tree = place.tree();
    is_not_ready(&place, &web);
    go(&place);
    web.wait_state(&place, "ready");
    assert_eq!(web.state()["starts"], 1, "{}", place.story());
}
