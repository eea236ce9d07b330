//! Stopping, and the signals that commands send.

use crate::conf::policy::KillMode;
use crate::machine::core::{Actions, Machine};
use crate::machine::words::actions::Action;
use crate::machine::words::command::Signal;
use crate::machine::words::notes::Note;
use crate::machine::words::states::{Control, Run, State, Stop, Want};
use crate::sys::time::Mono;
use std::time::Duration;

/// An exit within this time after `k`, `t`, `i` or `q` counts as requested; a later one counts as a failure.
pub const EXPECTED_EXIT_WINDOW: Duration = Duration::from_secs(60);

impl Machine {
    /// A stop: those that need the process stop before it, if there is an order.
    pub(in crate::machine) fn stop(&mut self, run: Run, now: Mono, actions: &mut Actions) {
        match run.stop {
            Stop::No if self.ordered => {
                let run = self.end_health(run, actions);
                self.state = State::Up(Run { stop: Stop::Held(None), ..run });
                actions.push(Action::AskStop);
            }
            Stop::Held(_) => self.state = State::Up(run),
            Stop::No | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => {
                self.begin_stop(run, now, actions);
            }
        }
    }

    /// `control/t`, which may stop the process in its own way, and then the stop signal.
    pub(in crate::machine) fn begin_stop(&mut self, run: Run, now: Mono, actions: &mut Actions) {
        let run = self.end_health(run, actions);
        if !self.setup.controls {
            return self.send_stop(run, false, now, actions);
        }
        let stop = match run.stop {
            Stop::No | Stop::Held(_) | Stop::EndOfInput(_) => Stop::Requested,
            Stop::Requested | Stop::Signalled(_) | Stop::Killed => run.stop,
        };
        self.state = State::Up(Run { stop, ..run });
        if run.stop != Stop::Requested {
            actions.push(Action::RunControl(Control::Stop));
        }
    }

    /// The stop signal unless its work is `done`, CONT so that a stopped process sees it, and KILL later.
    fn send_stop(&mut self, run: Run, done: bool, now: Mono, actions: &mut Actions) {
        let kill_at = self.policy.kill_timeout.map(|timeout| now + timeout);
        let stop = match run.stop {
            Stop::No | Stop::Held(_) | Stop::EndOfInput(_) | Stop::Requested => {
                actions.push(Action::Log(Note::Stopping {
                    pid: run.pid,
                    signal: self.policy.stop_signal,
                    left_to_script: done,
                    kill_after: self.policy.kill_timeout,
                }));
                Stop::Signalled(kill_at)
            }
            // The signals are sent again, but the KILL deadline of the first stop stands.
            Stop::Signalled(at) => Stop::Signalled(at.or(kill_at)),
            Stop::Killed => Stop::Killed,
        };
        if !done {
            self.send(self.policy.stop_signal, actions);
        }
        self.send(libc::SIGCONT, actions);
        self.state = State::Up(Run { stop, paused: false, got_term: run.got_term || !done, ..run });
        if self.setup.controls {
            actions.push(Action::RunControl(Control::Stopped { leaving: self.leave.is_some() }));
        }
    }

    fn kill(&mut self, run: Run, actions: &mut Actions) {
        actions.push(Action::Signal { number: libc::SIGKILL, group: self.policy.kill_mode != KillMode::Process });
        self.state = State::Up(Run { stop: Stop::Killed, ..run });
    }

    /// KILL without waiting for any script.
    pub(in crate::machine) fn kill_now(&mut self, run: Run, actions: &mut Actions) {
        if self.setup.controls {
            actions.push(Action::KillControls);
        }
        self.kill(run, actions);
    }

    pub(in crate::machine) fn run_deadline_reached(&mut self, run: Run, now: Mono, actions: &mut Actions) {
        match run.stop {
            Stop::EndOfInput(at) if now >= at => {
                actions.push(Action::Log(Note::IgnoresEndOfInput(run.pid)));
                self.stop(run, now, actions);
            }
            Stop::Signalled(Some(at)) if now >= at => {
                actions.push(Action::Log(Note::KillTimeout(run.pid)));
                self.kill(run, actions);
            }
            // It does nothing at all, for somebody has said so.
            Stop::No if run.paused => {}
            Stop::No => {
                if self.recovers_at(run).is_some_and(|at| at <= now) {
                    self.recovered(run, now, actions);
                }
                self.health_deadline_reached(run, now, actions);
            }
            Stop::Held(Some(at)) if now >= at => {
                actions.push(Action::Log(Note::OthersTakeTooLong(run.pid)));
                self.begin_stop(run, now, actions);
            }
            Stop::Held(_) | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => {}
        }
    }

    pub(in crate::machine) fn signal(&mut self, run: Run, signal: Signal, now: Mono, actions: &mut Actions) {
        // From now on, for the signal's script may bring the end about.
        let expected_exit_until =
            if signal.asks_for_exit() { Some(now + EXPECTED_EXIT_WINDOW) } else { run.expected_exit_until };
        self.run_control_then_act(Run { expected_exit_until, ..run }, Control::Signal(signal), now, actions);
    }

    /// A command for the run process: its script runs first, if there may be one.
    pub(in crate::machine) fn run_control_then_act(
        &mut self,
        run: Run,
        control: Control,
        now: Mono,
        actions: &mut Actions,
    ) {
        self.state = State::Up(run);
        if self.setup.controls {
            actions.push(Action::RunControl(control));
        } else {
            self.after_control(run, control, false, now, actions);
        }
    }

    /// The script has ended, or there is none: the command's own work follows, unless the script has `done` it.
    pub(in crate::machine) fn after_control(
        &mut self,
        run: Run,
        control: Control,
        done: bool,
        now: Mono,
        actions: &mut Actions,
    ) {
        match control {
            Control::Stop => match run.stop {
                Stop::Requested | Stop::Signalled(_) | Stop::Killed => self.send_stop(run, done, now, actions),
                // No stop is in progress: the result is stale.
                Stop::No | Stop::Held(_) | Stop::EndOfInput(_) => {}
            },
            Control::Stopped { .. } => {}
            Control::Signal(signal) if done => actions.push(Action::Log(Note::LeftToScript(signal, run.pid))),
            Control::Signal(signal) => {
                self.send(signal.number(), actions);
                actions.push(Action::Log(Note::Signalled(signal, run.pid)));
                self.state = State::Up(Run { got_term: run.got_term || signal == Signal::Term, ..run });
            }
            Control::Pause | Control::Continue => {
                let paused = control == Control::Pause;
                if !done {
                    self.send(if paused { libc::SIGSTOP } else { libc::SIGCONT }, actions);
                }
                let mut run = run;
                if run.paused && !paused {
                    run.health.go_on(&self.health_rules, now);
                }
                self.state = State::Up(Run { paused, ..run });
            }
        }
    }

    pub(in crate::machine) fn send(&self, number: i32, actions: &mut Actions) {
        actions.push(Action::Signal { number, group: self.policy.kill_mode == KillMode::Group });
    }

    /// `u` or `o` while the run process lives. After a stop has begun, `u` means a start once the stop is complete; `o` means
    /// none, for `o` starts what is down, and restarts nothing.
    pub(in crate::machine) fn request_restart(&mut self, run: Run, want: Want) {
        self.want = want;
        self.state = State::Up(Run { restart_after_stop: run.stop != Stop::No && want == Want::Up, ..run });
    }
}
