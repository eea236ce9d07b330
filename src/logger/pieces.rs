//! A long line on its way into the file, piece by piece, so that it needs no memory of its size.

use super::directory::Current;
use super::lines::form::Sink;
use std::io;

/// The pieces of a long line, in bytes.
const PIECE: usize = 64 * 1024;

/// A long line on its way into the file.
#[derive(Debug)]
pub struct Pieces<'a> {
    current: &'a mut Current,
    piece: Vec<u8>,
    result: io::Result<()>,
}

impl<'a> Pieces<'a> {
    /// Into this file.
    pub fn new(current: &'a mut Current) -> Pieces<'a> {
        Pieces { current, piece: Vec::with_capacity(PIECE), result: Ok(()) }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// What any of the writes gave; a part of the line may be in the file then.
    pub fn end(mut self) -> io::Result<()> {
        self.flush();
        self.result
    }

    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = self.current.append(&self.piece);
        }
        self.piece.clear();
    }
}

impl Sink for Pieces<'_> {
    fn put(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(PIECE) {
            if self.piece.len() + chunk.len() > PIECE {
                self.flush();
            }
            self.piece.extend_from_slice(chunk);
        }
    }
}
