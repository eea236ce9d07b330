//! One module's FIFO: whole lines are looked at, written, and then taken.

use super::held::{Held, Rest};
use super::output::{Fate, Output};
use crate::logger::lines::form::{Form, Format, Line};
use crate::logger::lines::render::lines;
use crate::logger::lines::stamp::{Clock, Stamp};
use crate::sys::logging::intake::Intake;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::SystemTime;

/// What is looked at at once, in bytes: as much as a FIFO holds.
pub const LOOK: usize = 64 * 1024;

/// What is written at once, in bytes, if no line is longer: a pipe takes so much whole.
const BATCH: usize = libc::PIPE_BUF;

/// What is taken is read in pieces of this size, in bytes.
const PIECE: usize = 4096;

/// Half a line that takes one part in so many of a FIFO does not stay there.
const LONG: usize = 4;

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Text or JSON.
    pub format: Format,
    /// How time is written in text.
    pub stamp: Stamp,
    /// The names have colours.
    pub colour: bool,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Lines; there may be more.
    Lines,
    /// Half a line, and it stays where it is.
    HalfLine,
    /// Nothing.
    Nothing,
    /// Nobody has it open any more.
    End,
}

/// What becomes of half a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfLine {
    /// It may stay in the FIFO, if it is not long.
    Stays,
    /// It is taken out: somebody may wait for room, unseen.
    IsTaken,
}

/// A module's FIFO.
#[derive(Debug)]
pub struct Source {
    intake: Intake,
    form: Form,
    style: Style,
    /// The number of the module's name.
    number: usize,
    capacity: usize,
    held: Held,
    /// Lines that nobody took.
    dropped: u64,
    clock: Clock,
    stamp: Vec<u8>,
}

/// Colours that can be told apart on black and on white.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

impl Source {
    /// The FIFO of the module called `name`, whose colour, if there are any, is the one with this number. Half a line is kept in
    /// `dir`, or, without one, in memory that a KILL takes.
    ///
    /// # Errors
    /// What `fstat` gives.
    pub fn new(name: &str, intake: Intake, style: Style, number: usize, dir: Option<&Path>) -> io::Result<Source> {
        let capacity = fcntl(intake.as_fd(), FcntlArg::F_GETPIPE_SZ)?;
        let prefix = match style.format {
            Format::Json => Vec::new(),
            Format::Text if style.colour => {
                let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or(39);
                format!("\x1b[{colour}m{name} |\x1b[0m ").into_bytes()
            }
            Format::Text => format!("{name} | ").into_bytes(),
        };
        let form = Form::new(style.format, prefix, name.as_bytes(), None);
        let capacity = usize::try_from(capacity).unwrap_or(LOOK).min(LOOK);
        let (clock, stamp) = (Clock::default(), Vec::new());
        let held = Held::new(dir.map(Path::to_owned), &intake);
        Ok(Source { intake, form, style, number, capacity, held, dropped: 0, clock, stamp })
    }

