//! What can wait until the run process is started or signalled: the files of the status directory, and the log.

use crate::conf::own::OwnFile;
use crate::machine::{Leave, State};
use crate::service::logger::TreeLogger;
use crate::status::fifo::FifoError;
use crate::supervisor::begin::record_keeper::Ownership;
use crate::supervisor::host::{Host, InTree};
use crate::supervisor::report::publish::StatusContext;
use crate::supervisor::runit::files::Runit;
use crate::supervisor::spec::Outcome;
use crate::supervisor::thread::Supervisor;
use crate::sys::describe;
use crate::sys::time::Mono;
use log::Level;
use std::time::Duration;

/// How often it is tried to bring the status directory into order, when nothing else happens.
const REPAIR_INTERVAL: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Reports, unless a process has just been started or signalled, and `quiet` does not say that this is a while ago; then
    /// what follows from it may as well be told with it.
    pub(in crate::supervisor) fn report_when_quiet(&mut self, quiet: bool) {
        let now = Mono::now();
        let acted_this_turn = self.reports.defer(now);
        let ends = self.outcome.is_some()
            || self.parking.is_some()
            || matches!(self.machine.state(), State::Ended | State::Failed);
        let is_over = |until| (quiet && !acted_this_turn) || now >= until;
        if ends || self.reports.deferred_until(&self.machine).is_none_or(is_over) {
            self.report();
        }
    }

    /// Brings the status directory into order, writes what has changed, and logs what there is to be logged. If the machine
    /// is through, supervision ends with it.
    pub(in crate::supervisor) fn report(&mut self) {
        self.reports.forget_deferred();
        let ours = self.keep_lock();
        self.write_files(ours);
        self.write_lines(ours);
        self.outcome = self.outcome.or(self.outcome_of_state());
    }

    /// The files, if the status directory is ours; and when to try again what could not be written.
    fn write_files(&mut self, ours: bool) {
        self.record_keeper.write_record(|pid| self.processes.own().any(|process| process.pid == pid), &self.spec.dir);
        if let Some(pipe) = self.spec.service.input() {
            pipe.set_logger_pid(self.machine.run().map_or(0, |run| run.pid.as_raw().unsigned_abs()));
        }
        // Who leaves in good order, or gives up and leaves, has nothing to hand on.
        let has_ended = self.outcome_of_state().is_some();
        // The FIFOs first, in a directory that was made anew: who sees the state may give orders.
        if ours && !has_ended {
            self.keep_fifos();
        }
        let directory = self.spec.service.directory();
        let unrecorded = self.record_keeper.unrecorded().map(describe);
        let run = self.processes.run.as_ref();
        let facts = StatusContext {
            unrecorded,
            record: run.and_then(|run| self.record_keeper.run_record(run, directory)),
            module: &self.spec.module,
            definition: &self.reports.definition,
            config: self.spec.config.path(),
            hashes: [self.spec.config.hash(), self.own.file().map(OwnFile::hash)],
            log_pid: self.spec.service.output().and_then(|pipe| pipe.logger_pid()),
            log_dir: self.spec.service.tree_logger().map(TreeLogger::directory),
            directory,
            svdir: self.runit.as_ref().map(Runit::svdir),
            remember: !has_ended,
        };
        if ours {
            if let Err(error) = self.reports.publisher.publish(&self.machine, facts, &self.spec.dir) {
                self.say(Level::Warn, format!("{error}; supervision goes on, tried again within 5 s"));
            }
            if let Some(runit) = &mut self.runit {
                runit.publish(&self.machine, &self.spec.dir, &mut self.reports.lines);
            }
            self.share();
        }
        let in_order = ours
            && self.record_keeper.is_in_order()
            && !self.reports.publisher.last_write_failed()
            && self.fifos.are_open()
            && self.runit.as_ref().is_none_or(Runit::is_in_order);
        self.reports.repair_at = (!in_order).then(|| Mono::now() + REPAIR_INTERVAL);
    }

    /// The lines that wait, into the module's log, or into the tree's if the directory is somebody else's by now.
    fn write_lines(&mut self, ours: bool) {
        let lines = self.reports.lines.take(&self.spec.dir);
        let module = &self.spec.module;
        match &self.spec.host {
            Host::Tree(InTree { log, .. }) if !ours => {
                lines.iter().for_each(|(level, text)| log::log!(logger: log, *level, "{module}: {text}"));
            }
            _ if lines.is_empty() => {}
            _ => self.reports.log.together(|| {
                lines.iter().for_each(|(level, text)| log::log!(logger: self.reports.log, *level, "{text}"));
            }),
        }
    }

    /// How supervision has ended, if by its state it has.
    fn outcome_of_state(&self) -> Option<Outcome> {
        match self.machine.state() {
            State::Ended => Some(Outcome::Left(self.machine.leave().unwrap_or(Leave::WhenDown))),
            State::Failed if self.spec.host.is_single() => Some(Outcome::GaveUp),
            State::Failed
            | State::Down
            | State::Backoff { .. }
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::Up(_)
            | State::FinishRequested(_)
            | State::Finishing { .. } => None,
        }
    }

    /// Makes the lock anew if it is gone, and what belongs to it. Whether the directory is ours to write into.
    fn keep_lock(&mut self) -> bool {
        match self.record_keeper.keep_lock(&self.spec.dir, &mut self.reports.lines) {
            Ownership::Ours => true,
            Ownership::Theirs => false,
            Ownership::MadeAnew => {
                self.reports.publisher.forget();
                if let Some(runit) = &self.runit {
                    runit.relink(&self.spec.dir, &mut self.reports.lines);
                }
                let _ = self.spec.dir.link_svcontrol();
                self.say(Level::Warn, format!("{} was removed: made anew", self.spec.dir.lock_path().display()));
                true
            }
        }
    }

    pub(in crate::supervisor) fn share(&mut self) {
        let runit = self.runit.as_ref().map(Runit::directory);
        self.access.share(&self.spec.dir, runit, &mut self.reports.lines);
    }

    pub(in crate::supervisor) fn keep_fifos(&mut self) {
        if let Err(FifoError { level, text }) = self.fifos.keep(&self.spec.dir) {
            self.say(level, text);
        }
    }

    pub(in crate::supervisor) fn say(&mut self, level: Level, text: String) {
        self.reports.lines.say(level, text);
    }
}
