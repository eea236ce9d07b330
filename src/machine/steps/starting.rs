//! Starting: the delay, what runs before a start, and the start itself.

use crate::machine::core::{Actions, Machine};
use crate::machine::health::Health;
use crate::machine::standing::Call;
use crate::machine::steps::ending::End;
use crate::machine::words::actions::Action;
use crate::machine::words::notes::{Helper, Note, Then};
use crate::machine::words::states::{CONTROL_TIME, Leave, Next, Reason, Run, State, Stop, Want};
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use nix::unistd::Pid;
use std::time::Duration;

impl Machine {
    /// `u` or `o` while nothing runs: a start as soon as the plain delay allows.
    pub(in crate::machine) fn start_by_command(&mut self, want: Want, now: Mono, actions: &mut Actions) {
        (self.want, self.put_down) = (want, false);
        self.reason = None;
        let at = self.limits.next_after_up(&self.policy, now);
        self.start_at(at, now, actions);
    }

    /// The same after the service was given up: the limits count from the beginning.
    pub(in crate::machine) fn revive(&mut self, want: Want, now: Mono, actions: &mut Actions) {
        self.limits.clear();
        self.start_by_command(want, now, actions);
    }

    pub(in crate::machine) fn start_at(&mut self, at: Mono, now: Mono, actions: &mut Actions) {
        if at > now {
            self.state = State::Backoff { until: at };
        } else {
            self.begin_start(actions);
        }
    }

    /// `d` while a start waits for its time.
    pub(in crate::machine) fn cancel_start(&mut self, actions: &mut Actions) {
        self.want = Want::Down;
        self.reason = None;
        actions.push(Action::Log(Note::StartCancelled));
        match self.leave {
            None => self.rest(),
            // A logger that was to read the rest: nothing else keeps it.
            Some(_) => self.end_supervision(actions),
        }
    }

    /// A start: those that it needs come first, if there is an order. A logger that reads the rest waits for nobody.
    pub(in crate::machine) fn begin_start(&mut self, actions: &mut Actions) {
        if self.ordered && self.leave.is_none() {
            self.state = State::Waiting;
            actions.push(Action::AskStart);
        } else {
            self.prepare_start(actions);
        }
    }

    /// The first half of a start: `control/u`.
    pub(in crate::machine) fn prepare_start(&mut self, actions: &mut Actions) {
        self.halted = false;
        if self.setup.controls {
            self.state = State::PreStartRequested;
            actions.push(Action::RunHook(self.limits.exits()));
        } else {
            self.request_start(actions);
        }
    }

    /// What runs before a start.
    pub(in crate::machine) fn hook(&self) -> Helper {
        if self.setup.controls { Helper::ControlUp } else { Helper::RestartHook }
    }

    /// When a hook that starts now is killed. The restart command has no limit.
    pub(in crate::machine) fn hook_deadline(&self, now: Mono) -> Option<Mono> {
        self.setup.controls.then(|| now + CONTROL_TIME)
    }

    pub(in crate::machine) fn hook_started(&mut self, pid: Pid, now: Mono, actions: &mut Actions) {
        self.state = State::PreStart { pid, until: self.hook_deadline(now) };
        if self.halted || matches!(self.leave, Some(Leave::WhenDown | Leave::Stop)) {
            actions.push(Action::KillHelper);
        }
    }

    /// The second half of a start, if it is still wanted.
    pub(in crate::machine) fn hook_ended(&mut self, actions: &mut Actions) {
        match (self.leave, self.want) {
            (Some(Leave::WhenDown | Leave::Stop), _) | (Some(Leave::EndOfInput), Want::Down) => {
                self.end_supervision(actions);
            }
            (None, Want::Down) => self.rest(),
            (None, Want::Up | Want::Once) if self.halted => self.begin_start(actions),
            (None | Some(Leave::EndOfInput), Want::Up | Want::Once) => self.request_start(actions),
        }
    }

    fn request_start(&mut self, actions: &mut Actions) {
        self.state = State::StartRequested;
        actions.push(Action::Start);
    }

    pub(in crate::machine) fn started(&mut self, pid: Pid, now: Mono, actions: &mut Actions) {
        self.limits.started(now);
        self.tally.note_start();
        self.reason = None;
        self.illness = None;
        let run = Run {
            pid,
            since: now,
            paused: false,
            got_term: false,
            stop: Stop::No,
            expected_exit_until: None,
            restart_after_stop: false,
            failed: false,
            health: Health::begin(&self.health_rules, now),
        };
        self.state = State::Up(run);
        actions.push(Action::Log(Note::Started(pid)));
        let halted = std::mem::take(&mut self.halted);
        // What was requested while the start was under way.
        match (self.leave, self.want) {
            (Some(Leave::Stop), _) | (None | Some(Leave::WhenDown), Want::Down) => self.stop(run, now, actions),
            (Some(Leave::EndOfInput), _) => self.wait_for_end_of_input(run, now),
            (None, Want::Up | Want::Once) if halted => self.called(run, Call::Halt, now, actions),
            (Some(Leave::WhenDown), _) | (None, Want::Up | Want::Once) => {}
        }
    }

    pub(in crate::machine) fn start_failed(
        &mut self,
        error: StartError,
        has_finish: bool,
        now: Mono,
        actions: &mut Actions,
    ) {
        self.limits.started(now);
        self.tally.note_failed_start();
        self.halted = false;
        self.reason = Some(Reason::StartFailed(error));
        if error.passes_by_itself() {
            return self.start_failed_for_now(error, now, actions);
        }
        self.limits.count_exit_for_hook(self.setup.count_reset, now);
        let at = self.limits.next_after_failed_start(&self.policy, now);
        let counts = self.want == Want::Up && self.leave.is_none();
        // `once` is one try.
        if self.want == Want::Once {
            self.want = Want::Down;
        }
        let has_finish = has_finish && !self.in_haste;
        let end = End { exit: Err(error), counts, failed: false, pid: None, uptime: Duration::ZERO };
        let judgement = self.judge(&end, now);
        let then = self.then(judgement.next, at, has_finish, now);
        actions.push(Action::Log(Note::CannotStart(error, then)));
        self.carry_out_judgement(judgement, &end, has_finish, actions);
    }

    /// For want of something that others may give back: no limit counts it, and no `finish` runs.
    fn start_failed_for_now(&mut self, error: StartError, now: Mono, actions: &mut Actions) {
        let reads_on = self.leave == Some(Leave::EndOfInput) && self.want == Want::Up && self.may_read_on(now);
        if (self.leave.is_some() && !reads_on) || self.want == Want::Down {
            return self.settle(Next::AsWanted, now, actions);
        }
        let at = self.limits.next_after_failed_start(&self.policy, now);
        actions.push(Action::Log(Note::CannotStart(error, Then::TryAgain(at.since(now)))));
        self.state = State::Backoff { until: at };
    }
}
