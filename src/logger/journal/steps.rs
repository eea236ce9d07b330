//! The steps of the intake, each of which may be the last.

use super::layout::{
    COUNTERS, Counters, MAGIC, READ_MAX, SPACE, SPACE_AT_FIRST, State, Word, hash, offset, seal, unseal,
};
use super::{Input, Memory, Output, Place, Settled};
use std::io;

/// How many bytes tell whether a read has happened.
const MARK: usize = 16;

/// A rest of a line up to this many bytes is moved to the beginning of the other buffer, so that reads go where the
/// processor's cache has the memory already; a longer one only when the buffer is full.
const SHORT_REST: usize = READ_MAX;

/// The intake of one logger.
#[derive(Debug)]
pub struct Journal<M> {
    memory: M,
    state: State,
    counters: Counters,
    random: u64,
}

/// Which logger, of which input, wrote the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// A hash of the machine's boot id.
    pub boot: u64,
    /// Device and inode of standard input.
    pub input: (u64, u64),
}

/// In which condition a journal was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was none.
    New,
    /// So many bytes are in hand.
    InHand {
        /// How many; none if the last logger had written everything.
        bytes: usize,
        /// Whether what comes next from standard input goes on where they end.
        same_input: bool,
    },
    /// What is in it makes no sense, or was not all written when the machine went down: it is begun anew.
    Damaged,
}

impl<M: Memory> Journal<M> {
    /// Goes on with what is in `memory`. `random` is different each time.
    ///
    /// The read that was under way is settled here; the write by [`Journal::settle`], which has to be called next. Once
    /// nothing of another input is in hand, [`Journal::set_input`] says so.
    pub fn open(memory: M, origin: Origin, random: u64) -> (Journal<M>, Found) {
        let mut journal = Journal { memory, state: State::EMPTY, counters: Counters::default(), random };
        let found = journal.look(origin);
        match found {
            Found::New | Found::Damaged => journal.format(),
            Found::InHand { .. } => {}
        }
        journal.set(Word::Boot, origin.boot);
        journal.set(Word::Check, 0);
        (journal, found)
    }

    /// What is in hand, and what will be, comes from this input (device and inode).
    pub fn set_input(&mut self, (device, inode): (u64, u64)) {
        self.set(Word::InputDevice, device);
        self.set(Word::InputInode, inode);
    }

    fn look(&mut self, origin: Origin) -> Found {
        let magic = self.memory.word(Word::Magic);
        if magic == 0 {
            return Found::New;
        }
        let state = State::unpack(self.memory.word(Word::State)).filter(|_| magic == MAGIC);
        let Some(state) = state else { return Found::Damaged };
        let (note, intent) = (self.memory.word(Word::Note), self.memory.word(Word::Intent));
        // Each is none, or whole, be it of an earlier step.
        if (note != 0 && State::unpack(note).is_none()) || (intent != 0 && unseal(intent).is_none()) {
            return Found::Damaged;
        }
        let is_noted = note == state.pack();
        if is_noted && self.noted(state).is_none() {
            return Found::Damaged;
        }
        let same_boot = self.memory.word(Word::Boot) == origin.boot;
        let nothing = state.start == state.end && !is_noted;
        if !same_boot && !nothing && self.memory.word(Word::Check) != self.check(state) {
            // A machine that went down wrote the pages of this file in any order.
            return Found::Damaged;
        }
        let input = (self.memory.word(Word::InputDevice), self.memory.word(Word::InputInode));
        let Some(counters) = self.counters_of(state) else { return Found::Damaged };
        (self.state, self.counters) = (state, counters);
        if same_boot {
            self.settle_read();
        }
        Found::InHand { bytes: self.state.end - self.state.start, same_input: same_boot && input == origin.input }
    }

    fn format(&mut self) {
        self.set(Word::Note, 0);
        self.set(Word::Intent, 0);
        (self.state, self.counters) = (State::EMPTY, Counters::default());
        self.store_counters(0, Counters::default());
        self.set(Word::State, State::EMPTY.pack());
        self.set(Word::Check, 0);
        self.set(Word::Magic, MAGIC);
    }

    fn settle_read(&mut self) {
        let state = self.state;
        let intent = unseal(self.memory.word(Word::Intent)).unwrap_or(0);
        let (number, wanted) = (intent >> 44, (intent & ((1 << 44) - 1)) as usize);
        if number == state.number && wanted > 0 && wanted <= SPACE - state.end {
            let end = offset(state.buffer, state.end + wanted);
            let mark = self.mark();
            let length = wanted.min(MARK);
            if self.memory.bytes(end - length..end) != &mark[..length] {
                self.step(State { number: state.next_number(), end: state.end + wanted, ..state });
            }
        }
        self.set(Word::Intent, 0);
    }

