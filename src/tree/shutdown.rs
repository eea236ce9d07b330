//! How the tree ends: who has asked for it, how long it may take, and the exit code that it leaves with.

use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use nix::errno::Errno;
use std::time::Duration;

/// How the tree is to end, as its command line says.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShutdownRules {
    /// `--stop-timeout`: what is left after this gets KILL.
    pub timeout: Option<Duration>,
    /// `--container`: to be told to end once more means nothing, for a `finish` may do it.
    pub once: bool,
}

/// The end of the tree, as far as it has come.
#[derive(Debug)]
pub(super) struct Shutdown {
    rules: ShutdownRules,
    begun: bool,
    kills: bool,
    deadline: Option<Mono>,
    exit_code: u8,
}

/// What follows when somebody asks for the tree's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Stop everything in order.
    Stop,
    /// Kill what is left.
    Kill,
    /// Nothing: it ends already.
    Nothing,
}

impl Shutdown {
    pub(super) fn new(rules: ShutdownRules) -> Shutdown {
        Shutdown { rules, begun: false, kills: false, deadline: None, exit_code: 0 }
    }

    /// Whether the tree is ending.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether what is left is killed, so that nothing is waited for.
    pub(super) fn kills(&self) -> bool {
        self.kills
    }

    /// What the tree leaves with.
    pub(super) fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// A signal or a command asks for the end.
    pub(super) fn asked(&mut self, now: Mono) -> Asked {
        match (self.begun, self.rules.once) {
            (false, _) => {
                self.begin(now);
                Asked::Stop
            }
            (true, true) => Asked::Nothing,
            (true, false) => {
                self.kills = true;
                Asked::Kill
            }
        }
    }

    /// A service's end asks for it; whether it is the first to do so.
    pub(super) fn asked_by_service(&mut self, exit: Result<ExitStatus, StartError>, now: Mono) -> bool {
        if self.begun {
            return false;
        }
        self.begin(now);
        self.exit_code = exit_code(exit);
        true
    }

    fn begin(&mut self, now: Mono) {
        self.begun = true;
        self.deadline = self.rules.timeout.map(|timeout| now + timeout);
    }

    /// When what is left is killed.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.deadline.filter(|_| !self.kills)
    }

    /// The time of [`Shutdown::deadline`] has come.
    pub(super) fn time_is_over(&mut self) {
        self.kills = true;
    }
}

/// The exit code of a service as a shell tells it: 128 and the signal's number after a signal, 127 for a program that is not
/// there, 126 for one that cannot be executed. What nobody can know is 111.
fn exit_code(exit: Result<ExitStatus, StartError>) -> u8 {
    const UNKNOWN: u8 = 111;
    match exit {
        Ok(ExitStatus::Code(code)) => u8::try_from(code).unwrap_or(UNKNOWN),
        Ok(ExitStatus::Signal { number, .. }) => u8::try_from(128 + number).unwrap_or(UNKNOWN),
        Ok(ExitStatus::Unknown) => UNKNOWN,
        Err(StartError { errno, .. }) => not_executed(errno),
    }
}

/// The exit code for a program that could not be executed, as a shell tells it.
pub fn not_executed(errno: Errno) -> u8 {
    if errno == Errno::ENOENT { 127 } else { 126 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::start::Step;

    fn now() -> Mono {
        Mono::now()
    }

    #[test]
    fn the_exit_code_is_that_of_a_shell() {
        assert_eq!(exit_code(Ok(ExitStatus::Code(0))), 0);
        assert_eq!(exit_code(Ok(ExitStatus::Code(255))), 255);
        assert_eq!(exit_code(Ok(ExitStatus::Signal { number: libc::SIGKILL, core: false })), 137);
        assert_eq!(exit_code(Ok(ExitStatus::Signal { number: 64, core: false })), 192);
        assert_eq!(exit_code(Ok(ExitStatus::Unknown)), 111);
        let failed = |errno| StartError { step: Step::Exec, errno };
        assert_eq!(exit_code(Err(failed(Errno::ENOENT))), 127);
        assert_eq!(exit_code(Err(failed(Errno::EACCES))), 126);
    }

    #[test]
    fn the_second_request_kills_but_in_a_container() {
        let mut shutdown = Shutdown::new(ShutdownRules::default());
        assert_eq!(shutdown.asked(now()), Asked::Stop);
        assert_eq!(shutdown.asked(now()), Asked::Kill);
        assert!(shutdown.kills());
        let mut shutdown = Shutdown::new(ShutdownRules { once: true, timeout: None });
        assert_eq!(shutdown.asked(now()), Asked::Stop);
        assert_eq!(shutdown.asked(now()), Asked::Nothing);
        assert!(!shutdown.kills());
    }

    #[test]
    fn the_first_service_decides_the_exit_code() {
        let mut shutdown = Shutdown::new(ShutdownRules::default());
        assert!(shutdown.asked_by_service(Ok(ExitStatus::Code(3)), now()));
        assert!(!shutdown.asked_by_service(Ok(ExitStatus::Code(4)), now()));
        assert_eq!(shutdown.exit_code(), 3);
        // Whoever was told to end before has not failed.
        let mut shutdown = Shutdown::new(ShutdownRules::default());
        shutdown.asked(now());
        assert!(!shutdown.asked_by_service(Ok(ExitStatus::Code(4)), now()));
        assert_eq!(shutdown.exit_code(), 0);
    }

    #[test]
    fn the_deadline_begins_with_the_stop() {
        let rules = ShutdownRules { timeout: Some(Duration::from_secs(8)), once: true };
        let mut shutdown = Shutdown::new(rules);
        assert_eq!(shutdown.deadline(), None);
        let begin = now();
        shutdown.asked(begin);
        assert_eq!(shutdown.deadline(), Some(begin + Duration::from_secs(8)));
        shutdown.time_is_over();
        assert_eq!(shutdown.deadline(), None);
        assert!(shutdown.kills());
    }
}
