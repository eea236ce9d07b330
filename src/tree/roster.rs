//! Who is supervised: for each service directory a thread, and one more for its logger.
//!
//! The roster never runs two services from one directory, nor one name twice: what is replaced has to be gone
//! before what replaces it begins.

use super::entry::{Entry, Fate, Member, Report};
use super::room;
use super::scan::Found;
use super::upgrade::Handover;
use crate::conf::source::Source;
use crate::conf::{Config, Program};
use crate::service::pipe::LogPipe;
use crate::service::{Definition, Directory, Service, Streams};
use crate::status::StatusDir;
use crate::status::log::{Echo, Log};
use crate::supervisor::alarm::Alarms;
use crate::supervisor::machine::Leave;
use crate::supervisor::mailbox::{Ask, Mailbox, Orders};
use crate::supervisor::opening::supervise;
use crate::supervisor::panics::catch;
use crate::supervisor::parking::Parking;
use crate::supervisor::runit::RunitTree;
use crate::supervisor::spec::{Outcome, Spec};
use crate::sys::errno_text;
use crate::sys::file::Identity;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Stack of a supervisor thread, in bytes. It needs a third of this in a release build, but a panic with a
/// backtrace needs 32 KiB more; unoptimised code needs several times as much.
const STACK_SIZE: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };

/// What all supervisor threads share.
#[derive(Debug)]
pub struct Shared {
    /// Where the status directories are.
    pub status_root: PathBuf,
    /// The settings of all modules.
    pub config: Arc<Config>,
    /// Where they come from.
    pub source: Source,
    /// What modules say on standard error, too.
    pub echo: Echo,
    /// The tree's own log.
    pub log: Arc<Log>,
    /// With `--runit-compat`.
    pub runit: Option<Arc<RunitTree>>,
}

/// All entries, by module name.
#[derive(Debug)]
pub struct Roster {
    handover: Handover,
    shared: Shared,
    alarms: Arc<Alarms>,
    entries: BTreeMap<String, Entry>,
    /// Names of entries that something is to follow, so that nobody has to look at all for them.
    waiting: BTreeSet<String>,
    members: HashMap<u64, (String, Member)>,
    /// For whom there was no room: it has been said.
    refused: BTreeSet<String>,
    next_member: u64,
    reporter: Sender<Report>,
    reports: Receiver<Report>,
}

impl Roster {
    /// Nobody yet.
    pub fn new(shared: Shared, handover: Handover) -> Roster {
        let (reporter, reports) = unbounded();
        Roster {
            handover,
            shared,
            alarms: Alarms::new(),
            entries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            members: HashMap::new(),
            refused: BTreeSet::new(),
            next_member: 0,
            reporter,
            reports,
        }
    }

    /// Where ended threads report; each report goes to [`Roster::ended`].
    pub fn reports(&self) -> Receiver<Report> {
        self.reports.clone()
    }

