//! Opening files in directories that somebody else may have touched: never through a planted link, never
//! blocking on something that is not what it should be.

use nix::sys::memfd::{MFdFlags, memfd_create};
use std::ffi::{CStr, CString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Device, inode and birth time (nanoseconds since the epoch, 0 where the file system keeps none): which
/// file it is, whatever its name. The birth time tells a new file from an old one whose inode it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Birth time.
    pub born: u128,
}

impl Identity {
    /// That of no file.
    pub const NONE: Identity = Identity { device: 0, inode: 0, born: 0 };

    /// The identity of what `metadata` describes.
    pub fn of(metadata: &Metadata) -> Identity {
        let born = metadata.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Identity { device: metadata.dev(), inode: metadata.ino(), born: born.map_or(0, |since| since.as_nanos()) }
    }
}

/// Opens a regular file for appending, making it with mode 0644, and gives its size in bytes.
///
/// # Errors
/// `ELOOP` for a symbolic link, `InvalidInput` for anything that is not a regular file, and what `open` gives.
pub fn append(path: &Path) -> io::Result<(File, u64)> {
    let (file, metadata) = regular(OpenOptions::new().append(true).create(true).mode(0o644), path)?;
    Ok((file, metadata.len()))
}

/// Opens a regular file for reading.
///
/// # Errors
/// As [`append`].
pub fn read(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true), path).map(|(file, _)| file)
}

/// Opens (and makes, with `mode`) a regular file for reading and writing, and says which one it is.
///
/// # Errors
/// As [`append`].
pub fn read_write(path: &Path, mode: u32) -> io::Result<(File, Identity)> {
    let (file, metadata) = regular(OpenOptions::new().read(true).write(true).create(true).mode(mode), path)?;
    Ok((file, Identity::of(&metadata)))
}

fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<(File, Metadata)> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
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

/// A path with something behind it, for system calls. Not by way of the stack, as most libraries do it: some of these calls
/// are as deep as a supervisor thread goes, and each page of stack that was ever touched is kept.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte.
pub fn c_path(path: &Path, more: &str) -> io::Result<CString> {
    let mut bytes = Vec::with_capacity(path.as_os_str().len() + more.len() + 1);
    bytes.extend_from_slice(path.as_os_str().as_bytes());
    bytes.extend_from_slice(more.as_bytes());
    Ok(CString::new(bytes)?)
}

/// The path of `name` in `dir`. As [`Path::join`], which allocates twice for it.
pub fn entry(dir: &Path, name: &str) -> PathBuf {
    let mut path = PathBuf::with_capacity(dir.as_os_str().len() + 1 + name.len());
    path.push(dir);
    path.push(name);
    path
}

/// Which file is at `path` (no link followed).
///
/// # Errors
/// What `lstat` gives.
pub fn identity(path: &Path) -> io::Result<Identity> {
    std::fs::symlink_metadata(path).map(|metadata| Identity::of(&metadata))
}

/// Gives the file at `path` (no link followed) a second name, in the place of any other file that has it.
///
/// # Errors
/// What `lstat`, `unlink` and `link` give.
pub fn link(path: &Path, name: &Path) -> io::Result<()> {
    let ours = identity(path)?;
    match identity(name) {
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

/// Whether `path` itself (no link followed) is a FIFO.
pub fn is_fifo(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether we may execute `path` and it is a regular file.
pub fn is_executable(path: &Path) -> bool {
    let Ok(c_path) = c_path(path, "") else { return false };
    // SAFETY: a path that lives through the call. Access first: it answers for the common case of a missing file in one call.
    let may = unsafe { libc::access(c_path.as_ptr(), libc::X_OK) } == 0;
    may && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}
