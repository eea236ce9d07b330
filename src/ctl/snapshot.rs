//! One module as its status directory shows it at one moment.

use super::access;
use super::error::{CtlError, VANISHED};
use super::exit::Outcome;
use super::not_begun;
use super::root::Module;
use crate::ctl::format;
use crate::ctl::logs::logged::{self, Service};
use crate::status::StatusDir;
use crate::status::dir::TREE_DIR;
use crate::status::module_state::ModuleState;
use crate::status::record::{Record, Want};
use crate::status::state::StateFile;
use crate::sys::Pid;
use crate::sys::files::fifo;
use crate::sys::files::file;
use crate::sys::process::record::ProcessRecord;
use crate::sys::process::stat::Stat;
use crate::sys::threads::poll;
use crate::sys::time::Mono;
use chrono::DateTime;
use serde_json::Value;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// `state.json` larger than this, in bytes, is not ours.
const FILE_MAX: u64 = 256 * 1024;

/// Most files fit in so many bytes, and are read in one call.
const AT_ONCE: usize = 2048;

/// How long the end of a run process may stay unwritten before the files count as stale: the supervisor gives itself half
/// of this while hundreds of services start or stop.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// How often a file that seems stale is read again.
const STALE_LOOK: Duration = Duration::from_millis(50);

/// What is said of a module whose files tell of the past.
pub const STALE: &str = "its supervisor could not write what came later (is the disk full?)";

/// Processes start a little before their start is written down; the clock's ticks are 10 ms.
const START_SLACK: Duration = Duration::from_secs(2);

/// Whether somebody supervises the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// Yes.
    Yes,
    /// Yes, but the files tell of the past, and nothing newer could be written since: the disk is full, or read-only.
    Stale,
    /// No; whether the last run process lives on without a supervisor.
    No {
        /// It does.
        runs_on: bool,
    },
    /// No, and its service directory is gone, too: a service that was removed.
    Removed,
    /// No: the tree knows it, and could not begin it.
    NotBegun,
}

impl Supervised {
    /// The word for a module that shows `state`.
    pub fn word(self, state: &ModuleState) -> &str {
        match (self, state.name()) {
            (Supervised::Yes | Supervised::Stale, "") => "unknown",
            (Supervised::Yes | Supervised::Stale, name) => name,
            (Supervised::No { .. }, _) => "unsupervised",
            (Supervised::Removed, _) => "removed",
            (Supervised::NotBegun, _) => "failed",
        }
    }
}

/// What its status directory says.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Whether what follows is the present or the past.
    pub supervised: Supervised,
    /// `state.json`, or as much of it as `status` holds.
    pub state: StateFile,
    /// The bytes of `state.json`, if it was read.
    pub raw: Option<Vec<u8>>,
    /// When the pid changed last.
    pub changed: Option<SystemTime>,
}

/// Why there is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// There is no such status directory any more.
    Gone,
    /// It may not be read; which file, and whose it is.
    Denied(String),
}

impl From<SnapshotError> for CtlError {
    fn from(error: SnapshotError) -> CtlError {
        match error {
            SnapshotError::Gone => CtlError::new(Outcome::NoSuchModule, VANISHED),
            SnapshotError::Denied(why) => CtlError::denied(why),
        }
    }
}

impl Snapshot {
    /// Looks at a module now.
    ///
    /// # Errors
    /// It is gone, or we may not look.
    pub fn read(module: &Module) -> Result<Snapshot, SnapshotError> {
        let until = Mono::now() + STALE_AFTER;
        let mut snapshot = Snapshot::read_now(module)?;
        // An end is written down a moment after it has come.
        while snapshot.names_a_dead_process(module) {
            if Mono::now() >= until {
                snapshot.supervised = Supervised::Stale;
                break;
            }
            poll::wait([], Some(Mono::now() + STALE_LOOK));
            snapshot = Snapshot::read_now(module)?;
        }
        Ok(snapshot)
    }

    /// The same, for who looks again at the next change: an end that is not written down yet is not waited for.
    ///
    /// # Errors
    /// As [`Snapshot::read`].
    pub fn read_now(module: &Module) -> Result<Snapshot, SnapshotError> {
        let (raw, mut state, record) = match read_both(module) {
            Err(SnapshotError::Gone) => return Snapshot::not_begun(module).ok_or(SnapshotError::Gone),
            other => other?,
        };
        state.module = module.json();
        let changed = record.map(|record| record.changed);
        let supervised = supervised(module, &state, changed);
        let snapshot = Snapshot { supervised, state, raw, changed };
        match snapshot.supervised {
            Supervised::No { runs_on: false } | Supervised::Removed => {
                Ok(Snapshot::not_begun(module).unwrap_or(snapshot))
            }
            Supervised::Yes | Supervised::Stale | Supervised::No { runs_on: true } | Supervised::NotBegun => {
                Ok(snapshot)
            }
        }
    }

