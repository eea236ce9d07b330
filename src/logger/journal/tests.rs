//! Kills the intake at every step and within it, starts it again, and counts what is in the log.
//!
//! The world outlives the process: the mapped memory, the pipe, and the file. Every change of it is one step; at the chosen
//! one, all or a part of it happens, and the process ends (it unwinds). The next one starts with what is left.

use super::layout::{COUNTERS, Counters, LINE_MAX, SIZE, SPACE_AT_FIRST, State, Word, offset, seal};
use super::steps::{Found, Journal, Origin};
use super::{Input, Memory, Output, Place, Settled};
use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

const ORIGIN: Origin = Origin { boot: 7, input: (1, 2) };
const FILE: (u64, u64) = (8, 9);

/// What KILL leaves.
struct Left {
    memory: Vec<u8>,
    /// Up to where each buffer was ever changed: the rest need not be copied.
    touched: [usize; 2],
    /// Where in it the kernel will store what is read.
    read_into: usize,
    pipe: Vec<u8>,
    /// What is still to be written into the pipe, a piece each time that it is asked for.
    to_come: Vec<Vec<u8>>,
    file: Vec<u8>,
    /// Steps until the KILL.
    steps_left: Option<usize>,
    /// How much of the last step happens: thirds of it.
    thirds: usize,
    /// How many steps have been taken.
    steps: usize,
}

#[derive(Clone)]
struct World(Rc<RefCell<Left>>, Vec<u8>);

impl Left {
    fn store(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.memory[at..end].copy_from_slice(bytes);
        let touched = &mut self.touched[usize::from(at >= offset(1, 0))];
        *touched = end.max(*touched);
    }
}

struct Killed;

impl World {
    fn new(to_come: &[&[u8]]) -> World {
        let to_come = to_come.iter().rev().map(|piece| piece.to_vec()).collect();
        let left = Left {
            memory: vec![0; SIZE],
            touched: [offset(0, 0), offset(1, 0)],
            read_into: 0,
            pipe: Vec::new(),
            to_come,
            file: Vec::new(),
            steps_left: None,
            thirds: 0,
            steps: 0,
        };
        World(Rc::new(RefCell::new(left)), Vec::new())
    }

    /// One step, which changes `size` bytes: how many of them it does change, and whether it is the last one.
    fn step(&self, size: usize) -> (usize, bool) {
        let mut left = self.0.borrow_mut();
        left.steps += 1;
        match left.steps_left {
            Some(0) => (size * left.thirds / 3, true),
            Some(n) => {
                left.steps_left = Some(n - 1);
                (size, false)
            }
            None => (size, false),
        }
    }

    fn end(&self, killed: bool) {
        if killed {
            resume_unwind(Box::new(Killed));
        }
    }
}

/// The memory as the process sees it: a copy for reading, each change made in what is left, too.
struct Mapped(World);

impl Mapped {
    fn new(world: &World) -> Mapped {
        let mut bytes = vec![0; SIZE];
        let left = world.0.borrow();
        for range in [0..left.touched[0], offset(1, 0)..left.touched[1]] {
            bytes[range.clone()].copy_from_slice(&left.memory[range]);
        }
        Mapped(World(Rc::clone(&world.0), bytes))
    }

    fn store(&mut self, at: usize, bytes: &[u8]) {
        self.0.1[at..at + bytes.len()].copy_from_slice(bytes);
        self.0.0.borrow_mut().store(at, bytes);
    }
}

impl Memory for Mapped {
    fn word(&self, word: Word) -> u64 {
        let at = word.index() * 8;
        u64::from_ne_bytes(self.0.1[at..at + 8].try_into().unwrap())
    }

    fn set_word(&mut self, word: Word, value: u64) {
        // A word is stored whole or not at all.
        let (done, killed) = self.0.step(3);
        if done == 3 {
            self.store(word.index() * 8, &value.to_ne_bytes());
        }
        self.0.end(killed);
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.0.1[range]
    }

    fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.0.0.borrow_mut().read_into = range.start;
        &mut self.0.1[range]
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let (done, killed) = self.0.step(bytes.len());
        self.store(at, &bytes[..done]);
        self.0.end(killed);
    }

    fn copy(&mut self, from: Range<usize>, to: usize) {
        let bytes = self.0.1[from].to_vec();
        self.put(to, &bytes);
    }

    fn reserve(&mut self, range: Range<usize>) -> bool {
        range.end <= SIZE
    }
}

impl Input for World {
    fn available(&mut self) -> io::Result<usize> {
        let mut left = self.0.borrow_mut();
        if let Some(more) = left.to_come.pop() {
            left.pipe.extend(more);
        }
        Ok(left.pipe.len())
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        into.copy_from_slice(&self.0.borrow().pipe[..into.len()]);
        Ok(into.len())
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // The kernel gives all that is there, or, if we are killed before, nothing.
        let (done, killed) = self.step(3);
        if done == 3 {
            let mut left = self.0.borrow_mut();
            let bytes: Vec<u8> = left.pipe.drain(..into.len()).collect();
            into.copy_from_slice(&bytes);
            // It is a shared mapping: what the kernel stores is in the file.
            let at = left.read_into;
            left.store(at, &bytes);
        }
        self.end(killed);
        Ok(into.len())
    }
}

impl Output for World {
    fn settle(&mut self, place: Place) -> io::Result<Settled> {
        assert_eq!((place.device, place.inode), FILE);
        let (at, end) = (place.at as usize, (place.at + place.length) as usize);
        if self.0.borrow().file.len() >= end {
            return Ok(Settled::Written);
        }
        let (done, killed) = self.step(3);
        if done == 3 {
            self.0.borrow_mut().file.truncate(at);
        }
        self.end(killed);
        Ok(Settled::Removed)
    }
}

impl World {
    fn write(&mut self, bytes: &[u8]) {
        let (done, killed) = self.step(bytes.len());
        self.0.borrow_mut().file.extend_from_slice(&bytes[..done]);
        self.end(killed);
    }

    /// A logger without stamps, from its start until nothing comes any more.
    fn log(&mut self, random: u64) {
        let (mut journal, found) = Journal::open(Mapped::new(self), ORIGIN, random);
        assert_ne!(found, Found::Damaged);
        journal.settle(self).unwrap();
        journal.set_input(ORIGIN.input);
        loop {
            while self.write_lines(&mut journal) {}
            let is_over = self.0.borrow().to_come.is_empty() && self.0.borrow().pipe.is_empty();
            if journal.read(self).unwrap() == 0 && is_over {
                break;
            }
        }
    }

    /// Writes a few whole lines; lines that begin with `-` are passed over.
    fn write_lines(&mut self, journal: &mut Journal<Mapped>) -> bool {
        let bytes = journal.bytes();
        let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let end = ends.by_ref().take(3).last().or((bytes.len() >= LINE_MAX).then_some(bytes.len()));
        let Some(taken) = end else { return false };
        let lines = bytes[..taken].split_inclusive(|byte| *byte == b'\n');
        let out: Vec<u8> = lines.clone().filter(|line| !line.starts_with(b"-")).flatten().copied().collect();
        let before = journal.counters();
        let counters = Counters { lines: before.lines + lines.count() as u64, ..before };
        if out.is_empty() {
            journal.pass(taken, counters);
            return true;
        }
        let at = self.0.borrow().file.len() as u64;
        let place = Place { device: FILE.0, inode: FILE.1, at, length: out.len() as u64 };
        journal.note(taken, counters, place);
        // In two pieces, as a write that was interrupted.
        let (first, second) = out.split_at(out.len() / 2);
        self.write(first);
        self.write(second);
        journal.written();
        true
    }

