//! What can happen to a machine.

use crate::conf::policy::Policy;
use crate::machine::health::{HealthRules, Notice};
use crate::machine::history::saved::SavedState;
use crate::machine::standing::Call;
use crate::machine::words::command::Command;
use crate::machine::words::states::{Control, Leave};
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::Role;
use crate::sys::process::start::StartError;
use nix::unistd::Pid;
use std::time::Duration;

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Supervision begins; whether the service is wanted up.
    Begin(bool),
    /// Supervision goes on where another supervisor was killed: what is known of that, and what is left.
    Resume(Box<SavedState>, Remains),
    /// A command came.
    Command(Command),
    /// Supervision is to end.
    Leave(Leave),
    /// Kill everything that runs, and end supervision.
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
    /// These are the rules about readiness and health now.
    HealthRules(Box<HealthRules>),
    /// The order of modules has its say.
    Turn(Turn),
    /// The run process has sent a notification, or a check of it has ended.
    Sign(Sign),
}

/// A run process that has ended while there was no supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The pid that it had.
    pub pid: Pid,
    /// There is a `finish` to be run.
    pub has_finish: bool,
}

/// What is left of a killed supervisor's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing, and nothing is to be told of.
    Nothing,
    /// It lives.
    Lives(Role, Pid),
    /// The run process, whose end nobody has been told of.
    Ended(Ended),
}

/// What the order of modules says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Whether there is an order: then it is asked before each start and before each stop.
    Ordered(bool),
    /// The start that it was asked for may begin.
    MayStart,
    /// The stop that it was asked for may begin.
    MayStop,
    /// The stop that it was asked for may begin in so long a time, whatever the others do until then.
    StopWithin(Duration),
    /// What it said no to before may be possible now.
    AskAgain,
    /// It has something to tell.
    Call(Call),
}

/// How the run process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// What it has sent.
    Notice(Notice),
    /// A check has ended.
    Checked {
        /// The run process that was checked.
        run: Pid,
        /// The check has succeeded.
        passed: bool,
    },
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

impl Event {
    /// The process that it brings.
    pub(in crate::machine) fn process(&self) -> Option<Pid> {
        match self {
            Event::Resume(_, Remains::Lives(_, pid)) => Some(*pid),
            Event::Answer(Answer::Started(pid)) => Some(*pid),
            Event::Answer(Answer::HookStarted(pid) | Answer::FinishStarted(pid)) => *pid,
            Event::Answer(Answer::StartFailed { .. })
            | Event::Begin(_)
            | Event::Resume(_, Remains::Nothing | Remains::Ended(_))
            | Event::Command(_)
            | Event::Leave(_)
            | Event::KillNow
            | Event::Reaped(_)
            | Event::Control { .. }
            | Event::DeadlineReached
            | Event::Policy(_)
            | Event::ResetLimits
            | Event::HealthRules(_)
            | Event::Turn(_)
            | Event::Sign(_) => None,
        }
    }
}
