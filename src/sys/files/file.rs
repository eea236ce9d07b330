//! Opening files in directories that somebody else may have touched: never through a planted link, never
//! blocking on something that is not what it should be.

use crate::sys::files::file_id::FileInstance;
use crate::sys::threads::poll;
use crate::sys::time::Mono;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fstat};
use std::ffi::{CStr, CString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A file that somebody has a lease on is tried so often, and so long after each other: a lease lasts for one `write`.
const LEASE_TRIES: u32 = 200;
const LEASE_PAUSE: Duration = Duration::from_millis(1);

/// The mode bits that no file of ours has.
static FORBIDDEN_BITS: AtomicU32 = AtomicU32::new(0o022);

/// Notes the file mode creation mask, for files that are not made but used again.
pub fn note_umask(mask: u32) {
    FORBIDDEN_BITS.store(mask, Ordering::Relaxed);
}

/// Whether a file with this mode could have been made under the present file mode creation mask.
pub fn obeys_umask(metadata: &Metadata) -> bool {
    metadata.mode() & 0o777 & FORBIDDEN_BITS.load(Ordering::Relaxed) == 0
}

/// Whether nobody but root and us may write to the directory at `path`.
pub fn is_private(path: &Path) -> bool {
    let ours = nix::unistd::geteuid().as_raw();
    // An access list that lets others write shows in the group's bits.
    std::fs::metadata(path).is_ok_and(|dir| dir.mode() & 0o022 == 0 && (dir.uid() == 0 || dir.uid() == ours))
}

/// Opens whatever is at `path` for appending, following links: only for what an administrator has put there. Does not wait for
/// the reader of a FIFO.
///
/// # Errors
/// `ENXIO` for a FIFO that nobody reads, and what `open` gives.
pub fn append_other(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o644).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Opens a regular file for appending, making it with mode 0644, and gives its size in bytes.
///
/// # Errors
/// `ELOOP` for a symbolic link, `InvalidInput` for anything that is not a regular file, and what `open` gives.
pub fn append(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT;
    let file = open(path, flags, 0o644)?;
    let there = fstat(&file)?;
    if there.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(not_regular());
    }
    Ok((file, u64::try_from(there.st_size).unwrap_or(0)))
}

/// Opens a regular file for reading.
///
/// # Errors
/// As [`append`].
pub fn read(path: &Path) -> io::Result<File> {
    let mut tries_left = LEASE_TRIES;
    loop {
        match open(path, OFlag::O_RDONLY, 0).and_then(regular) {
            // It is being written over just now: see [`crate::sys::files::replace`].
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries_left > 0 => {
                tries_left -= 1;
                std::thread::sleep(LEASE_PAUSE);
            }
            opened => return opened.map(|(file, _)| file),
        }
    }
}

/// Reads a file of one record that the kernel makes when it is read, such as `/proc/PID/stat`: `room` bytes at once, and
/// more if it filled them. Such a file hands its record over whole, so that a short read is the end; the standard library
/// would ask for its length, its position and its end as well, and thousands of these files are read at once.
///
/// # Errors
/// What `open` and `read` give.
pub fn of_kernel(path: &str, room: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0; room.max(1)];
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]) {
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if length < bytes.len() {
            bytes.truncate(length);
            return Ok(bytes);
        }
        bytes.resize(2 * length, 0);
    }
}

/// Reads what an administrator has named: a file, a device, or a pipe (`<(...)`) whose writer gets `timeout` to come and to
/// end. Links are followed. At most `limit` bytes.
///
/// # Errors
/// `InvalidInput` for a directory or a socket, `TimedOut` for a pipe that nobody has ended, and what `open` and `read` give.
pub fn read_text(path: &Path, limit: u64, timeout: Duration) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = match inherited_pipe(path) {
        Some(pipe) => File::from(pipe.try_clone_to_owned()?),
        None => OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?,
    };
    let kind = file.metadata()?.file_type();
    match () {
        () if kind.is_file() => drop(file.take(limit).read_to_end(&mut bytes)?),
        () if kind.is_fifo() || kind.is_char_device() => read_stream(&file, limit, timeout, &mut bytes)?,
        () => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
    Ok(bytes)
}

