//! What can be asked of a machine: what is, what is wanted, and until when to wait.

use crate::conf::policy::{KillMode, ShutdownOn};
use crate::machine::core::Machine;
use crate::machine::health::{Fitness, HealthRules, ReadyWhen};
use crate::machine::history::tally::Tally;
use crate::machine::standing::Standing;
use crate::machine::words::states::{Leave, Next, Reason, Run, State, Stop, Want};
use crate::status::module_state::ModuleState;
use crate::status::rest::Rest;
use crate::status::state::{Memory, StateFile};
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::time::Mono;

impl Machine {
    /// Saves what a later supervisor has to know.
    pub fn remember(&self, memory: &mut Memory) {
        self.limits.remember(memory);
        memory.leaving = self.leave == Some(Leave::WhenDown);
        memory.to_start = match self.state {
            State::Backoff { .. }
            | State::Waiting
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested => true,
            State::FinishRequested(_) | State::Finishing { .. } => self.next() == Some(Next::Start),
            State::Down | State::Up(_) | State::Failed | State::Done | State::Ended => false,
        };
        memory.start_is_hopeless = matches!(self.reason, Some(Reason::StartFailed(error)) if !error.passes_by_itself());
        memory.alarmed = self.alarmed;
        memory.gives_up = self.next() == Some(Next::GiveUp);
        let has_failed = memory.gives_up || self.state == State::Failed;
        memory.ends_tree =
            self.reason == Some(Reason::ShutDown) || (has_failed && self.policy.shutdown_on != ShutdownOn::Never);
        memory.recent_exits = self.tally.recent;
        memory.rest = if let Some(Reason::Rests(rest)) = self.reason { Some(rest) } else { None };
        memory.done = self.state == State::Done || self.next() == Some(Next::Done);
        let Some(run) = self.run() else { return };
        memory.up_since = Some(run.since.nanoseconds());
        memory.expected_exit_until = run.expected_exit_until.map(Mono::nanoseconds);
        memory.restart_after_stop = run.restart_after_stop;
        memory.unready = run.health.fitness() == Fitness::Starting;
        memory.unhealthy = run.health.fitness() == Fitness::Unhealthy;
        match run.stop {
            // A logger whose service is gone leaves with it, whoever supervises the logger then. A stop whose script has
            // not ended begins anew, for what is wanted is saved: nothing, or a start after the stop.
            Stop::No | Stop::Held(_) | Stop::EndOfInput(_) | Stop::Requested => {}
            Stop::Signalled(at) => (memory.stopping, memory.kill_at) = (true, at.map(Mono::nanoseconds)),
            // KILL is sent again.
            Stop::Killed => (memory.stopping, memory.kill_at) = (true, Some(0)),
        }
    }

    /// What is.
    pub fn state(&self) -> State {
        self.state
    }

    /// `state` in `state.json`.
    pub fn shown_state(&self) -> ModuleState {
        match self.state {
            State::Down if self.reason == Some(Reason::Rests(Rest::Finished)) => ModuleState::Done,
            State::Down | State::Ended => ModuleState::Down,
            State::Waiting => ModuleState::Waiting,
            State::Backoff { .. } => ModuleState::Backoff,
            State::PreStartRequested | State::PreStart { .. } | State::StartRequested => ModuleState::Starting,
            State::Up(run) if run.stop != Stop::No => ModuleState::Stopping,
            State::Up(run) if run.paused => ModuleState::Paused,
            State::Up(run) => self.shown_fitness(run.health.fitness()),
            // The restart command runs, and a start follows.
            State::FinishRequested(Next::AsWanted | Next::Start)
            | State::Finishing { next: Next::AsWanted | Next::Start, .. }
                if self.setup.restart_hook && self.want == Want::Up && self.leave.is_none() =>
            {
                ModuleState::Starting
            }
            State::FinishRequested(_) | State::Finishing { .. } => ModuleState::Finishing,
            State::Failed => ModuleState::Failed,
            State::Done => ModuleState::Done,
        }
    }

    fn shown_fitness(&self, fitness: Fitness) -> ModuleState {
        match fitness {
            Fitness::Starting => ModuleState::Up,
            Fitness::Ready if self.becomes_ready() => ModuleState::Ready,
            Fitness::Ready => ModuleState::Up,
            Fitness::Reloading => ModuleState::Reloading,
            Fitness::Unhealthy => ModuleState::Unhealthy,
        }
    }

    /// Whether readiness is more than that the run process lives.
    pub(in crate::machine) fn becomes_ready(&self) -> bool {
        match self.health_rules.ready {
            ReadyWhen::Started | ReadyWhen::Never => false,
            ReadyWhen::Told | ReadyWhen::Checked | ReadyWhen::Lived(_) => true,
        }
    }

    /// What is wanted.
    pub fn want(&self) -> Want {
        self.want
    }

    /// What is wanted, for those who read the files. A module that has left the tree is not wanted up by anybody; what
    /// `supervise` leaves stays as it was, as its scripts know it.
    pub fn shown_want(&self) -> Want {
        if self.state == State::Ended && !self.setup.ends_when_failed { Want::Down } else { self.want }
    }

    /// Why supervision is to end, if it is.
    pub fn leave(&self) -> Option<Leave> {
        self.leave
    }

