//! The loop: names of modules from standard input, lines from their FIFOs, all of it to standard output.

use super::output::Output;
use super::source::{Found, HalfLine, LOOK, Source, Style};
use crate::logger::settings::Full;
use crate::logger::trouble::{about, plain, say};
use crate::status::StatusDir;
use crate::sys::files::file::child;
use crate::sys::files::flock::{Lock, LockError};
use crate::sys::logging::intake::Intake;
use crate::sys::logging::readiness::Readiness;
use crate::sys::process::pidfd::Pidfd;
use crate::sys::time::Mono;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Standard input among the FIFOs, which are numbered from 1.
const NAMES: u64 = 0;

/// How long half a line may stay in a FIFO. A writer that waits for room behind it is not seen; what is taken out of the FIFO goes
/// through a file.
const HALF_LINE: Duration = Duration::from_millis(200);

/// The file whose lock says who writes.
const LOCK: &str = "lock";

struct Merger {
    dir: PathBuf,
    style: Style,
    readiness: Readiness,
    names: Intake,
    /// The beginning of a name that is not there yet.
    partial: Vec<u8>,
    sources: BTreeMap<u64, Source>,
    /// The FIFOs that have half a line, and until when it stays there.
    half_lines: BTreeMap<u64, Mono>,
    next: u64,
    /// The number of each name that has come: neighbours have different colours, and a name keeps its own.
    numbers: BTreeMap<String, usize>,
    output: Output,
}

/// Writes the lines of the modules whose FIFOs are in `dir` until standard input ends.
///
/// # Errors
/// What the system has refused.
pub fn run(dir: &Path, style: Style, full: Full) -> Result<(), String> {
    let _lock = take_lock(dir)?;
    let mut merger = Merger::new(dir, style, full).map_err(|error| plain(&error.to_string()))?;
    merger.run().map_err(|error| plain(&error.to_string()))
}

/// One that an earlier tree has left is in the way: it may wait for a terminal that nobody looks at. What it has not
/// written is still in the FIFOs.
fn take_lock(dir: &Path) -> Result<Lock, String> {
    let path = child(dir, LOCK);
    match Lock::take(&path) {
        Ok(lock) => return Ok(lock),
        Err(LockError::Held(Some(holder))) => {
            if let Ok(process) = Pidfd::open(holder) {
                let _ = process.signal(libc::SIGKILL);
            }
        }
        Err(LockError::Held(None)) => {}
        Err(LockError::Io(error)) => return Err(about(&path, "cannot lock", &error).to_string()),
    }
    Lock::take(&path).map_err(|_| format!("{}: somebody else writes to standard output already", path.display()))
}

/// Standard output. A terminal that says that it has room may have less than a line takes: where lines are dropped, it is opened
/// anew, so as not to wait. (What others share is left as it is.)
fn standard_output(full: Full) -> io::Result<OwnedFd> {
    let standard = io::stdout();
    if full == Full::Drop && standard.is_terminal() {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        if let Ok(terminal) = options.open("/proc/self/fd/1") {
            return Ok(terminal.into());
        }
    }
    standard.as_fd().try_clone_to_owned()
}

impl Merger {
    fn new(dir: &Path, style: Style, full: Full) -> io::Result<Merger> {
        let names = Intake::standard_input()?;
        // Nobody but the tree has the other end, and nobody else this one.
        fcntl(names.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let readiness = Readiness::new()?;
        readiness.add(&names, NAMES)?;
        let output = Output::new(standard_output(full)?, full);
        let (dir, partial, next) = (dir.to_path_buf(), Vec::new(), NAMES + 1);
        let (sources, half_lines, numbers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Merger { dir, style, readiness, names, partial, sources, half_lines, next, numbers, output })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; LOOK];
        let mut ready = BTreeSet::new();
        loop {
            let next = self.half_lines.values().min().copied();
            if ready.is_empty() {
                self.output.end_line(self.readiness.as_fd(), next);
            }
            let wait = next.map(|at| at.since(Mono::now()));
            ready.extend(self.readiness.take(if ready.is_empty() { wait } else { Some(Duration::ZERO) })?);
            if ready.remove(&NAMES) && !self.take_names()? {
                return self.finish(&mut buffer);
            }
            let now = Mono::now();
            let due: Vec<u64> =
                self.half_lines.iter().filter(|(_, at)| **at <= now).map(|(number, _)| *number).collect();
            for number in due {
                self.pass_on(number, HalfLine::IsTaken, &mut buffer)?;
                ready.insert(number);
            }
            // Each in its turn: who writes much holds up nobody.
            for number in ready.clone() {
                if self.pass_on(number, HalfLine::Stays, &mut buffer)? != Found::Lines {
                    ready.remove(&number);
                }
            }
        }
    }

    fn pass_on(&mut self, number: u64, half: HalfLine, buffer: &mut [u8]) -> io::Result<Found> {
        let Some(source) = self.sources.get_mut(&number) else { return Ok(Found::Nothing) };
        let found = source.pass_on(half, buffer, &mut self.output)?;
        if found == Found::HalfLine {
            self.half_lines.entry(number).or_insert_with(|| Mono::now() + HALF_LINE);
        } else {
            self.half_lines.remove(&number);
        }
        if found == Found::End {
            self.sources.remove(&number);
        }
        Ok(found)
    }

    /// Takes the names that have come; false at their end.
    fn take_names(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        loop {
            match self.names.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(count) => self.partial.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let end = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let names: Vec<u8> = self.partial.drain(..end).collect();
        for name in String::from_utf8_lossy(&names).lines() {
            if let Err(error) = self.add(name) {
                say(&format!("{name}: its output cannot be read: {}", plain(&error.to_string())));
            }
        }
        Ok(true)
    }

    fn add(&mut self, name: &str) -> io::Result<()> {
        let place = StatusDir::of(&self.dir, name);
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(place.log_pipe())?;
        let intake = Intake::new(file.into())?;
        if !intake.is_pipe() {
            return Err(io::Error::other("it is no FIFO"));
        }
        let count = self.numbers.len();
        let number = *self.numbers.entry(name.to_string()).or_insert(count);
        // A FIFO that was removed may still be read to its end, and has the journal.
        let is_alone = self.sources.values().all(|source| source.number() != number);
        let source = Source::new(name, intake, self.style, number, is_alone.then(|| place.path()))?;
        self.readiness.add(&source, self.next)?;
        self.sources.insert(self.next, source);
        self.next += 1;
        Ok(())
    }

    /// Writes what is there, and no more: services may go on without a tree.
    fn finish(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for source in self.sources.values_mut() {
            while source.pass_on(HalfLine::Stays, buffer, &mut self.output)? == Found::Lines {}
        }
        Ok(())
    }
}