    /// Finds out how far the write that was under way has come, and goes on from there.
    ///
    /// # Errors
    /// What `output` gives; it may be called again.
    pub fn settle(&mut self, output: &mut impl Output) -> io::Result<()> {
        if self.memory.word(Word::Note) == self.state.pack()
            && let Some((place, next)) = self.noted(self.state)
            && output.settle(place)? == Settled::Written
        {
            self.step(next);
        }
        self.set(Word::Note, 0);
        Ok(())
    }

    /// The write that is noted for `state`, and the state after it.
    fn noted(&self, state: State) -> Option<(Place, State)> {
        // With a wrong place, lines of the log would be cut off.
        if self.memory.word(Word::NoteCheck) != self.note_check() {
            return None;
        }
        let next = State::unpack(self.memory.word(Word::NoteNext))?;
        let place = Place {
            device: self.memory.word(Word::NoteDevice),
            inode: self.memory.word(Word::NoteInode),
            at: self.memory.word(Word::NoteAt),
            length: self.memory.word(Word::NoteLength),
        };
        (next.number == state.next_number()).then_some((place, next))
    }

    /// A hash over the words of the note.
    fn note_check(&self) -> u64 {
        let words = [Word::NoteAt, Word::NoteLength, Word::NoteDevice, Word::NoteInode, Word::NoteNext];
        hash(&words.map(|word| self.memory.word(word)))
    }

    /// The bytes in hand.
    pub fn bytes(&self) -> &[u8] {
        self.memory.bytes(self.state.bytes())
    }

    /// What has been counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// When `current` was begun, in Unix time.
    pub fn begun(&self) -> u64 {
        self.memory.word(Word::Begun)
    }

    /// Writes down when `current` was begun.
    pub fn set_begun(&mut self, at: u64) {
        self.set(Word::Begun, at);
    }

    /// Reads what there is, as far as it fits; how many bytes that were. 0 when there is nothing, or no room.
    ///
    /// # Errors
    /// What `input` gives.
    pub fn read(&mut self, input: &mut impl Input) -> io::Result<usize> {
        self.read_up_to(input, READ_MAX)
    }

    /// As [`Journal::read`], but no more than `most` bytes.
    ///
    /// # Errors
    /// What `input` gives.
    pub fn read_up_to(&mut self, input: &mut impl Input, most: usize) -> io::Result<usize> {
        let state = self.state;
        let wanted = input.available()?.min(most).min(READ_MAX).min(self.room());
        if wanted == 0 {
            return Ok(0);
        }
        let place = offset(state.buffer, state.end)..offset(state.buffer, state.end + wanted);
        let mark = self.make_mark(input, wanted)?;
        let length = wanted.min(MARK);
        self.memory.put(place.end - length, &mark[..length]);
        let (low, high) = (u64::from_ne_bytes(half(&mark, 0)), u64::from_ne_bytes(half(&mark, 8)));
        self.set(Word::Mark(0), low);
        self.set(Word::Mark(1), high);
        self.set(Word::Intent, seal(state.number << 44 | wanted as u64));
        let result = input.read(self.memory.bytes_mut(place));
        if let Ok(got) = result
            && got > 0
        {
            self.step(State { number: state.next_number(), end: state.end + got.min(wanted), ..state });
        }
        self.set(Word::Intent, 0);
        result
    }

    /// How many bytes the buffer can still take.
    fn room(&mut self) -> usize {
        let state = self.state;
        let at_first = SPACE_AT_FIRST.saturating_sub(state.end);
        if at_first >= READ_MAX / 4 {
            return at_first;
        }
        let end = SPACE.min(state.end + READ_MAX);
        if self.memory.reserve(offset(state.buffer, state.end)..offset(state.buffer, end)) {
            end - state.end
        } else {
            at_first
        }
    }

    /// Whether there is no room for one more byte, and nothing to be gained by waiting.
    pub fn is_full(&mut self) -> bool {
        self.state.end >= SPACE_AT_FIRST && self.room() == 0
    }

