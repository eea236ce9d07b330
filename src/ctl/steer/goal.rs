//! Whether a module has become what was asked for: pure rules over snapshots, with the time handed in.

use crate::ctl::format;
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::machine::EXPECTED_EXIT_WINDOW;
use crate::status::module_state::ModuleState;
use crate::status::state::LastExit;
use crate::sys::time::Mono;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

/// A service that has lived for this long counts as up: a rule of this program, whatever `restart_delay` is. Most
/// mistakes in a configuration show within it.
pub const MIN_UPTIME: Duration = Duration::from_secs(1);

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
    /// How many commands `state.json` counted before ours, and with ours, until it does.
    awaited_commands: Option<(u64, u64)>,
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
        Progress {
            goal,
            old,
            old_age: (before.uptime(clock).unwrap_or_default(), at),
            old_state: (before.state.state.clone(), before.state.since.clone()),
            last_exit: exit_stamp(before),
            expected_exits: usize::from(ends && old.is_some()),
            exits: 0,
            awaited_commands: None,
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
        true
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
            // A service that can say so itself is taken at its word.
            Goal::IsReady if now.is_up() && now.state.ready != Some(false) => Verdict::Reached,
            Goal::Down | Goal::IsDown | Goal::Taken | Goal::IsUp | Goal::IsReady => Verdict::NotYet(None),
            Goal::Up | Goal::NewRun | Goal::Once => self.judge_start(now, at),
        }
    }

    fn judge_start(&self, now: &Snapshot, at: Mono) -> Verdict {
        let is_new = (&now.state.state, &now.state.since) != (&self.old_state.0, &self.old_state.1);
        if now.state.state == ModuleState::Done && is_new {
            return Verdict::Reached;
        }
        if let Some(why) = self.failure(now, at) {
            return match now.state.last_exit.as_ref().map(|exit| exit.code) {
                // What is started once may well be over at once.
                Some(Some(0)) if self.goal == Goal::Once && self.exits > self.expected_exits => Verdict::Reached,
                _ => Verdict::Failed(why),
            };
        }
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
            // A restart may begin in a delay, and has one of its own then.
            ModuleState::Backoff
                if self.delays.len() > 2
                    || (self.delays.len() > 1 && self.expected_exits == 0 && self.goal != Goal::NewRun) =>
            {
                Some(format!("cannot be started: {}", reason()))
            }
            ModuleState::Paused if Run::of(now).is_some_and(|run| !self.is_on_its_way_out(run)) => {
                Some(format!("paused (pid {}), and stays so until it gets `cont`", state.pid.unwrap_or_default()))
            }
            _ => None,
        }
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

fn exit_stamp(snapshot: &Snapshot) -> Option<String> {
    snapshot.state.last_exit.as_ref().map(|exit: &LastExit| exit.at.clone())
}

