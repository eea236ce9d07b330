//! The thread of one service: wait, turn what happened into events, step the machine, carry its actions out.
//!
//! It decides nothing. It waits for four descriptors (orders, the control FIFO, the run process, what runs beside
//! it) and for the machine's deadline, so a service at which nothing happens costs nothing.

use super::alarm::{Alarms, Message};
use super::command::Command;
use super::limits::Rules;
use super::machine::{Action, Event, Leave, Machine, State};
use super::mailbox::{Ask, Order, Orders};
use super::publish::{Facts, Publisher};
use crate::conf::settings::Settings;
use crate::conf::source::Source;
use crate::conf::{Config, Program};
use crate::service::{Service, lost_stream};
use crate::status::StatusDir;
use crate::status::fifo::Fifos;
use crate::status::log::{Echo, Log};
use crate::sys::flock::{Lock, LockError};
use crate::sys::pidfd::{ExitStatus, Pidfd, signal_group, signal_name};
use crate::sys::poll;
use crate::sys::start::{StartError, Started};
use crate::sys::time::Mono;
use crate::sys::{Errno, Pid, errno_text};
use log::Level;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// How often a status directory that somebody else has locked, or that cannot be made, is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

/// After a panic, the thread waits this long, so that one that comes again and again burns no processor.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// All that makes a supervisor.
#[derive(Debug)]
pub struct Spec {
    /// The module's name.
    pub module: String,
    /// Its status directory.
    pub dir: StatusDir,
    /// What to run.
    pub service: Service,
    /// Whether to start it.
    pub wanted: bool,
    /// Which program this is part of.
    pub program: Program,
    /// The settings of all modules.
    pub config: Arc<Config>,
    /// Where they are read again.
    pub source: Source,
    /// `-r` and `-t`: the restart hook runs, and limits and alarms are off.
    pub restart_hook: Option<Option<Duration>>,
    /// Who sends alarms.
    pub alarms: Arc<Alarms>,
    /// Who gives orders.
    pub orders: Orders,
    /// What is said on standard error, too.
    pub echo: Echo,
    /// What is wrong with the settings, for the module's log.
    pub complaints: Vec<String>,
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to: by `x`, or by the tree.
    Left(Leave),
    /// TERM or INT: the run process, if any, goes on alone.
    Abandoned,
    /// The limits were reached (`supervise` alone ends for that).
    GaveUp,
}

/// Why supervision could not begin.
#[derive(Debug)]
pub enum OpenError {
    /// The status directory cannot be made.
    Directory(std::io::Error),
    /// Somebody else supervises; the pid, where it can be told.
    Held(Option<Pid>),
    /// The lock cannot be taken.
    Lock(std::io::Error),
}

impl OpenError {
    /// A line for the user.
    pub fn describe(&self, dir: &StatusDir) -> String {
        match self {
            OpenError::Directory(error) => format!("cannot make {}: {}", dir.path().display(), errno_text(error)),
            OpenError::Held(Some(pid)) => format!("{}: already supervised by pid {pid}", dir.path().display()),
            OpenError::Held(None) => {
                format!("{}: already supervised by a process of another pid namespace", dir.path().display())
            }
            OpenError::Lock(error) => format!("cannot lock {}: {}", dir.lock_path().display(), errno_text(error)),
        }
    }
}

/// A process of ours that lives.
#[derive(Debug)]
struct Process {
    pid: Pid,
    pidfd: Pidfd,
}

/// One service under supervision.
#[derive(Debug)]
pub struct Supervisor {
    spec: Spec,
    settings: Settings,
    machine: Machine,
    log: Arc<Log>,
    fifos: Fifos,
    publisher: Publisher,
    definition: String,
    run: Option<Process>,
    /// The restart hook or `finish`.
    aside: Option<Process>,
    /// Lines that are written once the urgent things are done.
    lines: Vec<(Level, String)>,
    outcome: Option<Outcome>,
    // Last: it is let go of when everything else is closed.
    _lock: Lock,
}

