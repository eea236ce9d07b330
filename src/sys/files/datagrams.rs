//! A socket in the file system that receives datagrams, each with the user and process that sent it.

use crate::sys::files::file;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The kernel passes at most this many descriptors in one datagram (`SCM_MAX_FD`).
const DESCRIPTORS_MAX: usize = 253;

/// Room for what comes beside a datagram: the sender, and as many descriptors as there can be.
const CONTROL_SIZE: usize = 64 + size_of::<libc::ucred>() + DESCRIPTORS_MAX * size_of::<libc::c_int>();

/// Such a socket.
#[derive(Debug)]
pub struct Datagrams {
    socket: OwnedFd,
    path: PathBuf,
}

/// Who sent a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its process.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// What was received.
#[derive(Debug)]
pub struct Received {
    /// How many bytes there were room for, and are in it.
    pub length: usize,
    /// Whether there were more.
    pub is_cut: bool,
    /// Who sent it, as the kernel says.
    pub sender: Option<Sender>,
    /// Descriptors that came with it. Dropped, they are closed.
    pub descriptors: Vec<OwnedFd>,
}

/// Room for control messages, aligned as the kernel's headers are.
#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL_SIZE]);

impl Datagrams {
    /// Makes a socket at `path`, into which everybody may write who can reach it; what was there is replaced in one step, so
    /// that a writer finds either the old one or this one.
    ///
    /// # Errors
    /// `InvalidInput` for a path that is too long for a socket (107 bytes), and what `socket`, `bind` and `rename` give.
    pub fn bind(path: &Path) -> io::Result<Datagrams> {
        let mut new = path.as_os_str().to_owned();
        new.push("~");
        let new = PathBuf::from(new);
        address(path)?;
        let (address, length) = address(&new)?;
        // SAFETY: takes three integers.
        let socket =
            unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was opened just now, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let yes: libc::c_int = 1;
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the option's value lives through the call, and has the size that is given.
        let set = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, (&raw const yes).cast(), size)
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        let _ = std::fs::remove_file(&new);
        // SAFETY: the address lives through the call, and `length` bytes of it are filled in.
        if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o666))?;
        std::fs::rename(&new, path)?;
        Ok(Datagrams { socket, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes one datagram, if there is one. Nothing waits.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, and what `recvmsg` gives.
    pub fn receive(&self, room: &mut [u8]) -> io::Result<Received> {
        let mut control = Control([MaybeUninit::uninit(); CONTROL_SIZE]);
        let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: all zero is a valid, empty message header.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_SIZE;
        // SAFETY: the header points to memory of ours that lives through the call, with its true sizes.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
        let (sender, descriptors) = beside(&message);
        let is_cut = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
        Ok(Received { length: length.min(room.len()), is_cut, sender, descriptors })
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: all zero is a valid address.
    let mut address: libc::sockaddr_un = unsafe { MaybeUninit::zeroed().assume_init() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let name = file::c_path(path)?;
    let name = name.as_bytes_with_nul();
    if name.len() > address.sun_path.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is too long for a socket"));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(name) {
        *place = *byte as libc::c_char;
    }
    Ok((address, (size_of::<libc::sa_family_t>() + name.len()) as libc::socklen_t))
}

/// What came beside a datagram.
fn beside(message: &libc::msghdr) -> (Option<Sender>, Vec<OwnedFd>) {
    let (mut sender, mut descriptors) = (None, Vec::new());
    // SAFETY: the kernel has filled the header's control messages in; the macros' rules keep us within them, and what is read
    // may lie unaligned.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = at.as_ref() {
            let data = libc::CMSG_DATA(at);
            let length = header.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            match (header.cmsg_level, header.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                    let found = data.cast::<libc::ucred>().read_unaligned();
                    sender = Some(Sender { pid: found.pid, uid: found.uid });
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for number in 0..length / size_of::<libc::c_int>() {
                        let descriptor = data.cast::<libc::c_int>().add(number).read_unaligned();
                        descriptors.push(OwnedFd::from_raw_fd(descriptor));
                    }
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(message, at);
        }
    }
    (sender, descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn open() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn a_datagram_comes_with_its_sender_and_a_new_socket_takes_the_place_of_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web");
        let old = Datagrams::bind(&path).unwrap();
        let socket = Datagrams::bind(&path).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"READY=1", &path).unwrap();
        client.send_to(b"", &path).unwrap();
        let mut room = [0; 16];
        assert_eq!(old.receive(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let received = socket.receive(&mut room).unwrap();
        assert_eq!(&room[..received.length], b"READY=1");
        let us = Sender { pid: std::process::id() as i32, uid: nix::unistd::getuid().as_raw() };
        assert_eq!(received.sender, Some(us));
        assert!(!received.is_cut);
        assert_eq!(socket.receive(&mut room).unwrap().length, 0);
        client.send_to(&[b'x'; 1000], &path).unwrap();
        assert!(socket.receive(&mut room).unwrap().is_cut);
        assert_eq!(socket.receive(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    }

    #[test]
    fn a_path_that_is_too_long_is_said_to_be() {
        let error = Datagrams::bind(Path::new(&format!("/tmp/{}", "x".repeat(110)))).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn descriptors_come_along_and_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web");
        let socket = Datagrams::bind(&path).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.connect(&path).unwrap();
        let sent = DESCRIPTORS_MAX;
        send_descriptors(&client, b"FDSTORE=1", &vec![0; sent]);
        let mut room = [0; 64];
        let received = socket.receive(&mut room).unwrap();
        assert_eq!((received.descriptors.len(), received.is_cut), (sent, false));
        assert!(received.sender.is_some());
        let first = received.descriptors[0].as_raw_fd();
        assert!(open() > sent);
        drop(received);
        // Another test may have opened one under the same number since, but not one of these.
        let _ = first;
    }

    fn send_descriptors(client: &UnixDatagram, text: &[u8], descriptors: &[libc::c_int]) {
        let mut control = Control([MaybeUninit::uninit(); CONTROL_SIZE]);
        let mut part = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
        // SAFETY: as in `Datagrams::receive`; the one control message has room for all descriptors.
        unsafe {
            let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            let size = std::mem::size_of_val(descriptors) as u32;
            message.msg_controllen = libc::CMSG_SPACE(size) as usize;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
            let data = libc::CMSG_DATA(header).cast::<libc::c_int>();
            descriptors.iter().enumerate().for_each(|(at, one)| data.add(at).write_unaligned(*one));
            assert!(libc::sendmsg(client.as_raw_fd(), &raw const message, 0) > 0);
        }
    }
}