    /// What the tree says of a module that it could not begin.
    fn not_begun(module: &Module) -> Option<Snapshot> {
        let tree = StatusDir::new(module.status_root().join(TREE_DIR));
        let reason = not_begun::reason(&tree, &module.json())?;
        let state = StateFile {
            module: module.json(),
            state: ModuleState::Failed,
            want: Some(Want::Up),
            reason: Some(format!("not begun: {reason}")),
            ..StateFile::default()
        };
        Some(Snapshot { supervised: Supervised::NotBegun, state, raw: None, changed: None })
    }

    /// Whether the run process has ended, though its supervisor lives. Numbers of another pid namespace say nothing.
    fn names_a_dead_process(&self, module: &Module) -> bool {
        let Some(pid) = self.state.pid.filter(|_| self.supervised == Supervised::Yes) else { return false };
        let lives = |pid: u32| Path::new(&format!("/proc/{pid}")).exists();
        // The record may already be that of the next process, and the files tell of it in a moment.
        !lives(pid) && lives(self.state.supervisor_pid) && !still_runs(module, pid, self.changed)
    }

    /// Whether somebody takes commands for it.
    pub fn is_supervised(&self) -> bool {
        match self.supervised {
            Supervised::Yes | Supervised::Stale => true,
            Supervised::No { .. } | Supervised::Removed | Supervised::NotBegun => false,
        }
    }

    /// Whether a run process runs under supervision, and is not paused or on its way out.
    pub fn is_up(&self) -> bool {
        self.supervised == Supervised::Yes
            && self.state.pid.is_some()
            && matches!(
                self.state.state,
                ModuleState::Up | ModuleState::Ready | ModuleState::Reloading | ModuleState::Unhealthy
            )
    }

    /// Whether nothing runs, and nothing is about to.
    pub fn is_down(&self) -> bool {
        self.state.pid.is_none()
            && matches!(self.state.state, ModuleState::Down | ModuleState::Done | ModuleState::Failed)
    }

    /// Whether it is a one-shot that has succeeded. A service that has ended well is shown as done, too, where `restart` wants no
    /// more of it: nobody has the use of that.
    pub fn is_one_shot_done(&self) -> bool {
        let is_one_shot = match &self.state.memory {
            Some(memory) => memory.done,
            None => self.state.want != Some(Want::Down),
        };
        self.state.state == ModuleState::Done && is_one_shot
    }

    /// Whether a tree that starts now would start it: there is no `down` file. `None` where there is no service directory.
    pub fn is_enabled(&self) -> Option<bool> {
        let definition = Path::new(&self.state.definition);
        // The file may have come or gone without anybody's knowledge.
        match definition.is_absolute().then(|| std::fs::symlink_metadata(definition.join("down"))) {
            None => None,
            Some(Ok(_)) => Some(false),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound && definition.is_dir() => Some(true),
            // It is gone, or not for us to see.
            Some(Err(_)) => self.state.enabled,
        }
    }

    /// Whether it is wanted up, and ends again and again.
    pub fn is_flapping(&self) -> bool {
        let may = match self.state.state {
            ModuleState::Down
            | ModuleState::Done
            | ModuleState::Failed
            | ModuleState::Paused
            | ModuleState::Waiting => false,
            ModuleState::Starting
            | ModuleState::Up
            | ModuleState::Ready
            | ModuleState::Unhealthy
            | ModuleState::Reloading
            | ModuleState::Stopping
            | ModuleState::Finishing
            | ModuleState::Backoff
            | ModuleState::Unknown(_) => true,
        };
        may && self.supervised == Supervised::Yes
            && self.state.want == Some(Want::Up)
            && self.state.is_flapping(Mono::now())
    }

