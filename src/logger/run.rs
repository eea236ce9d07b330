//! The loop: read, write, wait.

use super::archive::keeper::Keeper;
use super::directory::Directory;
use super::journal::layout::{Counters, Cut, READ_MAX};
use super::journal::steps::{Found, Journal, Origin};
use super::lines::render::{Renderer, Room, Step, View};
use super::mapped::{JOURNAL, Mapped};
use super::pieces::Pieces;
use super::settings::{Full, Options, Said, Settings};
use super::svlogd;
use super::trouble::{Trouble, about, plain, say};
use crate::sys::files::file::child;
use crate::sys::fnv;
use crate::sys::logging::bus_error::begin_anew_on_bus_error;
use crate::sys::logging::intake::Intake;
use crate::sys::threads::poll::{PollSource, wait};
use crate::sys::threads::signals::Signals;
use crate::sys::time::{Mono, boot_id};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How often it is looked whether the files are still where they were, while lines come.
const CHECK: Duration = Duration::from_secs(1);

/// Signals are looked for after so many reads, so that they cost nothing and wait no more than milliseconds.
const READS_PER_LOOK: u32 = 16;

/// What the logger is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reading and writing.
    Runs,
    /// Told to end: so many bytes are still to be read.
    Drains(usize),
    /// Nobody writes any more.
    Ends,
}

/// What is written of the bytes in hand.
#[derive(Clone, Copy, Debug)]
enum What {
    /// What the renderer has made of them.
    Rendered,
    /// They themselves.
    AsTheyAre,
    /// One long line of them, rendered piece by piece.
    Long(Cut, View),
}

struct Logger {
    options: Options,
    settings: Settings,
    renderer: Renderer,
    directory: Directory,
    journal: Journal<Mapped>,
    intake: Intake,
    signals: Signals,
    keeper: Option<Keeper>,
    trouble: Trouble,
    /// A write that is noted may or may not have been done.
    is_unsettled: bool,
    /// What is in hand is of another input, and is written before anything is read.
    is_old_input: bool,
    checked_at: Option<Mono>,
    /// Why the file could not be renamed, and until when it just grows.
    grows_until: Option<Mono>,
    phase: Phase,
}

/// Reads standard input into the log in `dir`, until its end or TERM.
///
/// # Errors
/// Why it could not begin, or why it ended with bytes in hand.
pub fn run(options: Options, dir: &Path) -> Result<(), String> {
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGALRM];
    let signals = Signals::take(&signals).map_err(|errno| format!("cannot take signals: {}", errno.desc()))?;
    let journal = child(dir, JOURNAL);
    let text =
        format!("supervise-log: {}: somebody has cut it; beginning anew, without what was in it", journal.display());
    // Without it, the signal ends this process, as ever.
    let _ = begin_anew_on_bus_error(&text);
    let intake = Intake::standard_input().map_err(|error| unreadable(&error))?;
    let (settings, renderer) = options.settle(Said::default()).map_err(|error| error.to_string())?;
    let Some((directory, memory)) = open(dir, &signals)? else { return Ok(()) };
    let origin = Origin { boot: fnv::hash(boot_id().as_bytes()), input: intake.file() };
    let (journal, found) = Journal::open(memory, origin, random());
    if found == Found::Damaged {
        say(&format!("{}: the journal is damaged, or the machine went down; it is begun anew", dir.display()));
    }
    let mut logger = Logger {
        options,
        settings,
        renderer,
        directory,
        journal,
        intake,
        signals,
        keeper: None,
        trouble: Trouble::default(),
        is_unsettled: true,
        is_old_input: !matches!(found, Found::InHand { same_input: true, .. }),
        checked_at: None,
        grows_until: None,
        phase: Phase::Runs,
    };
    logger.read_config();
    logger.keeper = match Keeper::start(dir, logger.settings.old_files) {
        Ok(keeper) => Some(keeper),
        Err(error) => {
            say(&format!("no thread for old files: {error}; they stay as they are"));
            None
        }
    };
    loop {
        logger.work()?;
        let result = logger.end();
        if logger.phase == Phase::Ends && logger.has_more() {
            logger.phase = Phase::Runs;
            continue;
        }
        return result;
    }
}

