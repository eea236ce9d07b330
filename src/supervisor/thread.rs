//! The thread of one service: wait, turn what happened into events, step the machine, carry its actions out.
//!
//! It decides nothing. It waits for orders, a few descriptors (the control FIFO, the run process, what runs beside
//! it) and the machine's deadline, so a service at which nothing happens costs nothing.

use super::access::Groups;
use super::beginning::LeftBehind;
use super::controls::Controls;
use super::mailbox::{Ask, Order};
use super::panics::catch;
use super::parking::{AdoptionGuard, FdNumbers, InheritedFds, Parking};
use super::process::Process;
use super::publish::Publisher;
use super::runit::{self, Runit};
use super::spec::{OpenError, Outcome, Spec};
use crate::conf::policy::Policy;
use crate::conf::settings::Settings;
use crate::conf::{Config, Program};
use crate::machine::command::Command;
use crate::machine::{Event, Leave, Machine, Reaped, Reason, Setup, State};
use crate::status::fifo::Fifos;
use crate::status::log::Log;
use crate::supervisor::deferral::DeferredReport;
use crate::sys::context::cgroup::Group;
use crate::sys::errno_text;
use crate::sys::files::flock::Lock;
use crate::sys::files::replace::FilePair;
use crate::sys::handover;
use crate::sys::process::record::ProcessRecord;
use crate::sys::process::start::StartError;
use crate::sys::threads::poll::{self, Source::Readable};
use crate::sys::time::Mono;
use log::Level;
use std::collections::VecDeque;
use std::sync::Arc;

/// One service under supervision.
#[derive(Debug)]
pub struct Supervisor {
    pub(super) spec: Box<Spec>,
    pub(super) settings: Arc<Settings>,
    pub(super) machine: Machine,
    pub(super) log: Log,
    pub(super) fifos: Fifos,
    pub(super) runit: Option<Runit>,
    pub(super) publisher: Publisher,
    pub(super) definition: String,
    pub(super) run: Option<Process>,
    /// The control group of the run process, if it has one of its own.
    pub(super) group: Option<Group>,
    /// Who may read the status directory, and give commands.
    pub(super) groups: Groups,
    /// Whether somebody may be able to who is not to.
    pub(super) shares: bool,
    /// The restart hook, `control/u` or `finish`.
    pub(super) helper: Option<Process>,
    pub(super) controls: Controls,
    /// A process was started or signalled in this turn.
    pub(super) acted_this_turn: bool,
    /// What has happened is not written down yet.
    pub(super) deferred: Option<DeferredReport>,
    /// Lines that are written once the urgent things are done.
    pub(super) lines: Vec<(Level, String)>,
    pub(super) outcome: Option<Outcome>,
    /// Dropped once supervision has begun.
    pub(super) adoption_guard: Option<AdoptionGuard>,
    /// Where to come to rest when this turn is over.
    pub(super) parking: Option<Arc<Parking>>,
    /// That the lock file is gone and cannot be made anew has been said.
    pub(super) lock_failure_logged: bool,
    /// Taken when it begins.
    pub(super) left_behind: LeftBehind,
    /// A process that runs and is not in the lock file yet, for want of room on the disk.
    pub(super) unwritten_record: Option<ProcessRecord>,
    /// What the last start could not do without being the worse for it.
    pub(super) start_warnings: Vec<String>,
    /// When to bring the status directory into order, if it is not.
    pub(super) repair_at: Option<Mono>,
    // Last: it is let go of when everything else is closed.
    pub(super) lock: Lock,
}

/// What a thread has waited for, and what of it has come; none of it has when something is due by the clock.
#[derive(Clone, Copy, Debug)]
struct PollResult {
    orders: bool,
    /// The control FIFO.
    control: bool,
    /// The end of the run process.
    run: bool,
    /// The end of what runs beside it.
    helper: bool,
    /// The end of a script in `control/`.
    script: bool,
    /// The FIFO of runit's tools.
    runit: bool,
    /// The lull in which put-off reports are written.
    quiet: bool,
}

