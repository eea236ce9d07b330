//! Alarms: mail, short messages, any program. They run beside supervision and never hold it up.
//!
//! A few worker threads exist while there is something to send, and none otherwise. No shell is involved, and
//! nothing that a service or a directory's name says becomes an option or a command.

use crate::conf::settings::Settings;
use crate::machine::{Alarm, AlarmReason};
use crate::status::StatusDir;
use crate::status::log::{Log, stamp};
use crate::status::state::rfc3339;
use crate::supervisor::report::last_words::{Heard, LastWords};
use crate::sys::files::file;
use crate::sys::process::pidfd::{ExitStatus, signal_group, signal_name};
use crate::sys::process::start::{Environment, Input, Leader, Plan, StartError, Started, look_up, start};
use crate::sys::terminal::escape::is_active;
use crate::sys::threads::poll::{self, PollSource};
use crate::sys::threads::thread::Thread;
use crate::sys::time::Mono;
use crate::sys::{Errno, describe as describe_errno, errno_text};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// An alarm program that takes longer than this is killed.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How long an ending supervisor waits for its alarms: the time limit of one program, and a little for those before it.
pub const WAIT_AT_END: Duration = TIME_LIMIT.saturating_add(Duration::from_secs(5));

/// The most alarm programs that run at once: when a whole tree fails, its mails need not come in the same second.
const WORKERS_MAX: usize = 4;

/// The most alarms that may wait. More are dropped with a warning: nobody reads a thousand mails.
const QUEUE_MAX: usize = 1000;

/// The service's last lines in the message.
const TAIL_LINES: usize = 20;

/// The bytes of these lines that `ALARM_JSON` has: the kernel takes no variable of more than 128 KiB, and an escaped byte is
/// up to six.
const JSON_TAIL: usize = 16 * 1024;

/// Stack of a worker, in bytes.
const STACK_SIZE: usize = 256 * 1024;

/// What an alarm says and whom it is for.
#[derive(Debug)]
pub struct Message {
    module: String,
    subject: String,
    /// The body, but for the last lines.
    head: String,
    /// The variables, but for `ALARM_JSON`.
    variables: Vec<(String, OsString)>,
    /// `ALARM_JSON`, but for the last lines.
    json: Value,
    last_words: LastWords,
    programs: Vec<Vec<String>>,
    log: Log,
}

impl Message {
    /// The message for `alarm` of a module, by what `settings` say; `None` when the settings want no alarm. `service` has the
    /// variables of everything that is run for the module.
    pub fn new(
        alarm: &Alarm,
        (module, dir, service): (&str, &StatusDir, &Environment),
        settings: &Settings,
        last_words: impl FnOnce() -> LastWords,
        log: &Log,
    ) -> Option<Message> {
        let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let what = describe(alarm);
        let subject = format!("{} [Alarm: {host}] Service {} {what}!", stamp(SystemTime::now()), in_one_line(module));
        let programs = programs(settings, &subject);
        if programs.is_empty() {
            return None;
        }
        let json = json(alarm, (module, dir), (&host, &what, &subject));
        let exit = match alarm.exit {
            Some(Ok(status)) => status.to_string(),
            Some(Err(error)) => error.to_string(),
            None => "none: it runs".into(),
        };
        let pid = alarm.pid.map(|pid| pid.to_string()).unwrap_or_default();
        let names = service.own_pairs().filter_map(|(name, value)| Some((name.to_str()?, value)));
        let exit_code = exit_value(alarm);
        let variables = names.chain([
            ("ALARM_MODULE", OsStr::new(module)),
            ("ALARM_HOST", OsStr::new(&host)),
            ("ALARM_REASON", OsStr::new(&what)),
            ("ALARM_EXIT", OsStr::new(&exit_code)),
            ("ALARM_PID", OsStr::new(&pid)),
            ("ALARM_STATUS_DIR", dir.path().as_os_str()),
        ]);
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_owned())).collect();
        let head = format!(
            "{subject}\n\nexit: {exit}\npid: {pid}\nuptime: {:.1} s\nrestarts in this interval: {}\nstatus: {}\n",
            alarm.uptime.as_secs_f64(),
            alarm.restarts,
            in_one_line(&dir.path().to_string_lossy()),
        );
        let (module, last_words, log) = (module.into(), last_words(), log.clone());
        Some(Message { module, subject, head, variables, json, last_words, programs, log })
    }

    /// The body and the environment. Waits a moment for a logger that has to write the last lines.
    fn compose(&self) -> (String, Environment) {
        let Heard { title, lines } = self.last_words.read(TAIL_LINES);
        let tail = harmless(&lines);
        let mut json = self.json.clone();
        json["stderr"] = last_bytes(&tail, JSON_TAIL).lines().collect();
        let json = OsString::from(json.to_string());
        let variables = self.variables.iter().map(|(name, value)| (&**name, &**value));
        let environment = Environment::inherited_with(variables.chain([("ALARM_JSON", &*json)]));
        (format!("{}\n{}:\n{tail}", self.head, in_one_line(&title)), environment)
    }
}

