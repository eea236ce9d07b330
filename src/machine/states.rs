//! The words of the machine: what can be, what can happen, and what can be done about it.

use crate::machine::command::{Command, Signal};
use crate::machine::limits::{Limits, Policy};
pub use crate::status::record::Want;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::Role;
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use nix::unistd::Pid;
use std::time::Duration;

/// How long a script in `control/` may take.
pub const CONTROL_TIME: Duration = Duration::from_secs(10);

/// What is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing runs, and nothing will until somebody wants it.
    Down,
    /// The next start waits for its time.
    Backoff {
        /// When it comes.
        until: Mono,
    },
    /// What runs before a start was asked for: the restart hook, or `control/u`. The answer is the next event.
    PreStartRequested,
    /// It runs.
    PreStart {
        /// Its pid.
        pid: Pid,
        /// When it is killed; a restart hook is waited for.
        until: Option<Mono>,
    },
    /// A start was asked for; the answer is the next event.
    StartRequested,
    /// The run process lives.
    Up(Run),
    /// `finish` was asked for; the answer is the next event.
    FinishRequested(Next),
    /// `finish` runs.
    Finishing {
        /// Its pid.
        pid: Pid,
        /// When it is killed.
        until: Option<Mono>,
        /// What follows it.
        next: Next,
    },
    /// It ended too often: gave up.
    Failed,
    /// Supervision is over.
    Ended,
}

/// A run process that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Its pid.
    pub pid: Pid,
    /// When it was started.
    pub since: Mono,
    /// Stopped with `p`.
    pub paused: bool,
    /// It got the stop signal, or TERM.
    pub got_term: bool,
    /// How far its end has come.
    pub stop: Stop,
    /// Somebody sent it a signal that asks for its end; an end before this time is no failure.
    pub expected_exit_until: Option<Mono>,
    /// Somebody wanted it up again after the stop had begun: the stop is carried through, and then it is started.
    pub again: bool,
}

/// How far the end of a run process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Nobody stops it.
    No,
    /// It is a logger that has been given the end of its input, and is left alone until this time.
    EndOfInput(Mono),
    /// It is to be stopped, and `control/t` comes first.
    Asked,
    /// It got the stop signal, and will get KILL at this time, if any.
    Signalled(Option<Mono>),
    /// It got KILL.
    Killed,
}

/// What follows the end of a run process, once `finish` is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// What is wanted by then.
    AsWanted,
    /// A start, for somebody asked for one after the end.
    Start,
    /// Nothing: the restart policy says so.
    StayDown,
    /// Nothing: the limits say so.
    GiveUp,
}

/// Why supervision is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leave {
    /// `x`: when the run process is down; it is not stopped for that.
    WhenDown,
    /// A logger's service is gone: when it has read to the end of its input.
    EndOfInput,
    /// The service was removed, or the tree ends: the run process is stopped.
    Stop,
}

/// What a script in `control/` is run for (runit's rules; see supervise-service(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// `t`, before the stop signal.
    Stop,
    /// After the stop signal: `x` if supervision is to end, else `d`.
    Stopped {
        /// Supervision is to end.
        leaving: bool,
    },
    /// The signal's letter, before it.
    Signal(Signal),
    /// `p`, before STOP.
    Pause,
    /// `c`, before CONT.
    Continue,
}

impl Control {
    /// The script's name.
    pub fn letter(self) -> char {
        match self {
            Control::Stop => 't',
            Control::Stopped { leaving: false } => 'd',
            Control::Stopped { leaving: true } => 'x',
            Control::Signal(signal) => signal.letter(),
            Control::Pause => 'p',
            Control::Continue => 'c',
        }
    }

    /// Whether what follows the run process's end (`finish`, a start) comes after this script, too: one that tidies
    /// up after the old process must not meet the new one.
    pub fn belongs_to_the_end(self) -> bool {
        match self {
            Control::Stop | Control::Stopped { .. } => true,
            Control::Signal(signal) => signal.asks_for_exit(),
            Control::Pause | Control::Continue => false,
        }
    }
}

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
    /// The hook that was asked for runs, or there is none to run.
    HookStarted(Option<Pid>),
    /// The hook has ended.
    HookEnded,
    /// The start that was asked for went well.
    Started(Pid),
    /// It did not.
    StartFailed(StartError),
    /// The run process has ended and was reaped.
    Exited(ExitStatus),
    /// A script in `control/` has ended, or there is none.
    Control {
        /// What it was run for.
        control: Control,
        /// The run process that it was run for.
        run: Pid,
        /// It exited with 0: the signal is not sent.
        done: bool,
    },
    /// The `finish` that was asked for runs, or there is none to run.
    FinishStarted(Option<Pid>),
    /// `finish` has ended.
    FinishEnded(ExitStatus),
    /// The deadline is reached.
    DeadlineReached,
    /// The settings were read again.
    Policy(Box<Policy>),
}

