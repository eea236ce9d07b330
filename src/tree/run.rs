//! The main loop: directory events, thread reports, signals, orphans.

use super::begin::{check, retrying};
use super::candidate::{self, ProgramFault};
use super::error::TreeError;
use super::handover::ReExec;
use super::options::Options;
use super::root::scan;
use super::root::scanner::{Look, ROOT_RETRY_INTERVAL, RootScanner};
use super::roster::entry::ThreadExit;
use super::roster::members::{Roster, Shared};
use super::shutdown::Shutdown;
use super::signals::{Listening, Messages, TreeRequest};
use super::upgrade::{Next, NotReplaced, UpgradeError, upgrade};
use crate::conf::defaults::MAIN;
use crate::conf::source::Reload;
use crate::status::dir::TREE_DIR;
use crate::status::log::Log;
use crate::supervisor::host::ToTree;
use crate::supervisor::runit::RunitTree;
use crate::sys::describe;
use crate::sys::handover::ProgramFile;
use crate::sys::process::oom;
use crate::sys::process::orphans;
use crate::sys::threads::signals::Signals;
use crate::sys::time::Mono;
use crate::tree::capacity;
use crate::tree::status_root::StatusRoot;
use crate::tree::tree_dir::TreeDir;
use crossbeam_channel::{Receiver, after, bounded, never, select};
use log::Level;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Supervises everything in the root until it is told to end, or the end of a service ends the tree; returns the exit code.
///
/// # Errors
/// Why it cannot begin. A program that has taken over from another one begins all the same, as soon as it can.
pub fn run(mut options: Options) -> Result<u8, TreeError> {
    let is_upgrade = options.handover.is_upgrade;
    if !is_upgrade {
        // First: for a root that is none, nothing is made.
        check(&options.root, options.command.as_ref())?;
    }
    let lock = options.handover.own_lock.take();
    let status_root = StatusRoot::new(options.status_root.clone());
    let mut tree_dir = if is_upgrade { TreeDir::take_over(&status_root, lock)? } else { TreeDir::take(&status_root)? };
    oom::protect();
    let wanted = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2, Signal::SIGCHLD];
    let signals = retrying(is_upgrade, || Signals::take(&wanted).map_err(TreeError::Signals))?;
    let services = scan::names(&options.root).map_or(0, |names| names.len());
    capacity::make(signals.as_fd(), services);
    let log = Log::new(tree_dir.dir(), "", options.tree_echo);
    if let Err(errno) = orphans::become_subreaper() {
        log::warn!(logger: log, "cannot become child subreaper: {}; orphans go elsewhere", describe(errno));
    }
    let inherited = options.handover.modules.remove(TREE_DIR).unwrap_or_default().descriptors;
    let thread = retrying(is_upgrade, || Listening::prepare().map_err(TreeError::Thread))?;
    let removals = tree_dir.watch(&log);
    let messages = thread.listen(signals, (tree_dir.dir().clone(), removals), log.clone(), inherited);
    tree_dir.begin_state(&options.root, options.source.defaults(), is_upgrade);
    if let Some(writer) = status_root.writer() {
        let dir = status_root.path().display();
        log::warn!(logger: log, "{writer}, and so can exchange what is in the status root {dir}: each status directory is held \
            open, and a link in its place is not followed");
    }
    Ok(Tree::new(options, status_root, log, tree_dir).run(&messages))
}

/// How often lines that could not be written into the tree's log are tried again.
const LOG_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The main loop's state.
pub(super) struct Tree {
    tree_dir: TreeDir,
    re_exec: ReExec,
    pub(super) scanner: RootScanner,
    pub(super) roster: Roster,
    pub(super) log: Log,
    /// What the program before us has left is taken on once the root is there.
    pub(super) handover_pending: bool,
    /// Where the answer of the next program comes from, while it is asked.
    question: Receiver<Result<ProgramFile, ProgramFault>>,
    /// Whether it is.
    is_asking: bool,
    /// It has answered, and what it is to do was put off.
    next_program: Option<ProgramFile>,
    /// Is closed when all threads have adopted what the program before us has left; `None` after that.
    pub(super) adoption: Option<Receiver<Infallible>>,
    pub(super) shutdown: Shutdown,
    /// An upgrade was put off, and that is in the log.
    retry_logged: bool,
    /// A line could not be written into the log, by whatever thread.
    log_behind: Receiver<()>,
}

