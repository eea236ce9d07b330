//! When the thread deals with what a run process has left behind: as soon as `finish` has ended, and before the next start.

use crate::supervisor::processes::leftovers::{END_WAIT, Leftovers};
use crate::supervisor::thread::Supervisor;
use crate::sys::process::group::LeftGroup;
use std::time::Duration;

impl Supervisor {
    /// The run process has been reaped just now.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn note_leftovers(&mut self) {
        let Some(run) = &self.processes.run else { return };
        let left = LeftGroup::of(run.pid, &run.pidfd);
        self.processes.leftovers.note(left, &self.machine);
    }

    /// An earlier run process, which ended while there was no supervisor, has left this; `None`: nothing that is known of.
    pub(in crate::supervisor) fn find_leftovers(&mut self, left: Option<LeftGroup>) {
        self.processes.leftovers = Leftovers::of_earlier_run(left, self.settings.policy.kill_mode);
    }

    /// Once `finish` has ended, what is left is told of, and killed where it has to be.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn settle_leftovers(&mut self) {
        let Some(kills) = self.processes.leftovers.settle(&self.machine) else { return };
        self.end_leftovers(kills, Duration::ZERO);
        // Where the next run process is there already, the group is its own, and its start has emptied it.
        if self.processes.run.is_none() {
            if kills {
                self.kill_group();
            }
            self.remove_group();
        }
    }

    /// Nothing of the last run process lives beside the next one.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn end_leftovers_before_start(&mut self) {
        self.end_leftovers(true, END_WAIT);
    }

    fn end_leftovers(&mut self, kills: bool, timeout: Duration) {
        let mode = self.settings.policy.kill_mode;
        self.processes.leftovers.end(kills, timeout, mode, &self.machine, &mut self.reports.lines);
    }
}
