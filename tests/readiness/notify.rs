//! `ready : notify`: sd_notify(3), told by systemd's own program, by Python's module, and by hand.

use crate::common::*;
use crate::{WAIT, go, is_not_ready, program, web};
use std::os::unix::net::UnixDatagram;

/// Says this to the service's socket.
pub fn say(place: &Place, text: &[u8]) {
    let socket = UnixDatagram::unbound().expect("a socket");
    // The kernel keeps few: wait until there is room.
    socket.send_to(text, place.status_root().join(".notify/web")).expect("sent");
}

#[test]
fn systemd_notify_makes_ready_and_tells_how_it_goes() {
    if program("systemd-notify").is_none() {
        return host::skipped("there is no systemd-notify (Debian: systemd)");
    }
    let run = format!(
        "systemd-notify --status='opening the store'; {WAIT}
        systemd-notify --ready --status='all is well'; exec sleep 1000"
    );
    let (place, web) = web("ready : notify", &run);
    let _tree = place.tree();
    wait_for("its status", &place, || web.state()["status"] == "opening the store");
    is_not_ready(&place, &web);
    go(&place);
    web.wait_state(&place, "ready");
    wait_for("its status", &place, || web.state()["status"] == "all is well");
    assert_eq!(web.state()["starts"], 1, "{}", place.story());
}

#[test]
fn pythons_sdnotify_makes_ready() {
    let has_it = std::process::Command::new("python3").args(["-c", "import sdnotify"]).output();
    if !has_it.is_ok_and(|output| output.status.success()) {
        return host::skipped("there is no module sdnotify for python3 (pip install sdnotify)");
    }
    let run = format!(
        "{WAIT}; exec python3 -c 'import sdnotify, time
n = sdnotify.SystemdNotifier(debug=True)
n.notify(\"READY=1\\nSTATUS=serving\")
while True:
    time.sleep(0.1)
    n.notify(\"WATCHDOG=1\")'"
    );
    let (place, web) = web("ready : notify\nwatchdog : 5", &run);
    let _tree = place.tree();
    is_not_ready(&place, &web);
    go(&place);
    web.wait_state(&place, "ready");
    assert_eq!(web.state()["status"], "serving", "{}", place.story());
}

#[test]
fn what_it_says_is_shown_and_followed() {
    let (place, web) = web("ready : notify", SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    say(&place, b"READY=1\nX_OWN=whatever\nFDSTORE=1");
    web.wait_state(&place, "ready");
    say(&place, b"RELOADING=1\nMONOTONIC_USEC=1");
    web.wait_state(&place, "reloading");
    say(&place, b"READY=1\nSTATUS=\x1b[31mred");
    web.wait_state(&place, "ready");
    wait_for("its status", &place, || web.state()["status"] == " [31mred");
    say(&place, b"ERRNO=28");
    web.wait_text(&place, "supervise.log", "the service says: No space left on device");
    say(&place, b"STOPPING=1");
    web.wait_text(&place, "supervise.log", "says that it is going to end");
    // Nobody is to start on it any more.
    web.wait_state(&place, "up");
    assert_eq!(web.pid(), pid);
}

#[test]
fn who_asks_for_more_time_gets_it() {
    let (place, web) = web("ready : notify\nready_timeout : 0.5", SLEEP);
    let _tree = place.tree();
    web.wait_up(&place);
    say(&place, b"EXTEND_TIMEOUT_USEC=60000000");
    is_not_ready(&place, &web);
    is_not_ready(&place, &web);
    say(&place, b"READY=1");
    web.wait_state(&place, "ready");
    assert_eq!(web.state()["starts"], 1, "{}", place.story());
}

#[test]
fn another_process_is_not_taken_for_the_service() {
    let (place, web) = web("ready : notify", SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    let stranger = std::process::id();
    say(&place, format!("MAINPID={stranger}\nREADY=1").as_bytes());
    web.wait_state(&place, "ready");
    web.wait_text(&place, "supervise.log.wf", &format!("MAINPID={stranger} is ignored"));
    web.send("d");
    web.wait_state(&place, "down");
    assert!(!is_alive(pid));
}

#[test]
fn one_whose_socket_cannot_be_made_says_so_for_as_long_as_it_is_not_ready() {
    let place = Place::new();
    let name = "x".repeat(120);
    place.conf(&format!("[{name}]\nready : notify\n"));
    place.run(&name, SLEEP);
    let _tree = place.tree();
    let module = place.module(&name);
    module.wait_up(&place);
    let why = "the path is too long for a socket";
    wait_for("the reason", &place, || module.state()["reason"].as_str().is_some_and(|reason| reason.ends_with(why)));
    let told = said_by(&place.svctl(&["check", &name]));
    assert!(told.contains("not ready; it cannot tell that it is ready: ") && told.contains(why), "{told}");
}

/// Says READY=1 to the socket of its service, once the file `go` is there.
const LATE: &str = "exec python3 -c '
import os, socket, time
while not os.path.exists(\"../../go\"): time.sleep(0.02)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b\"READY=1\\nSTATUS=late\", os.environ[\"NOTIFY_SOCKET\"])'";

#[test]
fn what_an_earlier_run_has_left_behind_does_not_speak_for_this_one() {
    if program("python3").is_none() {
        return host::skipped("there is no python3");
    }
    let (place, web) = web("ready : notify", "test -e second && exec sleep 1000; : > second; setsid ./late & exit 1");
    script(&place.root().join("web/late"), LATE);
    let _tree = place.tree();
    wait_for("the second run", &place, || web.state()["starts"] == 2 && web.state_name() == "up");
    go(&place);
    web.wait_text(&place, "supervise.log.wf", "so it is left over by an earlier run");
    is_not_ready(&place, &web);
    assert!(web.state()["status"].is_null(), "{}", place.story());
    say(&place, b"READY=1");
    web.wait_state(&place, "ready");
}
