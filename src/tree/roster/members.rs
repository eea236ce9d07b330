//! Who is supervised: for each service directory a thread, and one more for its logger.
//!
//! The roster never runs two services from one directory, nor one name twice: what is replaced has to be gone
//! before what replaces it begins.

use super::entry::{Entry, Lifecycle, SupervisorThread, ThreadExit};
use crate::conf::Config;
use crate::conf::source::ConfigSource;
use crate::status::log::{Echo, Log};
use crate::supervisor::host::ToTree;
use crate::supervisor::report::alarm::Alarms;
use crate::supervisor::requests::mailbox::Ask;
use crate::supervisor::requests::parking::{Descriptors, Parking};
use crate::supervisor::runit::RunitTree;
use crate::sys::files::file_id::FileId;
use crate::sys::time::Mono;
use crate::tree::capacity::Demand;
use crate::tree::handover::Handover;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
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
    pub(super) seen: HashSet<FileId>,
    /// Names of entries that have a successor, so that not all entries have to be searched for them.
    pub(super) pending_successors: BTreeSet<String>,
    /// Services whose earlier tree ran a logger for them, until they begin.
    pub(super) own_loggers_left: BTreeSet<String>,
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
            own_loggers_left: BTreeSet::new(),
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

    /// Remembers a directory that gets an entry.
    pub(super) fn note_seen(&mut self, id: FileId) {
        if self.seen.len() > 2 * self.entries.len() + SEEN_SPARE {
            self.seen = self.entries.values().map(|entry| entry.found.instance.id).collect();
        }
        self.seen.insert(id);
    }

    /// Loggers that left alone by `x` come back to their services.
    pub fn bring_loggers_back(&mut self) {
        let names = self.entries.iter().filter(|(_, entry)| entry.misses_logger()).map(|(name, _)| name.clone());
        for name in names.collect::<Vec<_>>() {
            self.bring_logger_back(&name);
        }
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
        self.follow_log_keys();
    }

    /// Has all threads look whether their files are as they should be.
    pub fn wake_all(&self) {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Publish);
        }
    }

    /// The settings that hold.
    pub fn config(&self) -> &Config {
        &self.shared.config
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

    pub(super) fn ask(&self, member: u64, ask: Ask) {
        if let Some((_, member)) = self.members.get(&member) {
            member.mailbox.ask(ask);
        }
    }
}
