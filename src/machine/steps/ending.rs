//! What follows the end of a run process, and the end of supervision.
//!
//! [`Machine::judge`] decides whether a service is started again.

use crate::conf::policy::{Policy, RestartPolicy, ShutdownOn};
use crate::conf::relations::Kind;
use crate::machine::core::{Actions, Machine};
use crate::machine::history::limits::Verdict;
use crate::machine::words::actions::{Action, Alarm, AlarmReason};
use crate::machine::words::notes::{Note, Then};
use crate::machine::words::states::{After, Leave, Next, Reason, Run, State, Stop, Want};
use crate::status::rest::Rest;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use nix::unistd::Pid;
use std::time::Duration;

/// The exit code of `finish` that forbids a restart (s6's convention).
const DO_NOT_RESTART: ExitStatus = ExitStatus::Code(125);

/// The end of a run process, or a start that failed.
pub(in crate::machine) struct End {
    /// How the process ended, or why it could not be started.
    pub exit: Result<ExitStatus, StartError>,
    /// Nobody has requested this end, so the limits count it.
    pub counts: bool,
    /// The process was ended for its own failure, whatever its exit code says.
    pub failed: bool,
    /// The pid that the process had.
    pub pid: Option<Pid>,
    /// How long the process ran.
    pub uptime: Duration,
}

/// What is made of an end.
pub(in crate::machine) struct Judgement {
    /// What follows.
    pub next: Next,
    /// The limit that was reached.
    gave_up: Option<Reason>,
    /// An alarm is raised, and the restarts that it tells of.
    alarm: Option<u32>,
}

impl Machine {
    pub(in crate::machine) fn run_ended(
        &mut self,
        run: Run,
        status: ExitStatus,
        has_finish: bool,
        now: Mono,
        actions: &mut Actions,
    ) {
        let has_finish = has_finish && !self.in_haste;
        self.last_exit = Some(status);
        let run = self.end_health(run, actions);
        self.limits.count_exit_for_hook(self.setup.count_reset, now);
        let requested = run.expected_exit_until.is_some_and(|until| now <= until)
            || (run.stop != Stop::No && !run.failed)
            || self.want != Want::Up
            || self.leave.is_some();
        self.tally.note_exit(status, requested, now);
        // The end was not seen: it may have come long ago.
        let seen = matches!(self.state, State::Up(_));
        let uptime = if seen { now.since(run.since) } else { Duration::ZERO };
        let at = self.limits.next_after_exit(&self.policy, requested, now);
        let end = End { exit: Ok(status), counts: !requested, failed: run.failed, pid: Some(run.pid), uptime };
        let reads_on = self.reads_on_after(run, status, now);
        let judgement = if self.is_done(run, status) {
            Judgement { next: Next::Done, gave_up: None, alarm: None }
        } else if (run.restart_after_stop && self.leave.is_none()) || reads_on == Some(true) {
            Judgement { next: Next::Start, gave_up: None, alarm: None }
        } else {
            self.judge(&end, now)
        };
        // With exit code 0 before a `finish`, the service may well be a job that is done: only `finish` knows.
        let is_done =
            matches!(judgement.next, Next::ShutDown | Next::StayDown | Next::Done) && status == ExitStatus::Code(0);
        let is_fine = (requested && reads_on.is_none())
            || is_done
            || (has_finish && status == ExitStatus::Code(0))
            || self.is_usual(&judgement);
        let then = self.then(judgement.next, at, has_finish, now);
        actions.push(Action::Log(Note::Ended { pid: run.pid, uptime: seen.then_some(uptime), status, then, is_fine }));
        if reads_on == Some(false) {
            actions.push(Action::Log(Note::LastWordsLost));
        }
        self.carry_out_judgement(judgement, &end, has_finish, actions);
    }

    /// Whether a one-shot has succeeded.
    fn is_done(&self, run: Run, status: ExitStatus) -> bool {
        let nobody_stops_it = run.stop == Stop::No && self.want != Want::Down && self.leave.is_none();
        let ends_the_tree = shuts_down_after(self.policy.shutdown_on, Ok(status)) && self.alarm;
        self.policy.kind == Kind::Oneshot && status == ExitStatus::Code(0) && nobody_stops_it && !ends_the_tree
    }