impl Tree {
    fn new(mut options: Options, status_root: StatusRoot, log: Log, tree_dir: TreeDir) -> Tree {
        let (config, complaint) = options.source.after_upgrade(options.handover.config.take());
        for complaint in complaint.iter().chain(config.complaints()) {
            log::warn!(logger: log, "{complaint}");
        }
        tree_dir.keep_config(&config);
        let runit = || RunitTree::new(options.root.clone(), options.status_root, log.clone());
        let taken = options.command.as_ref().map(|_| MAIN);
        let shared = Shared {
            command: options.command,
            runit: options.runit.then(|| Arc::new(runit())),
            status_root,
            removals: tree_dir.removals(),
            config: Arc::new(config),
            source: options.source,
            echo: options.echo,
            log: log.clone(),
        };
        let (behind, log_behind) = bounded(1);
        log.tell_when_behind(behind);
        Tree {
            tree_dir,
            re_exec: options.re_exec,
            scanner: RootScanner::new(options.root, options.strict, taken, log.clone()),
            roster: Roster::new(shared, options.handover),
            log,
            handover_pending: true,
            question: never(),
            is_asking: false,
            next_program: None,
            adoption: None,
            shutdown: Shutdown::new(options.shutdown),
            retry_logged: false,
            log_behind,
        }
    }

    fn run(mut self, messages: &Messages) -> u8 {
        log::info!(logger: self.log, "supervising {}, pid {}", self.scanner.root().display(), std::process::id());
        self.look_at_root();
        // Only now: no start waits for this file.
        self.publish();
        let reports = self.roster.reports();
        while !(self.shutdown.has_begun() && self.roster.is_empty()) {
            self.turn(messages, &reports);
        }
        self.roster.finish_output();
        self.roster.put_runit_links_back();
        self.reap_orphans();
        self.send_last_alarms(messages);
        let exit_code = self.shutdown.exit_code();
        log::info!(logger: self.log, "all services have ended, leaving{}", match exit_code {
            0 => String::new(),
            code => format!(" with exit code {code}"),
        });
        exit_code
    }

    /// Waits for one thing, and does what follows.
    fn turn(&mut self, messages: &Messages, reports: &Receiver<ThreadExit>) {
        let rescan = timer(self.scanner.rescan_at());
        let incomplete = timer(self.scanner.incomplete_until());
        let adoption = self.adoption.clone().unwrap_or_else(never);
        let panicked = timer(self.roster.panicked_until());
        let stop_timeout = timer(self.shutdown.deadline());
        let log_retry = if self.log.catch_up() { never() } else { after(LOG_RETRY_INTERVAL) };
        select! {
            recv(self.scanner.notify_rx()) -> _ => self.changed(),
            recv(reports) -> report => {
                if let Ok(report) = report {
                    self.ended(report);
                }
                self.drain_reports();
            }
            recv(messages.requests) -> request => match request {
                Ok(TreeRequest::Shutdown) => self.shut_down(),
                Ok(TreeRequest::Rescan) => self.rescan(),
                Ok(TreeRequest::Upgrade) => self.upgrade(messages),
                Err(_) => {}
            },
            recv(messages.children) -> _ => self.reap_orphans(),
            recv(messages.removed) -> _ => {
                messages.wake();
                self.roster.wake_all();
            }
            recv(rescan) -> _ => self.look_at_root(),
            recv(self.roster.told()) -> told => match told {
                Ok(ToTree::Replaced(module)) => self.look_at_replaced(&module),
                Ok(ToTree::Ordered) => self.roster.begin_order(),
                Ok(ToTree::InCircle) => self.roster.log_circles(),
                Ok(ToTree::ShutDown { module, exit }) => self.shut_down_with(&module, exit),
                Err(_) => {}
            },
            recv(stop_timeout) -> _ => self.stop_timeout_is_over(),
            recv(panicked) -> _ => self.release_panicked(),
            // The next turn begins with it.
            recv(log_retry) -> _ => {}
            recv(self.log_behind) -> _ => {}
            recv(self.question) -> answer => self.answered(answer.unwrap_or(Err(ProgramFault::NoAnswer)), messages),
            recv(adoption) -> _ => {
                self.adoption = None;
                // Children may have ended before this program began, and nobody told it of them.
                self.reap_orphans();
            }
            recv(incomplete) -> _ => self.look_at_incomplete(),
        }
        if self.tree_dir.keep(&self.log) {
            // Whoever has removed it may have removed everything.
            messages.wake();
            self.roster.wake_all();
        }
        self.publish();
    }

