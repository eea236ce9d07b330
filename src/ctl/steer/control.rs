//! The verbs that send a command: to all modules first, and then they are waited for together.

use crate::ctl::access;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::parallel;
use crate::ctl::report::{Extra, Report};
use crate::ctl::root::{Missing, Module, StatusRoot};
use crate::ctl::service::directory::ServiceDirectory;
use crate::ctl::service::outdated::Outdated;
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::ctl::steer::changed::Change;
use crate::ctl::steer::company::{self, Along, Member};
use crate::ctl::steer::goal::Goal;
use crate::ctl::steer::module_wait::ModuleWait;
use crate::ctl::steer::send;
use crate::ctl::steer::timeout::{self, Allowances};
use crate::ctl::steer::wait::Waiting;
use crate::status::StatusDir;
use crate::status::dir::TREE_DIR;
use crate::status::record::Want;
use crate::sys::Errno;
use crate::sys::files::fifo;
use crate::sys::time::Mono;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime};

/// What a verb does to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The command bytes, all in one write.
    pub bytes: &'static [u8],
    /// What is done before, with the `down` file.
    pub down_file: Option<DownFileChange>,
    /// What is waited for.
    pub effect: Effect,
    /// Whom it concerns beside the modules that are named.
    pub along: Along,
}

/// What happens to the service's `down` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownFileChange {
    /// It is made: the service stays down when the tree starts again.
    Down,
    /// It is removed.
    Up,
}

impl DownFileChange {
    fn told(self) -> &'static str {
        match self {
            DownFileChange::Down => "disabled",
            DownFileChange::Up => "enabled, and started by the next tree",
        }
    }
}