/// A name or path as it can stand in a line: a mailer might act on what seems to be another one.
fn in_one_line(text: &str) -> String {
    text.chars().map(|letter| if is_active(letter) { '?' } else { letter }).collect()
}

fn describe(alarm: &Alarm) -> String {
    match (alarm.reason, alarm.exit) {
        (AlarmReason::GaveUp(reason), _) => reason.to_string(),
        (AlarmReason::Exited, Some(Ok(status))) if status.core() => "exited with coredump".into(),
        (AlarmReason::Exited, _) => "exited".into(),
        (AlarmReason::Unhealthy(failures), None) => format!("is unhealthy after {failures} failed checks"),
        (AlarmReason::Unhealthy(failures), _) => format!("was restarted after {failures} failed checks"),
        (AlarmReason::NotReady(limit), _) => format!("was not ready after {} s", limit.as_secs_f64()),
        (AlarmReason::Watchdog(Some(silence)), _) => format!("missed its watchdog of {} s", silence.as_secs_f64()),
        (AlarmReason::Watchdog(None), _) => "said that it is not well".into(),
        (AlarmReason::Recovered, _) => "has recovered".into(),
    }
}

/// `ALARM_JSON`: the whole alarm but for the last lines, as programs want it.
fn json(alarm: &Alarm, (module, dir): (&str, &StatusDir), (host, what, subject): (&str, &str, &str)) -> Value {
    let (code, signal, core) = match alarm.exit {
        Some(Ok(status @ ExitStatus::Signal { number, .. })) => (None, Some(signal_name(number)), status.core()),
        Some(Ok(ExitStatus::Code(code))) => (Some(code), None, false),
        Some(Ok(ExitStatus::Unknown) | Err(_)) | None => (None, None, false),
    };
    let error = alarm.exit.and_then(Result::err).map(|error| error.to_string());
    json!({
        "module": module,
        "host": host,
        "kind": kind(alarm.reason),
        "reason": what,
        "subject": subject,
        "time": rfc3339(SystemTime::now()),
        "code": code,
        "signal": signal,
        "core": core,
        "error": error,
        "pid": alarm.pid.map(nix::unistd::Pid::as_raw),
        "uptime_seconds": alarm.uptime.as_secs_f64(),
        "restarts": alarm.restarts,
        "status_dir": dir.path().to_string_lossy(),
    })
}

/// The alarm in one word that does not change.
fn kind(reason: AlarmReason) -> &'static str {
    match reason {
        AlarmReason::Exited => "exited",
        AlarmReason::GaveUp(_) => "gave_up",
        AlarmReason::Unhealthy(_) => "unhealthy",
        AlarmReason::NotReady(_) => "not_ready",
        AlarmReason::Watchdog(_) => "watchdog",
        AlarmReason::Recovered => "recovered",
    }
}

/// The end of `text`, at most `max` bytes of it.
fn last_bytes(text: &str, max: usize) -> &str {
    let from = (text.len().saturating_sub(max)..=text.len()).find(|at| text.is_char_boundary(*at));
    text.get(from.unwrap_or(0)..).unwrap_or(text)
}

