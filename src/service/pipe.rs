//! The pipe from a service to its logger: a named FIFO in the logger's status directory.
//!
//! It has a name because children open everything by path, and so that it outlives whichever side is being
//! restarted: somebody always holds it, and what was written into it waits there to be read.

use crate::status::StatusDir;
use crate::sys::files::fifo::{self, Ends, Fifo};
use crate::sys::files::file;
use crate::sys::handover;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::time::Mono;
use parking_lot::Mutex;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// What a shell, `env` and their like exit with when they cannot run a program.
const CANNOT_RUN: [ExitStatus; 2] = [ExitStatus::Code(126), ExitStatus::Code(127)];

/// A logger that ends within this time has not read anything that mattered.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The FIFO between a service and its logger, shared by their two supervisor threads.
pub struct LogPipe {
    dir: StatusDir,
    path: CString,
    held: Mutex<Held>,
    logger_pid: AtomicU32,
    /// The logger cannot be started.
    broken: AtomicBool,
    /// The last logger ended at once, and said that it could not run; and when the one of now was started.
    in_doubt: AtomicBool,
    logger_began: Mutex<Option<Mono>>,
    /// The pipe was full without a logger, and there has been none since.
    given_way: AtomicBool,
    on_logger_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
    on_release: OnceLock<Box<dyn Fn() + Send + Sync>>,
    released: AtomicBool,
    on_open: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for LogPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogPipe").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Held {
    fifo: Option<Fifo>,
    /// No more input is to come: only the reading end is kept, so that the logger sees the end of file.
    ended: bool,
}

impl LogPipe {
    /// The pipe into the logger whose status directory is `dir`; nothing is opened yet.
    pub fn new(dir: StatusDir) -> LogPipe {
        let path = file::c_path_or_empty(&dir.log_pipe());
        let held = Mutex::new(Held { fifo: None, ended: false });
        LogPipe {
            dir,
            path,
            held,
            logger_pid: AtomicU32::new(0),
            on_logger_change: OnceLock::new(),
            on_release: OnceLock::new(),
            released: AtomicBool::new(false),
            on_open: OnceLock::new(),
            broken: AtomicBool::new(false),
            in_doubt: AtomicBool::new(false),
            logger_began: Mutex::new(None),
            given_way: AtomicBool::new(false),
        }
    }

    /// The same, its FIFO held open by the program before us.
    pub fn inherit(dir: StatusDir, descriptor: OwnedFd) -> LogPipe {
        let pipe = LogPipe::new(dir);
        pipe.held.lock().fifo = Fifo::inherit(descriptor).ok();
        pipe
    }

    /// Says whether the FIFO stays open when the program is replaced, and returns its descriptor's number.
    pub fn keep_open(&self, keep: bool) -> Option<RawFd> {
        let held = self.held.lock();
        let fifo = held.fifo.as_ref()?;
        handover::keep_open(fifo, keep).ok()
    }

    /// Its path.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Makes sure that the FIFO is there and that we hold it.
    ///
    /// A FIFO that was removed is made anew. Its logger still reads the old one, to the end, for we let go of
    /// it; then it is restarted with the new one.
    ///
    /// # Errors
    /// What `mkdir`, `mkfifo` and `open` give; `InvalidInput` when something else has its name.
    pub fn ensure_open(&self) -> io::Result<()> {
        let mut held = self.held.lock();
        if held.fifo.as_ref().is_some_and(|fifo| fifo.is_at(&self.dir.log_pipe())) {
            return Ok(());
        }
        self.dir.make()?;
        let ends = if held.ended { Ends::Read } else { Ends::Both };
        held.fifo = Some(Fifo::open_or_make(&self.dir.log_pipe(), ends)?);
        if let Some(tell) = self.on_open.get() {
            tell();
        }
        Ok(())
    }

    /// No more input is to come: the logger reads what is left, and then the end of file.
    pub fn end_input(&self) {
        let mut held = self.held.lock();
        held.ended = true;
        // The reading end is opened before the old one is let go of: what was written is thrown away when
        // nobody has the FIFO open.
        let reading = Fifo::open_or_make(&self.dir.log_pipe(), Ends::Read).ok();
        held.fifo = reading;
    }

    /// Has `tell` called whenever the logger's pid changes.
    pub fn tell_when_logger_changes(&self, tell: impl Fn() + Send + Sync + 'static) {
        // There is one service at the other end, and it says so once.
        let _ = self.on_logger_change.set(Box::new(tell));
    }

    /// Has `tell` called whenever the FIFO is opened, or made anew.
    pub fn tell_when_opened(&self, tell: impl Fn() + Send + Sync + 'static) {
        // There is one reader that has to know, and it says so once.
        let _ = self.on_open.set(Box::new(tell));
    }

    /// Whether the one who reads it is the writer of the tree's standard output, which the tree runs without a pause.
    pub fn is_to_standard_output(&self) -> bool {
        self.on_open.get().is_some()
    }

    /// Has `tell` called when the service writes elsewhere from now on.
    pub fn tell_when_released(&self, tell: impl Fn() + Send + Sync + 'static) {
        // There is one logger at the other end, and it says so once.
        let _ = self.on_release.set(Box::new(tell));
    }

