//! Whether a run process is ready, and whether it is well. Pure: what it says, how it is looked at and the time come in as
//! arguments, and what follows comes out.

use crate::conf::readiness::{Readiness, Unhealthy};
use crate::sys::time::Mono;
use std::time::Duration;

/// How long after the start it is first looked at.
const FIRST_CHECK: Duration = Duration::from_millis(100);

/// Until it is ready, the distance between two looks doubles up to this.
const CHECK_DISTANCE_MAX: Duration = Duration::from_secs(1);

/// When we woke later than this part of a time limit after it was over, we stood still ourselves, and its end proves nothing.
const LATE: u32 = 4;

/// Nobody wakes to the microsecond: less than this is no standing still, however short the limit is. A service may set itself one
/// of a microsecond, which would else begin anew for ever.
const LATE_MIN: Duration = Duration::from_millis(100);

/// What makes a run process ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReadyWhen {
    /// It runs.
    #[default]
    Started,
    /// It says so.
    Told,
    /// It was looked at, and is well.
    Checked,
    /// It has lived for so long.
    Lived(Duration),
    /// Never: it is to end, and is done then.
    Never,
}

/// The rules about readiness and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HealthRules {
    /// What makes it ready.
    pub ready: ReadyWhen,
    /// How long that may take; `None`: for ever.
    pub ready_timeout: Option<Duration>,
    /// How long one look may take.
    pub check_timeout: Duration,
    /// So many failures in a row are one too many.
    pub check_failures: u32,
    /// How often it is looked at once it is ready; `None`: never, or there is nothing to look with.
    pub check_interval: Option<Duration>,
    /// What follows from failures.
    pub unhealthy: Unhealthy,
    /// How often it has to say that it is well; `None`: never.
    pub watchdog: Option<Duration>,
    /// The number of the signal that it gets if it does not.
    pub watchdog_signal: i32,
}

/// Those of a service without any of the keys.
impl Default for HealthRules {
    fn default() -> HealthRules {
        let keys = Readiness::default();
        HealthRules {
            ready: ReadyWhen::Started,
            ready_timeout: keys.ready_timeout,
            check_timeout: keys.check_timeout,
            check_failures: keys.check_failures,
            check_interval: None,
            unhealthy: keys.unhealthy,
            watchdog: None,
            watchdog_signal: keys.watchdog_signal,
        }
    }
}

/// How a run process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fitness {
    /// It is not ready yet.
    #[default]
    Starting,
    /// It is ready, and well.
    Ready,
    /// It reads its configuration again, and will say when it has.
    Reloading,
    /// It was ready, and is not well.
    Unhealthy,
}

/// The looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Look {
    /// It is not looked at.
    #[default]
    No,
    /// The next one comes then.
    At(Mono),
    /// One is under way, and is killed then.
    Until(Mono),
    /// One was killed, and its end is waited for.
    Killed,
}

/// What a run process says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is ready.
    Ready,
    /// It reads its configuration again.
    Reloading,
    /// It is going to end.
    Stopping,
    /// It is well.
    Alive,
    /// It is not.
    Unwell,
    /// It will say that it is well so often.
    WatchdogInterval(Duration),
    /// What it is doing takes so long from now on.
    Extend(Duration),
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStep {
    /// Nothing.
    Nothing,
    /// Look now.
    RunCheck,
    /// The look that is under way takes too long.
    KillCheck,
    /// It is ready.
    Ready,
    /// It is well again.
    Recovered,
    /// It has failed so many looks in a row.
    Unhealthy(u32),
    /// It was not ready in time.
    ReadyTimeout(Duration),
    /// It has not said that it is well for so long, or it has said that it is not.
    WatchdogTimeout(Option<Duration>),
    /// A time limit is over, but we woke late ourselves: it begins anew.
    WokeLate,
}

/// The readiness and health of one run process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Health {
    fitness: Fitness,
    look: Look,
    /// When it has to be ready.
    ready_by: Option<Mono>,
    /// When it has lived for long enough.
    lived_at: Option<Mono>,
    /// When it has to have said that it is well.
    alive_by: Option<Mono>,
    /// How often it has to; `None`: as the rules say.
    watchdog: Option<Duration>,
    /// Looks that failed in a row.
    failures: u32,
}

impl Health {
    /// That of a process that was started at `now`.
    pub fn begin(rules: &HealthRules, now: Mono) -> Health {
        let mut health = Health {
            ready_by: rules.ready_timeout.filter(|_| rules.ready != ReadyWhen::Started).map(|limit| now + limit),
            alive_by: rules.watchdog.map(|interval| now + interval),
            ..Health::default()
        };
        match rules.ready {
            ReadyWhen::Started => health.become_ready(rules, now),
            ReadyWhen::Checked => health.look = Look::At(now + FIRST_CHECK),
            ReadyWhen::Lived(time) => health.lived_at = Some(now + time),
            ReadyWhen::Told | ReadyWhen::Never => {}
        }
        health
    }

