//! `supervise`: one service, as the C program of that name did it (supervise(8) lists the differences).

use super::{NO_DIRECTORY, TEMPORARY, USAGE, fail, getopt, parse, prepare};
use crate::conf::CONFIG_FILE;
use crate::conf::shell_words;
use crate::conf::source::ConfigSource;
use crate::service::{CommandLine, Definition, Service, Streams};
use crate::status::StatusDir;
use crate::status::dir::MakeError;
use crate::status::log::Echo;
use crate::supervisor::begin::retry;
use crate::supervisor::host::{Host, RestartHook, Single};
use crate::supervisor::report::alarm::{Alarms, WAIT_AT_END};
use crate::supervisor::spec::{OpenError, Outcome, Spec};
use crate::supervisor::thread::Supervisor;
use crate::sys::process::detach::{Detaching, Side, fork_away};
use crate::sys::threads::signals::Signals;
use crate::sys::{describe, errno_text};
use nix::sys::signal::Signal;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "supervise";

/// How long it may take until the alarm programs of what has just happened are started, for one who is told to end.
const WAIT_WHEN_ABANDONED: Duration = Duration::from_secs(1);

/// Supervise one service in one status directory.
#[derive(clap::Parser, Debug)]
#[command(
    name = NAME,
    version,
    disable_version_flag = true,
    override_usage = "supervise -p STATUS_DIR -f COMMAND [-F CONF] [-r RESTART_SH] [-t SECONDS] [--foreground]\n       \
                      supervise [-F CONF] [-r RESTART_SH] [-t SECONDS] [--foreground] -u STATUS_DIR COMMAND [ARG...]\n       \
                      supervise -v | -h",
    after_help = "STATUS_DIR must contain status/MODULE. See supervise(8)."
)]
pub struct Arguments {
    /// Status directory: must contain status/MODULE
    #[arg(short = 'p', value_name = "STATUS_DIR", allow_hyphen_values = true)]
    pub status_dir: Option<OsString>,
    /// Command, split at blanks with shell quoting; no shell runs it
    #[arg(short = 'f', value_name = "COMMAND", allow_hyphen_values = true)]
    pub command: Option<OsString>,
    /// Configuration file [default: ./supervise.conf]
    #[arg(short = 'F', value_name = "CONF", allow_hyphen_values = true)]
    pub conf: Option<OsString>,
    /// Run `sh -c 'RESTART_SH COUNT'` after each exit; no alarms and limits then
    #[arg(short = 'r', value_name = "RESTART_SH", allow_hyphen_values = true)]
    pub restart_sh: Option<OsString>,
    /// With -r: COUNT begins anew when SECONDS have passed between two exits
    #[arg(short = 't', value_name = "SECONDS", allow_hyphen_values = true)]
    pub seconds: Option<OsString>,
    /// Stay attached: no new session, messages on standard error
    #[arg(short = 'n', long)]
    pub foreground: bool,
    /// Status directory, as -p, and the end of the options: the command follows
    #[arg(short = 'u', value_name = "STATUS_DIR", allow_hyphen_values = true)]
    pub status_dir_and_words: Option<OsString>,
    /// The command and its arguments, each word as it is; not used if -f is given
    #[arg(value_name = "COMMAND", hide = true)]
    pub words: Vec<OsString>,
    /// Print the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

impl Arguments {
    /// Reads a command line as getopt(3) does.
    ///
    /// # Errors
    /// The exit code; what there is to say has been said.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Arguments, ExitCode> {
        parse(arranged(line.into_iter().collect()))
    }
}

fn arranged(line: Vec<OsString>) -> Vec<OsString> {
    let posix = std::env::var_os("POSIXLY_CORRECT").is_some();
    getopt::arrange(&<Arguments as clap::CommandFactory>::command(), 'u', posix, line)
}

/// Why the program ends with something else than 0.
struct Failure {
    code: u8,
    message: String,
}

/// The whole program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = crate::readiness::probe::run_if_asked(&arguments) {
        return code.into();
    }
    crate::sys::threads::signals::block_first();
    let arguments = match Arguments::read(arguments) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match supervise(arguments) {
        Ok(code) => code,
        Err(Failure { code, message }) => fail(NAME, code, &message),
    }
}

