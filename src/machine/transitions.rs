//! What the states' tables lead to: starting, stopping, and what follows an end.
//!
//! [`Machine::judge`] decides whether a service is started again.

use crate::conf::settings::KillMode;
use crate::machine::command::Signal;
use crate::machine::limits::Verdict;
use crate::machine::states::*;
use crate::machine::table::{Actions, Machine};
use crate::sys::process::pidfd::{ExitStatus, signal_name};
use crate::sys::process::record::Role;
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use nix::unistd::Pid;
use std::time::Duration;

/// A process that ends this long after somebody sent it `k`, `t`, `i` or `q` did not end because of that.
const EXPECTED_EXIT_WINDOW: Duration = Duration::from_secs(60);

/// How long a logger may take to read what is left, where no `kill_timeout` says it.
const END_OF_INPUT_WAIT: Duration = Duration::from_secs(10);

/// `finish` exits with this to say that there is to be no restart (s6's convention).
const DO_NOT_RESTART: ExitStatus = ExitStatus::Code(125);

impl Machine {
    // ----- adopting -----------------------------------------------------------------------------------------

    /// Goes on where another supervisor was killed.
    pub(super) fn resume(&mut self, past: SavedState, live: Option<(Role, Pid)>, now: Mono, actions: &mut Actions) {
        self.want = past.want;
        self.alarm = past.alarm;
        self.starts = past.starts;
        self.limits = past.limits;
        if past.leaving && live.is_some() {
            self.leave_at_least(Leave::WhenDown);
        }
        match live {
            Some((Role::Run, pid)) => {
                let known = past.run.filter(|run| run.since <= now);
                let SavedRun { since, stop, expected_exit_until, again } =
                    known.unwrap_or(SavedRun { since: now, stop: Stop::No, expected_exit_until: None, again: false });
                // What was written down may be wrong, but then it is not for long.
                let expected_exit_until = expected_exit_until.map(|until| until.min(now + EXPECTED_EXIT_WINDOW));
                let got_term = stop != Stop::No;
                let run = Run { pid, since, paused: past.paused, got_term, stop, expected_exit_until, again };
                self.state = State::Up(run);
                actions.push(notice(format!("adopted: pid {pid} runs on from an earlier supervisor")));
                if (self.want == Want::Down || again) && stop == Stop::No {
                    self.stop(run, now, actions);
                }
            }
            Some((Role::Finish, pid)) => {
                let until = self.policy.finish_timeout.map(|timeout| now + timeout);
                let next = match (past.failed, past.to_start) {
                    (true, _) => Next::GiveUp,
                    (false, true) => Next::Start,
                    (false, false) => Next::AsWanted,
                };
                if past.failed {
                    self.reason = Some(Reason::GaveUpEarlier);
                }
                self.state = State::Finishing { pid, until, next };
                actions.push(notice(format!("adopted: finish, pid {pid}, runs on from an earlier supervisor")));
            }
            Some((Role::Hook, pid)) => {
                self.state = State::PreStart { pid, until: self.policy.controls.then(|| now + CONTROL_TIME) };
                let what = if self.policy.controls { "control/u" } else { "the restart command" };
                actions.push(notice(format!("adopted: {what}, pid {pid}, of an earlier supervisor")));
            }
            None => self.resume_idle(past, now, actions),
        }
    }

    /// Nothing runs any more: what was wanted is done, but for what was to run once and has run.
    fn resume_idle(&mut self, past: SavedState, now: Mono, actions: &mut Actions) {
        actions.push(notice("going on where an earlier supervisor was killed; nothing runs".into()));
        match self.want {
            _ if past.failed => {
                self.state = State::Failed;
                self.reason = Some(Reason::GaveUpEarlier);
            }
            Want::Once if past.to_start => self.ask_start(Want::Once, now, actions),
            Want::Down | Want::Once => self.state = State::Down,
            Want::Up => {
                let at = self.limits.next_after_gap(&self.policy, now);
                self.start_at(at, now, actions);
            }
        }
    }

    // ----- starting -----------------------------------------------------------------------------------------

    /// Somebody asks for a start while nothing runs: as soon as the plain delay allows.
    pub(super) fn ask_start(&mut self, want: Want, now: Mono, actions: &mut Actions) {
        self.want = want;
        self.reason = None;
        let at = self.limits.next_after_up(&self.policy, now);
        self.start_at(at, now, actions);
    }