    /// Whether a run process that ended (or could not be started) is started again, and whether its end is worth an alarm.
    ///
    /// [`Next::AsWanted`]: started again if it is still wanted up when `finish` has ended ([`Machine::settle`] does it);
    /// [`Next::StayDown`]: not started, by the `restart` setting; [`Next::GiveUp`]: not started, because a limit was reached.
    pub(in crate::machine) fn judge(&mut self, end: &End, now: Mono) -> Judgement {
        if self.want != Want::Up || self.leave.is_some() {
            return Judgement { next: Next::AsWanted, gave_up: None, alarm: None };
        }
        let shuts_down = end.counts && self.alarm && shuts_down_with(self.policy.shutdown_on, end);
        let starts_again = !shuts_down
            && if end.failed {
                self.policy.restart != RestartPolicy::Never
            } else {
                restarts_after(&self.policy, end.exit.ok())
            };
        // With alarms off, an operator is at work: nothing counts, and the next real failure is the first of its window.
        let is_failure = starts_again || end.failed || end.exit != Ok(ExitStatus::Code(0));
        let failure = end.counts && self.alarm && is_failure;
        let verdict = if failure {
            self.limits.count(&self.policy, end.exit.is_ok_and(ExitStatus::core), now)
        } else {
            Verdict::Within { alarm: false }
        };
        let (gave_up, alarm) = match verdict {
            Verdict::Within { alarm } => (None, alarm),
            Verdict::TooManyRestarts(count) => (Some(Reason::GaveUpRestarts(count)), true),
            Verdict::TooManyCores(count) => (Some(Reason::GaveUpCores(count)), true),
        };
        let next = match gave_up {
            Some(_) => Next::GiveUp,
            None if shuts_down => Next::ShutDown,
            None if starts_again => Next::AsWanted,
            None => Next::StayDown,
        };
        if next != Next::AsWanted {
            // With the program that ends now, what was wanted is left as it was, for whoever reads it.
            if !(gave_up.is_some() && self.setup.ends_when_failed) {
                self.want = Want::Down;
            }
            self.reason = gave_up.or(if shuts_down { Some(Reason::ShutDown) } else { self.stays_down(end.exit) });
        }
        let restarts = self.limits.restarts_in_window().saturating_sub(u32::from(next != Next::AsWanted));
        Judgement { next, gave_up, alarm: (alarm && self.alarm).then_some(restarts) }
    }

    /// Why no start follows this end, by the `restart` setting.
    fn stays_down(&self, exit: Result<ExitStatus, StartError>) -> Option<Reason> {
        let never = self.policy.restart == RestartPolicy::Never;
        Some(match exit {
            Ok(ExitStatus::Code(0)) => Reason::Rests(Rest::Finished),
            Ok(exit) => Reason::Rests(Rest::Restart { never, exit }),
            Err(error) => Reason::StartFailed(error),
        })
    }

    /// Nothing runs, and nothing is going to, for the reason that there is, or else for the command that says so.
    pub(in crate::machine) fn rest(&mut self) {
        self.state = State::Down;
        self.reason.get_or_insert(Reason::Rests(match (self.want, self.last_exit) {
            (Want::Once, Some(exit)) => Rest::Once(exit),
            (Want::Up | Want::Down | Want::Once, _) => Rest::Command,
        }));
    }

    /// Whether an end that nobody requested is no more than a line among others: in `supervise`, one with a restart that
    /// opens no alarm window, or one with a line of its own about giving up.
    fn is_usual(&self, judgement: &Judgement) -> bool {
        self.setup.restart_is_notice
            && match judgement.next {
                Next::AsWanted | Next::Start => judgement.alarm.is_none(),
                Next::GiveUp => true,
                Next::StayDown | Next::ShutDown | Next::Done => false,
            }
    }

    /// Alarm, log and `finish`, after the line of the end itself.
    pub(in crate::machine) fn carry_out_judgement(
        &mut self,
        judgement: Judgement,
        end: &End,
        has_finish: bool,
        actions: &mut Actions,
    ) {
        let Judgement { next, gave_up, alarm } = judgement;
        let End { exit, pid, uptime, .. } = *end;
        if let Some(reason) = gave_up {
            let supervision_ends = self.setup.ends_when_failed;
            actions.push(Action::Log(Note::GaveUp { reason, supervision_ends }));
        }
        if let Some(restarts) = alarm {
            let own = self.illness.filter(|_| end.failed).unwrap_or(AlarmReason::Exited);
            let reason = gave_up.map_or(own, AlarmReason::GaveUp);
            self.raise(Alarm { reason, exit: Some(exit), pid, uptime, restarts }, actions);
        }
        let given_up = next == Next::GiveUp && self.policy.shutdown_on != ShutdownOn::Never;
        if next == Next::ShutDown || given_up {
            actions.push(Action::ShutDown(exit));
        }
        self.state = State::FinishRequested(next);
        actions.push(if self.setup.restart_hook {
            Action::RunHook(self.limits.exits())
        } else {
            Action::RunFinish { exit: exit.ok(), has_finish }
        });
    }

    /// What follows once neither the run process nor `finish` runs any more, as things stand.
    fn after(&self, next: Next) -> After {
        match (self.leave, next, self.want) {
            (Some(Leave::EndOfInput), Next::Start, Want::Up | Want::Once) => After::ReadTheRest,
            (Some(_), ..) => After::Leave,
            (None, Next::GiveUp, _) => After::GiveUp,
            (None, Next::StayDown, _) => After::StayDown,
            (None, Next::ShutDown, _) => After::ShutDown,
            (None, Next::Done, _) => After::Done,
            (None, Next::AsWanted, Want::Down | Want::Once) | (None, Next::Start, Want::Down) => After::Down,
            (None, Next::Start, want @ (Want::Up | Want::Once)) => After::Start(want),
            (None, Next::AsWanted, Want::Up) => After::Restart,
        }
    }

