//! The thread of one service: wait, turn what happened into events, step the machine, carry its actions out.
//!
//! It decides nothing. It waits for orders, a few descriptors (the control FIFO, the run process, what runs beside
//! it) and the machine's deadline, so a service at which nothing happens costs nothing.

use crate::conf::policy::Policy;
use crate::conf::settings::Settings;
use crate::machine::words::command::Command;
use crate::machine::{Event, Leave, Machine, Reaped, Reason, State};
use crate::status::fifo::Fifos;
use crate::status::log::Log;
use crate::supervisor::begin::left_behind::LeftBehind;
use crate::supervisor::begin::record_keeper::RecordKeeper;
use crate::supervisor::host::Order;
use crate::supervisor::own_settings::OwnSettings;
#[cfg(debug_assertions)]
use crate::supervisor::panics;
use crate::supervisor::panics::catch;
use crate::supervisor::place::Standpoint;
use crate::supervisor::processes::process::Process;
use crate::supervisor::processes::running::Processes;
use crate::supervisor::report::access::Access;
use crate::supervisor::report::deferral::DeferredReport;
use crate::supervisor::report::reports::Reports;
use crate::supervisor::requests::mailbox::Ask;
use crate::supervisor::requests::parking::{AdoptionGuard, Descriptors, Parking};
use crate::supervisor::runit::files::Runit;
use crate::supervisor::signs::Readiness;
use crate::supervisor::spec::{Outcome, Spec};
use crate::sys::handover;
use crate::sys::process::start::StartError;
use crate::sys::threads::poll::{self, PollSource::Readable};
use crate::sys::time::Mono;
use log::Level;
use std::collections::VecDeque;
use std::sync::Arc;

/// One service under supervision.
#[derive(Debug)]
pub struct Supervisor {
    pub(super) spec: Box<Spec>,
    pub(super) settings: Arc<Settings>,
    /// What the service directory brings along of them.
    pub(super) own: OwnSettings,
    /// What has changed of them and the machine does not know yet.
    pub(super) new_policy: Option<Box<Policy>>,
    // Boxes, so that they are put together one after the other: see `sys::threads::thread`.
    pub(super) machine: Box<Machine>,
    pub(super) processes: Box<Processes>,
    pub(super) readiness: Readiness,
    pub(super) standpoint: Standpoint,
    pub(super) reports: Box<Reports>,
    pub(super) fifos: Fifos,
    pub(super) runit: Option<Box<Runit>>,
    /// Who may read the status directory, and give commands.
    pub(super) access: Access,
    pub(super) outcome: Option<Outcome>,
    /// Dropped once supervision has begun.
    pub(super) adoption_guard: Option<AdoptionGuard>,
    /// Where to come to rest when this turn is over.
    pub(super) parking: Option<Arc<Parking>>,
    /// Taken when it begins.
    pub(super) left_behind: Option<Box<LeftBehind>>,
    /// Another supervisor has the lock.
    pub(super) lost_lock: Option<LostLock>,
    // Last: it is let go of when everything else is closed.
    pub(super) record_keeper: RecordKeeper,
}

/// Whether the machine knows that another supervisor has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LostLock {
    /// Not yet.
    New,
    /// It does: what runs is being stopped.
    Told,
}

/// Which sources are ready. All are false when a deadline has passed.
#[derive(Clone, Copy, Debug)]
struct PollResult {
    orders: bool,
    /// The control FIFO.
    control: bool,
    /// The end of the run process.
    run: bool,
    /// The end of the helper.
    helper: bool,
    /// The end of a script in `control/`.
    script: bool,
    /// The FIFO of runit's tools.
    runit: bool,
    /// The readiness descriptor.
    told: bool,
    /// The socket of sd_notify(3).
    notified: bool,
    /// The end of a check.
    check: bool,
    /// What a check writes.
    check_output: bool,
    /// The machine is quiet: deferred reports are written.
    quiet: bool,
}

impl Supervisor {
    /// Starts the service, if it is wanted, and shows its state.
    ///
    /// # Errors
    /// Why the first start failed; it will be tried again if [`Supervisor::run`] is called.
    pub fn begin(&mut self) -> Result<(), StartError> {
        self.begin_or_resume();
        self.offer_stop();
        self.adoption_guard = None;
        self.report();
        match self.machine.reason() {
            Some(Reason::StartFailed(error)) => Err(error),
            None
            | Some(
                Reason::Rests(_)
                | Reason::GaveUpRestarts(_)
                | Reason::GaveUpCores(_)
                | Reason::GaveUpEarlier
                | Reason::ShutDown,
            ) => Ok(()),
        }
    }

    /// The same as the first turn of [`Supervisor::run`]: a start that failed is logged and tried again like any other.
    pub(super) fn begin_in_turn(&mut self) {
        self.begin_or_resume();
        self.offer_stop();
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
        &self.reports.log
    }

