//! A simulated process table around a machine, and what must never happen in it.
//!
//! The world is more unruly than the real one: answers to what the machine asks for come late, with other events
//! before them, and deadlines are missed. What the limits must do is counted here once more, from outside.

use crate::conf::policy::Policy;
use crate::conf::policy::{KillMode, RestartPolicy, ShutdownOn};
use crate::conf::relations::Kind;
use crate::machine::health::{HealthRules, Notice};
use crate::machine::history::tally::Tally;
use crate::machine::standing::{Call, Standing};
use crate::machine::steps::ending::restarts_after;
use crate::machine::tests::story::{at, exited, start_failed};
use crate::machine::words::command::Command;
use crate::machine::{
    Action, Actions, Answer, Control, Event, Leave, Machine, Next, Note, Reaped, Run, Setup, Sign, State, Stop, Turn,
    Want,
};
use crate::sys::Pid;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

mod agree;
mod allowed;
mod reach;

/// How long a signal that asks for an end excuses one.
const EXPECTED_EXIT_WINDOW: Duration = Duration::from_secs(60);

/// How often a logger is started to read the rest because another one has died of that.
const MOST_READERS: u32 = 5;

/// Everything that is asked for ends within so many steps.
const STEPS: usize = 40;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Command(Command),
    Leave(Leave),
    KillNow,
    Policy(Policy),
    /// The hook that was asked for runs, or there is none.
    Hook(bool),
    /// The start that was asked for goes well, or fails.
    Start(Result<(), StartError>),
    /// `finish` runs, or there is none.
    Finish(bool),
    RunEnds(ExitStatus),
    /// The hook or `finish` ends.
    HelperEnds(ExitStatus),
    /// The script in `control/` that runs ends, with 0 or not.
    ScriptEnds(bool),
    /// Time passes, and nobody looks at deadlines.
    Wait(Duration),
    /// The order allows starts and stops from now on, or does not.
    Order {
        starts: bool,
        stops: bool,
    },
    /// The order calls for a stop, or a restart.
    Call(Call),
    /// The run process says something of itself.
    Says(Notice),
    /// The look at the run process ends.
    CheckEnds(bool),
    /// Somebody looks at the deadline although it is not reached.
    LookEarly,
    /// Time passes until the deadline, and somebody looks at it.
    DeadlineReached,
}

/// What the machine has asked for and has no answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pending {
    Hook,
    Start,
    Finish,
}

/// A live process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    pid: Pid,
    killed: bool,
}

/// The exits that count, since the window opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Window {
    opened: Mono,
    exits: u32,
    cores: u32,
}

/// A machine, the processes that it has, and what is known of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    pub machine: Machine,
    pub now: Mono,
    /// Starts that were asked for.
    pub starts: i32,
    run: Option<Process>,
    helper: Option<Process>,
    pending: Option<Pending>,
    /// Scripts in `control/` for a run process: the first one runs.
    scripts: VecDeque<(Control, Pid)>,
    /// The one that has ended just now, and whether it has done the work.
    answer: Option<(Control, bool)>,
    /// Whether the order allows starts and stops.
    starts_allowed: bool,
    stops_allowed: bool,
    /// The order has allowed the start, or the stop, that is under way.
    start_granted: bool,
    stop_granted: bool,
    /// A look at the run process with this pid is under way, and has got KILL.
    check: Option<(Pid, bool)>,
    last_start: Option<Mono>,
    /// The smallest `restart_delay` since the last start.
    least_delay: Duration,
    /// When the run process last got a signal that asks for its end.
    asked: Option<Mono>,
    window: Option<Window>,
    gave_up: bool,
    /// Until when a logger may read the rest, and how often it was started for that.
    reads_until: Option<Mono>,
    pub readers: u32,
}

/// What an exit must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Must {
    alarm: bool,
    give_up: bool,
}

impl World {
    /// Supervision begins.
    pub fn new(setup: Setup, policy: Policy, wanted: bool) -> World {
        let mut world = World {
            machine: Machine::new(setup, policy),
            now: at(0.0),
            starts: 0,
            run: None,
            helper: None,
            pending: None,
            scripts: VecDeque::new(),
            answer: None,
            starts_allowed: true,
            stops_allowed: true,
            start_granted: false,
            stop_granted: false,
            check: None,
            last_start: None,
            least_delay: policy.delay,
            asked: None,
            window: None,
            gave_up: false,
            reads_until: None,
            readers: 0,
        };
        world.step(Event::Begin(wanted));
        world
    }

