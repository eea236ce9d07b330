//! All processes of one service that run now.

use crate::supervisor::processes::diversion::Diversion;
use crate::supervisor::processes::leftovers::Leftovers;
use crate::supervisor::processes::origin::Origin;
use crate::supervisor::processes::process::Process;
use crate::supervisor::processes::scripts::Scripts;
use crate::supervisor::report::last_words::Before;
use crate::supervisor::requests::stop_offer::PlainStop;
use crate::sys::context::cgroup::Group;
use crate::sys::time::Mono;
use std::time::Duration;

/// The processes, and what is known of their last start.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Processes {
    pub(in crate::supervisor) run: Option<Process>,
    /// Where its outputs ended before it.
    pub(in crate::supervisor) before: Before,
    /// What the run process was started from.
    pub(in crate::supervisor) origin: Origin,
    /// The control group of the run process, if it has one of its own.
    pub(in crate::supervisor) group: Option<Group>,
    /// The processor time of the run processes that have ended; what is in `group` is counted there until it is removed.
    spent: Duration,
    /// The restart hook, `control/u` or `finish`.
    pub(in crate::supervisor) helper: Option<Process>,
    /// The scripts in `control/`.
    pub(in crate::supervisor) scripts: Scripts,
    /// What the last run process has left in its group.
    pub(in crate::supervisor) leftovers: Leftovers,
    /// Where the output goes while the logger does not run.
    pub(in crate::supervisor) diversion: Diversion,
    /// Warnings of the last start, so that each is logged once.
    start_warnings: Vec<String>,
    /// The stop of the run process that the tree may send by itself.
    pub(in crate::supervisor) offered: Option<PlainStop>,
    /// The stop that it has sent, while the machine is told.
    pub(in crate::supervisor) sent_by_tree: Option<PlainStop>,
}

impl Processes {
    /// The run process and the helper: those that the lock file may have a record of.
    pub(in crate::supervisor) fn own(&self) -> impl Iterator<Item = &Process> {
        [&self.run, &self.helper].into_iter().flatten()
    }

    /// The run process, if its end is waited for. While the script of a stop runs, the end has to wait for it; the zombie
    /// keeps the pid.
    pub(in crate::supervisor) fn awaited_run(&self) -> Option<&Process> {
        self.run.as_ref().filter(|_| !self.scripts.hold_the_end())
    }

    /// When to look at the first of them, or to kill it, if none ends before.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Mono> {
        self.own().filter_map(Process::deadline).chain(self.scripts.deadline()).min()
    }

    /// Notes that a run process has ended, and what it has used. Where nobody knows that, the counter begins anew: one that is
    /// less than it was is taken for that anyway.
    pub(in crate::supervisor) fn note_spent(&mut self, spent: Option<Duration>) {
        if self.group.is_none() {
            self.spent = spent.map_or(Duration::ZERO, |spent| self.spent.saturating_add(spent));
        }
    }

    /// Takes over what an earlier supervisor has counted.
    pub(in crate::supervisor) fn recall_spent(&mut self, spent: Duration) {
        self.spent = spent;
    }

    /// What the run processes that have ended have used, and where none runs, what is left of the last one.
    pub(in crate::supervisor) fn spent(&self) -> Duration {
        let left = self.group.as_ref().filter(|_| self.run.is_none()).and_then(Group::processor_time);
        self.spent.saturating_add(left.map_or(Duration::ZERO, Duration::from_nanos))
    }

    /// Notes the warnings of a start, and gives those that the start before did not have.
    pub(in crate::supervisor) fn new_warnings(&mut self, warnings: Vec<String>) -> Vec<String> {
        let earlier = std::mem::replace(&mut self.start_warnings, warnings.clone());
        warnings.into_iter().filter(|text| !earlier.contains(text)).collect()
    }
}
