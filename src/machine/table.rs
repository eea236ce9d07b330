//! What happens next: a pure function of state, event and time.
//!
//! The machine keeps three things apart: what is ([`State`]), what is wanted ([`Want`], and [`Leave`] when
//! supervision itself is to end), and how the last run ended. It does no I/O and has no clock; whoever drives
//! it carries the [`Action`]s out and reports back with [`Event`]s. A pid stands only in states that have a
//! live, unreaped process, so no signal can be meant for one that is gone.
//!
//! ```text
//!         u o                              Started                    Exited
//!   Down ─────► Preparing ───► Launching ─────────────► Up ──────────────────────► Ending
//!    ▲           ▲    │ hook?   ▲  │ StartFailed    (stopping, paused)              │ finish?
//!    │           │    ▼         │  ▼                                                ▼
//!    │           │  Starting ───╯ Ending                                       Finishing
//!    │           │                                                                │
//!    │           ╰──────────── Backoff ◄──── the delay ──── settle ◄──────────────╯
//!    ╰────────────────────────────────────────────────────── │ ───► Failed (gave up), Gone (left)
//! ```

use crate::machine::command::{Command, Signal};
use crate::machine::limits::{Limits, Policy};
pub use crate::machine::states::*;
use crate::machine::transitions::{notice, warning};
use crate::sys::process::pidfd::{ExitStatus, signal_name};
use crate::sys::time::Mono;
use nix::unistd::Pid;
use smallvec::SmallVec;

/// A service's state, and the rules for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub(super) state: State,
    pub(super) want: Want,
    pub(super) leave: Option<Leave>,
    pub(super) alarm: bool,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) starts: u64,
    pub(super) last_exit: Option<ExitStatus>,
    pub(super) reason: Option<Reason>,
    pub(super) finish_follows: bool,
}

/// Seldom more than these, so that a step needs no memory but the stack's.
pub type Actions = SmallVec<[Action; 4]>;

impl Machine {
    /// Nothing runs yet; [`Event::Begin`] comes first.
    pub fn new(policy: Policy) -> Machine {
        Machine {
            state: State::Down,
            want: Want::Down,
            leave: None,
            alarm: true,
            policy,
            limits: Limits::default(),
            starts: 0,
            last_exit: None,
            reason: None,
            finish_follows: false,
        }
    }

    /// Whether there is a `finish` to be run after the end that is going to be reported: what the log says of that end
    /// depends on it, and no state does.
    pub fn expect_finish(&mut self, is_there: bool) {
        self.finish_follows = is_there;
    }

    /// Whether there is, by the last answer.
    pub fn expects_finish(&self) -> bool {
        self.finish_follows
    }

    /// One step: what `event` makes of the state, and what is to be done for it.
    pub fn step(&mut self, event: Event, now: Mono) -> Actions {
        let mut actions = Actions::new();
        match event {
            Event::Policy(policy) => self.policy = *policy,
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
            State::PreStartRequested => self.in_pre_start_requested(event, now, actions),
            State::PreStart { pid, until } => self.in_pre_start(pid, until, event, now, actions),
            State::StartRequested => self.in_start_requested(event, now, actions),
            State::Up(run) => self.in_up(run, event, now, actions),
            State::FinishRequested(next) => self.in_finish_requested(next, event, now, actions),
            State::Finishing { pid, until, next } => self.in_finishing(pid, until, next, event, now, actions),
            State::Failed => self.in_failed(event, now, actions),
            State::Ended => {}
        }
    }

    // ----- one function a state, every event written out ---------------------------------------------------

