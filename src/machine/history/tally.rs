//! What has happened since supervision began, for people and for monitoring. Nothing is decided by it.

use crate::status::counts::ExitCounts;
use crate::status::recent_exits::RecentExits;
use crate::status::state::{Memory, StateFile};
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::time::Mono;

/// The counters of one module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Starts of the run process.
    pub starts: u64,
    /// Ends of the run process that nobody has asked for.
    pub exits: u64,
    /// All ends, by how they came.
    pub exits_by: ExitCounts,
    /// Starts that failed.
    pub failed_starts: u64,
    /// Checks that failed.
    pub check_failures: u64,
    /// When the latest of these ends were.
    pub recent: RecentExits,
}

impl Tally {
    /// Nothing but that a process was started.
    pub const ONE_START: Tally = Tally {
        starts: 1,
        exits: 0,
        exits_by: ExitCounts::NONE,
        failed_starts: 0,
        check_failures: 0,
        recent: RecentExits::NONE,
    };

    /// The run process was started.
    pub fn note_start(&mut self) {
        self.starts = self.starts.saturating_add(1);
    }

    /// The run process could not be started.
    pub fn note_failed_start(&mut self) {
        self.failed_starts = self.failed_starts.saturating_add(1);
    }

    /// A check has failed.
    pub fn note_failed_check(&mut self) {
        self.check_failures = self.check_failures.saturating_add(1);
    }

    /// The run process has ended; whether somebody has `requested` that.
    pub fn note_exit(&mut self, status: ExitStatus, requested: bool, now: Mono) {
        self.exits_by.add(status, requested);
        if requested {
            return;
        }
        self.exits = self.exits.saturating_add(1);
        self.recent.add(now);
    }

    /// The same, and nothing less than in `earlier`, which another supervisor has counted of the same module.
    pub fn at_least(self, earlier: Tally) -> Tally {
        Tally {
            starts: self.starts.max(earlier.starts),
            exits: self.exits.max(earlier.exits),
            exits_by: self.exits_by.at_least(earlier.exits_by),
            failed_starts: self.failed_starts.max(earlier.failed_starts),
            check_failures: self.check_failures.max(earlier.check_failures),
            recent: self.recent,
        }
    }

    /// What an earlier supervisor has counted. Those before this version did not write down the starts.
    pub fn recall(file: &StateFile, memory: &Memory) -> Tally {
        let unwritten = if file.pid.is_some() || file.restarts > 0 { file.restarts.saturating_add(1) } else { 0 };
        Tally {
            starts: file.starts.max(unwritten),
            exits: file.exits,
            exits_by: file.exits_by,
            failed_starts: file.failed_starts,
            check_failures: file.check_failures,
            recent: memory.recent_exits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_recalled() {
        let memory = Memory::default();
        let starts = |starts, restarts, pid| {
            Tally::recall(&StateFile { starts, restarts, pid, ..StateFile::default() }, &memory).starts
        };
        assert_eq!([starts(0, 0, None), starts(0, 0, Some(1)), starts(0, 4, None), starts(9, 8, None)], [0, 1, 5, 9]);
    }
}
