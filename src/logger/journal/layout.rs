//! What stands where in the file `journal`, and how one 64-bit word says all of it.
//!
//! Everything is in the byte order of the machine: the file is never read on another one.

use std::ops::Range;

/// The first word of every journal: `suplog`, and the version of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"suplog\x00\x02");

/// Bytes before the two buffers: one page of words.
pub const HEADER: usize = 4096;

/// The most that is asked of one read, in bytes: what a pipe holds unless somebody has made it larger.
pub const READ_MAX: usize = 64 * 1024;

/// The longest line that is kept in one piece, in bytes.
pub const LINE_MAX: usize = 1024 * 1024;

/// Bytes of each of the two buffers that are there from the beginning: what the rest of a line and one read take.
pub const SPACE_AT_FIRST: usize = 2 * READ_MAX;

/// Bytes of each buffer: the longest line, and a read behind it.
pub const SPACE: usize = LINE_MAX + SPACE_AT_FIRST;

/// Bytes of the whole file.
pub const SIZE: usize = HEADER + 2 * SPACE;

/// How many words of the counters there are.
pub const COUNTERS: usize = 8;

/// The words of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// [`MAGIC`].
    Magic,
    /// What is in hand: a [`State`]. Each change of it is one step forward.
    State,
    /// That a read has been asked for: its size, and the state that it belongs to. 0 for none.
    Intent,
    /// What stood at the end of the place that is read into, in two words.
    Mark(usize),
    /// The state under which the words of [`Word::NoteAt`] and so on are valid. 0 for none.
    Note,
    /// Where in its file the write begins.
    NoteAt,
    /// How many bytes are written.
    NoteLength,
    /// The device of that file.
    NoteDevice,
    /// The inode of that file.
    NoteInode,
    /// The state once all is written.
    NoteNext,
    /// A hash over the words of the note.
    NoteCheck,
    /// Which boot of the machine this is, as a hash.
    Boot,
    /// A hash over what is in hand, made when a logger ended in good order. 0 for none.
    Check,
    /// The device of standard input.
    InputDevice,
    /// The inode of standard input.
    InputInode,
    /// When `current` was begun, in Unix time.
    Begun,
    /// One of the counters of one of their two places.
    Counter(usize, usize),
}

impl Word {
    /// Its place in the header, in words.
    pub fn index(self) -> usize {
        match self {
            Word::Magic => 0,
            Word::State => 1,
            Word::Intent => 2,
            Word::Mark(half) => 3 + (half & 1),
            Word::Note => 5,
            Word::NoteAt => 6,
            Word::NoteLength => 7,
            Word::NoteDevice => 8,
            Word::NoteInode => 9,
            Word::NoteNext => 10,
            Word::Boot => 11,
            Word::Check => 12,
            Word::InputDevice => 13,
            Word::InputInode => 14,
            Word::Begun => 15,
            Word::NoteCheck => 16 + 2 * COUNTERS,
            Word::Counter(place, counter) => 16 + (place & 1) * COUNTERS + counter % COUNTERS,
        }
    }
}

/// What is in hand, in one word: which buffer, from where to where, and which counters go with it.
///
/// Bits, from the lowest: 21 end, 21 start, 1 place of the counters, 1 buffer, 12 number, 8 of a [`seal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Counts the steps, modulo 2^12, and is never 0: what was noted for another step is not taken for this one's.
    pub number: u64,
    /// Which of the two buffers.
    pub buffer: usize,
    /// Which of the two places of the counters.
    pub counters: usize,
    /// Where in the buffer the bytes in hand begin.
    pub start: usize,
    /// Where they end.
    pub end: usize,
}

const POSITION: u64 = (1 << 21) - 1;
const NUMBER: u64 = (1 << 12) - 1;
const SEALED: u64 = (1 << 56) - 1;