impl Supervisor {
    /// Makes the status directory, takes its lock, and opens the FIFOs. Nothing is started yet.
    ///
    /// # Errors
    /// Why not; the spec comes back, to be tried again.
    pub fn open(spec: Spec) -> Result<Supervisor, Box<(Spec, OpenError)>> {
        if let Err(error) = spec.dir.make() {
            return Err(Box::new((spec, OpenError::Directory(error))));
        }
        let lock = match spec.dir.lock() {
            Ok(lock) => lock,
            Err(LockError::Held(pid)) => return Err(Box::new((spec, OpenError::Held(pid)))),
            Err(LockError::Io(error)) => return Err(Box::new((spec, OpenError::Lock(error)))),
        };
        let settings = spec.config.effective(&spec.module, spec.program).settings;
        let mut supervisor = Supervisor {
            machine: Machine::new(rules(&settings, &spec)),
            settings,
            log: Arc::new(Log::new(&spec.dir, &spec.module, spec.echo)),
            fifos: Fifos::closed(),
            publisher: Publisher::new(),
            definition: spec.service.describe(),
            run: None,
            aside: None,
            lines: Vec::new(),
            outcome: None,
            _lock: lock,
            spec,
        };
        supervisor.keep_fifos();
        for complaint in std::mem::take(&mut supervisor.spec.complaints) {
            supervisor.say(Level::Warn, complaint);
        }
        if let Err(error) = supervisor.spec.dir.link_svcontrol() {
            supervisor.say(Level::Warn, format!("svcontrol: {}", errno_text(&error)));
        }
        Ok(supervisor)
    }