    /// The same, killed at `step` with so many thirds of it done; whether it came that far.
    fn log_until(&mut self, step: Option<(usize, usize)>, random: u64) -> bool {
        {
            let mut left = self.0.borrow_mut();
            (left.steps_left, left.thirds, left.steps) = (step.map(|step| step.0), step.map_or(0, |step| step.1), 0);
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.log(random)));
        match result {
            Ok(()) => false,
            Err(payload) if payload.is::<Killed>() => true,
            Err(payload) => resume_unwind(payload),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().file).into_owned()
    }

    fn lines_counted(&self) -> u64 {
        let (journal, _) = Journal::open(Mapped::new(self), ORIGIN, 0);
        journal.counters().lines
    }
}

/// Kills at each step in each of its thirds, and then, `twice`, the next one at each of its first steps.
fn kill_everywhere(pieces: &[&[u8]], second: usize) {
    let whole: Vec<u8> = pieces.concat();
    let lines = whole.split_inclusive(|byte| *byte == b'\n');
    let expected: Vec<u8> = lines.clone().filter(|line| !line.starts_with(b"-")).flatten().copied().collect();
    let expected = String::from_utf8_lossy(&expected).into_owned();
    let count = lines.count() as u64;
    for step in 0.. {
        let mut killed = false;
        for thirds in 0..=3 {
            for next in (0..second).map(Some).chain([None]) {
                let mut world = World::new(pieces);
                killed = world.log_until(Some((step, thirds)), step as u64);
                if let Some(next) = next {
                    world.log_until(Some((next, thirds)), 1 << 40 | next as u64);
                }
                assert!(!world.log_until(None, 1 << 50));
                assert!(world.text() == expected, "killed at {step}, {thirds}/3, then at {next:?}: {}", world.text());
                assert_eq!(world.lines_counted(), count, "killed at {step}, {thirds}/3, then at {next:?}");
            }
        }
        if !killed {
            assert!(step > 20, "{step} steps are none");
            return;
        }
    }
}

#[test]
fn a_kill_at_any_step_loses_tears_and_doubles_nothing() {
    kill_everywhere(&[b"a line, longer than the mark\nan", b"other\n- not wanted\nthe third\n", b"4\n"], 0);
}

#[test]
fn nor_does_a_second_kill_while_the_first_one_is_mended() {
    kill_everywhere(&[b"a line, longer than the mark\nand", b" more of it\n", b"x\n"], 24);
}

#[test]
fn reads_smaller_than_the_mark_are_told_apart_too() {
    kill_everywhere(&[b"a", b"\n", b"\n", b"aa\naa\n", b"a\n", b"fifteen bytes.\n"], 2);
    // Bytes that the complement of the mark could be taken for.
    kill_everywhere(&[b"\xff", b"\x00\n", b"\xff\xff\n", b"\x00\x00\n"], 2);
}

#[test]
fn a_rest_that_moves_to_the_other_buffer_is_neither_lost_nor_doubled() {
    let long = [vec![b'x'; 40_000], b"\n".to_vec(), vec![b'y'; 25_000]].concat();
    let end = [vec![b'z'; 40_000], b"\nshort".to_vec()].concat();
    kill_everywhere(&[&long, &end, b"er\n", &long, b"\n"], 0);
}

#[test]
fn a_buffer_that_is_full_is_written_before_more_is_read() {
    // Nothing but one line, as long as a line may be, and the next one killed before it has written it.
    let piece = vec![b'x'; 65_536];
    let pieces: Vec<&[u8]> = std::iter::repeat_n(&piece[..], 20).chain([&b"\n"[..]]).collect();
    let mut world = World::new(&pieces);
    for random in 0.. {
        if !world.log_until(Some((random as usize % 97, random as usize % 4)), random) {
            break;
        }
        assert!(random < 2000, "no progress");
    }
    assert_eq!(world.text().len(), 20 * 65_536 + 1);
}

