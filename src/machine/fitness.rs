//! What follows from the run process's readiness and health.

use crate::conf::readiness::Unhealthy;
use crate::machine::core::{Actions, Machine};
use crate::machine::health::{HealthRules, HealthStep, Notice};
use crate::machine::words::actions::{Action, Alarm, AlarmReason};
use crate::machine::words::notes::Note;
use crate::machine::words::states::{Run, State, Stop};
use crate::sys::time::Mono;

impl Machine {
    pub(super) fn set_health_rules(&mut self, rules: HealthRules, now: Mono) {
        self.health_rules = rules;
        if let State::Up(mut run) = self.state
            && run.stop == Stop::No
        {
            run.health.apply(&rules, now);
            self.state = State::Up(run);
        }
    }

    /// The run process ends, or is about to: nobody looks at it any more.
    pub(super) fn end_health(&mut self, mut run: Run, actions: &mut Actions) -> Run {
        if run.health.end() {
            actions.push(Action::KillCheck(None));
        }
        run
    }

    /// All that is due, one after another: with the first alone, the deadline would stay where it is.
    pub(super) fn health_deadline_reached(&mut self, mut run: Run, now: Mono, actions: &mut Actions) {
        while run.stop == Stop::No && run.health.deadline().is_some_and(|deadline| deadline <= now) {
            let step = run.health.due(&self.health_rules, now);
            self.health_step(run, step, now, actions);
            let State::Up(next) = self.state else { return };
            run = next;
        }
    }

    pub(super) fn checked(&mut self, mut run: Run, passed: bool, now: Mono, actions: &mut Actions) {
        if run.paused && !passed {
            run.health.checked_in_vain(&self.health_rules, now);
            self.state = State::Up(run);
            return;
        }
        if !passed {
            self.tally.note_failed_check();
        }
        let step = run.health.checked(&self.health_rules, passed, now);
        self.health_step(run, step, now, actions);
    }

    pub(super) fn notified(&mut self, mut run: Run, notice: Notice, now: Mono, actions: &mut Actions) {
        match (run.stop, notice) {
            (Stop::No, notice) => {
                if notice == Notice::Stopping {
                    actions.push(Action::Log(Note::EndsByItself(run.pid)));
                }
                let step = run.health.notified(&self.health_rules, notice, now);
                self.health_step(run, step, now, actions);
            }
            (Stop::Signalled(Some(at)), Notice::Extend(time)) => {
                self.state = State::Up(Run { stop: Stop::Signalled(Some(at.max(now + time))), ..run });
            }
            (Stop::Held(_) | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed, _) => {}
        }
    }

    fn health_step(&mut self, run: Run, step: HealthStep, now: Mono, actions: &mut Actions) {
        self.state = State::Up(run);
        match step {
            HealthStep::Nothing => {}
            HealthStep::RunCheck => actions.push(Action::RunCheck),
            HealthStep::KillCheck => actions.push(Action::KillCheck(Some(self.health_rules.check_timeout))),
            HealthStep::Ready => {
                actions.push(Action::Log(Note::Ready(run.pid, now.since(run.since))));
                self.recovered(run, now, actions);
            }
            HealthStep::Recovered => {
                actions.push(Action::Log(Note::WellAgain(run.pid)));
                self.recovered(run, now, actions);
            }
            HealthStep::WokeLate => actions.push(Action::Log(Note::WokeLate)),
            HealthStep::Unhealthy(failures) => self.is_unhealthy(run, failures, now, actions),
            HealthStep::ReadyTimeout(limit) => {
                actions.push(Action::Log(Note::NotReadyInTime(run.pid, limit)));
                self.illness = Some(AlarmReason::NotReady(limit));
                self.begin_stop(Run { failed: true, ..run }, now, actions);
            }
            HealthStep::WatchdogTimeout(silence) => {
                actions.push(Action::Log(Note::Watchdog(run.pid, silence, self.health_rules.watchdog_signal)));
                self.illness = Some(AlarmReason::Watchdog(silence));
                let run = self.end_health(run, actions);
                self.send(self.health_rules.watchdog_signal, actions);
                self.send(libc::SIGCONT, actions);
                let stop = Stop::Signalled(self.policy.kill_timeout.map(|timeout| now + timeout));
                self.state = State::Up(Run { stop, failed: true, paused: false, ..run });
            }
        }
    }

    fn is_unhealthy(&mut self, run: Run, failures: u32, now: Mono, actions: &mut Actions) {
        let restarts = self.health_rules.unhealthy == Unhealthy::Restart;
        actions.push(Action::Log(Note::Unhealthy { pid: run.pid, failures, restarts }));
        match self.health_rules.unhealthy {
            Unhealthy::Restart => {
                self.illness = Some(AlarmReason::Unhealthy(failures));
                self.begin_stop(Run { failed: true, ..run }, now, actions);
            }
            Unhealthy::Alarm if self.alarm => {
                let (reason, uptime) = (AlarmReason::Unhealthy(failures), now.since(run.since));
                let restarts = self.limits.restarts_in_window();
                self.raise(Alarm { reason, exit: None, pid: Some(run.pid), uptime, restarts }, actions);
            }
            Unhealthy::Alarm | Unhealthy::Ignore => {}
        }
    }
}
