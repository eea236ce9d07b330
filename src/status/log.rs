//! `supervise.log` (NOTICE) and `supervise.log.wf` (WARNING and FATAL): one event a line.
//!
//! The files are opened for each line and not held: that costs microseconds, saves two descriptors for each
//! service, and a file that was removed, rotated or on a full disk is simply tried again: with the next line, or when whoever has
//! the log asks for it.

use super::StatusDir;
use crate::sys::files::file;
use crate::sys::terminal::console;
use crate::sys::terminal::escape::Escaping;
use crate::sys::{errno_text, time};
use chrono::{Datelike, Timelike};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// A log past this size, in bytes, is renamed to `.1` before the next line.
pub const ROTATE_AT: u64 = 16 * 1024 * 1024;

/// Room for a usual line, in bytes.
const LINE: usize = 128;

/// Lines that could not be written are kept up to this size, in bytes, for the next try; then the oldest go.
const BACKLOG_MAX: usize = 16 * 1024;

/// How much of what is logged is said on standard error, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Echo {
    /// Nothing.
    Nothing,
    /// WARNING and FATAL.
    Warnings,
    /// All.
    All,
}

/// A module's log, or the tree's own.
///
/// To be used through the `log` crate's macros: `info!(logger: log, …)` is a NOTICE, `warn!` a WARNING,
/// `error!` FATAL. All logs share what composes the lines: thousands of them would each hold it, and most are silent most of
/// the time.
#[derive(Clone)]
pub struct Log(Arc<Sinks>);

/// The two files, and how they are written to.
struct Sinks {
    dir: StatusDir,
    name: String,
    echo: Echo,
    notice: Mutex<Sink>,
    trouble: Mutex<Sink>,
    /// Is told when a line could not be written.
    behind: OnceLock<Sender<()>>,
}

impl Log {
    /// The log in `dir`, echoed on standard error with `name` in front of each line if it is not empty.
    pub fn new(dir: &StatusDir, name: &str, echo: Echo) -> Log {
        log::set_max_level(log::LevelFilter::Info);
        let (notice, trouble) = (Mutex::new(Sink::new(StatusDir::log)), Mutex::new(Sink::new(StatusDir::log_wf)));
        Log(Arc::new(Sinks {
            dir: dir.clone(),
            name: name.to_string(),
            echo,
            notice,
            trouble,
            behind: OnceLock::new(),
        }))
    }

    /// Makes both files, and tells of one that cannot be written on standard error and in the other one.
    pub fn make_files(&self) {
        let dir = &self.0.dir;
        for (sink, other) in [(&self.0.notice, &self.0.trouble), (&self.0.trouble, &self.0.notice)] {
            let path = (sink.lock().path)(dir);
            if let Err((_, error)) = append(dir, &path, b"") {
                let line = cannot_write(dir, &path, &error);
                console::line(&line);
                sink.lock().failing = true;
                other.lock().write(line, dir);
            }
        }
    }

    /// Has `behind` told when a line could not be written, whichever thread it came from; one message stands for all that wait.
    pub fn tell_when_behind(&self, behind: Sender<()>) {
        let _ = self.0.behind.set(behind);
    }

    /// Tries again to write the lines that could not be written. Whether none is left.
    pub fn catch_up(&self) -> bool {
        [&self.0.trouble, &self.0.notice].map(|sink| sink.lock().catch_up(&self.0.dir)) == [true, true]
    }

    /// Has `write` log lines that are written together: each file is opened once for all of them.
    pub fn together(&self, write: impl FnOnce()) {
        // What is wrong first: a notice often says what became of it.
        let sinks = [&self.0.trouble, &self.0.notice];
        sinks.iter().for_each(|sink| sink.lock().held = true);
        write();
        sinks.iter().for_each(|sink| sink.lock().release(&self.0.dir));
    }
}

thread_local! {
    /// The log that this thread is writing a line to. [`composer`] is one for all logs, and what it hands on is a record that
    /// does not say to which log it belongs.
    static DESTINATION: Cell<Option<Log>> = const { Cell::new(None) };
}

/// fern's dispatch, which composes the lines of all logs and hands each to the thread's [`DESTINATION`].
fn composer() -> &'static dyn log::Log {
    static COMPOSER: OnceLock<Box<dyn log::Log>> = OnceLock::new();
    let make = || {
        let (_, composer) = fern::Dispatch::new()
            .level(log::LevelFilter::Info)
            .format(|out, message, record| out.finish(format_args!("{}", compose(record.level(), message))))
            .chain(fern::Output::call(|record| {
                if let Some(log) = DESTINATION.take() {
                    log.0.take(record);
                }
            }))
            .into_log();
        composer
    };
    &**COMPOSER.get_or_init(make)
}