    /// The same for the log; a start comes no sooner than `at`.
    pub(in crate::machine) fn then(&self, next: Next, at: Mono, has_finish: bool, now: Mono) -> Then {
        Then::After { after: self.after(next), delay: at.since(now), has_finish }
    }

    /// Neither the run process nor `finish` runs any more.
    pub(in crate::machine) fn settle(&mut self, next: Next, now: Mono, actions: &mut Actions) {
        match self.after(next) {
            After::ReadTheRest => self.begin_start(actions),
            After::Leave => self.end_supervision(actions),
            After::GiveUp => self.state = State::Failed,
            After::Done => self.state = State::Done,
            After::StayDown | After::ShutDown | After::Down => self.rest(),
            After::Start(want) => self.start_by_command(want, now, actions),
            After::Restart => self.start_at(self.limits.next(now), now, actions),
        }
    }

    /// When a `finish` that starts now is killed. The restart command, which takes its place, may take as long as it likes.
    pub(in crate::machine) fn finish_deadline(&self, now: Mono) -> Option<Mono> {
        self.policy.finish_timeout.filter(|_| !self.setup.restart_hook).map(|timeout| now + timeout)
    }

    pub(in crate::machine) fn finish_ended(
        &mut self,
        status: ExitStatus,
        next: Next,
        now: Mono,
        actions: &mut Actions,
    ) {
        if status == DO_NOT_RESTART && !self.setup.restart_hook && next == Next::AsWanted && self.leave.is_none() {
            self.want = Want::Down;
            self.reason = Some(Reason::Rests(Rest::Finish));
            actions.push(Action::Log(Note::FinishForbidsRestart));
        }
        self.settle(next, now, actions);
    }

    // ----- commands between the end of the run process and that of `finish` ------------------------------------

    /// `u` or `o` overrules limits, the `restart` setting and `finish`.
    pub(in crate::machine) fn next_after_up(&mut self, next: Next, want: Want) -> Next {
        self.want = want;
        if self.leave.is_some() {
            return next;
        }
        if next == Next::GiveUp {
            self.limits.clear();
        }
        self.reason = None;
        Next::Start
    }

    pub(in crate::machine) fn next_after_down(&mut self, next: Next) -> Next {
        self.want = Want::Down;
        if next == Next::GiveUp {
            return next;
        }
        self.reason = None;
        Next::AsWanted
    }

    /// The logger's service is gone while the logger is between two runs: a start that is to come comes without delay.
    pub(in crate::machine) fn next_at_end_of_input(&mut self, next: Next) -> Next {
        let first = self.leave.is_none();
        self.leave_at_least(Leave::EndOfInput);
        if first && next == Next::AsWanted && self.want == Want::Up { Next::Start } else { next }
    }

    // ----- leaving ------------------------------------------------------------------------------------------------

    /// A stronger reason to leave replaces a weaker one.
    pub(in crate::machine) fn leave_at_least(&mut self, leave: Leave) {
        self.leave = self.leave.max(Some(leave));
    }

    /// While the hook or `control/u` runs: it is not waited for.
    pub(in crate::machine) fn leave_and_kill_hook(&mut self, leave: Leave, actions: &mut Actions) {
        self.leave_at_least(leave);
        actions.push(Action::KillHelper);
    }

    /// While `finish` or the restart command runs: only `finish` has a time limit, so the command is not waited for.
    pub(in crate::machine) fn leave_after_finish(&mut self, leave: Leave, actions: &mut Actions) {
        self.leave_at_least(leave);
        if self.setup.restart_hook {
            actions.push(Action::KillHelper);
        }
    }

    /// While nothing runs.
    pub(in crate::machine) fn leave_at_once(&mut self, leave: Leave, actions: &mut Actions) {
        self.leave_at_least(leave);
        self.end_supervision(actions);
    }

    pub(in crate::machine) fn end_supervision(&mut self, actions: &mut Actions) {
        self.state = State::Ended;
        actions.push(Action::Log(Note::Left));
    }
}

/// The same for one that may have been ended for its own failure: its exit code says nothing then.
fn shuts_down_with(setting: ShutdownOn, end: &End) -> bool {
    shuts_down_after(setting, end.exit) || (end.failed && setting == ShutdownOn::Failure)
}

/// Whether the tree ends with a service that ended so, or could not be started. A limit that was reached is not known here.
fn shuts_down_after(setting: ShutdownOn, exit: Result<ExitStatus, StartError>) -> bool {
    // How a process has ended that somebody else has started, nobody may know.
    let is_known = exit != Ok(ExitStatus::Unknown);
    match setting {
        ShutdownOn::Never | ShutdownOn::Failed => false,
        ShutdownOn::Failure | ShutdownOn::Exit if !is_known => false,
        ShutdownOn::Failure => exit != Ok(ExitStatus::Code(0)),
        ShutdownOn::Exit => true,
    }
}

/// Whether to start a run process that ended so again; `None`: it could not be started.
pub(in crate::machine) fn restarts_after(policy: &Policy, status: Option<ExitStatus>) -> bool {
    match policy.restart {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => status != Some(ExitStatus::Code(0)),
        RestartPolicy::Never => false,
    }
}