    /// Whether no thread is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The names of all entries.
    pub fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// How many services there are, loggers not counted.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is an entry called `name`.
    pub fn knows(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The directory is there: it is supervised, if it is not yet.
    ///
    /// # Errors
    /// No thread or descriptor was to be had: to be tried again.
    pub fn want(&mut self, found: Found) -> io::Result<()> {
        let Some(entry) = self.entries.get_mut(&found.name) else {
            self.notice_rename(&found);
            // A directory that was renamed: the process of its old name is still there.
            if self.entries.values().any(|entry| entry.is_leaving_from(&found)) {
                self.waiting.insert(found.name.clone());
                self.entries.insert(found.name.clone(), Entry::waiting(found));
                return Ok(());
            }
            // One that has left by `x` stays away, also when the program was replaced meanwhile.
            if let Some(at) = self.handover.told_to_exit.iter().position(|name| *name == found.name) {
                self.handover.told_to_exit.swap_remove(at);
                let entry = Entry { fate: Fate::ToldToExit, ..Entry::waiting(found.clone()) };
                self.entries.insert(found.name, entry);
                return Ok(());
            }
            return self.start(found);
        };
        let same = entry.found.identity == found.identity;
        // A logger that is gone is still of use to the service that writes to it; one that is new is not yet.
        let new_logger = entry.found.logger.is_none() && found.logger.is_some();
        match &mut entry.fate {
            Fate::Stays if same && new_logger => {
                let log = &self.shared.log;
                log::info!(logger: log, "{}: has a log/run now: restarting it with its logger", found.name);
                self.leave(&found.name.clone(), Some(found));
                Ok(())
            }
            Fate::Stays | Fate::ToldToExit if same => Ok(()),
            Fate::Stays => {
                let log = &self.shared.log;
                log::info!(logger: log, "{}: another directory now: stopping the old one first", found.name);
                self.leave(&found.name.clone(), Some(found));
                Ok(())
            }
            Fate::ToldToExit => {
                entry.fate = Fate::Leaves(Some(found.clone()));
                self.waiting.insert(found.name);
                self.start_what_waited()
            }
            Fate::Leaves(next) => {
                self.waiting.insert(found.name.clone());
                *next = Some(found);
                Ok(())
            }
        }
    }

    /// If the directory had another name until now, what runs under that name is told to leave first: the new name may
    /// have been looked at before the old one.
    fn notice_rename(&mut self, found: &Found) {
        let is_old_name = |entry: &&Entry| {
            entry.fate == Fate::Stays
                && entry.found.identity == found.identity
                && !std::fs::metadata(&entry.found.path).is_ok_and(|now| Identity::of(&now) == found.identity)
        };
        let old: Vec<String> =
            self.entries.values().filter(is_old_name).map(|entry| entry.found.name.clone()).collect();
        for name in old {
            self.gone(&name);
        }
    }

    /// The directory is gone: its service is stopped.
    pub fn gone(&mut self, name: &str) {
        self.refused.remove(name);
        match self.entries.get_mut(name).map(|entry| &mut entry.fate) {
            None => {}
            Some(Fate::Stays) => {
                log::info!(logger: self.shared.log, "{name}: directory gone, stopping");
                self.leave(name, None);
            }
            Some(Fate::Leaves(next)) => {
                *next = None;
                self.settle(name);
            }
            Some(Fate::ToldToExit) => {
                self.entries.remove(name);
            }
        }
    }

    /// Those that left by `x` may come back with the next look at their directories.
    pub fn forget_exits(&mut self) {
        for (name, entry) in &mut self.entries {
            if entry.fate == Fate::ToldToExit {
                entry.fate = Fate::Leaves(None);
                self.waiting.insert(name.clone());
            }
        }
        for name in std::mem::take(&mut self.waiting) {
            self.settle(&name);
        }
        self.waiting = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.successor().is_some())
            .map(|(name, _)| name.clone())
            .collect();
    }

    /// Those that have left by `x`.
    pub fn told_to_exit(&self) -> Vec<String> {
        let told = |(name, entry): (&String, &Entry)| (entry.fate == Fate::ToldToExit).then(|| name.clone());
        self.entries.iter().filter_map(told).collect()
    }