    fn in_down(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Begin(true) => {
                self.want = Want::Up;
                self.prepare(actions);
            }
            Event::Begin(false) => {
                self.reason = Some(Reason::DownFile);
                actions.push(notice("down: there is a down file".into()));
            }
            Event::Command(Command::Up) => self.ask_start(Want::Up, now, actions),
            Event::Command(Command::Once) => self.ask_start(Want::Once, now, actions),
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            Event::Leave(leave) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            Event::Resume(past, live) => self.resume(*past, live, now, actions),
            Event::HookStarted(_)
            | Event::HookEnded
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishStarted(_)
            | Event::FinishEnded(_)
            | Event::DeadlineReached
            | Event::Policy(_) => {}
        }
    }

    fn in_backoff(&mut self, until: Mono, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::DeadlineReached if now >= until => self.prepare(actions),
            Event::Command(Command::Up) => self.ask_start(Want::Up, now, actions),
            Event::Command(Command::Once) => self.ask_start(Want::Once, now, actions),
            Event::Command(Command::Down) => {
                self.want = Want::Down;
                self.reason = None;
                self.state = State::Down;
                actions.push(notice("down: the start that was waiting is cancelled".into()));
            }
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            // What its service wrote last is still in the pipe: it is to be read, now.
            Event::Leave(Leave::EndOfInput) => {
                self.leave = Some(Leave::EndOfInput);
                self.prepare(actions);
            }
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            Event::DeadlineReached
            | Event::Begin(_)
            | Event::Resume(..)
            | Event::HookStarted(_)
            | Event::HookEnded
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishStarted(_)
            | Event::FinishEnded(_)
            | Event::Policy(_) => {}
        }
    }

    fn in_pre_start_requested(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::HookStarted(Some(pid)) => self.hook_started(pid, now, actions),
            Event::HookStarted(None) => self.hook_ended(actions),
            Event::Command(Command::Up) => self.want = Want::Up,
            Event::Command(Command::Once) => self.want = Want::Once,
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_least(Leave::WhenDown),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            Event::Leave(leave) => self.leave_at_least(leave),
            Event::KillNow => self.leave_at_least(Leave::Stop),
            Event::Begin(_)
            | Event::Resume(..)
            | Event::HookEnded
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishStarted(_)
            | Event::FinishEnded(_)
            | Event::DeadlineReached
            | Event::Policy(_) => {}
        }
    }

    fn in_pre_start(&mut self, pid: Pid, until: Option<Mono>, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::HookEnded => self.hook_ended(actions),
            Event::DeadlineReached if until.is_some_and(|until| now >= until) => {
                actions.push(warning(format!("control/u (pid {pid}) is killed: it takes too long")));
                actions.push(Action::KillHelper);
                self.state = State::PreStart { pid, until: None };
            }
            Event::Command(Command::Up) => self.want = Want::Up,
            Event::Command(Command::Once) => self.want = Want::Once,
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_now(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_now(leave, actions),
            Event::Leave(Leave::EndOfInput) => self.leave_at_least(Leave::EndOfInput),
            Event::KillNow => self.leave_now(Leave::Stop, actions),
            Event::Begin(_)
            | Event::Resume(..)
            | Event::HookStarted(_)
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishStarted(_)
            | Event::FinishEnded(_)
            | Event::DeadlineReached
            | Event::Policy(_) => {}
        }
    }

    fn in_start_requested(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Started(pid) => self.started(pid, now, actions),
            Event::StartFailed(error) => self.start_failed(error, now, actions),
            Event::Command(Command::Up) => self.want = Want::Up,
            Event::Command(Command::Once) => self.want = Want::Once,
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_least(Leave::WhenDown),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            Event::Leave(leave) => self.leave_at_least(leave),
            Event::KillNow => self.leave_at_least(Leave::Stop),
            Event::Begin(_)
            | Event::Resume(..)
            | Event::HookStarted(_)
            | Event::HookEnded
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishStarted(_)
            | Event::FinishEnded(_)
            | Event::DeadlineReached
            | Event::Policy(_) => {}
        }
    }

    fn in_up(&mut self, run: Run, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Exited(status) => self.exited(run, status, now, actions),
            Event::Control { control, run: pid, done } if pid == run.pid => {
                self.after_control(run, control, done, now, actions);
            }
            Event::DeadlineReached => self.stop_is_due(run, now, actions),
            Event::Command(Command::Up) => self.request_restart(run, Want::Up),
            Event::Command(Command::Once) => self.request_restart(run, Want::Once),
            Event::Command(Command::Down) => {
                self.want = Want::Down;
                self.stop(Run { again: false, ..run }, now, actions);
            }
            Event::Command(Command::Signal(signal)) => self.signal(run, signal, now, actions),
            Event::Command(Command::Pause) => self.before(run, Control::Pause, now, actions),
            Event::Command(Command::Continue) => self.before(run, Control::Continue, now, actions),
            Event::Command(Command::StopAndExit) => {
                self.leave_at_least(Leave::WhenDown);
                self.stop(Run { again: false, ..run }, now, actions);
            }
            Event::Command(Command::Exit) | Event::Leave(Leave::WhenDown) => {
                self.leave_at_least(Leave::WhenDown);
                actions.push(notice(format!("told to exit: leaving when pid {} has ended", run.pid)));
            }
            Event::Leave(Leave::EndOfInput) => self.wait_for_end_of_input(run, now),
            Event::Leave(Leave::Stop) => {
                self.leave_at_least(Leave::Stop);
                self.stop(run, now, actions);
            }
            Event::KillNow => {
                self.leave_at_least(Leave::Stop);
                self.kill_now(run, actions);
            }
            Event::Command(Command::Alarm(_) | Command::Reload)
            | Event::Control { .. }
            | Event::Begin(_)
            | Event::Resume(..)
            | Event::HookStarted(_)
            | Event::HookEnded
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::FinishStarted(_)
            | Event::FinishEnded(_)
            | Event::Policy(_) => {}
        }
    }

    fn in_finish_requested(&mut self, next: Next, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::FinishStarted(Some(pid)) => {
                let until = self.policy.finish_timeout.map(|timeout| now + timeout);
                self.state = State::Finishing { pid, until, next };
            }
            Event::FinishStarted(None) => self.settle(next, now, actions),
            Event::Command(Command::Up) => self.state = State::FinishRequested(self.next_after_up(next, Want::Up)),
            Event::Command(Command::Once) => self.state = State::FinishRequested(self.next_after_up(next, Want::Once)),
            Event::Command(Command::Down) => self.state = State::FinishRequested(self.next_after_down(next)),
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_least(Leave::WhenDown),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            Event::Leave(Leave::EndOfInput) => self.state = State::FinishRequested(self.next_at_end_of_input(next)),
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_at_least(leave),
            Event::KillNow => self.leave_at_least(Leave::Stop),
            Event::Begin(_)
            | Event::Resume(..)
            | Event::HookStarted(_)
            | Event::HookEnded
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishEnded(_)
            | Event::DeadlineReached
            | Event::Policy(_) => {}
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
            Event::FinishEnded(status) => self.finished(status, next, now, actions),
            Event::DeadlineReached if until.is_some_and(|until| now >= until) => {
                actions.push(warning(format!("finish (pid {pid}) is killed: finish_timeout is over")));
                actions.push(Action::KillHelper);
                self.state = State::Finishing { pid, until: None, next };
            }
            Event::Command(Command::Up) => self.state = with(self.next_after_up(next, Want::Up)),
            Event::Command(Command::Once) => self.state = with(self.next_after_up(next, Want::Once)),
            Event::Command(Command::Down) => self.state = with(self.next_after_down(next)),
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_least(Leave::WhenDown),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            Event::Leave(Leave::EndOfInput) => self.state = with(self.next_at_end_of_input(next)),
            Event::Leave(leave @ (Leave::WhenDown | Leave::Stop)) => self.leave_at_least(leave),
            Event::KillNow => {
                self.leave_at_least(Leave::Stop);
                actions.push(Action::KillHelper);
            }
            Event::DeadlineReached
            | Event::Begin(_)
            | Event::Resume(..)
            | Event::HookStarted(_)
            | Event::HookEnded
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishStarted(_)
            | Event::Policy(_) => {}
        }
    }

    fn in_failed(&mut self, event: Event, now: Mono, actions: &mut Actions) {
        match event {
            Event::Command(Command::Up) => self.revive(Want::Up, now, actions),
            Event::Command(Command::Once) => self.revive(Want::Once, now, actions),
            Event::Command(Command::Down) => self.want = Want::Down,
            Event::Command(Command::Exit | Command::StopAndExit) => self.leave_at_once(Leave::WhenDown, actions),
            Event::Command(Command::Signal(signal)) => ignored(signal, actions),
            Event::Command(Command::Pause | Command::Continue | Command::Alarm(_) | Command::Reload) => {}
            Event::Leave(leave) => self.leave_at_once(leave, actions),
            Event::KillNow => self.leave_at_once(Leave::Stop, actions),
            Event::Begin(_)
            | Event::Resume(..)
            | Event::HookStarted(_)
            | Event::HookEnded
            | Event::Started(_)
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Control { .. }
            | Event::FinishStarted(_)
            | Event::FinishEnded(_)
            | Event::DeadlineReached
            | Event::Policy(_) => {}
        }
    }
}

fn ignored(signal: Signal, actions: &mut Actions) {
    actions.push(notice(format!("{} not sent: nothing runs", signal_name(signal.number()))));
}
