//! What the machine wants done, done: processes started and signalled.
//!
//! Everything here answers at once, with the event that follows if there is one. Nothing is waited for but, with a start,
//! the new program's `execve`.

use crate::conf::policy::KillMode;
use crate::machine::{Action, Alarm, Answer, Control, Event, Note};
use crate::service::context::Resolved;
use crate::service::start_warnings;
use crate::supervisor::host::ToTree;
use crate::supervisor::processes::process::Process;
use crate::supervisor::report::alarm::Message;
use crate::supervisor::report::last_words::{Before, LastWords};
use crate::supervisor::requests::stop_offer::PlainStop;
use crate::supervisor::thread::Supervisor;
use crate::sys::process::pidfd::{ExitStatus, Pidfd, signal_name};
use crate::sys::process::record::{ProcessRecord, Role};
use crate::sys::process::start::{StartError, Started, Step};
use crate::sys::{Errno, Pid, describe};
use log::Level;

/// What is said at a start of a service whose logger cannot be started.
const NO_LOGGER: &str = "its logger does not run: what it writes goes to __stdout until a start with a logger";

impl Supervisor {
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(super) fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start => return Some(self.start()),
            Action::RunHook(exits) => return Some(Event::Answer(self.run_hook(exits))),
            Action::RunFinish { has_finish: false, .. } => return Some(Event::Answer(Answer::FinishStarted(None))),
            Action::RunFinish { exit, has_finish: true } => return Some(Event::Answer(self.run_finish(exit))),
            Action::Signal { number, group } => self.signal(number, group),
            Action::RunControl(control) => return self.run_control(control),
            Action::AskStart => return self.ask_start(),
            Action::AskStop => return self.ask_stop(),
            Action::RunCheck => return self.run_check(),
            Action::KillCheck(limit) => self.kill_check(limit),
            Action::KillControls => self.processes.scripts.kill(),
            Action::KillHelper => {
                if let Some(helper) = &self.processes.helper {
                    let _ = helper.signal_group(libc::SIGKILL);
                }
            }
            Action::KillStray(pid) => {
                for process in self.processes.own().filter(|process| process.pid == pid) {
                    let _ = process.signal_group(libc::SIGKILL).or_else(|_| process.pidfd.signal(libc::SIGKILL));
                }
            }
            Action::Alarm(alarm) => self.raise(&alarm),
            Action::ShutDown(exit) => self.tell_tree(ToTree::ShutDown { module: self.spec.module.clone(), exit }),
            Action::Log(note) => self.note(&note),
        }
        None
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn run_finish(&mut self, exit: Option<ExitStatus>) -> Answer {
        let started = self.spec.service.finish(&self.spec.module, exit, self.record_keeper.lock());
        Answer::FinishStarted(self.run_helper(Role::Finish, started))
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn run_control(&mut self, control: Control) -> Option<Event> {
        let run = self.processes.run.as_ref()?.pid;
        self.processes.scripts.run(control, run, &self.spec.service, &mut self.reports.lines)
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn raise(&self, alarm: &Alarm) {
        let spec = &self.spec;
        let module = (&*spec.module, &spec.dir, &**spec.service.environment());
        let last_words = || {
            let before = (&self.processes.before, alarm.uptime);
            LastWords::of(&spec.service, (&spec.module, &spec.dir), &self.settings.log, before)
        };
        if let Some(message) = Message::new(alarm, module, &self.settings, last_words, &self.reports.log) {
            spec.alarms.send(message);
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn note(&mut self, note: &Note) {
        self.say(note.level(), note.line(&self.spec.module).to_string());
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn run_hook(&mut self, exits: u32) -> Answer {
        if !self.spec.service.may_have_pre_start() {
            return Answer::HookStarted(None);
        }
        let is_restart_hook = self.spec.host.restart_hook().is_some();
        // The restart command reads in `status` that the process has ended.
        if is_restart_hook {
            self.report();
        }
        let context = self.next_context();
        let started = context
            .and_then(|context| self.spec.service.run_pre_start(exits, self.record_keeper.lock(), context.as_deref()));
        let pid = self.run_helper(Role::Hook, started);
        // It takes the place of `finish`.
        if is_restart_hook { Answer::FinishStarted(pid) } else { Answer::HookStarted(pid) }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn start(&mut self) -> Event {
        // Output would go nowhere, and the record could not be found, in a directory that was removed.
        if !self.keep_lock() && self.lost_lock.is_some() {
            let error = StartError { step: Step::Directory, errno: Errno::EBUSY };
            return Event::Answer(Answer::StartFailed { error, has_finish: false });
        }
        // From here, where the stack is not deep yet: it may have to list the service directory.
        let was_ordered = self.standpoint.ordered;
        if let Err(error) = self.refresh_own_settings().and_then(|()| self.comes_first(was_ordered)) {
            return self.could_not_start(error);
        }
        self.end_leftovers_before_start();
        match self.try_to_start() {
            Ok((started, warnings)) => self.has_started(started, warnings),
            Err(error) => self.could_not_start(error),
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn try_to_start(&mut self) -> Result<(Started, Option<Vec<String>>), StartError> {
        // With --foreground there may be a terminal, whose interrupt is meant for us alone.
        let own_group = self.settings.policy.kill_mode != KillMode::Process || self.spec.host.may_have_terminal();
        self.set_up_readiness();
        let context = self.next_context()?;
        self.prepare_log(context.as_deref());
        self.save_abandoned_output();
        self.note_outputs();
        let started = self.spec.service.start(self.record_keeper.lock(), own_group, context.as_deref())?;
        Ok((started, context.map(|context| context.warnings)))
    }

    /// Notes where the outputs end, if anybody is going to ask what the run process has written last.
    fn note_outputs(&mut self) {
        let asks = self.settings.alarms.tell_anybody() || self.spec.service.tree_logger().is_some();
        let log = Some(&self.settings.log).filter(|_| self.spec.service.will_have_tree_logger());
        let take = || Before::take(&self.spec.module, &self.spec.dir, log);
        self.processes.before = if asks { take() } else { Before::default() };
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn has_started(&mut self, started: Started, warnings: Option<Vec<String>>) -> Event {
        let mut start_warnings = start_warnings(&self.spec.dir, &started);
        if let Some(pipe) = self.spec.service.input() {
            pipe.note_logger_began();
        }
        if self.spec.service.output().is_some_and(|pipe| pipe.has_given_way()) {
            start_warnings.push(NO_LOGGER.into());
        }
        start_warnings.extend(warnings.into_iter().flatten());
        for text in self.processes.new_warnings(start_warnings) {
            self.say(Level::Warn, text);
        }
        let Started { pid, pidfd, unwritten_record, .. } = started;
        self.note_started(Role::Run, (pid, &pidfd), unwritten_record);
        self.reports.acted_this_turn = true;
        self.processes.run = Some(Process::child(pid, pidfd));
        self.processes.origin.note_start(&self.settings.context);
        Event::Answer(Answer::Started(pid))
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn could_not_start(&mut self, error: StartError) -> Event {
        self.remove_group();
        let cause = self.spec.service.explain(error);
        if let Some(text) = self.reports.publisher.note_start_failure(cause) {
            self.say(Level::Warn, text);
        }
        self.report_if_replaced(error);
        if let Some(pipe) = self.spec.service.input() {
            pipe.note_logger_failed(!error.passes_by_itself());
        }
        Event::Answer(Answer::StartFailed { error, has_finish: self.spec.service.has_finish() })
    }

    /// A logger that the tree runs by itself may need its directory made for its user.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn prepare_log(&mut self, context: Option<&Resolved>) {
        let Some(logger) = self.spec.service.tree_logger() else { return };
        let ids = context.map(|context| &context.change.ids);
        if let Err(text) = logger.prepare(ids, self.access.readers()) {
            self.say(Level::Warn, text);
        }
    }

    /// A name may lead to another directory without any event in the services root, over a link outside of it.
    fn report_if_replaced(&self, error: StartError) {
        if error.step == Step::Directory && error.errno == Errno::ESTALE {
            self.tell_tree(ToTree::Replaced(self.spec.module.clone()));
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(super) fn tell_tree(&self, what: ToTree) {
        if let Some(tree) = self.spec.host.tree() {
            // It fails only when the main loop is gone, and the process with it.
            let _ = tree.reports.send(what);
        }
    }

    /// Notes that a process was started; `why` it could not write itself into the lock file, if it could not.
    fn note_started(&mut self, role: Role, (pid, pidfd): (Pid, &Pidfd), why: Option<Errno>) {
        let record = || ProcessRecord::of(role, pid, self.spec.service.directory(), pidfd);
        self.record_keeper.note_started((record, pid), why, &self.spec.dir, &mut self.reports.lines);
    }

    fn run_helper(&mut self, role: Role, started: Result<Option<Started>, StartError>) -> Option<Pid> {
        match started {
            Ok(Some(Started { pid, pidfd, unwritten_record, .. })) => {
                self.note_started(role, (pid, &pidfd), unwritten_record);
                self.processes.helper = Some(Process::child(pid, pidfd));
                Some(pid)
            }
            Ok(None) => None,
            Err(error) => {
                let name = if role == Role::Hook { self.spec.service.pre_start_name() } else { "finish" };
                self.say(Level::Warn, format!("{name} could not be run: {error}; going on without"));
                self.report_if_replaced(error);
                None
            }
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn signal(&mut self, number: i32, group: bool) {
        let Some(run) = &self.processes.run else { return };
        self.reports.acted_this_turn = true;
        let was_sent = |stop: PlainStop| stop.pid == run.pid && [stop.signal, libc::SIGCONT].contains(&number);
        if !group && self.processes.sent_by_tree.is_some_and(was_sent) {
            return;
        }
        let sent = if group {
            // The process leads no group if the setting was changed while it ran.
            run.signal_group(number).or_else(|_| run.pidfd.signal(number))
        } else {
            run.pidfd.signal(number)
        };
        // It may just have ended: then the next event is its exit.
        if let Err(errno) = sent
            && errno != Errno::ESRCH
        {
            let text = format!("cannot send {} to pid {}: {}", signal_name(number), run.pid, describe(errno));
            self.say(Level::Warn, text);
        }
    }
}
