//! The text of a file in a service directory: a regular file of a sensible size that only a trusted user may have written.

use crate::conf::complaint::Complaint;
use crate::sys::errno_text;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A file larger than this, in bytes, is somebody's mistake.
const FILE_MAX: u64 = 256 * 1024;

/// The content of the file at `path`; `None` if there is none.
///
/// `trusted` are the users to whom it has to belong; empty for anybody.
///
/// # Errors
/// It cannot be read, or belongs to somebody else.
pub fn read(path: &Path, trusted: &[u32]) -> Result<Option<Vec<u8>>, Complaint> {
    let fail = |what: String| Complaint::whole(path, what);
    match content(path, trusted) {
        Ok(Err(uid)) => {
            Err(fail(format!("it or its directory belongs to uid {uid}, who may not say what root is to do")))
        }
        Ok(Ok(bytes)) if bytes.len() as u64 > FILE_MAX => Err(fail(format!("is larger than {FILE_MAX} bytes"))),
        Ok(Ok(bytes)) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(format!("cannot be read: {}", errno_text(&error)))),
    }
}

/// What is in the file, or the user to whom it belongs.
fn content(path: &Path, trusted: &[u32]) -> io::Result<Result<Vec<u8>, u32>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if !trusted.is_empty() {
        // Whoever owns the directory can put another file there.
        let directory = std::fs::metadata(path.parent().unwrap_or(Path::new(".")))?.uid();
        if let Some(stranger) = [metadata.uid(), directory].into_iter().find(|uid| !trusted.contains(uid)) {
            return Ok(Err(stranger));
        }
    }
    read_whole(file).map(Ok)
}

fn read_whole(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_regular_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("supervise.conf");
        assert_eq!(read(&path, &[]), Ok(None));
        std::fs::write(&path, "nice : 3\n").unwrap();
        let owner = std::fs::metadata(&path).unwrap().uid();
        assert_eq!(read(&path, &[owner]), Ok(Some(b"nice : 3\n".to_vec())));
        let why = read(&path, &[owner + 1]).unwrap_err().to_string();
        assert!(why.contains(&format!("belongs to uid {owner},")), "{why}");
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read(&path, &[]).unwrap_err().what.contains("not a regular file"));
        std::fs::remove_file(&path).unwrap();
        std::fs::File::create(&path).unwrap().set_len(FILE_MAX + 1).unwrap();
        assert!(read(&path, &[]).unwrap_err().what.contains("is larger than"));
    }
}
