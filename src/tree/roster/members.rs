//! Who is supervised: for each service directory a thread, and one more for its logger.
//!
//! The roster never runs two services from one directory, nor one name twice: what is replaced has to be gone
//! before what replaces it begins.

use super::entry::{Entry, Lifecycle, SupervisorThread, ThreadExit};
use crate::conf::Config;
use crate::conf::source::ConfigSource;
use crate::machine::Leave;
use crate::status::log::{Echo, Log};
use crate::supervisor::host::ToTree;
use crate::supervisor::report::alarm::Alarms;
use crate::supervisor::requests::mailbox::Ask;
use crate::supervisor::requests::parking::{Descriptors, Parking};
use crate::supervisor::runit::RunitTree;
use crate::supervisor::spec::Outcome;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::sys::time::Mono;
use crate::tree::capacity::Demand;
use crate::tree::handover::Handover;
use crate::tree::root::scan::ServiceDir;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many directories that are gone are remembered beside as many as there are.
const SEEN_SPARE: usize = 64;

/// What all supervisor threads share.
#[derive(Debug)]
pub struct Shared {
    /// Where the status directories are.
    pub status_root: PathBuf,
    /// The settings of all modules.
    pub config: Arc<Config>,
    /// Where they come from.
    pub source: ConfigSource,
    /// What modules say on standard error, too.
    pub echo: Echo,
    /// The tree's own log.
    pub log: Log,
    /// With `--runit-compat`.
    pub runit: Option<Arc<RunitTree>>,
}

