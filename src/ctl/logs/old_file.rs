//! One of a logger's old files, compressed or not.

use crate::logger::archive::names::{GZ, Name};
use crate::sys::files::file;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// A line longer than this, in bytes, is handed on in pieces.
pub const LINE_MAX: usize = 256 * 1024;

/// Opens the file called `name` in `dir`, whose text is read.
///
/// # Errors
/// What `open` gives.
pub fn read(dir: &Path, name: &Name) -> io::Result<Box<dyn BufRead>> {
    let open = |text: &str| file::read(&dir.join(text));
    let (file, is_compressed): (File, bool) = match open(name.text()) {
        // It may have been compressed since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !name.is_compressed() => {
            (open(&format!("{}{GZ}", name.text()))?, true)
        }
        opened => (opened?, name.is_compressed()),
    };
    let reader: Box<dyn Read> = if is_compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::with_capacity(256 * 1024, reader)))
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