    pub(super) fn revive(&mut self, want: Want, now: Mono, actions: &mut Actions) {
        self.limits.clear();
        self.ask_start(want, now, actions);
    }

    pub(super) fn start_at(&mut self, at: Mono, now: Mono, actions: &mut Actions) {
        match at > now {
            true => self.state = State::Backoff { until: at },
            false => self.prepare(actions),
        }
    }

    /// The first half of a start: the hook, which runs before restarts only, or `control/u`.
    pub(super) fn prepare(&mut self, actions: &mut Actions) {
        if self.policy.controls || (self.policy.restart_hook && self.starts > 0) {
            self.state = State::PreStartRequested;
            actions.push(Action::RunHook(self.limits.exits()));
            return;
        }
        self.launch(actions);
    }

    pub(super) fn hook_started(&mut self, pid: Pid, now: Mono, actions: &mut Actions) {
        self.state = State::PreStart { pid, until: self.policy.controls.then(|| now + CONTROL_TIME) };
        if matches!(self.leave, Some(Leave::WhenDown | Leave::Stop)) {
            actions.push(Action::KillHelper);
        }
    }

    /// The second half of a start, if it is still wanted.
    pub(super) fn hook_ended(&mut self, actions: &mut Actions) {
        match (self.leave, self.want) {
            (Some(Leave::WhenDown | Leave::Stop), _) | (Some(Leave::EndOfInput), Want::Down) => self.gone(actions),
            (None, Want::Down) => self.state = State::Down,
            (None | Some(Leave::EndOfInput), Want::Up | Want::Once) => self.launch(actions),
        }
    }

    pub(super) fn launch(&mut self, actions: &mut Actions) {
        self.state = State::StartRequested;
        actions.push(Action::Start);
    }

    pub(super) fn started(&mut self, pid: Pid, now: Mono, actions: &mut Actions) {
        self.limits.started(now);
        self.starts = self.starts.saturating_add(1);
        self.reason = None;
        let run = Run {
            pid,
            since: now,
            paused: false,
            got_term: false,
            stop: Stop::No,
            expected_exit_until: None,
            again: false,
        };
        self.state = State::Up(run);
        actions.push(notice(format!("started, pid {pid}")));
        // What was asked for while the start was under way.
        match (self.leave, self.want) {
            (Some(Leave::Stop), _) | (None | Some(Leave::WhenDown), Want::Down) => self.stop(run, now, actions),
            (Some(Leave::EndOfInput), _) => self.wait_for_end_of_input(run, now),
            (Some(Leave::WhenDown), _) | (None, Want::Up | Want::Once) => {}
        }
    }

    pub(super) fn start_failed(&mut self, error: StartError, now: Mono, actions: &mut Actions) {
        self.limits.started(now);
        self.reason = Some(Reason::StartFailed(error));
        if error.passes_by_itself() {
            if self.leave.is_some() || self.want == Want::Down {
                return self.settle(Next::AsWanted, now, actions);
            }
            let at = self.limits.next_after_failed_start(&self.policy, now);
            actions.push(warning(format!("cannot start: {error}; trying again in {}", seconds(at.since(now)))));
            self.state = State::Backoff { until: at };
            return;
        }
        self.limits.count_exit_for_hook(&self.policy, now);
        let at = self.limits.next_after_failed_start(&self.policy, now);
        let counts = self.want == Want::Up && self.leave.is_none();
        if self.want == Want::Once {
            self.want = Want::Down;
        }
        let next = self.judge(Err(error), counts, None, Duration::ZERO, now, actions);
        let then = self.announce(next, at, now);
        actions.push(warning(format!("cannot start: {error}; {then}")));
        self.end(next, None, actions);
    }

    // ----- stopping -----------------------------------------------------------------------------------------

    /// `control/t`, which may do it in its own way, and then the stop signal.
    pub(super) fn stop(&mut self, run: Run, now: Mono, actions: &mut Actions) {
        if !self.policy.controls {
            return self.send_stop(run, false, now, actions);
        }
        let stop = match run.stop {
            Stop::No | Stop::EndOfInput(_) => Stop::Asked,
            Stop::Asked | Stop::Signalled(_) | Stop::Killed => run.stop,
        };
        self.state = State::Up(Run { stop, ..run });
        if run.stop != Stop::Asked {
            actions.push(Action::RunControl(Control::Stop));
        }
    }

