//! What a run process leaves behind in its group when it ends.
//!
//! `finish` comes first: it may end the rest of the service in good order. What is left then is told, once, and gets KILL as
//! `kill_mode` says, at the latest before the next start.

use crate::conf::policy::KillMode;
use crate::machine::{State, Stop};
use crate::supervisor::thread::Supervisor;
use crate::sys::process::group::{LeftGroup, Member};
use log::Level;
use std::time::Duration;

/// How long a start waits for the end of what was killed before it, so that ports and locks are free. What is still there
/// then hangs in the kernel.
const END_WAIT: Duration = Duration::from_millis(500);

/// So long, what is left may take to end by itself before it is told of and killed: a `run` that ends its own children and does
/// not wait for them has left nothing behind.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// More than so many are not named in the log.
const NAMED_MAX: usize = 5;

/// The group of the last run process.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Leftovers {
    /// What is left of it.
    left: Option<LeftGroup>,
    /// That process has ended, and what follows from it has not been settled.
    is_new: bool,
    /// The process was stopped.
    stopped: bool,
    /// It is killed whatever follows, as things stood at the end of the process.
    killed: bool,
    /// The log knows that there is such a thing.
    told: bool,
}

impl Supervisor {
    /// The run process has been reaped just now.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn note_leftovers(&mut self) {
        let Some(run) = &self.processes.run else { return };
        let left = LeftGroup::of(run.pid, &run.pidfd);
        let leftovers = &mut self.processes.leftovers;
        leftovers.told &= left.is_some();
        leftovers.stopped = self.machine.run().is_some_and(|run| run.stop != Stop::No);
        leftovers.killed = self.machine.kills_leftovers();
        leftovers.left = left;
        leftovers.is_new = true;
    }

    /// An earlier run process, which ended while there was no supervisor, has left this; `None`: nothing that is known of.
    pub(in crate::supervisor) fn find_leftovers(&mut self, left: Option<LeftGroup>) {
        let killed = self.settings.policy.kill_mode == KillMode::Group;
        self.processes.leftovers = Leftovers { left, is_new: true, killed, ..Leftovers::default() };
    }

    /// Once `finish` has ended, what is left is told of, and killed where it has to be.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn settle_leftovers(&mut self) {
        if !self.processes.leftovers.is_new || self.machine.next().is_some() {
            return;
        }
        self.processes.leftovers.is_new = false;
        let starts = match self.machine.state() {
            State::Backoff { .. }
            | State::Waiting
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::Up(_) => true,
            State::Down
            | State::FinishRequested(_)
            | State::Finishing { .. }
            | State::Failed
            | State::Done
            | State::Ended => false,
        };
        let kills = self.processes.leftovers.killed || starts;
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

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn end_leftovers(&mut self, kills: bool, patience: Duration) {
        let mode = self.settings.policy.kill_mode;
        let Some(left) = self.processes.leftovers.left.take().filter(LeftGroup::exists) else { return };
        // All processes of the machine are looked at for that, and nobody reads it at the end.
        let is_looked_at = self.machine.leave().is_none() && (!self.processes.leftovers.told || !patience.is_zero());
        let mut members = if is_looked_at { left.members() } else { Vec::new() };
        if !self.processes.leftovers.told && members.iter().any(|member| member.lives) {
            LeftGroup::wait(&members, LAST_WAIT);
            members = left.members();
        }
        if members.iter().any(|member| member.lives) && !std::mem::replace(&mut self.processes.leftovers.told, true) {
            let stopped = self.processes.leftovers.stopped;
            let level = if stopped && mode != KillMode::Process { Level::Info } else { Level::Warn };
            self.say(level, told_of(&left, &members, mode, stopped));
        }
        if mode == KillMode::Process {
            return;
        }
        if kills {
            left.kill_and_wait(&members, patience);
        }
        // A start comes later: it waits for the end of what was killed, and kills what was not.
        self.processes.leftovers.left = patience.is_zero().then_some(left);
    }
}

fn told_of(left: &LeftGroup, members: &[Member], mode: KillMode, stopped: bool) -> String {
    let living: Vec<String> = members.iter().filter(|member| member.lives).map(Member::to_string).collect();
    let (named, others) = living.split_at(living.len().min(NAMED_MAX));
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let (leader, named) = (left.leader(), named.join(", "));
    if stopped && mode != KillMode::Process {
        return format!("what pid {leader} has left in its process group is killed: {named}{more}");
    }
    let then = match mode {
        KillMode::Process => "kill_mode : process lets it live beside the next one",
        KillMode::Mixed | KillMode::Group | KillMode::Cgroup => "it is killed before the next start",
    };
    format!(
        "pid {leader} has ended and left processes of its group behind: {named}{more}; {then}; \
         run must stay in the foreground: it should exec its program, which must not become a daemon"
    )
}
