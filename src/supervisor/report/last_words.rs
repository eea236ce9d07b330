//! What a run process has written last: where its output goes, and from where on it is its own.

use crate::conf::log::LogSettings;
use crate::logger::archive::names::CURRENT;
use crate::service::logger::{TreeLogger, current_file};
use crate::service::pipe::LogPipe;
use crate::service::{Errors, Service};
use crate::status::StatusDir;
use crate::sys::errno_text;
use crate::sys::files::file_id::FileInstance;
use crate::sys::files::last_lines::{last_lines, last_lines_before};
use crate::sys::threads::poll;
use crate::sys::time::Mono;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long a logger may take for what is in its pipe.
const LOGGER_TIMEOUT: Duration = Duration::from_millis(500);

/// The time between two looks whether it has written.
const LOOK: Duration = Duration::from_millis(20);

/// Where the outputs ended when the run process was started. Of one that was adopted, nobody knows it.
#[derive(Clone, Debug, Default)]
pub struct Before {
    stderr: Option<Mark>,
    log: Option<Mark>,
}

/// How long a file was; without the file, there was none.
#[derive(Clone, Copy, Debug)]
struct Mark(Option<(FileInstance, u64)>);

impl Mark {
    fn take(path: &Path) -> Mark {
        let metadata = std::fs::metadata(path);
        Mark(metadata.ok().map(|metadata| (FileInstance::of(&metadata), metadata.len())))
    }

    /// From where on the file at `path` is younger.
    fn end_in(self, path: &Path) -> u64 {
        let there = FileInstance::at(path).ok();
        self.0.filter(|(file, _)| there == Some(*file)).map_or(0, |(_, length)| length)
    }
}

impl Before {
    /// Now, for the module in `dir`; with `log`, also where a logger that the tree runs by itself writes.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub fn take(module: &str, dir: &StatusDir, log: Option<&LogSettings>) -> Before {
        let current = log.map(|log| current_of(module, dir, log));
        Before { stderr: Some(Mark::take(&dir.stderr())), log: current.as_deref().map(Mark::take) }
    }

    /// The last line that the process has written to its standard error, where that is a file.
    pub fn last_error(&self, dir: &StatusDir) -> Option<String> {
        let path = dir.stderr();
        let from = self.stderr?.end_in(&path);
        last_lines(&path, from, 1).ok()?.pop()
    }
}

fn current_of(module: &str, dir: &StatusDir, log: &LogSettings) -> PathBuf {
    TreeLogger::directory_for(module, &dir.path().join("log"), log).join(CURRENT)
}

/// Where the last lines are.
#[derive(Debug)]
pub struct LastWords {
    place: Place,
    before: Before,
    /// When the process was started.
    since: Option<SystemTime>,
    /// Where `__stderr` ended: what comes later may be of the next process.
    until: Mark,
}

#[derive(Debug)]
enum Place {
    /// In `__stderr`.
    File(PathBuf),
    /// In the file `current` of the logger that reads this pipe; there, if the logger does not run.
    Log(Arc<LogPipe>, PathBuf),
    /// In nothing that can be read.
    Elsewhere,
}

/// The last lines, and what stands above them.
#[derive(Debug, Default)]
pub struct Heard {
    /// `last lines of PATH`, or why there are none.
    pub title: String,
    /// The lines.
    pub lines: Vec<String>,
}

impl LastWords {
    /// Of the run process of `service`, which has, or had, run so long.
    pub fn of(
        service: &Service,
        (module, dir): (&str, &StatusDir),
        log: &LogSettings,
        (before, uptime): (&Before, Duration),
    ) -> LastWords {
        let place = match service.errors() {
            Errors::File => Place::File(dir.stderr()),
            Errors::Pipe(pipe) if !pipe.is_to_standard_output() => {
                Place::Log(pipe.clone(), current_of(module, dir, log))
            }
            Errors::Pipe(_) | Errors::Inherited => Place::Elsewhere,
        };
        LastWords::new(place, dir, (before, uptime))
    }

