//! The machine's first event: the service is begun, or what a predecessor has left is taken on.

use crate::conf::policy::KillMode;
use crate::machine::history::predecessor::{Predecessor, Successor, Survivor, begin, decide};
use crate::machine::words::command::Command;
use crate::machine::words::events::Ended;
use crate::machine::{Event, SavedState};
use crate::supervisor::begin::left_behind::LeftBehind;
use crate::supervisor::processes::process::Process;
use crate::supervisor::thread::Supervisor;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::sys::process::group::LeftGroup;
use crate::sys::process::record::{ProcessRecord, Role, boot};
use crate::sys::time::Mono;
use log::Level;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

impl Supervisor {
    /// Gives the machine its first event.
    pub(in crate::supervisor) fn begin_or_resume(&mut self) {
        let (record, event) = self.first_event();
        let resumes = matches!(event, Event::Resume(..));
        if self.processes.run.is_some() {
            let run = if let Event::Resume(saved, _) = &event { saved.run } else { None };
            self.resume_readiness(run.map(|run| run.tells_by));
        }
        self.take_place(resumes && self.processes.run.is_none());
        self.handle(event);
        self.join_order();
        self.settle_leftovers();
        let runs_elsewhere = record.is_some_and(|record| {
            record.role == Role::Run
                && !self.successor().is_of_directory(record.directory.map(FileInstance::of_unknown_age))
        });
        if runs_elsewhere && self.spec.leave.is_none() {
            self.say(Level::Info, "its directory was replaced meanwhile: stopping it, and starting the new one".into());
            self.handle(Event::Command(Command::Down));
            let command = if self.spec.host.is_wanted() { Command::Up } else { Command::Down };
            self.handle(Event::Command(command));
        }
        if let Some(leave) = self.spec.leave {
            self.leave(leave);
        }
    }

    /// What there is to begin with.
    fn first_event(&mut self) -> (Option<ProcessRecord>, Event) {
        let left = self.left_behind.take();
        if left.as_ref().is_none_or(|left| left.process.is_none()) && !self.spec.dir.is_foreign() {
            self.find_what_is_left();
        }
        match left {
            Some(left) => self.event_after(*left),
            None => (None, begin(&self.successor())),
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn event_after(&mut self, left: LeftBehind) -> (Option<ProcessRecord>, Event) {
        let LeftBehind { process, state } = left;
        let record = process.map(|process| self.adopt(process));
        if let Some(state) = &state {
            self.reports.publisher.restore(state);
            // Of the same tree: what is counted of a name goes on, whatever directory has it now.
            if state.supervisor_pid == std::process::id() {
                self.machine.recall_tally(state);
            }
            self.processes.origin.restore(state, &self.settings.context);
            // Its options are in its command, which the settings may have changed while the program was replaced.
            if self.spec.service.tree_logger().is_some() && state.definition != self.spec.service.describe() {
                self.processes.origin.note_other_command();
            }
        }
        let survivor =
            record.map(|record| Survivor { role: record.role, pid: record.pid, is_stopped: record.is_stopped() });
        let ended = if survivor.is_none() { self.ended_unseen() } else { None };
        let saved = state.as_ref().and_then(|state| SavedState::read(state, boot(), std::process::id(), Mono::now()));
        if let Some(state) = state {
            // As for the other counters; and what has ended unseen has taken its count with it.
            let counts = saved.is_some() || state.supervisor_pid == std::process::id();
            if counts && (state.pid.is_none() || self.processes.run.is_some()) {
                self.processes.recall_spent(Duration::from_micros(state.spent_us));
            }
        }
        (record, decide(Predecessor { process: survivor, ended, saved }, &self.successor()))
    }

    /// The run process that was recorded last, and of which nothing lives.
    fn ended_unseen(&self) -> Option<Ended> {
        let record = ProcessRecord::read(self.record_keeper.lock().file()).ok().flatten();
        let pid = record.filter(|record| record.role == Role::Run && !self.spec.dir.is_foreign())?.pid;
        Some(Ended { pid, has_finish: self.spec.service.has_finish() })
    }

    /// What we are, for those who have to decide what a predecessor has to do with us.
    fn successor(&self) -> Successor {
        Successor {
            directory: self.spec.service.instance(),
            wanted: self.spec.host.is_wanted(),
            leaves: self.spec.leave.is_some(),
            begins_anew: self.spec.host.is_single(),
            has_replaced_itself: self.adoption_guard.is_some(),
        }
    }

    /// Takes on the process that a predecessor has left running.
    fn adopt(&mut self, (record, process): (ProcessRecord, Process)) -> ProcessRecord {
        let pid = process.pid;
        match record.role {
            Role::Run => {
                self.processes.run = Some(process);
                self.adopt_group(pid);
            }
            Role::Finish | Role::Hook => self.processes.helper = Some(process),
        }
        // The process has its end of the pipe to the logger; without ours, the pipe would not outlive the process.
        if let Err(error) = self.spec.service.ensure_open() {
            self.say(Level::Warn, format!("{error}; pid {pid} goes on all the same"));
        }
        record
    }

    /// Nothing of an old process group lives beside a new one, also where its leader has ended while there was no supervisor.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn find_what_is_left(&mut self) {
        if self.settings.policy.kill_mode == KillMode::Process {
            return;
        }
        self.find_left_cgroup();
        let left = self.left_group();
        self.find_leftovers(left);
    }

    fn left_group(&self) -> Option<LeftGroup> {
        let record = ProcessRecord::read(self.record_keeper.lock().file()).ok().flatten();
        let record = record.filter(|record| record.role == Role::Run)?;
        let pipe = self.spec.service.output().map(|pipe| PathBuf::from(OsStr::from_bytes(pipe.path().to_bytes())));
        let paths = [Some(self.spec.dir.stdout()), Some(self.spec.dir.stderr()), pipe];
        let files = paths.into_iter().flatten().filter_map(|path| std::fs::metadata(path).ok());
        let outputs: Vec<FileId> = files.map(|file| FileId::of(&file)).collect();
        LeftGroup::recorded(&record, &outputs)
    }
}