    /// Whether alarms are raised.
    pub fn alarm(&self) -> bool {
        self.alarm
    }

    /// How often the run process was started again.
    pub fn restarts(&self) -> u64 {
        self.tally.starts.saturating_sub(1)
    }

    /// Goes on counting where an earlier supervisor of the same tree has ended, whatever else is taken over from it.
    pub fn recall_tally(&mut self, file: &StateFile) {
        let tally = Tally::recall(file, &Memory::default());
        self.tally = tally.at_least(self.tally);
    }

    /// What has been counted since supervision began.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How the last run process ended.
    pub fn last_exit(&self) -> Option<ExitStatus> {
        self.last_exit
    }

    /// Why the state is what it is, where it is not what somebody asked for.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The run process that lives.
    pub fn run(&self) -> Option<Run> {
        match self.state {
            State::Up(run) => Some(run),
            State::Down
            | State::Backoff { .. }
            | State::Waiting
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::FinishRequested(_)
            | State::Finishing { .. }
            | State::Failed
            | State::Done
            | State::Ended => None,
        }
    }

    /// What follows `finish`, between the end of the run process and that of `finish`.
    pub fn next(&self) -> Option<Next> {
        match self.state {
            State::FinishRequested(next) | State::Finishing { next, .. } => Some(next),
            State::Down
            | State::Backoff { .. }
            | State::Waiting
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::Up(_)
            | State::Failed
            | State::Done
            | State::Ended => None,
        }
    }

    /// When [`Event::DeadlineReached`](crate::machine::words::events::Event::DeadlineReached) is to come; `None`: only something that happens can change the state.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Backoff { until } => Some(until),
            State::Up(Run { stop: Stop::EndOfInput(at), .. }) => Some(at),
            State::Up(Run { stop: Stop::Signalled(at) | Stop::Held(at), .. }) => at,
            State::Finishing { until, .. } | State::PreStart { until, .. } => until,
            State::Up(Run { stop: Stop::No, paused: true, .. }) => None,
            State::Up(run @ Run { stop: Stop::No, health, .. }) => {
                health.deadline().into_iter().chain(self.recovers_at(run)).min()
            }
            State::Up(Run { stop: Stop::Requested | Stop::Killed, .. })
            | State::Down
            | State::Waiting
            | State::PreStartRequested
            | State::StartRequested
            | State::FinishRequested(_)
            | State::Failed
            | State::Done
            | State::Ended => None,
        }
    }

    /// The rules about readiness and health.
    pub fn health_rules(&self) -> &HealthRules {
        &self.health_rules
    }

    /// Whether the run process is ready; `None` where it has no way to be anything else, or there is none.
    pub fn ready(&self) -> Option<bool> {
        let fitness = self.run().map(|run| run.health.fitness());
        self.becomes_ready().then_some(matches!(fitness, Some(Fitness::Ready | Fitness::Reloading)))
    }

    /// Whether what looks at the run process finds it well; `None` where nothing does, once it is ready.
    pub fn health(&self) -> Option<&'static str> {
        let is_watched = self.health_rules.check_interval.is_some() || self.health_rules.watchdog.is_some();
        let run = self.run().filter(|_| is_watched)?;
        match run.health.fitness() {
            Fitness::Starting => None,
            Fitness::Ready | Fitness::Reloading => Some("ok"),
            Fitness::Unhealthy => Some("failing"),
        }
    }

    /// What has become of the service, for those that need it.
    pub fn standing(&self) -> Standing {
        match self.state {
            State::Down | State::Failed if self.put_down => Standing::Down { by_command: true },
            State::Down if self.reason == Some(Reason::Rests(Rest::Finished)) => Standing::Finished,
            State::Down => Standing::Down { by_command: self.want == Want::Down && self.is_down_by_command() },
            State::Ended => Standing::Down { by_command: true },
            State::Backoff { .. } | State::Waiting => Standing::Coming,
            State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::FinishRequested(_)
            | State::Finishing { .. } => Standing::Around,
            // Whoever is being stopped is no help to those who start.
            State::Up(run) if run.stop != Stop::No => Standing::Up,
            State::Up(run) => match run.health.fitness() {
                Fitness::Ready | Fitness::Reloading => Standing::Ready,
                Fitness::Starting | Fitness::Unhealthy => Standing::Up,
            },
            State::Failed => Standing::Failed,
            State::Done => Standing::Done,
        }
    }

    fn is_down_by_command(&self) -> bool {
        matches!(self.reason, None | Some(Reason::Rests(Rest::Command)))
    }

    /// Whether the rest of the run process's group is killed after its end whatever follows; before a start it is in any case,
    /// but with `process`.
    pub fn kills_leftovers(&self) -> bool {
        match self.policy.kill_mode {
            KillMode::Process => false,
            KillMode::Group => true,
            KillMode::Mixed | KillMode::Cgroup => self.run().is_some_and(|run| run.stop != Stop::No),
        }
    }

    /// Whether anybody is told how the run process ends: `finish` and `svctl` are, also of an end that somebody has requested.
    /// The end of the tree does not wait for that.
    pub fn exit_matters(&self) -> bool {
        self.leave.is_none()
    }
}