    /// The same in a tree that has an order, with these rules about health.
    pub fn ordered(setup: Setup, policy: Policy, health: HealthRules, wanted: bool) -> World {
        let mut world = World::new(setup, policy, false);
        world.step(Event::HealthRules(Box::new(health)));
        world.step(Event::Turn(Turn::Ordered(true)));
        if wanted {
            world.happens(Op::Command(Command::Up));
        }
        world
    }

    /// Whether `op` can happen now.
    pub fn can(&self, op: Op) -> bool {
        match op {
            Op::Command(_) | Op::Leave(_) | Op::KillNow | Op::Policy(_) | Op::Wait(_) => true,
            Op::Order { .. } | Op::Call(_) => self.machine.ordered,
            Op::Says(_) => self.run.is_some(),
            Op::CheckEnds(_) => self.check.is_some(),
            Op::Hook(_) => self.pending == Some(Pending::Hook),
            Op::Start(_) => self.pending == Some(Pending::Start),
            Op::Finish(_) => self.pending == Some(Pending::Finish),
            Op::RunEnds(_) => self.run.is_some(),
            Op::HelperEnds(_) => self.helper.is_some(),
            Op::ScriptEnds(_) => !self.scripts.is_empty(),
            Op::LookEarly => self.machine.deadline().is_none_or(|deadline| deadline > self.now),
            Op::DeadlineReached => self.machine.deadline().is_some(),
        }
    }

    /// `op` happens.
    pub fn happens(&mut self, op: Op) {
        match op {
            Op::Command(command) => self.command(command),
            Op::Leave(leave) => self.step(Event::Leave(leave)),
            Op::KillNow => self.step(Event::KillNow),
            Op::Policy(policy) => {
                self.least_delay = self.least_delay.min(policy.delay);
                self.step(Event::Policy(Box::new(policy)));
            }
            Op::Hook(runs) => {
                let pid = self.helper_started(runs);
                self.step(Event::Answer(Answer::HookStarted(pid)));
            }
            Op::Finish(runs) => {
                let pid = self.helper_started(runs);
                self.step(Event::Answer(Answer::FinishStarted(pid)));
            }
            Op::Order { starts, stops } => {
                (self.starts_allowed, self.stops_allowed) = (starts, stops);
                self.step(Event::Turn(Turn::AskAgain));
            }
            Op::Call(call) => {
                self.start_granted &= call != Call::Halt;
                self.step(Event::Turn(Turn::Call(call)));
            }
            Op::Says(notice) => self.step(Event::Sign(Sign::Notice(notice))),
            Op::CheckEnds(passed) => {
                let (run, _) = self.check.take().expect("a check");
                self.step(Event::Sign(Sign::Checked { run, passed }));
            }
            Op::Start(result) => self.start_is_answered(result),
            Op::RunEnds(status) => self.run_ends(status),
            Op::HelperEnds(status) => {
                self.helper = None;
                let is_hook = matches!(self.machine.state(), State::PreStart { .. });
                self.step(Event::Reaped(if is_hook { Reaped::Hook } else { Reaped::Finish(status) }));
            }
            Op::ScriptEnds(done) => {
                let (control, run) = self.scripts.pop_front().expect("a script");
                self.answer = Some((control, done));
                self.step(Event::Control { control, run, done });
                self.answer = None;
            }
            Op::Wait(time) => self.now = self.now + time,
            Op::LookEarly => {
                let before = self.machine.clone();
                self.step(Event::DeadlineReached);
                assert_eq!(before, self.machine, "a deadline that is not reached changes nothing");
            }
            Op::DeadlineReached => {
                self.now = self.now.max(self.machine.deadline().expect("a deadline"));
                // Whoever waits in vain for others goes at last.
                let held = |run: Run| matches!(run.stop, Stop::Held(_));
                self.stop_granted |= self.machine.run().is_some_and(held);
                self.step(Event::DeadlineReached);
                let next = self.machine.deadline();
                assert!(next.is_none_or(|next| next > self.now), "a deadline that stays is a busy loop: {self:?}");
            }
        }
    }

    fn helper_started(&mut self, runs: bool) -> Option<Pid> {
        self.pending = None;
        self.helper = runs.then(|| Process { pid: Pid::from_raw(500 + self.starts), killed: false });
        self.helper.map(|helper| helper.pid)
    }