    /// The stop signal unless that is `done`, CONT so that a stopped process sees it, and KILL later.
    fn send_stop(&mut self, run: Run, done: bool, now: Mono, actions: &mut Actions) {
        let kill_at = self.policy.kill_timeout.map(|timeout| now + timeout);
        let stop = match run.stop {
            Stop::No | Stop::EndOfInput(_) | Stop::Asked => {
                let kill =
                    self.policy.kill_timeout.map_or("never".into(), |timeout| format!("in {}", seconds(timeout)));
                let signal = signal_name(self.policy.stop_signal);
                let sent = if done { "left to control/t" } else { "sent" };
                actions.push(notice(format!("stopping pid {}: {signal} {sent}, KILL {kill}", run.pid)));
                Stop::Signalled(kill_at)
            }
            // The signals are sent again, but a time until KILL that has begun does not begin anew.
            Stop::Signalled(at) => Stop::Signalled(at.or(kill_at)),
            Stop::Killed => Stop::Killed,
        };
        if !done {
            self.send(self.policy.stop_signal, actions);
        }
        self.send(libc::SIGCONT, actions);
        self.state = State::Up(Run { stop, paused: false, got_term: run.got_term || !done, ..run });
        if self.policy.controls {
            actions.push(Action::RunControl(Control::Stopped { leaving: self.leave.is_some() }));
        }
    }

    /// A logger is not signalled: it ends by itself once it has read what is left.
    pub(super) fn wait_for_end_of_input(&mut self, run: Run, now: Mono) {
        self.leave_at_least(Leave::EndOfInput);
        if run.stop == Stop::No {
            let wait = self.policy.kill_timeout.unwrap_or(END_OF_INPUT_WAIT);
            self.state = State::Up(Run { stop: Stop::EndOfInput(now + wait), ..run });
        }
    }

    pub(super) fn kill(&mut self, run: Run, actions: &mut Actions) {
        actions.push(Action::Signal { number: libc::SIGKILL, group: self.policy.kill_mode != KillMode::Process });
        self.state = State::Up(Run { stop: Stop::Killed, ..run });
    }

    /// As [`Machine::kill`], and no script is waited for.
    pub(super) fn kill_now(&mut self, run: Run, actions: &mut Actions) {
        if self.policy.controls {
            actions.push(Action::KillControls);
        }
        self.kill(run, actions);
    }

    pub(super) fn stop_is_due(&mut self, run: Run, now: Mono, actions: &mut Actions) {
        match run.stop {
            Stop::EndOfInput(at) if now >= at => {
                actions.push(warning(format!("pid {} goes on after the end of its input", run.pid)));
                self.stop(run, now, actions);
            }
            Stop::Signalled(Some(at)) if now >= at => {
                actions.push(warning(format!("pid {} is still there after kill_timeout: KILL sent", run.pid)));
                self.kill(run, actions);
            }
            Stop::No | Stop::EndOfInput(_) | Stop::Asked | Stop::Signalled(_) | Stop::Killed => {}
        }
    }

    pub(super) fn signal(&mut self, run: Run, signal: Signal, now: Mono, actions: &mut Actions) {
        // Its script may bring the end about.
        let expected_exit_until =
            if signal.asks_for_exit() { Some(now + EXPECTED_EXIT_WINDOW) } else { run.expected_exit_until };
        self.before(Run { expected_exit_until, ..run }, Control::Signal(signal), now, actions);
    }

    /// What a command does to the run process: its script comes first, if it may have one.
    pub(super) fn before(&mut self, run: Run, control: Control, now: Mono, actions: &mut Actions) {
        self.state = State::Up(run);
        match self.policy.controls {
            true => actions.push(Action::RunControl(control)),
            false => self.after_control(run, control, false, now, actions),
        }
    }

    /// The script is through, or there is none: what is left to be done, unless it has `done` it.
    pub(super) fn after_control(&mut self, run: Run, control: Control, done: bool, now: Mono, actions: &mut Actions) {
        match control {
            // Somebody has asked for it, unless this comes from nowhere.
            Control::Stop if matches!(run.stop, Stop::Asked | Stop::Signalled(_) | Stop::Killed) => {
                self.send_stop(run, done, now, actions);
            }
            Control::Stop | Control::Stopped { .. } => {}
            Control::Signal(signal) => {
                let name = signal_name(signal.number());
                if done {
                    let text = format!("{name} not sent to pid {}: control/{} exited 0", run.pid, signal.letter());
                    return actions.push(notice(text));
                }
                self.send(signal.number(), actions);
                actions.push(notice(format!("{name} sent to pid {}", run.pid)));
                self.state = State::Up(Run { got_term: run.got_term || signal == Signal::Term, ..run });
            }
            Control::Pause | Control::Continue => {
                let paused = control == Control::Pause;
                if !done {
                    self.send(if paused { libc::SIGSTOP } else { libc::SIGCONT }, actions);
                }
                self.state = State::Up(Run { paused, ..run });
            }
        }
    }