/// `ALARM_EXIT`: the exit code, or the signal's name.
fn exit_value(alarm: &Alarm) -> String {
    match alarm.exit {
        Some(Ok(ExitStatus::Code(code))) => code.to_string(),
        Some(Ok(ExitStatus::Signal { number, .. })) => signal_name(number),
        Some(Ok(ExitStatus::Unknown)) => "unknown".into(),
        Some(Err(error)) => error.to_string(),
        None => String::new(),
    }
}

fn programs(settings: &Settings, subject: &str) -> Vec<Vec<String>> {
    let mut programs = Vec::new();
    if !settings.alarms.mail.is_empty() {
        let mut mail = settings.alarms.mailer.clone();
        mail.extend(["-s".to_string(), subject.to_string()]);
        mail.extend(settings.alarms.mail.iter().cloned());
        programs.push(mail);
    }
    for number in &settings.alarms.gsm {
        let mut message = settings.alarms.gsm_command.clone();
        message.push(format!("{number}@{subject}"));
        programs.push(message);
    }
    if !settings.alarms.command.is_empty() {
        programs.push(settings.alarms.command.clone());
    }
    programs
}

/// The lines without anything that a terminal or a mailer would act on.
fn harmless(lines: &[String]) -> String {
    let mut tail = String::new();
    for line in lines {
        // Some mailers take a line that begins with ~ for a command.
        if line.starts_with('~') {
            tail.push(' ');
        }
        tail.extend(line.chars().filter(|letter| !is_active(*letter) || *letter == '\t'));
        tail.push('\n');
    }
    tail
}

/// The queue and its workers, shared by all supervisor threads of a process.
#[derive(Debug)]
pub struct Alarms {
    state: Mutex<Queue>,
    /// Notified when a program was started, or a worker has ended.
    changed: Condvar,
    /// The same as a channel, for a `select!`.
    progress: (Sender<()>, Receiver<()>),
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Message>,
    workers: usize,
    /// Programs that are yet to be started, for messages that wait and for those that are being sent.
    to_start: usize,
}

impl Alarms {
    /// Nothing to send, and no worker.
    pub fn new() -> Arc<Alarms> {
        Arc::new(Alarms { state: Mutex::default(), changed: Condvar::new(), progress: bounded(1) })
    }

    /// Has the message sent, soon.
    pub fn send(self: &Arc<Alarms>, message: Message) {
        let mut state = self.state.lock();
        if state.waiting.len() >= QUEUE_MAX {
            log::warn!(logger: message.log, "alarm dropped: {QUEUE_MAX} others wait");
            return;
        }
        log::info!(logger: message.log, "alarm: {}", message.subject);
        state.to_start += message.programs.len();
        state.waiting.push_back(message);
        if state.workers < WORKERS_MAX {
            let alarms = self.clone();
            match Thread::spawn("alarm", STACK_SIZE, move || alarms.work()) {
                Ok(_) => state.workers += 1,
                // A worker that runs will take it. Without one, the next alarm starts one.
                Err(_) if state.workers > 0 => {}
                Err(errno) => {
                    if let Some(message) = state.waiting.back() {
                        let text = crate::sys::describe(errno);
                        log::warn!(logger: message.log, "alarm waits for the next one: no thread: {text}");
                    }
                }
            }
        }
    }

    /// Waits until nothing is being sent any more, but no longer than this.
    pub fn wait_at_most(&self, limit: Duration) {
        self.wait_while(limit, |queue| queue.workers > 0);
    }

    /// Waits until all programs are started, but no longer than `limit`: a running program needs us no more. Returns whether
    /// all are.
    pub fn wait_for_starts(&self, limit: Duration) -> bool {
        self.wait_while(limit, |queue| queue.workers > 0 && queue.to_start > 0);
        self.to_start() == 0
    }

    /// Whether a worker is still to start a program.
    pub fn are_starting(&self) -> bool {
        let state = self.state.lock();
        state.workers > 0 && state.to_start > 0
    }

    /// Receives something when [`Alarms::are_starting`] may have changed.
    pub fn progress(&self) -> &Receiver<()> {
        &self.progress.1
    }

    fn notify(&self) {
        self.changed.notify_all();
        // Full: whoever waits has been told already.
        let _ = self.progress.0.try_send(());
    }

