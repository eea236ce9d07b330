//! `state.json`: everything that 20 bytes cannot hold, for people and for `svctl` (supervise-status(5)).

use crate::status::counts::ExitCounts;
use crate::status::module_state::ModuleState;
use crate::status::recent_exits::{FLAPPING, RecentExits};
use crate::status::record::Want;
use crate::status::rest::Rest;
use crate::sys::files::file;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::sys::ok_unless_exhausted;
use crate::sys::process::pidfd::{ExitStatus, signal_name, signal_number};
use crate::sys::process::record::boot;
use crate::sys::time::Mono;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

/// A larger file, in bytes, is none of ours.
const SIZE_MAX: u64 = 64 * 1024;

/// Most files are not larger than this, in bytes.
const SIZE_USUAL: usize = 1280;

/// The content of the file. Readers ignore keys that they do not know; all may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateFile {
    /// The module's name.
    pub module: String,
    /// How it is.
    pub state: ModuleState,
    /// `up`, `down` or `once`; `None` for a word that this program does not know.
    #[serde(serialize_with = "write_want", deserialize_with = "read_want")]
    pub want: Option<Want>,
    /// Pid of the run process.
    pub pid: Option<u32>,
    /// When the state began, RFC 3339.
    pub since: String,
    /// Whether the service said that it is ready; null where it has no way to say it.
    pub ready: Option<bool>,
    /// Whether the run process is stopped by `p`.
    pub paused: bool,
    /// How often the run process was started again.
    pub restarts: u64,
    /// How often the run process was started.
    pub starts: u64,
    /// How often it ended and nobody had asked for that.
    pub exits: u64,
    /// How often it could not be started.
    pub failed_starts: u64,
    /// All ends of the run process, by how they came; absent where there was none.
    #[serde(skip_serializing_if = "ExitCounts::is_none")]
    pub exits_by: ExitCounts,
    /// How often its check has failed; absent where it never did.
    #[serde(skip_serializing_if = "is_zero")]
    pub check_failures: u64,
    /// Processor time of the run processes that have ended, in microseconds; absent where it is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub spent_us: u64,
    /// `exits` of the last 5 minutes, when this was written.
    pub recent_exits: u64,
    /// How many commands were taken when this was written; this is what they have led to. Null for a supervisor that does not
    /// count them.
    pub commands: Option<u64>,
    /// Whether the next tree starts it: there is no `down` file. Null for what has no service directory.
    pub enabled: Option<bool>,
    /// How the last run process ended.
    pub last_exit: Option<LastExit>,
    /// Why the state is what it is, where that needs saying.
    pub reason: Option<String>,
    /// When the next start comes, RFC 3339.
    pub next_start: Option<String>,
    /// Whether alarms are raised.
    pub alarm: bool,
    /// Pid of the supervising process.
    pub supervisor_pid: u32,
    /// The service directory or the command.
    pub definition: String,
    /// Whether it is the command that the tree was given.
    #[serde(skip_serializing_if = "is_false")]
    pub command: bool,
    /// The last line that the check has written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What the service says of itself (`STATUS=` of sd_notify(3)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `ok`, or `failing` where its checks fail; absent where it is not looked at any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// The module or tag that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Modules and tags that it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Modules and tags that it comes after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Modules and tags with which it is restarted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart_with: Vec<String>,
    /// The tags by which it can be called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Why the run process is older than what it would be started from, as far as its supervisor knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
    /// Pid of the logger's run process.
    pub log_pid: Option<u32>,
    /// Where a logger that the tree runs by itself writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_dir: Option<String>,
    /// The configuration file that was read.
    pub config: Option<String>,
    /// A number for the content of that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<u64>,
    /// A number for the content of the service directory's own file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_config_hash: Option<u64>,
    /// What `SVDIR` has to be for runit's tools, with `--runit-compat`.
    pub svdir: Option<String>,
    /// Whether the files were written over, for want of room for new ones.
    #[serde(skip_serializing_if = "is_false")]
    pub disk_full: bool,
    /// Why a later supervisor would not find the run process, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<String>,
    /// For the next supervisor, if this one is killed; null once it has left in good order.
    pub memory: Option<Memory>,
}

