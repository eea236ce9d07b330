//! One old file, compressed by a process of its own: it may be slow, and it may be killed.
//!
//! The compressed copy has another name until it is whole and on the disk; only then the plain file goes. So whenever
//! this ends, one whole file is there.

use super::names::{GZ, PART};
use crate::sys::logging::background;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What old files become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Compress {
    /// They stay as they are.
    #[default]
    No,
    /// gzip(1) reads them.
    Gzip,
}

/// The whole life of that process: compresses `path`, for the logger whose pid is `parent`.
///
/// # Errors
/// What the files give; then the plain file is there as before.
pub fn run(path: &Path, parent: i32) -> io::Result<()> {
    // A logger that was killed has a successor, who begins again.
    if background::end_with_parent(parent)? {
        return Ok(());
    }
    background::be_idle();
    gzip(path)
}

/// Puts `path.gz` in the place of `path`.
///
/// # Errors
/// What the files give.
pub fn gzip(path: &Path) -> io::Result<()> {
    let mut source = match crate::sys::files::file::read(path) {
        // It was too much by then, and is gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        source => source?,
    };
    let (whole, part) = (with(path, GZ), with(path, &format!("{GZ}{PART}")));
    let result = write(&mut source, &part).and_then(|()| std::fs::rename(&part, &whole));
    if let Err(error) = result {
        // What is left of it would be removed at the next start only.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    match std::fs::remove_file(path) {
        // The same, and its copy follows it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn write(source: &mut File, part: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let target = options.open(part)?;
    let metadata = source.metadata()?;
    let mut encoder = GzEncoder::new(BufWriter::with_capacity(64 * 1024, target), Compression::default());
    io::copy(source, &mut encoder)?;
    let mut target = encoder.finish()?;
    target.flush()?;
    let target = target.into_inner().map_err(|error| error.into_error())?;
    // Its group first, while nobody else may read it; that it cannot be given away is no reason to keep a plain file.
    let _ = std::os::unix::fs::fchown(&target, None, Some(metadata.gid()));
    target.set_permissions(std::fs::Permissions::from_mode(metadata.mode() & 0o777))?;
    target.set_modified(metadata.modified()?)?;
    target.sync_all()
}

/// `path` with something behind it.
pub fn with(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_copy_is_whole_before_the_plain_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log-00000001-19700101T000000Z");
        let text: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        gzip(&path).unwrap();
        let whole = with(&path, GZ);
        let mut read = String::new();
        flate2::read::GzDecoder::new(File::open(&whole).unwrap()).read_to_string(&mut read).unwrap();
        assert!(read == text);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(whole.metadata().unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_copy_that_cannot_be_made_leaves_the_plain_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log-00000001-19700101T000000Z");
        std::fs::write(&path, "text").unwrap();
        // A directory that has the name already.
        std::fs::create_dir(with(&path, GZ)).unwrap();
        gzip(&path).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
