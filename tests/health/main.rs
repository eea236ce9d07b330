//! Whether a service is well: looks at it, and what it says of itself, and what follows when it is not.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod checks;
mod paused;
mod standstill;
mod watchdog;

use common::*;
use std::os::unix::net::UnixDatagram;

/// A place with one service `web`, whose settings and `run` are these.
fn web(settings: &str, run: &str) -> (Place, Module) {
    let place = Place::new();
    place.conf(&format!("[global]\nrestart_delay : 0.05\n[web]\n{settings}\n"));
    place.run("web", run);
    let web = place.module("web");
    (place, web)
}

/// Says this to the service's socket, if somebody listens and there is room.
fn say(place: &Place, text: &str) {
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.set_nonblocking(true).expect("not blocking");
    let _ = socket.send_to(text.as_bytes(), place.status_root().join(".notify/web"));
}