/// Takes the directory and its journal, however long that takes; `None` if we are told to end first.
fn open(dir: &Path, signals: &Signals) -> Result<Option<(Directory, Mapped)>, String> {
    let mut trouble = Trouble::default();
    loop {
        let directory = Directory::take(dir)?;
        match Mapped::open(dir) {
            Ok((memory, complaint)) => {
                complaint.iter().for_each(|text| say(text));
                trouble.is_over(Mono::now());
                return Ok(Some((directory, memory)));
            }
            Err(error) => trouble.failed(&error, "nothing is read until then", Mono::now()),
        }
        drop(directory);
        wait([Some(PollSource::Readable(signals.as_fd()))], trouble.waits_until(Mono::now()));
        if matches!(signals.next(), Some(Signal::SIGTERM | Signal::SIGINT)) {
            return Ok(None);
        }
    }
}

impl Logger {
    /// Until the end of input, or until what was there at TERM is read.
    fn work(&mut self) -> Result<(), String> {
        let mut reads = 0;
        loop {
            let is_blocked = !self.write_lines();
            if is_blocked {
                if self.phase != Phase::Runs && self.settings.full == Full::Block && self.is_told_to_end() {
                    return Ok(());
                }
                self.wait_for_room();
                continue;
            }
            match self.phase {
                Phase::Ends => return Ok(()),
                Phase::Drains(0) => return Ok(()),
                Phase::Drains(_) | Phase::Runs => {}
            }
            reads += 1;
            if reads % READS_PER_LOOK == 0 {
                self.take_signals();
            }
            if self.intake.is_pipe() && self.read()? > 0 {
                continue;
            }
            if let Phase::Drains(_) = self.phase {
                return Ok(());
            }
            self.wait_for_input()?;
        }
    }

    fn is_told_to_end(&self) -> bool {
        matches!(self.phase, Phase::Drains(_))
    }

    fn read(&mut self) -> Result<usize, String> {
        let most = if let Phase::Drains(left) = self.phase { left } else { READ_MAX };
        let got = self.journal.read_up_to(&mut self.intake, most);
        let got = got.map_err(|error| unreadable(&error))?;
        if got > 0 {
            self.renderer.set_time(SystemTime::now());
        }
        if let Phase::Drains(left) = &mut self.phase {
            *left = left.saturating_sub(got);
        }
        Ok(got)
    }

    fn wait_for_input(&mut self) -> Result<(), String> {
        let deadline = self.deadline();
        let sources =
            [Some(PollSource::Readable(self.intake.as_fd())), Some(PollSource::Readable(self.signals.as_fd()))];
        let [input, signal] = wait(sources, deadline);
        if signal {
            self.take_signals();
        }
        if input && self.phase == Phase::Runs && self.read()? == 0 {
            self.phase = Phase::Ends;
        }
        if self.age_deadline().is_some_and(|at| at <= Mono::now()) {
            self.rotate();
        }
        Ok(())
    }

    /// When there is something to do without any input.
    fn deadline(&self) -> Option<Mono> {
        let counters = self.journal.counters();
        let next_try = self.trouble.waits_until(Mono::now());
        // Lines that were dropped are told of even if no other comes.
        let notice = next_try.filter(|_| counters.dropped > 0);
        let first = [self.age_deadline(), self.renderer.deadline(counters), notice].into_iter().flatten().min();
        // As long as nothing can be written, what is due stays due.
        first.max(first.and(next_try))
    }

    /// Nothing can be written: waits until it is worth another try, or a signal comes.
    fn wait_for_room(&mut self) {
        let until = self.trouble.waits_until(Mono::now());
        if let [true] = wait([Some(PollSource::Readable(self.signals.as_fd()))], until) {
            self.take_signals();
        }
    }

