//! What can wait until the run process is started or signalled: the files of the status directory, and the log.

use super::lull::PutOff;
use super::machine::{Leave, State};
use super::publish::Facts;
use super::runit::Runit;
use super::spec::Outcome;
use super::thread::Supervisor;
use crate::conf::Program;
use crate::status::fifo::Trouble;
use crate::sys::time::Mono;
use log::Level;
use std::time::Duration;

/// How often it is tried to bring the status directory into order, when nothing else happens.
const MEND_AGAIN: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Reports, unless a process has just been started or signalled, and `lull` does not say that this is a while ago; then
    /// what follows from it may as well be told with it.
    pub(super) fn report_in_time(&mut self, lull: bool) {
        let now = Mono::now();
        let has_acted = std::mem::take(&mut self.has_acted);
        if has_acted {
            self.put_off.get_or_insert_with(|| PutOff::from(now)).note_action(now);
        }
        let ends = self.outcome.is_some()
            || self.parking.is_some()
            || matches!(self.machine.state(), State::Gone | State::Failed);
        let is_over = |until| (lull && !has_acted) || now >= until;
        if ends || self.put_off_until().is_none_or(is_over) {
            self.report();
        }
    }

    /// Until when a report is put off, if one is.
    pub(super) fn put_off_until(&self) -> Option<Mono> {
        let put_off = self.put_off.as_ref()?;
        Some(if self.publisher.wants_other(&self.machine) { put_off.least() } else { put_off.most() })
    }

    /// Brings the status directory into order, writes what has changed, and logs what there is to be logged. If the machine
    /// is through, supervision ends with it.
    pub(super) fn report(&mut self) {
        self.has_acted = false;
        self.put_off = None;
        let ours = self.keep_lock();
        self.write_files(ours);
        self.write_lines(ours);
        self.outcome = self.outcome.or(self.outcome_of_state());
    }

    /// The files, if the status directory is ours; and when to try again what could not be written.
    fn write_files(&mut self, ours: bool) {
        self.keep_record();
        if let Some(pipe) = self.spec.service.input() {
            pipe.set_logger_pid(self.machine.run().map_or(0, |run| run.pid.as_raw().unsigned_abs()));
        }
        // Who leaves in good order, or gives up and leaves, has nothing to hand on.
        let has_ended = self.outcome_of_state().is_some();
        // The FIFOs first, in a directory that was made anew: who sees the state may give orders.
        if ours && !has_ended {
            self.keep_fifos();
        }
        let facts = Facts {
            module: &self.spec.module,
            definition: &self.definition,
            config: self.spec.config.path(),
            log_pid: self.spec.service.output().and_then(|pipe| pipe.logger_pid()),
            directory: self.spec.service.directory(),
            svdir: self.runit.as_ref().map(Runit::svdir),
            remember: !has_ended,
        };
        if ours {
            if let Err(text) = self.publisher.publish(&self.machine, facts, &self.spec.dir) {
                self.say(Level::Warn, text);
            }
            self.publish_runit();
        }
        let in_order = ours
            && !self.lock_trouble
            && self.unrecorded.is_none()
            && !self.publisher.is_behind()
            && self.fifos.are_open()
            && self.runit.as_ref().is_none_or(Runit::is_in_order);
        self.mend_at = (!in_order).then(|| Mono::now() + MEND_AGAIN);
    }

    /// The lines that wait, into the module's log, or into the tree's if the directory is somebody else's by now.
    fn write_lines(&mut self, ours: bool) {
        let lines = std::mem::take(&mut self.lines);
        let module = &self.spec.module;
        match &self.spec.house_log {
            Some(log) if !ours => {
                lines.iter().for_each(|(level, text)| log::log!(logger: log, *level, "{module}: {text}"));
            }
            _ if lines.is_empty() => {}
            _ => self.log.together(|| {
                lines.iter().for_each(|(level, text)| log::log!(logger: self.log, *level, "{text}"));
            }),
        }
    }

    /// How supervision has ended, if by its state it has.
    fn outcome_of_state(&self) -> Option<Outcome> {
        match self.machine.state() {
            State::Gone => Some(Outcome::Left(self.machine.leave().unwrap_or(Leave::WhenDown))),
            State::Failed if self.spec.program == Program::Single => Some(Outcome::GaveUp),
            State::Failed
            | State::Down
            | State::Backoff { .. }
            | State::Preparing
            | State::Starting { .. }
            | State::Launching
            | State::Up(_)
            | State::Ending(_)
            | State::Finishing { .. } => None,
        }
    }

    pub(super) fn keep_fifos(&mut self) {
        if let Err(Trouble { level, text }) = self.fifos.keep(&self.spec.dir) {
            self.say(level, text);
        }
    }

    pub(super) fn say(&mut self, level: Level, text: String) {
        self.lines.push((level, text));
    }
}
