//! The main loop: directory events, thread reports, signals, orphans.

use super::handover::{Handover, ReExec};
use super::root::debounce::NewDirectories;
use super::root::scan::{self, EntryKind};
use super::root::watch::{Changes, Pending, Watch};
use super::roster::entry::ThreadExit;
use super::roster::members::{Roster, Shared};
use super::signals::{Messages, TreeRequest, listen};
use super::upgrade::{NotReplaced, upgrade};
use crate::conf::source::Source;
use crate::status::dir::TREE_DIR;
use crate::status::log::{Echo, Log};
use crate::supervisor::alarm::WAIT_AT_END;
use crate::supervisor::runit::RunitTree;
use crate::sys::files::file_id::FileInstance;
use crate::sys::process::orphans;
use crate::sys::threads::signals::Signals;
use crate::sys::time::Mono;
use crate::sys::{describe, errno_text};
use crate::tree::capacity;
use crate::tree::tree_dir::TreeDir;
use crossbeam_channel::{after, never, select};
use nix::sys::signal::Signal;
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a root that is gone is looked for, and what could not be started is tried again.
const ROOT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often a root is looked for that has gone within the last second: `runsvchdir` renames a link away, and another
/// one into its place.
const ROOT_SWAP_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// After an upgrade, how often it is checked whether all threads have begun.
const ADOPTION_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// While the last alarms are sent, how often it is seen whether somebody is in a hurry.
const SECOND_TERM_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How often everything is looked at where inotify is not to be had.
const POLL_INTERVAL_WITHOUT_INOTIFY: Duration = Duration::from_secs(5);

/// What the program was asked to do.
#[derive(Debug)]
pub struct Options {
    /// The services root, absolute.
    pub root: PathBuf,
    /// The status root, absolute.
    pub status_root: PathBuf,
    /// Where the settings come from.
    pub source: Source,
    /// What the tree itself says on standard error.
    pub tree_echo: Echo,
    /// What modules say there.
    pub echo: Echo,
    /// Keep runit's files, too.
    pub runit: bool,
    /// How to start this program again.
    pub re_exec: ReExec,
    /// What the program before us has handed over.
    pub handover: Handover,
}

/// Supervises everything in the root until it is told to end.
///
/// # Errors
/// One line, when it cannot begin: another tree has the status root, or the root is not there.
pub fn run(mut options: Options) -> Result<(), String> {
    let is_upgrade = options.handover.own_lock.is_some();
    let mut own = TreeDir::take(&options.status_root, options.handover.own_lock.take())?;
    let metadata = std::fs::metadata(&options.root);
    let metadata =
        metadata.map_err(|error| format!("cannot read {}: {}", options.root.display(), errno_text(&error)))?;
    if !metadata.is_dir() {
        return Err(format!("{} is not a directory", options.root.display()));
    }
    let signals = Signals::take(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2, Signal::SIGCHLD]);
    let signals = signals.map_err(|errno| format!("cannot take signals: {}", describe(errno)))?;
    let services = scan::names(&options.root).map_or(0, |names| names.len());
    capacity::make(signals.as_fd(), services);
    let log = Log::new(own.dir(), "", options.tree_echo);
    if let Err(errno) = orphans::become_subreaper() {
        log::warn!(logger: log, "cannot become child subreaper: {}; orphans go elsewhere", describe(errno));
    }
    let handed = options.handover.modules.remove(TREE_DIR).unwrap_or_default();
    let messages = listen(signals, own.dir().clone(), log.clone(), handed);
    let messages = messages.map_err(|error| format!("cannot start a thread: {}", errno_text(&error)))?;
    own.begin_state(&options.root, is_upgrade);
    Tree::new(options, log, own).run(&messages);
    Ok(())
}

struct Tree {
    own: TreeDir,
    re_exec: ReExec,
    root: PathBuf,
    roster: Roster,
    log: Log,
    changes: Changes,
    watch: Option<Watch>,
    /// The directory that the root was when it was last watched.
    identity: Option<FileInstance>,
    /// What has been complained about, so that it is said once.
    already_logged: HashSet<OsString>,
    /// Directories that are being filled.
    new_directories: NewDirectories,
    /// Since when the root is not there.
    root_gone: Option<Mono>,
    /// When to look at everything again, if something is not as it should be.
    rescan_at: Option<Mono>,
    /// When to reap orphans, if not now.
    reap_at: Option<Mono>,
    /// The root is missing, or inotify is: it has been said.
    watch_problem: Option<String>,
    shutting_down: bool,
    /// An upgrade was put off: it has been said.
    retry_logged: bool,
    /// It was told to end more than once.
    kill_now: bool,
}

