//! Going on where another supervisor was killed.

use crate::machine::core::{Actions, Machine};
use crate::machine::health::{Fitness, Health};
use crate::machine::history::saved::{SavedRun, SavedState};
use crate::machine::steps::stopping::EXPECTED_EXIT_WINDOW;
use crate::machine::words::actions::Action;
use crate::machine::words::events::{Ended, Remains};
use crate::machine::words::notes::{Helper, Note};
use crate::machine::words::states::{Leave, Next, Reason, Run, State, Stop, Want};
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::Role;
use crate::sys::time::Mono;
use nix::unistd::Pid;

impl Machine {
    /// Takes over what is saved, and the process that lives.
    pub(in crate::machine) fn resume(&mut self, saved: SavedState, remains: Remains, now: Mono, actions: &mut Actions) {
        self.want = saved.want;
        self.alarm = saved.alarm;
        self.alarmed = saved.alarmed;
        self.tally = saved.tally.at_least(self.tally);
        self.limits = saved.limits;
        if saved.leaving && matches!(remains, Remains::Lives(..)) {
            self.leave_at_least(Leave::WhenDown);
        }
        match remains {
            Remains::Lives(Role::Run, pid) => self.adopt_run(&saved, pid, now, actions),
            Remains::Lives(Role::Finish, pid) => self.adopt_finish(&saved, pid, now, actions),
            // The restart command of `supervise` runs after an end.
            Remains::Lives(Role::Hook, pid) if !self.setup.controls => {
                self.state = State::Finishing { pid, until: None, next: Next::AsWanted };
                actions.push(Action::Log(Note::AdoptedHelper(Helper::RestartHook, pid)));
            }
            Remains::Lives(Role::Hook, pid) => {
                self.state = State::PreStart { pid, until: self.hook_deadline(now) };
                actions.push(Action::Log(Note::AdoptedHelper(self.hook(), pid)));
            }
            Remains::Ended(ended) => self.ended_unseen(&saved, ended, now, actions),
            Remains::Nothing => self.resume_idle(&saved, now, actions),
        }
    }

    fn adopt_run(&mut self, saved: &SavedState, pid: Pid, now: Mono, actions: &mut Actions) {
        let run = self.saved_run(saved, pid, now);
        let Run { stop, restart_after_stop, .. } = run;
        self.state = State::Up(run);
        actions.push(Action::Log(Note::AdoptedRun(pid)));
        if (self.want == Want::Down || restart_after_stop) && stop == Stop::No {
            self.stop(run, now, actions);
        }
    }

    /// Nobody has seen the end, and nobody knows how it came: limits, alarms and `finish` are told of it all the same.
    fn ended_unseen(&mut self, saved: &SavedState, ended: Ended, now: Mono, actions: &mut Actions) {
        let run = self.saved_run(saved, ended.pid, now);
        // When it came is not known either: an end that was expected at all is this one.
        let run = Run { expected_exit_until: run.expected_exit_until.map(|until| until.max(now)), ..run };
        self.run_ended(run, ExitStatus::Unknown, ended.has_finish, now, actions);
    }

    /// The run process as it was saved.
    fn saved_run(&self, saved: &SavedState, pid: Pid, now: Mono) -> Run {
        let unknown = SavedRun {
            pid: None,
            since: now,
            stop: Stop::No,
            expected_exit_until: None,
            restart_after_stop: false,
            fitness: Fitness::Starting,
            tells_by: None,
        };
        let SavedRun { since, stop, expected_exit_until, restart_after_stop, fitness, .. } =
            saved.run.filter(|run| run.since <= now).unwrap_or(unknown);
        // The file may be wrong: an end is never expected for longer than after a signal of now.
        let expected_exit_until = expected_exit_until.map(|until| until.min(now + EXPECTED_EXIT_WINDOW));
        let got_term = stop != Stop::No;
        let health = match stop {
            Stop::No => Health::resume(&self.health_rules, fitness, since, now),
            Stop::Held(_) | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => {
                Health::stopped(fitness)
            }
        };
        let paused = saved.paused;
        let failed = false;
        Run { pid, since, paused, got_term, stop, expected_exit_until, restart_after_stop, failed, health }
    }

    fn adopt_finish(&mut self, saved: &SavedState, pid: Pid, now: Mono, actions: &mut Actions) {
        self.reason = saved.rest.map(Reason::Rests);
        let next = match (saved.failed, saved.to_start, saved.done) {
            (true, ..) => Next::GiveUp,
            (false, true, _) => Next::Start,
            (false, false, true) => Next::Done,
            (false, false, false) => Next::AsWanted,
        };
        if saved.failed {
            self.reason = Some(Reason::GaveUpEarlier);
        }
        let until = self.policy.finish_timeout.map(|timeout| now + timeout);
        self.state = State::Finishing { pid, until, next };
        actions.push(Action::Log(Note::AdoptedHelper(Helper::Finish, pid)));
    }

    /// No process survived: the service starts if it was wanted up; a `once` that has already run stays down.
    fn resume_idle(&mut self, saved: &SavedState, now: Mono, actions: &mut Actions) {
        actions.push(Action::Log(Note::NothingAdopted));
        if saved.failed {
            self.state = State::Failed;
            self.reason = Some(Reason::GaveUpEarlier);
            return;
        }
        if saved.done && self.want != Want::Down {
            self.state = State::Done;
            return;
        }
        match self.want {
            Want::Once if saved.to_start => self.start_by_command(Want::Once, now, actions),
            Want::Down | Want::Once => {
                self.state = State::Down;
                self.reason = saved.rest.map(Reason::Rests);
            }
            Want::Up => self.start_at(self.limits.next_after_gap(&self.policy, now), now, actions),
        }
    }
}
