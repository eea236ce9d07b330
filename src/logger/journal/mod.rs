//! The intake that may be killed: bytes that were taken from the pipe are in the log once, whenever KILL comes.
//!
//! The bytes are read into a file that is mapped into memory, `DIR/journal`, so that they outlive the process. That leaves
//! three questions to whoever starts after a KILL, and each is answered by the order of the steps:
//!
//! | the KILL came | what the next one finds | what it does |
//! |---|---|---|
//! | before the read | the mark at the end of the place | nothing: the bytes are still in the pipe |
//! | after the read, before it was written down | another end than the mark | takes the bytes as read |
//! | before the write or within it | the file ends before the note's end | cuts the file at the note's beginning, writes again |
//! | after the write, before it was written down | the file ends at the note's end | takes the bytes as written |
//! | between two steps | a state, and no note for it | goes on |
//!
//! *Read.* Only what the pipe has for certain is asked for (`FIONREAD`; nobody else reads from it), so that the kernel gives
//! all of it or, if we are killed before, nothing. Sixteen random bytes at the end of the place, written down before, tell
//! which: bytes of the service that equal them by chance come once in 2^128 reads. A read of fewer than sixteen
//! bytes has no room for that. Those bytes are looked at first (`tee`, which takes nothing), and their complement is the mark.
//!
//! *Write.* The file, its size, the number of bytes, and the state that follows are noted; then one word makes the note
//! valid. A file that only we append to says by its size how far a write has come.
//!
//! *Step.* [`layout::State`] is one word, so what is in hand changes at one instant. Its number is never the one before, so
//! no note is valid twice. The rest of a line moves to the other buffer before the word says so.
//!
//! This folder knows neither files nor pipes: [`Memory`], [`Input`] and [`Output`] are what it needs of them, and the tests
//! kill it between any two steps, and within them.
//!
//! | file | what is in it |
//! |---|---|
//! | [`layout`] | the words of the file |
//! | [`steps`] | the steps, and how to go on after a KILL |

pub mod layout;
pub mod steps;

#[cfg(test)]
mod tests;

use layout::Word;
use std::io;
use std::ops::Range;

/// A memory that outlives the process.
pub trait Memory {
    /// One word of the header.
    fn word(&self, word: Word) -> u64;
    /// Changes one word, at one instant: after all that was stored before, and before all that is stored later.
    fn set_word(&mut self, word: Word, value: u64);
    /// Bytes, by their place in the file.
    fn bytes(&self, range: Range<usize>) -> &[u8];
    /// The same, to be read into by the kernel.
    fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8];
    /// Changes bytes; a KILL may come after any of them.
    fn put(&mut self, at: usize, bytes: &[u8]);
    /// Copies bytes to a place that they do not overlap with; a KILL may come after any of them.
    fn copy(&mut self, from: Range<usize>, to: usize);
    /// Makes sure that the file has room for what is in this range. Of the first
    /// [`layout::SPACE_AT_FIRST`] bytes of each buffer, it always has.
    fn reserve(&mut self, range: Range<usize>) -> bool;
}

/// Where the bytes come from.
pub trait Input {
    /// How many bytes a read would get at once.
    ///
    /// # Errors
    /// What `FIONREAD` gives.
    fn available(&mut self) -> io::Result<usize>;
    /// Looks at the bytes that come next, and leaves them there. How many of them it could see.
    ///
    /// # Errors
    /// What `tee` gives.
    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Reads.
    ///
    /// # Errors
    /// What `read` gives.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;
}

/// What a write is noted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Device of the file.
    pub device: u64,
    /// Inode of the file.
    pub inode: u64,
    /// Its size before the write.
    pub at: u64,
    /// How many bytes are written.
    pub length: u64,
}

/// How far a noted write has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All of it is in the file.
    Written,
    /// Nothing of it is in the file any more.
    Removed,
}

/// The file that is written to, as far as going on after a KILL needs it.
pub trait Output {
    /// Finds out whether all of a write is there; if not, removes what is.
    ///
    /// # Errors
    /// What `open` and `truncate` give.
    fn settle(&mut self, place: Place) -> io::Result<Settled>;
}