    pub(super) fn send(&self, number: i32, actions: &mut Actions) {
        actions.push(Action::Signal { number, group: self.policy.kill_mode == KillMode::Group });
    }

    /// `u` or `o` while it runs; after a stop has begun, it means a start once that is through.
    pub(super) fn request_restart(&mut self, run: Run, want: Want) {
        self.want = want;
        self.state = State::Up(Run { again: run.stop != Stop::No, ..run });
    }

    // ----- after the end --------------------------------------------------------------------------------------

    pub(super) fn exited(&mut self, run: Run, status: ExitStatus, now: Mono, actions: &mut Actions) {
        self.last_exit = Some(status);
        self.limits.count_exit_for_hook(&self.policy, now);
        let asked = run.expected_exit_until.is_some_and(|until| now <= until)
            || run.stop != Stop::No
            || self.want != Want::Up
            || self.leave.is_some();
        let uptime = now.since(run.since);
        let at = self.limits.next_after_exit(&self.policy, asked, now);
        let next = match run.again && self.leave.is_none() {
            true => Next::Start,
            false => self.judge(Ok(status), !asked, Some(run.pid), uptime, now, actions),
        };
        let text =
            format!("pid {} ended after {}: {status}; {}", run.pid, seconds(uptime), self.announce(next, at, now));
        // With exit code 0 before a `finish`, it may well be a job that is done: only `finish` knows.
        let is_fine = asked || (self.finish_follows && status == ExitStatus::Code(0));
        actions.push(if is_fine { notice(text) } else { warning(text) });
        self.end(next, Some(status), actions);
    }

    /// Whether a run process that ended (or could not be started) is started again, and whether its end is worth an alarm.
    ///
    /// `counts`: nobody has asked for the end, so the limits count it. What comes of it: [`Next::AsWanted`], started again if
    /// it is still wanted up when `finish` is through ([`Machine::settle`] does it); [`Next::StayDown`], not by the `restart`
    /// setting; [`Next::GiveUp`], not because a limit was reached.
    pub(super) fn judge(
        &mut self,
        exit: Result<ExitStatus, StartError>,
        counts: bool,
        pid: Option<Pid>,
        uptime: Duration,
        now: Mono,
        actions: &mut Actions,
    ) -> Next {
        if self.want != Want::Up || self.leave.is_some() {
            return Next::AsWanted;
        }
        let starts_again = self.policy.restarts_after(exit.ok());
        let failure = counts && (starts_again || exit != Ok(ExitStatus::Code(0)));
        let core = exit.is_ok_and(ExitStatus::core);
        let verdict = match failure {
            true => self.limits.count(&self.policy, core, now),
            false => Verdict::Within { alarm: false },
        };
        let gave_up = match verdict {
            Verdict::Within { .. } => None,
            Verdict::TooManyRestarts(count) => Some(Reason::GaveUpRestarts(count)),
            Verdict::TooManyCores(count) => Some(Reason::GaveUpCores(count)),
        };
        let reason = gave_up.map_or(AlarmReason::Exited, AlarmReason::GaveUp);
        if self.alarm && verdict != (Verdict::Within { alarm: false }) {
            let none_follows = gave_up.is_some() || !starts_again;
            let restarts = self.limits.restarts_in_window().saturating_sub(u32::from(none_follows));
            actions.push(Action::Alarm(Alarm { reason, exit, pid, uptime, restarts }));
        }
        if let Some(reason) = gave_up {
            self.want = Want::Down;
            self.reason = Some(reason);
            let then = if self.policy.ends_when_failed { "supervision ends" } else { "`u` starts it again" };
            actions.push(Action::Log(log::Level::Error, format!("{reason}: no restart; {then}")));
            return Next::GiveUp;
        }
        if !starts_again {
            self.want = Want::Down;
            self.reason = Some(Reason::Policy);
            return Next::StayDown;
        }
        Next::AsWanted
    }

