//! The words of the machine: what can be, what is wanted, and what follows.

use crate::machine::health::Health;
use crate::machine::words::command::Signal;
pub use crate::status::record::Want;
use crate::status::rest::Rest;
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use nix::unistd::Pid;
use std::time::Duration;

/// How long a script in `control/` may take.
pub const CONTROL_TIME: Duration = Duration::from_secs(10);

/// How a service is run, which no settings change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Setup {
    /// Supervision ends when the service is given up (`supervise`).
    pub ends_when_failed: bool,
    /// An exit with a restart is a notice in the log, unless it opens an alarm window (`supervise`).
    pub restart_is_notice: bool,
    /// A command runs after each exit (`-r`), in the place of `finish`.
    pub restart_hook: bool,
    /// The restart hook's count of exits begins anew when this has passed between two exits (`-t`).
    pub count_reset: Option<Duration>,
    /// There may be scripts in `control/`: the service is a directory, and no logger.
    pub controls: bool,
}

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
    /// The service is to start, and waits until those that it needs are ready.
    Waiting,
    /// What runs before a start was asked for: the restart hook, or `control/u`. The answer is the next event.
    PreStartRequested,
    /// The restart hook or `control/u` runs.
    PreStart {
        /// The hook's pid.
        pid: Pid,
        /// When the hook is killed; `None` for a restart hook, which may take as long as it likes.
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
        /// The pid of `finish`.
        pid: Pid,
        /// When `finish` is killed.
        until: Option<Mono>,
        /// What follows `finish`.
        next: Next,
    },
    /// The service ended too often, and was given up.
    Failed,
    /// A one-shot has succeeded.
    Done,
    /// Supervision is over.
    Ended,
}

/// A run process that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The process's pid.
    pub pid: Pid,
    /// When the process was started.
    pub since: Mono,
    /// Stopped with `p`.
    pub paused: bool,
    /// The process got the stop signal, or TERM.
    pub got_term: bool,
    /// How far the stop has come.
    pub stop: Stop,
    /// Somebody sent a signal that asks for the process's end; an end before this time is not a failure.
    pub expected_exit_until: Option<Mono>,
    /// Somebody wanted the service up after the stop had begun: the stop is completed, and then a start follows.
    pub restart_after_stop: bool,
    /// The process is being ended for its own failure: the end counts like one that nobody has requested.
    pub failed: bool,
    /// Whether the process is ready, and well.
    pub health: Health,
}

/// How far the stop of a run process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Nobody stops it.
    No,
    /// A stop of the process has been asked for, and those that need it have to stop first; they are waited for until this time, if there
    /// is one.
    Held(Option<Mono>),
    /// The process is a logger whose input has ended; it may read what is left until this time.
    EndOfInput(Mono),
    /// A stop was requested, and `control/t` runs first.
    Requested,
    /// The process got the stop signal, and will get KILL at this time, if any.
    Signalled(Option<Mono>),
    /// The process got KILL.
    Killed,
}

/// What follows the end of a run process, once `finish` has ended.
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
    /// Nothing: the tree ends with the service.
    ShutDown,
    /// Nothing: a one-shot has succeeded.
    Done,
}

/// What follows once neither the run process nor `finish` runs any more, as things stand: [`Next`], and what is wanted by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// A logger whose service is gone starts once more, to read what is left.
    ReadTheRest,
    /// Supervision ends.
    Leave,
    /// The service is given up.
    GiveUp,
    /// No start: the `restart` setting says so.
    StayDown,
    /// No start: the tree ends, the `shutdown_on` setting says so.
    ShutDown,
    /// No start: nobody wants one.
    Down,
    /// No start: a one-shot has succeeded.
    Done,
    /// A start that somebody asked for.
    Start(Want),
    /// A start because the service is wanted up.
    Restart,
}

/// Why supervision is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leave {
    /// `x`: when the run process has ended by itself.
    WhenDown,
    /// A logger's service is gone: when the logger has read to the end of its input.
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

/// Why the state is what it is, where it is not what somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is down, and stays so.
    Rests(Rest),
    /// The limit of restarts.
    GaveUpRestarts(u32),
    /// The limit of core dumps.
    GaveUpCores(u32),
    /// A limit that was reached under an earlier supervisor.
    GaveUpEarlier,
    /// The tree ends with this service: `shutdown_on`.
    ShutDown,
    /// The last start failed.
    StartFailed(StartError),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Rests(rest) => rest.fmt(f),
            Reason::GaveUpRestarts(restarts) => write!(f, "gave up after {}", counted(*restarts, "restart")),
            Reason::GaveUpCores(cores) => write!(f, "gave up after {}", counted(*cores, "core dump")),
            Reason::GaveUpEarlier => f.write_str("gave up under an earlier supervisor"),
            Reason::ShutDown => f.write_str("the shutdown_on setting ends the tree"),
            Reason::StartFailed(error) => write!(f, "could not be started: {error}"),
        }
    }
}

/// How long a logger may still read, and what that has taken so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::machine) struct LastWords {
    /// At this time a process that still reads is stopped, and none follows one that dies later, however often it was started
    /// again: the end of the tree waits for it.
    pub(in crate::machine) until: Mono,
    /// Starts, or tries at one, because a process has died.
    pub(in crate::machine) starts: u32,
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
