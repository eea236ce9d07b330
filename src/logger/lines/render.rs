//! Many lines at once, as far as the memory for them and the room in the file go.

use super::form::{Count, Form, Format, Line, Sink};
use super::pattern::Rules;
use super::plain::Plain;
use super::rate::Rate;
use super::stamp::{Clock, Stamp};
use crate::logger::journal::layout::{Counters, Cut, LINE_MAX};
use crate::sys::time::Mono;
use memchr::memchr;
use std::time::SystemTime;

/// The most that is written at once, in bytes, but for one long line.
const OUT_MAX: usize = 128 * 1024;

/// A line of more bytes is written by itself, in pieces, so that it needs no memory of its size.
const LONG: usize = 32 * 1024;

/// What the caller does with the bytes in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no whole line.
    Wait,
    /// The next line is too long for what is left of the file.
    Rotate,
    /// So many bytes are done with, and nothing of them is written.
    Pass(usize, Counters),
    /// Write what [`Renderer::out`] holds; it stands for so many bytes.
    Write(usize, Counters),
    /// Write so many bytes as they are.
    AsTheyAre(usize, Counters),
    /// One long line, of so many bytes in hand, is so many bytes in the log.
    Long(usize, Counters, u64),
}

/// What the file still takes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes until its size is reached.
    pub left: u64,
    /// Nothing is in it yet: then one line fits, however long it is.
    pub is_empty: bool,
}

/// How to look at the bytes in hand.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// No more is to come: what has no newline is a line, too.
    pub is_last: bool,
    /// No more fits into the buffer: what has no newline is cut.
    pub is_full: bool,
}

/// Makes what is written out of what was read.
#[derive(Debug)]
pub struct Renderer {
    form: Form,
    stamp: Stamp,
    rules: Rules,
    rate: Rate,
    clock: Clock,
    plain: Plain,
    stamp_text: Vec<u8>,
    out: Vec<u8>,
    /// How many of the bytes in hand are known to have no newline.
    seen: usize,
}

/// Lines that were taken from the bytes in hand, and those of them that are not written.
struct Taken {
    bytes: usize,
    counters: Counters,
}

impl Taken {
    /// Whole lines, newlines included.
    fn add(&mut self, bytes: usize, lines: u64) {
        self.bytes += bytes;
        self.counters.bytes += bytes as u64;
        self.counters.lines += lines;
    }
}

impl Renderer {
    /// One for a log.
    pub fn new(form: Form, stamp: Stamp, rules: Rules, rate: u64) -> Renderer {
        let (clock, out) = (Clock::default(), Vec::with_capacity(OUT_MAX));
        let rate = Rate::new(rate);
        let (plain, stamp_text) = (Plain::default(), Vec::new());
        let mut renderer = Renderer { form, stamp, rules, rate, clock, plain, stamp_text, out, seen: 0 };
        renderer.set_time(SystemTime::now());
        renderer
    }

    /// Lines get this time from now on.
    pub fn set_time(&mut self, at: SystemTime) {
        self.clock.stamp(self.stamp, at, &mut self.stamp_text);
        if self.form.format == Format::Json && self.stamp_text.last() == Some(&b' ') {
            self.stamp_text.pop();
        }
        self.plain.set(&self.form, &self.stamp_text);
    }

    /// The rendered text, for writing.
    pub fn out(&self) -> &[u8] {
        &self.out
    }