/// What a supervisor needs to go on where another one of the same boot was killed. Times are nanoseconds of
/// `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The boot of which the times are.
    pub boot: String,
    /// The service directory that it was started from: device and inode.
    pub directory: Option<FileId>,
    /// When that directory was made, in nanoseconds since the epoch; absent where that is not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub born: u64,
    /// The record of the run process, as it stands in the lock file.
    pub process: Option<String>,
    /// A fingerprint of the context that the run process was started in, if that is not its supervisor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// When the run process was started.
    pub up_since: Option<u64>,
    /// Until when its end counts as asked for.
    pub expected_exit_until: Option<u64>,
    /// Whether the run process is being stopped, and when it gets KILL.
    pub stopping: bool,
    /// See `stopping`.
    pub kill_at: Option<u64>,
    /// Whether a start follows the stop.
    pub restart_after_stop: bool,
    /// Whether a start was asked for and is yet to come.
    pub to_start: bool,
    /// Whether it has given up, and only `finish` is waited for.
    pub gives_up: bool,
    /// Whether the tree ends with it: the next tree begins anew.
    #[serde(skip_serializing_if = "is_false")]
    pub ends_tree: bool,
    /// Whether the last start failed of something that does not pass by itself.
    #[serde(skip_serializing_if = "is_false")]
    pub start_is_hopeless: bool,
    /// Whether a one-shot has succeeded.
    #[serde(skip_serializing_if = "is_false")]
    pub done: bool,
    /// Whether the run process is still to become ready, or to be done.
    #[serde(skip_serializing_if = "is_false")]
    pub unready: bool,
    /// What the run process was given to tell that it is ready.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub tells_by: Option<TellsBy>,
    /// Whether what the run process writes goes into files, since it was started without a logger.
    #[serde(skip_serializing_if = "is_false")]
    pub into_files: bool,
    /// Whether an alarm was raised, and its recovery is yet to be told.
    #[serde(skip_serializing_if = "is_false")]
    pub alarmed: bool,
    /// Whether its checks have failed.
    #[serde(skip_serializing_if = "is_false")]
    pub unhealthy: bool,
    /// Whether supervision is to end with the run process, as told by `x`.
    pub leaving: bool,
    /// When a start was last tried.
    pub last_start: Option<u64>,
    /// The restart delay, if it has grown.
    pub backoff_delay: Option<u64>,
    /// The alarm window.
    pub window: Option<SavedWindow>,
    /// When a run process last ended.
    pub last_exit: Option<u64>,
    /// The count for the restart hook.
    pub exits: u32,
    /// The ends of the last minutes that nobody had asked for.
    pub recent_exits: RecentExits,
    /// Why it is down, if it stays so.
    #[serde(deserialize_with = "known")]
    pub rest: Option<Rest>,
}

impl Memory {
    /// The service directory that it was started from.
    pub fn instance(&self) -> Option<FileInstance> {
        self.directory.map(|id| FileInstance { id, born: self.born.into() })
    }
}

/// Most services have no readiness, and their files stay as short as they were.
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Most services have no check, either.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The alarm window: it opens with its first exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedWindow {
    /// When it opened.
    pub opened: u64,
    /// Exits in it.
    pub exits: u32,
    /// Core dumps in it.
    pub cores: u32,
}

/// How a run process ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastExit {
    /// Its exit code, if it exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The name of the signal that killed it, without SIG.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Whether it dumped core.
    pub core: bool,
    /// When, RFC 3339.
    pub at: String,
}

impl LastExit {
    /// The exit `status` of a process, seen at `at`.
    pub fn new(status: ExitStatus, at: SystemTime) -> LastExit {
        let (code, signal) = match status {
            ExitStatus::Code(code) => (Some(code), None),
            ExitStatus::Signal { number, .. } => (None, Some(signal_name(number))),
            ExitStatus::Unknown => (None, None),
        };
        LastExit { code, signal, core: status.core(), at: rfc3339(at) }
    }

    /// What a shell makes of it: the exit code, or 128 and the signal's number; `None` if nobody knows.
    pub fn shell_code(&self) -> Option<i32> {
        self.code.or_else(|| Some(128 + signal_number(self.signal.as_deref()?)?))
    }
}

