//! What changes who is supervised: directories that come, go or are replaced, and threads that end.

use super::entry::{Entry, Lifecycle, ThreadExit};
use super::members::Roster;
use crate::machine::Leave;
use crate::status::record::Want;
use crate::status::state::StateFile;
use crate::supervisor::requests::mailbox::Ask;
use crate::supervisor::spec::Outcome;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::tree::root::scan::{self, ServiceDir};
use std::io;

impl Roster {
    /// The scanner has seen this service directory: its service is supervised, if it is not yet.
    ///
    /// # Errors
    /// There is no thread or descriptor left for it: try again later.
    pub fn want(&mut self, found: ServiceDir) -> io::Result<()> {
        if self.entries.contains_key(&found.name) { self.want_known(found) } else { self.want_new(found) }
    }

    /// A name without an entry.
    fn want_new(&mut self, found: ServiceDir) -> io::Result<()> {
        let is_seen = |id| self.seen.contains(&id);
        if is_seen(found.instance.id) || found.link.is_some_and(is_seen) {
            self.notice_rename(&found);
            // The directory was renamed, and the process of its old name still runs.
            if self.entries.values().any(|entry| entry.is_leaving_from(&found)) {
                self.pending_successors.insert(found.name.clone());
                self.entries.insert(found.name.clone(), Entry::pending(found));
                return Ok(());
            }
        }
        // A module that left by `x` stays away, even across an upgrade of the program.
        if self.has_exited(&found.name) {
            let entry = Entry { lifecycle: Lifecycle::Exited, ..Entry::pending(found.clone()) };
            self.entries.insert(found.name, entry);
            return Ok(());
        }
        self.start(found)
    }

    /// A name with an entry: another directory, or a logger that it did not have, makes it begin anew.
    fn want_known(&mut self, found: ServiceDir) -> io::Result<()> {
        let Some(entry) = self.entries.get_mut(&found.name) else { return Ok(()) };
        // The directory may not have been readable when its service was adopted.
        let same = entry.found.instance.may_be(&found.instance);
        if same {
            entry.found.instance = found.instance;
        }
        // Only a new logger matters. A logger whose `log/run` is gone still serves the service that writes to it.
        let new_logger = !entry.found.has_logger && found.has_logger;
        let lost_logger = entry.has_lost_logger(&found);
        match &mut entry.lifecycle {
            Lifecycle::Supervised if same && lost_logger => {
                self.give_up_logger(found);
                Ok(())
            }
            Lifecycle::Supervised if same && new_logger => {
                let log = &self.shared.log;
                log::info!(logger: log, "{}: has a log/run now: restarting it with its logger", found.name);
                self.keep_what_is_wanted(&found.name);
                self.leave(&found.name.clone(), Some(found));
                Ok(())
            }
            Lifecycle::Supervised | Lifecycle::Exited if same => Ok(()),
            Lifecycle::Supervised => {
                let log = &self.shared.log;
                log::info!(logger: log, "{}: another directory now: stopping the old one first", found.name);
                self.leave(&found.name.clone(), Some(found));
                Ok(())
            }
            Lifecycle::Exited => {
                entry.lifecycle = Lifecycle::Leaving(Some(Box::new(found.clone())));
                self.pending_successors.insert(found.name);
                self.start_pending()
            }
            Lifecycle::Leaving(next) => {
                self.pending_successors.insert(found.name.clone());
                *next = Some(Box::new(found));
                Ok(())
            }
        }
    }

    /// If the directory was renamed, the service under its old name is told to leave first: the scanner may have seen the new
    /// name before it missed the old one.
    fn notice_rename(&mut self, found: &ServiceDir) {
        let is_old_name = |entry: &&Entry| {
            let there = || std::fs::metadata(&entry.found.path).ok().map(|now| FileInstance::of(&now));
            let is_there = |link| scan::link_at(&entry.found.path) == Some(link);
            (entry.lifecycle == Lifecycle::Supervised || (entry.lifecycle == Lifecycle::Exited && entry.has_threads()))
                && match (entry.found.link, found.link) {
                    (Some(old), Some(new)) if old == new => !is_there(new),
                    _ => {
                        // Of one that was adopted, the age may not be known.
                        let is_it = |instance: FileInstance| instance.may_be(&found.instance);
                        is_it(entry.found.instance) && !there().is_some_and(is_it)
                    }
                }
        };
        let old: Vec<String> =
            self.entries.values().filter(is_old_name).map(|entry| entry.found.name.clone()).collect();
        for name in old {
            self.gone(&name);
        }
    }

    /// The directory is gone: its service is stopped.
    pub fn gone(&mut self, name: &str) {
        self.capacity_logged.remove(name);
        match self.entries.get_mut(name).map(|entry| &mut entry.lifecycle) {
            None => {}
            Some(Lifecycle::Supervised) => {
                log::info!(logger: self.shared.log, "{name}: directory gone, stopping");
                self.leave(name, None);
            }
            Some(Lifecycle::Leaving(next)) => {
                *next = None;
                self.remove_if_done(name);
            }
            // Its logger may still read what is left, and has to be told when the service's thread has ended.
            Some(lifecycle @ Lifecycle::Exited) => {
                *lifecycle = Lifecycle::Leaving(None);
                self.remove_if_done(name);
            }
        }
    }