    fn make_mark(&mut self, input: &mut impl Input, wanted: usize) -> io::Result<[u8; MARK]> {
        let mut mark = [0; MARK];
        if wanted < MARK && input.peek(&mut mark[..wanted])? == wanted {
            return Ok(mark.map(|byte| !byte));
        }
        for half in mark.chunks_exact_mut(8) {
            half.copy_from_slice(&self.next_random().to_ne_bytes());
        }
        Ok(mark)
    }

    fn mark(&self) -> [u8; MARK] {
        let mut mark = [0; MARK];
        for (number, half) in mark.chunks_exact_mut(8).enumerate() {
            half.copy_from_slice(&self.memory.word(Word::Mark(number)).to_ne_bytes());
        }
        mark
    }

    /// The next number of a fixed row (splitmix64), which begins at a random one.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Drops the first `taken` bytes: nothing of them is written.
    pub fn pass(&mut self, taken: usize, counters: Counters) {
        let next = self.after(taken, counters);
        self.step(next);
    }

    /// Notes that the first `taken` bytes are about to be written at `place`. Once they are, [`Journal::written`] takes
    /// them out of hand; what may not be forgotten otherwise is [`Journal::not_written`].
    pub fn note(&mut self, taken: usize, counters: Counters, place: Place) {
        let next = self.after(taken, counters);
        self.set(Word::NoteAt, place.at);
        self.set(Word::NoteLength, place.length);
        self.set(Word::NoteDevice, place.device);
        self.set(Word::NoteInode, place.inode);
        self.set(Word::NoteNext, next.pack());
        let check = self.note_check();
        self.set(Word::NoteCheck, check);
        self.set(Word::Note, self.state.pack());
    }

    /// All that was noted is in the file.
    pub fn written(&mut self) {
        if let Some((_, next)) = self.noted(self.state) {
            self.step(next);
        }
        self.set(Word::Note, 0);
    }

    /// Nothing of what was noted is in the file any more.
    pub fn not_written(&mut self) {
        self.set(Word::Note, 0);
    }

    /// The state once `taken` bytes are out of hand; what is left may have been copied to the other buffer for it.
    fn after(&mut self, taken: usize, counters: Counters) -> State {
        let state = self.state;
        self.store_counters(1 - state.counters, counters);
        let start = (state.start + taken).min(state.end);
        let next = State { number: state.next_number(), counters: 1 - state.counters, start, ..state };
        let rest = next.end - next.start;
        if rest == 0 {
            return State { start: 0, end: 0, ..next };
        }
        let full = next.end + READ_MAX > SPACE_AT_FIRST;
        let moves = start > 0 && full && (rest <= SHORT_REST || next.end + READ_MAX > SPACE);
        let other = offset(1 - state.buffer, 0)..offset(1 - state.buffer, rest);
        if !moves || !self.memory.reserve(other.clone()) {
            return next;
        }
        self.memory.copy(next.bytes(), other.start);
        State { buffer: 1 - state.buffer, start: 0, end: rest, ..next }
    }

    /// The one instant at which what is in hand changes.
    fn step(&mut self, next: State) {
        self.set(Word::State, next.pack());
        self.state = next;
        self.counters = self.counters_of(next).unwrap_or(self.counters);
    }

    /// Ends in good order: what is in hand is for the next logger, even after a boot of the machine.
    pub fn close(&mut self) {
        let check = self.check(self.state);
        self.set(Word::Check, check);
    }

    /// Where the words and bytes are, to be written to a new file when this one is gone.
    pub fn memory(&mut self) -> &mut M {
        &mut self.memory
    }

    fn set(&mut self, word: Word, value: u64) {
        self.memory.set_word(word, value);
    }

    fn store_counters(&mut self, place: usize, counters: Counters) {
        for (number, value) in counters.words().into_iter().enumerate() {
            if self.memory.word(Word::Counter(place, number)) != value {
                self.set(Word::Counter(place, number), value);
            }
        }
    }

    fn counters_of(&self, state: State) -> Option<Counters> {
        let mut words = [0; COUNTERS];
        for (number, word) in words.iter_mut().enumerate() {
            *word = self.memory.word(Word::Counter(state.counters, number));
        }
        Counters::of(words)
    }

    /// FNV-1a over the state and the bytes in hand; never 0.
    fn check(&self, state: State) -> u64 {
        let word = state.pack().to_ne_bytes();
        let bytes = word.iter().chain(self.memory.bytes(state.bytes()));
        let hash = bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        hash.max(1)
    }
}

fn half(mark: &[u8; MARK], at: usize) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&mark[at..at + 8]);
    half
}