impl Supervisor {
    /// Makes the status directory, takes its lock, and opens the FIFOs. Nothing is started yet.
    ///
    /// # Errors
    /// Why not; the spec comes back, to be tried again.
    pub fn open(mut spec: Box<Spec>) -> Result<Box<Supervisor>, (Box<Spec>, OpenError)> {
        let is_first = match spec.dir.make() {
            Ok(is_new) => is_new,
            Err(error) => return Err((spec, OpenError::Directory(error))),
        };
        let before = match runit::claim(&spec) {
            Ok(before) => before,
            Err(error) => return Err((spec, error)),
        };
        let mut handed = spec.handed.take().unwrap_or_default();
        let inherited = handed.lock.take().and_then(|lock| Lock::inherit(lock, &spec.dir.lock_path()).ok());
        let lock = match inherited.map_or_else(|| spec.dir.lock(), Ok) {
            Ok(lock) => lock,
            Err(error) => return Err((spec, error.into())),
        };
        // What somebody else may have written is nobody's word.
        let left_behind = if spec.dir.is_foreign() {
            Ok(LeftBehind::default())
        } else {
            LeftBehind::look(&lock, &spec.dir, is_first)
        };
        let left_behind = match left_behind {
            Ok(left_behind) => left_behind,
            Err(error) => {
                spec.handed = Some(handed);
                return Err((spec, OpenError::Predecessor(error)));
            }
        };
        let runit = handed.runit.take();
        let log = Log::new(&spec.dir, &spec.module, spec.echo);
        let settings = spec.config.settings(&spec.module, spec.program);
        let definition = spec.service.describe();
        let mut supervisor =
            Supervisor::assemble(spec, (handed, lock, is_first), left_behind, log, settings, definition);
        if supervisor.spec.program == Program::Single {
            supervisor.log.make_files();
        }
        supervisor.keep_fifos();
        supervisor.open_runit(runit, before);
        supervisor.look_up_groups();
        supervisor.share();
        for complaint in std::mem::take(&mut supervisor.spec.complaints) {
            supervisor.say(Level::Warn, complaint);
        }
        if let Err(error) = supervisor.spec.dir.link_svcontrol() {
            supervisor.say(Level::Warn, format!("svcontrol: {}", errno_text(&error)));
        }
        Ok(supervisor)
    }

    /// Puts it together. By itself, so that what it is put together from leaves the thread's stack before anything else
    /// is called: each page of it that is ever touched is kept.
    #[inline(never)]
    fn assemble(
        spec: Box<Spec>,
        (handed, lock, is_first): (InheritedFds, Lock, bool),
        left_behind: LeftBehind,
        log: Log,
        settings: Arc<Settings>,
        definition: String,
    ) -> Box<Supervisor> {
        Box::new(Supervisor {
            machine: Machine::new(setup(&spec), policy(&settings, &spec)),
            settings,
            log,
            fifos: Fifos::inherit(handed.control, handed.ok),
            adoption_guard: handed.adoption_guard,
            parking: None,
            runit: None,
            publisher: Publisher::new(if is_first { FilePair::Absent } else { FilePair::Unknown }),
            left_behind,
            definition,
            run: None,
            group: None,
            groups: Groups::default(),
            // The mode of a directory that somebody has made for `supervise` is theirs to choose.
            shares: !is_first && spec.program == Program::Tree,
            helper: None,
            controls: Controls::default(),
            acted_this_turn: false,
            deferred: None,
            lines: Vec::new(),
            outcome: None,
            lock_failure_logged: false,
            unwritten_record: None,
            start_warnings: Vec::new(),
            repair_at: None,
            lock,
            spec,
        })
    }

    /// Starts the service, if it is wanted, and shows its state.
    ///
    /// # Errors
    /// Why the first start failed; it will be tried again if [`Supervisor::run`] is called.
    pub fn begin(&mut self) -> Result<(), StartError> {
        self.begin_or_resume();
        self.adoption_guard = None;
        self.report();
        match self.machine.reason() {
            Some(Reason::StartFailed(error)) => Err(error),
            None
            | Some(
                Reason::DownFile
                | Reason::GaveUpRestarts(_)
                | Reason::GaveUpCores(_)
                | Reason::GaveUpEarlier
                | Reason::Policy
                | Reason::Finish,
            ) => Ok(()),
        }
    }

    /// The same as the first turn of [`Supervisor::run`]: a start that failed is logged and tried again like any other.
    pub(super) fn begin_in_turn(&mut self) {
        self.begin_or_resume();
        self.adoption_guard = None;
        self.report_when_quiet(false);
    }

    /// Leaves in good order after a first start that failed, so that the next supervisor begins afresh.
    pub fn end_before_it_ran(&mut self) {
        self.handle(Event::Leave(Leave::Stop));
        self.report();
    }