/// A read only follows a poll, for a descriptor that was inherited may block.
fn read_stream(mut file: &File, limit: u64, timeout: Duration, bytes: &mut Vec<u8>) -> io::Result<()> {
    let deadline = Mono::now() + timeout;
    let mut room = [0; 4096];
    while (bytes.len() as u64) < limit {
        let [ready] = poll::wait([Some(poll::PollSource::Readable(file.as_fd()))], Some(deadline));
        if !ready {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody has written it to its end in time"));
        }
        match file.read(&mut room) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(room.get(..count).unwrap_or_default()),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The descriptor that `/dev/fd/N` means, if that is a pipe: to open it anew would be to forget whether its writer has gone.
fn inherited_pipe(path: &Path) -> Option<BorrowedFd<'static>> {
    let number = ["/dev/fd", "/proc/self/fd"].iter().find_map(|dir| path.strip_prefix(dir).ok())?;
    let number: i32 = number.to_str()?.parse().ok().filter(|number| *number >= 0)?;
    if !leads_to_fifo(path) {
        return None;
    }
    // SAFETY: it is open, as its entry was just seen, and nobody closes what this process has inherited and does not know.
    Some(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Opens (and makes, with `mode`) a regular file for reading and writing, and says which one it is.
///
/// # Errors
/// As [`append`].
pub fn read_write(path: &Path, mode: u32) -> io::Result<(File, FileInstance)> {
    let (file, metadata) = regular(open(path, OFlag::O_RDWR | OFlag::O_CREAT, mode)?)?;
    Ok((file, FileInstance::of(&metadata)))
}

/// Opens what is at `path`, whatever it is. The standard library puts the path together on the stack.
fn open(path: &Path, how: OFlag, mode: u32) -> io::Result<File> {
    let path = c_path(path)?;
    let how = how | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    loop {
        match nix::fcntl::open(&*path, how, Mode::from_bits_truncate(mode)) {
            Err(Errno::EINTR) => {}
            opened => return Ok(File::from(opened?)),
        }
    }
}

fn regular(file: File) -> io::Result<(File, Metadata)> {
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// The owner of `path`, or of the link that it is, who is neither root nor we.
///
/// # Errors
/// What `stat` gives.
pub fn foreign_owner(path: &Path) -> io::Result<Option<u32>> {
    let ours = nix::unistd::geteuid().as_raw();
    let owners = [std::fs::symlink_metadata(path)?.uid(), std::fs::metadata(path)?.uid()];
    Ok(owners.into_iter().find(|owner| *owner != 0 && *owner != ours))
}

/// A path for system calls.
///
/// # Errors
/// As [`c_path_with_suffix`].
pub fn c_path(path: &Path) -> io::Result<CString> {
    c_path_with_suffix(path, "")
}

/// A path with `suffix` behind it, for system calls. It is put together on the heap, unlike in most libraries: see
/// [`crate::sys::threads::thread`].
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte.
pub fn c_path_with_suffix(path: &Path, suffix: &str) -> io::Result<CString> {
    let mut bytes = Vec::with_capacity(path.as_os_str().len() + suffix.len() + 1);
    bytes.extend_from_slice(path.as_os_str().as_bytes());
    bytes.extend_from_slice(suffix.as_bytes());
    Ok(CString::new(bytes)?)
}

/// A path for system calls, which came from a file system or an argument and so has no NUL byte in it. A path that
/// has one becomes the empty path, at which every call fails with `ENOENT`.
pub fn c_path_or_empty(path: &Path) -> CString {
    c_path(path).unwrap_or_default()
}

/// The path of `name` in `dir`. As [`Path::join`], which allocates twice for it.
pub fn child(dir: &Path, name: &str) -> PathBuf {
    let mut path = PathBuf::with_capacity(dir.as_os_str().len() + 1 + name.len());
    path.push(dir);
    path.push(name);
    path
}

/// Gives the file at `path` (no link followed) a second name, in the place of any other file that has it.
///
/// # Errors
/// What `lstat`, `unlink` and `link` give.
pub fn link(path: &Path, name: &Path) -> io::Result<()> {
    let ours = FileInstance::at(path)?;
    match FileInstance::at(name) {
        Ok(there) if there == ours => return Ok(()),
        Ok(_) => std::fs::remove_file(name)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::hard_link(path, name)
}

/// A file without a name that holds `text`, to be read from its beginning. `name` is for whoever looks into `/proc`.
///
/// # Errors
/// What `memfd_create` and `write` give.
pub fn in_memory(name: &CStr, text: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file)
}

/// Whether `path` is a FIFO, or a link that leads to one.
pub fn leads_to_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether something is at `path` that is neither a regular file nor a directory.
pub fn is_other(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// Whether `path` itself (no link followed) is a FIFO.
pub fn is_fifo(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether we may execute `path` and it is a regular file.
pub fn is_executable(path: &Path) -> bool {
    executable(path).is_some()
}

/// What is known of `path`, if we may execute it and it is a regular file.
pub fn executable(path: &Path) -> Option<Metadata> {
    let c_path = c_path(path).ok()?;
    // SAFETY: a path that lives through the call. Access first: it answers for the common case of a missing file in one call.
    let may = unsafe { libc::access(c_path.as_ptr(), libc::X_OK) } == 0;
    if may { std::fs::metadata(path).ok().filter(Metadata::is_file) } else { None }
}

#[cfg(test)]
mod tests {
    use super::of_kernel;

    #[test]
    fn a_record_that_is_longer_than_the_room_is_whole() {
        let whole = std::fs::read("/proc/version").unwrap();
        for room in [0, 1, whole.len() - 1, whole.len(), whole.len() + 1, 4096] {
            assert_eq!(of_kernel("/proc/version", room).unwrap(), whole, "room for {room}");
        }
        assert!(of_kernel("/proc/self/none", 16).is_err());
    }
}
