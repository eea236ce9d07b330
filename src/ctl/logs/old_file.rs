//! One of a logger's old files, compressed or not.

use crate::logger::archive::names::{GZ, Name};
use crate::sys::files::file;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A line longer than this, in bytes, is handed on in pieces: whatever supervise-log has kept in one is shown in one, even where
/// JSON escapes every byte of it and says it in base64, too.
pub const LINE_MAX: usize = 8 * 1024 * 1024;

/// The beginning of every file of gzip(1), by RFC 1952.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens the file called `name` in `dir`, whose text is read.
///
/// # Errors
/// What `open` gives.
pub fn read(dir: &Path, name: &Name) -> io::Result<Box<dyn BufRead>> {
    let open = |text: &str| file::read(&dir.join(text));
    let (file, is_compressed): (File, bool) = match open(name.text()) {
        // It may have been compressed since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !name.is_compressed() => match name {
            Name::Ours(_, text) => (open(&format!("{text}{GZ}"))?, true),
            Name::Tai(text) => open(&text.replace(".u", ".s")).map(|file| told(file, name))?,
        },
        opened => told(opened?, name),
    };
    let reader: Box<dyn Read> = if is_compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::with_capacity(256 * 1024, reader)))
}

/// Opens the file called `name` in `dir`, if its text is there as it is.
pub fn plain(dir: &Path, name: &Name) -> Option<File> {
    if name.is_compressed() {
        return None;
    }
    file::read(&dir.join(name.text())).ok().filter(|file| !is_compressed(file, name))
}

fn told(file: File, name: &Name) -> (File, bool) {
    let is_compressed = is_compressed(&file, name);
    (file, is_compressed)
}

/// Whether `file`, which has this name, is compressed. What svlogd and its like have a program make of an old file has no other name.
fn is_compressed(file: &File, name: &Name) -> bool {
    let mut first = [0; MAGIC.len()];
    name.is_compressed() || matches!(name, Name::Tai(_)) && file.read_exact_at(&mut first, 0).is_ok() && first == MAGIC
}

/// Hands over each line without its newline, and one longer than [`LINE_MAX`] in pieces.
///
/// # Errors
/// What `read` gives; of a compressed file that is damaged or half, there are the lines before that place.
pub fn each_line(mut reader: Box<dyn BufRead>, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    while next_line(&mut reader, &mut line)? > 0 {
        each(line.strip_suffix(b"\n").unwrap_or(&line));
    }
    Ok(())
}

/// Reads the next line into `line`, with its newline, or a piece of one that is too long; 0 at the end.
///
/// # Errors
/// What `read` gives.
pub fn next_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    reader.take(LINE_MAX as u64).read_until(b'\n', line)
}