    /// The module's log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Supervises until it is told to leave.
    ///
    /// # Errors
    /// The spec, after a panic, which has been logged: whoever begins anew with it adopts what runs.
    pub fn run(mut self: Box<Self>) -> Result<Outcome, Box<Spec>> {
        loop {
            if let Some(outcome) = self.outcome {
                return Ok(outcome);
            }
            if let Err(text) = catch(|| self.turn()) {
                let lines = std::mem::take(&mut self.lines);
                lines.iter().for_each(|(level, text)| log::log!(logger: self.log, *level, "{text}"));
                log::error!(logger: self.log, "{text}; this is a bug; supervision begins anew and adopts what runs");
                return Err(self.spec);
            }
        }
    }

    /// One turn: wait, deal with whatever has happened, and tell of it.
    ///
    /// Each of the three by itself, so that what one of them needed has left the thread's stack when the next one begins: each
    /// page of it that is ever touched is kept.
    fn turn(&mut self) {
        let ready = self.wait();
        self.deal_with(&ready);
        self.report_when_quiet(ready.quiet);
        // The next program would not know what a script was run for, and would take who leaves for one who stays.
        if self.outcome.is_none()
            && self.controls.are_idle()
            && let Some(parking) = self.parking.take()
        {
            self.park(&parking);
        }
    }

    /// Waits until something comes, or is due.
    #[inline(never)]
    fn wait(&self) -> PollResult {
        let deadlines = [
            self.machine.deadline(),
            // What was put off mends, too.
            self.deferred_until().or(self.repair_at),
            self.run.as_ref().and_then(Process::deadline),
            self.helper.as_ref().and_then(Process::deadline),
            self.controls.deadline(),
        ];
        // While the script of a stop runs, the end has to wait for it; the zombie keeps the pid.
        let awaited = self.run.as_ref().filter(|_| !self.controls.hold_the_end());
        let [orders, control, run, helper, script, runit, quiet] = poll::wait(
            [
                Some(self.spec.orders.source()),
                self.fifos.control().map(Readable),
                awaited.map(Process::source),
                self.helper.as_ref().map(Process::source),
                self.controls.source(),
                self.runit.as_ref().and_then(Runit::control).map(Readable),
                self.deferred.as_ref().and_then(DeferredReport::source),
            ],
            deadlines.into_iter().flatten().min(),
        );
        PollResult { orders, control, run, helper, script, runit, quiet }
    }

    #[inline(never)]
    fn deal_with(&mut self, ready: &PollResult) {
        let now = Mono::now();
        let due = |process: &Option<Process>| {
            process.as_ref().and_then(Process::deadline).is_some_and(|deadline| now >= deadline)
        };
        if ready.run || due(&self.run) {
            self.run_has_ended(now);
        }
        if ready.script {
            self.script_has_ended(now);
        }
        self.kill_late_script(now);
        if ready.helper || due(&self.helper) {
            self.helper_has_ended(now);
        }
        if ready.orders {
            self.take_orders();
        }
        if ready.control {
            self.take_commands();
        }
        if ready.runit {
            self.take_runit_commands();
        }
        if self.machine.deadline().is_some_and(|deadline| Mono::now() >= deadline) {
            self.handle(Event::DeadlineReached);
        }
    }

    /// Rests, with everything written down and the descriptors left open for the next program.
    fn park(&self, parking: &Parking) {
        let pipe = self.spec.service.input();
        let keep = |keep| {
            let lock = handover::keep_open(self.lock.file(), keep).ok();
            let (control, ok) = self.fifos.keep_open(keep);
            let runit = self.runit.as_ref().and_then(|runit| runit.keep_open(keep));
            FdNumbers { lock, control, ok, runit, pipe: pipe.and_then(|pipe| pipe.keep_open(keep)) }
        };
        // The next program knows of a process what is in the files alone: it would start a second one.
        if self.unwritten_record.is_some() || self.lock_failure_logged || self.publisher.last_write_failed() {
            parking.note_unwritten(&self.spec.module);
        }
        parking.park(&self.spec.module, keep(true));
        keep(false);
    }

