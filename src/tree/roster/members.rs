//! Who is supervised: for each service directory a thread, and one more for its logger.
//!
//! The roster never runs two services from one directory, nor two under one name: a replaced service has to be gone before
//! its successor begins.

use super::entry::{Entry, Lifecycle, OutputsLeft, SupervisorThread, ThreadExit};
use crate::conf::Config;
use crate::conf::defaults::MAIN;
use crate::conf::source::ConfigSource;
use crate::machine::Leave;
use crate::service::CommandLine;
use crate::service::entries::CONTROL_DIR;
use crate::status::dir::TREE_DIR;
use crate::status::log::{Echo, Log};
use crate::status::state::StateFile;
use crate::supervisor::host::ToTree;
use crate::supervisor::report::alarm::Alarms;
use crate::supervisor::report::tree_end::TreeEnd;
use crate::supervisor::requests::mailbox::{Ask, Mailbox};
use crate::supervisor::requests::parking::{Descriptors, InheritedModule, Parking};
use crate::supervisor::runit::RunitTree;
use crate::sys::files::file_id::FileId;
use crate::sys::files::removals::Removals;
use crate::sys::process::pidfd::Pidfd;
use crate::sys::time::Mono;
use crate::tree::capacity::Demand;
use crate::tree::handover::Handover;
use crate::tree::order::Places;
use crate::tree::standard_output::StandardOutput;
use crate::tree::status_root::StatusRoot;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::os::fd::RawFd;
use std::sync::Arc;

/// Former directories are forgotten once more than this many are remembered beside twice the number of entries.
const SEEN_SPARE: usize = 64;

/// What all supervisor threads share.
#[derive(Debug)]
pub struct Shared {
    /// Where the status directories are.
    pub status_root: StatusRoot,
    /// Tells of what is removed from them.
    pub removals: Option<Arc<Removals>>,
    /// The settings of all modules.
    pub config: Arc<Config>,
    /// Where they come from.
    pub source: ConfigSource,
    /// What modules say on standard error, too.
    pub echo: Echo,
    /// The tree's own log.
    pub log: Log,
    /// What the tree was given to run.
    pub command: Option<CommandLine>,
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
    /// Who starts after whom.
    pub(super) places: Arc<Places>,
    /// Device and inode of the directories of all entries, of links to them, and of some former ones. A directory that is not in this set is
    /// new, and not a renamed one.
    pub(super) seen: HashSet<FileId>,
    /// Names of the entries that have a successor: an index, so that a thread's end need not search all entries.
    pub(super) pending_successors: BTreeSet<String>,
    /// What modules that are begun anew for a logger wanted and counted: they are the same services.
    pub(super) continued: BTreeMap<String, Box<StateFile>>,
    /// What an earlier tree has left, until it begins here.
    pub(super) left: OutputsLeft,
    /// Standard output, for services.
    pub(super) stdout: StandardOutput,
    /// The process ends when all threads have.
    pub(super) end: Arc<TreeEnd>,
    /// Whom the tree has signalled by itself, while it does.
    pub(super) signalled: Option<Vec<(Arc<Mailbox>, Arc<Pidfd>)>>,
    pub(super) members: HashMap<u64, (String, SupervisorThread)>,
    /// What all members need.
    pub(super) demand: Demand,
    /// Services that were refused for want of resources, with the reason that was logged.
    pub(super) capacity_logged: BTreeMap<String, String>,
    pub(super) next_member: u64,
    pub(super) reporter: Sender<ThreadExit>,
    reports: Receiver<ThreadExit>,
    /// Threads that have panicked, and until when what follows is held back.
    pub(super) panicked: VecDeque<(Mono, ThreadExit)>,
    /// What members tell while they go on.
    pub(super) to_tree: (Sender<ToTree>, Receiver<ToTree>),
}

impl Roster {
    /// A roster without entries.
    pub fn new(shared: Shared, handover: Handover) -> Roster {
        let (reporter, reports) = unbounded();
        let dir = shared.status_root.path().join(TREE_DIR).join("stdout");
        let stdout = StandardOutput::new(dir, shared.log.clone(), &shared.config);
        Roster {
            handover,
            shared,
            alarms: Alarms::new(),
            entries: BTreeMap::new(),
            places: Arc::default(),
            seen: HashSet::new(),
            pending_successors: BTreeSet::new(),
            continued: BTreeMap::new(),
            left: OutputsLeft::default(),
            stdout,
            end: Arc::default(),
            signalled: None,
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

    /// The channel on which ended threads report. Each report goes to [`Roster::ended`].
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
            let ids = |entry: &Entry| [Some(entry.found.instance.id), entry.found.link];
            self.seen = self.entries.values().flat_map(ids).flatten().collect();
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

    /// Sets or clears close-on-exec on the pipes of services whose logger has left: we may hold the only copy of the unread
    /// data.
    pub fn keep_pipes_open(&self, keep: bool) -> Vec<(String, Descriptors<RawFd>)> {
        let without_logger = self.entries.iter().filter(|(_, entry)| entry.misses_logger());
        let keep = |(name, entry): (&String, &Entry)| {
            let pipe = entry.pipe.as_ref().and_then(|pipe| pipe.keep_open(keep));
            (format!("{name}/log"), Descriptors { pipe, ..Descriptors::default() })
        };
        without_logger.map(keep).collect()
    }

    /// The same for what modules were handed over that have not begun yet.
    pub fn keep_handed_over_open(&self, keep: bool) -> Vec<(String, Descriptors<RawFd>)> {
        let keep = |(module, inherited): (&String, &InheritedModule)| (module.clone(), inherited.keep_open(keep));
        self.handover.modules.iter().map(keep).collect()
    }

    /// Has all threads come to rest; returns their modules' names.
    pub fn park_all(&self, parking: &Arc<Parking>) -> Vec<String> {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Park(parking.clone()));
        }
        self.members.values().map(|(_, member)| member.module.clone()).collect()
    }

