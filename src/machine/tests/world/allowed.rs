//! What the machine may do: start, signal, and run one process at a time.

use super::*;

impl World {
    /// Where there may be scripts, nothing but KILL is sent unless one was asked, and has not done it.
    pub(super) fn may_send(&self, number: i32) -> bool {
        // Scripts are for commands: nobody has commanded the end of one that is not well.
        let is_unwell = self.machine.run().is_some_and(|run| run.failed);
        if !self.machine.setup.controls || number == libc::SIGKILL || is_unwell {
            return true;
        }
        match self.answer {
            None => false,
            Some((Control::Stop, done)) => {
                number == libc::SIGCONT || (!done && number == self.machine.policy.stop_signal)
            }
            Some((Control::Signal(signal), done)) => !done && number == signal.number(),
            Some((Control::Pause, done)) => !done && number == libc::SIGSTOP,
            Some((Control::Continue, done)) => !done && number == libc::SIGCONT,
            Some((Control::Stopped { .. }, _)) => false,
        }
    }

    pub(super) fn nothing_runs(&self, what: &str) {
        let idle = self.run.is_none() && self.helper.is_none() && self.pending.is_none();
        assert!(idle, "{what} beside something else: {self:?}");
    }

    pub(super) fn start_is_allowed(&mut self) {
        self.nothing_runs("a second process");
        let asks = self.machine.ordered && self.machine.leave().is_none();
        assert!(!asks || self.start_granted, "a start before what it needs: {self:?}");
        self.start_granted = false;
        assert!(self.machine.want() != Want::Down, "a start that nobody wants: {self:?}");
        assert!(!self.gave_up, "a start after giving up: {self:?}");
        match self.machine.leave() {
            // What is in a logger's pipe is read without delay.
            Some(Leave::EndOfInput) => {
                self.readers += u32::from(self.reads_until.is_some());
                assert!(self.readers <= MOST_READERS, "a logger that always dies: {self:?}");
            }
            None => {
                let gap = self.last_start.map(|last| self.now.since(last));
                assert!(gap.is_none_or(|gap| gap >= self.least_delay), "started after {gap:?}: {self:?}");
            }
            Some(Leave::WhenDown | Leave::Stop) => panic!("a start while leaving: {self:?}"),
        }
        self.starts += 1;
        self.last_start = Some(self.now);
        self.least_delay = self.machine.policy.delay;
        self.pending = Some(Pending::Start);
    }
}
