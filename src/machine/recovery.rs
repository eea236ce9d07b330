//! What is told of an alarm later: why a run process was made to end, and that the module has recovered.

use crate::machine::core::{Actions, Machine};
use crate::machine::health::Fitness;
use crate::machine::words::actions::{Action, Alarm, AlarmReason};
use crate::machine::words::states::{Run, Stop};
use crate::sys::time::Mono;
use std::time::Duration;

/// Without an alarm window, a process that cannot say that it is ready has recovered when it has lived for so long.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

impl Machine {
    /// Raises an alarm, and remembers that for the time when all is well again.
    pub(in crate::machine) fn raise(&mut self, alarm: Alarm, actions: &mut Actions) {
        self.alarmed = self.policy.alarm_recovery;
        actions.push(Action::Alarm(Box::new(alarm)));
    }

    /// When a run process that cannot say that it is ready has recovered, if nothing happens before.
    pub(in crate::machine) fn recovers_at(&self, run: Run) -> Option<Mono> {
        let may = self.alarmed
            && self.policy.alarm_recovery
            && run.stop == Stop::No
            && !self.becomes_ready()
            && run.health.fitness() != Fitness::Unhealthy;
        may.then(|| run.since + self.policy.interval.unwrap_or(RECOVERED_AFTER))
    }

    /// The module is well again: whoever was told of the alarm is told of that.
    pub(in crate::machine) fn recovered(&mut self, run: Run, now: Mono, actions: &mut Actions) {
        let was_told = std::mem::take(&mut self.alarmed);
        if was_told && self.policy.alarm_recovery && self.alarm {
            let (uptime, restarts) = (now.since(run.since), self.limits.restarts_in_window());
            let alarm = Alarm { reason: AlarmReason::Recovered, exit: None, pid: Some(run.pid), uptime, restarts };
            actions.push(Action::Alarm(Box::new(alarm)));
        }
    }
}
