//! What a run process leaves behind in its group when it ends.
//!
//! `finish` comes first: it may end the rest of the service in good order. What is left then is logged, once, and gets KILL as
//! `kill_mode` says, at the latest before the next start.

use crate::conf::policy::KillMode;
use crate::machine::{Machine, State, Stop};
use crate::supervisor::report::lines::Lines;
use crate::sys::process::group::{LeftGroup, Member};
use log::Level;
use std::time::Duration;

/// How long a start waits for the end of what was killed before it, so that ports and locks are free. What is still there
/// then hangs in the kernel.
pub(in crate::supervisor) const END_WAIT: Duration = Duration::from_millis(500);

/// How long what is left may take to end by itself, before it is logged and killed: a `run` that ends its own children and does
/// not wait for them has left nothing behind.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// The log names at most so many processes.
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
    /// It has been logged.
    told: bool,
}

impl Leftovers {
    /// What an earlier run process has left, which ended while there was no supervisor; `None`: nothing that is known of.
    pub(in crate::supervisor) fn of_earlier_run(left: Option<LeftGroup>, mode: KillMode) -> Leftovers {
        Leftovers { left, is_new: true, killed: mode == KillMode::Group, ..Leftovers::default() }
    }

    /// The run process has been reaped just now, and has left this; the `machine` does not know yet.
    pub(in crate::supervisor) fn note(&mut self, left: Option<LeftGroup>, machine: &Machine) {
        self.told &= left.is_some();
        self.stopped = machine.run().is_some_and(|run| run.stop != Stop::No);
        self.killed = machine.kills_leftovers();
        self.left = left;
        self.is_new = true;
    }

    /// Once `finish` has ended, whether what is left is to be killed; `None` before, and when that was asked already.
    pub(in crate::supervisor) fn settle(&mut self, machine: &Machine) -> Option<bool> {
        if !self.is_new || machine.next().is_some() {
            return None;
        }
        self.is_new = false;
        let starts = match machine.state() {
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
        Some(self.killed || starts)
    }

    /// Logs what is left, once, and kills it as far as `mode` allows it.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn end(
        &mut self,
        kills: bool,
        timeout: Duration,
        mode: KillMode,
        machine: &Machine,
        lines: &mut Lines,
    ) {
        let Some(left) = self.left.take().filter(LeftGroup::exists) else { return };
        // All processes of the machine are looked at for that, and nobody reads it at the end.
        let is_looked_at = machine.leave().is_none() && (!self.told || !timeout.is_zero());
        let mut members = if is_looked_at { left.members() } else { Vec::new() };
        if !self.told && members.iter().any(|member| member.lives) {
            LeftGroup::wait(&members, LAST_WAIT);
            members = left.members();
        }
        if members.iter().any(|member| member.lives) && !std::mem::replace(&mut self.told, true) {
            let level = if self.stopped && mode != KillMode::Process { Level::Info } else { Level::Warn };
            lines.say(level, told_of(&left, &members, mode, self.stopped));
        }
        if mode == KillMode::Process {
            return;
        }
        if kills {
            left.kill_and_wait(&members, timeout);
        }
        // A start comes later: it waits for the end of what was killed, and kills what was not.
        self.left = timeout.is_zero().then_some(left);
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
