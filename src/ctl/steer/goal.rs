//! Whether a module has become what was asked for: pure rules over snapshots, with the time handed in.

use crate::ctl::format;
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::machine::EXPECTED_EXIT_WINDOW;
use crate::machine::standing::IN_A_CIRCLE;
use crate::status::module_state::ModuleState;
use crate::status::record::Want;
use crate::status::state::LastExit;
use crate::sys::time::Mono;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

/// A service that has lived for this long counts as up: a rule of this program, whatever `restart_delay` is. Most
/// mistakes in a configuration show within it.
pub const MIN_UPTIME: Duration = Duration::from_secs(1);

/// A module that is wanted otherwise for so long after our command was counted is so by a later one. Commands are counted and not
/// told apart: within a moment, ours may be the one that is still to come.
const OVERTAKEN_FOR: Duration = Duration::from_millis(300);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// After a start: a run process that lives on.
    Up,
    /// After a restart: another run process than before, that lives on.
    NewRun,
    /// After a single start: it lives on, or has ended with exit code 0.
    Once,
    /// After a stop: no run process.
    Down,
    /// The supervisor has taken the command, whatever comes of it.
    Taken,
    /// Up, whoever made it so.
    IsUp,
    /// Down, whoever made it so.
    IsDown,
    /// Up, and ready as far as it can tell.
    IsReady,
}

impl Goal {
    /// Whether a command of ours is to bring it about: it then fails when the module goes another way.
    fn is_commanded(self) -> bool {
        match self {
            Goal::Up | Goal::NewRun | Goal::Once | Goal::Down => true,
            Goal::Taken | Goal::IsUp | Goal::IsDown | Goal::IsReady => false,
        }
    }

