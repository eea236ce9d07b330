//! Datagrams that nobody should send.

use crate::common::*;
use crate::notify::say;
use crate::{A_WHILE, is_not_ready, web};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Command;

#[test]
fn an_empty_a_huge_and_a_senseless_one_say_nothing() {
    let (place, web) = web("ready : notify", SLEEP);
    let _tree = place.tree();
    web.wait_up(&place);
    let mut huge = b"READY=1\n".to_vec();
    huge.resize(64 * 1024, b'\n');
    for text in [b"".as_slice(), &huge, b"\n\n\n", b"READY=2", b"ready=1", b"\xff\xfe\0READY=1", &[0; 4096]] {
        say(&place, text);
    }
    is_not_ready(&place, &web);
    say(&place, b"READY=1");
    web.wait_state(&place, "ready");
    web.wait_log(&place, "is ready");
    assert_eq!(web.log().matches('\n').count(), 2, "started, and ready: {}", web.log());
}

#[test]
fn a_flood_keeps_nobody_from_being_stopped() {
    let (place, web) = web("ready : notify", SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    let (socket, path) = (UnixDatagram::unbound().expect("a socket"), place.status_root().join(".notify/web"));
    socket.set_nonblocking(true).expect("not blocking");
    web.send("d");
    wait_for("its end", &place, || {
        (0..1000).for_each(|number| {
            let _ = socket.send_to(format!("STATUS={number}").as_bytes(), &path);
        });
        !is_alive(pid)
    });
    web.wait_state(&place, "down");
}

#[test]
fn descriptors_that_come_along_are_closed() {
    let (place, web) = web("ready : notify", SLEEP);
    let tree = place.tree();
    web.wait_up(&place);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", tree.pid())).expect("its descriptors").count();
    let before = open();
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.connect(place.status_root().join(".notify/web")).expect("connected");
    let null = std::fs::File::open("/dev/null").expect("opened");
    // As many as the kernel passes.
    let many = [null.as_raw_fd(); 253];
    for text in [b"FDSTORE=1".as_slice(), b"BARRIER=1"] {
        send_with(&socket, text, &many);
    }
    // `systemd-notify` waits for this: the other end of its pipe is closed when all before it was read.
    let (mine, theirs) = std::io::pipe().expect("a pipe");
    send_with(&socket, b"BARRIER=1", &[theirs.as_raw_fd()]);
    drop(theirs);
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut &mine, &mut rest).expect("closed");
    wait_for("them to be closed", &place, || open() <= before);
    say(&place, b"READY=1");
    web.wait_state(&place, "ready");
}

#[test]
fn another_user_says_nothing() {
    if !nix::unistd::geteuid().is_root() {
        return host::skipped("only root can be another user");
    }
    let (place, web) = web("ready : notify", SLEEP);
    // Others may reach the socket, but have no say.
    for dir in [place.path(), &place.status_root()] {
        std::fs::create_dir_all(dir).expect("a directory");
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("opened");
    }
    let _tree = place.tree();
    web.wait_up(&place);
    let said = Command::new("python3")
        .args([
            "-c",
            "import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', sys.argv[1])",
        ])
        .arg(place.status_root().join(".notify/web"))
        .uid(65534)
        .gid(65534)
        .output();
    match said {
        Ok(said) if said.status.success() => {}
        said => return host::skipped(&format!("python3 as nobody: {said:?}")),
    }
    holds_for(A_WHILE, "not ready", &place, || web.state_name() == "up");
    say(&place, b"READY=1");
    web.wait_state(&place, "ready");
}

/// Sends a datagram, and descriptors with it.
fn send_with(socket: &UnixDatagram, text: &[u8], descriptors: &[RawFd]) {
    let mut control = [0_u64; 256];
    let size = size_of_val(descriptors) as u32;
    let mut part = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
    // SAFETY: all zero is a valid header; it points to memory that lives through the call, and the one control message, as
    // large as the kernel's macros say, fits into the room for it.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
        std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), libc::CMSG_DATA(header), size as usize);
        assert!(libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) > 0, "{}", std::io::Error::last_os_error());
    }
}
