//! What the machine and the process table both have to say, after every step.

use super::*;

impl World {
    /// The machine and the process table tell the same.
    pub(super) fn agrees(&self) {
        let of = |process: Option<Process>| process.map(|process| process.pid);
        let expected = match self.machine.state() {
            State::Down | State::Backoff { .. } | State::Waiting | State::Failed | State::Done | State::Ended => {
                (None, None, None)
            }
            State::PreStartRequested => (None, None, Some(Pending::Hook)),
            State::PreStart { pid, .. } => (None, Some(pid), None),
            State::StartRequested => (None, None, Some(Pending::Start)),
            State::Up(run) => (Some(run.pid), None, None),
            State::FinishRequested(_) => (None, None, Some(Pending::Finish)),
            State::Finishing { pid, .. } => (None, Some(pid), None),
        };
        assert_eq!((of(self.run), of(self.helper), self.pending), expected, "{self:?}");
        let waits = matches!(self.machine.state(), State::Backoff { .. });
        if self.run.is_none() && self.helper.is_none() && !waits {
            assert_eq!(self.machine.deadline(), None, "{self:?}");
        }
        if self.machine.state() == State::Ended {
            assert!(self.machine.leave().is_some(), "{self:?}");
        }
        if let State::Up(Run { stop: Stop::Requested, pid, .. }) = self.machine.state() {
            let asked = self.scripts.contains(&(Control::Stop, pid));
            assert!(asked, "it waits for a script that nobody runs: {self:?}");
        }
        self.keeps_the_order();
        // A logger's start may have failed for want of memory while it was to read the rest: it is tried again.
        let tries_again = waits && self.machine.leave() == Some(Leave::EndOfInput) && self.reads_until.is_some();
        let idle = matches!(self.machine.state(), State::Down | State::Failed | State::Backoff { .. }) && !tries_again;
        assert!(!idle || self.machine.leave().is_none(), "it is to leave, and nothing keeps it: {self:?}");
    }

    fn keeps_the_order(&self) {
        let Some(run) = self.machine.run() else {
            let is_ready = matches!(self.machine.standing(), Standing::Ready);
            return assert!(!is_ready && self.machine.ready() != Some(true), "ready without a process: {self:?}");
        };
        // A failure waits for nobody.
        if self.machine.ordered && !run.failed && matches!(run.stop, Stop::Requested | Stop::Signalled(_)) {
            let is_logger = self.machine.leave() == Some(Leave::EndOfInput);
            assert!(self.stop_granted || is_logger, "a stop before those that need it: {self:?}");
        }
        if run.stop != Stop::No {
            assert_ne!(self.machine.standing(), Standing::Ready, "{self:?}");
        }
    }
}