    fn run_has_ended(&mut self, now: Mono) {
        let Some(run) = &mut self.run else { return };
        // Before it is reaped: until then the group's number cannot belong to anybody else.
        if self.machine.kills_leftovers() && !run.is_known_to_have_ended() {
            let _ = run.signal_group(libc::SIGKILL);
            self.kill_group();
        }
        let Some(run) = &mut self.run else { return };
        let Some(status) = run.reap(self.machine.exit_matters(), now) else { return };
        // It is reaped before the next one is started, though the kernel takes longer for that than for anything else on
        // the way: many programs look with `kill -0` whether their predecessor is gone, and to them a zombie is not.
        self.run = None;
        self.controls.forget_waiting();
        self.handle(Event::Reaped(Reaped::Run { status, has_finish: self.spec.service.has_finish() }));
        if self.run.is_none() {
            self.remove_group();
        }
        self.publisher.note_exit(&self.machine);
    }

    fn helper_has_ended(&mut self, now: Mono) {
        let Some(status) = self.helper.as_mut().and_then(|helper| helper.reap(self.machine.leave().is_none(), now))
        else {
            return;
        };
        self.helper = None;
        let ended = match self.machine.state() {
            State::PreStart { .. } => Reaped::Hook,
            State::Finishing { .. }
            | State::Down
            | State::Backoff { .. }
            | State::PreStartRequested
            | State::StartRequested
            | State::Up(_)
            | State::FinishRequested(_)
            | State::Failed
            | State::Ended => Reaped::Finish(status),
        };
        self.handle(Event::Reaped(ended));
    }

    fn take_orders(&mut self) {
        for order in self.spec.orders.take() {
            match order {
                Order::Ask(Ask::Leave(leave)) => {
                    self.spec.leave = self.spec.leave.max(Some(leave));
                    // The machine knows first: the logger's end must not look like one that nobody asked for.
                    self.handle(Event::Leave(leave));
                    if let (Leave::EndOfInput, Some(pipe)) = (leave, self.spec.service.input()) {
                        pipe.end_input();
                    }
                }
                Order::Ask(Ask::KillNow) => {
                    self.spec.leave = Some(Leave::Stop);
                    self.handle(Event::KillNow);
                }
                Order::Ask(Ask::Configure(config)) => self.configure(config),
                Order::Ask(Ask::Park(parking)) => self.parking = Some(parking),
                Order::Ask(Ask::Publish | Ask::ComeBack) => {}
                Order::ResetLimits => {
                    self.say(Level::Info, "got SIGALRM: the limits count from the beginning".into());
                    self.handle(Event::ResetLimits);
                }
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
        let bytes = self.fifos.read();
        // For tests of what follows a panic; not in release builds.
        #[cfg(debug_assertions)]
        assert!(!bytes.contains(&b'!'), "a panic was asked for");
        for command in bytes.into_iter().filter_map(Command::from_byte) {
            if command == Command::Reload {
                self.reload();
            }
            self.handle(Event::Command(command));
        }
    }

    /// Feeds `event` to the machine, and carries out what it wants done, until that is all.
    pub(super) fn handle(&mut self, event: Event) {
        let mut next = Some(event);
        // Seldom more than one event follows a step, so this seldom needs memory.
        let mut later = VecDeque::new();
        while let Some(event) = next.take().or_else(|| later.pop_front()) {
            for action in self.machine.step(event, Mono::now()) {
                match self.carry_out(action) {
                    Some(first) if next.is_none() && later.is_empty() => next = Some(first),
                    another => later.extend(another),
                }
            }
        }
        self.publisher.note(&self.machine);
    }

    fn reload(&mut self) {
        if self.spec.restart_hook.is_some() {
            return self.say(Level::Info, "with -r there is no configuration to read".into());
        }
        if self.spec.source.is_absent() {
            return self.say(Level::Info, "there is no configuration file: the settings stay as they are".into());
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
        self.settings = config.settings(&self.spec.module, self.spec.program);
        let policy = policy(&self.settings, &self.spec);
        self.spec.config = config;
        self.look_up_groups();
        self.handle(Event::Policy(Box::new(policy)));
    }
}

/// How the service is run.
fn setup(spec: &Spec) -> Setup {
    Setup {
        ends_when_failed: spec.program == Program::Single,
        restart_is_notice: spec.program == Program::Single,
        restart_hook: spec.restart_hook.is_some(),
        count_reset: spec.restart_hook.flatten(),
        controls: spec.service.may_have_controls(),
    }
}

/// The settings for the machine: with `-r` there are no limits.
fn policy(settings: &Settings, spec: &Spec) -> Policy {
    let interval = settings.policy.interval.filter(|_| spec.restart_hook.is_none());
    Policy { interval, ..settings.policy }
}
