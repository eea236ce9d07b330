//! What happens next: a pure function of state, event and time.
//!
//! The machine keeps three things apart: what is ([`State`]), what is wanted ([`Want`], and [`Leave`] when
//! supervision itself is to end), and how the last run ended. The machine does no I/O and has no clock; whoever drives
//! it carries the [`Action`]s out and reports back with [`Event`]s. A pid stands only in states that have a
//! live, unreaped process, so no signal can be meant for one that is gone.
//!
//! ```text
//!       u o                    no hook              Started               Exited
//!  Down ───► PreStartRequested ──────► StartRequested ────► Up ─────────────────► FinishRequested
//!   ▲          ▲      │ hook            ▲     │        (stopping, paused)      ▲          │ finish
//!   │          │      ▼       HookEnded │     │ StartFailed                    │          ▼
//!   │          │   PreStart ────────────╯     ╰────────────────────────────────╯      Finishing
//!   │          │                                                                          │
//!   │          ╰──────── Backoff ◄──── the delay ──── settle ◄────────────────────────────╯
//!   ╰────────────────────────────────────────────────── │ ───► Failed (gave up), Ended (left)
//! ```
//!
//! Each state's function has an arm for what has no effect in that state, and one for what cannot come: that is logged as
//! a bug, and a process that such an event brings is killed, for no state would remember it.

use crate::machine::core::{Actions, Machine};
use crate::machine::standing::Call;
use crate::machine::words::actions::Action;
use crate::machine::words::command::{Command, Signal};
use crate::machine::words::events::{Answer, Event, Reaped, Sign, Turn};
use crate::machine::words::notes::{Helper, Note};
use crate::machine::words::states::{Control, Leave, Next, Reason, Run, State, Want};
use crate::status::rest::Rest;
use crate::sys::time::Mono;
use nix::unistd::Pid;

impl Machine {
    /// One step: what `event` makes of the state, and the actions for it.
    pub fn step(&mut self, event: Event, now: Mono) -> Actions {
        let mut actions = Actions::new();
        match event {
            Event::Policy(policy) => self.policy = *policy,
            Event::HealthRules(rules) => self.set_health_rules(*rules, now),
            Event::ResetLimits => self.limits.close_window(),
            Event::Turn(Turn::Ordered(ordered)) => self.set_ordered(ordered, now, &mut actions),
            Event::Command(Command::Alarm(on)) => self.alarm = on,
            // Whoever drives us reads the file, and comes back with `Policy`.
            Event::Command(Command::Reload) => {}
            event => self.dispatch(event, now, &mut actions),
        }
        actions
    }

    fn dispatch(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match self.state {
            State::Down => self.in_down(event, now, actions),
            State::Backoff { until } => self.in_backoff(until, event, now, actions),
            State::Waiting => self.in_waiting(event, actions),
            State::PreStartRequested => self.in_pre_start_requested(event, now, actions),
            State::PreStart { pid, until } => self.in_pre_start(pid, until, event, now, actions),
            State::StartRequested => self.in_start_requested(event, now, actions),
            State::Up(run) => self.in_up(run, event, now, actions),
            State::FinishRequested(next) => self.in_finish_requested(next, event, now, actions),
            State::Finishing { pid, until, next } => self.in_finishing(pid, until, next, event, now, actions),
            State::Failed => self.in_failed(event, now, actions),
            State::Done => self.in_done(event, now, actions),
            State::Ended => self.in_ended(event, actions),
        }
    }

    // ----- one function a state, every event written out ---------------------------------------------------