fn supervise(arguments: Arguments) -> Result<ExitCode, Failure> {
    let usage = |message| Failure { code: USAGE, message };
    let temporary = |message| Failure { code: TEMPORARY, message };
    prepare().map_err(|error| temporary(error.to_string()))?;
    crate::sys::process::setup::obey_umask();
    let request = Request::new(arguments).map_err(usage)?;
    let command = CommandLine::new(request.words.clone(), request.restart_sh.clone()).map_err(usage)?;
    command.check().map_err(|error| temporary(format!("{}: {error}", command.describe())))?;

    // The child does all the rest, so that the lock and the services are its own from the beginning; the parent
    // waits for its word.
    let detaching = if request.foreground {
        None
    } else {
        match fork_away().map_err(|error| temporary(errno_text(&error)))? {
            Side::Parent(code) => return Ok(ExitCode::from(code)),
            Side::Child(detaching) => Some(detaching),
        }
    };
    let alarms = Alarms::new();
    let unused = request.unused.join(OsStr::new(" "));
    let spec = spec(request, command, alarms.clone()).map_err(temporary)?;
    let mut supervisor = Supervisor::open(Box::new(spec)).map_err(|(spec, error)| {
        let code = if matches!(error, OpenError::Directory(MakeError::Io(_))) { NO_DIRECTORY } else { TEMPORARY };
        Failure { code, message: error.describe(&spec.dir) }
    })?;
    if let Err(error) = supervisor.begin() {
        supervisor.end_before_it_ran();
        return Err(temporary(format!("cannot start the command: {error}")));
    }
    note_beginning(&supervisor, &unused, detaching);
    // A panic is our mistake, and no reason to leave the service alone.
    let outcome = supervisor.run().unwrap_or_else(retry::supervise);
    // Who is told to end while the service goes on ends at once.
    let timeout = if outcome == Outcome::Abandoned { WAIT_WHEN_ABANDONED } else { WAIT_AT_END };
    alarms.wait_for_starts(timeout);
    alarms.drop_waiting();
    Ok(match outcome {
        Outcome::Left(_) | Outcome::Abandoned => ExitCode::SUCCESS,
        Outcome::GaveUp => ExitCode::from(TEMPORARY),
    })
}

/// The service runs: the parent is told, and may end.
fn note_beginning(supervisor: &Supervisor, unused: &OsStr, detaching: Option<Detaching>) {
    if !unused.is_empty() {
        log::info!(logger: supervisor.log(), "not used, for -f says the command: {}", unused.display());
    }
    if let Some(detaching) = detaching
        && let Err(error) = detaching.done()
    {
        log::warn!(logger: supervisor.log(), "/dev/null: {}; still attached", errno_text(&error));
    }
}

/// What the arguments come to.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    dir: PathBuf,
    module: String,
    words: Vec<OsString>,
    /// Words behind the options, where `-f` says the command.
    unused: Vec<OsString>,
    conf: Option<PathBuf>,
    restart_sh: Option<OsString>,
    count_reset: Option<Duration>,
    foreground: bool,
}

impl Request {
    /// # Errors
    /// A line for the user, where something is missing or cannot be meant.
    fn new(arguments: Arguments) -> Result<Request, String> {
        let dir = arguments.status_dir_and_words.or(arguments.status_dir);
        let dir = trimmed(&dir.ok_or("a status directory is required: -p STATUS_DIR, or -u STATUS_DIR COMMAND")?);
        let module = module_of(&dir)?;
        let (mut words, mut unused) = (Vec::new(), arguments.words);
        if let Some(command) = &arguments.command {
            words = shell_words::split_bytes(command).map_err(|what| format!("-f: {what} in {command:?}"))?;
        }
        if words.is_empty() {
            words = std::mem::take(&mut unused);
        }
        if words.is_empty() {
            return Err("a command is required: -f COMMAND, or words after the options".into());
        }
        Ok(Request {
            dir,
            module,
            words,
            unused,
            conf: arguments.conf.map(PathBuf::from),
            restart_sh: arguments.restart_sh.filter(|hook| !hook.is_empty()),
            count_reset: arguments.seconds.map(|text| Duration::from_secs(getopt::seconds(&text))),
            foreground: arguments.foreground,
        })
    }
}

