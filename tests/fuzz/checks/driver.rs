//! Drives the machine as its thread does, in a world that is made of bytes: command bytes are commands, and what
//! else can happen is drawn from the rest. Shared by the targets.

use nix::unistd::Pid;
use std::collections::VecDeque;
use std::time::Duration;
use supervise_tree::conf::policy::Policy;
use supervise_tree::machine::words::command::Command;
use supervise_tree::machine::{Action, Answer, Control, Event, Leave, Machine, Note, Reaped, Setup, State, Turn, Want};
use supervise_tree::sys::Errno;
use supervise_tree::sys::process::pidfd::ExitStatus;
use supervise_tree::sys::process::start::{StartError, Step};
use supervise_tree::sys::time::Mono;

/// The machine, and the processes that it believes in.
pub struct World {
    pub machine: Machine,
    pub now: Mono,
    pub run: Option<Pid>,
    pub helper: Option<Pid>,
    /// Scripts in `control/`: the first one runs.
    scripts: VecDeque<(Control, Pid)>,
    next_pid: i32,
    starts_fail: bool,
    has_finish: bool,
    restart_hook: bool,
}

impl World {
    pub fn new(setup: Setup, policy: Policy, now: Mono, has_finish: bool) -> World {
        World {
            restart_hook: setup.restart_hook,
            machine: Machine::new(setup, policy),
            now,
            run: None,
            helper: None,
            scripts: VecDeque::new(),
            next_pid: 1000,
            starts_fail: false,
            has_finish,
        }
    }

    fn pid(&mut self) -> Pid {
        self.next_pid += 1;
        Pid::from_raw(self.next_pid)
    }

    /// The end of the run process.
    fn exited(&mut self, status: ExitStatus) {
        self.feed(Event::Reaped(Reaped::Run { status, has_finish: self.has_finish }));
    }

    /// Feeds one event, and carries out what follows.
    pub fn feed(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let actions = self.machine.step(event, self.now);
            assert!(actions.len() < 16, "{actions:?}");
            for action in actions {
                match action {
                    Action::Start => {
                        assert!(self.run.is_none(), "a second run process");
                        assert!(self.helper.is_none(), "a start beside finish or the hook");
                        let wanted =
                            self.machine.want() != Want::Down || self.machine.leave() == Some(Leave::EndOfInput);
                        assert!(wanted, "a start that nobody wants");
                        events.push(Event::Answer(if self.starts_fail {
                            let error = StartError { step: Step::Stdin, errno: Errno::ENOENT };
                            Answer::StartFailed { error, has_finish: self.has_finish }
                        } else {
                            let pid = self.pid();
                            self.run = Some(pid);
                            Answer::Started(pid)
                        }));
                    }
                    Action::RunHook(_) | Action::RunFinish { .. } => {
                        assert!(self.helper.is_none() && self.run.is_none());
                        self.helper = self.has_finish.then(|| self.pid());
                        events.push(match action {
                            // The restart command takes the place of `finish`.
                            Action::RunHook(_) if !self.restart_hook => Event::Answer(Answer::HookStarted(self.helper)),
                            _ => Event::Answer(Answer::FinishStarted(self.helper)),
                        });
                    }
                    Action::Signal { number, .. } => {
                        assert!((1..=64).contains(&number));
                        assert!(self.run.is_some(), "a signal to nobody");
                    }
                    Action::RunControl(control) => {
                        let run = self.run.expect("a script for nobody");
                        // Some commands have one, and some have none.
                        if !u32::from(control.letter()).is_multiple_of(2) {
                            events.push(Event::Control { control, run, done: false });
                        } else if !self.scripts.contains(&(control, run)) {
                            self.scripts.push_back((control, run));
                        }
                    }
                    Action::KillControls => self.scripts.clear(),
                    Action::Log(Note::Bug(what)) => panic!("{:?} in {:?}", what.0, what.1),
                    Action::KillStray(pid) => panic!("{pid} is a stray"),
                    // Nobody else is in the order, and nothing is looked at.
                    Action::AskStart => events.push(Event::Turn(Turn::MayStart)),
                    Action::AskStop => events.push(Event::Turn(Turn::MayStop)),
                    Action::RunCheck | Action::KillCheck(_) => panic!("nobody has asked for a look"),
                    Action::KillHelper | Action::Alarm(_) | Action::ShutDown(_) | Action::Log(_) => {}
                }
            }
        }
        self.check();
    }

    /// One byte of the command stream, or of what else can happen.
    pub fn take(&mut self, byte: u8) {
        if let Some(command) = Command::from_byte(byte) {
            return self.feed(Event::Command(command));
        }
        match byte {
            b'E' if self.run.take().is_some() => self.exited(ExitStatus::Code(0)),
            b'C' if self.run.take().is_some() => {
                self.exited(ExitStatus::Signal { number: libc_sigsegv(), core: true });
            }
            b'F' if self.helper.take().is_some() => match self.machine.state() {
                State::PreStart { .. } => self.feed(Event::Reaped(Reaped::Hook)),
                _ => self.feed(Event::Reaped(Reaped::Finish(ExitStatus::Code(0)))),
            },
            b'N' if self.helper.take().is_some() => match self.machine.state() {
                State::PreStart { .. } => self.feed(Event::Reaped(Reaped::Hook)),
                _ => self.feed(Event::Reaped(Reaped::Finish(ExitStatus::Code(125)))),
            },
            b'S' | b'T' => {
                if let Some((control, run)) = self.scripts.pop_front() {
                    self.feed(Event::Control { control, run, done: byte == b'S' });
                }
            }
            b'X' => self.feed(Event::Command(Command::StopAndExit)),
            b'D' => {
                if let Some(deadline) = self.machine.deadline() {
                    self.now = self.now.max(deadline);
                    self.feed(Event::DeadlineReached);
                }
            }
            b'B' => self.starts_fail = !self.starts_fail,
            b'L' => self.feed(Event::Leave(Leave::Stop)),
            b'I' => self.feed(Event::Leave(Leave::EndOfInput)),
            b'K' => self.feed(Event::KillNow),
            // Time passes: up to half a minute.
            _ => self.now = self.now + Duration::from_millis(u64::from(byte) * 125),
        }
    }

    /// What must hold after every event.
    fn check(&self) {
        let state = self.machine.state();
        assert_eq!(self.machine.run().map(|run| run.pid), self.run, "{state:?}");
        match state {
            State::PreStart { pid, .. } | State::Finishing { pid, .. } => assert_eq!(Some(pid), self.helper),
            _ => assert_eq!(self.helper, None, "{state:?}"),
        }
        assert!(
            !matches!(state, State::PreStartRequested | State::StartRequested | State::FinishRequested(_)),
            "{state:?}"
        );
    }
}

fn libc_sigsegv() -> i32 {
    nix::sys::signal::Signal::SIGSEGV as i32
}