    /// The next step for `bytes`, which have come since `counters`.
    pub fn step(&mut self, bytes: &[u8], counters: Counters, view: View, room: Room, now: Mono) -> Step {
        self.out.clear();
        let mut taken = Taken { bytes: 0, counters };
        self.say_what_is_missing(&mut taken.counters, now);
        let said = self.out.len();
        if !room.is_empty && said as u64 > room.left {
            return Step::Rotate;
        }
        let is_plain = self.form.is_plain() && self.rules.is_empty() && self.rate.is_off();
        if is_plain && said == 0 && counters.cut == Cut::No {
            let found = self.plain.as_they_are(bytes, self.seen.min(bytes.len()), room.left);
            if let Some((length, lines)) = found {
                taken.add(length, lines);
                self.seen = 0;
                return Step::AsTheyAre(taken.bytes, taken.counters);
            }
        }
        loop {
            if is_plain && taken.counters.cut == Cut::No && (taken.bytes > 0 || self.seen == 0) {
                let most = usize::try_from(room.left).unwrap_or(OUT_MAX).min(OUT_MAX);
                let (length, lines) = self.plain.append(&bytes[taken.bytes..], most, &mut self.out);
                taken.add(length, lines);
            }
            let rest = &bytes[taken.bytes..];
            let Some((line, consumed)) = self.next_line(rest, taken.counters.cut, view) else { break };
            let before = taken.counters;
            if !self.is_wanted(line, &mut taken.counters, now) {
                self.count(&mut taken, line, consumed);
                continue;
            }
            if line.bytes.len() > LONG {
                if taken.bytes > 0 || said > 0 {
                    return self.end_before(taken, before);
                }
                let mut count = Count::default();
                self.form.write(line, &self.stamp_text, &mut count);
                if !room.is_empty && count.0 > room.left {
                    self.rate.give_back();
                    return Step::Rotate;
                }
                self.count(&mut taken, line, consumed);
                return Step::Long(taken.bytes, taken.counters, count.0);
            }
            let length = self.out.len();
            if length + line.bytes.len() + self.form.frame(&self.stamp_text) > OUT_MAX {
                return self.end_before(taken, before);
            }
            self.form.write(line, &self.stamp_text, &mut self.out);
            let is_first = room.is_empty && length == 0;
            if self.out.len() as u64 > room.left && !is_first {
                self.out.truncate(length);
                let is_rotated = length == 0 && taken.bytes == 0;
                let step = self.end_before(taken, before);
                return if is_rotated { Step::Rotate } else { step };
            }
            self.count(&mut taken, line, consumed);
        }
        let step = self.end(taken);
        if step == Step::Wait {
            self.seen = bytes.len();
        }
        step
    }

    /// Writes the line that [`Step::Long`] is about into `sink`.
    pub fn write_long(&self, bytes: &[u8], cut: Cut, view: View, sink: &mut impl Sink) {
        if let Some((line, _)) = self.next_line(bytes, cut, view) {
            self.form.write(line, &self.stamp_text, sink);
        }
    }

    /// Leaves the last line for the next step.
    fn end_before(&mut self, taken: Taken, counters: Counters) -> Step {
        self.rate.give_back();
        self.end(Taken { counters, ..taken })
    }

    fn end(&mut self, taken: Taken) -> Step {
        self.seen = 0;
        match (taken.bytes, self.out.is_empty()) {
            (0, true) => Step::Wait,
            (bytes, true) => Step::Pass(bytes, taken.counters),
            (bytes, false) => Step::Write(bytes, taken.counters),
        }
    }

    #[inline]
    fn count(&mut self, taken: &mut Taken, line: Line<'_>, consumed: usize) {
        self.seen = 0;
        taken.bytes += consumed;
        let counters = &mut taken.counters;
        counters.bytes += consumed as u64;
        counters.lines += u64::from(!line.is_cut);
        if !line.is_cut {
            counters.cut = Cut::No;
        }
    }