#[test]
fn a_damaged_journal_is_begun_anew_and_said() {
    let world = World::new(&[b"in hand"]);
    let (mut journal, _) = Journal::open(Mapped::new(&world), ORIGIN, 0);
    journal.set_input(ORIGIN.input);
    journal.read(&mut world.clone()).unwrap();
    let found = |change: &dyn Fn(&mut Mapped), origin: Origin| {
        let copy = World::new(&[]);
        copy.0.borrow_mut().store(0, &world.0.borrow().memory[..offset(1, 0)]);
        let mut memory = Mapped::new(&copy);
        change(&mut memory);
        let (journal, found) = Journal::open(memory, origin, 0);
        (found, journal.bytes().to_vec())
    };
    let same = Found::InHand { bytes: 7, same_input: true };
    assert_eq!(found(&|_| {}, ORIGIN), (same, b"in hand".to_vec()));
    let other = Found::InHand { bytes: 7, same_input: false };
    assert_eq!(found(&|_| {}, Origin { input: (1, 3), ..ORIGIN }), (other, b"in hand".to_vec()));
    // The machine went down, and nobody knows which pages were written.
    assert_eq!(found(&|_| {}, Origin { boot: 8, ..ORIGIN }).0, Found::Damaged);
    assert_eq!(found(&|memory| memory.set_word(Word::Magic, 1), ORIGIN), (Found::Damaged, vec![]));
    assert_eq!(found(&|memory| memory.set_word(Word::State, u64::MAX), ORIGIN), (Found::Damaged, vec![]));
    assert_eq!(found(&|memory| memory.set_word(Word::Magic, 0), ORIGIN), (Found::New, vec![]));
    // It ended in good order before the machine did.
    journal.close();
    let (journal, found) = Journal::open(Mapped::new(&world), Origin { boot: 8, ..ORIGIN }, 0);
    assert_eq!((found, journal.bytes()), (other, &b"in hand"[..]));
}

/// Damages within a byte, one after the other, of words that say what is in hand, or where to write.
#[test]
fn a_damaged_byte_of_what_decides_is_noticed() {
    let world = World::new(&[b"one\nrest"]);
    let (mut journal, _) = Journal::open(Mapped::new(&world), ORIGIN, 0);
    journal.read(&mut world.clone()).unwrap();
    let place = Place { device: FILE.0, inode: FILE.1, at: 1000, length: 4 };
    journal.note(4, Counters::default(), place);
    // As it is while a read is under way.
    journal.memory().set_word(Word::Intent, seal(journal_number(&world) << 44 | 7));
    let note = [Word::NoteAt, Word::NoteLength, Word::NoteDevice, Word::NoteInode, Word::NoteNext, Word::NoteCheck];
    let counters: Vec<Word> = (0..COUNTERS).map(|counter| Word::Counter(0, counter)).collect();
    let words = [[Word::Magic, Word::State, Word::Intent, Word::Note].as_slice(), &note, &counters].concat();
    for (word, byte) in words.into_iter().flat_map(|word| (0..8).map(move |byte| (word, byte))) {
        for change in [1, 0x80, 0xff] {
            let copy = World::new(&[]);
            copy.0.borrow_mut().store(0, &world.0.borrow().memory[..offset(1, 0)]);
            let mut memory = Mapped::new(&copy);
            memory.set_word(word, memory.word(word) ^ change << (8 * byte));
            let (journal, found) = Journal::open(memory, ORIGIN, 0);
            assert_eq!((found, journal.bytes()), (Found::Damaged, &b""[..]), "{word:?}, byte {byte}, {change}");
        }
    }
}

fn journal_number(world: &World) -> u64 {
    State::unpack(Mapped::new(world).word(Word::State)).unwrap().number
}

#[test]
fn the_buffer_has_room_for_a_read_from_the_beginning() {
    let world = World::new(&[&vec![b'x'; SPACE_AT_FIRST]]);
    let (mut journal, _) = Journal::open(Mapped::new(&world), ORIGIN, 0);
    assert_eq!(journal.read(&mut world.clone()).unwrap(), SPACE_AT_FIRST / 2);
    assert!(!journal.is_full());
}