    fn command(&mut self, command: Command) {
        let given_up = self.machine.state() == State::Failed || self.machine.next() == Some(Next::GiveUp);
        if given_up && matches!(command, Command::Up | Command::Once) && self.machine.leave().is_none() {
            self.window = None;
            self.gave_up = false;
        }
        if let (Command::Signal(signal), Some(_)) = (command, self.run)
            && signal.asks_for_exit()
        {
            self.asked = Some(self.now);
        }
        self.step(Event::Command(command));
    }

    fn start_is_answered(&mut self, result: Result<(), StartError>) {
        self.pending = None;
        match result {
            Ok(()) => {
                let pid = Pid::from_raw(100 + self.starts);
                self.run = Some(Process { pid, killed: false });
                self.step(Event::Answer(Answer::Started(pid)));
            }
            Err(error) => {
                let counts = !error.passes_by_itself() && self.is_unasked(None);
                self.ends(start_failed(error), counts, false);
            }
        }
    }

    fn run_ends(&mut self, status: ExitStatus) {
        let counts = self.is_unasked(Some(status));
        let reads_on = self.reads_on_after(status);
        self.run = None;
        self.asked = None;
        // One that runs goes on; in truth, only one that has nothing to do with the end.
        self.scripts.truncate(1);
        self.ends(exited(status), counts, status.core());
        if self.machine.leave().is_some() {
            assert_eq!(self.machine.state() == State::FinishRequested(Next::Start), reads_on, "{status:?} {self:?}");
        }
    }

    /// Whether a logger that ends so has not read to the end of its input, and another one may.
    fn reads_on_after(&self, status: ExitStatus) -> bool {
        let Some((run, until)) = self.machine.run().zip(self.reads_until) else { return false };
        let restarts = run.restart_after_stop && !matches!(run.stop, Stop::EndOfInput(_));
        let is_through = status == ExitStatus::Code(0) && !restarts;
        let is_allowed = self.machine.leave() == Some(Leave::EndOfInput)
            && self.machine.want() == Want::Up
            && self.machine.policy.restart != RestartPolicy::Never;
        is_allowed && !is_through && self.now < until && self.readers < MOST_READERS
    }

    /// Whether nobody asked for the end that comes now, and alarms are on, so that it counts.
    fn is_unasked(&self, status: Option<ExitStatus>) -> bool {
        let stopped = self.machine.run().is_some_and(|run| run.stop != Stop::No);
        let asked = self.asked.is_some_and(|asked| self.now.since(asked) <= EXPECTED_EXIT_WINDOW);
        let failed = self.machine.run().is_some_and(|run| run.failed)
            || status != Some(ExitStatus::Code(0))
            || restarts_after(&self.machine.policy, status);
        let ended_for_failure = self.machine.run().is_some_and(|run| run.failed);
        let done = self.machine.policy.kind == Kind::Oneshot && status == Some(ExitStatus::Code(0)) && !stopped;
        let signalled = status.is_some() && (asked || (stopped && !ended_for_failure));
        let wanted = self.machine.want() == Want::Up && self.machine.leave().is_none();
        let for_others = self.machine.run().is_some_and(|run| run.restart_after_stop && run.stop != Stop::No);
        wanted && !signalled && failed && !done && !for_others && self.machine.alarm()
    }

    fn ends(&mut self, event: Event, counts: bool, core: bool) {
        let must = if counts { self.count(core) } else { Must { alarm: false, give_up: false } };
        let actions = self.machine.step(event.clone(), self.now);
        // It decides nothing, and would tell worlds apart that are the same in all else.
        self.machine.tally = Tally::default();
        let alarms = actions.iter().filter(|action| matches!(action, Action::Alarm(_))).count();
        assert_eq!(alarms, usize::from(must.alarm && self.machine.alarm()), "{must:?} {self:?}");
        assert_eq!(self.machine.state() == State::FinishRequested(Next::GiveUp), must.give_up, "{self:?}");
        self.gave_up |= must.give_up;
        self.carry_out(actions);
    }

    fn count(&mut self, core: bool) -> Must {
        let policy = self.machine.policy;
        let Some(interval) = policy.interval else { return Must { alarm: false, give_up: false } };
        let open = self.window.filter(|window| self.now.since(window.opened) < interval);
        let mut window = open.unwrap_or(Window { opened: self.now, exits: 0, cores: 0 });
        window.exits += 1;
        window.cores += u32::from(core);
        self.window = Some(window);
        let give_up = policy.max_tries.is_some_and(|most| window.exits > most)
            || (core && policy.max_cores.is_some_and(|most| window.cores >= most));
        Must { alarm: give_up || window.exits == 1, give_up }
    }

