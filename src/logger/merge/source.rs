//! One module's FIFO: whole lines are looked at, written, and then taken.

use super::output::{Fate, Output};
use crate::logger::lines::form::{Form, Format, Line};
use crate::logger::lines::render::lines;
use crate::logger::lines::stamp::{Clock, Stamp};
use crate::sys::logging::intake::Intake;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;
use std::time::SystemTime;

/// What is looked at at once, in bytes: as much as a FIFO holds.
pub const LOOK: usize = 64 * 1024;

/// What is written at once, in bytes, if no line is longer: a pipe takes so much whole.
const BATCH: usize = libc::PIPE_BUF;

/// A line is cut there, in bytes.
const LINE_MAX: usize = 1 << 20;

/// Half a line makes a FIFO look full when it leaves less than this, in bytes: a page that has begun takes no more.
const PAGE: usize = 4096;

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
    /// No whole line.
    Nothing,
    /// Nobody has it open any more.
    End,
}

/// A module's FIFO.
#[derive(Debug)]
pub struct Source {
    intake: Intake,
    form: Form,
    style: Style,
    capacity: usize,
    /// The beginning of a line that is longer than the FIFO.
    begun: Vec<u8>,
    /// Lines that nobody took.
    dropped: u64,
    clock: Clock,
    stamp: Vec<u8>,
}

/// Colours that can be told apart on black and on white.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

impl Source {
    /// The FIFO of the module called `name`, whose colour, if there are any, is the one with this number.
    ///
    /// # Errors
    /// What `fstat` gives.
    pub fn new(name: &str, intake: Intake, style: Style, number: usize) -> io::Result<Source> {
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
        Ok(Source { intake, form, style, capacity, begun: Vec::new(), dropped: 0, clock, stamp })
    }

    /// Writes the whole lines that are there; `buffer` has room for [`LOOK`] bytes.
    ///
    /// # Errors
    /// What `tee` and `read` give.
    pub fn pass_on(&mut self, buffer: &mut [u8], output: &mut Output) -> io::Result<Found> {
        let seen = match self.intake.peek(buffer) {
            Ok(0) => {
                self.write_end(output);
                return Ok(Found::End);
            }
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        let seen = buffer.get(..seen).unwrap_or_default();
        self.take_time();
        match seen.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => self.write_lines(seen.get(..=last).unwrap_or_default(), output).map(|()| Found::Lines),
            // It would never become whole.
            None if seen.len() + PAGE > self.capacity => self.begin_line(seen, output).map(|()| Found::Lines),
            None if self.is_left() => {
                self.begin_line(seen, output)?;
                self.write_end(output);
                Ok(Found::End)
            }
            None => Ok(Found::Nothing),
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
            self.render(line.strip_suffix(b"\n").unwrap_or(line), &mut next);
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

    fn render(&mut self, line: &[u8], into: &mut Vec<u8>) {
        let begun = std::mem::take(&mut self.begun);
        let whole;
        let bytes = if begun.is_empty() {
            line
        } else {
            whole = [&*begun, line].concat();
            &whole
        };
        self.form.write(Line { bytes, goes_on: false, is_cut: false }, &self.stamp, into);
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
        let mut away = [0; PAGE];
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

    fn begin_line(&mut self, seen: &[u8], output: &mut Output) -> io::Result<()> {
        self.begun.extend_from_slice(seen);
        self.take(seen.len())?;
        if self.begun.len() >= LINE_MAX {
            let (piece, mut text) = (std::mem::take(&mut self.begun), Vec::new());
            self.form.write(Line { bytes: &piece, goes_on: false, is_cut: true }, &self.stamp, &mut text);
            self.write(&text, 1, output);
        }
        Ok(())
    }

    /// The last line of a service may have no newline.
    fn write_end(&mut self, output: &mut Output) {
        if !self.begun.is_empty() {
            let mut text = Vec::new();
            self.render(b"", &mut text);
            self.write(&text, 1, output);
        }
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
    use crate::logger::settings::Full;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, read, write};
    use std::os::fd::OwnedFd;

    struct Stage {
        source: Source,
        output: Output,
        service: OwnedFd,
        reader: OwnedFd,
        buffer: Vec<u8>,
    }

    fn stage(style: Style) -> Stage {
        let (out, service) = pipe2(OFlag::O_CLOEXEC).unwrap();
        fcntl(&out, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let (reader, standard) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        let source = Source::new("web", Intake::new(out).unwrap(), style, 0).unwrap();
        Stage { source, output: Output::new(standard, Full::Block), service, reader, buffer: vec![0; LOOK] }
    }

    const TEXT: Style = Style { format: Format::Text, stamp: Stamp::None, colour: false };

    impl Stage {
        fn pass_on(&mut self) -> Found {
            self.source.pass_on(&mut self.buffer, &mut self.output).unwrap()
        }

        fn shown(&self) -> String {
            let mut bytes = vec![0; LOOK];
            let count = read(&self.reader, &mut bytes).unwrap_or(0);
            String::from_utf8_lossy(&bytes[..count]).into_owned()
        }
    }

    #[test]
    fn whole_lines_have_a_name_and_half_a_line_stays_where_it_is() {
        let mut stage = stage(TEXT);
        write(&stage.service, b"one\n\ntw").unwrap();
        assert_eq!((stage.pass_on(), stage.pass_on()), (Found::Lines, Found::Nothing));
        assert_eq!(stage.shown(), "web | one\nweb | \n");
        assert_eq!(stage.source.intake.available().unwrap(), 2, "for whoever comes after a KILL");
        write(&stage.service, b"o\n").unwrap();
        assert_eq!(stage.pass_on(), Found::Lines);
        assert_eq!(stage.shown(), "web | two\n");
        assert_eq!(stage.pass_on(), Found::Nothing);
    }

    #[test]
    fn the_last_line_may_have_no_end() {
        let mut stage = stage(TEXT);
        write(&stage.service, b"last words").unwrap();
        assert_eq!(stage.pass_on(), Found::Nothing);
        drop(std::mem::replace(&mut stage.service, pipe2(OFlag::O_CLOEXEC).unwrap().0));
        assert_eq!(stage.pass_on(), Found::End);
        assert_eq!(stage.shown(), "web | last words\n");
    }

    #[test]
    fn a_line_longer_than_the_pipe_is_one_line() {
        let mut stage = stage(TEXT);
        let long = vec![b'x'; LOOK];
        write(&stage.service, &long).unwrap();
        assert_eq!(stage.pass_on(), Found::Lines);
        assert_eq!(stage.shown(), "");
        write(&stage.service, b"y\n").unwrap();
        fcntl(&stage.reader, FcntlArg::F_SETPIPE_SZ(2 * LOOK as i32)).unwrap();
        assert_eq!(stage.pass_on(), Found::Lines);
        let shown = stage.shown() + &stage.shown();
        assert_eq!(shown, format!("web | {}y\n", "x".repeat(LOOK)));
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