    /// The module's `state.json`, with keys that we do not know, and whether it is supervised.
    pub fn json(&self, module: &Module) -> Option<Value> {
        let mut object = match &self.raw {
            Some(raw) => serde_json::from_slice(raw).ok()?,
            None => serde_json::to_value(&self.state).ok()?,
        };
        // They mean something to supervisors alone, and may be something else tomorrow.
        if let Some(object) = object.as_object_mut() {
            object.retain(|key, _| !key.ends_with("config_hash") && key != "memory");
        }
        object["module"] = module.json().into();
        // It was true when it was written, and nobody writes it when an exit has become old.
        object["recent_exits"] = self.state.recent_exits_at(Mono::now()).into();
        object["enabled"] = self.is_enabled().into();
        object["flapping"] = self.is_flapping().into();
        object["supervised"] = self.is_supervised().into();
        if self.supervised == Supervised::Stale {
            object["stale"] = true.into();
        }
        Some(object)
    }

    /// How long the run process has been running.
    pub fn uptime(&self, now: SystemTime) -> Option<Duration> {
        self.state.pid?;
        let since = self.changed.or_else(|| moment(&self.state.since))?;
        // A clock that was set back must not make this fail.
        Some(now.duration_since(since).unwrap_or(Duration::ZERO))
    }

    /// How long it is until the next start.
    pub fn next_start(&self, now: SystemTime) -> Option<Duration> {
        let at = self.state.next_start.as_deref().and_then(moment)?;
        Some(at.duration_since(now).unwrap_or(Duration::ZERO))
    }

    /// How long ago the last run process ended.
    pub fn ended_ago(&self, now: SystemTime) -> Option<Duration> {
        let at = moment(&self.state.last_exit.as_ref()?.at)?;
        Some(now.duration_since(at).unwrap_or(Duration::ZERO))
    }

    /// `up (pid 812) 3 s`; `backoff: run: execve: Permission denied, next start in 2 s`.
    pub fn describe(&self, now: SystemTime) -> String {
        let mut text = self.state_name();
        if self.supervised == Supervised::Stale {
            return format!("{STALE}, was {text}");
        }
        match (self.state.pid, self.uptime(now)) {
            (Some(pid), Some(uptime)) => text += &format!(" (pid {pid}) {}", format::spoken(uptime)),
            (Some(pid), None) => text += &format!(" (pid {pid})"),
            (None, _) => {}
        }
        if !self.is_up()
            && let Some(reason) = &self.state.reason
        {
            text += &format!(": {}", format::text(reason));
        }
        match self.next_start(now) {
            Some(wait) if self.state.state == ModuleState::Backoff => {
                text + &format!(", next start in {}", format::spoken(wait))
            }
            _ => text,
        }
    }

    /// Whether it runs, and is not ready yet, or not well.
    pub fn is_unfit(&self) -> bool {
        self.state.state == ModuleState::Unhealthy || self.is_up() && self.state.ready == Some(false)
    }

    /// `its check says: no answer`, while it is not ready, or not well.
    pub fn check_said(&self) -> Option<String> {
        let said = self.state.check.as_deref().filter(|said| self.is_unfit() && !said.is_empty())?;
        Some(format!("its check says: {}", format::text(said)))
    }

    /// Why it is not ready, or not well, as far as that is known, each part with `; ` before it.
    pub fn why_unfit(&self) -> String {
        let reason = self.state.reason.as_deref().filter(|_| self.is_up() && self.is_unfit()).map(format::text);
        reason.into_iter().chain(self.check_said()).map(|part| format!("; {part}")).collect()
    }

    /// The state in one word for programs, with words of its own where the file tells of the past.
    pub fn word(&self) -> &str {
        self.supervised.word(&self.state.state)
    }

    /// The state's name, whatever the file says, as one harmless word.
    pub fn state_name(&self) -> String {
        match self.state.state.name() {
            "" => "unknown".into(),
            name => format::text(name),
        }
    }
}

/// An RFC 3339 stamp as a point in time.
pub fn moment(stamp: &str) -> Option<SystemTime> {
    DateTime::parse_from_rfc3339(stamp).ok().map(SystemTime::from)
}

/// `state.json` as it was read, what it says, and what `status` says.
type Files = (Option<Vec<u8>>, StateFile, Option<Record>);