    /// The line at the beginning of `bytes`, or a piece of it, and how many bytes it takes.
    #[inline]
    fn next_line<'a>(&self, bytes: &'a [u8], cut: Cut, view: View) -> Option<(Line<'a>, usize)> {
        let goes_on = cut != Cut::No;
        let from = self.seen.min(bytes.len());
        match memchr(b'\n', &bytes[from..]).map(|at| at + from) {
            Some(at) if at <= LINE_MAX => Some((Line { bytes: &bytes[..at], goes_on, is_cut: false }, at + 1)),
            None if bytes.is_empty() => None,
            None if bytes.len() <= LINE_MAX && view.is_last => {
                Some((Line { bytes, goes_on, is_cut: false }, bytes.len()))
            }
            None if bytes.len() <= LINE_MAX && !view.is_full => None,
            Some(_) | None => {
                let length = bytes.len().min(LINE_MAX);
                Some((Line { bytes: &bytes[..length], goes_on, is_cut: true }, length))
            }
        }
    }

    /// Whether a line is written; a piece of a line follows the first one.
    #[inline]
    fn is_wanted(&mut self, line: Line<'_>, counters: &mut Counters, now: Mono) -> bool {
        let wanted = match counters.cut {
            Cut::Kept => true,
            Cut::Passed => false,
            Cut::No if !self.rules.is_empty() && !self.rules.want(line.bytes) => false,
            Cut::No => {
                let takes = self.rate.takes(now);
                counters.suppressed += u64::from(!takes);
                counters.suppressed_ever += u64::from(!takes);
                takes
            }
        };
        if line.is_cut {
            counters.cut = if wanted { Cut::Kept } else { Cut::Passed };
        }
        wanted
    }

    /// Lines in place of those that are not there.
    fn say_what_is_missing(&mut self, counters: &mut Counters, now: Mono) {
        if counters.cut != Cut::No {
            return;
        }
        let dropped = std::mem::take(&mut counters.dropped);
        if dropped > 0 {
            self.say(&format!("supervise-log: {} dropped, they could not be written", lines(dropped)));
        }
        if counters.suppressed > 0 && self.rate.is_new_window(now) {
            let suppressed = std::mem::take(&mut counters.suppressed);
            self.say(&format!("supervise-log: {} left out, they were more than the rate allows", lines(suppressed)));
        }
    }

    fn say(&mut self, text: &str) {
        let line = Line { bytes: text.as_bytes(), goes_on: false, is_cut: false };
        self.form.write(line, &self.stamp_text, &mut self.out);
    }

    /// When it has to be said how many lines were above the rate, even if no more come.
    pub fn deadline(&self, counters: Counters) -> Option<Mono> {
        // Within a line that was cut, it cannot be said.
        self.rate.window_end().filter(|_| counters.suppressed > 0 && counters.cut == Cut::No)
    }

    /// Counts the lines of a step that could not be written as dropped.
    pub fn dropped(before: Counters, after: Counters) -> Counters {
        let lines = after.lines.saturating_sub(before.lines);
        let suppressed = after.suppressed_ever.saturating_sub(before.suppressed_ever);
        let dropped = lines.saturating_sub(suppressed);
        Counters {
            dropped: before.dropped + dropped,
            dropped_ever: after.dropped_ever + dropped,
            suppressed: before.suppressed + suppressed,
            ..after
        }
    }
}