    /// The words for what comes next.
    pub(super) fn announce(&self, next: Next, at: Mono, now: Mono) -> String {
        match (self.leave, next, self.want) {
            (Some(_), ..) => "leaving".into(),
            (None, Next::GiveUp, _) => "giving up".into(),
            (None, Next::StayDown, _) => "no restart: the restart setting says so".into(),
            (None, Next::AsWanted, Want::Down | Want::Once) => "down".into(),
            // `finish` may have other ideas about a restart that nobody has asked for.
            (None, Next::AsWanted, Want::Up) if self.finish_follows => {
                format!("running finish; restarting in {} unless it exits 125", seconds(at.since(now)))
            }
            (None, Next::Start, _) | (None, Next::AsWanted, Want::Up) => {
                format!("restarting in {}", seconds(at.since(now)))
            }
        }
    }

    pub(super) fn end(&mut self, next: Next, status: Option<ExitStatus>, actions: &mut Actions) {
        self.state = State::FinishRequested(next);
        actions.push(Action::RunFinish(status));
    }

    pub(super) fn finished(&mut self, status: ExitStatus, next: Next, now: Mono, actions: &mut Actions) {
        if status == DO_NOT_RESTART && next == Next::AsWanted && self.leave.is_none() {
            self.want = Want::Down;
            self.reason = Some(Reason::Finish);
            actions.push(notice("finish exited 125: no restart".into()));
        }
        self.settle(next, now, actions);
    }

    /// The run process and its `finish` are through: what is wanted now?
    pub(super) fn settle(&mut self, next: Next, now: Mono, actions: &mut Actions) {
        match (self.leave, next, self.want) {
            // A logger that ended before its input did: what its service wrote last is still in the pipe.
            (Some(Leave::EndOfInput), Next::Start, Want::Up | Want::Once) => return self.prepare(actions),
            (Some(_), ..) => return self.gone(actions),
            (None, ..) => {}
        }
        match (next, self.want) {
            (Next::GiveUp, _) => self.state = State::Failed,
            (Next::StayDown, _) | (Next::AsWanted, Want::Down | Want::Once) => self.state = State::Down,
            (Next::Start, Want::Down) => self.state = State::Down,
            (Next::Start, want @ (Want::Up | Want::Once)) => self.ask_start(want, now, actions),
            (Next::AsWanted, Want::Up) => self.start_at(self.limits.next(now), now, actions),
        }
    }

    /// `u` or `o` after the end: it overrules limits, policy and `finish`.
    pub(super) fn next_after_up(&mut self, next: Next, want: Want) -> Next {
        if self.leave.is_some() {
            self.want = want;
            return next;
        }
        if next == Next::GiveUp {
            self.limits.clear();
        }
        self.want = want;
        self.reason = None;
        Next::Start
    }

    pub(super) fn next_after_down(&mut self, next: Next) -> Next {
        self.want = Want::Down;
        if next == Next::GiveUp { next } else { Next::AsWanted }
    }

    /// The logger's service is gone, and the logger between two runs: a start that is to come comes without delay.
    pub(super) fn next_at_end_of_input(&mut self, next: Next) -> Next {
        let first = self.leave.is_none();
        self.leave_at_least(Leave::EndOfInput);
        if first && next == Next::AsWanted && self.want == Want::Up { Next::Start } else { next }
    }

    // ----- leaving --------------------------------------------------------------------------------------------

    /// A stronger reason to leave replaces a weaker one.
    pub(super) fn leave_at_least(&mut self, leave: Leave) {
        self.leave = self.leave.max(Some(leave));
    }

    /// While the hook or `control/u` runs: it is not waited for.
    pub(super) fn leave_now(&mut self, leave: Leave, actions: &mut Actions) {
        self.leave_at_least(leave);
        actions.push(Action::KillHelper);
    }

    /// While nothing runs.
    pub(super) fn leave_at_once(&mut self, leave: Leave, actions: &mut Actions) {
        self.leave_at_least(leave);
        self.gone(actions);
    }

    pub(super) fn gone(&mut self, actions: &mut Actions) {
        self.state = State::Ended;
        actions.push(notice("leaving: nothing runs any more".into()));
    }
}

pub(super) fn notice(text: String) -> Action {
    Action::Log(log::Level::Info, text)
}

pub(super) fn warning(text: String) -> Action {
    Action::Log(log::Level::Warn, text)
}

/// Seconds with one decimal, as the log shows them.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
