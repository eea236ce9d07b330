//! Reading a file that may be anything: a FIFO without a writer must not hold us up, nor a huge file fill our memory.

use super::refuse::refuse_for;
use crate::sys::context::Part;
use crate::sys::process::start::StartError;
use crate::sys::{Errno, errno_text};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file of variables that is larger, in bytes, is none: a program gets no more than 2 MiB of them by default.
pub const ENV_FILE_MAX: u64 = 1024 * 1024;

/// Reads a file of variables; `None` if it is missing and may be.
///
/// # Errors
/// It cannot be read, is not a regular file, or is too large.
pub fn env_file(path: &Path, optional: bool) -> Result<Option<Vec<u8>>, StartError> {
    match read(path, ENV_FILE_MAX) {
        Ok(bytes) if bytes.len() as u64 > ENV_FILE_MAX => {
            let text = format!("{}: is larger than {} KiB", path.display(), ENV_FILE_MAX / 1024);
            Err(refuse_for(Part::EnvFile, Errno::EFBIG, &text))
        }
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if optional && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refusal(Part::EnvFile, path, &error)),
    }
}

/// Reads at most `most` bytes and one more.
///
/// # Errors
/// What `open` and `read` give; `InvalidInput` for what is not a regular file.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The failure of `part` for a file that cannot be read.
pub fn refusal(part: Part, path: &Path, error: &io::Error) -> StartError {
    let errno = error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw);
    refuse_for(part, errno, &format!("{}: {}", path.display(), errno_text(error)))
}
