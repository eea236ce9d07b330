//! Loggers that the tree runs by itself, as the `log` key says: who has one, and how that changes while services run.
//!
//! A service keeps its standard output for as long as it runs. So a change of `log` waits for its next start: until then both
//! the old logger and the new one are there.

use super::entry::{Entry, Lifecycle, LoggerKind};
use super::members::Roster;
use crate::conf::Program;
use crate::conf::log::Destination;
use crate::service::NextOutput;
use crate::supervisor::requests::mailbox::Ask;
use crate::sys::errno_text;
use crate::tree::root::scan::ServiceDir;

impl Roster {
    /// Which logger a service begins with, if it has one.
    pub(super) fn logger_kind(&mut self, found: &ServiceDir) -> Option<LoggerKind> {
        let was_own = self.own_loggers_left.remove(&found.name);
        let wants = self.wants_log(&found.name);
        match (found.has_logger, wants, was_own) {
            (true, true, _) => {
                let log = &self.shared.log;
                log::info!(logger: log, "{}: has a log/run, so its log key has no effect", found.name);
                Some(LoggerKind::Directory)
            }
            (true, false, _) => Some(LoggerKind::Directory),
            (false, true, _) => Some(LoggerKind::Own),
            // What runs from earlier may still write into the pipe.
            (false, false, true) => Some(LoggerKind::OwnUntilNextStart),
            (false, false, false) => None,
        }
    }

    /// Whether the configuration asks for a logger of the tree's own.
    fn wants_log(&self, name: &str) -> bool {
        self.shared.config.settings(name, None, Program::Tree).log.destination != Destination::Files
    }

    /// Has all services follow their `log` keys, from their next starts on.
    pub(super) fn follow_log_keys(&mut self) {
        for name in self.names() {
            self.follow_log_key(&name);
        }
    }

    /// The same for the service `name`.
    pub(super) fn follow_log_key(&mut self, name: &str) {
        let wants = self.wants_log(name);
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(service) = entry.service.filter(|_| entry.lifecycle == Lifecycle::Supervised) else { return };
        if entry.found.has_logger {
            return;
        }
        match (wants, entry.logger_kind, entry.pipe.clone()) {
            (true, LoggerKind::Own, Some(_)) | (false, LoggerKind::OwnUntilNextStart | LoggerKind::Directory, _) => {}
            (true, LoggerKind::OwnUntilNextStart, Some(pipe)) => {
                // One that reads what is left for it has to end before there is another one.
                if !pipe.is_released() {
                    entry.logger_kind = LoggerKind::Own;
                    self.ask(service, Ask::ChangeOutput(NextOutput::Pipe(pipe)));
                }
            }
            (false, LoggerKind::Own, _) => {
                entry.logger_kind = LoggerKind::OwnUntilNextStart;
                let log = &self.shared.log;
                log::info!(logger: log, "{name}: log says files now: from its next start on its output goes there (svctl restart {name})");
                self.ask(service, Ask::ChangeOutput(NextOutput::Files));
            }
            (true, _, None) | (true, LoggerKind::Directory, Some(_)) => self.add_logger(name, service),
        }
    }

    fn add_logger(&mut self, name: &str, service: u64) {
        let Some(mut entry) = self.entries.remove(name) else { return };
        entry.logger_kind = LoggerKind::Own;
        match self.start_logger(&mut entry, None) {
            Ok(()) => {
                log::info!(logger: self.shared.log, "{name}: has a log now: from its next start on its output goes to {name}/log (svctl restart {name})");
                if let Some(pipe) = entry.pipe.clone() {
                    self.ask(service, Ask::ChangeOutput(NextOutput::Pipe(pipe)));
                }
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
    /// The thread of its logger has ended; says whether that is as it was to be, because the service writes elsewhere.
    pub(super) fn logger_has_gone(&mut self) -> bool {
        self.logger = None;
        let as_wanted = self.logger_kind == LoggerKind::OwnUntilNextStart
            && self.pipe.as_ref().is_some_and(|pipe| pipe.is_released());
        if as_wanted {
            (self.logger_kind, self.pipe) = (LoggerKind::Directory, None);
        }
        as_wanted
    }
}
