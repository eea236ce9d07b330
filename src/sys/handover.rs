//! Replacing the program by a newer one without letting go of anything: descriptors that stay open over `execve`.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Says whether a descriptor stays open when the program is replaced. Children that are started meanwhile do not
/// get it in any case: they close everything. Returns the number under which the next program finds it.
///
/// # Errors
/// None for a descriptor that is open.
pub fn keep_open(descriptor: impl AsFd, keep: bool) -> Result<RawFd, Errno> {
    let flags = if keep { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(&descriptor, FcntlArg::F_SETFD(flags))?;
    Ok(descriptor.as_fd().as_raw_fd())
}

/// Takes over a descriptor that the program before us has left open under this number.
///
/// # Errors
/// `EBADF` if there is none.
pub fn receive(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: fcntl takes integers, and says whether the number is open.
    Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if number <= 2 {
        return Err(Errno::EBADF);
    }
    // SAFETY: it is open, and the program before us has left it to us alone, once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    keep_open(&descriptor, false)?;
    Ok(descriptor)
}

/// A file without a name that holds `text`, and stays open when the program is replaced.
///
/// # Errors
/// What `memfd_create` and `write` give.
pub fn letter(text: &[u8]) -> io::Result<File> {
    let file = crate::sys::files::file::in_memory(c"handover", text)?;
    keep_open(&file, true)?;
    Ok(file)
}

/// Reads the letter under this number.
///
/// # Errors
/// `EBADF`, or what `read` gives.
pub fn read_letter(number: RawFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(receive(number)?);
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Replaces the program by the one at `path`. The pid, the children and the kept descriptors stay.
///
/// # Errors
/// The errno of `execve`; all is as before.
pub fn replace_program(path: &Path, arguments: &[OsString]) -> Result<Infallible, Errno> {
    let c_string = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| Errno::EINVAL);
    let path = c_string(path.as_os_str())?;
    let arguments: Vec<CString> = arguments.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
    let variable = |(name, value): (OsString, OsString)| {
        let mut text = name.into_vec();
        text.push(b'=');
        text.extend(value.into_vec());
        c_string(&OsString::from_vec(text))
    };
    let environment: Vec<CString> = std::env::vars_os().map(variable).collect::<Result<_, _>>()?;
    nix::unistd::execve(&path, &arguments, &environment)
}