    /// The directory was removed, perhaps to be put in again. That also brings a module back that left by `x`.
    pub fn directory_removed(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.lifecycle == Lifecycle::Exited) {
            entry.lifecycle = Lifecycle::Leaving(None);
            self.remove_if_done(name);
        }
    }

    /// The directory does not exist any more. One that has its name and its number now is another one, also where no time of birth
    /// says so.
    pub fn directory_deleted(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.found.instance.born == 0) {
            entry.found.instance = FileInstance::of_unknown_age(FileId::NONE);
        }
    }

    /// Modules that left by `x` until now may come back with the next scan.
    pub fn forget_exits(&mut self) {
        // Some may have left without the main loop having read their report.
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::ComeBack);
        }
        // Nor may this program have begun what the one before has told of them, while the root is away.
        self.handover.told_to_exit.clear();
        for (name, entry) in &mut self.entries {
            if entry.lifecycle == Lifecycle::Exited {
                entry.lifecycle = Lifecycle::Leaving(None);
                self.pending_successors.insert(name.clone());
            }
        }
        for name in std::mem::take(&mut self.pending_successors) {
            self.remove_if_done(&name);
        }
        self.pending_successors = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.successor().is_some())
            .map(|(name, _)| name.clone())
            .collect();
    }

    /// A thread has ended.
    ///
    /// # Errors
    /// Its successor could not be started: scan the root again later.
    pub fn ended(&mut self, report: ThreadExit) -> io::Result<()> {
        if report.outcome.is_none() {
            self.hold_panicked(report);
            return Ok(());
        }
        self.member_ended(report)
    }

    pub(super) fn member_ended(&mut self, report: ThreadExit) -> io::Result<()> {
        let Some((name, member)) = self.members.remove(&report.member) else { return Ok(()) };
        self.demand -= member.demand;
        // The report is the last thing that a thread does, so this does not block.
        if !self.end.has_begun() {
            member.thread.join();
        }
        let comes_back = std::iter::from_fn(|| member.mailbox.take()).any(|ask| matches!(ask, Ask::ComeBack));
        let is_service = self.entries.get(&name).is_some_and(|entry| entry.service == Some(report.member));
        if report.outcome.is_none() && is_service && self.stop_after_panic(&name) {
            return Ok(());
        }
        let Some(entry) = self.entries.get_mut(&name) else { return Ok(()) };
        if entry.logger == Some(report.member) {
            if entry.logger_has_gone() {
                self.follow_log_key(&name);
            } else if entry.service.is_some() && (report.outcome.is_none() || comes_back) {
                self.bring_logger_back(&name);
            } else if entry.service.is_some() {
                log::warn!(logger: self.shared.log, "{name}/log: logger left; {name} blocks when the pipe is full; HUP brings it back");
            }
        } else {
            entry.service = None;
            // Nobody writes into the pipe any more, and the entry may stay for long.
            entry.pipe = None;
            let told_to_exit = report.outcome == Some(Outcome::Left(Leave::WhenDown));
            if entry.lifecycle == Lifecycle::Supervised && told_to_exit && !comes_back {
                log::info!(logger: self.shared.log, "{name}: left, as told by x; HUP brings it back");
                entry.lifecycle = Lifecycle::Exited;
            } else if entry.lifecycle == Lifecycle::Supervised {
                entry.lifecycle = Lifecycle::Leaving(Some(Box::new(entry.found.clone())));
                self.pending_successors.insert(name.clone());
            }
            if let Some(logger) = entry.logger {
                self.ask(logger, Ask::Leave(Leave::EndOfInput));
            }
        }
        self.remove_if_done(&name);
        self.start_pending()
    }

    /// Removes an entry that has no thread left; one that has a successor is found by [`Roster::start_pending`].
    pub(super) fn remove_if_done(&mut self, name: &str) {
        let is_done = self.entries.get(name).is_some_and(|entry| {
            entry.service.is_none() && entry.logger.is_none() && entry.lifecycle == Lifecycle::Leaving(None)
        });
        if is_done {
            self.entries.remove(name);
            self.places.leave(name);
        }
    }

    /// Starts every successor whose predecessor is gone.
    pub(super) fn start_pending(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for name in self.pending_successors.clone() {
            let next = match self.entries.get(&name) {
                Some(entry) if entry.has_threads() => continue,
                Some(entry) => entry.successor().cloned(),
                None => None,
            };
            let busy = |next: &ServiceDir| {
                self.entries.values().any(|entry| entry.has_threads() && entry.is_leaving_from(next))
            };
            if next.as_ref().is_some_and(busy) {
                continue;
            }
            self.pending_successors.remove(&name);
            if let Some(next) = next {
                self.entries.remove(&name);
                result = result.and(self.start(next));
            }
        }
        result
    }

    /// A service that was stopped by command stays down when it is begun anew in the same directory.
    fn keep_what_is_wanted(&mut self, name: &str) {
        let dir = self.shared.status_root.left(name);
        let state = dir.and_then(|dir| StateFile::read(&dir.state()).ok().flatten());
        if let Some(state) = state.filter(|state| state.want != Some(Want::Up)) {
            self.continued.insert(name.to_string(), Box::new(state));
        }
    }

    pub(super) fn leave(&mut self, name: &str, next: Option<ServiceDir>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if next.is_some() {
            self.pending_successors.insert(name.to_string());
        }
        entry.lifecycle = Lifecycle::Leaving(next.map(Box::new));
        let (service, logger) = (entry.service, entry.logger);
        match (service, logger) {
            (Some(service), _) => self.ask_to_leave(service, name),
            (None, Some(logger)) => self.ask(logger, Ask::Leave(Leave::EndOfInput)),
            (None, None) => self.remove_if_done(name),
        }
    }
}
