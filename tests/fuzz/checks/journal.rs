//! The journal of `supervise-log`, in any bytes: it is resumed, or reinitialized, and then does all that it is there for.

use std::io;
use std::ops::Range;
use supervise_tree::logger::journal::layout::{SIZE, SPACE, Word};
use supervise_tree::logger::journal::steps::{Found, Journal, Origin};
use supervise_tree::logger::journal::{Input, Memory, Output, Place, Settled};

/// Who wrote the seeds.
const ORIGIN: Origin = Origin { boot: 7, input: (1, 2) };

const MORE: &[u8] = b"more than a mark takes\n";

struct Bytes(Vec<u8>);

impl Memory for Bytes {
    fn word(&self, word: Word) -> u64 {
        let at = word.index() * 8;
        u64::from_le_bytes(self.0[at..at + 8].try_into().expect("eight"))
    }

    fn set_word(&mut self, word: Word, value: u64) {
        let at = word.index() * 8;
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.0[range]
    }

    fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.0[range]
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn copy(&mut self, from: Range<usize>, to: usize) {
        assert!(to >= from.end || to + from.len() <= from.start, "they overlap");
        self.0.copy_within(from, to);
    }

    fn reserve(&mut self, range: Range<usize>) -> bool {
        range.end <= SIZE
    }
}

struct Pipe<'a>(&'a [u8]);

impl Input for Pipe<'_> {
    fn available(&mut self) -> io::Result<usize> {
        Ok(self.0.len())
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        into.copy_from_slice(&self.0[..into.len()]);
        Ok(into.len())
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (now, later) = self.0.split_at(into.len());
        into.copy_from_slice(now);
        self.0 = later;
        Ok(now.len())
    }
}

struct File(Settled);

impl Output for File {
    fn settle(&mut self, _: Place) -> io::Result<Settled> {
        Ok(self.0)
    }
}

/// Asserts it.
pub fn check(bytes: &[u8]) {
    for (origin, settled) in [(ORIGIN, Settled::Written), (Origin { boot: 8, ..ORIGIN }, Settled::Removed)] {
        let mut memory = vec![0; SIZE];
        let length = bytes.len().min(SIZE);
        memory[..length].copy_from_slice(&bytes[..length]);
        let (mut journal, found) = Journal::open(Bytes(memory), origin, 1);
        match found {
            Found::New | Found::Damaged => assert!(journal.bytes().is_empty()),
            Found::InHand { bytes, .. } => assert_eq!(journal.bytes().len(), bytes),
        }
        journal.settle(&mut File(settled)).expect("it never fails");
        assert!(journal.bytes().len() <= SPACE);
        let (in_hand, counters) = (journal.bytes().len(), journal.counters());
        journal.pass(in_hand / 2, counters);
        let mut pipe = Pipe(MORE);
        while !pipe.0.is_empty() {
            if journal.read(&mut pipe).expect("it never fails") == 0 {
                let all = journal.bytes().len();
                assert!(all > 0, "nothing is in hand, and nothing more fits");
                journal.pass(all, counters);
            }
        }
        let place = Place { device: 1, inode: 2, at: 3, length: 4 };
        let all = journal.bytes().len();
        assert!(journal.bytes().ends_with(MORE));
        journal.note(all, counters, place);
        journal.written();
        assert!(journal.bytes().is_empty());
    }
}