    fn publish(&mut self) {
        // One that runs has a status of its own.
        let passed_over = self.scanner.not_begun().iter().filter(|(name, _)| !self.roster.knows(name));
        self.tree_dir.publish(self.roster.not_begun().iter().chain(passed_over));
    }

    fn changed(&mut self) {
        if self.shutdown.has_begun() {
            return;
        }
        let changes = self.scanner.take_changes();
        self.drain_reports();
        for name in changes.removed.iter().filter_map(|name| name.to_str()) {
            self.roster.directory_removed(name);
        }
        for name in changes.deleted.iter().filter_map(|name| name.to_str()) {
            self.roster.directory_deleted(name);
        }
        let Some(names) = changes.names else { return self.look_at_root() };
        for name in names {
            self.look_at(&name);
        }
    }

    fn ended(&mut self, report: ThreadExit) {
        if self.roster.ended(report).is_err() {
            self.scanner.rescan_in(ROOT_RETRY_INTERVAL);
        }
    }

    /// Deals first with threads that have ended: what happened to a directory after that may be meant to bring its module
    /// back.
    fn drain_reports(&mut self) {
        for report in self.roster.reports().try_iter() {
            self.ended(report);
        }
    }

    fn release_panicked(&mut self) {
        if self.roster.release_panicked(Some(Mono::now())).is_err() {
            self.scanner.rescan_in(ROOT_RETRY_INTERVAL);
        }
    }

    /// A start has found another directory than the module's own, so the service is begun anew in that one.
    fn look_at_replaced(&mut self, module: &str) {
        if !self.shutdown.has_begun() {
            let name = module.strip_suffix("/log").unwrap_or(module);
            self.look_at(OsStr::new(name));
        }
    }

    fn look_at_incomplete(&mut self) {
        for name in self.scanner.take_incomplete() {
            // If something has happened in it since, this sets the timer again.
            self.look_at(&name);
        }
    }

    /// Looks at every name, and at every service of which the name may be gone.
    fn look_at_root(&mut self) {
        if self.shutdown.has_begun() {
            // A thread that could not be started may have asked for a look meanwhile.
            return self.scanner.stop();
        }
        let is_first = self.handover_pending && self.scanner.is_there();
        let names = self.scanner.look_at_root();
        let left = is_first.then(|| self.roster.find_leftovers(self.scanner.root()));
        self.announce(names.as_deref().unwrap_or_default());
        let root = (self.scanner.root(), self.scanner.identity());
        left.into_iter().for_each(|left| self.roster.adopt_leftovers(root, left));
        if let Some(names) = names {
            let known = self.roster.names().into_iter().map(OsString::from);
            let all: BTreeSet<OsString> = names.into_iter().chain(known).collect();
            all.iter().for_each(|name| self.look_at(name));
            if self.roster.want_command().is_err() {
                self.scanner.rescan_in(ROOT_RETRY_INTERVAL);
            }
        }
        if is_first {
            // All that are there have begun, and have taken what is theirs.
            self.handover_pending = false;
            self.adoption = Some(self.roster.drop_handover());
        }
    }

    /// All that are to start are known before the first one does, also those that an earlier tree has left: none overtakes another.
    pub(super) fn announce(&mut self, names: &[OsString]) {
        if self.roster.has_order() {
            self.roster.announce(names.iter().filter_map(|name| self.scanner.service_name(name)));
        }
    }

    /// Looks at one name, and has the roster do what follows.
    fn look_at(&mut self, name: &OsStr) {
        match self.scanner.look(name) {
            Look::Service(found) => {
                if self.roster.want(found).is_err() {
                    self.scanner.rescan_in(ROOT_RETRY_INTERVAL);
                }
            }
            Look::NotYet => self.not_yet(name),
            Look::Gone => self.gone(name),
            Look::Refused(why) => {
                self.gone(name);
                self.scanner.log_once(why.level(), name, format!("passed over: {why}"));
            }
            Look::IncompleteUntil(_) | Look::Ignored | Look::Unknown => {}
        }
    }

    fn gone(&mut self, name: &OsStr) {
        // A name that is not UTF-8 is not a module; what it would look like as text may be one. The command needs no directory.
        if let Some(name) = name.to_str().filter(|name| !self.roster.is_command(name)) {
            self.roster.gone(name);
        }
    }