    /// Starts the service, if it is wanted, and shows its state.
    ///
    /// # Errors
    /// Why the first start failed; it will be tried again if [`Supervisor::run`] is called.
    pub fn begin(&mut self) -> Result<(), StartError> {
        self.handle(Event::Begin(self.spec.wanted));
        self.afterwards();
        match self.machine.reason() {
            Some(super::machine::Reason::StartFailed(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// The module's log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Supervises until it is told to leave.
    pub fn run(mut self) -> Outcome {
        loop {
            if let Some(outcome) = self.outcome {
                return outcome;
            }
            // A panic is our mistake, and no reason to leave a service alone: what we know of it is still there.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.turn())) {
                let text = panic_text(panic.as_ref());
                log::error!(logger: self.log, "panic: {text}; this is a bug; supervision goes on");
                std::thread::sleep(AFTER_PANIC);
            }
        }
    }

    /// One turn: wait, and deal with whatever has happened.
    fn turn(&mut self) {
        let ready = poll::wait(
            [
                Some(self.spec.orders.as_fd()),
                self.fifos.control(),
                self.run.as_ref().map(|run| run.pidfd.as_fd()),
                self.aside.as_ref().map(|aside| aside.pidfd.as_fd()),
            ],
            self.machine.deadline(),
        );
        let [orders, control, run, aside] = ready;
        if run {
            self.run_has_ended();
        }
        if aside {
            self.aside_has_ended();
        }
        if orders {
            self.take_orders();
        }
        if control {
            self.take_commands();
        }
        if self.machine.deadline().is_some_and(|deadline| Mono::now() >= deadline) {
            self.handle(Event::Due);
        }
        self.afterwards();
    }

    fn run_has_ended(&mut self) {
        let Some(run) = &self.run else { return };
        // Before it is reaped: until then the group's number cannot belong to anybody else.
        if self.machine.kills_leftovers() {
            let _ = signal_group(run.pid, libc::SIGKILL);
        }
        let Some(status) = reap(run) else { return };
        self.run = None;
        self.handle(Event::Exited(status));
        self.publisher.note_exit(&self.machine);
    }

    fn aside_has_ended(&mut self) {
        let Some(status) = self.aside.as_ref().and_then(reap) else { return };
        self.aside = None;
        match self.machine.state() {
            State::Starting { .. } => self.handle(Event::HookEnded),
            _ => self.handle(Event::FinishEnded(status)),
        }
    }

    fn take_orders(&mut self) {
        for order in self.spec.orders.take() {
            match order {
                Order::Ask(Ask::Leave(leave)) => {
                    // The machine knows first: the logger's end must not look like one that nobody asked for.
                    self.handle(Event::Leave(leave));
                    if let (Leave::EndOfInput, Some(pipe)) = (leave, self.spec.service.input()) {
                        pipe.end_input();
                    }
                }
                Order::Ask(Ask::KillNow) => self.handle(Event::KillNow),
                Order::Ask(Ask::Configure(config)) => self.configure(config),
                Order::Ask(Ask::Publish) => {}
                Order::Abandon(signal) => {
                    let left = match self.machine.run() {
                        Some(run) => format!("pid {} is left running", run.pid),
                        None => "nothing runs".into(),
                    };
                    self.say(Level::Info, format!("got {}: leaving, {left}", signal.as_str()));
                    self.outcome = Some(Outcome::Abandoned);
                }
            }
        }
    }

    fn take_commands(&mut self) {
        for command in self.fifos.read().into_iter().filter_map(Command::from_byte) {
            if command == Command::Reload {
                self.reload();
            }
            self.handle(Event::Command(command));
        }
    }

    /// Feeds `event` to the machine, and carries out what it wants done, until that is all.
    fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.step(event, Mono::now()) {
                events.extend(self.carry_out(action));
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start => return Some(self.start()),
            Action::RunHook(exits) => {
                let started = self.spec.service.restart_hook(exits);
                return Some(Event::HookStarted(self.run_aside("the restart command", started)));
            }
            Action::RunFinish(exit) => {
                let started = self.spec.service.finish(&self.spec.module, exit);
                return Some(Event::FinishStarted(self.run_aside("finish", started)));
            }
            Action::Signal { number, group } => self.signal(number, group),
            Action::KillAside => {
                if let Some(aside) = &self.aside {
                    let _ = signal_group(aside.pid, libc::SIGKILL);
                }
            }
            Action::Alarm(alarm) => {
                let spec = &self.spec;
                if let Some(message) = Message::new(&alarm, &spec.module, &spec.dir, &self.settings, &self.log) {
                    spec.alarms.send(message);
                }
            }
            Action::Say(level, text) => self.say(level, text),
        }
        None
    }

    fn start(&mut self) -> Event {
        match self.spec.service.start() {
            Ok(Started { pid, pidfd, stdout_lost, stderr_lost }) => {
                if let Some(text) = lost_stream(&self.spec.dir, stdout_lost, stderr_lost) {
                    self.say(Level::Warn, text);
                }
                self.run = Some(Process { pid, pidfd });
                Event::Started(pid)
            }
            Err(error) => Event::StartFailed(error),
        }
    }

    fn run_aside(&mut self, name: &str, started: Result<Option<Started>, StartError>) -> Option<Pid> {
        match started {
            Ok(Some(Started { pid, pidfd, .. })) => {
                self.aside = Some(Process { pid, pidfd });
                Some(pid)
            }
            Ok(None) => None,
            Err(error) => {
                self.say(Level::Warn, format!("{name} could not be run: {error}; going on without"));
                None
            }
        }
    }

    fn signal(&mut self, number: i32, group: bool) {
        let Some(run) = &self.run else { return };
        let sent = if group { signal_group(run.pid, number) } else { run.pidfd.signal(number) };
        // It may just have ended: then the next event is its exit.
        if let Err(errno) = sent
            && errno != Errno::ESRCH
        {
            let text = format!("cannot send {} to pid {}: {}", signal_name(number), run.pid, errno.desc());
            self.say(Level::Warn, text);
        }
    }

    fn reload(&mut self) {
        if self.spec.restart_hook.is_some() {
            return self.say(Level::Info, "with -r there is no configuration to read".into());
        }
        match self.spec.source.again() {
            Ok(config) => {
                for complaint in config.complaints() {
                    self.say(Level::Warn, complaint.to_string());
                }
                self.configure(Arc::new(config));
                self.say(Level::Info, format!("settings read from {}", self.spec.source.path().display()));
            }
            Err(complaint) => self.say(Level::Warn, format!("{complaint}; the old settings stay")),
        }
    }

    fn configure(&mut self, config: Arc<Config>) {
        self.settings = config.effective(&self.spec.module, self.spec.program).settings;
        let rules = rules(&self.settings, &self.spec);
        self.spec.config = config;
        self.handle(Event::Rules(rules));
    }

    /// What can wait until the run process is started or signalled: files, and the log.
    fn afterwards(&mut self) {
        if let Some(pipe) = self.spec.service.input() {
            pipe.set_logger_pid(self.machine.run().map_or(0, |run| run.pid.as_raw().unsigned_abs()));
        }
        let facts = Facts {
            module: &self.spec.module,
            definition: &self.definition,
            log_pid: self.spec.service.output().and_then(|pipe| pipe.logger_pid()),
        };
        if let Err(text) = self.publisher.publish(&self.machine, facts, &self.spec.dir) {
            self.say(Level::Warn, text);
        }
        self.keep_fifos();
        for (level, text) in std::mem::take(&mut self.lines) {
            log::log!(logger: self.log, level, "{text}");
        }
        self.outcome = self.outcome.or(match self.machine.state() {
            State::Gone => Some(Outcome::Left(self.machine.leave().unwrap_or(Leave::WhenDown))),
            State::Failed if self.spec.program == Program::Single => Some(Outcome::GaveUp),
            _ => None,
        });
    }

    fn keep_fifos(&mut self) {
        if let Err(text) = self.fifos.keep(&self.spec.dir) {
            self.say(Level::Error, text);
        }
    }

    fn say(&mut self, level: Level, text: String) {
        self.lines.push((level, text));
    }
}

/// The rules for a module: with `-r` there are no limits.
fn rules(settings: &Settings, spec: &Spec) -> Rules {
    let rules = Rules::new(settings);
    match spec.restart_hook {
        None => rules,
        Some(count_reset) => Rules { interval: None, restart_hook: true, count_reset, ..rules },
    }
}

/// How the process ended; `None` if it has not.
fn reap(process: &Process) -> Option<ExitStatus> {
    match process.pidfd.reap() {
        Ok(status) => status,
        Err(Errno::EINTR) => None,
        // Somebody else has reaped it: that it is gone is certain, for its descriptor was readable.
        Err(_) => Some(ExitStatus::Unknown),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// Supervises as [`Supervisor::run`] does, waiting for the status directory first if need be.
pub fn supervise(spec: Spec) -> Outcome {
    let mut spec = spec;
    let mut told = false;
    loop {
        match Supervisor::open(spec) {
            Ok(mut supervisor) => {
                // A first start that failed is logged and tried again like any other.
                let _ = supervisor.begin();
                return supervisor.run();
            }
            Err(refused) => {
                let (returned, error) = *refused;
                spec = returned;
                if !told {
                    let log = Log::new(&spec.dir, &spec.module, spec.echo);
                    let again = OPEN_AGAIN.as_secs();
                    log::warn!(logger: log, "{}; not started, tried again every {again} s", error.describe(&spec.dir));
                    told = true;
                }
            }
        }
        if let Some(outcome) = wait_to_open(&mut spec) {
            return outcome;
        }
    }
}

fn wait_to_open(spec: &mut Spec) -> Option<Outcome> {
    let deadline = Mono::now() + OPEN_AGAIN;
    loop {
        let [ordered] = poll::wait([Some(spec.orders.as_fd())], Some(deadline));
        if !ordered {
            return None;
        }
        for order in spec.orders.take() {
            match order {
                Order::Ask(Ask::Leave(leave)) => return Some(Outcome::Left(leave)),
                Order::Ask(Ask::KillNow) => return Some(Outcome::Left(Leave::Stop)),
                Order::Ask(Ask::Configure(config)) => spec.config = config,
                Order::Ask(Ask::Publish) => {}
                Order::Abandon(_) => return Some(Outcome::Abandoned),
            }
        }
    }
}