impl Sinks {
    fn take(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        let serious = record.level() <= log::Level::Warn;
        if self.echo == Echo::All || (self.echo == Echo::Warnings && serious) {
            let (stamp, text) = line.split_at_checked(prefix_length(record.level())).unwrap_or(("", &line));
            match self.name.as_str() {
                "" => console::line(&line),
                name => console::line(&format!("{stamp}{}: {text}", name.escape_debug())),
            }
        }
        let mut sink = if serious { &self.trouble } else { &self.notice }.lock();
        sink.write(line, &self.dir);
        if let (true, Some(behind)) = (sink.failing, self.behind.get()) {
            // Full: it has not been heard of the last one yet.
            let _ = behind.try_send(());
        }
    }
}

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::LevelFilter::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        DESTINATION.set(Some(self.clone()));
        composer().log(record);
    }

    fn flush(&self) {}
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// `[LEVEL] YYYY-MM-DD HH:MM:SS MESSAGE`, with whatever would break the line escaped.
fn compose(level: log::Level, message: &std::fmt::Arguments<'_>) -> String {
    let mut line = String::with_capacity(LINE);
    // Writing into a String does not fail.
    let _ = write!(line, "[{}] {} ", level_name(level), Stamp(SystemTime::now()));
    let _ = write!(Escaping(&mut line), "{message}");
    line
}

/// The C program's words for the levels. FATAL is not the end of the program: a service is given up, or we have made a
/// mistake, and a person has to look.
fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "FATAL",
        log::Level::Warn => "WARNING",
        _ => "NOTICE",
    }
}

/// How many bytes of a line stand before its message.
fn prefix_length(level: log::Level) -> usize {
    level_name(level).len() + "[] YYYY-MM-DD HH:MM:SS ".len()
}

/// `YYYY-MM-DD HH:MM:SS` in local time.
pub fn stamp(at: SystemTime) -> String {
    Stamp(at).to_string()
}

/// The same, as it is written.
struct Stamp(SystemTime);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: chrono's own way goes through its pattern for each line, and allocates for it.
        let at = time::local(self.0);
        write!(f, "{:04}-{:02}-{:02} ", at.year(), at.month(), at.day())?;
        write!(f, "{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
    }
}

/// One file, and what it could not take yet.
struct Sink {
    path: fn(&StatusDir) -> PathBuf,
    backlog: String,
    failing: bool,
    /// More lines follow: they are written with the last.
    held: bool,
}

impl Sink {
    fn new(path: fn(&StatusDir) -> PathBuf) -> Sink {
        Sink { path, backlog: String::new(), failing: false, held: false }
    }

    fn write(&mut self, line: String, dir: &StatusDir) {
        self.backlog.push_str(&line);
        self.backlog.push('\n');
        if !self.held {
            self.write_backlog(dir);
        }
    }

    fn release(&mut self, dir: &StatusDir) {
        self.held = false;
        if !self.backlog.is_empty() {
            self.write_backlog(dir);
        }
    }

    fn catch_up(&mut self, dir: &StatusDir) -> bool {
        if !self.held && !self.backlog.is_empty() {
            self.write_backlog(dir);
        }
        self.held || self.backlog.is_empty()
    }

    fn write_backlog(&mut self, dir: &StatusDir) {
        let path = (self.path)(dir);
        let mut text = std::mem::take(&mut self.backlog);
        match append(dir, &path, text.as_bytes()) {
            Ok(()) => self.failing = false,
            Err((written, error)) => {
                // The rest of a line that is there in part comes right behind it.
                text = String::from_utf8_lossy(text.as_bytes().get(written..).unwrap_or_default()).into_owned();
                if !self.failing {
                    console::line(&cannot_write(dir, &path, &error));
                }
                self.failing = true;
                self.keep(text);
            }
        }
    }

    fn keep(&mut self, text: String) {
        self.backlog = text;
        while self.backlog.len() > BACKLOG_MAX {
            let first = self.backlog.find('\n').map_or(self.backlog.len(), |at| at + 1);
            self.backlog.drain(..first);
        }
    }
}

