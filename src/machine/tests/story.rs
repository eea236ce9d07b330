//! A machine, a time, and short words for what happens to it.

use crate::conf::policy::Policy;
use crate::machine::words::command::{Command, Signal};
use crate::machine::{Action, Alarm, AlarmReason, Answer, Control, Event, Machine, Note, Reaped, Setup, State};
use crate::sys::process::pidfd::{ExitStatus, signal_name};
use crate::sys::process::start::{StartError, Step};
use crate::sys::time::Mono;
use crate::sys::{Errno, Pid};
use std::time::Duration;

/// What a process that was killed by `abort` leaves behind.
pub const CORE: ExitStatus = ExitStatus::Signal { number: libc::SIGABRT, core: true };

/// A start that fails until a person does something.
pub const NO_FILE: StartError = StartError { step: Step::Exec, errno: Errno::ENOENT };

/// A start that fails for want of processes.
pub const NO_PROCESSES: StartError = StartError { step: Step::Clone, errno: Errno::EAGAIN };

/// The run process has ended; there is no `finish`.
pub fn exited(status: ExitStatus) -> Event {
    Event::Reaped(Reaped::Run { status, has_finish: false })
}

/// The run process could not be started; there is no `finish`.
pub fn start_failed(error: StartError) -> Event {
    Event::Answer(Answer::StartFailed { error, has_finish: false })
}

/// A service directory of the tree, without `control/`.
pub const PLAIN: Setup = Setup {
    ends_when_failed: false,
    restart_is_notice: false,
    restart_hook: false,
    count_reset: None,
    controls: false,
};

/// A service that may have scripts in `control/`.
pub const WITH_CONTROLS: Setup = Setup { controls: true, ..PLAIN };

/// A command with `-r`.
pub const WITH_HOOK: Setup = Setup { restart_hook: true, ..PLAIN };

/// Settings of which each has a value.
pub fn policy() -> Policy {
    Policy {
        interval: Some(seconds(60.0)),
        max_tries: Some(3),
        max_cores: Some(1),
        delay: seconds(1.0),
        delay_max: seconds(1.0),
        kill_timeout: Some(seconds(10.0)),
        finish_timeout: Some(seconds(5.0)),
        stop_signal: libc::SIGTERM,
        kill_mode: crate::conf::policy::KillMode::Mixed,
        ..Policy::default()
    }
}

pub fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// So many seconds after the story's beginning.
pub fn at(after: f64) -> Mono {
    Mono(seconds(1000.0 + after))
}

/// A machine and its time.
#[derive(Clone)]
pub struct Story {
    pub machine: Machine,
    pub now: Mono,
    pids: i32,
}

impl Story {
    /// Nothing has happened yet.
    pub fn new(policy: Policy) -> Story {
        Story::with(PLAIN, policy)
    }

    /// The same for a service that is run in another way.
    pub fn with(setup: Setup, policy: Policy) -> Story {
        Story { machine: Machine::new(setup, policy), now: at(0.0), pids: 100 }
    }

    /// The run process was started when the story began.
    pub fn up(policy: Policy) -> Story {
        Story::up_with(PLAIN, policy)
    }

    /// The same for a service that is run in another way.
    pub fn up_with(setup: Setup, policy: Policy) -> Story {
        let mut story = Story::with(setup, policy);
        story.step(Event::Begin(true));
        story.started();
        story
    }

    /// The clock goes on.
    pub fn wait(&mut self, time: f64) -> &mut Story {
        self.now = self.now + seconds(time);
        self
    }

    /// One step; its actions in short words, without the log lines.
    pub fn step(&mut self, event: Event) -> String {
        brief(&self.machine.step(event, self.now))
    }

    /// A byte of the control FIFO.
    pub fn send(&mut self, byte: char) -> String {
        let command = u8::try_from(byte).ok().and_then(Command::from_byte);
        self.step(Event::Command(command.expect("a byte that means something")))
    }

