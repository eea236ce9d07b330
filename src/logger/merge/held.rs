//! The beginning of a line that does not stay in its FIFO until the end comes.
//!
//! A FIFO has room for pages, not for bytes: writes of 2049 bytes fill it at half its size, and no look tells how many pages are
//! left. A writer that waits for room in the middle of a write wakes only those who have found the FIFO empty. So half a line that
//! is long, or that stays for a while, is taken out of it, and the FIFO is empty for what follows.
//!
//! It is taken into a journal beside the FIFO, as supervise-log takes its input: a KILL loses nothing of it. The journal is there as
//! long as the line is.

use crate::logger::journal::layout::{Counters, Cut, LINE_MAX};
use crate::logger::journal::steps::{Found, Journal, Origin};
use crate::logger::lines::form::Line;
use crate::logger::mapped::Mapped;
use crate::logger::run::random;
use crate::logger::trouble::{plain, say};
use crate::sys::fnv;
use crate::sys::logging::intake::Intake;
use crate::sys::time::boot_id;
use std::io;
use std::path::PathBuf;

/// What becomes of a line whose end is not in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// More of it will come.
    Comes,
    /// More of it will come, and finds no room here.
    FindsNoRoom,
    /// Nobody will write more of it.
    Ends,
}

/// What is in hand of one module.
#[derive(Debug)]
pub struct Held {
    /// Where the journal is made; `None` where another one may have it.
    dir: Option<PathBuf>,
    /// Device and inode of the FIFO.
    fifo: (u64, u64),
    journal: Option<Journal<Mapped>>,
    /// What is in hand came from a FIFO that is gone.
    is_of_another: bool,
}

impl Held {
    /// What the writer before has left in `dir` is in hand.
    pub fn new(dir: Option<PathBuf>, intake: &Intake) -> Held {
        let mut held = Held { dir, fifo: intake.file(), journal: None, is_of_another: false };
        if held.dir.as_deref().is_some_and(Mapped::is_in) {
            held.open();
        }
        held
    }

    fn open(&mut self) {
        let mapped = self.dir.as_deref().map(Mapped::open).and_then(|opened| match opened {
            Ok((memory, complaint)) => {
                complaint.iter().for_each(|text| say(text));
                Some(memory)
            }
            Err(error) => {
                say(&format!("{}; a KILL may lose the line that is in hand", plain(&error.to_string())));
                None
            }
        });
        let Some(memory) = mapped.or_else(|| Mapped::in_memory().ok()) else { return };
        let origin = Origin { boot: fnv::hash(boot_id().as_bytes()), input: self.fifo };
        let (mut journal, found) = Journal::open(memory, origin, random());
        self.is_of_another = matches!(found, Found::InHand { bytes: 1.., same_input: false });
        if !self.is_of_another {
            journal.set_input(self.fifo);
        }
        self.journal = Some(journal);
    }

    fn bytes(&self) -> &[u8] {
        self.journal.as_ref().map(Journal::bytes).unwrap_or_default()
    }

    fn goes_on(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.counters().cut == Cut::Kept)
    }

    /// Whether the next bytes of the FIFO belong to a line that has begun here.
    pub fn is_in_line(&self) -> bool {
        !self.bytes().is_empty() || self.goes_on()
    }

    /// Whether what is in hand is all of its line, for its FIFO is gone.
    pub fn is_of_another(&self) -> bool {
        self.is_of_another
    }

    /// Takes bytes out of the FIFO, which has so many of this line; what comes of the line then.
    ///
    /// # Errors
    /// What `read` gives.
    pub fn take(&mut self, intake: &mut Intake, mut count: usize) -> io::Result<Rest> {
        if self.journal.is_none() {
            self.open();
        }
        let journal = self.journal.as_mut().ok_or(io::ErrorKind::OutOfMemory)?;
        while count > 0 {
            match journal.read_up_to(intake, count)? {
                0 => return Ok(Rest::FindsNoRoom),
                taken => count -= taken,
            }
        }
        Ok(Rest::Comes)
    }

    /// What is to be written, and how many of the bytes in hand that are.
    pub fn next(&self, rest: Rest) -> Option<(Line<'_>, usize)> {
        let (bytes, goes_on) = (self.bytes(), self.goes_on());
        let line = bytes.strip_suffix(b"\n");
        if line.unwrap_or(bytes).len() > LINE_MAX {
            return Some((Line { bytes: &bytes[..LINE_MAX], goes_on, is_cut: true }, LINE_MAX));
        }
        match (line, rest) {
            (Some(line), _) => Some((Line { bytes: line, goes_on, is_cut: false }, bytes.len())),
            (None, Rest::Ends) if self.is_in_line() => Some((Line { bytes, goes_on, is_cut: false }, bytes.len())),
            (None, Rest::FindsNoRoom) if !bytes.is_empty() => {
                Some((Line { bytes, goes_on, is_cut: true }, bytes.len()))
            }
            (None, _) => None,
        }
    }

    /// So many bytes are written; `is_cut`: the line goes on behind them.
    pub fn written(&mut self, taken: usize, is_cut: bool) {
        if let Some(journal) = &mut self.journal {
            let cut = if is_cut { Cut::Kept } else { Cut::No };
            journal.pass(taken, Counters { cut, ..journal.counters() });
            if journal.bytes().is_empty() && std::mem::take(&mut self.is_of_another) {
                journal.set_input(self.fifo);
            }
        }
    }

    /// Nothing is in hand: the journal goes.
    pub fn close(&mut self) {
        if !self.is_in_line()
            && let Some(mut journal) = self.journal.take()
        {
            journal.memory().remove();
        }
    }
}