/// Appends all of it; if that fails, says how much was written.
fn append(dir: &StatusDir, path: &Path, text: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut file = open(dir, path).map_err(|error| (0, error))?;
    let mut written = 0;
    while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// The line that says why a log cannot be written.
fn cannot_write(dir: &StatusDir, path: &Path, error: &io::Error) -> String {
    let (path, why) = (path.display(), errno_text(error));
    let text = format!("{path}: {why}; supervision goes on, the lines are kept for the next try");
    format!("[WARNING] {} {}", stamp(SystemTime::now()), dir.shown(text))
}

/// Opens the log; one that has grown too long is put aside first. A link, a FIFO or a device that an administrator has put
/// there is used as it is, and is the administrator's to rotate.
fn open(dir: &StatusDir, path: &Path) -> io::Result<std::fs::File> {
    let (file, size) = match file::append(path) {
        Err(error) if is_no_plain_file(&error) && dir.allows_links() => return file::append_other(path),
        opened => opened?,
    };
    if dir.is_foreign() && file.metadata()?.nlink() != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has a second name elsewhere"));
    }
    if size <= ROTATE_AT {
        return Ok(file);
    }
    let mut old = path.as_os_str().to_owned();
    old.push(".1");
    std::fs::rename(path, old)?;
    Ok(file::append(path)?.0)
}

/// A link has an errno of its own, and so has a FIFO that nobody reads; the rest is seen once it is open.
fn is_no_plain_file(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) || error.kind() == io::ErrorKind::InvalidInput
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_in(dir: &Path) -> (StatusDir, Log) {
        let dir = StatusDir::new(dir);
        let log = Log::new(&dir, "", Echo::Nothing);
        (dir, log)
    }

    #[test]
    fn notices_and_warnings_go_to_their_files_one_line_each() {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = log_in(root.path());
        log::info!(logger: log, "started");
        log::warn!(logger: log, "bad\nnews \x1b[31m");
        log::error!(logger: log, "end");
        let notices = std::fs::read_to_string(dir.log()).unwrap();
        assert!(notices.starts_with("[NOTICE] 20") && notices.ends_with(" started\n"), "{notices}");
        let trouble = std::fs::read_to_string(dir.log_wf()).unwrap();
        assert_eq!(trouble.lines().count(), 2, "{trouble}");
        assert!(trouble.contains(r"bad\nnews \u{1b}[31m"), "{trouble}");
        assert!(trouble.contains("[FATAL] "), "{trouble}");
    }

    #[test]
    fn a_stamp_has_the_documented_form() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_009);
        assert_eq!(stamp(at), time::local(at).format("%Y-%m-%d %H:%M:%S").to_string());
        assert_eq!(stamp(at).len(), 19);
    }

    #[test]
    fn a_long_log_is_renamed_before_the_next_line() {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = log_in(root.path());
        std::fs::File::create(dir.log()).unwrap().set_len(ROTATE_AT + 1).unwrap();
        log::info!(logger: log, "after");
        assert_eq!(std::fs::read_to_string(dir.log()).unwrap().lines().count(), 1);
        assert_eq!(std::fs::metadata(root.path().join("supervise.log.1")).unwrap().len(), ROTATE_AT + 1);
    }

    #[test]
    fn lines_that_could_not_be_written_come_later_and_in_order() {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = log_in(root.path());
        std::fs::create_dir(dir.log()).unwrap();
        log::info!(logger: log, "first");
        log::info!(logger: log, "second");
        std::fs::remove_dir(dir.log()).unwrap();
        log::info!(logger: log, "third");
        let text = std::fs::read_to_string(dir.log()).unwrap();
        let words: Vec<_> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(words, ["first", "second", "third"]);
    }

    #[test]
    fn lines_that_could_not_be_written_are_caught_up_with() {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = log_in(root.path());
        let (sender, behind) = crossbeam_channel::bounded(1);
        log.tell_when_behind(sender);
        assert!(log.catch_up() && !dir.log().exists());
        log::warn!(logger: log, "before");
        assert!(behind.is_empty());
        std::fs::create_dir(dir.log()).unwrap();
        log::info!(logger: log, "first");
        assert!(!log.catch_up() && behind.try_recv().is_ok());
        std::fs::remove_dir(dir.log()).unwrap();
        assert!(log.catch_up());
        assert!(std::fs::read_to_string(dir.log()).unwrap().ends_with(" first\n"));
    }

    #[test]
    fn lines_that_are_held_are_written_in_order_when_the_last_has_come() {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = log_in(root.path());
        log.together(|| {
            log::info!(logger: log, "first");
            log::warn!(logger: log, "other");
            log::info!(logger: log, "second");
            assert!(!dir.log().exists());
        });
        let text = std::fs::read_to_string(dir.log()).unwrap();
        let words: Vec<_> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(words, ["first", "second"]);
        assert_eq!(std::fs::read_to_string(dir.log_wf()).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_link_is_not_written_through() {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = log_in(root.path());
        std::fs::write(root.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink("precious", dir.log()).unwrap();
        log::info!(logger: log, "line");
        assert_eq!(std::fs::read_to_string(root.path().join("precious")).unwrap(), "x");
    }
}