    pub fn signal(&mut self, signal: Signal) -> String {
        self.step(Event::Command(Command::Signal(signal)))
    }

    /// The start that was asked for goes well.
    pub fn started(&mut self) -> String {
        self.pids += 1;
        self.step(Event::Answer(Answer::Started(Pid::from_raw(self.pids))))
    }

    pub fn exits(&mut self, code: i32) -> String {
        self.step(exited(ExitStatus::Code(code)))
    }

    /// A script in `control/` has ended, or there is none.
    pub fn control(&mut self, control: Control, done: bool) -> String {
        let run = self.machine.run().expect("a run process").pid;
        self.step(Event::Control { control, run, done })
    }

    /// There is no `finish`.
    pub fn no_finish(&mut self) -> String {
        self.step(Event::Answer(Answer::FinishStarted(None)))
    }

    pub fn finish_runs(&mut self) -> String {
        self.pids += 1;
        self.step(Event::Answer(Answer::FinishStarted(Some(Pid::from_raw(self.pids)))))
    }

    pub fn finish_ends(&mut self, code: i32) -> String {
        self.step(Event::Reaped(Reaped::Finish(ExitStatus::Code(code))))
    }

    /// The clock goes on to the machine's deadline, which is reached.
    pub fn due(&mut self) -> String {
        self.now = self.now.max(self.machine.deadline().expect("a deadline"));
        self.step(Event::DeadlineReached)
    }

    /// How long the next start still waits.
    pub fn backoff(&self) -> Duration {
        match self.machine.state() {
            State::Backoff { until } => until.since(self.now),
            other => panic!("no backoff: {other:?}"),
        }
    }

    pub fn state(&self) -> State {
        self.machine.state()
    }

    pub fn policy(&mut self, change: impl FnOnce(&mut Policy)) {
        let mut policy = self.machine.policy;
        change(&mut policy);
        self.step(Event::Policy(Box::new(policy)));
    }
}

/// Actions in short words; of the log, only bugs.
pub fn brief(actions: &[Action]) -> String {
    let word = |action: &Action| {
        Some(match action {
            Action::RunHook(exits) => format!("hook({exits})"),
            Action::Start => "start".into(),
            Action::RunFinish { .. } => "finish".into(),
            Action::Signal { number, group: false } => signal_name(*number),
            Action::Signal { number, group: true } => format!("{}-group", signal_name(*number)),
            Action::RunControl(control) => format!("control/{}", control.letter()),
            Action::KillControls => "kill-controls".into(),
            Action::KillHelper => "kill-helper".into(),
            Action::KillStray(_) => "kill-stray".into(),
            Action::AskStart => "ask-start".into(),
            Action::AskStop => "ask-stop".into(),
            Action::RunCheck => "check".into(),
            Action::KillCheck(None) => "kill-check".into(),
            Action::KillCheck(Some(_)) => "kill-slow-check".into(),
            Action::Alarm(alarm) => alarm_word(alarm),
            Action::Log(Note::Bug(..)) => "bug".into(),
            Action::ShutDown(_) => "shutdown".into(),
            Action::Log(_) => return None,
        })
    };
    actions.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

fn alarm_word(alarm: &Alarm) -> String {
    match alarm.reason {
        AlarmReason::Exited => "alarm(Exited)".into(),
        AlarmReason::Unhealthy(_) => "alarm(Unhealthy)".into(),
        AlarmReason::NotReady(_) => "alarm(NotReady)".into(),
        AlarmReason::Watchdog(_) => "alarm(Watchdog)".into(),
        AlarmReason::Recovered => "alarm(Recovered)".into(),
        AlarmReason::GaveUp(reason) => format!("alarm({reason})"),
    }
}

/// What the log is told.
pub fn notes(actions: &[Action]) -> Vec<&Note> {
    actions.iter().filter_map(|action| if let Action::Log(note) = action { Some(note) } else { None }).collect()
}
