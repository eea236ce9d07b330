//! What can happen to a machine.

use crate::conf::policy::Policy;
use crate::machine::history::saved::SavedState;
use crate::machine::words::command::Command;
use crate::machine::words::states::{Control, Leave};
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::Role;
use crate::sys::process::start::StartError;
use nix::unistd::Pid;

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Supervision begins; whether the service is wanted up.
    Begin(bool),
    /// Supervision goes on where another supervisor was killed: what is known of that, and what still runs.
    Resume(Box<SavedState>, Option<(Role, Pid)>),
    /// A command came.
    Command(Command),
    /// Supervision is to end.
    Leave(Leave),
    /// Whatever runs is to be killed, and supervision is to end.
    KillNow,
    /// What an action that starts a process has led to.
    Answer(Answer),
    /// A process has ended and was reaped.
    Reaped(Reaped),
    /// A script in `control/` has ended, or there is none.
    Control {
        /// What the script was run for.
        control: Control,
        /// The run process that the script was run for.
        run: Pid,
        /// The script exited with 0: the signal is not sent.
        done: bool,
    },
    /// The deadline is reached.
    DeadlineReached,
    /// The settings were read again.
    Policy(Box<Policy>),
    /// ALRM to `supervise`: the limits count from the beginning.
    ResetLimits,
}

/// What an action that starts a process has led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// The hook runs, or there is none to run.
    HookStarted(Option<Pid>),
    /// The run process was started.
    Started(Pid),
    /// The run process could not be started.
    StartFailed {
        /// Why.
        error: StartError,
        /// There is a `finish` to be run.
        has_finish: bool,
    },
    /// `finish` runs, or there is none to run.
    FinishStarted(Option<Pid>),
}

/// Which process has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reaped {
    /// The hook.
    Hook,
    /// The run process.
    Run {
        /// How it ended.
        status: ExitStatus,
        /// There is a `finish` to be run.
        has_finish: bool,
    },
    /// `finish`.
    Finish(ExitStatus),
}