/// A hash over words that belong together: a change of one of them is always a change of it.
pub fn hash(words: &[u64]) -> u64 {
    words.iter().fold(1, |hash: u64, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// 56 bits with a sum over their bytes in front, so that a damage within one byte of the word is noticed.
pub fn seal(word: u64) -> u64 {
    let word = word & SEALED;
    let sum = word ^ word >> 32;
    let sum = sum ^ sum >> 16;
    // Not 0 for 0, which means none everywhere.
    let sum = (sum ^ sum >> 8 ^ 0xa5) & 0xff;
    sum << 56 | word
}

/// The 56 bits of a word that is whole.
pub fn unseal(word: u64) -> Option<u64> {
    (seal(word) == word).then_some(word & SEALED)
}

impl State {
    /// Nothing in hand.
    pub const EMPTY: State = State { number: 1, buffer: 0, counters: 0, start: 0, end: 0 };

    /// As one word.
    pub fn pack(self) -> u64 {
        seal(
            (self.number & NUMBER) << 44
                | ((self.buffer & 1) as u64) << 43
                | ((self.counters & 1) as u64) << 42
                | (self.start as u64 & POSITION) << 21
                | self.end as u64 & POSITION,
        )
    }

    /// What such a word says; `None` for one that no logger has written.
    pub fn unpack(word: u64) -> Option<State> {
        let word = unseal(word)?;
        let state = State {
            number: word >> 44,
            buffer: (word >> 43 & 1) as usize,
            counters: (word >> 42 & 1) as usize,
            start: (word >> 21 & POSITION) as usize,
            end: (word & POSITION) as usize,
        };
        (state.number > 0 && state.start <= state.end && state.end <= SPACE).then_some(state)
    }

    /// The number of the next step.
    pub fn next_number(self) -> u64 {
        if self.number >= NUMBER { 1 } else { self.number + 1 }
    }

    /// Where in the file the bytes in hand are.
    pub fn bytes(self) -> Range<usize> {
        offset(self.buffer, self.start)..offset(self.buffer, self.end)
    }
}

/// Where in the file a place of a buffer is.
pub fn offset(buffer: usize, place: usize) -> usize {
    HEADER + (buffer & 1) * SPACE + place
}

/// What is counted, kept step by step like everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines that have been taken, written or not.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines that were dropped because the disk was full, and of which the log does not say so yet.
    pub dropped: u64,
    /// Lines above the rate, likewise.
    pub suppressed: u64,
    /// All lines that were ever dropped.
    pub dropped_ever: u64,
    /// All lines that were ever above the rate.
    pub suppressed_ever: u64,
    /// What of a line that was cut is still to come.
    pub cut: Cut,
}

/// Whether the next bytes belong to a line that was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// They begin a line.
    #[default]
    No,
    /// They go on with one of which the pieces are written.
    Kept,
    /// They go on with one that no pattern wanted, or that was above the rate.
    Passed,
}

impl Counters {
    /// As words, the last of which is a hash over the others.
    pub fn words(self) -> [u64; COUNTERS] {
        let cut = match self.cut {
            Cut::No => 0,
            Cut::Kept => 1,
            Cut::Passed => 2,
        };
        let words =
            [self.lines, self.bytes, self.dropped, self.suppressed, self.dropped_ever, self.suppressed_ever, cut];
        let [lines, bytes, dropped, suppressed, dropped_ever, suppressed_ever, cut] = words;
        [lines, bytes, dropped, suppressed, dropped_ever, suppressed_ever, cut, hash(&words)]
    }

    /// What such words say; `None` for those that no logger has written.
    pub fn of(words: [u64; COUNTERS]) -> Option<Counters> {
        let [lines, bytes, dropped, suppressed, dropped_ever, suppressed_ever, cut, check] = words;
        if hash(&[lines, bytes, dropped, suppressed, dropped_ever, suppressed_ever, cut]) != check {
            return None;
        }
        let cut = match cut {
            1 => Cut::Kept,
            2 => Cut::Passed,
            _ => Cut::No,
        };
        Some(Counters { lines, bytes, dropped, suppressed, dropped_ever, suppressed_ever, cut })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_two_words_share_a_place_and_all_are_in_the_header() {
        let mut all = vec![
            Word::Magic,
            Word::State,
            Word::Intent,
            Word::Mark(0),
            Word::Mark(1),
            Word::Note,
            Word::NoteAt,
            Word::NoteLength,
            Word::NoteDevice,
            Word::NoteInode,
            Word::NoteNext,
            Word::NoteCheck,
            Word::Boot,
            Word::Check,
            Word::InputDevice,
            Word::InputInode,
            Word::Begun,
        ];
        all.extend((0..2).flat_map(|place| (0..COUNTERS).map(move |counter| Word::Counter(place, counter))));
        let places: std::collections::BTreeSet<usize> = all.iter().map(|word| word.index()).collect();
        assert_eq!(places.len(), all.len());
        assert!(places.last().unwrap() * 8 + 8 <= HEADER);
    }

    proptest! {
        #[test]
        fn a_state_is_one_word(number in 1u64..1 << 12, buffer in 0usize..2, counters in 0usize..2,
                               start in 0usize..=SPACE, more in 0usize..=SPACE) {
            let end = SPACE.min(start + more);
            let state = State { number, buffer, counters, start, end };
            prop_assert_eq!(State::unpack(state.pack()), Some(state));
            prop_assert!(state.next_number() != number && state.next_number() > 0);
        }

        #[test]
        fn a_damage_within_a_byte_is_noticed(word: u64, byte in 0u32..8, change in 1u64..256) {
            let sealed = seal(word);
            prop_assert_eq!(unseal(sealed), Some(word & SEALED));
            prop_assert_eq!(unseal(sealed ^ change << (8 * byte)), None);
        }

        #[test]
        fn any_word_is_a_state_within_its_buffer_or_none(word: u64) {
            if let Some(state) = State::unpack(word) {
                prop_assert!(state.bytes().end <= SIZE);
                prop_assert_eq!(state.pack(), word);
            }
        }
    }
}