impl Tree {
    fn new(options: Options, log: Log, own: TreeDir) -> Tree {
        let (config, complaint) = options.source.first();
        for complaint in complaint.iter().chain(config.complaints()) {
            log::warn!(logger: log, "{complaint}");
        }
        let runit = || RunitTree::new(options.root.clone(), options.status_root.clone(), log.clone());
        let shared = Shared {
            runit: options.runit.then(|| Arc::new(runit())),
            status_root: options.status_root,
            config: Arc::new(config),
            source: options.source,
            echo: options.echo,
            log: log.clone(),
        };
        Tree {
            own,
            re_exec: options.re_exec,
            root: options.root,
            roster: Roster::new(shared, options.handover),
            log,
            changes: Changes::new(),
            watch: None,
            identity: None,
            already_logged: HashSet::new(),
            new_directories: NewDirectories::default(),
            root_gone: None,
            rescan_at: None,
            reap_at: None,
            watch_problem: None,
            shutting_down: false,
            retry_logged: false,
            kill_now: false,
        }
    }

    fn run(mut self, messages: &Messages) {
        log::info!(logger: self.log, "supervising {}, pid {}", self.root.display(), std::process::id());
        let reports = self.roster.reports();
        if self.root_identity().is_some() {
            self.roster.adopt_leftovers(&self.root);
        }
        self.look_at_root();
        self.roster.drop_handover();
        // Only now: no start waits for this file.
        self.own.publish(self.roster.not_begun());
        // The program before us may have heard of children that it did not come to reap.
        self.reap_orphans();
        while !(self.shutting_down && self.roster.is_empty()) {
            let timer = |at: Option<Mono>| at.map_or_else(never, |at| after(at.since(Mono::now())));
            let (rescan, filling, reap) =
                (timer(self.rescan_at), timer(self.new_directories.at()), timer(self.reap_at));
            select! {
                recv(self.changes.notify_rx()) -> _ => self.changed(),
                recv(reports) -> report => {
                    report.into_iter().for_each(|report| self.ended(report));
                    self.drain_reports();
                }
                recv(messages.requests) -> request => match request {
                    Ok(TreeRequest::Shutdown) => self.shut_down(),
                    Ok(TreeRequest::Rescan) => self.rescan(),
                    Ok(TreeRequest::Upgrade) => self.upgrade(messages),
                    Err(_) => {}
                },
                recv(messages.children) -> _ => self.reap_orphans(),
                recv(rescan) -> _ => {
                    self.rescan_at = None;
                    self.look_at_root();
                }
                recv(reap) -> _ => self.reap_orphans(),
                recv(filling) -> _ => self.look_at_what_was_filled(),
            }
            if self.own.keep(&self.log) {
                // Whoever has removed it may have removed everything.
                messages.wake();
                self.roster.wake_all();
            }
            self.own.publish(self.roster.not_begun());
        }
        self.reap_orphans();
        self.send_last_alarms(messages);
        log::info!(logger: self.log, "all services have ended, leaving");
    }

    /// Waits until the last alarm programs are started, unless somebody is in a hurry.
    fn send_last_alarms(&mut self, messages: &Messages) {
        let alarms = self.roster.alarms();
        let deadline = Mono::now() + WAIT_AT_END;
        while !self.kill_now && Mono::now() < deadline && !alarms.wait_for_starts(SECOND_TERM_POLL_INTERVAL) {
            self.kill_now = messages.requests.try_iter().any(|request| request == TreeRequest::Shutdown);
        }
        let dropped = alarms.drop_waiting();
        if dropped > 0 {
            log::warn!(logger: self.log, "{dropped} alarm programs not run: others take too long");
        }
    }

    fn changed(&mut self) {
        if self.shutting_down {
            return;
        }
        let Pending { names, made, taken, all, root } = self.changes.take();
        made.into_iter().for_each(|name| self.new_directories.made(name));
        self.drain_reports();
        taken.iter().filter_map(|name| name.to_str()).for_each(|name| self.roster.directory_removed(name));
        names.iter().for_each(|name| self.new_directories.touched(name));
        if all {
            log::warn!(logger: self.log, "directory events were lost: looking at everything again");
        }
        if all || (root && self.root_identity() != self.identity) {
            return self.look_at_root();
        }
        for name in names {
            self.look_at(&name);
        }
    }

    fn ended(&mut self, report: ThreadExit) {
        if self.roster.ended(report).is_err() {
            self.rescan_in(ROOT_RETRY_INTERVAL);
        }
    }

    /// Hears first who has left: what happens to a directory afterwards may be meant to bring its module back.
    fn drain_reports(&mut self) {
        for report in self.roster.reports().try_iter() {
            self.ended(report);
        }
    }

