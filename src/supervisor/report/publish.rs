//! Writes `status` and `state.json`, when their content has changed.

use crate::conf::relations::Relations;
use crate::machine::standing::Hold;
use crate::machine::{Machine, Reason, State};
use crate::status::StatusDir;
use crate::status::module_state::ModuleState;
use crate::status::record::{Record, Want};
use crate::status::rest::Rest;
use crate::status::state::{LastExit, Memory, StateFile, TellsBy, rfc3339};
use crate::sys::files::file;
use crate::sys::files::file_id::FileInstance;
use crate::sys::files::path_error::PathError;
use crate::sys::files::replace::FilePair;
use crate::sys::files::statx::Look;
use crate::sys::passing::Passing;
use crate::sys::process::record::boot;
use crate::sys::time::Mono;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// Writes the two files, and remembers what is in them.
#[derive(Debug)]
pub struct Publisher {
    /// Of `state.json`, a number for its content: kept whole, it would be a fifth of what a service costs.
    written: Option<(Record, u64)>,
    /// What was wanted at first. A later supervisor assumes the same if it finds no file.
    first_want: Option<Want>,
    /// The end of the present delay, and its text in `next_start`. The text is computed once per delay: computed again, it would
    /// differ by microseconds, and the file would be written again.
    next_start: Option<(Mono, String)>,
    pid_changed: SystemTime,
    since: SystemTime,
    last: Option<(ModuleState, u32)>,
    last_exit: Option<LastExit>,
    /// Commands that were taken, by this supervisor and those before it.
    commands: u64,
    /// One of them is not told yet.
    command_is_untold: bool,
    /// The cause of the last start that failed, where errno alone does not say it.
    cause: Option<Box<str>>,
    failing: bool,
    /// What is known of `status`.
    status_file: FilePair,
    /// What is known of `state.json`.
    state_file: FilePair,
}

/// What the files say that the machine does not know.
#[derive(Clone, Copy, Debug)]
pub struct StatusContext<'a> {
    /// The module's name.
    pub module: &'a str,
    /// The service directory or the command.
    pub definition: &'a str,
    /// Whether it is the command that the tree was given.
    pub is_command: bool,
    /// The configuration file that was read; empty if there is none.
    pub config: &'a Path,
    /// Numbers for its content, and for that of the service directory's own file.
    pub hashes: [Option<u64>; 2],
    /// Pid of the logger's run process.
    pub log_pid: Option<u32>,
    /// Where a logger that the tree runs by itself writes.
    pub log_dir: Option<&'a Path>,
    /// Which directory the service is run from.
    pub directory: Option<FileInstance>,
    /// The fingerprint of the context that the run process was started in.
    pub context: Option<&'a str>,
    /// The processor time of the run processes that have ended.
    pub spent: Duration,
    /// Why the run process is older than what it would be started from.
    pub outdated: Option<&'static str>,
    /// What `SVDIR` has to be for runit's tools, if they work.
    pub svdir: Option<&'a Path>,
    /// The record of the run process.
    pub record: Option<&'a str>,
    /// Why it stands nowhere else.
    pub unrecorded: Option<&'static str>,
    /// What a reader has to know of a service that is well otherwise.
    pub note: Option<&'a str>,
    /// Whether the run process has no logger.
    pub into_files: bool,
    /// What the run process has to tell that it is ready.
    pub tells_by: Option<TellsBy>,
    /// What it waits for.
    pub hold: Option<&'a Hold>,
    /// The last line of its check.
    pub check: Option<&'a str>,
    /// What it says of itself.
    pub status: Option<&'a str>,
    /// How it stands to others.
    pub relations: &'a Relations,
    /// Whether a later supervisor is to go on where this one ends.
    pub remember: bool,
}

impl Publisher {
    /// Nothing written yet, in a directory about whose two files so much is known.
    pub fn new(known: FilePair) -> Publisher {
        let now = SystemTime::now();
        Publisher {
            written: None,
            first_want: None,
            pid_changed: now,
            since: now,
            last: None,
            last_exit: None,
            commands: 0,
            command_is_untold: false,
            cause: None,
            failing: false,
            next_start: None,
            status_file: known,
            state_file: known,
        }
    }

    /// Takes over what a predecessor has shown.
    pub fn restore(&mut self, state: &StateFile) {
        self.last_exit = state.last_exit.clone();
        self.commands = self.commands.max(state.commands.unwrap_or_default());
    }

    /// What was written is gone: it is written again at the next call.
    pub fn forget(&mut self) {
        self.written = None;
        self.status_file = FilePair::Unknown;
        self.state_file = FilePair::Unknown;
    }

    /// The same, if one of the files is gone: somebody has removed it, and nothing else may have changed.
    pub fn forget_what_is_gone(&mut self, dir: &StatusDir) {
        if !(dir.status().exists() && dir.state().exists()) {
            self.forget();
        }
    }

