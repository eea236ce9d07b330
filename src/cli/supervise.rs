//! `supervise`: one service, as the C program of that name did it (supervise(8) lists the differences).

use super::{NO_DIRECTORY, TEMPORARY, USAGE, fail, parse, prepare};
use crate::conf::CONFIG_FILE;
use crate::conf::Program;
use crate::conf::shell_words;
use crate::conf::source::Source;
use crate::service::{Command, Definition, Service, Streams};
use crate::status::StatusDir;
use crate::status::dir::MakeError;
use crate::status::log::Echo;
use crate::supervisor::alarm::{Alarms, WAIT_AT_END};
use crate::supervisor::mailbox::Orders;
use crate::supervisor::opening;
use crate::supervisor::spec::{OpenError, Outcome, Spec};
use crate::supervisor::thread::Supervisor;
use crate::sys::process::detach::{Side, fork_away};
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
    #[arg(short = 'p', value_name = "STATUS_DIR", required_unless_present = "words", conflicts_with = "words")]
    pub status_dir: Option<PathBuf>,
    /// Command, split at blanks with shell quoting; no shell runs it
    #[arg(short = 'f', value_name = "COMMAND", required_unless_present = "words", conflicts_with = "words")]
    pub command: Option<OsString>,
    /// Configuration file [default: ./supervise.conf]
    #[arg(short = 'F', value_name = "CONF")]
    pub conf: Option<PathBuf>,
    /// Run `sh -c 'RESTART_SH COUNT'` before each restart; no alarms and limits then
    #[arg(short = 'r', value_name = "RESTART_SH")]
    pub restart_sh: Option<OsString>,
    /// With -r: COUNT begins anew when SECONDS have passed between two exits
    #[arg(short = 't', value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Stay attached: no new session, messages on standard error
    #[arg(short = 'n', long)]
    pub foreground: bool,
    /// Status directory and command, each word as it is; ends the options
    #[arg(short = 'u', value_names = ["STATUS_DIR", "COMMAND"], num_args = 2.., allow_hyphen_values = true)]
    pub words: Option<Vec<OsString>>,
    /// Print the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "not a whole number of seconds".to_string())
}

/// Why the program ends with something else than 0.
struct Failure {
    code: u8,
    message: String,
}

/// The whole program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Arguments = match parse(arguments) {
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
    prepare().map_err(temporary)?;
    let foreground = arguments.foreground;
    let (dir, words) = what(&arguments)?;
    let module = module_of(&dir).map_err(usage)?;
    let command = Command::new(words, arguments.restart_sh.clone()).map_err(usage)?;
    command.check().map_err(|error| temporary(format!("{}: {error}", command.describe())))?;

    // The child does all the rest, so that the lock and the services are its own from the beginning; the parent
    // waits for its word.
    let detaching = if foreground {
        None
    } else {
        match fork_away().map_err(|error| temporary(errno_text(&error)))? {
            Side::Parent(code) => return Ok(ExitCode::from(code)),
            Side::Child(detaching) => Some(detaching),
        }
    };
    let alarms = Alarms::new();
    let spec = spec(arguments, dir, module, command, alarms.clone()).map_err(temporary)?;
    let mut supervisor = Supervisor::open(Box::new(spec)).map_err(|(spec, error)| {
        let code = if matches!(error, OpenError::Directory(MakeError::Io(_))) { NO_DIRECTORY } else { TEMPORARY };
        Failure { code, message: error.describe(&spec.dir) }
    })?;
    if let Err(error) = supervisor.begin() {
        supervisor.end_before_it_ran();
        return Err(temporary(format!("cannot start the command: {error}")));
    }
    if let Some(detaching) = detaching
        && let Err(error) = detaching.done()
    {
        log::warn!(logger: supervisor.log(), "/dev/null: {}; still attached", errno_text(&error));
    }
    // A panic is our mistake, and no reason to leave the service alone.
    let outcome = supervisor.run().unwrap_or_else(opening::supervise);
    // Who is told to end while the service goes on ends at once.
    let patience = if outcome == Outcome::Abandoned { WAIT_WHEN_ABANDONED } else { WAIT_AT_END };
    alarms.wait_for_starts(patience);
    alarms.drop_waiting();
    Ok(match outcome {
        Outcome::Left(_) | Outcome::Abandoned => ExitCode::SUCCESS,
        Outcome::GaveUp => ExitCode::from(TEMPORARY),
    })
}

/// The status directory and the words of the command.
fn what(arguments: &Arguments) -> Result<(PathBuf, Vec<OsString>), Failure> {
    let usage = |message: String| Failure { code: USAGE, message };
    match (&arguments.words, &arguments.status_dir, &arguments.command) {
        (Some(words), _, _) => {
            let (dir, command) = words.split_first().ok_or_else(|| usage("-u needs STATUS_DIR and COMMAND".into()))?;
            Ok((dir.into(), command.to_vec()))
        }
        (None, Some(dir), Some(command)) => {
            let words =
                shell_words::split_bytes(command).map_err(|what| usage(format!("-f: {what} in {command:?}")))?;
            Ok((dir.clone(), words))
        }
        _ => Err(usage("-p and -f, or -u, are needed".into())),
    }
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

/// For what is shown to others, who have another working directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn spec(
    arguments: Arguments,
    dir: PathBuf,
    module: String,
    command: Command,
    alarms: Arc<Alarms>,
) -> Result<Spec, String> {
    let dir = StatusDir::new(dir);
    let signals = Signals::take(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2]);
    let signals = signals.map_err(|errno| format!("cannot take signals: {}", describe(errno)))?;
    let source = match arguments.restart_sh {
        Some(_) => Source::none(),
        None => Source::choose(arguments.conf.map(absolute), [absolute(CONFIG_FILE.into())]),
    };
    let (config, complaint) = source.first();
    let echo = if arguments.foreground { Echo::All } else { Echo::Warnings };
    let complaints = complaint.iter().chain(config.complaints()).map(ToString::to_string).collect();
    Ok(Spec {
        service: Service::new(Definition::Command(command), Streams::new(&dir, None, None)),
        dir,
        module,
        wanted: true,
        program: Program::Single,
        config: Arc::new(config),
        source,
        restart_hook: arguments.restart_sh.map(|_| arguments.seconds),
        alarms,
        orders: Orders::Signals(signals),
        tree_log: None,
        echo,
        complaints,
        leave: None,
        handed: None,
        foreground: arguments.foreground,
        runit: None,
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

    #[test]
    fn u_takes_the_rest_as_it_is() {
        let line = ["supervise", "-F", "c", "-u", "status/a", "cmd", "-p", "--", "-f", "--foreground"];
        let arguments = Arguments::try_parse_from(line).unwrap();
        let words: Vec<_> = arguments.words.unwrap();
        assert_eq!(words, ["status/a", "cmd", "-p", "--", "-f", "--foreground"]);
        assert!(!arguments.foreground);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        for line in [
            &["supervise"][..],
            &["supervise", "-p", "status/a"],
            &["supervise", "-f", "cmd"],
            &["supervise", "-p", "status/a", "-f", "cmd", "extra"],
            &["supervise", "-p", "status/a", "-u", "status/a", "cmd"],
            &["supervise", "-u", "status/a"],
            &["supervise", "-p", "status/a", "-f", "cmd", "-t", "soon"],
        ] {
            assert!(Arguments::try_parse_from(line).is_err(), "{line:?}");
        }
    }
}