    /// Supervises until it is told to leave.
    ///
    /// # Errors
    /// The spec, after a panic, which has been logged: whoever begins anew with it adopts what runs.
    pub fn run(mut self: Box<Self>) -> Result<Outcome, Box<Spec>> {
        loop {
            if let Some(outcome) = self.outcome {
                self.put_runit_link_back();
                return Ok(outcome);
            }
            if let Err(text) = catch(|| self.turn()) {
                self.log_panic(&text);
                return Err(self.spec);
            }
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn log_panic(&mut self, text: &str) {
        let lines = self.reports.lines.take(&self.spec.dir);
        lines.iter().for_each(|(level, text)| log::log!(logger: self.reports.log, *level, "{text}"));
        log::error!(logger: self.reports.log, "{text}; this is a bug; supervision begins anew and adopts what runs");
    }

    /// One turn: wait, deal with whatever has happened, and tell of it.
    fn turn(&mut self) {
        let ready = self.wait();
        self.spec.service.expire();
        self.deal_with(&ready);
        self.offer_stop();
        self.report_when_quiet(ready.quiet);
        if self.lost_lock == Some(LostLock::New) {
            self.lost_lock = Some(LostLock::Told);
            self.handle(Event::Leave(Leave::Stop));
            self.report();
        }
        // Do not park while a control script runs or supervision is ending: the handover carries neither.
        if self.outcome.is_none()
            && self.processes.scripts.are_idle()
            && self.check_is_through()
            && let Some(parking) = self.parking.take()
        {
            self.park(&parking);
        }
    }

    /// Waits until something comes, or is due.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn wait(&self) -> PollResult {
        let deadlines = [
            self.machine.deadline(),
            // The deferred report also repairs the directory.
            self.reports.deferred_until(&self.machine).or(self.reports.repair_at),
            self.processes.deadline(),
            self.processes.diversion.deadline(),
        ];
        let [orders, control, run, helper, script, runit, told, notified, check, check_output, quiet] = poll::wait(
            [
                Some(self.spec.host.order_source()),
                self.fifos.control().map(Readable),
                self.looks_later().or_else(|| self.processes.awaited_run().map(Process::source)),
                self.processes.helper.as_ref().map(Process::source),
                self.processes.scripts.source(),
                self.runit.as_deref().and_then(Runit::control).map(Readable),
                self.readiness.fifo_source(),
                self.readiness.socket_source(),
                self.readiness.check_source(),
                self.readiness.output_source(),
                self.reports.deferred.as_ref().and_then(DeferredReport::source),
            ],
            deadlines.into_iter().flatten().min(),
        );
        PollResult { orders, control, run, helper, script, runit, told, notified, check, check_output, quiet }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn deal_with(&mut self, ready: &PollResult) {
        let now = Mono::now();
        let due = |process: &Option<Process>| {
            process.as_ref().and_then(Process::deadline).is_some_and(|deadline| now >= deadline)
        };
        // What it has said last comes before its end.
        if ready.told {
            self.read_readiness_fifo();
        }
        if ready.notified {
            self.read_notify_socket();
        }
        // The end that the tree has caused by itself is not taken for one of the service's own.
        if self.spec.host.tree().is_some_and(|tree| tree.end.has_begun()) {
            self.take_orders();
        }
        if self.looks_later().is_none() && (ready.run || due(&self.processes.run)) {
            self.run_has_ended(now);
        }
        if ready.check_output {
            self.check_has_written();
        }
        if ready.check {
            self.check_has_ended(now);
        }
        if ready.script {
            self.script_has_ended(now);
        }
        self.processes.scripts.kill_late(now, &mut self.reports.lines);
        if ready.helper || due(&self.processes.helper) {
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
        self.keep_output_flowing();
    }

    /// Rests, with everything written down and the descriptors left open for the next program.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn park(&self, parking: &Parking) {
        let pipe = self.spec.service.input();
        let keep = |keep| {
            let lock = handover::keep_open(self.record_keeper.lock().file(), keep).ok();
            let (control, ok) = self.fifos.keep_open(keep);
            let runit = self.runit.as_ref().and_then(|runit| runit.keep_open(keep));
            Descriptors { lock, control, ok, runit, pipe: pipe.and_then(|pipe| pipe.keep_open(keep)) }
        };
        // The next program knows of a process what is in the files alone: it would start a second one.
        if !self.record_keeper.is_recorded() || self.reports.publisher.last_write_failed() {
            parking.note_unwritten(&self.spec.module);
        }
        parking.park(&self.spec.module, keep(true));
        keep(false);
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn run_has_ended(&mut self, now: Mono) {
        let Some(run) = &mut self.processes.run else { return };
        let Some(status) = run.reap(self.machine.exit_matters(), now) else { return };
        let spent = run.spent();
        self.processes.note_spent(spent);
        self.note_leftovers();
        // It is reaped before the next one is started, though the kernel takes longer for that than for anything else on
        // the way: many programs look with `kill -0` whether their predecessor is gone, and to them a zombie is not.
        self.withdraw_stop();
        self.processes.run = None;
        self.processes.scripts.forget_waiting();
        if let Some(pipe) = self.spec.service.input() {
            pipe.note_logger_ended(status);
        }
        self.tell_what_logger_said(status);
        self.handle(Event::Reaped(Reaped::Run { status, has_finish: self.spec.service.has_finish() }));
        self.settle_leftovers();
        self.reports.publisher.note_exit(&self.machine);
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn helper_has_ended(&mut self, now: Mono) {
        let Some(status) =
            self.processes.helper.as_mut().and_then(|helper| helper.reap(self.machine.leave().is_none(), now))
        else {
            return;
        };
        self.processes.helper = None;
        let ended = match self.machine.state() {
            State::PreStart { .. } => Reaped::Hook,
            State::Finishing { .. }
            | State::Down
            | State::Backoff { .. }
            | State::Waiting
            | State::Done
            | State::PreStartRequested
            | State::StartRequested
            | State::Up(_)
            | State::FinishRequested(_)
            | State::Failed
            | State::Ended => Reaped::Finish(status),
        };
        self.handle(Event::Reaped(ended));
        self.settle_leftovers();
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn take_orders(&mut self) {
        while let Some(order) = self.spec.host.take_order() {
            match order {
                Order::Ask(Ask::Leave(leave)) => {
                    self.spec.leave = self.spec.leave.max(Some(leave));
                    self.leave(leave);
                }
                Order::Ask(Ask::KillNow) => {
                    self.spec.leave = Some(Leave::Stop);
                    self.handle(Event::KillNow);
                }
                Order::Ask(Ask::Configure(config)) => self.configure(config),
                Order::Ask(Ask::ChangeOutput(next)) => self.spec.service.change_output(next),
                Order::Ask(Ask::Park(parking)) => self.parking = Some(parking),
                Order::Ask(Ask::Look) => self.look_at_order(),
                Order::Ask(Ask::Publish) => {
                    self.reports.publisher.forget_what_is_gone(&self.spec.dir);
                    self.check_runit_link();
                }
                Order::Ask(Ask::ComeBack) => {}
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

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn take_commands(&mut self) {
        let bytes = self.fifos.read();
        #[cfg(debug_assertions)]
        assert!(!panics::is_asked_for(&bytes), "a panic was asked for");
        for command in bytes.into_iter().filter_map(Command::from_byte) {
            self.reports.publisher.note_command();
            if command == Command::Reload {
                self.reload();
            }
            self.handle(Event::Command(command));
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn put_runit_link_back(&self) {
        // After `x`, the tools are to find that nobody supervises it, nor its logger.
        let leaves = self.machine.leave() == Some(Leave::Stop);
        let tree = self.spec.host.tree().and_then(|tree| tree.runit.as_ref());
        if let (true, Some(tree), Some(runit)) = (leaves, tree, &self.runit) {
            runit.service_dir().into_iter().for_each(|dir| tree.links().put_back(dir));
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn take_runit_commands(&mut self) {
        for command in self.runit.as_deref().map(Runit::commands).unwrap_or_default() {
            // A logger ends with its service.
            self.reports.publisher.note_command();
            if command != Command::StopAndExit || self.spec.service.input().is_none() {
                self.handle(Event::Command(command));
            }
        }
    }

    /// Somebody may have put the packaged link back where that could not be watched.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn check_runit_link(&self) {
        let tree = self.spec.host.tree().and_then(|tree| tree.runit.as_ref());
        if let (Some(tree), Some(dir)) = (tree, self.runit.as_deref().and_then(Runit::service_dir)) {
            // Whatever is wrong with it has been said when it was made.
            let _ = tree.links().check(dir);
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn script_has_ended(&mut self, now: Mono) {
        if let Some(event) = self.processes.scripts.reap(now) {
            self.handle(event);
        }
        // The machine may have asked for the next one already, behind those that wait.
        while let Some(run) = self.processes.run.as_ref().map(|run| run.pid)
            && let Some(answer) = self.processes.scripts.start_next(run, &self.spec.service, &mut self.reports.lines)
        {
            self.handle(answer);
        }
    }

    /// Feeds `event` to the machine, and carries out what it wants done, until that is all.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(super) fn handle(&mut self, event: Event) {
        let mut next = Some(event);
        // Seldom more than one event follows a step, so this seldom needs memory.
        let mut later = VecDeque::new();
        while let Some(event) = next.take().or_else(|| later.pop_front()) {
            let mut actions = self.machine.step(event, Mono::now());
            for action in actions.drain(..) {
                match self.carry_out(action) {
                    Some(first) if next.is_none() && later.is_empty() => next = Some(first),
                    another => later.extend(another),
                }
            }
            later.extend(self.new_policy.take().map(Event::Policy));
        }
        self.reports.publisher.note(&self.machine);
        self.tell_standing();
    }

    /// Whether no check runs, before the program is replaced: one that does is killed, and the next program looks anew.
    fn check_is_through(&mut self) -> bool {
        if self.parking.is_some() {
            self.kill_check(None);
        }
        self.readiness.is_idle()
    }
}