/// What is known of a supervisor that was killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedState {
    /// What was wanted.
    pub want: Want,
    /// Whether alarms were raised.
    pub alarm: bool,
    /// Whether the run process was stopped with `p`.
    pub paused: bool,
    /// Whether it had given up, be it that `finish` was still to end.
    pub failed: bool,
    /// Whether a start was yet to come.
    pub to_start: bool,
    /// Whether supervision was to end with the run process: that was said to this program, and counts if it has only
    /// replaced itself.
    pub leaving: bool,
    /// How often the run process was started.
    pub starts: u64,
    /// The run process, as far as it was known; its pid is found elsewhere.
    pub run: Option<SavedRun>,
    /// What was counted.
    pub limits: Limits,
}

/// What is known of a run process that another supervisor has started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedRun {
    /// When it was started.
    pub since: Mono,
    /// How far its end had come.
    pub stop: Stop,
    /// Until when its end counts as asked for.
    pub expected_exit_until: Option<Mono>,
    /// Whether it is to be stopped, and then started again.
    pub again: bool,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run the restart hook, or `control/u`, if there is one, with this count of exits.
    RunHook(u32),
    /// Start the run process.
    Start,
    /// Run `finish`, if there is one; `None` when the run process could not be started.
    RunFinish(Option<ExitStatus>),
    /// Send this signal to the run process, or to its whole group.
    Signal {
        /// The signal's number.
        number: i32,
        /// To the whole group.
        group: bool,
    },
    /// Run a script in `control/`, if there is one, after those that were asked for before.
    RunControl(Control),
    /// Kill the script in `control/` that runs, and forget those that wait.
    KillControls,
    /// Kill what runs beside: the hook or `finish`.
    KillHelper,
    /// Raise an alarm.
    Alarm(Alarm),
    /// Write a line into the log.
    Log(log::Level, String),
}

/// An alarm: what the message says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    /// Why.
    pub reason: AlarmReason,
    /// How the run process ended, or why it could not be started.
    pub exit: Result<ExitStatus, StartError>,
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
}

/// Why the state is what it is, where it is not what somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `down` was there when supervision began.
    DownFile,
    /// The limit of restarts.
    GaveUpRestarts(u32),
    /// The limit of core dumps.
    GaveUpCores(u32),
    /// A limit that was reached under an earlier supervisor.
    GaveUpEarlier,
    /// `restart = never` or `on-failure`.
    Policy,
    /// `finish` said so.
    Finish,
    /// The last start failed.
    StartFailed(StartError),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::DownFile => f.write_str("there is a down file"),
            Reason::GaveUpRestarts(restarts) => write!(f, "gave up after {}", counted(*restarts, "restart")),
            Reason::GaveUpCores(cores) => write!(f, "gave up after {}", counted(*cores, "core dump")),
            Reason::GaveUpEarlier => f.write_str("gave up under an earlier supervisor"),
            Reason::Policy => f.write_str("the restart setting says no restart"),
            Reason::Finish => f.write_str("finish exited 125: no restart"),
            Reason::StartFailed(error) => write!(f, "could not be started: {error}"),
        }
    }
}

/// `1 restart`, `2 restarts`.
fn counted(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_restart_and_one_core_dump() {
        let said = |reason: Reason| reason.to_string();
        assert_eq!(said(Reason::GaveUpRestarts(1)), "gave up after 1 restart");
        assert_eq!(said(Reason::GaveUpRestarts(2)), "gave up after 2 restarts");
        assert_eq!(said(Reason::GaveUpCores(1)), "gave up after 1 core dump");
        assert_eq!(said(Reason::GaveUpCores(3)), "gave up after 3 core dumps");
    }
}
