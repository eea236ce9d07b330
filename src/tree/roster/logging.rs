//! Where services' outputs go, as the `log` key says, and how that changes while services run.
//!
//! A service keeps its standard output for as long as it runs. So a change of `log` waits for its next start: until then both
//! the old logger and the new one are there.

use super::entry::{Entry, Lifecycle, LoggerKind, Stdout};
use super::members::Roster;
use crate::conf::Program;
use crate::conf::log::Destination;
use crate::service::NextOutput;
use crate::service::pipe::LogPipe;
use crate::status::StatusDir;
use crate::supervisor::requests::mailbox::Ask;
use crate::sys::errno_text;
use crate::tree::root::scan::{self, ServiceDir};
use std::sync::Arc;

/// Where a service's output is to go, if it has no logger of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Files,
    Logger,
    Stdout,
}

impl Roster {
    /// Which logger a service begins with, if it has one.
    pub(super) fn logger_kind(&mut self, found: &ServiceDir) -> Option<LoggerKind> {
        let was_own = self.left.own_loggers.remove(&found.name);
        match (found.has_logger, self.wanted(&found.name), was_own) {
            (true, Wanted::Logger | Wanted::Stdout, _) => {
                let log = &self.shared.log;
                log::info!(logger: log, "{}: has a log/run, so its log key has no effect", found.name);
                Some(LoggerKind::Directory)
            }
            (true, Wanted::Files, _) => Some(LoggerKind::Directory),
            (false, Wanted::Logger, _) => Some(LoggerKind::Own),
            // What runs from earlier may still write into the pipe.
            (false, Wanted::Files | Wanted::Stdout, true) => Some(LoggerKind::OwnUntilNextStart),
            (false, Wanted::Files | Wanted::Stdout, false) => None,
        }
    }

    /// Whether a service begins with the tree's standard output.
    pub(super) fn stdout_at_start(&mut self, found: &ServiceDir) -> Stdout {
        let was = self.left.on_stdout.remove(&found.name);
        let has_own_logger = self.left.own_loggers_kept.remove(&found.name);
        match self.wanted(&found.name) {
            Wanted::Stdout if found.has_logger => Stdout::No,
            Wanted::Stdout if has_own_logger && !was => Stdout::FromNextStart(self.stdout_pipe(&found.name)),
            Wanted::Stdout => Stdout::Now(self.stdout_pipe(&found.name)),
            Wanted::Files | Wanted::Logger if was => Stdout::UntilNextStart(self.stdout_pipe(&found.name)),
            Wanted::Files | Wanted::Logger => Stdout::No,
        }
    }

    /// The FIFO to the process that writes to standard output.
    fn stdout_pipe(&mut self, name: &str) -> Arc<LogPipe> {
        let pipe = LogPipe::new(StatusDir::of(self.stdout.dir(), name));
        pipe.tell_when_opened(self.stdout.announcer(name));
        Arc::new(pipe)
    }

    /// Waits a moment until the last lines are written to standard output.
    pub fn finish_output(&mut self) {
        self.stdout.finish();
    }

    fn wanted(&self, name: &str) -> Wanted {
        if self.is_command(name) {
            // It keeps the tree's own, whatever `log` says.
            return Wanted::Files;
        }
        match self.shared.config.settings(name, None, Program::Tree).log.destination {
            Destination::Files => Wanted::Files,
            Destination::StatusDir | Destination::Directory(_) | Destination::Below(_) => Wanted::Logger,
            Destination::Stdout => Wanted::Stdout,
        }
    }

    /// Has all services follow their `log` keys, from their next starts on.
    pub(super) fn follow_log_keys(&mut self) {
        for name in self.names() {
            self.follow_log_key(&name);
        }
    }

    /// The same for the service `name`.
    pub(super) fn follow_log_key(&mut self, name: &str) {
        let wanted = self.wanted(name);
        let Some(entry) = self.entries.get(name) else { return };
        let Some(service) = entry.service.filter(|_| entry.lifecycle == Lifecycle::Supervised) else { return };
        if entry.found.has_logger {
            return;
        }
        let on_stdout = matches!(entry.stdout, Stdout::Now(_) | Stdout::FromNextStart(_));
        match (wanted, on_stdout) {
            (Wanted::Stdout, true) => {}
            (Wanted::Stdout, false) => self.begin_stdout(name, service),
            (Wanted::Files, true) => {
                self.end_stdout(name);
                self.ask(service, Ask::ChangeOutput(NextOutput::Files));
                self.say_next_output(name, "files");
            }
            (Wanted::Logger, true) => {
                self.end_stdout(name);
                self.follow_logger(name, service, true);
            }
            (Wanted::Files | Wanted::Logger, false) => self.follow_logger(name, service, wanted == Wanted::Logger),
        }
    }

    /// Once the thread has been asked: a start that follows what is said must be such a start.
    fn say_next_output(&self, name: &str, place: &str) {
        let log = &self.shared.log;
        log::info!(logger: log, "{name}: log says {place} now: from its next start on its output goes there (svctl restart {name})");
    }