    fn take_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::SIGTERM | Signal::SIGINT => {
                    let left = if self.intake.is_pipe() { self.intake.available().unwrap_or(0) } else { 0 };
                    self.phase = Phase::Drains(left);
                }
                Signal::SIGHUP => {
                    if let (Some(file), Some(keeper)) = (self.directory.close(), &self.keeper) {
                        keeper.closed(file);
                    }
                    self.checked_at = None;
                    self.read_config();
                }
                Signal::SIGALRM => self.rotate(),
                _ => {}
            }
        }
    }

    fn read_config(&mut self) {
        let path = child(self.directory.path(), "config");
        let config = match svlogd::read(&path) {
            Ok(text) => {
                let (said, complaints) = svlogd::parse(&text);
                let shown = path.parent().unwrap_or(&path).display();
                complaints.iter().for_each(|complaint| say(&format!("{shown}/{complaint}")));
                said
            }
            Err(error) => return say(&format!("{}; what was read before holds", about(&path, "cannot read", &error))),
        };
        match self.options.settle(config) {
            Ok((settings, renderer)) => (self.settings, self.renderer) = (settings, renderer),
            // Each pattern was looked at before.
            Err(error) => say(&error.to_string()),
        }
        if let Some(keeper) = &self.keeper {
            keeper.look(Some(self.settings.old_files));
        }
    }

    /// Writes all whole lines; whether it could.
    fn write_lines(&mut self) -> bool {
        loop {
            let now = Mono::now();
            let result = match self.trouble.waits_until(now) {
                Some(_) if self.settings.full == Full::Drop && !self.is_unsettled => Ok(self.drop_lines(now)),
                Some(_) => return false,
                None => self.write_some(now),
            };
            match result {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let meanwhile = match self.settings.full {
                        Full::Block => "the service waits until it can be written",
                        Full::Drop => "lines are dropped and counted until it can be written",
                    };
                    self.trouble.failed(&error, meanwhile, now);
                }
            }
        }
        if self.is_old_input {
            self.is_old_input = false;
            self.journal.set_input(self.intake.file());
            let counters = Counters { cut: Cut::No, ..self.journal.counters() };
            self.journal.pass(0, counters);
        }
        true
    }

    /// One write at most; whether there may be more to do.
    fn write_some(&mut self, now: Mono) -> io::Result<bool> {
        if self.checked_at.is_none_or(|at| now.since(at) >= CHECK) {
            self.check()?;
            self.checked_at = Some(now);
        }
        if self.is_unsettled {
            self.journal.settle(&mut self.directory)?;
            self.is_unsettled = false;
        }
        let size = self.open_current()?;
        let left = match self.settings.size {
            0 => u64::MAX,
            most => most.saturating_sub(size),
        };
        let left = if self.grows_until.is_some_and(|until| until > now) { u64::MAX } else { left };
        let (view, counters) = (self.view(), self.journal.counters());
        let room = Room { left, is_empty: size == 0 };
        match self.renderer.step(self.journal.bytes(), counters, view, room, now) {
            Step::Wait => return Ok(false),
            Step::Rotate => {
                self.rotate();
                return Ok(true);
            }
            Step::Pass(taken, after) => {
                self.journal.pass(taken, after);
                return Ok(true);
            }
            Step::Write(taken, after) => self.write(taken, after, self.renderer.out().len() as u64, What::Rendered)?,
            Step::AsTheyAre(taken, after) => self.write(taken, after, taken as u64, What::AsTheyAre)?,
            Step::Long(taken, after, length) => {
                self.write(taken, after, length, What::Long(counters.cut, view))?;
            }
        }
        if size == 0 {
            self.journal.set_begun(unix_time());
        }
        self.trouble.is_over(now);
        Ok(true)
    }

    fn view(&mut self) -> View {
        View { is_last: self.is_old_input || self.phase == Phase::Ends, is_full: self.journal.is_full() }
    }

    /// The size of `current`, which is opened if it is not.
    fn open_current(&mut self) -> io::Result<u64> {
        let is_new = self.directory.open_current().is_none();
        let current = self.directory.current()?;
        let size = current.size();
        let begun = match (self.journal.begun(), size) {
            (0, 1..) if is_new => current.begun(),
            // Somebody has moved it away, or has emptied it: it has no first line that grows old.
            (1.., 0) => 0,
            (same, _) => same,
        };
        if begun != self.journal.begun() {
            self.journal.set_begun(begun);
        }
        Ok(size)
    }

    fn write(&mut self, taken: usize, after: Counters, length: u64, what: What) -> io::Result<()> {
        let current = self.directory.current()?;
        self.journal.note(taken, after, current.place(length));
        let result = match what {
            What::Rendered => current.append(self.renderer.out()),
            What::AsTheyAre => current.append(self.journal.bytes().get(..taken).unwrap_or_default()),
            What::Long(cut, view) => {
                let mut pieces = Pieces::new(current);
                self.renderer.write_long(self.journal.bytes(), cut, view, &mut pieces);
                pieces.end()
            }
        };
        if let Err(error) = result {
            // A part of it may be in the file. It is cut off now, so that no reader takes it for a line.
            self.is_unsettled = self.journal.settle(&mut self.directory).is_err();
            return Err(about(&child(self.directory.path(), "current"), "cannot write", &error));
        }
        self.journal.written();
        Ok(())
    }

    /// Takes what would be written out of hand, and counts its lines; whether there were any.
    fn drop_lines(&mut self, now: Mono) -> bool {
        let (view, before) = (self.view(), self.journal.counters());
        let room = Room { left: u64::MAX, is_empty: true };
        let (taken, after) = match self.renderer.step(self.journal.bytes(), before, view, room, now) {
            Step::Wait | Step::Rotate | Step::Write(0, _) => return false,
            Step::Pass(taken, after)
            | Step::Write(taken, after)
            | Step::AsTheyAre(taken, after)
            | Step::Long(taken, after, _) => (taken, after),
        };
        self.journal.pass(taken, Renderer::dropped(before, after));
        true
    }

    /// Closes `current` under the name of an old file, unless nothing is in it.
    fn rotate(&mut self) {
        let is_ours = self.open_current().is_ok() && !self.directory.close_if_moved();
        let is_known = is_ours && (self.is_unsettled || self.directory.measure().is_ok());
        if !is_known || !matches!(self.open_current(), Ok(1..)) {
            return;
        }
        match self.directory.rotate() {
            Ok(old) => {
                self.journal.set_begun(0);
                self.grows_until = None;
                if let (Some(old), Some(keeper)) = (old, &self.keeper) {
                    keeper.closed(old);
                }
            }
            Err(error) => {
                if self.grows_until.is_none() {
                    say(&format!("{error}; the file grows until it can be renamed"));
                }
                self.grows_until = Some(Mono::now() + CHECK);
                self.journal.set_begun(unix_time());
            }
        }
    }

    /// When `current` is old enough, if it ever is.
    fn age_deadline(&self) -> Option<Mono> {
        let begun = self.journal.begun();
        if self.settings.age.is_zero() || begun == 0 {
            return None;
        }
        // A clock that was set back makes no file older than it is allowed to become.
        let age = Duration::from_secs(unix_time().saturating_sub(begun)).min(self.settings.age);
        Some(Mono::now() + (self.settings.age - age))
    }

    /// Whether all files are still where they were; if not, they are made anew.
    fn check(&mut self) -> io::Result<()> {
        self.directory.take_lock()?;
        if self.directory.close_if_moved() {
            self.journal.set_begun(0);
        } else if !self.is_unsettled {
            // What is unsettled is told by the size.
            self.directory.measure()?;
        }
        if !self.is_unsettled && self.journal.memory().restore()? {
            say(&format!("{}: the journal was removed; it is made anew", self.directory.path().display()));
        }
        Ok(())
    }

    /// Whether somebody has begun to write into the FIFO anew, while old files were compressed, say.
    fn has_more(&self) -> bool {
        self.intake.is_pipe() && self.intake.available().is_ok_and(|bytes| bytes > 0)
    }

    fn end(&mut self) -> Result<(), String> {
        if let Some(file) = self.directory.close() {
            let _ = file.sync_all();
        }
        self.journal.close();
        if self.phase == Phase::Ends
            && let Some(keeper) = &self.keeper
        {
            keeper.finish();
        }
        let left = self.journal.bytes();
        let is_unwritten = match self.phase {
            Phase::Ends => !left.is_empty(),
            // Half a line is no trouble: the next logger ends it.
            Phase::Runs | Phase::Drains(_) => left.contains(&b'\n'),
        };
        if is_unwritten {
            return Err(format!("{} bytes could not be written; the next logger will do it", left.len()));
        }
        Ok(())
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("standard input: {}", plain(&error.to_string()))
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A number that no service can guess: the standard library's hash tables are seeded by the kernel.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
