//! Which names in the services root have to be looked at, what each of them is, and when to look again.
//!
//! The scanner owns all that is known of the root: its inotify watches, the directory that it was, the directories that
//! are being filled, and what has been complained about. It decides nothing about services: [`RootScanner::look`] gives
//! one answer for each name, and the main loop acts on it.

use super::debounce::NewDirectories;
use super::scan::{self, EntryKind, Refusal, ServiceDir};
use super::trust::{self, Writer};
use super::watch::{Changes, Pending, Watch};
use super::watch_error::WatchError;
use crate::status::log::Log;
use crate::sys::errno_text;
use crate::sys::files::file;
use crate::sys::files::file_id::FileInstance;
use crate::sys::time::Mono;
use crossbeam_channel::Receiver;
use log::Level;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a root that is gone is looked for, and how soon a failed look or start is tried again.
pub const ROOT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often a root is looked for that has gone within the last second: `runsvchdir` renames a link away, and another
/// one into its place.
const ROOT_SWAP_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How often everything is looked at where inotify is not to be had.
const POLL_INTERVAL_WITHOUT_INOTIFY: Duration = Duration::from_secs(5);

/// What a name in the root is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// A complete service directory.
    Service(ServiceDir),
    /// A service directory that is still being filled; the scanner names it again at this time.
    IncompleteUntil(Mono),
    /// A directory without an executable `run`. It is watched.
    NotYet,
    /// Nothing of that name, in a root that is still the same.
    Gone,
    /// Passed over, and why.
    Refused(Refusal),
    /// Not a service directory's name (it begins with a dot, or is the configuration file).
    Ignored,
    /// It cannot be told just now: whatever is known of the name stands, and a rescan is due.
    Unknown,
}

/// What has happened in the root since the last call.
#[derive(Debug, Default)]
pub struct RootChanges {
    /// Names that were taken away, whatever has the name now.
    pub removed: BTreeSet<OsString>,
    /// Directories that were removed for good: what has their names is new.
    pub deleted: BTreeSet<OsString>,
    /// Names to look at; `None` if the whole root has to be looked at.
    pub names: Option<BTreeSet<OsString>>,
}

/// The services root.
#[derive(Debug)]
pub struct RootScanner {
    root: PathBuf,
    log: Log,
    changes: Changes,
    watch: Option<Watch>,
    /// The directory that the root was when it was last watched.
    identity: Option<FileInstance>,
    /// Names that are no services and of which that was said, so that it is said once.
    already_logged: BTreeSet<OsString>,
    /// Names that a service was probably meant by, and why there is none: for the tree's `state.json`.
    not_begun: BTreeMap<String, String>,
    /// Names of services that somebody other than root may write, of which that was said; empty for the root itself.
    untrusted_logged: BTreeSet<OsString>,
    /// Services whose `log/run` cannot be run, of which that was said: those are watched.
    refused_loggers: BTreeSet<OsString>,
    /// Services that somebody other than root may write are refused.
    strict: bool,
    /// The name that the tree's command has.
    taken: Option<&'static str>,
    /// Only root has something to lose by them.
    is_root: bool,
    /// Who beside root may write the root, if that was looked at since something has changed.
    root_writer: Option<Option<Writer>>,
    new_directories: NewDirectories,
    /// Since when the root is not there.
    root_gone: Option<Mono>,
    rescan_at: Option<Mono>,
    /// The root is missing, or inotify is: what was said of it.
    watch_problems: Vec<String>,
}

impl RootScanner {
    /// Nothing is watched yet. `strict` refuses a service that somebody other than root may write.
    /// A directory called `taken` is refused, too.
    pub fn new(root: PathBuf, strict: bool, taken: Option<&'static str>, log: Log) -> RootScanner {
        RootScanner {
            root,
            log,
            changes: Changes::new(),
            watch: None,
            identity: None,
            already_logged: BTreeSet::new(),
            not_begun: BTreeMap::new(),
            untrusted_logged: BTreeSet::new(),
            refused_loggers: BTreeSet::new(),
            strict,
            taken,
            is_root: nix::unistd::geteuid().is_root(),
            root_writer: None,
            new_directories: NewDirectories::default(),
            root_gone: None,
            rescan_at: None,
            watch_problems: Vec::new(),
        }
    }

