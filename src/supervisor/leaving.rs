//! How supervision comes to its end, above all with the tree: who signals, and what waits until all are signalled.

use crate::conf::policy::KillMode;
use crate::machine::{Event, Leave, Stop};
use crate::supervisor::processes::process::Process;
use crate::supervisor::requests::stop_offer::PlainStop;
use crate::supervisor::thread::Supervisor;
use crate::sys::threads::poll::PollSource;

impl Supervisor {
    /// Supervision is to end.
    pub(super) fn leave(&mut self, leave: Leave) {
        let stops = self.spec.host.tree().filter(|_| leave == Leave::Stop);
        let sent = stops.and_then(|tree| tree.mailbox.stop.withdraw());
        let end = stops.map(|tree| tree.end.clone());
        self.processes.offered = None;
        self.processes.sent_by_tree = sent;
        // The machine knows first: the logger's end must not look like one that nobody asked for.
        self.handle(Event::Leave(leave));
        self.processes.sent_by_tree = None;
        if let Some(end) = end {
            end.note_told();
        }
        if let (Leave::EndOfInput, Some(pipe)) = (leave, self.spec.service.input()) {
            pipe.end_input();
        }
    }

    /// Offers the tree the stop of the run process, or nothing any more, if that has changed.
    pub(super) fn offer_stop(&mut self) {
        let stop = self.plain_stop();
        if stop == self.processes.offered {
            return;
        }
        self.processes.offered = stop;
        let Some(tree) = self.spec.host.tree() else { return };
        match stop.zip(self.processes.run.as_ref()) {
            Some((stop, run)) => tree.mailbox.stop.offer(stop, run.pidfd.clone()),
            None => drop(tree.mailbox.stop.withdraw()),
        }
    }

    /// The run process has ended: its descriptor is closed, so that the next one has room.
    pub(super) fn withdraw_stop(&mut self) {
        if self.processes.offered.take().is_some()
            && let Some(tree) = self.spec.host.tree()
        {
            tree.mailbox.stop.withdraw();
        }
    }

    /// The stop of the run process, if nobody has to be asked for it, and it is a signal for this process alone.
    fn plain_stop(&self) -> Option<PlainStop> {
        self.spec.host.tree()?;
        let (run, policy) = (self.machine.run()?, &self.settings.policy);
        let is_plain = run.stop == Stop::No
            && !run.paused
            && self.machine.leave().is_none()
            && !self.standpoint.ordered
            && policy.kill_mode != KillMode::Group
            && self.spec.service.input().is_none();
        is_plain.then_some(PlainStop { pid: run.pid, signal: policy.stop_signal })
    }

    /// What to wait for before it is worth to look whether the run process has ended: the tree ends, nobody waits for this
    /// service, and others are still to get their signals.
    pub(super) fn looks_later(&self) -> Option<PollSource<'_>> {
        let is_free = self.machine.leave() == Some(Leave::Stop)
            && !self.standpoint.ordered
            && self.processes.awaited_run().is_some_and(Process::is_child);
        self.spec.host.tree().filter(|_| is_free).and_then(|tree| tree.end.until_all_are_told())
    }
}
