//! A logger whose service is gone: it reads what is left in its pipe, also where the process that reads it dies.

use crate::conf::policy::RestartPolicy;
use crate::machine::core::Machine;
use crate::machine::words::states::{LastWords, Leave, Run, State, Stop, Want};
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::time::Mono;
use std::time::Duration;

/// How long a logger may take to read what is left, where no `kill_timeout` says it.
const END_OF_INPUT_WAIT: Duration = Duration::from_secs(10);

/// So often it is started again for that. A start takes some milliseconds; a logger that dies at each is of no use.
pub(in crate::machine) const MOST_STARTS: u32 = 5;

impl Machine {
    /// A logger is not signalled: it ends by itself once it has read what is left.
    pub(in crate::machine) fn wait_for_end_of_input(&mut self, run: Run, now: Mono) {
        self.leave_at_least(Leave::EndOfInput);
        let wait = self.policy.kill_timeout.unwrap_or(END_OF_INPUT_WAIT);
        let until = self.last_words.get_or_insert(LastWords { until: now + wait, starts: 0 }).until;
        if run.stop == Stop::No {
            self.state = State::Up(Run { stop: Stop::EndOfInput(until), ..run });
        }
    }

    /// Whether another process reads on after one that has ended so; `None` where there is nothing to read on.
    ///
    /// One that has read all exits with 0. Any other end has come before that, or nobody knows; and one that was stopped to be
    /// started again has not been asked to read all.
    pub(in crate::machine) fn reads_on_after(&mut self, run: Run, status: ExitStatus, now: Mono) -> Option<bool> {
        let restarts = match run.stop {
            Stop::No | Stop::EndOfInput(_) => false,
            Stop::Held(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => run.restart_after_stop,
        };
        let is_through = status == ExitStatus::Code(0) && !restarts;
        let reads_rest = self.leave == Some(Leave::EndOfInput) && self.want == Want::Up;
        (reads_rest && !is_through).then(|| self.may_read_on(now))
    }

    /// Counts one more start for the last words; false if there may be none.
    pub(in crate::machine) fn may_read_on(&mut self, now: Mono) -> bool {
        let Some(words) = &mut self.last_words else { return false };
        words.starts += 1;
        now < words.until && words.starts <= MOST_STARTS && self.policy.restart != RestartPolicy::Never
    }
}