/// Reads `state.json` and `status`, which are replaced one after the other: where they speak of different processes,
/// a change was under way, and they are read again. If they still do, the record says nothing.
fn read_both(module: &Module) -> Result<Files, SnapshotError> {
    let mut tries_left = 3;
    loop {
        tries_left -= 1;
        let raw = match read(&module.dir.state()) {
            Ok(raw) => raw,
            Err(error) if access::is_denied(&error) => {
                return Err(SnapshotError::Denied(access::explain(&module.dir.state(), &error)));
            }
            Err(_) if !module.dir.path().is_dir() => return Err(SnapshotError::Gone),
            Err(_) => Vec::new(),
        };
        let record = read(&module.dir.status()).ok().and_then(|bytes| Record::decode(&bytes));
        let Some(state) = StateFile::decode(&raw) else {
            return Ok((None, from_record(record.as_ref()), record));
        };
        let agrees = record.is_none_or(|record| record.pid == state.pid.unwrap_or(0));
        if agrees || tries_left == 0 {
            return Ok((Some(raw), state, record.filter(|_| agrees)));
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = file::read(path)?;
    let mut bytes = vec![0; AT_ONCE];
    let taken = file.read(&mut bytes)?;
    bytes.truncate(taken);
    // A read of a regular file comes short at its end alone.
    if taken == AT_ONCE {
        file.take(FILE_MAX).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// What 20 bytes tell: enough for the C program `supervise`, which writes no `state.json`.
fn from_record(record: Option<&Record>) -> StateFile {
    let Some(record) = record else { return StateFile::default() };
    let state = match (record.pid, record.paused) {
        (0, _) => ModuleState::Down,
        (_, true) => ModuleState::Paused,
        _ => ModuleState::Up,
    };
    StateFile {
        state,
        want: Some(record.want),
        pid: (record.pid > 0).then_some(record.pid),
        since: crate::status::state::rfc3339(record.changed),
        paused: record.paused,
        alarm: record.alarm,
        ..StateFile::default()
    }
}

fn supervised(module: &Module, state: &StateFile, changed: Option<SystemTime>) -> Supervised {
    let yes = match fifo::look(&module.dir.ok()) {
        // Its supervisor says so: see `Fifos::mark_stale`.
        Ok(reader) if reader.has_unread => return Supervised::Stale,
        Ok(reader) => reader.is_there,
        // Who may read the directory but not write the FIFO can still see whether the supervisor is there.
        Err(error) if access::is_denied(&error) => {
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", state.supervisor_pid));
            comm.is_ok_and(|comm| comm.starts_with("supervise"))
        }
        Err(_) => false,
    };
    let definition = Path::new(&state.definition);
    if yes {
        Supervised::Yes
    } else if state.pid.is_none() && definition.is_absolute() && is_gone(definition) && !is_to_come_back(module, state)
    {
        Supervised::Removed
    } else {
        Supervised::No { runs_on: state.pid.is_some_and(|pid| still_runs(module, pid, changed)) }
    }
}

/// Whether `module` is the logger of a service that nobody supervises: it has no directory, and comes back with the service.
fn is_to_come_back(module: &Module, state: &StateFile) -> bool {
    logged::service_of(module, state) == Some(Service::Rests)
}

/// Whether the run process `pid` of a module still runs, and is no other one that got its number since: by the record that
/// the next supervisor would go by, too. Who may not read that record goes by the time of the last change.
fn still_runs(module: &Module, pid: u32, changed: Option<SystemTime>) -> bool {
    let lock = file::read(&module.dir.lock_path()).ok();
    match lock.and_then(|lock| ProcessRecord::read(&lock).ok().flatten()) {
        // Without descriptors nobody can tell; the supervisor would wait until it can.
        Some(record) if record.pid.as_raw().unsigned_abs() == pid => {
            // One that nobody has reaped yet runs no more.
            record.open().is_ok_and(|process| process.is_some_and(|process| !process.has_ended()))
        }
        _ => runs_since(pid, changed),
    }
}

fn is_gone(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether process `pid` runs, and did so when `recorded` was written: a process that began later only got its
/// number.
fn runs_since(pid: u32, recorded: Option<SystemTime>) -> bool {
    let Ok(Some(stat)) = Stat::read(Pid::from_raw(pid.cast_signed())) else { return false };
    let Some(recorded) = recorded.filter(|_| !stat.has_ended()) else { return !stat.has_ended() };
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split(' ').next().and_then(|word| word.parse().ok()).map(Duration::from_secs_f64);
    let (Some(start), Some(uptime)) = (stat.started().map(Duration::from_nanos), uptime) else { return true };
    match SystemTime::now().checked_sub(uptime.saturating_sub(start)) {
        Some(began) => began <= recorded + START_SLACK,
        None => true,
    }
}

#[cfg(test)]
mod tests;