    fn begin_stdout(&mut self, name: &str, service: u64) {
        let pipe = match self.entries.get(name).map(|entry| &entry.stdout) {
            Some(Stdout::UntilNextStart(pipe)) => pipe.clone(),
            Some(Stdout::No | Stdout::Now(_) | Stdout::FromNextStart(_)) | None => self.stdout_pipe(name),
        };
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.stdout = match entry.stdout {
            Stdout::UntilNextStart(_) => Stdout::Now(pipe.clone()),
            Stdout::No | Stdout::Now(_) | Stdout::FromNextStart(_) => Stdout::FromNextStart(pipe.clone()),
        };
        if entry.logger_kind == LoggerKind::Own {
            entry.logger_kind = LoggerKind::OwnUntilNextStart;
        }
        self.ask(service, Ask::ChangeOutput(NextOutput::Pipe(pipe)));
        self.say_next_output(name, "stdout");
    }

    fn end_stdout(&mut self, name: &str) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.stdout = match &entry.stdout {
            // Whether it has started since, only its thread knows.
            Stdout::Now(pipe) | Stdout::UntilNextStart(pipe) | Stdout::FromNextStart(pipe) => {
                Stdout::UntilNextStart(pipe.clone())
            }
            Stdout::No => Stdout::No,
        };
    }

    fn follow_logger(&mut self, name: &str, service: u64, wants: bool) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match (wants, entry.logger_kind, entry.pipe.clone()) {
            (true, LoggerKind::Own, Some(_)) | (false, LoggerKind::OwnUntilNextStart | LoggerKind::Directory, _) => {}
            // Whatever `log` says by then is followed when it has gone.
            (_, LoggerKind::GoneUntilNextStart, Some(_)) | (false, LoggerKind::GoneUntilNextStart, None) => {}
            (true, LoggerKind::OwnUntilNextStart, Some(pipe)) => {
                // One that reads what is left for it has to end before there is another one.
                if !pipe.is_released() {
                    entry.logger_kind = LoggerKind::Own;
                    self.ask(service, Ask::ChangeOutput(NextOutput::Pipe(pipe)));
                }
            }
            (false, LoggerKind::Own, _) => {
                entry.logger_kind = LoggerKind::OwnUntilNextStart;
                self.ask(service, Ask::ChangeOutput(NextOutput::Files));
                self.say_next_output(name, "files");
            }
            (true, _, None) | (true, LoggerKind::Directory, Some(_)) => self.add_logger(name, service),
        }
    }

    /// The service's `log/run` is gone, and so is its logger: from its next start on the service goes without.
    pub(super) fn give_up_logger(&mut self, found: ServiceDir) {
        let Some(entry) = self.entries.get_mut(&found.name) else { return };
        let Some(service) = entry.service else { return };
        entry.logger_kind = LoggerKind::GoneUntilNextStart;
        let name = found.name.clone();
        entry.found = found;
        self.ask(service, Ask::ChangeOutput(NextOutput::Files));
        log::info!(logger: self.shared.log, "{name}: its log/run is gone: from its next start on it has no logger (svctl restart {name})");
        // It may want standard output instead.
        self.follow_log_key(&name);
    }

    fn add_logger(&mut self, name: &str, service: u64) {
        let Some(mut entry) = self.entries.remove(name) else { return };
        entry.logger_kind = LoggerKind::Own;
        match self.start_logger(&mut entry, None) {
            Ok(()) => {
                if let Some(pipe) = entry.pipe.clone() {
                    self.ask(service, Ask::ChangeOutput(NextOutput::Pipe(pipe)));
                }
                log::info!(logger: self.shared.log, "{name}: has a log now: from its next start on its output goes to {name}/log (svctl restart {name})");
            }
            Err(error) => {
                log::warn!(logger: self.shared.log, "{name}/log: {}; tried again at the next reload", errno_text(&error));
                (entry.logger_kind, entry.pipe) = (LoggerKind::Directory, None);
            }
        }
        self.entries.insert(name.to_string(), entry);
    }
}

impl Entry {
    /// Whether its logger has ended and cannot come back, for there is no `log/run` in the directory as it is now.
    pub(super) fn has_lost_logger(&self, now: &ServiceDir) -> bool {
        let lost = self.found.has_logger && self.logger_kind == LoggerKind::Directory && !now.has_logger;
        lost && self.pipe.as_ref().is_some_and(|pipe| pipe.is_broken()) && scan::has_no_logger(&now.path)
    }

    /// The thread of its logger has ended; says whether that is as it was to be, because the service writes elsewhere.
    pub(super) fn logger_has_gone(&mut self) -> bool {
        self.logger = None;
        let as_wanted = self.logger_kind.goes() && self.pipe.as_ref().is_some_and(|pipe| pipe.is_released());
        if as_wanted {
            (self.logger_kind, self.pipe) = (LoggerKind::Directory, None);
        }
        as_wanted
    }
}
