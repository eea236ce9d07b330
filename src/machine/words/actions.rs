//! What a machine wants done.

use crate::machine::words::notes::Note;
use crate::machine::words::states::{Control, Reason};
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::start::StartError;
use nix::unistd::Pid;
use std::time::Duration;

/// Actions, in order. What is seldom and large is in a box: each step has room for several of them on the stack.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run the restart hook, or `control/u`, if there is one, with this count of exits.
    RunHook(u32),
    /// Start the run process.
    Start,
    /// Run `finish`.
    RunFinish {
        /// How the run process ended; `None` when it could not be started.
        exit: Option<ExitStatus>,
        /// There is one, as the event before this action has told.
        has_finish: bool,
    },
    /// Send this signal to the run process, or to its whole group.
    Signal {
        /// The signal's number.
        number: i32,
        /// To the whole group.
        group: bool,
    },
    /// Run a script in `control/`, if there is one, after those that were requested before.
    RunControl(Control),
    /// Kill the script in `control/` that runs, and forget those that wait.
    KillControls,
    /// Kill the hook or `finish`.
    KillHelper,
    /// Kill a process that came with an event which cannot come: no state has a place for it.
    KillStray(Pid),
    /// Ask the order whether the service may start.
    AskStart,
    /// Ask the order whether the run process may be stopped.
    AskStop,
    /// Look at the run process.
    RunCheck,
    /// Kill the check that is under way: nobody wants it any more, or it has taken longer than this.
    KillCheck(Option<Duration>),
    /// Raise an alarm.
    Alarm(Box<Alarm>),
    /// Have the tree stop everything and leave with this exit: `shutdown_on`.
    ShutDown(Result<ExitStatus, StartError>),
    /// Write a line into the log.
    Log(Note),
}

/// An alarm: what the message says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    /// Why.
    pub reason: AlarmReason,
    /// How the run process ended, or why it could not be started; `None` where it lives.
    pub exit: Option<Result<ExitStatus, StartError>>,
    /// The pid that it had.
    pub pid: Option<Pid>,
    /// How long it ran.
    pub uptime: Duration,
    /// Restarts in the window, with the one that follows, if it does.
    pub restarts: u32,
}

/// Why an alarm is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmReason {
    /// The first exit in a window.
    Exited,
    /// A limit was reached, and which; no restart.
    GaveUp(Reason),
    /// It has failed so many checks in a row.
    Unhealthy(u32),
    /// It was not ready after this time, and was stopped.
    NotReady(Duration),
    /// The watchdog has expired, or it has reported a failure, and it was stopped.
    Watchdog(Option<Duration>),
    /// All is well after an alarm.
    Recovered,
}