fn delay_stamp(snapshot: &Snapshot) -> Option<String> {
    (snapshot.state.state == ModuleState::Backoff).then(|| snapshot.state.since.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::state::StateFile;
    use std::time::UNIX_EPOCH;

    const T0: Mono = Mono(Duration::from_secs(1000));

    fn clock(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// A module in `state` since `since`, with a process that was started then, if any.
    fn seen(state: &str, since: u64, pid: Option<u32>) -> Snapshot {
        let state = StateFile {
            state: ModuleState::from_name(state),
            since: format!("@{since}"),
            pid,
            want: Some(crate::status::record::Want::Up),
            ..StateFile::default()
        };
        Snapshot { supervised: Supervised::Yes, state, raw: None, changed: Some(clock(since)) }
    }

    fn after(mut snapshot: Snapshot, at: &str, code: i32) -> Snapshot {
        snapshot.state.last_exit = Some(LastExit { code: Some(code), at: at.into(), ..LastExit::default() });
        snapshot
    }

    fn trace(goal: Goal, before: &Snapshot) -> Progress {
        Progress::new(goal, before, T0, clock(100))
    }

    fn in_ms(ms: u64) -> Mono {
        T0 + Duration::from_millis(ms)
    }

    #[test]
    fn what_has_to_end_first_is_neither_up_nor_paused_for_good() {
        // A start while the old one is being stopped.
        let mut trace_of = trace(Goal::Up, &seen("stopping", 50, Some(7)));
        assert_eq!(trace_of.look(&seen("stopping", 50, Some(7)), in_ms(10)), Verdict::NotYet(None));
        assert_eq!(trace_of.look(&after(seen("backoff", 60, None), "a", 9), in_ms(20)), Verdict::NotYet(None));
        let up = after(seen("up", 61, Some(8)), "a", 9);
        assert!(matches!(trace_of.look(&up, in_ms(30)), Verdict::NotYet(Some(_))));
        assert_eq!(trace_of.look(&up, in_ms(2000)), Verdict::Reached);
        // A restart of what is paused, or waits.
        let mut trace_of = trace(Goal::NewRun, &seen("paused", 50, Some(7)));
        assert_eq!(trace_of.look(&seen("paused", 50, Some(7)), in_ms(10)), Verdict::NotYet(None));
        let mut trace_of = trace(Goal::NewRun, &seen("backoff", 50, None));
        assert_eq!(trace_of.look(&seen("backoff", 51, None), in_ms(10)), Verdict::NotYet(None));
        assert!(matches!(trace_of.look(&seen("backoff", 52, None), in_ms(20)), Verdict::Failed(_)));
    }

    #[test]
    fn what_was_written_before_the_command_was_taken_says_nothing() {
        let counted = |snapshot: Snapshot, commands| Snapshot {
            state: StateFile { commands: Some(commands), ..snapshot.state.clone() },
            ..snapshot
        };
        // A stop comes before our start, and nothing tells of it yet.
        let before = counted(seen("up", 50, Some(7)), 4);
        let mut trace_of = trace(Goal::Up, &before).with_command(&before, 1);
        assert_eq!(trace_of.look(&before, in_ms(1)), Verdict::NotYet(None));
        assert_eq!(trace_of.look(&counted(seen("stopping", 50, Some(7)), 5), in_ms(2)), Verdict::NotYet(None));
        let up = counted(after(seen("up", 100, Some(8)), "a", 0), 5);
        assert!(matches!(trace_of.look(&up, in_ms(30)), Verdict::NotYet(Some(_))));
        assert_eq!(trace_of.look(&up, in_ms(2000)), Verdict::Reached);
        // Two bytes are two commands, and who counts from the beginning will not come so far.
        let mut trace_of = trace(Goal::Taken, &before).with_command(&before, 2);
        assert_eq!(trace_of.look(&counted(before.clone(), 5), in_ms(1)), Verdict::NotYet(None));
        assert_eq!(trace_of.clone().look(&counted(before.clone(), 6), in_ms(1)), Verdict::Reached);
        assert_eq!(trace_of.look(&counted(before, 1), in_ms(1)), Verdict::Reached);
    }

    #[test]
    fn a_process_that_got_a_signal_to_end_is_not_up_before_it_has_outlived_it() {
        let up = seen("up", 50, Some(7));
        let mut signalled = up.clone();
        let until = (T0 + EXPECTED_EXIT_WINDOW).nanoseconds();
        let memory = crate::status::state::Memory { expected_exit_until: Some(until), ..Default::default() };
        signalled.state.memory = Some(memory);
        let mut trace_of = trace(Goal::Up, &up);
        assert_eq!(trace_of.look(&signalled, in_ms(10)), Verdict::NotYet(Some(in_ms(1000))));
        assert_eq!(trace_of.clone().look(&signalled, in_ms(1000)), Verdict::Reached);
        assert!(matches!(trace_of.look(&after(seen("up", 100, Some(8)), "a", 0), in_ms(30)), Verdict::NotYet(_)));
    }

    #[test]
    fn a_service_that_is_up_for_long_is_up() {
        let up = seen("up", 50, Some(7));
        assert_eq!(trace(Goal::Up, &up).look(&up, in_ms(0)), Verdict::Reached);
    }

    #[test]
    fn a_start_is_done_a_second_after_the_process_came() {
        let mut trace = trace(Goal::Up, &seen("down", 50, None));
        assert_eq!(trace.look(&seen("down", 50, None), in_ms(0)), Verdict::NotYet(None));
        let up = seen("up", 100, Some(7));
        assert_eq!(trace.look(&up, in_ms(10)), Verdict::NotYet(Some(in_ms(1010))));
        assert_eq!(trace.look(&up, in_ms(1010)), Verdict::Reached);
    }

    #[test]
    fn a_restart_wants_another_process() {
        let before = seen("up", 50, Some(7));
        let mut trace = trace(Goal::NewRun, &before);
        assert_eq!(trace.look(&before, in_ms(5)), Verdict::NotYet(None));
        let stopping = Snapshot { changed: before.changed, ..seen("stopping", 100, Some(7)) };
        assert_eq!(trace.look(&stopping, in_ms(10)), Verdict::NotYet(None));
        assert_eq!(trace.look(&after(seen("backoff", 100, None), "a", 0), in_ms(20)), Verdict::NotYet(None));
        let up = after(seen("up", 101, Some(8)), "a", 0);
        assert_eq!(trace.look(&up, in_ms(30)), Verdict::NotYet(Some(in_ms(1030))));
        assert_eq!(trace.look(&up, in_ms(1030)), Verdict::Reached);
    }

    #[test]
    fn the_same_number_for_a_later_process_is_another_process() {
        let mut trace = trace(Goal::NewRun, &seen("up", 50, Some(7)));
        let up = after(seen("up", 100, Some(7)), "a", 0);
        assert!(matches!(trace.look(&up, in_ms(10)), Verdict::NotYet(Some(_))));
    }

    #[test]
    fn a_process_that_dies_at_once_is_a_failure() {
        let mut trace = trace(Goal::NewRun, &seen("up", 50, Some(7)));
        trace.look(&after(seen("up", 100, Some(8)), "a", 0), in_ms(10));
        let verdict = trace.look(&after(seen("backoff", 101, None), "b", 3), in_ms(210));
        assert_eq!(verdict, Verdict::Failed("came up (pid 8) and ended after 0.2 s: exit 3".into()));
    }

    #[test]
    fn so_is_one_whose_life_was_too_short_to_be_seen() {
        let mut up = trace(Goal::Up, &seen("down", 50, None));
        let verdict = up.look(&after(seen("backoff", 100, None), "a", 3), in_ms(10));
        assert_eq!(verdict, Verdict::Failed("came up and ended at once: exit 3".into()));
        let mut restart = trace(Goal::NewRun, &seen("up", 50, Some(7)));
        restart.look(&after(seen("up", 100, Some(8)), "a", 0), in_ms(10));
        let verdict = restart.look(&after(seen("up", 101, Some(9)), "b", 3), in_ms(900));
        assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
    }

    #[test]
    fn a_delay_before_the_start_is_no_failure_and_a_second_one_is() {
        let mut trace = trace(Goal::Up, &seen("down", 50, None));
        assert_eq!(trace.look(&seen("starting", 100, None), in_ms(1)), Verdict::NotYet(None));
        assert_eq!(trace.look(&seen("backoff", 100, None), in_ms(10)), Verdict::NotYet(None));
        let mut again = seen("backoff", 101, None);
        again.state.reason = Some("run: execve: Permission denied".into());
        let verdict = trace.look(&again, in_ms(1010));
        assert_eq!(verdict, Verdict::Failed("cannot be started: run: execve: Permission denied".into()));
    }

    #[test]
    fn giving_up_is_a_failure_unless_it_happened_before() {
        let before = seen("failed", 50, None);
        let mut trace = trace(Goal::Up, &before);
        assert_eq!(trace.look(&before, in_ms(0)), Verdict::NotYet(None));
        assert!(matches!(trace.look(&seen("failed", 100, None), in_ms(10)), Verdict::Failed(_)));
    }

    #[test]
    fn once_may_end_well() {
        let mut well = trace(Goal::Once, &seen("down", 50, None));
        assert_eq!(well.look(&after(seen("down", 100, None), "a", 0), in_ms(10)), Verdict::Reached);
        let mut badly = trace(Goal::Once, &seen("down", 50, None));
        assert!(matches!(badly.look(&after(seen("down", 100, None), "a", 1), in_ms(10)), Verdict::Failed(_)));
    }

    #[test]
    fn a_stop_is_done_when_nothing_runs() {
        let before = seen("up", 50, Some(7));
        let mut trace = trace(Goal::Down, &before);
        assert_eq!(trace.look(&before, in_ms(0)), Verdict::NotYet(None));
        assert_eq!(trace.look(&seen("finishing", 100, None), in_ms(10)), Verdict::NotYet(None));
        assert_eq!(trace.look(&seen("down", 100, None), in_ms(20)), Verdict::Reached);
    }

    #[test]
    fn a_supervisor_that_ends_is_noticed() {
        let gone = |state, pid| Snapshot { supervised: Supervised::No { runs_on: false }, ..seen(state, 50, pid) };
        let before = seen("up", 50, Some(7));
        assert_eq!(trace(Goal::NewRun, &before).look(&gone("up", Some(7)), in_ms(0)), Verdict::Abandoned);
        assert_eq!(trace(Goal::Down, &before).look(&gone("down", None), in_ms(0)), Verdict::Reached);
        assert_eq!(trace(Goal::IsUp, &before).look(&gone("up", Some(7)), in_ms(0)), Verdict::NotYet(None));
    }

    #[test]
    fn paused_is_not_up() {
        let paused = seen("paused", 50, Some(7));
        let verdict = trace(Goal::Up, &paused).look(&paused, in_ms(0));
        assert!(matches!(verdict, Verdict::Failed(ref why) if why.contains("cont")), "{verdict:?}");
    }

    #[test]
    fn a_service_that_says_when_it_is_ready_is_waited_for() {
        let mut starting = seen("up", 100, Some(7));
        starting.state.ready = Some(false);
        let mut up = trace(Goal::Up, &seen("down", 50, None));
        up.look(&starting, in_ms(10));
        assert_eq!(up.look(&starting, in_ms(2000)), Verdict::NotYet(None));
        assert_eq!(trace(Goal::IsReady, &starting).look(&starting, in_ms(10)), Verdict::NotYet(None));
        starting.state.ready = Some(true);
        assert_eq!(up.look(&starting, in_ms(2010)), Verdict::Reached);
    }
}
