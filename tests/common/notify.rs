//! Saying something over a service's notification socket.

use super::Place;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Says this to the socket of `web`, by a process of its own: one that is older than the service has no say. `waits`: until
/// there is room, for the kernel keeps few.
///
/// # Errors
/// Nobody listens, or there is no room.
pub fn say(place: &Place, text: &[u8], waits: bool) -> std::io::Result<()> {
    let path = place.status_root().join(".notify/web");
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(!waits)?;
    let text = text.to_owned();
    let mut sender = Command::new("true");
    // SAFETY: between fork and exec, one system call is made, with an address that is made on the stack.
    unsafe { sender.pre_exec(move || socket.send_to(&text, &path).map(drop)) };
    sender.status().map(drop)
}