    /// The service writes elsewhere from now on.
    pub fn release(&self) {
        self.released.store(true, Ordering::Relaxed);
        if let Some(tell) = self.on_release.get() {
            tell();
        }
    }

    /// Whether the service writes elsewhere.
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    /// Notes the pid of the logger's run process, 0 when it is down.
    pub fn set_logger_pid(&self, pid: u32) {
        if pid > 0 && !self.is_in_doubt() {
            self.take_back();
        }
        if self.logger_pid.swap(pid, Ordering::Relaxed) != pid
            && let Some(tell) = self.on_logger_change.get()
        {
            tell();
        }
    }

    /// Notes that the logger has been started.
    pub fn note_logger_began(&self) {
        *self.logger_began.lock() = Some(Mono::now());
        self.broken.store(false, Ordering::Relaxed);
        let held = self.held.lock();
        if held.ended {
            // To one that has opened it after the last writer, poll(2) shows the end of input only when a writer comes and goes.
            let _ = fifo::send(&self.dir.log_pipe(), b"");
        }
    }

    /// Notes that the logger could not be started; `for_good` if nothing that passes is the reason.
    pub fn note_logger_failed(&self, for_good: bool) {
        self.broken.store(for_good, Ordering::Relaxed);
    }

    /// Notes how the logger has ended. One that says at once that it cannot run is no better than one that cannot be started.
    pub fn note_logger_ended(&self, status: ExitStatus) {
        let could_not_run = CANNOT_RUN.contains(&status) && self.logger_is_new();
        self.in_doubt.store(could_not_run, Ordering::Relaxed);
        self.broken.store(could_not_run, Ordering::Relaxed);
    }

    fn logger_is_new(&self) -> bool {
        self.logger_began.lock().is_some_and(|began| Mono::now().since(began) < AT_ONCE)
    }

    /// Whether the logger was started a moment ago, after one that could not run.
    fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed) && self.logger_is_new()
    }

    /// Whether there is no logger, and none can be started as things are.
    pub fn is_broken(&self) -> bool {
        let runs = self.logger_pid().is_some();
        if runs { self.is_in_doubt() } else { self.broken.load(Ordering::Relaxed) }
    }

    /// The logger is back.
    pub fn take_back(&self) {
        self.given_way.store(false, Ordering::Relaxed);
    }

    /// Notes that the pipe was full, and nobody there to read it.
    pub fn give_way(&self) {
        self.given_way.store(true, Ordering::Relaxed);
    }

    /// Whether the pipe was full without a logger, and there has been none since: a process that is started now is better off
    /// without it.
    pub fn has_given_way(&self) -> bool {
        self.given_way.load(Ordering::Relaxed)
    }

    /// Whether whoever writes into it has to wait.
    pub fn is_full(&self) -> bool {
        self.held.lock().fifo.as_ref().is_some_and(Fifo::is_full)
    }

    /// Whether nothing waits in it.
    pub fn is_empty(&self) -> bool {
        self.held.lock().fifo.as_ref().is_none_or(Fifo::is_empty)
    }

    /// Takes out what waits in it, in the place of its logger; 0 when there is nothing.
    pub fn take(&self, room: &mut [u8]) -> usize {
        self.held.lock().fifo.as_ref().map_or(0, |fifo| fifo.read(room))
    }

    /// The pid of the logger's run process, if it is up.
    pub fn logger_pid(&self) -> Option<u32> {
        Some(self.logger_pid.load(Ordering::Relaxed)).filter(|pid| *pid > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::threads::poll;
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;

    fn pipe() -> (tempfile::TempDir, LogPipe, std::path::PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::new(root.path().join("web/log"));
        let path = dir.log_pipe();
        (root, LogPipe::new(dir), path)
    }

    #[test]
    fn what_was_written_waits_for_the_reader_and_ends_when_told() {
        let (_root, pipe, path) = pipe();
        pipe.ensure_open().unwrap();
        pipe.ensure_open().unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(b"last words\n").unwrap();
        pipe.end_input();
        // As the logger's child does it: an open that waits for nobody.
        let mut options = std::fs::OpenOptions::new();
        let mut reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words\n");
    }

    #[test]
    fn a_logger_that_begins_after_the_end_of_its_input_sees_it_by_poll() {
        let (_root, pipe, path) = pipe();
        pipe.ensure_open().unwrap();
        pipe.end_input();
        let mut options = std::fs::OpenOptions::new();
        let reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let has_ended = || {
            let sources = [Some(poll::PollSource::Readable(std::os::fd::AsFd::as_fd(&reader)))];
            poll::wait(sources, Some(Mono::now())) == [true]
        };
        assert!(!has_ended(), "poll shows the end by itself");
        pipe.note_logger_began();
        assert!(has_ended());
    }

    #[test]
    fn a_removed_fifo_is_made_anew() {
        let (_root, pipe, path) = pipe();
        pipe.ensure_open().unwrap();
        std::fs::remove_file(&path).unwrap();
        pipe.ensure_open().unwrap();
        assert!(crate::sys::files::file::is_fifo(&path));
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let (_root, pipe, path) = pipe();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        assert_eq!(pipe.ensure_open().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
