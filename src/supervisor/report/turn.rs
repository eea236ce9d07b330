//! The work that comes after a start or a signal: writing the status files and the log.

use crate::conf::own::OwnFile;
use crate::machine::{Leave, State};
use crate::service::logger::TreeLogger;
use crate::status::fifo::FifoError;
use crate::supervisor::begin::record_keeper::Ownership;
use crate::supervisor::host::{Host, InTree};
use crate::supervisor::report::publish::StatusContext;
use crate::supervisor::runit::files::Runit;
use crate::supervisor::spec::Outcome;
use crate::supervisor::thread::{LostLock, Supervisor};
use crate::sys::describe;
use crate::sys::time::Mono;
use log::Level;
use std::time::Duration;

/// How often the supervisor tries to repair the status directory, when nothing else happens.
const REPAIR_INTERVAL: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Reports at the end of a turn. After a start or a signal that no command asked for, the report is put off, until `quiet` says that no service was
    /// started for a while, or its time is over: the process's next event is then told in the same report. When the tree ends, the
    /// report of a service's end is put off, too.
    pub(in crate::supervisor) fn report_when_quiet(&mut self, quiet: bool) {
        let now = Mono::now();
        let ended_now = self.has_ended_with_tree() && !std::mem::replace(&mut self.reports.ended_with_tree, true);
        // When it is quiet, nobody is in the way any more.
        self.reports.acted_this_turn |= ended_now && !quiet;
        let tree_ends = self.spec.host.tree().is_some_and(|tree| tree.end.has_begun());
        let acted_this_turn = self.reports.defer(now, tree_ends);
        if let (true, Some(tree), Some(deferred)) = (ended_now, self.spec.host.tree(), &self.reports.deferred) {
            tree.end.note_ended(deferred);
        }
        let ends = self.outcome.is_some()
            || self.parking.is_some()
            // Who has given it looks at what it has led to.
            || self.reports.publisher.command_is_untold()
            || self.machine.state() == State::Failed
            || (self.machine.state() == State::Ended && !self.reports.ended_with_tree);
        let is_over = |until| (quiet && !acted_this_turn) || now >= until;
        if ends || self.reports.deferred_until(&self.machine).is_none_or(is_over) {
            self.report();
        }
    }

    /// Whether the service has ended because the tree ends. Its logger waits for nobody but the service.
    fn has_ended_with_tree(&self) -> bool {
        self.machine.state() == State::Ended
            && self.machine.leave() == Some(Leave::Stop)
            && self.spec.host.tree().is_some_and(|tree| tree.end.has_begun())
    }

    /// Repairs the status directory, writes the files that have changed, and writes the waiting log lines. If the machine has
    /// come to its end, supervision ends with this report.
    pub(in crate::supervisor) fn report(&mut self) {
        self.reports.forget_deferred();
        let ours = self.keep_lock();
        self.write_files(ours);
        self.write_lines(ours);
        if ours && !self.reports.log.catch_up() {
            // Until something else is told, nobody would try again.
            self.reports.repair_at.get_or_insert_with(|| Mono::now() + REPAIR_INTERVAL);
        }
        self.outcome = self.outcome.or(self.outcome_of_state());
    }

    /// Writes the files, if the status directory is ours, and notes when to try again what could not be written.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn write_files(&mut self, ours: bool) {
        self.record_keeper.write_record(|pid| self.processes.own().any(|process| process.pid == pid), &self.spec.dir);
        if let Some(pipe) = self.spec.service.input() {
            pipe.set_logger_pid(self.machine.run().map_or(0, |run| run.pid.as_raw().unsigned_abs()));
        }
        // A supervisor that ends in good order leaves no memory to its successor.
        let has_ended = self.outcome_of_state().is_some();
        // The FIFOs first: whoever sees `state.json` may send a command at once.
        if ours && !has_ended {
            self.keep_fifos();
        }
        let directory = self.spec.service.directory();
        let unrecorded = self.record_keeper.unrecorded().map(describe);
        let run = self.processes.run.as_ref();
        let mute = self.readiness.mute.as_deref().filter(|_| self.machine.ready() == Some(false));
        let note: Option<&str> = self.output_note();
        let facts = StatusContext {
            unrecorded,
            record: run.and_then(|run| self.record_keeper.run_record(run, directory)),
            module: &self.spec.module,
            definition: &self.reports.definition,
            is_command: self.spec.service.is_trees_command(),
            config: self.spec.config.path(),
            hashes: [self.spec.config.hash(), self.own.file().map(OwnFile::hash)],
            log_pid: self.spec.service.output().and_then(|pipe| pipe.logger_pid()),
            log_dir: self.spec.service.tree_logger().map(TreeLogger::directory),
            directory: self.spec.service.instance(),
            context: self.processes.origin.fingerprint(),
            spent: self.processes.spent(),
            outdated: run.and(self.processes.origin.outdated(self.spec.service.changes_output())),
            svdir: self.runit.as_deref().map(Runit::svdir),
            note: note.or(mute),
            into_files: run.is_some() && self.spec.service.output().is_none(),
            tells_by: run.and(self.readiness.tells_by()),
            hold: self.standpoint.hold(self.machine.state()),
            check: self.readiness.check_line(),
            status: self.readiness.status(),
            relations: &self.settings.relations,
            remember: !has_ended,
        };
        if ours {
            let dir = &self.spec.dir;
            let mut published = self.reports.publisher.publish(&self.machine, facts, dir);
            if self.fifos.mark_stale(dir, self.reports.publisher.last_write_failed()) {
                // Who waits for a change has seen old files when they were written: once more.
                self.reports.publisher.forget();
                published = published.and(self.reports.publisher.publish(&self.machine, facts, dir));
            }
            if let Err(error) = published {
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
            && !self.reports.publisher.is_written_over()
            && self.fifos.are_open()
            && self.runit.as_deref().is_none_or(Runit::is_in_order);
        self.reports.repair_at = (!in_order).then(|| Mono::now() + REPAIR_INTERVAL);
    }

    /// Writes the waiting lines to the module's log, or to the tree's if the directory belongs to somebody else by now.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
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

    /// How supervision has ended, if the state is final.
    fn outcome_of_state(&self) -> Option<Outcome> {
        match self.machine.state() {
            State::Ended => Some(Outcome::Left(self.machine.leave().unwrap_or(Leave::WhenDown))),
            State::Failed if self.spec.host.is_single() => Some(Outcome::GaveUp),
            State::Failed
            | State::Down
            | State::Backoff { .. }
            | State::Waiting
            | State::Done
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::Up(_)
            | State::FinishRequested(_)
            | State::Finishing { .. } => None,
        }
    }

    /// Makes the lock file and the names that belong to it anew if they are gone. Returns whether the directory is ours.
    pub(in crate::supervisor) fn keep_lock(&mut self) -> bool {
        match self.record_keeper.keep_lock(&self.spec.dir, &mut self.reports.lines) {
            Ownership::Ours => true,
            other => self.note_ownership(other),
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn note_ownership(&mut self, ownership: Ownership) -> bool {
        match ownership {
            Ownership::Ours => true,
            Ownership::Theirs => false,
            Ownership::Lost(holder) => {
                if self.lost_lock.is_none() {
                    let who = holder.map_or("another supervisor".into(), |pid| format!("pid {pid}"));
                    self.say(Level::Error, format!("{who} supervises it now: letting go of what runs here"));
                    self.lost_lock = Some(LostLock::New);
                }
                false
            }
            Ownership::MadeAnew => {
                self.watch_directory();
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

    /// Has the tree told when somebody removes it. Without that, it is made anew at the next event.
    pub(in crate::supervisor) fn watch_directory(&self) {
        if let Some(removals) = self.spec.host.tree().and_then(|tree| tree.removals.as_ref()) {
            let _ = removals.add(self.spec.dir.path());
        }
    }

    pub(in crate::supervisor) fn share(&mut self) {
        let runit = self.runit.as_deref().map(Runit::directory);
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