/// Without the blanks and slashes at its end.
fn trimmed(dir: &OsStr) -> PathBuf {
    let mut bytes = dir.as_bytes();
    while let [rest @ .., b' ' | b'\t' | b'/'] = bytes {
        bytes = rest;
    }
    OsStr::from_bytes(bytes).into()
}

/// All that follows the first `status/`.
fn module_of(dir: &std::path::Path) -> Result<String, String> {
    let required = || "bad status_dir: sub-string \"status/module_name\" is required".to_string();
    let bytes = dir.as_os_str().as_bytes();
    let mark = b"status/";
    let at = bytes.windows(mark.len()).position(|window| window == mark).ok_or_else(required)?;
    let name = OsStr::from_bytes(&bytes[at + mark.len()..]).to_string_lossy();
    let name = name.trim_matches('/');
    if name.is_empty() { Err(required()) } else { Ok(name.to_string()) }
}

fn foreign_warning(dir: &StatusDir, owner: u32) -> String {
    let path = dir.path().display();
    format!(
        "{path} belongs to uid {owner}, who can give every command; no link in it is followed, and nothing in it believed"
    )
}

fn spec(request: Request, command: CommandLine, alarms: Arc<Alarms>) -> Result<Spec, String> {
    let mut dir = StatusDir::new(request.dir).for_scripts();
    let foreign = dir.hold_foreign().ok().flatten().map(|owner| foreign_warning(&dir, owner));
    use Signal::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
    let signals = Signals::take(&[SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGUSR2]);
    let signals = signals.map_err(|errno| format!("cannot take signals: {}", describe(errno)))?;
    let is_empty = |conf: &PathBuf| conf.as_os_str().is_empty();
    let source = match (&request.restart_sh, request.conf) {
        (Some(_), _) => ConfigSource::none(),
        (None, Some(conf)) if is_empty(&conf) => ConfigSource::none(),
        (None, conf) => ConfigSource::choose(conf, [CONFIG_FILE.into()]),
    };
    let (config, complaint) = source.first();
    let echo = if request.foreground { Echo::All } else { Echo::Warnings };
    let complaints = complaint.iter().chain(config.complaints()).map(ToString::to_string).chain(foreign).collect();
    let restart_hook = match (request.restart_sh, request.count_reset) {
        (None, _) => RestartHook::None,
        (Some(_), None) => RestartHook::CountsAll,
        (Some(_), Some(time)) => RestartHook::CountsSince(time),
    };
    Ok(Spec {
        service: Service::new(Definition::Command(command), Streams::new(&dir, None, None)),
        dir,
        module: request.module,
        config: Arc::new(config),
        source,
        alarms,
        echo,
        complaints,
        leave: None,
        host: Host::Single(Single { signals, restart_hook, foreground: request.foreground }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};
    use std::path::Path;

    #[test]
    fn the_module_is_all_that_follows_the_first_status() {
        let module = |dir| module_of(Path::new(dir)).ok();
        assert_eq!(module("./status/some-app").as_deref(), Some("some-app"));
        assert_eq!(module("/home/work/status/a/b/").as_deref(), Some("a/b"));
        assert_eq!(module("/x/mystatus/web").as_deref(), Some("web"));
        assert_eq!(module("status/status/web").as_deref(), Some("status/web"));
        for bad in ["status", "status/", "./web", "", "status//"] {
            assert_eq!(module(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    fn request(line: &[&str]) -> Result<Request, String> {
        let line = ["supervise"].iter().chain(line).map(OsString::from).collect();
        Request::new(Arguments::try_parse_from(arranged(line)).map_err(|error| error.to_string())?)
    }

    #[test]
    fn u_takes_the_rest_as_it_is() {
        let line = ["-F", "c", "-u", "status/a", "cmd", "-p", "--", "-f", "--foreground", "-h"];
        let request = request(&line).unwrap();
        assert_eq!(request.words, ["cmd", "-p", "--", "-f", "--foreground", "-h"]);
        assert!(!request.foreground);
        assert_eq!((request.dir.to_str(), request.conf.unwrap().to_str()), (Some("status/a"), Some("c")));
    }

    /// Command lines, and what they come to: status directory and words.
    #[test]
    fn scripts_of_many_years_are_understood() {
        let table: &[(&[&str], &str, &[&str])] = &[
            (&["-p", "status/a", "-f", "cmd 'two words'"], "status/a", &["cmd", "two words"]),
            (&["-p", "status/a", "cmd", "two words"], "status/a", &["cmd", "two words"]),
            (&["-p", "status/a", "cmd", "-t", "5", "x"], "status/a", &["cmd", "x"]),
            (&["-p", "status/a", "--", "cmd", "-t", "5"], "status/a", &["cmd", "-t", "5"]),
            (&["cmd", "-p", "status/a"], "status/a", &["cmd"]),
            (&["-f", "cmd", "stray", "-p", "status/a", "words"], "status/a", &["cmd"]),
            (&["-p", "status/a", "-p", "status/b", "-f", "cmd"], "status/b", &["cmd"]),
            (&["-p", "a", "-p", "status/b", "-f", "cmd"], "status/b", &["cmd"]),
            (&["-f", "one", "-f", "two", "-p", "status/a"], "status/a", &["two"]),
            (&["-p", "status/a", "-f", "", "cmd"], "status/a", &["cmd"]),
            (&["-p", "status/a", "-f", "  ", "cmd"], "status/a", &["cmd"]),
            (&["-p", "status/a", "-u", "status/b", "cmd"], "status/b", &["cmd"]),
            (&["-ustatus/a", "cmd", "-x"], "status/a", &["cmd", "-x"]),
            (&["-u", "status/a", "--", "cmd"], "status/a", &["cmd"]),
            (&["-f", "cmd", "-u", "status/a", "other"], "status/a", &["cmd"]),
            (&["stray", "-u", "status/a", "cmd"], "status/a", &["cmd"]),
            (&["-pstatus/a", "-fcmd"], "status/a", &["cmd"]),
            (&["-p", "status/a / \t", "-f", "cmd"], "status/a", &["cmd"]),
            (&["-p", "status//a", "-f", "cmd"], "status//a", &["cmd"]),
            (&["-np", "status/a", "-f", "cmd"], "status/a", &["cmd"]),
        ];
        for (line, dir, words) in table {
            let request = request(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
            assert_eq!(
                (request.dir.to_str(), &request.words),
                (Some(*dir), &words.iter().map(OsString::from).collect())
            );
        }
    }

    #[test]
    fn values_may_be_empty_and_numbers_are_read_as_far_as_they_go() {
        let count_reset = |value| request(&["-p", "status/a", "-f", "cmd", "-t", value]).unwrap().count_reset;
        assert_eq!(["10s", "-1", "", "abc"].map(|value| count_reset(value).unwrap().as_secs()), [10, 0, 0, 0]);
        let request = request(&["-F", "", "-r", "", "-p", "status/a", "-f", "cmd"]).unwrap();
        assert_eq!((request.restart_sh, request.conf, request.count_reset), (None, Some(PathBuf::new()), None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            &[][..],
            &["-p", "status/a"],
            &["-f", "cmd"],
            &["cmd"],
            &["-u", "status/a"],
            &["-u"],
            &["-p", "status/a", "-f", ""],
            &["-p", "status/a", "-f", "sleep '1"],
            &["-p", "status/a", "-f", "cmd", "-t"],
            &["-p", "status/a", "-f", "cmd", "-z"],
            &["-p", "status/a", "-f", "cmd", "--nonsense"],
            &["-p", "status/a", "cmd", "-x"],
            &["-p", "status/ ", "-f", "cmd"],
            &["-p", "", "-f", "cmd"],
        ] {
            assert!(request(line).is_err(), "{line:?}");
        }
    }
}