    fn in_down(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Begin(true) => {
                self.want = Want::Up;
                self.begin_start(actions);
            }
            Event::Begin(false) => {
                self.reason = Some(Reason::Rests(Rest::DownFile));
                actions.push(Action::Log(Note::DownFile));
            }
            Event::Resume(saved, live) => self.resume(*saved, live, now, actions),
            Event::Command(Command::Up) => self.start_by_command(Want::Up, now, actions),
            Event::Command(Command::Once) => self.start_by_command(Want::Once, now, actions),
            Event::Command(Command::Down) => {
                (self.want, self.put_down) = (Want::Down, true);
                self.rest();
            }
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            Event::Leave(leave) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            // No effect: nothing runs. A script may outlive the run process that it was run for.
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Answer(_) | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_backoff(&mut self, until: Mono, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::DeadlineReached if now >= until => self.begin_start(actions),
            Event::Command(Command::Up) => self.start_by_command(Want::Up, now, actions),
            Event::Command(Command::Once) => self.start_by_command(Want::Once, now, actions),
            Event::Command(Command::Down) => self.cancel_start(actions),
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            // The service's last lines are still in the pipe, so the logger starts at once to read them.
            Event::Leave(Leave::EndOfInput) => {
                self.leave = Some(Leave::EndOfInput);
                self.begin_start(actions);
            }
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            // No effect: nothing runs, or it is too early.
            Event::DeadlineReached
            | Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_) | Event::Resume(..) | Event::Answer(_) | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_waiting(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Turn(Turn::MayStart) => self.prepare_start(actions),
            Event::Turn(Turn::AskAgain) => actions.push(Action::AskStart),
            Event::Command(Command::Up) => self.want = Want::Up,
            Event::Command(Command::Once) => self.want = Want::Once,
            Event::Command(Command::Down) => {
                (self.want, self.reason) = (Want::Down, None);
                self.rest();
                actions.push(Action::Log(Note::StartCancelled));
            }
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            Event::Leave(leave) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            // No effect: nothing runs, and there is no deadline.
            Event::DeadlineReached
            | Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(Turn::Ordered(_) | Turn::MayStop | Turn::StopWithin(_) | Turn::Call(_))
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_) | Event::Resume(..) | Event::Answer(_) | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_pre_start_requested(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Answer(Answer::HookStarted(Some(pid))) => self.hook_started(pid, now, actions),
            Event::Answer(Answer::HookStarted(None)) => self.hook_ended(actions),
            // Remembered until the answer is there.
            Event::Command(Command::Up) => self.want = Want::Up,
            Event::Command(Command::Once) => self.want = Want::Once,
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_least(Leave::WhenDown),
            Event::Leave(leave) => self.leave_at_least(leave),
            Event::KillNow => self.leave_at_least(Leave::Stop),
            Event::Turn(Turn::Call(Call::Halt)) => self.halted = true,
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            // No effect: the run process is still to come.
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_)
            | Event::Resume(..)
            | Event::Answer(Answer::Started(_) | Answer::StartFailed { .. } | Answer::FinishStarted(_))
            | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_pre_start(&mut self, pid: Pid, until: Option<Mono>, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Reaped(Reaped::Hook) => self.hook_ended(actions),
            Event::DeadlineReached if until.is_some_and(|until| now >= until) => {
                actions.push(Action::Log(Note::HelperKilled(self.hook(), pid)));
                actions.push(Action::KillHelper);
                self.state = State::PreStart { pid, until: None };
            }
            // Remembered until the hook has ended.
            Event::Command(Command::Up) => self.want = Want::Up,
            Event::Command(Command::Once) => self.want = Want::Once,
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Leave(Leave::EndOfInput) => self.leave_at_least(Leave::EndOfInput),
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_and_kill_hook(Leave::WhenDown, actions),
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_and_kill_hook(leave, actions),
            Event::KillNow => self.leave_and_kill_hook(Leave::Stop, actions),
            Event::Turn(Turn::Call(Call::Halt)) => {
                self.halted = true;
                actions.push(Action::KillHelper);
            }
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            // No effect: the run process is still to come, or it is too early.
            Event::DeadlineReached
            | Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_)
            | Event::Resume(..)
            | Event::Answer(_)
            | Event::Reaped(Reaped::Run { .. } | Reaped::Finish(_)) => self.bug(event, actions),
        }
    }

    fn in_start_requested(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Answer(Answer::Started(pid)) => self.started(pid, now, actions),
            Event::Answer(Answer::StartFailed { error, has_finish }) => {
                self.start_failed(error, has_finish, now, actions);
            }
            // Remembered until the answer is there.
            Event::Command(Command::Up) => self.want = Want::Up,
            Event::Command(Command::Once) => self.want = Want::Once,
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_least(Leave::WhenDown),
            Event::Leave(leave) => self.leave_at_least(leave),
            Event::KillNow => self.leave_at_least(Leave::Stop),
            Event::Turn(Turn::Call(Call::Halt)) => self.halted = true,
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            // No effect: the run process is still to come.
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_)
            | Event::Resume(..)
            | Event::Answer(Answer::HookStarted(_) | Answer::FinishStarted(_))
            | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_up(&mut self, run: Run, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Reaped(Reaped::Run { status, has_finish }) => self.run_ended(run, status, has_finish, now, actions),
            Event::Control { control, run: pid, done } if pid == run.pid => {
                self.after_control(run, control, done, now, actions);
            }
            Event::DeadlineReached => self.run_deadline_reached(run, now, actions),
            Event::Turn(Turn::MayStop) => self.may_stop(run, now, actions),
            Event::Turn(Turn::StopWithin(time)) => self.stop_within(run, now + time),
            Event::Turn(Turn::AskAgain) => self.ask_again(run, actions),
            Event::Turn(Turn::Call(call)) => self.called(run, call, now, actions),
            Event::Sign(Sign::Notice(notice)) => self.notified(run, notice, now, actions),
            Event::Sign(Sign::Checked { run: pid, passed }) if pid == run.pid => {
                self.checked(run, passed, now, actions);
            }
            Event::Command(Command::Up) => self.request_restart(run, Want::Up),
            Event::Command(Command::Once) => self.request_restart(run, Want::Once),
            Event::Command(Command::Down) => {
                self.want = Want::Down;
                self.stop(Run { restart_after_stop: false, ..run }, now, actions);
            }
            Event::Command(Command::Signal(signal)) => self.signal(run, signal, now, actions),
            Event::Command(Command::Pause) => self.run_control_then_act(run, Control::Pause, now, actions),
            Event::Command(Command::Continue) => self.run_control_then_act(run, Control::Continue, now, actions),
            Event::Command(Command::StopAndExit) => {
                self.leave_at_least(Leave::WhenDown);
                self.stop(Run { restart_after_stop: false, ..run }, now, actions);
            }
            Event::Command(Command::Exit) | Event::Leave(Leave::WhenDown) => {
                self.leave_at_least(Leave::WhenDown);
                actions.push(Action::Log(Note::LeavesAfter(run.pid)));
            }
            Event::Leave(Leave::EndOfInput) => self.wait_for_end_of_input(run, now),
            Event::Leave(Leave::Stop) => {
                self.leave_at_least(Leave::Stop);
                self.stop(run, now, actions);
            }
            Event::KillNow => {
                self.in_haste = true;
                self.leave_at_least(Leave::Stop);
                self.kill_now(run, actions);
            }
            // No effect. A script may outlive the run process that it was run for.
            Event::Command(Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_)
            | Event::Resume(..)
            | Event::Answer(_)
            | Event::Reaped(Reaped::Hook | Reaped::Finish(_)) => self.bug(event, actions),
        }
    }

    fn in_finish_requested(&mut self, next: Next, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Answer(Answer::FinishStarted(Some(pid))) => {
                self.state = State::Finishing { pid, until: self.finish_deadline(now), next };
            }
            Event::Answer(Answer::FinishStarted(None)) => self.settle(next, now, actions),
            // Remembered until the answer is there.
            Event::Command(Command::Up) => self.state = State::FinishRequested(self.next_after_up(next, Want::Up)),
            Event::Command(Command::Once) => self.state = State::FinishRequested(self.next_after_up(next, Want::Once)),
            Event::Command(Command::Down) => self.state = State::FinishRequested(self.next_after_down(next)),
            Event::Leave(Leave::EndOfInput) => self.state = State::FinishRequested(self.next_at_end_of_input(next)),
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_least(Leave::WhenDown),
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_at_least(leave),
            Event::KillNow => self.leave_at_least(Leave::Stop),
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            // No effect: the run process is gone.
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_)
            | Event::Resume(..)
            | Event::Answer(Answer::HookStarted(_) | Answer::Started(_) | Answer::StartFailed { .. })
            | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_finishing(
        &mut self,
        pid: Pid,
        until: Option<Mono>,
        next: Next,
        event: Event,
        now: Mono,
        actions: &mut Actions,
    ) {
        let with = |next| State::Finishing { pid, until, next };
        match event {
            Event::Reaped(Reaped::Finish(status)) => self.finish_ended(status, next, now, actions),
            Event::DeadlineReached if until.is_some_and(|until| now >= until) => {
                actions.push(Action::Log(Note::HelperKilled(Helper::Finish, pid)));
                actions.push(Action::KillHelper);
                self.state = State::Finishing { pid, until: None, next };
            }
            // Remembered until `finish` has ended.
            Event::Command(Command::Up) => self.state = with(self.next_after_up(next, Want::Up)),
            Event::Command(Command::Once) => self.state = with(self.next_after_up(next, Want::Once)),
            Event::Command(Command::Down) => self.state = with(self.next_after_down(next)),
            Event::Leave(Leave::EndOfInput) => self.state = with(self.next_at_end_of_input(next)),
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_after_finish(Leave::WhenDown, actions),
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_after_finish(leave, actions),
            Event::KillNow => {
                self.leave_at_least(Leave::Stop);
                actions.push(Action::KillHelper);
            }
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            // No effect: the run process is gone, or it is too early.
            Event::DeadlineReached
            | Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_)
            | Event::Resume(..)
            | Event::Answer(_)
            | Event::Reaped(Reaped::Hook | Reaped::Run { .. }) => self.bug(event, actions),
        }
    }

    fn in_failed(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Command(Command::Up) => self.revive(Want::Up, now, actions),
            Event::Command(Command::Once) => self.revive(Want::Once, now, actions),
            Event::Command(Command::Down) => (self.want, self.put_down) = (Want::Down, true),
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            Event::Leave(leave) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            // No effect: nothing runs.
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_) | Event::Resume(..) | Event::Answer(_) | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_done(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Command(Command::Up) => self.start_by_command(Want::Up, now, actions),
            Event::Command(Command::Once) => self.start_by_command(Want::Once, now, actions),
            Event::Command(Command::Down) => {
                (self.want, self.reason) = (Want::Down, None);
                self.rest();
            }
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => nobody_to_signal(signal, actions),
            Event::Leave(leave) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            // No effect: nothing runs.
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_) | Event::Resume(..) | Event::Answer(_) | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    fn in_ended(&mut self, event: Event, actions: &mut Actions) {
        match event {
            // No effect: commands may come in the same turn in which supervision ends.
            Event::Command(
                Command::Up
                | Command::Down
                | Command::Once
                | Command::Signal(_)
                | Command::Pause
                | Command::Continue
                | Command::Exit
                | Command::StopAndExit
                | Command::Alarm(_)
                | Command::Reload,
            )
            | Event::Leave(Leave::WhenDown | Leave::EndOfInput | Leave::Stop)
            | Event::KillNow
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => {}
            // Cannot come.
            Event::Begin(_) | Event::Resume(..) | Event::Answer(_) | Event::Reaped(_) => self.bug(event, actions),
        }
    }

    /// `event` cannot come in this state. Nothing follows from it, but a process that it brings must not be forgotten.
    fn bug(&self, event: Event, actions: &mut Actions) {
        let stray = event.process();
        actions.push(Action::Log(Note::Bug(Box::new((event, self.state)))));
        actions.extend(stray.map(Action::KillStray));
    }
}

fn nobody_to_signal(signal: Signal, actions: &mut Actions) {
    actions.push(Action::Log(Note::NobodyToSignal(signal)));
}