    fn look_at_what_was_filled(&mut self) {
        for name in self.new_directories.take() {
            // If it has been touched since, this arms the timer again.
            self.look_at(&name);
        }
    }

    /// Builds the watch anew if the root is another directory, and looks at every name.
    fn look_at_root(&mut self) {
        if self.shutting_down {
            return;
        }
        let identity = self.root_identity();
        if identity.is_none() {
            // Whatever runs goes on: a root that is unmounted or being replaced is no order to stop everything.
            self.watch = None;
            self.identity = None;
            self.root_unreadable(format!(
                "{} is not there: services go on, looking for it every second",
                self.root.display()
            ));
            let since = *self.root_gone.get_or_insert_with(Mono::now);
            let is_new = Mono::now().since(since) < ROOT_RETRY_INTERVAL;
            return self.rescan_in(if is_new { ROOT_SWAP_RETRY_INTERVAL } else { ROOT_RETRY_INTERVAL });
        }
        self.root_gone = None;
        if self.watch.is_none() || identity != self.identity {
            // The old one goes first: it would keep reporting the old directory under the same path.
            self.watch = None;
            self.identity = identity;
            self.watch_root();
        } else if let Some(watch) = &mut self.watch {
            watch.complete(&self.root, &self.changes);
        }
        let is_readable = self.look_at_all();
        match self.watch.as_ref().map(|watch| watch.partial().map(str::to_owned)) {
            Some(None) if is_readable => self.root_readable_again(),
            Some(Some(text)) if is_readable => self.poll_root(&text),
            _ => {}
        }
        if self.root_identity() != self.identity {
            // It was replaced before it was watched.
            self.rescan_in(Duration::ZERO);
        }
    }

    fn watch_root(&mut self) {
        match Watch::new(&self.root, &self.changes) {
            Ok(watch) => self.watch = Some(watch),
            Err(text) => self.poll_root(&text),
        }
    }

    fn poll_root(&mut self, why: &str) {
        self.root_unreadable(format!("{why}; looking every {} s", POLL_INTERVAL_WITHOUT_INOTIFY.as_secs()));
        self.rescan_in(POLL_INTERVAL_WITHOUT_INOTIFY);
    }

    /// Looks at every name; whether they could be read.
    fn look_at_all(&mut self) -> bool {
        let names = match scan::names(&self.root) {
            Ok(names) => names,
            Err(error) => {
                self.root_unreadable(format!(
                    "{}: {}; services go on, tried again every second",
                    self.root.display(),
                    errno_text(&error)
                ));
                self.rescan_in(ROOT_RETRY_INTERVAL);
                return false;
            }
        };
        let known = self.roster.names().into_iter().map(OsString::from);
        let all: BTreeSet<OsString> = names.into_iter().chain(known).collect();
        self.already_logged.retain(|name| all.contains(name));
        for name in all {
            self.look_at(&name);
        }
        true
    }

    /// Looks at one name, and has the roster do what follows.
    fn look_at(&mut self, name: &OsStr) {
        let path = self.root.join(name);
        match scan::look(&self.root, name) {
            EntryKind::Service(_) if self.new_directories.is_incomplete(&self.root, name) => {}
            EntryKind::Service(found) => {
                self.already_logged.remove(name);
                self.watch_no_longer(&path);
                if self.roster.want(found).is_err() {
                    self.rescan_in(ROOT_RETRY_INTERVAL);
                }
            }
            EntryKind::NotYet => self.not_yet(name, &path),
            // Everything is gone if the root is; that is no order to stop anything.
            EntryKind::Gone if !scan::is_gone(&self.root, self.identity, name) => self.look_at_root(),
            EntryKind::Gone => {
                self.already_logged.remove(name);
                self.watch_no_longer(&path);
                self.new_directories.forget(name);
                self.gone(name);
            }
            EntryKind::Refused(why) => {
                self.gone(name);
                self.log_once(name, &format!("passed over: {why}"));
            }
            EntryKind::Ignored => {}
            EntryKind::Unknown => self.rescan_in(ROOT_RETRY_INTERVAL),
        }
    }

    fn watch_no_longer(&mut self, path: &Path) {
        if let Some(watch) = &mut self.watch {
            watch.remove_below(path);
        }
    }

    fn gone(&mut self, name: &OsStr) {
        // A name that is no text is no module; what it would look like as text may be one.
        if let Some(name) = name.to_str() {
            self.roster.gone(name);
        }
    }