    /// Has all threads come to rest; returns their modules' names.
    pub fn park_all(&self, parking: &Arc<Parking>) -> Vec<String> {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Park(parking.clone()));
        }
        self.members.values().map(|(_, member)| member.module.clone()).collect()
    }

    /// Whether a thread has ended and nobody has heard of it yet.
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Waits until all alarms are sent, but no longer than this.
    pub fn wait_for_alarms(&self, limit: Duration) {
        self.alarms.wait_at_most(limit);
    }

    /// What the program before us had open and nobody has asked for is closed, and what left it by `x` and is not there
    /// any more is forgotten.
    pub fn drop_handover(&mut self) {
        self.handover.modules.clear();
        self.handover.told_to_exit.clear();
    }

    /// Whether somebody may still have to adopt a process.
    pub fn is_beginning(&self) -> bool {
        Arc::strong_count(&self.handover.beginning) > 1
    }

    /// Gives all modules new settings.
    pub fn configure(&mut self, config: Arc<Config>) {
        self.shared.config = config.clone();
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Configure(config.clone()));
        }
    }

    /// Has all threads look whether their files are as they should be.
    pub fn wake_all(&self) {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Publish);
        }
    }

    /// Where the settings come from.
    pub fn source(&self) -> &Source {
        &self.shared.source
    }

    /// The tree's log.
    pub fn log(&self) -> Arc<Log> {
        self.shared.log.clone()
    }

    /// Stops all services; loggers follow when their services are gone.
    pub fn leave_all(&mut self) {
        for name in self.names() {
            match self.entries.get(&name).map(|entry| &entry.fate) {
                Some(Fate::Stays) => self.leave(&name, None),
                _ => self.gone(&name),
            }
        }
    }

    /// Kills whatever runs.
    pub fn kill_all(&self) {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::KillNow);
        }
    }

    /// A thread has ended.
    ///
    /// # Errors
    /// What was to follow it could not be started: to be tried again by a look at all directories.
    pub fn ended(&mut self, report: Report) -> io::Result<()> {
        let Some((name, member)) = self.members.remove(&report.member) else { return Ok(()) };
        // It has reported, so it is past everything that could wait.
        let _ = member.thread.join();
        let Some(entry) = self.entries.get_mut(&name) else { return Ok(()) };
        if report.outcome.is_none() {
            log::error!(logger: self.shared.log, "{name}: its thread panicked: this is a bug; starting it anew");
        }
        if entry.logger == Some(report.member) {
            entry.logger = None;
            if entry.service.is_some() {
                log::warn!(logger: self.shared.log, "{name}/log: logger left; {name} blocks when the pipe is full");
            }
        } else {
            entry.service = None;
            if entry.fate == Fate::Stays && report.outcome == Some(Outcome::Left(Leave::WhenDown)) {
                log::info!(logger: self.shared.log, "{name}: left, as told by x; HUP brings it back");
                entry.fate = Fate::ToldToExit;
            } else if entry.fate == Fate::Stays {
                entry.fate = Fate::Leaves(Some(entry.found.clone()));
                self.waiting.insert(name.clone());
            }
            if let Some(logger) = entry.logger {
                self.ask(logger, Ask::Leave(Leave::EndOfInput));
            }
        }
        self.settle(&name);
        self.start_what_waited()
    }

    /// Removes an entry that has no thread left; one that has a successor is found by [`Roster::start_what_waited`].
    fn settle(&mut self, name: &str) {
        let done = self
            .entries
            .get(name)
            .is_some_and(|entry| entry.service.is_none() && entry.logger.is_none() && entry.fate == Fate::Leaves(None));
        if done {
            self.entries.remove(name);
        }
    }

    /// Starts what can be started now of all that waits for something else's end.
    fn start_what_waited(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for name in self.waiting.clone() {
            let next = match self.entries.get(&name) {
                Some(entry) if entry.has_threads() => continue,
                Some(entry) => entry.successor().cloned(),
                None => None,
            };
            let busy =
                |next: &Found| self.entries.values().any(|entry| entry.has_threads() && entry.is_leaving_from(next));
            if next.as_ref().is_some_and(busy) {
                continue;
            }
            self.waiting.remove(&name);
            if let Some(next) = next {
                self.entries.remove(&name);
                result = result.and(self.start(next));
            }
        }
        result
    }

    fn leave(&mut self, name: &str, next: Option<Found>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if next.is_some() {
            self.waiting.insert(name.to_string());
        }
        entry.fate = Fate::Leaves(next);
        let (service, logger) = (entry.service, entry.logger);
        match (service, logger) {
            (Some(service), _) => self.ask(service, Ask::Leave(Leave::Stop)),
            (None, Some(logger)) => self.ask(logger, Ask::Leave(Leave::EndOfInput)),
            (None, None) => self.settle(name),
        }
    }

    fn ask(&self, member: u64, ask: Ask) {
        if let Some((_, member)) = self.members.get(&member) {
            member.mailbox.ask(ask);
        }
    }

    /// Starts the threads of a service directory: the logger first, so that it is there when the service writes.
    pub(super) fn start(&mut self, found: Found) -> io::Result<()> {
        self.start_threads(found, Fate::Stays, (None, None))
    }

    /// Starts the threads of a service directory that is gone (or whose module has left by `x`), only to stop what runs
    /// and to clear up. A logger that runs reads to the end of its input; one that does not cannot be started again.
    pub(super) fn start_to_leave(&mut self, found: Found, logs_on: bool) -> io::Result<()> {
        let logger = if logs_on { None } else { Some(Leave::EndOfInput) };
        let fate = if self.told_to_exit_before(&found.name) { Fate::ToldToExit } else { Fate::Leaves(None) };
        self.start_threads(found, fate, (Some(Leave::Stop), logger))
    }

    /// Whether the module has left the program before us by `x`.
    pub(super) fn told_to_exit_before(&self, name: &str) -> bool {
        self.handover.told_to_exit.iter().any(|told| told == name)
    }

    fn start_threads(&mut self, found: Found, fate: Fate, leave: (Option<Leave>, Option<Leave>)) -> io::Result<()> {
        let name = found.name.clone();
        let modules = 1 + usize::from(found.logger.is_some());
        room::for_modules(self.members.len() + modules, modules * STACK_SIZE)
            .inspect_err(|error| self.refused(&name, error))?;
        let mut entry = Entry { service: None, logger: None, fate, found };
        let mut pipe = None;
        if let Some(path) = entry.found.logger.clone() {
            let module = format!("{name}/log");
            // The logger's directory lies in it, and would be made with a parent that all may read. What is wrong with
            // it, the service's own thread says.
            let _ = self.status_dir(&name).make();
            let to_logger = Arc::new(self.log_pipe(&module));
            let directory = Directory::logger(path, entry.found.identity);
            pipe = Some(to_logger.clone());
            let member = self.spawn(&name, module, directory, (Some(to_logger), None), leave.1);
            entry.logger = Some(member.inspect_err(|error| self.refused(&name, error))?);
        }
        let directory = Directory::new(entry.found.path.clone(), Some(entry.found.identity));
        match self.spawn(&name, name.clone(), directory, (None, pipe), leave.0) {
            Ok(member) => {
                self.refused.remove(&name);
                entry.service = Some(member);
                self.entries.insert(name, entry);
                Ok(())
            }
            Err(error) => {
                self.refused(&name, &error);
                if let Some(logger) = entry.logger {
                    self.ask(logger, Ask::Leave(Leave::EndOfInput));
                    entry.fate = Fate::Leaves(None);
                    self.entries.insert(name, entry);
                }
                Err(error)
            }
        }
    }

    fn refused(&mut self, name: &str, error: &io::Error) {
        if self.refused.insert(name.to_string()) {
            log::warn!(logger: self.shared.log, "{name}: {}; tried again every second", errno_text(error));
        }
    }

    fn log_pipe(&mut self, module: &str) -> LogPipe {
        let dir = self.status_dir(module);
        match self.handover.modules.get_mut(module).and_then(|handed| handed.pipe.take()) {
            Some(descriptor) => LogPipe::inherit(dir, descriptor),
            None => LogPipe::new(dir),
        }
    }

    /// Where the status directories are.
    pub(super) fn status_root(&self) -> &Path {
        &self.shared.status_root
    }

    pub(super) fn status_dir(&self, module: &str) -> StatusDir {
        StatusDir::of(&self.shared.status_root, module)
    }

    fn spawn(
        &mut self,
        name: &str,
        module: String,
        directory: Directory,
        (input, output): (Option<Arc<LogPipe>>, Option<Arc<LogPipe>>),
        leave: Option<Leave>,
    ) -> io::Result<u64> {
        let mailbox = Mailbox::new()?;
        if let Some(pipe) = &output {
            let service = mailbox.clone();
            pipe.tell_when_logger_changes(move || service.ask(Ask::Publish));
        }
        let dir = self.status_dir(&module);
        let wanted = !directory.has_down_file();
        let streams = Streams::new(&dir, input, output);
        let spec = Spec {
            service: Service::new(Definition::Directory(directory), streams),
            dir,
            wanted,
            program: Program::Tree,
            config: self.shared.config.clone(),
            source: self.shared.source.clone(),
            restart_hook: None,
            alarms: self.alarms.clone(),
            orders: Orders::Tree(mailbox.clone()),
            house_log: Some(self.shared.log.clone()),
            echo: self.shared.echo,
            complaints: Vec::new(),
            runit: self.shared.runit.clone(),
            leave,
            handed: self.handover.modules.remove(&module),
            foreground: true,
            module: module.clone(),
        };
        let id = self.next_member;
        self.next_member += 1;
        let reporter = self.reporter.clone();
        let thread = std::thread::Builder::new().name(module.clone()).stack_size(STACK_SIZE).spawn(move || {
            let outcome = catch(|| supervise(spec)).ok();
            // It fails only when the main loop is gone, and the process with it.
            let _ = reporter.send(Report { member: id, outcome });
        });
        let thread = thread.map_err(|error| room::no_thread(&error))?;
        self.members.insert(id, (name.to_string(), Member { module, mailbox, thread }));
        Ok(id)
    }
}