/// `1 line`, or that many lines.
pub fn lines(count: u64) -> String {
    if count == 1 { "1 line".into() } else { format!("{count} lines") }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Dialect;
    use super::*;
    use std::time::Duration;

    const ROOMY: Room = Room { left: u64::MAX, is_empty: false };
    const NOW: Mono = Mono(Duration::from_secs(9));

    fn renderer(patterns: &[&str], rate: u64) -> Renderer {
        let patterns: Vec<Vec<u8>> = patterns.iter().map(|text| text.as_bytes().to_vec()).collect();
        let form = Form::new(Format::Text, b"> ".to_vec(), b"web", None);
        Renderer::new(form, Stamp::None, Rules::parse(&patterns, Dialect::Shell).unwrap(), rate)
    }

    fn text(renderer: &Renderer) -> &str {
        std::str::from_utf8(renderer.out()).unwrap()
    }

    #[test]
    fn whole_lines_are_taken_and_the_rest_waits() {
        let mut renderer = renderer(&["-no*"], 0);
        let step = renderer.step(b"one\nnone\n\ntwo", Counters::default(), View::default(), ROOMY, NOW);
        let counters = Counters { lines: 3, bytes: 10, ..Counters::default() };
        assert_eq!((step, text(&renderer)), (Step::Write(10, counters), "> one\n> \n"));
        assert_eq!(renderer.step(b"two", counters, View::default(), ROOMY, NOW), Step::Wait);
        let last = View { is_last: true, ..View::default() };
        let Step::Write(3, _) = renderer.step(b"two", counters, last, ROOMY, NOW) else { panic!() };
        assert_eq!(text(&renderer), "> two\n");
        assert_eq!(renderer.step(b"", counters, last, ROOMY, NOW), Step::Wait);
        let Step::Pass(6, _) = renderer.step(b"no\nno\n", counters, last, ROOMY, NOW) else { panic!() };
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_its_pieces_marked() {
        let mut renderer = renderer(&[], 0);
        let bytes = [vec![b'x'; LINE_MAX + 10], b"\nnext\n".to_vec()].concat();
        let view = View::default();
        let Step::Long(LINE_MAX, first, length) = renderer.step(&bytes, Counters::default(), view, ROOMY, NOW) else {
            panic!()
        };
        let mut long = Vec::new();
        renderer.write_long(&bytes, Cut::No, view, &mut long);
        assert_eq!((long.len() as u64, &long[..3], &long[long.len() - 7..]), (length, &b"> x"[..], &b"x[...]\n"[..]));
        assert_eq!((first.cut, first.lines), (Cut::Kept, 0));
        let Step::Write(16, second) = renderer.step(&bytes[LINE_MAX..], first, view, ROOMY, NOW) else { panic!() };
        assert_eq!(text(&renderer), "> [...]xxxxxxxxxx\n> next\n");
        assert_eq!((second.cut, second.lines), (Cut::No, 2));
        // One of exactly that length is not.
        let bytes = [vec![b'x'; LINE_MAX], b"\n".to_vec()].concat();
        let Step::Long(taken, counters, _) = renderer.step(&bytes, Counters::default(), view, ROOMY, NOW) else {
            panic!()
        };
        assert_eq!((taken, counters.cut), (bytes.len(), Cut::No));
        assert_eq!(renderer.step(&bytes[..LINE_MAX], Counters::default(), view, ROOMY, NOW), Step::Wait);
    }

    #[test]
    fn a_line_goes_into_the_file_that_has_room_for_it() {
        let mut renderer = renderer(&[], 0);
        let room = Room { left: 10, is_empty: false };
        let Step::Write(4, counters) = renderer.step(b"abc\ndef\n", Counters::default(), View::default(), room, NOW)
        else {
            panic!()
        };
        let none = Room { left: 4, is_empty: false };
        assert_eq!(renderer.step(b"def\n", counters, View::default(), none, NOW), Step::Rotate);
        let empty = Room { left: 4, is_empty: true };
        assert!(matches!(renderer.step(b"def\n", counters, View::default(), empty, NOW), Step::Write(4, _)));
    }

    #[test]
    fn what_is_above_the_rate_is_counted_and_said() {
        let mut renderer = renderer(&[], 1);
        let Step::Write(6, counters) = renderer.step(b"a\nb\nc\n", Counters::default(), View::default(), ROOMY, NOW)
        else {
            panic!()
        };
        assert_eq!((text(&renderer), counters.suppressed), ("> a\n", 2));
        assert_eq!(renderer.deadline(counters), Some(NOW + Duration::from_secs(1)));
        let later = NOW + Duration::from_secs(1);
        let Step::Write(0, counters) = renderer.step(b"", counters, View::default(), ROOMY, later) else { panic!() };
        assert_eq!(text(&renderer), "> supervise-log: 2 lines left out, they were more than the rate allows\n");
        assert_eq!((counters.suppressed, counters.suppressed_ever), (0, 2));
    }

    #[test]
    fn what_was_dropped_is_said_in_its_place() {
        let mut renderer = renderer(&[], 0);
        let before = Counters { dropped: 1, ..Counters::default() };
        let Step::Write(_, after) = renderer.step(b"a\nb\n", before, View::default(), ROOMY, NOW) else { panic!() };
        assert_eq!(text(&renderer), "> supervise-log: 1 line dropped, they could not be written\n> a\n> b\n");
        assert_eq!(after.dropped, 0);
        let dropped = Renderer::dropped(before, after);
        assert_eq!((dropped.dropped, dropped.dropped_ever, dropped.lines), (3, 2, 2));
    }

    /// All that is written for `bytes`, which come `chunk` at a time, into files of `size` bytes.
    fn all(renderer: &mut Renderer, bytes: &[u8], chunk: usize, size: usize) -> (Vec<u8>, Counters) {
        let (mut text, mut counters) = (Vec::new(), Counters::default());
        let (mut at, mut end, mut used) = (0, 0, 0);
        loop {
            let view = View { is_last: end == bytes.len(), is_full: false };
            let room = Room { left: (size - used.min(size)) as u64, is_empty: used == 0 };
            let before = text.len();
            match renderer.step(&bytes[at..end], counters, view, room, NOW) {
                Step::Wait if end == bytes.len() => return (text, counters),
                Step::Wait => end = bytes.len().min(end + chunk),
                Step::Rotate => {
                    used = 0;
                    text.extend_from_slice(b"~");
                    continue;
                }
                Step::Pass(taken, after) => (at, counters) = (at + taken, after),
                Step::Write(taken, after) => {
                    text.extend_from_slice(renderer.out());
                    (at, counters) = (at + taken, after);
                }
                Step::AsTheyAre(taken, after) => {
                    text.extend_from_slice(&bytes[at..at + taken]);
                    (at, counters) = (at + taken, after);
                }
                Step::Long(taken, after, _) => {
                    renderer.write_long(&bytes[at..end], counters.cut, view, &mut text);
                    (at, counters) = (at + taken, after);
                }
            }
            used += text.len() - before;
        }
    }

    proptest::proptest! {
        /// Both ways to make lines: the fast one, and that of which more is asked.
        #[test]
        fn it_makes_no_difference_that_nothing_more_is_asked(
            lines in proptest::collection::vec("[a-z\"]{0,12}", 0..40), long in 0usize..3, chunk in 1usize..60,
            size in 20usize..400, json: bool, prefix in "(w: )?",
        ) {
            let long = "x".repeat(long * 20_000);
            let bytes = lines.join("\n").into_bytes().into_iter().chain(long.into_bytes()).chain(*b"\nrest").collect::<Vec<u8>>();
            let format = if json { Format::Json } else { Format::Text };
            let form = Form::new(format, prefix.clone().into_bytes(), b"web", None);
            let renderer = |rules: &[Vec<u8>]| {
                let mut renderer = Renderer::new(form.clone(), Stamp::None, Rules::parse(rules, Dialect::Shell).unwrap(), 0);
                renderer.stamp_text.clear();
                renderer.plain.set(&renderer.form, &renderer.stamp_text);
                renderer
            };
            let fast = all(&mut renderer(&[]), &bytes, chunk, size);
            let other = all(&mut renderer(&[b"-never".to_vec()]), &bytes, chunk, size);
            proptest::prop_assert_eq!(fast, other);
        }
    }

    #[test]
    fn more_lines_than_fit_into_memory_take_several_steps() {
        let mut renderer = renderer(&[], 0);
        let bytes = vec![b'\n'; 100_000];
        let (mut at, mut counters, mut steps) = (0, Counters::default(), 0);
        while let Step::Write(taken, after) = renderer.step(&bytes[at..], counters, View::default(), ROOMY, NOW) {
            (at, counters, steps) = (at + taken, after, steps + 1);
        }
        assert_eq!((at, counters.lines), (100_000, 100_000));
        assert!(steps > 1);
    }
}
