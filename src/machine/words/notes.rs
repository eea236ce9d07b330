//! What the machine says in a module's log: each line once, as a value that tests can compare.

use crate::machine::standing::Call;
use crate::machine::words::command::Signal;
use crate::machine::words::events::Event;
use crate::machine::words::states::{After, Reason, State};
use crate::sys::process::pidfd::{ExitStatus, signal_name};
use crate::sys::process::start::StartError;
use log::Level;
use nix::unistd::Pid;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Supervision begins, and a `down` file keeps the service down.
    DownFile,
    /// `d` in a delay.
    StartCancelled,
    /// A signal was requested while there is no run process.
    NobodyToSignal(Signal),
    /// The run process was started.
    Started(Pid),
    /// The run process could not be started.
    CannotStart(StartError, Then),
    /// The run process has ended.
    Ended {
        /// The process's pid.
        pid: Pid,
        /// How long the process ran; not known if there was no supervisor when it ended.
        uptime: Option<Duration>,
        /// How it ended.
        status: ExitStatus,
        /// What follows.
        then: Then,
        /// Nobody has to look into it.
        is_fine: bool,
    },
    /// A limit was reached.
    GaveUp {
        /// Which.
        reason: Reason,
        /// Supervision ends with that.
        supervision_ends: bool,
    },
    /// `finish` wants no restart.
    FinishForbidsRestart,
    /// A hook or `finish` takes too long.
    HelperKilled(Helper, Pid),
    /// A stop begins.
    Stopping {
        /// The run process's pid.
        pid: Pid,
        /// The stop signal's number.
        signal: i32,
        /// `control/t` has done the signal's work.
        left_to_script: bool,
        /// When KILL follows, if it does.
        kill_after: Option<Duration>,
    },
    /// A logger runs on although its input has ended.
    IgnoresEndOfInput(Pid),
    /// A logger has died before the end of its input, and is not started again.
    LastWordsLost,
    /// `kill_timeout` is over.
    KillTimeout(Pid),
    /// A signal was sent by command.
    Signalled(Signal, Pid),
    /// A script in `control/` has done a signal's work.
    LeftToScript(Signal, Pid),
    /// `x` while the run process lives.
    LeavesAfter(Pid),
    /// Supervision has ended.
    Left,
    /// The run process of an earlier supervisor runs on.
    AdoptedRun(Pid),
    /// A hook or `finish` of an earlier supervisor runs on.
    AdoptedHelper(Helper, Pid),
    /// An earlier supervisor was killed, and no process of it is left.
    NothingAdopted,
    /// The run process is ready, so long after its start.
    Ready(Pid, Duration),
    /// A reload is through, or checks succeed again.
    WellAgain(Pid),
    /// The run process has said that it is going to end.
    EndsByItself(Pid),
    /// Checks have failed.
    Unhealthy {
        /// The run process's pid.
        pid: Pid,
        /// How many in a row.
        failures: u32,
        /// It is restarted for that.
        restarts: bool,
    },
    /// `ready_timeout` is over.
    NotReadyInTime(Pid, Duration),
    /// The watchdog's time is over, or the run process has called for it; the signal that it gets.
    Watchdog(Pid, Option<Duration>, i32),
    /// A time limit is over, and we were not awake ourselves.
    WokeLate,
    /// Those that need the run process have not stopped in time.
    OthersTakeTooLong(Pid),
    /// Another module's stop or restart takes the run process along.
    Called(Call, Pid),
    /// An event came in a state in which it cannot.
    Bug(Box<(Event, State)>),
}

/// What runs before a start or after an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    /// `control/u`.
    ControlUp,
    /// The restart command (`-r`).
    RestartHook,
    /// `finish`.
    Finish,
}

/// What follows an end or a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Another try, in this time.
    TryAgain(Duration),
    /// As things stand.
    After {
        /// What.
        after: After,
        /// How long a start waits.
        delay: Duration,
        /// `finish` runs first.
        has_finish: bool,
    },
}

impl Note {
    /// How much a reader has to care.
    pub fn level(&self) -> Level {
        match self {
            Note::GaveUp { .. } | Note::Bug(..) => Level::Error,
            Note::CannotStart(..)
            | Note::Ended { is_fine: false, .. }
            | Note::HelperKilled(..)
            | Note::IgnoresEndOfInput(_)
            | Note::LastWordsLost
            | Note::KillTimeout(_)
            | Note::Unhealthy { .. }
            | Note::NotReadyInTime(..)
            | Note::OthersTakeTooLong(_)
            | Note::Watchdog(..) => Level::Warn,
            Note::DownFile
            | Note::StartCancelled
            | Note::NobodyToSignal(_)
            | Note::Started(_)
            | Note::Ended { is_fine: true, .. }
            | Note::FinishForbidsRestart
            | Note::Stopping { .. }
            | Note::Signalled(..)
            | Note::LeftToScript(..)
            | Note::LeavesAfter(_)
            | Note::Left
            | Note::AdoptedRun(_)
            | Note::AdoptedHelper(..)
            | Note::Ready(..)
            | Note::WellAgain(_)
            | Note::EndsByItself(_)
            | Note::WokeLate
            | Note::Called(..)
            | Note::NothingAdopted => Level::Info,
        }
    }

    /// The line for the log of `module`, which it names where it names a command.
    pub fn line<'a>(&'a self, module: &'a str) -> Line<'a> {
        Line { note: self, module }
    }
}