    /// Whether the files could not be written.
    pub fn last_write_failed(&self) -> bool {
        self.failing
    }

    /// Whether something else is wanted than what is written. That is the one thing that a later supervisor, if this one is
    /// killed now, could not find out by itself.
    pub fn want_is_unwritten(&self, machine: &Machine) -> bool {
        let known = self.written.as_ref().map(|(record, _)| record.want).or(self.first_want);
        known.is_some_and(|known| known != machine.shown_want())
    }

    /// Notes that a command was taken: whoever has sent it waits until the file counts it.
    pub fn note_command(&mut self) {
        self.commands = self.commands.saturating_add(1);
        self.command_is_untold = true;
    }

    /// Whether a command was taken since the files were last written.
    pub fn command_is_untold(&self) -> bool {
        self.command_is_untold
    }

    /// Notes the cause of a failed start; gives it back, to be logged, if it differs from that of the last one.
    pub fn note_start_failure(&mut self, cause: Option<String>) -> Option<String> {
        let is_told = self.cause.as_deref() == cause.as_deref();
        self.cause = cause.as_deref().map(Into::into);
        cause.filter(|_| !is_told)
    }

    /// Notes that the run process has ended just now.
    pub fn note_exit(&mut self, machine: &Machine) {
        self.last_exit = machine.last_exit().map(|status| LastExit::new(status, SystemTime::now()));
    }