    /// The root's path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that the root was when it was last looked at, if it was there.
    pub fn identity(&self) -> Option<FileInstance> {
        self.identity
    }

    /// Whether the root is there.
    pub fn is_there(&self) -> bool {
        self.root_identity().is_some()
    }

    /// Receives something when [`RootScanner::take_changes`] has something to give.
    pub fn notify_rx(&self) -> &Receiver<()> {
        self.changes.notify_rx()
    }

    /// When everything has to be looked at again, if something is not as it should be.
    pub fn rescan_at(&self) -> Option<Mono> {
        self.rescan_at
    }

    /// Has everything looked at again after `wait`, or earlier.
    pub fn rescan_in(&mut self, wait: Duration) {
        let at = Mono::now() + wait;
        self.rescan_at = Some(self.rescan_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When some new directories have to be looked at again.
    pub fn incomplete_until(&self) -> Option<Mono> {
        self.new_directories.at()
    }

    /// Takes the names of those directories.
    pub fn take_incomplete(&mut self) -> BTreeSet<OsString> {
        self.root_writer = None;
        self.new_directories.take()
    }

    /// Watches nothing any more, and names no time.
    pub fn stop(&mut self) {
        self.watch = None;
        self.rescan_at = None;
        self.new_directories = NewDirectories::default();
    }

    /// Says again what is wrong with each name when it is looked at next.
    pub fn forget_what_was_logged(&mut self) {
        self.already_logged.clear();
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> RootChanges {
        self.root_writer = None;
        let Pending { names, made, taken, deleted, all, root } = self.changes.take();
        let now = Mono::now();
        for name in made {
            self.new_directories.made(name, now);
        }
        for name in &names {
            self.new_directories.touched(name, now);
        }
        if all {
            log::warn!(logger: self.log, "directory events were lost: looking at everything again");
        }
        // Where no time of birth tells them apart, another directory may have got its number, and the watch is one of nothing.
        let may_be_another = root && self.identity.is_some_and(|identity| identity.born == 0);
        if may_be_another {
            self.watch = None;
        }
        let whole_root = all || may_be_another || (root && self.root_identity() != self.identity);
        RootChanges { removed: taken, deleted, names: (!whole_root).then_some(names) }
    }

    /// Watches the root anew if it is another directory, and returns all names in it; `None` if it cannot be read now.
    pub fn look_at_root(&mut self) -> Option<Vec<OsString>> {
        (self.rescan_at, self.root_writer) = (None, None);
        let Some(identity) = self.root_identity() else {
            self.root_is_gone();
            return None;
        };
        self.root_gone = None;
        if self.watch.is_none() || self.identity != Some(identity) {
            // The old watch goes first: it would keep reporting the old directory under the same path.
            self.watch = None;
            self.identity = Some(identity);
            match Watch::new(&self.root, &self.changes) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => self.poll_root(&error.to_string()),
            }
        } else if let Some(watch) = &mut self.watch {
            watch.complete(&self.root, &self.changes);
        }
        let names = self.names()?;
        match self.watch.as_ref().map(|watch| watch.unwatched_reason().map(WatchError::to_string)) {
            Some(None) => self.root_readable_again(),
            Some(Some(reason)) => self.poll_root(&reason),
            None => {}
        }
        if self.root_identity() != self.identity {
            // It was replaced before it was watched.
            self.rescan_in(Duration::ZERO);
        }
        Some(names)
    }

    /// The name of the service that `name` is, if it is one. Nothing follows from the question.
    pub fn service_name(&self, name: &OsStr) -> Option<String> {
        match scan::look(&self.root, name) {
            EntryKind::Service(found) => Some(found.name),
            EntryKind::NotYet | EntryKind::Gone | EntryKind::Refused(_) | EntryKind::Ignored | EntryKind::Unknown => {
                None
            }
        }
    }

    /// What `name` is. The scanner does all that follows for the root itself: watches, timers, lines that are logged once.
    pub fn look(&mut self, name: &OsStr) -> Look {
        let look = self.look_now(name);
        self.note_not_begun(name, &look);
        look
    }

    /// Names that a service was probably meant by, and why there is none.
    pub fn not_begun(&self) -> &BTreeMap<String, String> {
        &self.not_begun
    }

    fn note_not_begun(&mut self, name: &OsStr, look: &Look) {
        let reason = match look {
            // A README is not meant to be one.
            Look::Refused(Refusal::NotADirectory) => None,
            Look::Refused(why @ (Refusal::LeadsNowhere | Refusal::Name | Refusal::Untrusted | Refusal::Taken)) => {
                Some(why.to_string())
            }
            Look::NotYet if self.root.join(name).join("run").exists() => Some("run is not executable".to_string()),
            Look::NotYet | Look::Service(_) | Look::IncompleteUntil(_) | Look::Gone | Look::Ignored => None,
            // What is known of it stands.
            Look::Unknown => return,
        };
        let name = name.to_string_lossy();
        match reason {
            Some(reason) => _ = self.not_begun.insert(name.into_owned(), reason),
            None => _ = self.not_begun.remove(&*name),
        }
    }

    fn look_now(&mut self, name: &OsStr) -> Look {
        match scan::look(&self.root, name) {
            EntryKind::Service(_) | EntryKind::NotYet if self.taken.is_some_and(|taken| name == taken) => {
                Look::Refused(Refusal::Taken)
            }
            EntryKind::Service(found) => self.look_at_service(name, found),
            EntryKind::NotYet => self.look_at_incomplete(name),
            EntryKind::Gone if scan::is_gone(&self.root, self.identity, name) => {
                self.already_logged.remove(name);
                self.untrusted_logged.remove(name);
                self.refused_loggers.remove(name);
                self.new_directories.forget(name);
                self.watch_no_longer(name);
                Look::Gone
            }
            // Everything is gone if the root is, or if it is another one; that is not an order to stop anything.
            EntryKind::Gone => {
                self.rescan_in(Duration::ZERO);
                Look::Unknown
            }
            EntryKind::Refused(why) => Look::Refused(why),
            EntryKind::Ignored => Look::Ignored,
            EntryKind::Unknown => {
                self.rescan_in(ROOT_RETRY_INTERVAL);
                Look::Unknown
            }
        }
    }

    fn look_at_service(&mut self, name: &OsStr, found: ServiceDir) -> Look {
        if let Some(at) = self.new_directories.incomplete_until(&self.root, name, Mono::now()) {
            return Look::IncompleteUntil(at);
        }
        self.watch_no_longer(name);
        if self.is_untrusted(name, &found) {
            return Look::Refused(Refusal::Untrusted);
        }
        self.already_logged.remove(name);
        Look::Service(self.with_logger(name, found))
    }

    /// A logger that somebody meant and that cannot be run is told once, and is there as soon as it can.
    fn with_logger(&mut self, name: &OsStr, mut found: ServiceDir) -> ServiceDir {
        let log = found.path.join("log");
        let may_be_meant = !found.has_logger && found.contents.entries.log;
        let refused = if may_be_meant { scan::refused_logger(&found.path) } else { None };
        let Some(why) = refused else {
            if self.refused_loggers.remove(name)
                && let Some(watch) = &mut self.watch
            {
                watch.remove_below(&log);
            }
            return found;
        };
        if self.refused_loggers.insert(name.to_owned()) {
            log::warn!(logger: self.log, "{}: {why}: it runs without a logger, and its output goes to __stdout", found.name);
            // Without a watch, the next rescan finds it.
            let _ = self.watch.as_mut().map(|watch| watch.add_below(&log));
            // It may have become one before it was watched.
            found.has_logger = scan::refused_logger(&found.path).is_none() && file::is_executable(&log.join("run"));
        }
        found
    }

    /// Whether to refuse it because of who may write it; says once who that is. Only root has something to lose by it.
    fn is_untrusted(&mut self, name: &OsStr, found: &ServiceDir) -> bool {
        if !self.is_root {
            return false;
        }
        let of_root = self.root_writer.get_or_insert_with(|| trust::writer(&self.root)).clone();
        let of_entries = || trust::writer_of_entries(&found.path, found.contents.entries);
        let of_service =
            || found.writer.as_deref().cloned().or_else(of_entries).map(|writer| (name.to_owned(), writer));
        let Some((whose, writer)) = of_root.map(|writer| (OsString::new(), writer)).or_else(of_service) else {
            self.untrusted_logged.remove(name);
            return false;
        };
        if self.untrusted_logged.insert(whose) {
            log::warn!(logger: self.log, "{}: {writer}, and so decides what is run as root", found.name);
        }
        self.strict
    }

    /// A directory without an executable `run`. The watch is set before it is looked at again: a `run` that was made
    /// between the first look and the watch would otherwise never be seen.
    fn look_at_incomplete(&mut self, name: &OsStr) -> Look {
        let path = self.root.join(name);
        if let Some(Err(error)) = self.watch.as_mut().map(|watch| watch.add_below(&path)) {
            let seconds = POLL_INTERVAL_WITHOUT_INOTIFY.as_secs();
            self.log_once(Level::Warn, name, format!("{error}; looking every {seconds} s"));
            self.rescan_in(POLL_INTERVAL_WITHOUT_INOTIFY);
            return Look::NotYet;
        }
        self.new_directories.made(name.to_owned(), Mono::now());
        match scan::look(&self.root, name) {
            EntryKind::Service(found) => self.look_at_service(name, found),
            // If it has become something else, the watch of the root has its name again.
            EntryKind::NotYet | EntryKind::Gone | EntryKind::Refused(_) | EntryKind::Ignored | EntryKind::Unknown => {
                Look::NotYet
            }
        }
    }

    /// Logs what is wrong with `name`, unless something was said of it already.
    pub fn log_once(&mut self, level: Level, name: &OsStr, what: String) {
        if !self.already_logged.contains(name) {
            log::log!(logger: self.log, level, "{}: {what}", name.to_string_lossy());
            self.already_logged.insert(name.to_owned());
        }
    }

    fn watch_no_longer(&mut self, name: &OsStr) {
        if let Some(watch) = &mut self.watch {
            watch.remove_below(&self.root.join(name));
        }
    }

    fn names(&mut self) -> Option<Vec<OsString>> {
        match scan::names(&self.root) {
            Ok(names) => {
                self.already_logged.retain(|name| names.binary_search(name).is_ok());
                let is_there = |name: &String| names.iter().any(|there| there.to_string_lossy() == name.as_str());
                self.not_begun.retain(|name, _| is_there(name));
                Some(names)
            }
            Err(error) => {
                let (root, error) = (self.root.display(), errno_text(&error));
                self.root_unreadable(format!("{root}: {error}; services go on, tried again every second"));
                self.rescan_in(ROOT_RETRY_INTERVAL);
                None
            }
        }
    }

    fn root_identity(&self) -> Option<FileInstance> {
        std::fs::metadata(&self.root).ok().filter(std::fs::Metadata::is_dir).map(|metadata| FileInstance::of(&metadata))
    }

    /// Whatever runs goes on: a root that is unmounted or being replaced is not an order to stop everything.
    fn root_is_gone(&mut self) {
        self.watch = None;
        self.identity = None;
        let root = self.root.display();
        self.root_unreadable(format!("{root} is not there: services go on, looking for it every second"));
        let now = Mono::now();
        let since = *self.root_gone.get_or_insert(now);
        let is_new = now.since(since) < ROOT_RETRY_INTERVAL;
        self.rescan_in(if is_new { ROOT_SWAP_RETRY_INTERVAL } else { ROOT_RETRY_INTERVAL });
    }

    fn poll_root(&mut self, why: &str) {
        self.root_unreadable(format!("{why}; looking every {} s", POLL_INTERVAL_WITHOUT_INOTIFY.as_secs()));
        self.rescan_in(POLL_INTERVAL_WITHOUT_INOTIFY);
    }

    fn root_unreadable(&mut self, why: String) {
        // Two of them may take turns for as long as it lasts.
        if !self.watch_problems.contains(&why) {
            log::warn!(logger: self.log, "{why}");
            self.watch_problems.push(why);
        }
    }

    fn root_readable_again(&mut self) {
        if !std::mem::take(&mut self.watch_problems).is_empty() {
            log::info!(logger: self.log, "{} is watched again", self.root.display());
        }
    }
}

#[cfg(test)]
mod tests;