    /// The number of the module's name.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Writes the whole lines that are there; `buffer` has room for [`LOOK`] bytes.
    ///
    /// # Errors
    /// What `tee` and `read` give.
    pub fn pass_on(&mut self, half: HalfLine, buffer: &mut [u8], output: &mut Output) -> io::Result<Found> {
        if self.held.is_of_another() {
            self.write_held(Rest::Ends, output);
        }
        let seen = match self.intake.peek(buffer) {
            Ok(0) => {
                self.write_held(Rest::Ends, output);
                self.held.close();
                return Ok(Found::End);
            }
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.held.close();
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(error),
        };
        let seen = buffer.get(..seen).unwrap_or_default();
        if self.held.is_in_line() {
            let end = seen.iter().position(|byte| *byte == b'\n').map_or(seen.len(), |at| at + 1);
            return self.hold(end, output).map(|()| Found::Lines);
        }
        match seen.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                self.take_time();
                self.write_lines(seen.get(..=last).unwrap_or_default(), output).map(|()| Found::Lines)
            }
            None if half == HalfLine::IsTaken || self.is_long() || self.is_left() => {
                self.hold(seen.len(), output).map(|()| Found::Lines)
            }
            None => Ok(Found::HalfLine),
        }
    }

    /// Whether much is in the FIFO. (A look may see less of it than there is.)
    fn is_long(&self) -> bool {
        self.intake.available().is_ok_and(|bytes| bytes >= self.capacity / LONG)
    }

    /// Takes so many bytes of a line out of the FIFO, and writes what can be written by then.
    fn hold(&mut self, count: usize, output: &mut Output) -> io::Result<()> {
        let rest = self.held.take(&mut self.intake, count)?;
        self.write_held(rest, output);
        Ok(())
    }

    fn write_held(&mut self, rest: Rest, output: &mut Output) {
        self.take_time();
        while let Some((line, taken)) = self.held.next(rest) {
            let (is_cut, mut text) = (line.is_cut, Vec::new());
            self.form.write(line, &self.stamp, &mut text);
            self.write(&text, 1, output);
            self.held.written(taken, is_cut);
        }
    }

    /// Whether nobody is there any more who could write.
    fn is_left(&self) -> bool {
        let mut entries = [PollFd::new(self.intake.as_fd(), PollFlags::POLLIN)];
        let asked = poll(&mut entries, PollTimeout::ZERO);
        asked.is_ok() && entries[0].revents().is_some_and(|what| what.contains(PollFlags::POLLHUP))
    }

    fn take_time(&mut self) {
        let now = SystemTime::now();
        match self.style.format {
            Format::Text => self.clock.stamp(self.style.stamp, now, &mut self.stamp),
            Format::Json => {
                self.stamp.clear();
                self.clock.time(self.style.stamp == Stamp::Utc, now, &mut self.stamp);
            }
        }
    }

    fn write_lines(&mut self, lines: &[u8], output: &mut Output) -> io::Result<()> {
        let (mut batch, mut taken, mut count) = (Vec::with_capacity(BATCH), 0, 0);
        let mut next = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            next.clear();
            let bytes = line.strip_suffix(b"\n").unwrap_or(line);
            self.form.write(Line { bytes, goes_on: false, is_cut: false }, &self.stamp, &mut next);
            if !batch.is_empty() && batch.len() + next.len() > BATCH {
                self.write(&batch, count, output);
                self.take(taken)?;
                (taken, count) = (0, 0);
                batch.clear();
            }
            batch.extend_from_slice(&next);
            (taken, count) = (taken + line.len(), count + 1);
        }
        self.write(&batch, count, output);
        self.take(taken)
    }

    fn write(&mut self, batch: &[u8], count: u64, output: &mut Output) {
        if self.dropped > 0 {
            let mut notice = Vec::new();
            let text = format!("supervise-log: {} dropped here, for nobody took them", lines(self.dropped));
            let line = Line { bytes: text.as_bytes(), goes_on: false, is_cut: false };
            self.form.write(line, &self.stamp, &mut notice);
            if output.write(&notice) == Fate::Written {
                self.dropped = 0;
            }
        }
        if self.dropped > 0 || output.write(batch) == Fate::Dropped {
            self.dropped += count;
        }
    }

    /// Takes what is written out of the FIFO.
    fn take(&self, mut count: usize) -> io::Result<()> {
        let mut away = [0; PIECE];
        while count > 0 {
            let most = count.min(away.len());
            let read = self.intake.read(away.get_mut(..most).unwrap_or_default())?;
            if read == 0 {
                return Ok(());
            }
            count -= read;
        }
        Ok(())
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.intake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logger::mapped::Mapped;
    use crate::logger::settings::Full;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, write};
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt;

    struct Stage {
        source: Source,
        dir: tempfile::TempDir,
        fifo: OwnedFd,
        style: Style,
        output: Output,
        service: OwnedFd,
        reader: File,
        shown: u64,
        buffer: Vec<u8>,
    }

    fn stage(style: Style) -> Stage {
        let (fifo, service) = pipe2(OFlag::O_CLOEXEC).unwrap();
        fcntl(&fifo, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let reader = tempfile::tempfile().unwrap();
        let standard = reader.try_clone().unwrap().into();
        let dir = tempfile::tempdir().unwrap();
        let intake = Intake::new(fifo.try_clone().unwrap()).unwrap();
        let source = Source::new("web", intake, style, 0, Some(dir.path())).unwrap();
        let output = Output::new(standard, Full::Block);
        Stage { source, dir, fifo, style, output, service, reader, shown: 0, buffer: vec![0; LOOK] }
    }

    const TEXT: Style = Style { format: Format::Text, stamp: Stamp::None, colour: false };

    impl Stage {
        fn pass_on(&mut self) -> Found {
            self.source.pass_on(HalfLine::Stays, &mut self.buffer, &mut self.output).unwrap()
        }

        fn take_half_a_line(&mut self) -> Found {
            self.source.pass_on(HalfLine::IsTaken, &mut self.buffer, &mut self.output).unwrap()
        }

        /// KILL, and the next writer.
        fn begin_anew(&mut self) {
            let intake = Intake::new(self.fifo.try_clone().unwrap()).unwrap();
            self.source = Source::new("web", intake, self.style, 0, Some(self.dir.path())).unwrap();
        }

        /// What has come since the last time.
        fn shown(&mut self) -> String {
            let mut bytes = vec![0; usize::try_from(self.reader.metadata().unwrap().len() - self.shown).unwrap()];
            self.reader.read_exact_at(&mut bytes, self.shown).unwrap();
            self.shown += bytes.len() as u64;
            String::from_utf8(bytes).unwrap()
        }
    }

    #[test]
    fn whole_lines_have_a_name_and_half_a_line_stays_where_it_is() {
        let mut stage = stage(TEXT);
        write(&stage.service, b"one\n\ntw").unwrap();
        assert_eq!((stage.pass_on(), stage.pass_on()), (Found::Lines, Found::HalfLine));
        assert_eq!(stage.shown(), "web | one\nweb | \n");
        assert_eq!(stage.source.intake.available().unwrap(), 2, "for whoever comes after a KILL");
        write(&stage.service, b"o\n").unwrap();
        assert_eq!(stage.pass_on(), Found::Lines);
        assert_eq!(stage.shown(), "web | two\n");
        assert_eq!(stage.pass_on(), Found::Nothing);
    }

    #[test]
    fn half_a_line_that_is_taken_out_is_for_whoever_comes_after_a_kill() {
        let mut stage = stage(TEXT);
        write(&stage.service, b"ha").unwrap();
        assert_eq!((stage.take_half_a_line(), stage.pass_on()), (Found::Lines, Found::Nothing));
        stage.begin_anew();
        write(&stage.service, b"lf\nnext\n").unwrap();
        assert_eq!((stage.pass_on(), stage.pass_on(), stage.pass_on()), (Found::Lines, Found::Lines, Found::Nothing));
        assert_eq!(stage.shown(), "web | half\nweb | next\n");
        assert!(!Mapped::is_in(stage.dir.path()), "it is not needed any more");
        // A FIFO that is gone takes the end of its line along.
        write(&stage.service, b"torn").unwrap();
        stage.take_half_a_line();
        let (fifo, service) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        (stage.fifo, stage.service) = (fifo, service);
        stage.begin_anew();
        write(&stage.service, b"new\n").unwrap();
        assert_eq!((stage.pass_on(), stage.pass_on()), (Found::Lines, Found::Nothing));
        assert_eq!(stage.shown(), "web | torn\nweb | new\n");
    }

    #[test]
    fn the_last_line_may_have_no_end() {
        let mut stage = stage(TEXT);
        write(&stage.service, b"last words").unwrap();
        assert_eq!(stage.pass_on(), Found::HalfLine);
        drop(std::mem::replace(&mut stage.service, pipe2(OFlag::O_CLOEXEC).unwrap().0));
        assert_eq!((stage.pass_on(), stage.pass_on()), (Found::Lines, Found::End));
        assert_eq!(stage.shown(), "web | last words\n");
    }

    /// A service writes a line of `length` bytes and a short one, in pieces of `piece` bytes, and is blocked wherever it must; the
    /// writer is killed after every `kill` looks. What is shown.
    fn written(style: Style, length: usize, piece: usize, kill: usize) -> String {
        let mut stage = stage(style);
        let mut service = File::from(stage.service.try_clone().unwrap());
        let writing = std::thread::spawn(move || {
            let line = [&vec![b'x'; length][..], b"\nafter\n"].concat();
            line.chunks(piece).for_each(|piece| service.write_all(piece).unwrap());
        });
        let (mut shown, mut looks) = (String::new(), 0);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !writing.is_finished() || stage.source.intake.available().unwrap() > 0 {
            assert!(std::time::Instant::now() < deadline, "the service is blocked: {length} {piece}");
            looks += 1;
            if looks % kill == 0 {
                stage.begin_anew();
            }
            if stage.pass_on() != Found::Lines {
                std::thread::yield_now();
            }
            shown += &stage.shown();
        }
        writing.join().unwrap();
        while stage.pass_on() == Found::Lines {}
        shown + &stage.shown()
    }

    #[test]
    fn a_line_longer_than_the_pipe_is_one_line_whatever_it_is_written_in() {
        for piece in [1000, 2049, 3000, 4095, 4096, 4097, 65_536, 1 << 20] {
            for (length, kill) in [(30_000, 1), (90_000, 3), (200_000, usize::MAX)] {
                let shown = written(TEXT, length, piece, kill);
                assert_eq!(shown, format!("web | {}\nweb | after\n", "x".repeat(length)), "{length} {piece}");
            }
        }
        assert_eq!(written(TEXT, 20_000, 1, 7), format!("web | {}\nweb | after\n", "x".repeat(20_000)));
    }

    #[test]
    fn a_line_of_more_than_a_mebibyte_comes_in_pieces_that_are_marked() {
        let shown = written(TEXT, 3_000_000, 3000, 5);
        let lines: Vec<&str> = shown.lines().collect();
        let lengths: Vec<usize> = lines.iter().map(|line| line.matches('x').count()).collect();
        assert_eq!(lengths, [1 << 20, 1 << 20, 3_000_000 - (2 << 20), 0]);
        let marks = lines.iter().map(|line| (line.starts_with("web | [...]x"), line.ends_with("x[...]")));
        assert_eq!(marks.collect::<Vec<_>>(), [(false, true), (true, true), (true, false), (false, false)]);
        let shown = written(Style { format: Format::Json, ..TEXT }, 3_000_000, 65_536, usize::MAX);
        let lines = shown.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let parts: Vec<bool> = lines.map(|line| line["part"] == true).collect();
        assert_eq!(parts, [true, true, true, false]);
    }

    #[test]
    fn json_has_time_module_and_line() {
        let mut stage = stage(Style { format: Format::Json, ..TEXT });
        write(&stage.service, b"a \"b\"\n").unwrap();
        assert_eq!(stage.pass_on(), Found::Lines);
        let value: serde_json::Value = serde_json::from_str(&stage.shown()).unwrap();
        assert_eq!((&value["module"], &value["line"]), (&"web".into(), &"a \"b\"".into()));
        assert!(value["time"].as_str().unwrap().starts_with("20"));
    }
}