    fn wait_while(&self, limit: Duration, condition: impl Fn(&Queue) -> bool) {
        let mut state = self.state.lock();
        let deadline = std::time::Instant::now() + limit;
        while condition(&state) && !self.changed.wait_until(&mut state, deadline).timed_out() {}
    }

    /// How many programs are yet to be started.
    pub fn to_start(&self) -> usize {
        self.state.lock().to_start
    }

    /// Drops the waiting alarms because the process ends. Returns how many programs were not run.
    pub fn drop_waiting(&self) -> usize {
        let mut state = self.state.lock();
        for message in std::mem::take(&mut state.waiting) {
            log::warn!(logger: message.log, "alarm dropped, supervision ends: {}", message.subject);
        }
        state.to_start
    }

    fn work(&self) {
        loop {
            let message = {
                let mut state = self.state.lock();
                let Some(message) = state.waiting.pop_front() else {
                    state.workers -= 1;
                    self.notify();
                    return;
                };
                message
            };
            let (body, environment) = message.compose();
            for words in &message.programs {
                let started = start_program(words, &body, &environment);
                self.state.lock().to_start -= 1;
                self.notify();
                if let Err(what) = started.and_then(|started| wait_for_success(&started)) {
                    log::warn!(logger: message.log, "alarm of {}: {}: {what}", message.module, words[0]);
                }
            }
        }
    }
}

/// Starts one alarm program.
fn start_program(words: &[String], body: &str, environment: &Environment) -> Result<Started, ProgramError> {
    let name = words.first().map(OsString::from).unwrap_or_default();
    let program = file::c_path_or_empty(&look_up(&name).map_err(ProgramError::LookUp)?);
    let arguments: Vec<CString> = words.iter().filter_map(|word| CString::new(word.as_str()).ok()).collect();
    let body = file::in_memory(c"alarm", body.as_bytes()).map_err(ProgramError::Message)?;
    let started = start(&Plan {
        shell_fallback: true,
        leads: Leader::Group,
        stdin: Input::Descriptor(body.as_fd()),
        ..Plan::new(&program, &arguments, environment)
    });
    started.map_err(ProgramError::Start)
}

/// What was wrong with an alarm program.
#[derive(Debug)]
enum ProgramError {
    /// It is not found, or not executable.
    LookUp(Errno),
    /// No place for the message that it reads.
    Message(io::Error),
    /// It cannot be started.
    Start(StartError),
    /// It has failed.
    Ended(ExitStatus),
    /// It took longer than [`TIME_LIMIT`].
    Killed,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramError::LookUp(errno) => f.write_str(describe_errno(*errno)),
            ProgramError::Message(error) => f.write_str(&errno_text(error)),
            ProgramError::Start(error) => error.fmt(f),
            ProgramError::Ended(status) => status.fmt(f),
            ProgramError::Killed => write!(f, "killed after {} s", TIME_LIMIT.as_secs()),
        }
    }
}

/// Waits for the program's end.
///
/// # Errors
/// It has failed, or took too long.
fn wait_for_success(started: &Started) -> Result<(), ProgramError> {
    match wait_with_timeout(started) {
        Some(ExitStatus::Code(0)) => Ok(()),
        Some(status) => Err(ProgramError::Ended(status)),
        None => Err(ProgramError::Killed),
    }
}

/// Waits for the program's end; `None` if it had to be killed.
fn wait_with_timeout(started: &Started) -> Option<ExitStatus> {
    let deadline = Mono::now() + TIME_LIMIT;
    let mut killed = false;
    loop {
        let ready = poll::wait([Some(PollSource::Readable(started.pidfd.as_fd()))], (!killed).then_some(deadline));
        match started.pidfd.reap() {
            Ok(Some(status)) => return (!killed).then_some(status),
            Ok(None) | Err(Errno::EINTR) => {}
            Err(_) => return Some(ExitStatus::Unknown),
        }
        if !ready[0] && !killed {
            // It is not reaped, so the group is still its own.
            let _ = signal_group(started.pid, libc::SIGKILL);
            killed = true;
        }
    }
}
