//! Waiting for others: what the order of modules allows, and what it calls for.

use crate::machine::core::{Actions, Machine};
use crate::machine::standing::Call;
use crate::machine::words::actions::Action;
use crate::machine::words::notes::Note;
use crate::machine::words::states::{Run, State, Stop};
use crate::sys::time::Mono;

impl Machine {
    /// There is an order from now on, or none any more: whoever waits for it asks again, and is allowed what it wants then.
    pub(super) fn set_ordered(&mut self, ordered: bool, now: Mono, actions: &mut Actions) {
        self.ordered = ordered;
        match self.state {
            State::Waiting if !ordered => self.prepare_start(actions),
            State::Up(run) if matches!(run.stop, Stop::Held(_)) && !ordered => self.may_stop(run, now, actions),
            State::Down
            | State::Backoff { .. }
            | State::Waiting
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::Up(_)
            | State::FinishRequested(_)
            | State::Finishing { .. }
            | State::Failed
            | State::Done
            | State::Ended => {}
        }
    }

    /// Those that need the run process have stopped.
    pub(super) fn may_stop(&mut self, run: Run, now: Mono, actions: &mut Actions) {
        match run.stop {
            Stop::Held(_) => self.begin_stop(run, now, actions),
            Stop::No | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => {}
        }
    }

    /// Not all of those that need the run process are ever killed: they are waited for until `at`, and no longer.
    pub(super) fn stop_within(&mut self, run: Run, at: Mono) {
        match run.stop {
            Stop::Held(until) => self.state = State::Up(Run { stop: Stop::Held(Some(until.unwrap_or(at))), ..run }),
            Stop::No | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => {}
        }
    }

    pub(super) fn ask_again(&mut self, run: Run, actions: &mut Actions) {
        match run.stop {
            Stop::Held(_) => actions.push(Action::AskStop),
            Stop::No | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => {}
        }
    }

    /// The run process is stopped for another module's sake, and what is wanted of it stays.
    pub(super) fn called(&mut self, run: Run, call: Call, now: Mono, actions: &mut Actions) {
        match run.stop {
            Stop::No => {
                actions.push(Action::Log(Note::Called(call, run.pid)));
                self.stop(Run { restart_after_stop: true, ..run }, now, actions);
            }
            // It ends anyway, and asks before it starts again.
            Stop::Held(_) | Stop::EndOfInput(_) | Stop::Requested | Stop::Signalled(_) | Stop::Killed => {}
        }
    }
}