    /// Whether a report of a thread waits to be handled.
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty() || !self.to_tree.1.is_empty()
    }

    /// Who sends the alarms of all modules.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Closes the inherited descriptors that no module has taken, and forgets modules that left by `x` and whose directory is
    /// gone. The returned channel is closed once every thread has adopted its process.
    pub fn drop_handover(&mut self) -> Receiver<Infallible> {
        std::mem::take(&mut self.handover).adoption
    }

    /// Gives all modules new settings.
    pub fn configure(&mut self, config: Arc<Config>) {
        self.shared.config = config;
        // The order first: whoever hears of it asks by the new relations.
        self.places.configure(&self.shared.config, services(&self.members));
        self.log_circles();
        self.read_own_files();
        self.stdout.configure(&self.shared.config);
        self.follow_log_keys();
    }

    /// Has all modules take over the settings, with what their directories say by now.
    pub fn read_own_files(&self) {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Configure(self.shared.config.clone()));
        }
    }

    /// These services are about to be started, and so is the command, if there is one.
    pub fn announce(&self, names: impl Iterator<Item = String>) {
        let command = Some(MAIN).filter(|name| self.is_command(name)).map(String::from);
        self.places.announce(&self.shared.config, names.chain(command));
        self.log_circles();
    }

    /// A service directory names others, and none had before.
    pub fn begin_order(&self) {
        self.places.begin(&self.shared.config, services(&self.members));
        self.log_circles();
    }

    /// Whether the settings of any module name another one.
    pub fn has_order(&self) -> bool {
        self.places.are_ordered() || self.shared.config.has_relations()
    }

    /// Says which circles there are, each once.
    pub fn log_circles(&self) {
        for circle in self.places.new_circles() {
            log::warn!(logger: self.shared.log, "a circle: {circle}; none of them is started until that is mended");
        }
    }

    /// The links of modules that have left before the end, and have nobody to put them back.
    pub fn put_runit_links_back(&self) {
        if let Some(runit) = &self.shared.runit {
            runit.links().put_all_back();
        }
    }

    /// Has all threads check and repair their status files.
    pub fn wake_all(&self) {
        for (_, member) in self.members.values() {
            member.mailbox.ask(Ask::Publish);
        }
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Where the settings come from.
    pub fn source(&self) -> &ConfigSource {
        &self.shared.source
    }

    /// Modules that were refused for want of resources, and why.
    pub fn not_begun(&self) -> &BTreeMap<String, String> {
        &self.capacity_logged
    }

    /// The tree's log.
    pub fn log(&self) -> Log {
        self.shared.log.clone()
    }

    /// Stops all services, for good; loggers follow when their services are gone.
    pub fn leave_all(&mut self) {
        let is_told = |entry: &&Entry| entry.lifecycle == Lifecycle::Supervised && entry.service.is_some();
        self.end.begin(self.entries.values().filter(is_told).count());
        self.places.end();
        self.signalled = self.end.signals_by_itself().then(Vec::new);
        for name in self.names() {
            match self.entries.get(&name).map(|entry| &entry.lifecycle) {
                Some(Lifecycle::Supervised) => self.leave(&name, None),
                _ => self.gone(&name),
            }
        }
        let (mailboxes, processes): (Vec<_>, Vec<_>) = self.signalled.take().unwrap_or_default().into_iter().unzip();
        self.end.wait_for(processes);
        mailboxes.iter().for_each(|mailbox| mailbox.wake_unless_read());
        self.release_all_panicked();
    }

    /// Asks a service's thread to stop it and to leave.
    pub(super) fn ask_to_leave(&mut self, member: u64, name: &str) {
        let Some((_, thread)) = self.members.get(&member) else { return };
        // Its scripts come before the signal.
        let may_have_controls = |entry: &Entry| entry.found.path.join(CONTROL_DIR).try_exists().unwrap_or(true);
        match &mut self.signalled {
            Some(signalled) if !self.entries.get(name).is_none_or(may_have_controls) => {
                signalled.extend(thread.mailbox.leave_at_once().map(|process| (thread.mailbox.clone(), process)));
            }
            _ => thread.mailbox.ask(Ask::Leave(Leave::Stop)),
        }
    }

    /// Kills all services, for an end that cannot wait.
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

/// The threads of services, by name: loggers are outside of the order.
fn services(members: &HashMap<u64, (String, SupervisorThread)>) -> impl Iterator<Item = (&str, &Arc<Mailbox>)> {
    let services = members.values().filter(|(name, member)| *name == member.module);
    services.map(|(name, member)| (name.as_str(), &member.mailbox))
}