    /// Whether the service's `check` has to pass, too.
    pub fn wants_check(self) -> bool {
        match self {
            Goal::Up | Goal::NewRun | Goal::IsReady => true,
            Goal::Once | Goal::Down | Goal::Taken | Goal::IsUp | Goal::IsDown => false,
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it was asked for.
    Reached,
    /// Not yet; to be looked at again at the next change, or at this time.
    NotYet(Option<Mono>),
    /// It will not be, and why.
    Failed(String),
    /// Nobody supervises it any more.
    Abandoned,
}

/// A run process: its number, and when it started, where that is known.
#[derive(Clone, Copy, Debug)]
struct Run {
    pid: u32,
    started: Option<SystemTime>,
}

impl Run {
    fn of(snapshot: &Snapshot) -> Option<Run> {
        snapshot.state.pid.map(|pid| Run { pid, started: snapshot.changed })
    }

    /// Whether both are the same process: the number may have been given to a later one.
    fn is(self, other: Run) -> bool {
        self.pid == other.pid && (self.started.is_none() || other.started.is_none() || self.started == other.started)
    }
}

/// What has been seen of a module since the command was sent.
#[derive(Clone, Debug)]
pub struct Progress {
    goal: Goal,
    /// The run process before the command.
    old: Option<Run>,
    /// How long that one had been running, and when that was.
    old_age: (Duration, Mono),
    /// The state before the command, and when it began.
    old_state: (ModuleState, String),
    /// When the last exit that was seen happened.
    last_exit: Option<String>,
    /// Exits that belong to the command: that of the process that it stops.
    expected_exits: usize,
    exits: usize,
    /// Starts that had failed before the command.
    failed_starts: u64,
    /// How many commands `state.json` counted before ours, and with ours, until it does.
    awaited_commands: Option<(u64, u64)>,
    /// Whether `state.json` has counted ours.
    is_taken: bool,
    /// Since when somebody else has had the last word, as it seems.
    overtaken: Option<Mono>,
    /// When each delay began that was seen. One may follow a stop; a second one says that a start failed.
    delays: HashSet<String>,
    /// The run process that came up, and when it was first seen.
    run: Option<(Run, Mono)>,
}

impl Progress {
    /// Starts from `before`, which was seen `at` (and at `clock` by the wall clock), before the command was sent.
    pub fn new(goal: Goal, before: &Snapshot, at: Mono, clock: SystemTime) -> Progress {
        let old = Run::of(before);
        let ends = goal == Goal::NewRun || before.state.state == ModuleState::Stopping;
        // There may be a process by now, which a restart ends.
        let begins =
            goal == Goal::NewRun && matches!(before.state.state, ModuleState::Starting | ModuleState::Unknown(_));
        Progress {
            goal,
            old,
            old_age: (before.uptime(clock).unwrap_or_default(), at),
            old_state: (before.state.state.clone(), before.state.since.clone()),
            last_exit: exit_stamp(before),
            expected_exits: usize::from(begins || (ends && old.is_some())),
            exits: 0,
            failed_starts: before.state.failed_starts,
            awaited_commands: None,
            is_taken: false,
            overtaken: None,
            delays: HashSet::from_iter(delay_stamp(before)),
            run: None,
        }
    }

    /// The same for a command of so many bytes: what `state.json` says before it counts them is not what they have led to.
    pub fn with_command(mut self, before: &Snapshot, bytes: usize) -> Progress {
        let counted = before.state.commands.filter(|_| before.supervised == Supervised::Yes);
        self.awaited_commands = counted.map(|counted| (counted, counted.saturating_add(bytes as u64)));
        self
    }

    /// Whether `now` takes our command into account.
    fn takes_command_into_account(&mut self, now: &Snapshot) -> bool {
        let Some((before, with_ours)) = self.awaited_commands else { return true };
        // One that counts from the beginning has not got it, and will not.
        if now.state.commands.is_some_and(|commands| commands >= before && commands < with_ours) {
            return false;
        }
        self.awaited_commands = None;
        // What was there before has ended, or is about to, by a command that came before ours.
        let old_remains = self.old.zip(Run::of(now)).is_some_and(|(old, run)| old.is(run));
        if self.old.is_some() && (!old_remains || now.state.state == ModuleState::Stopping) {
            self.expected_exits = self.expected_exits.max(1);
        }
        self.is_taken = now.state.commands >= Some(with_ours);
        if self.old.is_none() {
            self.note_what_came_up_meanwhile(now);
        }
        true
    }

    /// Where there was no process before the command, one may have come up until it was taken. Its end is no failure of ours: a
    /// restart has stopped it, or what came before a start.
    fn note_what_came_up_meanwhile(&mut self, now: &Snapshot) {
        let ended = exit_stamp(now);
        if now.state.state == ModuleState::Stopping {
            (self.old, self.old_age) = (Run::of(now), (Duration::ZERO, self.old_age.1));
            (self.expected_exits, self.last_exit) = (1, ended);
        } else if self.goal == Goal::NewRun {
            self.expected_exits = usize::from(ended != self.last_exit);
        }
    }

    /// When the process from before the command may be said to have outlived a signal that asks for its end, if it got one.
    fn outlives_signal_at(&self, now: &Snapshot) -> Option<Mono> {
        Run::of(now).zip(self.old).filter(|(run, old)| run.is(*old))?;
        let until = Mono::from_nanoseconds(now.state.memory.as_ref()?.expected_exit_until?);
        let lived = EXPECTED_EXIT_WINDOW.saturating_sub(MIN_UPTIME);
        Some(Mono(until.0.saturating_sub(lived)))
    }

    /// Looks at the module again.
    pub fn look(&mut self, now: &Snapshot, at: Mono) -> Verdict {
        if now.supervised == Supervised::Yes && !self.takes_command_into_account(now) {
            return Verdict::NotYet(None);
        }
        if let Some(outlives_at) = self.outlives_signal_at(now) {
            self.expected_exits = usize::from(self.goal == Goal::NewRun || at < outlives_at);
        }
        self.note(now, at);
        if self.goal == Goal::Taken {
            return Verdict::Reached;
        }
        if now.supervised == Supervised::Stale {
            return Verdict::NotYet(None);
        }
        if now.supervised != Supervised::Yes {
            return match self.goal {
                Goal::Down | Goal::IsDown if now.is_down() => Verdict::Reached,
                goal if goal.is_commanded() => Verdict::Abandoned,
                _ => Verdict::NotYet(None),
            };
        }
        match self.goal {
            Goal::Down | Goal::IsDown if now.is_down() => Verdict::Reached,
            Goal::IsUp if now.is_up() => Verdict::Reached,
            // A service that can say so itself is taken at its word, and a one-shot is ready once it is done.
            Goal::IsReady if now.is_one_shot_done() => Verdict::Reached,
            Goal::IsReady if now.is_up() && now.state.ready != Some(false) && !is_coming(now) => Verdict::Reached,
            Goal::Down => self.judge_stop(now, at),
            Goal::IsDown | Goal::Taken | Goal::IsUp | Goal::IsReady => Verdict::NotYet(None),
            Goal::Up | Goal::NewRun | Goal::Once => self.judge_start(now, at),
        }
    }

    /// What was to be stopped has not become down.
    fn judge_stop(&mut self, now: &Snapshot, at: Mono) -> Verdict {
        let is_wanted = matches!(now.state.want, Some(Want::Up | Want::Once));
        let old_remains = self.old.zip(Run::of(now)).is_some_and(|(old, run)| old.is(run));
        if !(self.is_taken && is_wanted) || now.state.state == ModuleState::Stopping {
            self.overtaken = None;
            return Verdict::NotYet(None);
        }
        let stopped = if self.old.is_some() && !old_remains { "stopped, and " } else { "" };
        self.judge_overtaken(at, format!("{stopped}wanted up again meanwhile"))
    }

    /// Another command seems to have come after ours; `why` says what came of that.
    fn judge_overtaken(&mut self, at: Mono, why: String) -> Verdict {
        let over_at = *self.overtaken.get_or_insert(at) + OVERTAKEN_FOR;
        if at < over_at { Verdict::NotYet(Some(over_at)) } else { Verdict::Failed(why) }
    }

    fn judge_start(&mut self, now: &Snapshot, at: Mono) -> Verdict {
        let is_new = (&now.state.state, &now.state.since) != (&self.old_state.0, &self.old_state.1);
        if now.state.state == ModuleState::Done && is_new {
            return Verdict::Reached;
        }
        // It runs, which is what was asked for; that somebody has paused it, its line says.
        if self.goal == Goal::Up && now.state.state == ModuleState::Paused && self.stays(now) {
            return Verdict::Reached;
        }
        if let Some(why) = self.failure(now, at) {
            return match now.state.last_exit.as_ref().map(|exit| exit.code) {
                // What is started once may well be over at once.
                Some(Some(0)) if self.goal == Goal::Once && self.exits > self.expected_exits => Verdict::Reached,
                _ => Verdict::Failed(why),
            };
        }
        let is_down = now.state.state == ModuleState::Down && now.state.want == Some(Want::Down);
        if is_down && self.is_taken && self.goal != Goal::Once {
            let reason = now.state.reason.as_deref().map_or_else(String::new, |why| format!(": {}", format::text(why)));
            return self.judge_overtaken(at, format!("wanted down again meanwhile{reason}"));
        }
        self.overtaken = None;
        let Some((run, seen)) = self.run.filter(|_| now.is_up()) else {
            return Verdict::NotYet(self.outlives_signal_at(now).filter(|outlives_at| *outlives_at > at));
        };
        let age = if self.old.is_some_and(|old| old.is(run)) {
            self.old_age.0 + at.since(self.old_age.1)
        } else {
            at.since(seen)
        };
        match age >= MIN_UPTIME {
            // The readiness that it will announce brings the next change.
            true if now.state.ready == Some(false) => Verdict::NotYet(None),
            true => Verdict::Reached,
            false => Verdict::NotYet(Some(at + (MIN_UPTIME - age))),
        }
    }

    /// Why the start has failed, if it has.
    fn failure(&self, now: &Snapshot, at: Mono) -> Option<String> {
        let state = &now.state;
        let reason = || state.reason.as_deref().map(format::text).unwrap_or_else(|| "no reason given".into());
        let is_new = (&state.state, &state.since) != (&self.old_state.0, &self.old_state.1);
        if self.exits > self.expected_exits {
            let ending = state.last_exit.as_ref().map_or("unknown".into(), format::ending);
            return Some(match self.run {
                Some((Run { pid, .. }, seen)) if Some(pid) != state.pid => {
                    format!("came up (pid {pid}) and ended after {}: {ending}", format::spoken(at.since(seen)))
                }
                _ => format!("came up and ended at once: {ending}"),
            });
        }
        match state.state {
            ModuleState::Failed if is_new => Some(format!("failed: {}", reason())),
            ModuleState::Backoff if state.failed_starts > self.failed_starts && is_hopeless(now) => {
                Some(cannot_be_started(&reason()))
            }
            // A restart may begin in a delay, and has one of its own then. A delay without a start that failed before it
            // comes of somebody else's restart.
            ModuleState::Backoff
                if state.failed_starts > self.failed_starts
                    && (self.delays.len() > 2
                        || (self.delays.len() > 1 && self.expected_exits == 0 && self.goal != Goal::NewRun)) =>
            {
                Some(cannot_be_started(&reason()))
            }
            ModuleState::Waiting if state.reason.as_deref().is_some_and(|why| why.starts_with(IN_A_CIRCLE)) => {
                Some(cannot_be_started(&reason()))
            }
            ModuleState::Paused if self.goal != Goal::Up && self.stays(now) => {
                Some(format!("paused (pid {}), and stays so until it gets `cont`", state.pid.unwrap_or_default()))
            }
            _ => None,
        }
    }

    /// Whether there is a run process, and not one that has to end first.
    fn stays(&self, now: &Snapshot) -> bool {
        Run::of(now).is_some_and(|run| !self.is_on_its_way_out(run))
    }

    /// Whether it is the run process that has to end first.
    fn is_on_its_way_out(&self, run: Run) -> bool {
        self.expected_exits > 0 && self.old.is_some_and(|old| old.is(run))
    }

    /// Takes down what changed.
    fn note(&mut self, now: &Snapshot, at: Mono) {
        let exit = exit_stamp(now);
        let mut ended = exit.is_some() && exit != self.last_exit;
        self.last_exit = exit;
        if let Some(run) = Run::of(now) {
            let counts = !self.is_on_its_way_out(run);
            match self.run {
                Some((seen, _)) if seen.is(run) => {}
                // Its end was too quick to be seen by itself.
                Some(_) => {
                    ended = true;
                    self.exits = self.exits.max(self.expected_exits);
                }
                None if counts => self.run = Some((run, at)),
                None => {}
            }
        }
        self.exits += usize::from(ended);
        self.delays.extend(delay_stamp(now));
    }
}

fn cannot_be_started(reason: &str) -> String {
    format!("cannot be started: {}", reason.strip_prefix("could not be started: ").unwrap_or(reason))
}

/// Whether its run process is still to become ready, or to be done.
fn is_coming(snapshot: &Snapshot) -> bool {
    snapshot.state.memory.as_ref().is_some_and(|memory| memory.unready)
}

/// Whether the last start failed of something that does not pass by itself.
fn is_hopeless(snapshot: &Snapshot) -> bool {
    snapshot.state.memory.as_ref().is_some_and(|memory| memory.start_is_hopeless)
}

fn exit_stamp(snapshot: &Snapshot) -> Option<String> {
    snapshot.state.last_exit.as_ref().map(|exit: &LastExit| exit.at.clone())
}

fn delay_stamp(snapshot: &Snapshot) -> Option<String> {
    (snapshot.state.state == ModuleState::Backoff).then(|| snapshot.state.since.clone())
}

#[cfg(test)]
mod tests;