    fn step(&mut self, event: Event) {
        let before = (self.machine.state(), self.machine.leave());
        let actions = self.machine.step(event.clone(), self.now);
        // What is unhealthy goes on, if its settings want an alarm alone.
        let is_of_exit = |action: &Action| matches!(action, Action::Alarm(alarm) if alarm.exit.is_some());
        assert!(!actions.iter().any(is_of_exit), "an alarm without an exit: {event:?} {self:?}");
        if before.0 == State::Ended {
            assert!(self.machine.state() == State::Ended && actions.is_empty(), "{event:?} {self:?}");
        }
        assert!(self.machine.leave() >= before.1, "a reason to leave is taken back: {event:?} {self:?}");
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Actions) {
        for action in actions {
            match action {
                Action::Start => self.start_is_allowed(),
                Action::RunHook(_) => {
                    self.nothing_runs("a hook");
                    assert!(self.machine.setup.restart_hook != self.machine.setup.controls, "{self:?}");
                    // The restart command takes the place of `finish`.
                    let hook = self.machine.setup.controls;
                    self.pending = Some(if hook { Pending::Hook } else { Pending::Finish });
                }
                Action::RunFinish { .. } => {
                    self.nothing_runs("finish");
                    self.pending = Some(Pending::Finish);
                }
                Action::Signal { number, group } => {
                    let mode = self.machine.policy.kill_mode;
                    let to_group = mode == KillMode::Group || (mode == KillMode::Mixed && number == libc::SIGKILL);
                    // `k` is a signal like any other; the KILL of a stop is for the group.
                    assert!(group == to_group || (!group && mode == KillMode::Mixed), "{self:?}");
                    assert!(self.may_send(number), "{number} was not left to us: {self:?}");
                    let run = self.run.as_mut().expect("a signal is for a live process");
                    run.killed |= number == libc::SIGKILL;
                }
                Action::RunControl(control) => {
                    let run = self.run.expect("a script is for a live process").pid;
                    assert!(self.machine.setup.controls, "{self:?}");
                    // What waits already runs once. (One more after the one that runs would only double the states.)
                    if !self.scripts.iter().any(|waiting| *waiting == (control, run)) {
                        self.scripts.push_back((control, run));
                    }
                }
                Action::AskStart => {
                    self.start_granted = self.starts_allowed;
                    if self.starts_allowed {
                        self.step(Event::Turn(Turn::MayStart));
                    }
                }
                Action::AskStop => {
                    self.stop_granted = self.stops_allowed;
                    self.step(Event::Turn(if self.stops_allowed {
                        Turn::MayStop
                    } else {
                        Turn::StopWithin(Duration::from_secs(1))
                    }));
                }
                Action::RunCheck => {
                    assert!(self.check.is_none_or(|(_, killed)| killed), "two looks at once: {self:?}");
                    self.check = Some((self.run.expect("a run process is looked at").pid, false));
                }
                Action::KillCheck(_) => {
                    if let Some((_, killed)) = &mut self.check {
                        *killed = true;
                    }
                }
                Action::KillControls => self.scripts.clear(),
                Action::KillHelper => self.helper.as_mut().expect("a helper is alive").killed = true,
                Action::Log(Note::Bug(..)) | Action::KillStray(_) => panic!("{action:?} {self:?}"),
                Action::ShutDown(_) => assert_ne!(self.machine.policy.shutdown_on, ShutdownOn::Never, "{self:?}"),
                Action::Alarm(_) | Action::Log(_) => {}
            }
        }
        if self.machine.leave() == Some(Leave::EndOfInput) && self.run.is_some() {
            let time = self.machine.policy.kill_timeout.unwrap_or(Duration::from_secs(10));
            self.reads_until.get_or_insert(self.now + time);
        }
        self.agrees();
    }
}

/// The reason is left out: errno has no hash, and equality decides anyway.
impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Machine { state, want, leave, alarm, limits, halted, .. } = &self.machine;
        (state, want.name(), leave, alarm, limits, self.machine.tally().starts, halted).hash(hasher);
        (self.starts_allowed, self.stops_allowed, self.start_granted, self.stop_granted, self.check).hash(hasher);
        (&self.machine.last_words, self.readers).hash(hasher);
        (self.now, self.run, self.helper, self.pending, &self.scripts, self.asked, self.window, self.gave_up)
            .hash(hasher);
    }
}

/// How often each state was seen, by name.
pub fn census<'a>(worlds: impl Iterator<Item = &'a World>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for world in worlds {
        *counts.entry(world.machine.shown_state().name().to_string()).or_default() += 1;
    }
    counts
}