/// A note in a module's log.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    note: &'a Note,
    module: &'a str,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.note {
            Note::DownFile => f.write_str("down: there is a down file"),
            Note::StartCancelled => f.write_str("down: the start that was waiting is cancelled"),
            Note::NobodyToSignal(signal) => write!(f, "{} not sent: nothing runs", name(*signal)),
            Note::Started(pid) => write!(f, "started, pid {pid}"),
            Note::CannotStart(error, then) => write!(f, "cannot start: {error}; {then}"),
            Note::Ended { pid, uptime: Some(uptime), status, then, .. } => {
                write!(f, "pid {pid} ended after {}: {status}; {then}", seconds(*uptime))
            }
            Note::Ended { pid, uptime: None, status, then, .. } => {
                write!(f, "pid {pid} ended while there was no supervisor: {status}; {then}")
            }
            Note::GaveUp { reason, supervision_ends: true } => write!(f, "{reason}: no restart; supervision ends"),
            Note::GaveUp { reason, supervision_ends: false } => {
                write!(f, "{reason}: no restart; `svctl start {}` starts it again", self.module)
            }
            Note::FinishForbidsRestart => f.write_str("finish exited 125: no restart"),
            Note::HelperKilled(helper @ (Helper::ControlUp | Helper::RestartHook), pid) => {
                write!(f, "{helper} (pid {pid}) is killed: it takes too long")
            }
            Note::HelperKilled(Helper::Finish, pid) => {
                write!(f, "finish (pid {pid}) is killed: finish_timeout is over")
            }
            Note::Stopping { pid, signal, left_to_script, kill_after } => {
                let sent = if *left_to_script { "left to control/t" } else { "sent" };
                let kill = kill_after.map_or("never".into(), |time| format!("in {}", seconds(time)));
                write!(f, "stopping pid {pid}: {} {sent}, KILL {kill}", signal_name(*signal))
            }
            Note::IgnoresEndOfInput(pid) => write!(f, "pid {pid} goes on after the end of its input"),
            Note::LastWordsLost => {
                f.write_str("not started again to read what is left: whatever its pipe still holds is lost")
            }
            Note::KillTimeout(pid) => write!(f, "pid {pid} is still there after kill_timeout: KILL sent"),
            Note::Signalled(signal, pid) => write!(f, "{} sent to pid {pid}", name(*signal)),
            Note::LeftToScript(signal, pid) => {
                write!(f, "{} not sent to pid {pid}: control/{} exited 0", name(*signal), signal.letter())
            }
            Note::LeavesAfter(pid) => write!(f, "told to exit: leaving when pid {pid} has ended"),
            Note::Left => f.write_str("leaving: nothing runs any more"),
            Note::AdoptedRun(pid) => write!(f, "adopted: pid {pid} runs on from an earlier supervisor"),
            Note::AdoptedHelper(helper, pid) => {
                write!(f, "adopted: {helper}, pid {pid}, runs on from an earlier supervisor")
            }
            Note::NothingAdopted => f.write_str("going on where an earlier supervisor ended; nothing runs"),
            Note::Ready(pid, after) => write!(f, "pid {pid} is ready after {}", seconds(*after)),
            Note::WellAgain(pid) => write!(f, "pid {pid} is ready and well again"),
            Note::EndsByItself(pid) => write!(f, "pid {pid} says that it is going to end"),
            Note::Unhealthy { pid, failures, restarts } => {
                let then = if *restarts { "it is stopped, as a failure" } else { "it runs on" };
                write!(f, "pid {pid} is unhealthy: {failures} checks in a row have failed; {then}")
            }
            Note::NotReadyInTime(pid, limit) => {
                write!(f, "pid {pid} was not ready within {}: it is stopped, as a failure", seconds(*limit))
            }
            Note::Watchdog(pid, silence, signal) => {
                let why = silence.map_or("says that it is unwell".into(), |time| {
                    format!("has not said for {} that it is well", seconds(time))
                });
                write!(f, "pid {pid} {why}: {} sent", signal_name(*signal))
            }
            Note::WokeLate => f.write_str("we stood still while a time limit of the service ended: it begins anew"),
            Note::OthersTakeTooLong(pid) => {
                write!(f, "pid {pid} is stopped before all that need it, for they take too long and nothing kills them")
            }
            Note::Called(Call::Halt, pid) => {
                write!(f, "stopping pid {pid}, for what it needs is being stopped; it comes back with that")
            }
            Note::Called(Call::Restart, pid) => {
                write!(f, "restarting pid {pid}, for what it is restarted with was replaced")
            }
            Note::Bug(what) => write!(f, "bug: {:?} in state {:?}; it is ignored", what.0, what.1),
        }
    }
}

impl Display for Helper {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Helper::ControlUp => "control/u",
            Helper::RestartHook => "the restart command",
            Helper::Finish => "finish",
        })
    }
}

impl Display for Then {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Then::TryAgain(delay) => write!(f, "trying again in {}", seconds(*delay)),
            Then::After { after, delay, has_finish } => match after {
                After::Leave => f.write_str("leaving"),
                After::GiveUp => f.write_str("giving up"),
                After::StayDown => f.write_str("no restart: the restart setting says so"),
                After::ShutDown => f.write_str("the tree ends: the shutdown_on setting says so"),
                After::Down => f.write_str("down"),
                After::Done => f.write_str("done"),
                // `finish` may forbid a restart that nobody has asked for.
                After::Restart if *has_finish => {
                    write!(f, "running finish; restarting in {} unless it exits 125", seconds(*delay))
                }
                After::Restart | After::Start(_) => write!(f, "restarting in {}", seconds(*delay)),
                After::ReadTheRest => f.write_str("restarting to read what is left"),
            },
        }
    }
}

fn name(signal: Signal) -> String {
    signal_name(signal.number())
}

/// Seconds with one decimal, as the log shows them.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
