//! One of a logger's old files, compressed or not.

use crate::logger::archive::names::{GZ, Name};
use crate::sys::files::file;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

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

/// Hands over each line without its newline.
///
/// # Errors
/// What `read` gives; of a compressed file that is damaged or half, there are the lines before that place.
pub fn each_line(mut reader: Box<dyn BufRead>, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        each(line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
    Ok(())
}