    /// Notes what has changed, and when. To be called when it has: it may be a while until it is written.
    pub fn note(&mut self, machine: &Machine) {
        self.first_want.get_or_insert(machine.shown_want());
        let (state, pid) = (machine.shown_state(), shown_pid(machine));
        if self.last.as_ref() == Some(&(state.clone(), pid)) {
            return;
        }
        let now = SystemTime::now();
        self.since = now;
        if self.last.as_ref().is_none_or(|(_, last_pid)| *last_pid != pid) {
            // One that was adopted has been running for longer.
            let uptime = machine.run().map(|run| Mono::now().since(run.since));
            self.since = uptime.and_then(|uptime| now.checked_sub(uptime)).unwrap_or(now);
            self.pid_changed = self.since;
        }
        self.last = Some((state, pid));
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// The line for the log, once for as long as writing fails; the next call tries again.
    pub fn publish(&mut self, machine: &Machine, facts: StatusContext<'_>, dir: &StatusDir) -> Result<(), PathError> {
        self.note(machine);
        self.command_is_untold = false;
        // A full disk is looked at again each time.
        let was_full = self.is_written_over();
        if was_full {
            self.written = None;
        }
        match self.write_new(machine, &facts, dir) {
            Ok(()) => {
                self.failing = false;
                if self.is_written_over() == was_full { Ok(()) } else { self.write_new(machine, &facts, dir) }
            }
            Err(error) => {
                self.written = None;
                if std::mem::replace(&mut self.failing, true) { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Whether there was no room for new files the last time, and what was there was written over.
    pub fn is_written_over(&self) -> bool {
        [self.status_file, self.state_file].contains(&FilePair::WrittenOver)
    }

    fn write_new(&mut self, machine: &Machine, facts: &StatusContext<'_>, dir: &StatusDir) -> Result<(), PathError> {
        let record = self.record(machine);
        let state = self.encode_state(machine, facts);
        let number = number_of(&state);
        self.write(&record, (&state, number), dir)?;
        self.written = Some((record, number));
        Ok(())
    }

    fn write(&mut self, record: &Record, (state, number): (&[u8], u64), dir: &StatusDir) -> Result<(), PathError> {
        let written = self.written.take();
        if written.as_ref().is_none_or(|(old, _)| old != record) {
            put(&mut self.status_file, &dir.status(), &record.encode())?;
        }
        if written.as_ref().is_none_or(|(_, old)| *old != number) {
            put(&mut self.state_file, &dir.state(), state)?;
        }
        Ok(())
    }

    fn record(&self, machine: &Machine) -> Record {
        Record {
            changed: self.pid_changed,
            paused: machine.run().is_some_and(|run| run.paused),
            want: machine.shown_want(),
            alarm: machine.alarm(),
            pid: shown_pid(machine),
        }
    }

    fn next_start(&mut self, machine: &Machine) -> Option<String> {
        let State::Backoff { until } = machine.state() else {
            self.next_start = None;
            return None;
        };
        let shown = self.next_start.take().filter(|(end, _)| *end == until);
        self.next_start = shown.or_else(|| {
            let at = SystemTime::now().checked_add(until.since(Mono::now()))?;
            Some((until, rfc3339(at)))
        });
        self.next_start.as_ref().map(|(_, text)| text.clone())
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn encode_state(&mut self, machine: &Machine, facts: &StatusContext<'_>) -> Vec<u8> {
        let mut file = Passing::<StateFile>::blank();
        self.fill_in(&mut file, machine, facts);
        if facts.remember {
            remember(&mut file, machine, facts);
        }
        file.encode()
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn fill_in(&mut self, file: &mut StateFile, machine: &Machine, facts: &StatusContext<'_>) {
        let tally = machine.tally();
        let enabled = facts.directory.map(|_| is_enabled(facts.definition));
        file.module = facts.module.to_string();
        file.state = machine.shown_state();
        file.want = Some(machine.shown_want());
        file.pid = machine.run().map(|run| run.pid.as_raw().unsigned_abs());
        file.since = rfc3339(self.since);
        file.ready = machine.run().and(machine.ready());
        file.paused = machine.run().is_some_and(|run| run.paused);
        file.restarts = machine.restarts();
        file.starts = tally.starts;
        file.exits = tally.exits;
        file.exits_by = tally.exits_by;
        file.failed_starts = tally.failed_starts;
        file.check_failures = tally.check_failures;
        file.spent_us = u64::try_from(facts.spent.as_micros()).unwrap_or(u64::MAX);
        file.recent_exits = tally.recent.count(Mono::now());
        file.commands = Some(self.commands);
        file.enabled = enabled;
        file.last_exit = self.last_exit.clone();
        file.reason = facts
            .hold
            .map(Hold::to_string)
            .or_else(|| reason(machine, enabled, self.cause.as_deref()))
            .or_else(|| facts.note.map(str::to_string));
        file.next_start = self.next_start(machine);
        file.alarm = machine.alarm();
        file.supervisor_pid = std::process::id();
        file.definition = facts.definition.to_string();
        file.command = facts.is_command;
        file.check = facts.check.map(str::to_string);
        file.status = facts.status.map(str::to_string);
        file.health = machine.health().map(str::to_string);
        file.waits_for = facts.hold.and_then(Hold::name).map(str::to_string);
        file.needs = facts.relations.needs.clone();
        file.after = facts.relations.after.clone();
        file.restart_with = facts.relations.restart_with.clone();
        file.tags = facts.relations.tags.clone();
        file.outdated = facts.outdated.map(str::to_string);
        file.log_pid = facts.log_pid.filter(|_| machine.state() != State::Ended);
        file.log_dir = facts.log_dir.map(|path| path.to_string_lossy().into_owned());
        file.config = (!facts.config.as_os_str().is_empty()).then(|| facts.config.to_string_lossy().into_owned());
        file.config_hash = facts.hashes[0];
        file.own_config_hash = facts.hashes[1];
        file.svdir = facts.svdir.map(|path| path.to_string_lossy().into_owned());
        file.disk_full = self.is_written_over();
        file.unrecorded = facts.unrecorded.map(|why| format!("the next tree would start a second copy: {why}"));
    }
}

/// A number for `content`, which nobody outside of this process can foresee: no two contents share one but by chance, and that
/// is once in 2^64 changes.
fn number_of(content: &[u8]) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one(content)
}

/// Whether a new tree starts the service in `directory`.
fn is_enabled(directory: &str) -> bool {
    Look::at(&file::child(Path::new(directory), "down")).is_err()
}

/// Why it is as it is. Who disables a service stops it by a command, too.
fn reason(machine: &Machine, enabled: Option<bool>, cause: Option<&str>) -> Option<String> {
    machine.reason().map(|reason| match reason {
        Reason::Rests(Rest::Command) if enabled == Some(false) => format!("{reason}; disabled: there is a down file"),
        Reason::StartFailed(_) => {
            cause.map_or_else(|| reason.to_string(), |cause| format!("could not be started: {cause}"))
        }
        reason => reason.to_string(),
    })
}

/// The run process's pid, 0 when there is none.
fn shown_pid(machine: &Machine) -> u32 {
    machine.run().map_or(0, |run| run.pid.as_raw().unsigned_abs())
}

fn put(known: &mut FilePair, path: &Path, content: &[u8]) -> Result<(), PathError> {
    known.replace(path, content).map_err(PathError::at(path))
}

// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn remember(file: &mut StateFile, machine: &Machine, facts: &StatusContext<'_>) {
    let memory = file.memory.insert(Memory::default());
    memory.boot = boot().to_string();
    memory.directory = facts.directory.map(|directory| directory.id);
    memory.born = facts.directory.map_or(0, |directory| u64::try_from(directory.born).unwrap_or_default());
    memory.process = facts.record.map(str::to_string);
    memory.context = facts.context.map(str::to_string);
    memory.tells_by = facts.tells_by;
    memory.into_files = facts.into_files;
    machine.remember(memory);
}