    fn new(place: Place, dir: &StatusDir, (before, uptime): (&Before, Duration)) -> LastWords {
        let (mut before, until) = (before.clone(), Mark::take(&dir.stderr()));
        let since = SystemTime::now().checked_sub(uptime);
        // Nothing of it is the process's own. Later, the next one will have written.
        if before.stderr.is_none() && is_older(&dir.stderr(), since) {
            before.stderr = Some(until);
        }
        LastWords { place, before, since, until }
    }

    /// The last `count` lines. A logger is given a moment to write them.
    pub fn read(&self, count: usize) -> Heard {
        match &self.place {
            Place::File(path) => self.read_file(path, self.before.stderr, self.until.end_in(path), count),
            Place::Log(pipe, current) => self.read_log(pipe, current, count),
            Place::Elsewhere => {
                Heard { title: "its output goes to the standard output of its supervisor".into(), lines: Vec::new() }
            }
        }
    }

    fn read_log(&self, pipe: &LogPipe, current: &Path, count: usize) -> Heard {
        let deadline = Mono::now() + LOGGER_TIMEOUT;
        loop {
            poll::wait([], Some(Mono::now() + LOOK));
            let open = pipe.logger_pid().and_then(current_file);
            let heard = self.read_file(open.as_deref().unwrap_or(current), self.before.log, u64::MAX, count);
            if (pipe.is_empty() && !heard.lines.is_empty()) || Mono::now() >= deadline {
                return heard;
            }
        }
    }

    fn read_file(&self, path: &Path, before: Option<Mark>, until: u64, count: usize) -> Heard {
        let title = format!("last lines of {}", path.display());
        if before.is_none() && is_older(path, self.since) {
            return Heard { title, lines: Vec::new() };
        }
        match last_lines_before(path, before.map_or(0, |mark| mark.end_in(path)), until, count) {
            Ok(lines) => Heard { title, lines },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Heard { title, lines: Vec::new() },
            Err(error) => {
                Heard { title: format!("{title}, which cannot be read: {}", errno_text(&error)), lines: Vec::new() }
            }
        }
    }
}

/// Whether nothing was written to the file since the process was started. The kernel's times are a tick old.
fn is_older(path: &Path, since: Option<SystemTime>) -> bool {
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    since.zip(written.ok()).is_some_and(|(since, written)| written + Duration::from_secs(1) < since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn words(dir: &StatusDir, before: Before, uptime: Duration) -> Vec<String> {
        let words = LastWords::new(Place::File(dir.stderr()), dir, (&before, uptime));
        // The next process is quick.
        if let Ok(mut file) = std::fs::File::options().append(true).open(dir.stderr()) {
            let (length, time) = (file.metadata().unwrap().len(), file.metadata().unwrap().modified().unwrap());
            file.write_all(b"of the next\n").unwrap();
            let heard = words.read(9).lines;
            file.set_len(length).unwrap();
            file.set_modified(time).unwrap();
            return heard;
        }
        words.read(9).lines
    }

    #[test]
    fn what_was_written_before_the_process_began_is_not_its_own() {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::new(root.path());
        assert_eq!(words(&dir, Before::default(), Duration::ZERO), [""; 0], "and there is no error");
        std::fs::write(dir.stderr(), "of last year\n").unwrap();
        let before = Before::take("web", &dir, None);
        assert_eq!(words(&dir, before.clone(), Duration::ZERO), [""; 0]);
        assert_eq!(before.last_error(&dir), None);
        std::fs::write(dir.stderr(), "of last year\nits own\n").unwrap();
        assert_eq!(words(&dir, before.clone(), Duration::ZERO), ["its own"]);
        assert_eq!(before.last_error(&dir).as_deref(), Some("its own"));
        // Of one that was adopted, it is known when it began.
        assert_eq!(words(&dir, Before::default(), Duration::from_secs(5)), ["of last year", "its own"]);
        let old = SystemTime::now() - Duration::from_secs(9);
        std::fs::File::options().append(true).open(dir.stderr()).unwrap().set_modified(old).unwrap();
        assert_eq!(words(&dir, Before::default(), Duration::from_secs(5)), [""; 0]);
    }
}