    /// A directory without an executable `run`: watched, unless it is a service that lost it, which goes on
    /// (its next start says what is missing).
    fn not_yet(&mut self, name: &OsStr, path: &Path) {
        if let Some(Err(text)) = self.watch.as_mut().map(|watch| watch.add_below(path)) {
            self.log_once(name, &format!("{text}; looking every {} s", POLL_INTERVAL_WITHOUT_INOTIFY.as_secs()));
            return self.rescan_in(POLL_INTERVAL_WITHOUT_INOTIFY);
        }
        self.new_directories.made(name.to_owned());
        // It may have been made between the look and the watch; then it is just being filled, and there may be more
        // to come.
        if let EntryKind::Service(_) = scan::look(&self.root, name) {
            self.new_directories.is_incomplete(&self.root, name);
            return;
        }
        if name.to_str().is_some_and(|name| self.roster.knows(name)) {
            return self.log_once(name, "run is gone or not executable: the service goes on");
        }
        if self.already_logged.insert(name.to_owned()) {
            log::info!(logger: self.log, "{}: no executable run yet", name.to_string_lossy());
        }
    }

    fn log_once(&mut self, name: &OsStr, what: &str) {
        if self.already_logged.insert(name.to_owned()) {
            log::warn!(logger: self.log, "{}: {what}", name.to_string_lossy());
        }
    }

    fn root_identity(&self) -> Option<FileInstance> {
        std::fs::metadata(&self.root).ok().filter(std::fs::Metadata::is_dir).map(|metadata| FileInstance::of(&metadata))
    }

    fn rescan_in(&mut self, wait: Duration) {
        let at = Mono::now() + wait;
        self.rescan_at = Some(self.rescan_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn root_unreadable(&mut self, why: String) {
        if self.watch_problem.as_ref() != Some(&why) {
            log::warn!(logger: self.log, "{why}");
            self.watch_problem = Some(why);
        }
    }

    fn root_readable_again(&mut self) {
        if self.watch_problem.take().is_some() {
            log::info!(logger: self.log, "{} is watched again", self.root.display());
        }
    }

    fn rescan(&mut self) {
        if self.shutting_down {
            return log::info!(logger: self.log, "rescan not done: shutting down");
        }
        // What leaves after this line is in the log stays away.
        self.roster.forget_exits();
        log::info!(logger: self.log, "reading the settings and looking at everything again");
        match self.roster.source().again() {
            Ok(config) => {
                for complaint in config.complaints() {
                    log::warn!(logger: self.log, "{complaint}");
                }
                self.roster.configure(Arc::new(config));
            }
            Err(_) if self.roster.source().is_absent() => {
                log::info!(logger: self.log, "there is no configuration file: the settings stay as they are");
            }
            Err(complaint) => log::warn!(logger: self.log, "{complaint}; the old settings stay"),
        }
        self.already_logged.clear();
        self.roster.wake_all();
        self.roster.bring_loggers_back();
        self.look_at_root();
    }

    fn shut_down(&mut self) {
        if self.shutting_down {
            self.kill_now = true;
            log::warn!(logger: self.log, "told to end again: killing what is left");
            return self.roster.kill_all();
        }
        log::info!(logger: self.log, "told to end: stopping {} services", self.roster.len());
        self.shutting_down = true;
        self.watch = None;
        self.rescan_at = None;
        self.new_directories = NewDirectories::default();
        self.roster.leave_all();
    }

    fn upgrade(&mut self, messages: &Messages) {
        if self.shutting_down {
            self.own.note_failed_upgrade("shutting down".into());
            return log::warn!(logger: self.log, "upgrade not done: shutting down");
        }
        // The next program could not begin, and nobody would be left.
        if self.root_identity().is_none() {
            self.retry_logged = false;
            let why = format!("{} is not there", self.root.display());
            log::warn!(logger: self.log, "upgrade not done: {why}");
            return self.own.note_failed_upgrade(why);
        }
        match upgrade(&self.roster, messages, &self.own, &self.re_exec) {
            NotReplaced::Failed(why) => {
                self.retry_logged = false;
                self.own.note_failed_upgrade(why);
            }
            NotReplaced::Retry(why) => {
                // It may be tried a hundred times before all that leave have left.
                if !std::mem::replace(&mut self.retry_logged, true) {
                    log::info!(logger: self.log, "upgrade put off: {why}");
                }
                // Behind what waits now; we hold the other end ourselves, so it cannot be closed.
                let _ = messages.request.send(TreeRequest::Upgrade);
            }
        }
    }

    fn reap_orphans(&mut self) {
        // After an upgrade all services are our children like any orphan, until their threads have adopted them.
        if self.roster.is_beginning() {
            self.reap_at = Some(Mono::now() + ADOPTION_POLL_INTERVAL);
            return;
        }
        self.reap_at = None;
        orphans::reap();
    }
}
