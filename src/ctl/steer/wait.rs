//! Waiting for many modules at once: by inotify on their status directories, and for the deadlines of the call.
//! Nothing is looked at unless something changed in it.

use crate::ctl::changes::{self, CLOSING, EventMeaning, close_tells, entry_tells, watches};
use crate::ctl::error::CtlError;
use crate::ctl::report::Report;
use crate::ctl::root::StatusRoot;
use crate::ctl::steer::check::Running;
use crate::ctl::steer::module_wait::{ModuleResult, ModuleWait};
use crate::sys::files::inotify::{Event, Interest, Watches};
use crate::sys::threads::poll;
use crate::sys::threads::poll::PollSource;
use crate::sys::threads::signals::Signals;
use crate::sys::time::Mono;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// At most so many `check` scripts run at the same time: a restart of a thousand services must not start a
/// thousand shells at once.
const CHECKS_MAX: usize = 32;

/// Modules that are watched, and then waited for.
#[derive(Debug)]
pub struct Waiting {
    watches: Watches<Place>,
    waits: Vec<Option<ModuleWait>>,
    /// To be looked at in the next turn.
    dirty: BTreeSet<usize>,
    /// To be looked at then: their supervisors are ending.
    later: BTreeMap<usize, Mono>,
    /// Some directory did not exist, and one above it is watched. That one may be a module's own, and then its
    /// events come under that module.
    above: bool,
}

/// Which directory an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The status directory of this wait.
    Module(usize),
    /// A directory above one that did not exist.
    Above,
}

impl Waiting {
    /// Nobody yet.
    ///
    /// # Errors
    /// inotify is used up.
    pub fn new() -> Result<Waiting, CtlError> {
        Ok(Waiting {
            watches: watches()?,
            waits: Vec::new(),
            dirty: BTreeSet::new(),
            later: BTreeMap::new(),
            above: false,
        })
    }

    /// Watches `directory` for the wait that is [`Waiting::add`]ed next. Call it before the module is
    /// looked at and gets its command: a change between the two would be lost.
    ///
    /// # Errors
    /// inotify is used up.
    pub fn watch_next(&mut self, root: &StatusRoot, directory: &Path) -> Result<(), CtlError> {
        self.watch(root, directory, self.waits.len())
    }

    /// Waits for one more.
    pub fn add(&mut self, wait: ModuleWait) {
        self.dirty.insert(self.waits.len());
        self.waits.push(Some(wait));
    }

    /// Waits until all waits are settled, or `timeout` is over since `from`; each result goes to `report` when it
    /// arrives.
    ///
    /// # Errors
    /// inotify is used up.
    pub fn run(
        mut self,
        root: &StatusRoot,
        from: Mono,
        timeout: Duration,
        report: &mut Report<'_>,
    ) -> Result<(), CtlError> {
        // Only now: a call that does not wait dies of them as any program does.
        let signals = Signals::take(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]).ok();
        let deadline = from + timeout;
        loop {
            let now = Mono::now();
            self.turn(now, report);
            let left: Vec<String> = self.waits.iter().flatten().map(ModuleWait::shown).collect();
            if left.is_empty() {
                return Ok(());
            }
            if now >= deadline {
                self.settle_all(report, |wait| wait.timed_out(timeout));
                return Ok(());
            }
            report.progress(&left, self.waits.len());
            for wait in self.waits.iter_mut().flatten() {
                if let Some(why) = wait.take_news(now) {
                    report.held_up(&wait.member.module, &why);
                }
            }
            self.sleep(signals.as_ref(), deadline);
            if signals.as_ref().and_then(Signals::next).is_some() {
                self.settle_all(report, ModuleWait::interrupted);
                return Ok(());
            }
            self.take_events(root)?;
        }
    }

    /// Looks at what changed or has come due, and settles what can be.
    fn turn(&mut self, now: Mono, report: &mut Report<'_>) {
        let mut room = CHECKS_MAX.saturating_sub(self.waits.iter().flatten().filter_map(ModuleWait::running).count());
        for (index, place) in self.waits.iter_mut().enumerate() {
            let Some(wait) = place else { continue };
            let checked = wait.take_check(now);
            let due = wait.look_again_at.into_iter().chain(self.later.get(&index).copied()).any(|again| again <= now);
            let mut settled = None;
            if self.dirty.contains(&index) || checked || due {
                settled = wait.look(now);
            }
            if settled.is_none() {
                settled = wait.run_check(now, room > 0);
                room = room.saturating_sub(usize::from(wait.running().is_some()));
            }
            if let Some((outcome, text, extra)) = settled {
                report.module(&wait.member.module, outcome, &text, extra);
                *place = None;
            }
        }
        self.dirty.clear();
        self.later.retain(|_, at| *at > now);
    }

    fn settle_all(&mut self, report: &mut Report<'_>, how: impl Fn(&ModuleWait) -> ModuleResult) {
        for wait in self.waits.iter_mut().filter_map(Option::take) {
            let (outcome, text, extra) = how(&wait);
            report.module(&wait.member.module, outcome, &text, extra);
        }
    }

    /// Waits until there is something to do.
    fn sleep(&self, signals: Option<&Signals>, deadline: Mono) {
        let waits = self.waits.iter().flatten();
        let due = waits.flat_map(|wait| wait.look_again_at.into_iter().chain(wait.news_at()));
        let next = due.chain(self.later.values().copied()).min();
        let mut descriptors = vec![PollSource::Readable(self.watches.as_fd())];
        descriptors.extend(signals.map(|signals| PollSource::Readable(signals.as_fd())));
        let checks = self.waits.iter().flatten().filter_map(ModuleWait::running);
        descriptors.extend(checks.flat_map(Running::sources));
        poll::wait_many(&descriptors, Some(next.map_or(deadline, |next| next.min(deadline))));
    }

    fn take_events(&mut self, root: &StatusRoot) -> Result<(), CtlError> {
        let mut lost = BTreeSet::new();
        for event in self.watches.take() {
            match event {
                Event::Entry(Place::Module(index), name) if entry_tells(&name) == EventMeaning::Change => {
                    self.dirty.insert(index);
                }
                Event::Closed(Place::Module(index), name) if close_tells(&name) == EventMeaning::Closing => {
                    self.dirty.insert(index);
                    self.later.insert(index, Mono::now() + CLOSING);
                }
                Event::Closed(..) => {}
                Event::Entry(Place::Module(_), _) if !self.above => {}
                Event::Gone(Place::Module(index)) => {
                    lost.insert(index);
                }
                // Something came or went above a directory that was not there: try all of them again.
                Event::Entry(..) | Event::Gone(Place::Above) | Event::All => {
                    lost.extend(0..self.waits.len());
                }
            }
        }
        for index in lost {
            let Some(wait) = &self.waits[index] else { continue };
            let directory = wait.member.module.dir.path().to_owned();
            self.watch(root, &directory, index)?;
            self.dirty.insert(index);
        }
        Ok(())
    }

    /// Watches `directory`, or as long as there is none, the nearest one above it.
    fn watch(&mut self, root: &StatusRoot, directory: &Path, index: usize) -> Result<(), CtlError> {
        let mut place = Place::Module(index);
        for path in directory.ancestors() {
            // Not there, or not for us; in the second case looking at it says so.
            if changes::watch(&mut self.watches, path, place, Interest::Entries)? || path == root.path() {
                return Ok(());
            }
            place = Place::Above;
            self.above = true;
        }
        Ok(())
    }
}
