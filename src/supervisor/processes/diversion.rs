//! What a service writes for a logger that does not run.
//!
//! It waits in the pipe, and a logger that comes back reads it. If none does and the pipe is full, the service would wait for
//! ever: then what it writes is put into `__stdout` instead, until there is a logger again.

use crate::service::pipe::LogPipe;
use crate::sys::time::Mono;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How long a logger that may come back is waited for while the pipe is full.
const FULL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the pipe is looked at while there is no logger.
const WAITING_LOOK: Duration = Duration::from_millis(500);

/// The same once its content is put elsewhere.
const DIVERTING_LOOK: Duration = Duration::from_millis(50);

/// At most so many bytes are taken out of the pipe at one time: a service that writes without end must not keep its supervisor
/// from everything else.
const AT_ONCE: usize = 1024 * 1024;

/// How far it has come with a pipe without a reader.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Diversion {
    absent_since: Option<Mono>,
    next_look: Option<Mono>,
    is_diverting: bool,
    /// Taken out of the pipe, and not written yet: the disk is full.
    unwritten: Vec<u8>,
    pub(in crate::supervisor) complained: bool,
}

/// The logger, as the service's supervisor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Logger {
    Runs,
    /// It does not run, and may be started again at any moment.
    Away,
    /// It cannot be started.
    Broken,
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Verdict {
    /// Nothing.
    Wait,
    /// The pipe is full: begin to empty it.
    Begin,
    /// Go on with that.
    GoOn,
    /// The logger is back.
    End,
}

impl Diversion {
    /// When to look at the pipe again.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Mono> {
        self.next_look
    }

    /// The run process has ended.
    pub(in crate::supervisor) fn reset(&mut self) {
        (self.absent_since, self.next_look, self.is_diverting) = (None, None, false);
    }

    pub(in crate::supervisor) fn look(&mut self, logger: Logger, is_full: impl FnOnce() -> bool, now: Mono) -> Verdict {
        if logger == Logger::Runs {
            self.absent_since = None;
            self.next_look = None;
            return if std::mem::take(&mut self.is_diverting) { Verdict::End } else { Verdict::Wait };
        }
        let since = *self.absent_since.get_or_insert(now);
        if self.next_look.is_some_and(|at| now < at) {
            return Verdict::Wait;
        }
        let begins = !self.is_diverting && is_full() && (logger == Logger::Broken || now.since(since) >= FULL_TIMEOUT);
        self.is_diverting |= begins;
        self.next_look = Some(now + if self.is_diverting { DIVERTING_LOOK } else { WAITING_LOOK });
        match (begins, self.is_diverting) {
            (true, _) => Verdict::Begin,
            (false, true) => Verdict::GoOn,
            (false, false) => Verdict::Wait,
        }
    }

    /// Empties the pipe into the file.
    pub(in crate::supervisor) fn empty(&mut self, pipe: &LogPipe, file: &Path) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        let mut file = options.open(file)?;
        let mut room = [0; 4096];
        let mut taken = 0;
        loop {
            let written = file.write(&self.unwritten);
            self.unwritten.drain(..written?);
            if !self.unwritten.is_empty() {
                continue;
            }
            let read = if taken < AT_ONCE { pipe.take(&mut room) } else { 0 };
            if read == 0 {
                return Ok(());
            }
            taken += read;
            self.unwritten.extend_from_slice(&room[..read]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(seconds: f64) -> Mono {
        Mono::now() + Duration::from_secs_f64(1000.0 + seconds)
    }

    #[test]
    fn a_logger_that_cannot_be_started_gives_way_when_the_pipe_is_full() {
        let mut diversion = Diversion::default();
        assert_eq!(diversion.look(Logger::Broken, || false, later(0.0)), Verdict::Wait);
        assert!(diversion.deadline().is_some());
        assert_eq!(diversion.look(Logger::Broken, || true, later(1.0)), Verdict::Begin);
        assert_eq!(diversion.look(Logger::Broken, || false, later(2.0)), Verdict::GoOn);
        assert_eq!(diversion.look(Logger::Runs, || false, later(3.0)), Verdict::End);
        assert_eq!((diversion.look(Logger::Runs, || true, later(4.0)), diversion.deadline()), (Verdict::Wait, None));
    }

    #[test]
    fn one_that_may_come_back_is_waited_for() {
        let mut diversion = Diversion::default();
        assert_eq!(diversion.look(Logger::Away, || true, later(0.0)), Verdict::Wait);
        assert_eq!(diversion.look(Logger::Away, || true, later(4.9)), Verdict::Wait);
        assert_eq!(diversion.look(Logger::Away, || true, later(5.6)), Verdict::Begin);
        // Each absence has its own time.
        diversion.look(Logger::Runs, || false, later(6.0));
        assert_eq!(diversion.look(Logger::Away, || true, later(7.0)), Verdict::Wait);
    }

    #[test]
    fn nothing_is_looked_at_between_two_looks() {
        let mut diversion = Diversion::default();
        let now = later(0.0);
        diversion.look(Logger::Broken, || false, now);
        assert_eq!(diversion.look(Logger::Broken, || panic!("not yet"), now), Verdict::Wait);
    }
}
