//! What is told of one service, and what of it waits.

use crate::machine::Machine;
use crate::status::log::Log;
use crate::supervisor::report::deferral::DeferredReport;
use crate::supervisor::report::lines::Lines;
use crate::supervisor::report::publish::Publisher;
use crate::sys::time::Mono;

/// The status files and the log of one service.
#[derive(Debug)]
pub(in crate::supervisor) struct Reports {
    pub(in crate::supervisor) log: Log,
    /// Lines that are written once the urgent things are done.
    pub(in crate::supervisor) lines: Lines,
    pub(in crate::supervisor) publisher: Publisher,
    /// What runs, in the words of `state.json`.
    pub(in crate::supervisor) definition: String,
    /// A process was started or signalled in this turn, or has to wait for others.
    pub(in crate::supervisor) acted_this_turn: bool,
    /// Supervision has ended with the tree, and that may wait until all others have.
    pub(in crate::supervisor) ended_with_tree: bool,
    /// What has happened is not written down yet.
    pub(in crate::supervisor) deferred: Option<DeferredReport>,
    /// When to bring the status directory into order, if it is not.
    pub(in crate::supervisor) repair_at: Option<Mono>,
}

impl Reports {
    /// Nothing is told yet, and nothing waits.
    pub(in crate::supervisor) fn new(log: Log, publisher: Publisher, definition: String) -> Reports {
        Reports {
            log,
            lines: Lines::default(),
            publisher,
            definition,
            acted_this_turn: false,
            ended_with_tree: false,
            deferred: None,
            repair_at: None,
        }
    }

    /// Puts the report off if a process was started or signalled in this turn, for longer if the tree ends. Whether one was.
    pub(in crate::supervisor) fn defer(&mut self, now: Mono, tree_ends: bool) -> bool {
        let acted_this_turn = std::mem::take(&mut self.acted_this_turn);
        if acted_this_turn {
            self.deferred.get_or_insert_with(|| DeferredReport::from(now)).note_action(now, tree_ends);
        }
        acted_this_turn
    }

    /// Until when a report is put off, if one is.
    pub(in crate::supervisor) fn deferred_until(&self, machine: &Machine) -> Option<Mono> {
        let deferred = self.deferred.as_ref()?;
        // What ends with the tree is wanted down for that reason alone: nobody has to remember it.
        let is_urgent = !self.ended_with_tree && self.publisher.want_is_unwritten(machine);
        Some(if is_urgent { deferred.earliest() } else { deferred.latest() })
    }

    /// Nothing is put off any more: it is told now.
    pub(in crate::supervisor) fn forget_deferred(&mut self) {
        self.acted_this_turn = false;
        self.deferred = None;
    }
}