/// All entries, by module name.
#[derive(Debug)]
pub struct Roster {
    pub(super) handover: Handover,
    pub(super) shared: Shared,
    pub(super) alarms: Arc<Alarms>,
    pub(super) entries: BTreeMap<String, Entry>,
    /// Device and inode of the directories of all entries, and of some that are no more: one that is not among them was
    /// not renamed.
    seen: HashSet<FileId>,
    /// Names of entries that have a successor, so that not all entries have to be searched for them.
    pending_successors: BTreeSet<String>,
    /// The process ends when all threads have.
    pub(super) shutting_down: Arc<AtomicBool>,
    pub(super) members: HashMap<u64, (String, SupervisorThread)>,
    /// What all members need.
    pub(super) demand: Demand,
    /// For whom there was no room: it has been said.
    pub(super) capacity_logged: BTreeMap<String, String>,
    pub(super) next_member: u64,
    pub(super) reporter: Sender<ThreadExit>,
    reports: Receiver<ThreadExit>,
    /// Ends that are held back, and until when.
    pub(super) panicked: VecDeque<(Mono, ThreadExit)>,
    /// What members tell while they go on.
    pub(super) to_tree: (Sender<ToTree>, Receiver<ToTree>),
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
            seen: HashSet::new(),
            pending_successors: BTreeSet::new(),
            shutting_down: Arc::default(),
            members: HashMap::new(),
            demand: Demand::default(),
            capacity_logged: BTreeMap::new(),
            next_member: 0,
            reporter,
            reports,
            panicked: VecDeque::new(),
            to_tree: unbounded(),
        }
    }

    /// Where ended threads report; each report goes to [`Roster::ended`].
    pub fn reports(&self) -> Receiver<ThreadExit> {
        self.reports.clone()
    }

    /// What members tell while they go on.
    pub fn told(&self) -> Receiver<ToTree> {
        self.to_tree.1.clone()
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
    pub fn want(&mut self, found: ServiceDir) -> io::Result<()> {
        if self.entries.contains_key(&found.name) { self.want_known(found) } else { self.want_new(found) }
    }

    /// A name without an entry.
    fn want_new(&mut self, found: ServiceDir) -> io::Result<()> {
        if self.seen.contains(&found.instance.id) {
            self.notice_rename(&found);
            // A directory that was renamed: the process of its old name is still there.
            if self.entries.values().any(|entry| entry.is_leaving_from(&found)) {
                self.pending_successors.insert(found.name.clone());
                self.entries.insert(found.name.clone(), Entry::pending(found));
                return Ok(());
            }
        }
        // One that has left by `x` stays away, also when the program was replaced meanwhile.
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
        let same = entry.found.instance == found.instance;
        // A logger that is gone is still of use to the service that writes to it; one that is new is not yet.
        let new_logger = !entry.found.has_logger && found.has_logger;
        match &mut entry.lifecycle {
            Lifecycle::Supervised if same && new_logger => {
                let log = &self.shared.log;
                log::info!(logger: log, "{}: has a log/run now: restarting it with its logger", found.name);
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
                entry.lifecycle = Lifecycle::Leaving(Some(found.clone()));
                self.pending_successors.insert(found.name);
                self.start_pending()
            }
            Lifecycle::Leaving(next) => {
                self.pending_successors.insert(found.name.clone());
                *next = Some(found);
                Ok(())
            }
        }
    }

    /// Remembers a directory that gets an entry.
    pub(super) fn note_seen(&mut self, id: FileId) {
        if self.seen.len() > 2 * self.entries.len() + SEEN_SPARE {
            self.seen = self.entries.values().map(|entry| entry.found.instance.id).collect();
        }
        self.seen.insert(id);
    }

    /// If the directory had another name until now, what runs under that name is told to leave first: the new name may
    /// have been looked at before the old one.
    fn notice_rename(&mut self, found: &ServiceDir) {
        let is_old_name = |entry: &&Entry| {
            entry.lifecycle == Lifecycle::Supervised
                && entry.found.instance == found.instance
                && !std::fs::metadata(&entry.found.path).is_ok_and(|now| FileInstance::of(&now) == found.instance)
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
            Some(Lifecycle::Exited) => {
                self.entries.remove(name);
            }
        }
    }

    /// The directory was taken away, and may have been put in again: one that has left by `x` comes back then.
    pub fn directory_removed(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.lifecycle == Lifecycle::Exited) {
            entry.lifecycle = Lifecycle::Leaving(None);
            self.remove_if_done(name);
        }
    }

    /// Loggers that left alone by `x` come back to their services.
    pub fn bring_loggers_back(&mut self) {
        let names = self.entries.iter().filter(|(_, entry)| entry.misses_logger()).map(|(name, _)| name.clone());
        for name in names.collect::<Vec<_>>() {
            self.bring_logger_back(&name);
        }
    }

    /// Those that have left by `x` until now may come back with the next look at their directories.
    pub fn forget_exits(&mut self) {
        // Some may have left without anybody having heard of it yet.
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::ComeBack);
        }
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

    /// Those that have left by `x`.
    pub fn told_to_exit(&self) -> Vec<String> {
        let told = |(name, entry): (&String, &Entry)| match entry.lifecycle {
            Lifecycle::Exited => Some(name.clone()),
            _ if entry.misses_logger() => Some(format!("{name}/log")),
            _ => None,
        };
        self.entries.iter().filter_map(told).collect()
    }

    /// Says whether the pipes to loggers that have left alone stay open when the program is replaced: nobody else may
    /// hold what waits in them.
    pub fn keep_pipes_open(&self, keep: bool) -> Vec<(String, Descriptors<RawFd>)> {
        let without_logger = self.entries.iter().filter(|(_, entry)| entry.misses_logger());
        let keep = |(name, entry): (&String, &Entry)| {
            let pipe = entry.pipe.as_ref().and_then(|pipe| pipe.keep_open(keep));
            (format!("{name}/log"), Descriptors { pipe, ..Descriptors::default() })
        };
        without_logger.map(keep).collect()
    }

    /// Has all threads come to rest; returns their modules' names.
    pub fn park_all(&self, parking: &Arc<Parking>) -> Vec<String> {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Park(parking.clone()));
        }
        self.members.values().map(|(_, member)| member.module.clone()).collect()
    }

    /// Whether a thread has ended, or has told something, and nobody has heard of it yet.
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty() || !self.to_tree.1.is_empty()
    }

    /// Who sends the alarms of all modules.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// What the program before us had open and nobody has asked for is closed, and what left it by `x` and is not there
    /// any more is forgotten. The channel is closed when nobody has to adopt a process any more.
    pub fn drop_handover(&mut self) -> Receiver<Infallible> {
        std::mem::take(&mut self.handover).adoption
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
    pub fn source(&self) -> &ConfigSource {
        &self.shared.source
    }

    /// Modules for which there was no room, and why.
    pub fn not_begun(&self) -> &BTreeMap<String, String> {
        &self.capacity_logged
    }

    /// The tree's log.
    pub fn log(&self) -> Log {
        self.shared.log.clone()
    }

    /// Stops all services, for good; loggers follow when their services are gone.
    pub fn leave_all(&mut self) {
        self.shutting_down.store(true, Ordering::Relaxed);
        for name in self.names() {
            match self.entries.get(&name).map(|entry| &entry.lifecycle) {
                Some(Lifecycle::Supervised) => self.leave(&name, None),
                _ => self.gone(&name),
            }
        }
        self.release_all_panicked();
    }

    /// Kills whatever runs.
    pub fn kill_all(&mut self) {
        self.release_all_panicked();
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::KillNow);
        }
    }

    /// A thread has ended.
    ///
    /// # Errors
    /// What was to follow it could not be started: to be tried again by a look at all directories.
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
        // It has reported, so it is past everything that could wait.
        if !self.shutting_down.load(Ordering::Relaxed) {
            member.thread.join();
        }
        let comes_back = member.mailbox.take().iter().any(|ask| matches!(ask, Ask::ComeBack));
        let is_service = self.entries.get(&name).is_some_and(|entry| entry.service == Some(report.member));
        if report.outcome.is_none() && is_service && self.stop_after_panic(&name) {
            return Ok(());
        }
        let Some(entry) = self.entries.get_mut(&name) else { return Ok(()) };
        if entry.logger == Some(report.member) {
            entry.logger = None;
            if entry.service.is_some() && (report.outcome.is_none() || comes_back) {
                self.bring_logger_back(&name);
            } else if entry.service.is_some() {
                log::warn!(logger: self.shared.log, "{name}/log: logger left; {name} blocks when the pipe is full; HUP brings it back");
            }
        } else {
            entry.service = None;
            // Nobody writes into it any more, and an entry may stay for long.
            entry.pipe = None;
            let told_to_exit = report.outcome == Some(Outcome::Left(Leave::WhenDown));
            if entry.lifecycle == Lifecycle::Supervised && told_to_exit && !comes_back {
                log::info!(logger: self.shared.log, "{name}: left, as told by x; HUP brings it back");
                entry.lifecycle = Lifecycle::Exited;
            } else if entry.lifecycle == Lifecycle::Supervised {
                entry.lifecycle = Lifecycle::Leaving(Some(entry.found.clone()));
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
    fn remove_if_done(&mut self, name: &str) {
        let is_done = self.entries.get(name).is_some_and(|entry| {
            entry.service.is_none() && entry.logger.is_none() && entry.lifecycle == Lifecycle::Leaving(None)
        });
        if is_done {
            self.entries.remove(name);
        }
    }

    /// Starts what can be started now of all that waits for something else's end.
    fn start_pending(&mut self) -> io::Result<()> {
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

    fn leave(&mut self, name: &str, next: Option<ServiceDir>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if next.is_some() {
            self.pending_successors.insert(name.to_string());
        }
        entry.lifecycle = Lifecycle::Leaving(next);
        let (service, logger) = (entry.service, entry.logger);
        match (service, logger) {
            (Some(service), _) => self.ask(service, Ask::Leave(Leave::Stop)),
            (None, Some(logger)) => self.ask(logger, Ask::Leave(Leave::EndOfInput)),
            (None, None) => self.remove_if_done(name),
        }
    }

    pub(super) fn ask(&self, member: u64, ask: Ask) {
        if let Some((_, member)) = self.members.get(&member) {
            member.mailbox.ask(ask);
        }
    }
}