    /// A service that has lost its `run` goes on: its next start says what is missing.
    fn not_yet(&mut self, name: &OsStr) {
        if name.to_str().is_some_and(|name| self.roster.knows(name)) {
            let text = "run is gone or not executable: the service goes on";
            self.scanner.log_once(Level::Warn, name, text.into());
        } else {
            self.scanner.log_once(Level::Info, name, "no executable run yet".into());
        }
    }

    fn rescan(&mut self) {
        if self.shutdown.has_begun() {
            return log::info!(logger: self.log, "rescan not done: shutting down");
        }
        // What leaves after this line is in the log stays away.
        self.roster.forget_exits();
        log::info!(logger: self.log, "reading the settings and looking at everything again");
        let Reload { config, lines } = self.roster.source().reload();
        for (level, text) in lines {
            log::log!(logger: self.log, level, "{text}");
        }
        if let Some(config) = config {
            self.tree_dir.keep_config(&config);
            self.roster.configure(Arc::new(config));
        } else {
            self.roster.read_own_files();
        }
        self.scanner.forget_what_was_logged();
        self.roster.wake_all();
        self.roster.bring_loggers_back();
        self.look_at_root();
    }

    fn upgrade(&mut self, messages: &Messages) {
        if let Some(why) = self.hindrance() {
            return self.upgrade_failed(&why);
        }
        match self.next_program.take().filter(ProgramFile::is_in_place) {
            Some(program) => self.upgrade_to(program, messages),
            // What was asked for twice is done once.
            None if self.is_asking => {}
            None => match candidate::ask(self.re_exec.clone()) {
                Ok(question) => (self.question, self.is_asking) = (question, true),
                Err(error) => self.program_failed(ProgramFault::HandOver(error)),
            },
        }
    }

    /// The next program has answered, or cannot.
    fn answered(&mut self, answer: Result<ProgramFile, ProgramFault>, messages: &Messages) {
        (self.question, self.is_asking) = (never(), false);
        match (self.hindrance(), answer) {
            (Some(why), _) => self.upgrade_failed(&why),
            (None, Err(fault)) => self.program_failed(fault),
            (None, Ok(program)) => self.upgrade_to(program, messages),
        }
    }

    /// What stands against it before anybody is asked.
    fn hindrance(&self) -> Option<UpgradeError> {
        if self.shutdown.has_begun() {
            Some(UpgradeError::ShuttingDown)
        } else if !self.scanner.is_there() {
            Some(UpgradeError::NoRoot(self.scanner.root().to_owned()))
        } else if self.re_exec.are_relative && std::env::current_dir().is_err() {
            Some(UpgradeError::NoWorkingDirectory)
        } else {
            None
        }
    }

    fn program_failed(&mut self, fault: ProgramFault) {
        self.upgrade_failed(&UpgradeError::Program(self.re_exec.program.clone(), fault));
    }

    fn upgrade_failed(&mut self, why: &UpgradeError) {
        self.retry_logged = false;
        log::warn!(logger: self.log, "upgrade not done: {why}; all goes on as before");
        self.tree_dir.note_failed_upgrade(why.to_string());
    }

    fn upgrade_to(&mut self, program: ProgramFile, messages: &Messages) {
        // A thread that is not there could not be parked.
        self.roster.release_all_panicked();
        let next = Next { program: &program, re_exec: &self.re_exec };
        match upgrade(&self.roster, messages, &self.tree_dir, next) {
            NotReplaced::Failed(why) => self.upgrade_failed(&why),
            NotReplaced::Retry(why) => {
                // It may be tried a hundred times before all that leave have left.
                if !std::mem::replace(&mut self.retry_logged, true) {
                    log::info!(logger: self.log, "upgrade put off: {why}");
                }
                self.next_program = Some(program);
                // Behind what waits now; we hold the other end ourselves, so it cannot be closed.
                let _ = messages.request.send(TreeRequest::Upgrade);
            }
        }
    }

    fn reap_orphans(&self) {
        // After an upgrade all services are our children like any orphan, until their threads have adopted them.
        if self.adoption.is_none() && !self.handover_pending {
            orphans::reap();
        }
    }
}

pub(super) fn timer(at: Option<Mono>) -> Receiver<Instant> {
    at.map_or_else(never, |at| after(at.since(Mono::now())))
}