    /// That of a process that was started at `since` and has been supervised by somebody else, who has left it so.
    pub fn resume(rules: &HealthRules, fitness: Fitness, since: Mono, now: Mono) -> Health {
        let mut health = Health::begin(rules, since);
        // What it has said, and when, while nobody listened, is not known.
        health.alive_by = rules.watchdog.map(|interval| now + interval);
        health.ready_by = health.ready_by.map(|by| by.max(now + FIRST_CHECK));
        match fitness {
            // What has become a one-shot meanwhile has to end.
            _ if rules.ready == ReadyWhen::Never => {}
            Fitness::Ready | Fitness::Reloading => health.become_ready(rules, now),
            Fitness::Unhealthy => {
                health.become_ready(rules, now);
                health.fitness = Fitness::Unhealthy;
            }
            Fitness::Starting if rules.ready == ReadyWhen::Checked => health.look = Look::At(now),
            Fitness::Starting => {}
        }
        health
    }

    /// That of a process that is being stopped: nothing is due any more.
    pub fn stopped(fitness: Fitness) -> Health {
        Health { fitness, ..Health::default() }
    }

    /// How it is.
    pub fn fitness(&self) -> Fitness {
        self.fitness
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Mono> {
        let look = match self.look {
            Look::At(at) | Look::Until(at) => Some(at),
            Look::No | Look::Killed => None,
        };
        [look, self.ready_by, self.lived_at, self.alive_by].into_iter().flatten().min()
    }

    /// Nothing is looked at any more: it is being stopped. The caller kills a look that is under way if this says so.
    pub fn end(&mut self) -> bool {
        let is_under_way = matches!(self.look, Look::Until(_));
        *self = Health::stopped(self.fitness);
        is_under_way
    }

    fn become_ready(&mut self, rules: &HealthRules, now: Mono) {
        (self.fitness, self.failures) = (Fitness::Ready, 0);
        (self.ready_by, self.lived_at) = (None, None);
        // One that is under way goes on, and counts.
        if !matches!(self.look, Look::Until(_) | Look::Killed) {
            self.look = rules.check_interval.map_or(Look::No, |interval| Look::At(now + interval));
        }
    }

    /// The first thing that is due at `now`. What else is due comes with the next call: the deadline says so.
    pub fn due(&mut self, rules: &HealthRules, now: Mono) -> HealthStep {
        let is_due = |at: Option<Mono>| at.filter(|at| now >= *at);
        if is_due(self.lived_at).is_some() {
            self.become_ready(rules, now);
            return HealthStep::Ready;
        }
        if let Some(by) = is_due(self.ready_by) {
            let Some(limit) = rules.ready_timeout else {
                self.ready_by = None;
                return HealthStep::Nothing;
            };
            let is_late = is_late(by, limit, now);
            self.ready_by = is_late.then(|| now + limit);
            return if is_late { HealthStep::WokeLate } else { HealthStep::ReadyTimeout(limit) };
        }
        if let Some(by) = is_due(self.alive_by) {
            let Some(interval) = self.watchdog.or(rules.watchdog) else {
                self.alive_by = None;
                return HealthStep::Nothing;
            };
            let is_late = is_late(by, interval, now);
            self.alive_by = is_late.then(|| now + interval);
            return if is_late { HealthStep::WokeLate } else { HealthStep::WatchdogTimeout(Some(interval)) };
        }
        match self.look {
            Look::At(at) if now >= at => {
                self.look = Look::Until(now + rules.check_timeout);
                HealthStep::RunCheck
            }
            Look::Until(by) if now >= by && is_late(by, rules.check_timeout, now) => {
                self.look = Look::Until(now + rules.check_timeout);
                HealthStep::WokeLate
            }
            Look::Until(by) if now >= by => {
                self.look = Look::Killed;
                HealthStep::KillCheck
            }
            Look::At(_) | Look::Until(_) | Look::No | Look::Killed => HealthStep::Nothing,
        }
    }

    /// A look has ended.
    pub fn checked(&mut self, rules: &HealthRules, passed: bool, now: Mono) -> HealthStep {
        if !matches!(self.look, Look::Until(_) | Look::Killed) {
            return HealthStep::Nothing;
        }
        let passed = passed && self.look != Look::Killed;
        self.look = Look::No;
        match (self.fitness, passed) {
            (Fitness::Starting, true) if rules.ready == ReadyWhen::Checked => {
                self.become_ready(rules, now);
                HealthStep::Ready
            }
            (Fitness::Starting, _) => {
                // The settings may have changed: then there is nothing to look at any more.
                let doublings = self.failures.min(16);
                self.failures = self.failures.saturating_add(1);
                let distance = FIRST_CHECK.saturating_mul(1 << doublings).min(CHECK_DISTANCE_MAX);
                self.look = if rules.ready == ReadyWhen::Checked { Look::At(now + distance) } else { Look::No };
                HealthStep::Nothing
            }
            (Fitness::Ready | Fitness::Reloading, true) => {
                self.look_again(rules, now);
                self.failures = 0;
                HealthStep::Nothing
            }
            (Fitness::Unhealthy, true) => {
                self.become_ready(rules, now);
                HealthStep::Recovered
            }
            (Fitness::Ready | Fitness::Reloading, false) => {
                self.look_again(rules, now);
                self.failures = self.failures.saturating_add(1);
                if self.failures < rules.check_failures {
                    return HealthStep::Nothing;
                }
                self.fitness = Fitness::Unhealthy;
                HealthStep::Unhealthy(self.failures)
            }
            (Fitness::Unhealthy, false) => {
                self.look_again(rules, now);
                HealthStep::Nothing
            }
        }
    }

    /// A look has failed while the process was paused, so it could not be well: that proves nothing.
    pub fn checked_in_vain(&mut self, rules: &HealthRules, now: Mono) {
        match (self.fitness, self.look) {
            (_, Look::No | Look::At(_)) => {}
            (Fitness::Starting, Look::Until(_) | Look::Killed) => self.look = Look::At(now),
            (Fitness::Ready | Fitness::Reloading | Fitness::Unhealthy, Look::Until(_) | Look::Killed) => {
                self.look_again(rules, now);
            }
        }
    }

    /// It was paused, and goes on: what would have been due meanwhile is not, and time limits begin anew.
    pub fn go_on(&mut self, rules: &HealthRules, now: Mono) {
        self.look = match self.look {
            Look::At(at) => Look::At(at.max(now + FIRST_CHECK)),
            Look::Until(by) => Look::Until(by.max(now + rules.check_timeout)),
            look @ (Look::No | Look::Killed) => look,
        };
        let anew = |by: Option<Mono>, limit: Option<Duration>| by.zip(limit).map(|(by, limit)| by.max(now + limit));
        self.ready_by = anew(self.ready_by, rules.ready_timeout);
        self.alive_by = anew(self.alive_by, self.watchdog.or(rules.watchdog));
    }

    fn look_again(&mut self, rules: &HealthRules, now: Mono) {
        self.look = rules.check_interval.map_or(Look::No, |interval| Look::At(now + interval));
    }

    /// It has said something. What has to do with its end is not for us.
    pub fn notified(&mut self, rules: &HealthRules, notice: Notice, now: Mono) -> HealthStep {
        match notice {
            Notice::Ready => match (self.fitness, rules.ready) {
                (Fitness::Starting, ReadyWhen::Told) => {
                    self.become_ready(rules, now);
                    HealthStep::Ready
                }
                (Fitness::Reloading, _) => {
                    self.fitness = Fitness::Ready;
                    HealthStep::Recovered
                }
                (Fitness::Starting | Fitness::Ready | Fitness::Unhealthy, _) => HealthStep::Nothing,
            },
            Notice::Reloading => {
                if self.fitness == Fitness::Ready {
                    self.fitness = Fitness::Reloading;
                }
                HealthStep::Nothing
            }
            // It serves no longer, and is not asked to become ready in time: nobody starts on it.
            Notice::Stopping => {
                if matches!(self.fitness, Fitness::Ready | Fitness::Reloading) {
                    self.fitness = Fitness::Starting;
                }
                HealthStep::Nothing
            }
            Notice::Alive => {
                self.alive_by = self.watchdog.or(rules.watchdog).map(|interval| now + interval);
                HealthStep::Nothing
            }
            Notice::Unwell => {
                self.alive_by = None;
                HealthStep::WatchdogTimeout(None)
            }
            Notice::WatchdogInterval(interval) => {
                self.watchdog = (!interval.is_zero()).then_some(interval);
                self.alive_by = self.watchdog.map(|interval| now + interval);
                HealthStep::Nothing
            }
            Notice::Extend(time) => {
                self.ready_by = self.ready_by.map(|by| by.max(now + time));
                HealthStep::Nothing
            }
        }
    }

    /// The settings were read again.
    pub fn apply(&mut self, rules: &HealthRules, now: Mono) {
        match (self.fitness, self.look) {
            (Fitness::Starting, _) if rules.ready == ReadyWhen::Started => self.become_ready(rules, now),
            (Fitness::Starting, Look::No) if rules.ready == ReadyWhen::Checked => self.look = Look::At(now),
            (Fitness::Starting, _) | (_, Look::Until(_) | Look::Killed) => {}
            (Fitness::Ready | Fitness::Reloading | Fitness::Unhealthy, Look::No | Look::At(_)) => {
                self.look_again(rules, now);
            }
        }
        self.ready_by = self.ready_by.filter(|_| rules.ready_timeout.is_some());
        match (rules.watchdog, self.alive_by) {
            (None, _) => (self.alive_by, self.watchdog) = (None, None),
            (Some(interval), None) => self.alive_by = Some(now + interval),
            (Some(_), Some(_)) => {}
        }
    }
}

/// Whether a limit was over for so long that we cannot have been awake.
fn is_late(by: Mono, limit: Duration, now: Mono) -> bool {
    now.since(by) > (limit / LATE).max(LATE_MIN)
}

#[cfg(test)]
mod tests;