impl StateFile {
    /// The bytes of the file: one line.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE_USUAL);
        // Only maps with keys that are no strings, and failing writers, make this fail.
        let _ = serde_json::to_writer(&mut bytes, self);
        bytes.push(b'\n');
        bytes
    }

    /// Reads the file at `path`; `None` if it is no such file. Never waits: it may be a FIFO by now.
    ///
    /// # Errors
    /// It cannot be told, for want of descriptors or memory.
    pub fn read(path: &Path) -> io::Result<Option<StateFile>> {
        let mut bytes = Vec::new();
        let read = file::read(path).and_then(|file| file.take(SIZE_MAX).read_to_end(&mut bytes));
        Ok(ok_unless_exhausted(read)?.and_then(|_| StateFile::decode(&bytes)))
    }

    /// `exits` of the 5 minutes before `now`, of a supervisor that has not left in good order.
    pub fn recent_exits_at(&self, now: Mono) -> u64 {
        let memory = self.memory.as_ref().filter(|memory| memory.boot == boot());
        memory.map_or(0, |memory| memory.recent_exits.count(now))
    }

    /// Whether it ends again and again.
    pub fn is_flapping(&self, now: Mono) -> bool {
        self.recent_exits_at(now) >= FLAPPING
    }

    /// Reads the bytes of a file; `None` if they are no such object.
    pub fn decode(bytes: &[u8]) -> Option<StateFile> {
        // What follows the line was there before: its writer was killed in the middle, on a full disk.
        let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        serde_json::from_slice(line).or_else(|_| serde_json::from_slice(bytes)).ok()
    }
}

/// What a run process was given at its start to tell that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TellsBy {
    /// A descriptor of the FIFO `ready`.
    Descriptor,
    /// The name of a socket.
    Socket,
}

/// A value, or nothing for one of another version.
fn known<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(deserializer)?).ok())
}

fn write_want<S: Serializer>(want: &Option<Want>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(want.map_or("", Want::name))
}

fn read_want<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Want>, D::Error> {
    Ok(Want::from_name(&String::deserialize(deserializer)?))
}

/// A point in time as RFC 3339 with milliseconds, in local time.
pub fn rfc3339(at: SystemTime) -> String {
    crate::sys::time::local(at).to_rfc3339_opts(chrono::SecondsFormat::Millis, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_keys_do_not_matter() {
        let state = StateFile::decode(br#"{"module":"web","pid":7,"colour":"red"}"#).unwrap();
        assert_eq!((state.module.as_str(), state.pid, state.want), ("web", Some(7), None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let exit = ExitStatus::Signal { number: 6, core: true };
        let state = StateFile {
            module: "we\"b\n".into(),
            last_exit: Some(LastExit::new(exit, SystemTime::UNIX_EPOCH)),
            ..StateFile::default()
        };
        assert_eq!(StateFile::decode(&state.encode()), Some(state));
    }

    #[test]
    fn the_manual_names_every_key() {
        let page = include_str!("../../man/supervise-status.5");
        let json = serde_json::to_value(StateFile::default()).unwrap();
        for key in json.as_object().unwrap().keys() {
            assert!(page.contains(&format!("\n.It Cm {key}\n")), "{key}");
        }
    }

    #[test]
    fn a_shell_tells_a_signal_by_128_and_its_number() {
        let code = |status| LastExit::new(status, SystemTime::UNIX_EPOCH).shell_code();
        assert_eq!(code(ExitStatus::Code(3)), Some(3));
        assert_eq!(code(ExitStatus::Signal { number: 9, core: false }), Some(137));
        assert_eq!(
            code(ExitStatus::Signal { number: libc::SIGRTMIN() + 3, core: false }),
            Some(131 + libc::SIGRTMIN())
        );
        assert_eq!(code(ExitStatus::Unknown), None);
    }

    #[test]
    fn an_exit_has_a_code_or_a_signal() {
        let json = |status| serde_json::to_value(LastExit::new(status, SystemTime::UNIX_EPOCH)).unwrap();
        let code = json(ExitStatus::Code(3));
        assert_eq!((code["code"].as_i64(), code.get("signal")), (Some(3), None));
        let signal = json(ExitStatus::Signal { number: 9, core: false });
        assert_eq!((signal["signal"].as_str(), signal.get("code")), (Some("KILL"), None));
    }
}
