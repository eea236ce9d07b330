//! The settings that decide when a service is started, stopped and given up. The machine holds them as they are.

use crate::conf::relations::Kind;
use std::time::Duration;

/// Which processes a signal goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KillMode {
    /// The run process alone.
    #[default]
    Process,
    /// The run process; what is left of its group gets KILL when `kill_timeout` is over, and once it is gone and `finish` has
    /// run: after a stop at once, else before the next start.
    Mixed,
    /// Its process group; what is left of it gets KILL once it is gone and `finish` has run.
    Group,
    /// As mixed, for the control group: everything that the service ever started.
    Cgroup,
}

/// Whether a run process that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Yes.
    #[default]
    Always,
    /// Not after exit code 0.
    OnFailure,
    /// No.
    Never,
}

/// Whether the whole tree ends with a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShutdownOn {
    /// No.
    #[default]
    Never,
    /// When a limit was reached and the service is given up.
    Failed,
    /// When it ends by anything but exit code 0, or cannot be started.
    Failure,
    /// When it ends at all.
    Exit,
}

/// A zero that the manual calls "none" is `None` here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// `alarm_interval`: length of the alarm window; `None`: no alarms and no limits.
    pub interval: Option<Duration>,
    /// `alarm_recovery`: whether it is told when all is well after an alarm.
    pub alarm_recovery: bool,
    /// `max_tries`: most restarts in a window.
    pub max_tries: Option<u32>,
    /// `max_tries_if_coredumped`: the core dump in a window that is one too many.
    pub max_cores: Option<u32>,
    /// `restart_delay`: least time between two starts.
    pub delay: Duration,
    /// `restart_delay_max`: what the delay may grow to; `delay` if it does not grow.
    pub delay_max: Duration,
    /// `kill_timeout`: from the stop signal to KILL; `None`: never.
    pub kill_timeout: Option<Duration>,
    /// `finish_timeout`: how long `finish` may run; `None`: for ever.
    pub finish_timeout: Option<Duration>,
    /// `stop_signal`: the signal's number that `d` sends.
    pub stop_signal: i32,
    /// `kill_mode`: which processes a signal goes to.
    pub kill_mode: KillMode,
    /// `restart`: whether to start again.
    pub restart: RestartPolicy,
    /// `shutdown_on`: whether the tree ends with the service.
    pub shutdown_on: ShutdownOn,
    /// `type`: whether the run process is to stay or to end.
    pub kind: Kind,
}
