//! Threads that have panicked outside their loop. Their end is handled after a pause: the new thread may panic again, and
//! must not burn a processor with that.

use super::entry::{Lifecycle, ThreadExit};
use super::members::Roster;
use crate::machine::Leave;
use crate::sys::errno_text;
use crate::sys::time::Mono;
use std::io;
use std::time::Duration;

/// How long what follows a panic is held back.
const HOLD: Duration = Duration::from_secs(1);

impl Roster {
    /// Holds the end of a thread that has panicked back.
    pub(super) fn hold_panicked(&mut self, report: ThreadExit) {
        if let Some((name, _)) = self.members.get(&report.member) {
            log::error!(logger: self.shared.log, "{name}: its thread panicked: this is a bug; starting it anew in {} s", HOLD.as_secs());
            self.panicked.push_back((Mono::now() + HOLD, report));
        }
    }

    /// When [`Roster::release_panicked`] has something to do.
    pub fn panicked_until(&self) -> Option<Mono> {
        self.panicked.front().map(|(at, _)| *at)
    }

    /// Deals with the threads whose time is over at `now`; with `None`, with all of them.
    ///
    /// # Errors
    /// What was to follow could not be started: to be tried again by a look at all directories.
    pub fn release_panicked(&mut self, now: Option<Mono>) -> io::Result<()> {
        let mut result = Ok(());
        let is_due = |at: Mono| now.is_none_or(|now| now >= at);
        while self.panicked_until().is_some_and(is_due) {
            if let Some((_, report)) = self.panicked.pop_front() {
                result = result.and(self.member_ended(report));
            }
        }
        result
    }

    /// Deals with all of them at once. What could not be started then is logged, and there is no later try.
    pub fn release_all_panicked(&mut self) {
        // The refusal is in the log already.
        let _ = self.release_panicked(None);
    }

    /// Starts another thread for the service `name`, whose thread has panicked when it had to stop the service: the run
    /// process may be there still, and nobody else would stop it. Whether that was done.
    pub(super) fn stop_after_panic(&mut self, name: &str) -> bool {
        let Some(entry) = self.entries.get(name) else { return false };
        match entry.lifecycle {
            Lifecycle::Leaving(_) | Lifecycle::Exited => {}
            // What is started in its place adopts the process.
            Lifecycle::Supervised => return false,
        }
        let (found, part) = (entry.found.clone(), entry.service_part());
        match self.spawn(&found, part, Some(Leave::Stop)) {
            Ok(member) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.service = Some(member);
                }
                true
            }
            Err(error) => {
                log::error!(logger: self.shared.log, "{name}: {}; a process of it may be left", errno_text(&error));
                false
            }
        }
    }
}