/// What follows the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The module becomes what was asked for, and that is waited for; the words say what it was told.
    Becomes(Goal, &'static str),
    /// Its process gets this signal; there must be one.
    Signal(&'static str),
    /// The supervisor takes note; these words say of what.
    Acknowledged(&'static str),
}

const fn becomes(bytes: &'static [u8], down_file: Option<DownFileChange>, goal: Goal, told: &'static str) -> Command {
    Command { bytes, down_file, effect: Effect::Becomes(goal, told), along: Along::Nobody }
}

impl Command {
    const fn along(self, along: Along) -> Command {
        Command { along, ..self }
    }
}

const fn signal(byte: &'static [u8; 1], name: &'static str) -> Command {
    Command { bytes: byte, down_file: None, effect: Effect::Signal(name), along: Along::Nobody }
}

const fn acknowledged(byte: &'static [u8; 1], what: &'static str) -> Command {
    Command { bytes: byte, down_file: None, effect: Effect::Acknowledged(what), along: Along::Nobody }
}

/// How long a command that is not waited for may take until the supervisor has counted it. It is a matter of milliseconds, unless the
/// supervisor is held up.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// `start`
pub const START: Command = START_ALONE.along(Along::Needed);
/// `start --no-deps`
pub const START_ALONE: Command = becomes(b"u", None, Goal::Up, "told to start");
/// `stop`
pub const STOP: Command = becomes(b"d", None, Goal::Down, "told to stop").along(Along::Dependents("stopped with it"));
/// `restart`: both bytes in one write, so that nobody else's command comes between them.
pub const RESTART: Command =
    becomes(b"du", None, Goal::NewRun, "told to restart").along(Along::Dependents("stopped meanwhile"));
/// `once`
pub const ONCE: Command = becomes(b"o", None, Goal::Once, "told to run once");
/// `enable`
pub const ENABLE: Command =
    becomes(b"u", Some(DownFileChange::Up), Goal::Up, "enabled, and told to start").along(Along::Needed);
/// `disable`
pub const DISABLE: Command = becomes(b"d", Some(DownFileChange::Down), Goal::Down, "disabled, and told to stop")
    .along(Along::Dependents("stopped with it"));
/// `pause`
pub const PAUSE: Command = signal(b"p", "STOP");
/// `cont`
pub const CONT: Command = signal(b"c", "CONT");
/// `kill`
pub const KILL: Command = signal(b"k", "KILL");
/// `term`
pub const TERM: Command = signal(b"t", "TERM");
/// `hup`
pub const HUP: Command = signal(b"h", "HUP");
/// `int`
pub const INT: Command = signal(b"i", "INT");
/// `quit`
pub const QUIT: Command = signal(b"q", "QUIT");
/// `alrm`
pub const ALRM: Command = signal(b"a", "ALRM");
/// `usr1`
pub const USR1: Command = signal(b"1", "USR1");
/// `usr2`
pub const USR2: Command = signal(b"2", "USR2");
/// `winch`
pub const WINCH: Command = signal(b"w", "WINCH");
/// `exit`
pub const EXIT: Command = acknowledged(b"x", "its supervisor ends as soon as it is down");
/// `alarm on`
pub const ALARM_ON: Command = acknowledged(b"n", "alarms on");
/// `alarm off`
pub const ALARM_OFF: Command = acknowledged(b"s", "alarms off");
/// `reload`
pub const RELOAD: Command = acknowledged(b"r", "told to read its settings again");

/// The modules that a command line means. A glob never revives with `restart` what somebody wants down: `restart '*'` is for
/// what runs.
///
/// # Errors
/// The status root cannot be read.
pub fn select(
    root: &StatusRoot,
    words: &[OsString],
    command: Command,
) -> Result<Vec<Result<Module, Missing>>, CtlError> {
    let mut selected = root.select(words)?;
    if command == RESTART {
        let is_named = |module: &Module| words.contains(&module.name);
        let is_wanted = |module: &Module| {
            Snapshot::read(module).is_ok_and(|snapshot| snapshot.state.want != Some(Want::Down) || !snapshot.is_down())
        };
        selected.retain(|found| found.as_ref().map_or(true, |module| is_named(module) || is_wanted(module)));
    }
    Ok(selected)
}

/// Sends `command` to all of `selected`, then waits for all; a time of zero does not wait, and `None` is as long as the
/// modules' settings allow.
///
/// # Errors
/// inotify is used up; nothing has been sent then.
pub fn steer(
    root: &StatusRoot,
    selected: Vec<Result<Module, Missing>>,
    command: Command,
    wait: Option<Duration>,
    report: &mut Report<'_>,
) -> Result<(), CtlError> {
    let from = Mono::now();
    let waits_for_result = matches!(command.effect, Effect::Becomes(..)) && wait.is_none_or(|wait| !wait.is_zero());
    // Without inotify a signal is sent all the same, and nobody waits until it is taken.
    let mut waiting = if waits_for_result { Some(Waiting::new()?) } else { Waiting::new().ok() };
    let company = company::gather(root, report.known(selected), command.along)?;
    let timeout = match (command.effect, wait) {
        (Effect::Becomes(goal, _), None) => Allowances::default().of_company(&company, command.along, goal),
        (Effect::Becomes(..), Some(wait)) if !wait.is_zero() => wait,
        (Effect::Becomes(..) | Effect::Signal(_) | Effect::Acknowledged(_), _) => TAKEN_WITHIN,
    };
    for member in company.members {
        if let Some(waiting) = &mut waiting {
            waiting.watch_next(root, member.module.dir.path())?;
        }
        match command_module(&member, command, waits_for_result, waiting.as_mut()) {
            Ok(None) => {}
            Ok(Some((done, extra))) => report.module(&member.module, Outcome::Done, &member.told(done), extra),
            Err(error) => {
                let seen = Extra::seen(Snapshot::read_now(&member.module).ok());
                report.module(&member.module, error.outcome, &member.told(error.text), seen);
            }
        }
    }
    match waiting {
        Some(waiting) => waiting.run(root, from, timeout, report),
        None => Ok(()),
    }
}

/// `restart --outdated`: of the modules that are named, or of all, those that would be started from something newer. A
/// module that has a name of its own in `words` gets a result in any case.
///
/// # Errors
/// The status root cannot be read, or inotify is used up.
pub fn restart_outdated(
    root: &StatusRoot,
    words: &[OsString],
    wait: Option<Duration>,
    report: &mut Report<'_>,
) -> Result<(), CtlError> {
    let selected = if words.is_empty() { root.modules()?.into_iter().map(Ok).collect() } else { root.select(words)? };
    let known = report.known(selected);
    let outdated = Outdated::default();
    let seen =
        parallel::map(&known, |module| Snapshot::read(module).map(|snapshot| outdated.complete(module, snapshot)));
    let mut selected = Vec::new();
    for (module, seen) in known.into_iter().zip(seen) {
        match seen {
            Ok(snapshot) if snapshot.state.outdated.is_some() => selected.push(Ok(module)),
            Ok(snapshot) if words.contains(&module.name) => {
                let text = format!("{}, not outdated", snapshot.describe(SystemTime::now()));
                report.module(&module, Outcome::Done, &text, Extra::seen(Some(snapshot)));
            }
            Err(error) if words.contains(&module.name) => {
                let error = CtlError::from(error);
                report.module(&module, error.outcome, &error.text, Extra::default());
            }
            Ok(_) | Err(_) => {}
        }
    }
    if selected.is_empty() && report.is_empty() {
        report.tree(Outcome::Done, false, "nothing is outdated");
    }
    steer(root, selected, RESTART, wait, report)
}

/// Gives one module its command; a result that is there at once, `None` if it is waited for.
fn command_module(
    member: &Member,
    command: Command,
    waits_for_result: bool,
    waiting: Option<&mut Waiting>,
) -> Result<Option<(String, Extra)>, CtlError> {
    let module = &member.module;
    let before = Snapshot::read(module)?;
    let goal = match command.effect {
        Effect::Becomes(goal, _) if waits_for_result => goal,
        Effect::Becomes(..) | Effect::Signal(_) | Effect::Acknowledged(_) => Goal::Taken,
    };
    let wait = waiting.map(|waiting| (ModuleWait::new(member.clone(), goal, &before, command.bytes.len()), waiting));
    let (sent, change) = send_command(module, &before, command)?;
    match (sent, wait) {
        (Sent::Told(told), Some((wait, waiting))) => {
            let wait = wait.changes(change);
            waiting.add(if goal == Goal::Taken { wait.only_told(told) } else { wait });
            Ok(None)
        }
        (Sent::Told(text) | Sent::Noted(text), _) => {
            let changed = change.has_come(Some(&before));
            Ok(Some((text, Extra { with: member.with.clone(), seen: Some(before), changed, ..Extra::default() })))
        }
    }
}

/// What a command changes in a module that is like `before`, apart from the `down` file.
fn change(command: Command, before: &Snapshot) -> Change {
    match command.effect {
        Effect::Becomes(goal, _) => Change::of_state(goal, before),
        Effect::Signal(_) => Change::from(match command {
            PAUSE => !before.state.paused,
            CONT => before.state.paused,
            _ => true,
        }),
        Effect::Acknowledged(_) => match command {
            ALARM_ON => Change::from(!before.state.alarm),
            ALARM_OFF => Change::from(before.state.alarm),
            RELOAD => Change::of_settings(before),
            _ => Change::Something,
        },
    }
}

/// What became of a command, in words.
enum Sent {
    /// The supervisor has it.
    Told(String),
    /// There is no supervisor, but the `down` file says it to the next one.
    Noted(String),
}

/// Carries a command out for one module; what that changes is the second part.
fn send_command(module: &Module, snapshot: &Snapshot, command: Command) -> Result<(Sent, Change), CtlError> {
    if let Effect::Signal(name) = command.effect
        && snapshot.supervised == Supervised::Yes
        && snapshot.state.pid.is_none()
    {
        // The byte would be taken, and do nothing: whoever asked for it has to know.
        return Err(CtlError::failed(format!("{}: there is no process to send {name} to", snapshot.state_name())));
    }
    let mut is_another_file = false;
    if let Some(change) = command.down_file {
        is_another_file = change_down_file(module, snapshot, change)?;
        if !snapshot.is_supervised() {
            let tree = StatusDir::new(module.status_root().join(TREE_DIR));
            let runs = fifo::has_reader(&tree.control()).unwrap_or(false);
            let why = if runs { "nobody supervises it now" } else { "no supervise-tree runs now" };
            return Ok((Sent::Noted(format!("{}; {why}", change.told())), Change::from(is_another_file)));
        }
    }
    send::to_module(module, snapshot, command.bytes)?;
    let told = match command.effect {
        Effect::Becomes(_, told) => told.to_string(),
        Effect::Acknowledged(what) => what.to_string(),
        Effect::Signal(name) => match snapshot.state.pid {
            Some(pid) => format!("{name} sent (pid {pid})"),
            None => format!("{name} sent"),
        },
    };
    Ok((Sent::Told(told), change(command, snapshot).or(is_another_file)))
}

/// Makes or removes the `down` file; false if there was nothing to do.
fn change_down_file(module: &Module, snapshot: &Snapshot, change: DownFileChange) -> Result<bool, CtlError> {
    let none = || CtlError::failed("has no service directory: enable and disable are for services of a tree");
    let directory = ServiceDirectory::of(module, snapshot).map_err(CtlError::denied)?.ok_or_else(none)?;
    let failed = |error: &io::Error| {
        let outcome = if access::is_denied(error) { Outcome::Denied } else { Outcome::Failed };
        // To make and remove a file is up to the directory's owner.
        CtlError::new(outcome, access::explain(&directory.path, error))
    };
    // The directory that is looked at is the one that is changed, whatever has its name meanwhile.
    let held = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(&directory.path);
    let held = held.map_err(|error| failed(&error))?;
    if !directory.is_theirs(&held) {
        let shown = access::shown(&directory.path);
        return Err(CtlError::denied(format!("{shown} does not belong to the user whose supervisor names it")));
    }
    let done = match change {
        DownFileChange::Up => unlinkat(&held, "down", UnlinkatFlags::NoRemoveDir),
        // O_EXCL follows no link; what is there already does its job, whatever it is.
        DownFileChange::Down => {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
            openat(&held, "down", flags, Mode::from_bits_truncate(0o644)).map(drop)
        }
    };
    match (done, change) {
        (Ok(()), _) => Ok(true),
        (Err(Errno::ENOENT), DownFileChange::Up) | (Err(Errno::EEXIST), DownFileChange::Down) => Ok(false),
        (Err(errno), _) => Err(failed(&errno.into())),
    }
}

/// `wait`: no command, only a wait. A name that no module has yet may still get one.
///
/// # Errors
/// The status root cannot be read, or inotify is used up.
pub fn wait(
    root: &StatusRoot,
    words: &[OsString],
    goal: Goal,
    wait: Option<Duration>,
    report: &mut Report<'_>,
) -> Result<(), CtlError> {
    let mut waiting = Waiting::new()?;
    let from = Mono::now();
    let (mut allowances, mut allowed) = (Allowances::default(), Duration::ZERO);
    for found in root.select(words)? {
        let (module, missing) = match found {
            Ok(module) => (module, None),
            Err(missing) => match root.would_be(&missing.word).filter(|_| !missing.is_for_several()) {
                Some(module) => (module, Some(missing.why)),
                None => {
                    report.missing(&missing);
                    continue;
                }
            },
        };
        if wait.is_none() {
            allowed = allowed.max(allowances.of(&module, goal));
        }
        waiting.watch_next(root, module.dir.path())?;
        waiting.add(ModuleWait::expecting(Member::alone(module), goal, missing));
    }
    waiting.run(root, from, wait.unwrap_or_else(|| timeout::enough(allowed)), report)
}
