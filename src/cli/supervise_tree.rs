//! `supervise-tree`.

use super::container;
use super::{NO_DIRECTORY, TEMPORARY, USAGE, default_status_root, fail, parse, prepare, seconds};
use crate::conf::CONFIG_FILE;
use crate::conf::defaults::Defaults;
use crate::conf::source::ConfigSource;
use crate::readiness::probe;
use crate::service::CommandLine;
use crate::status::dir::MakeError;
use crate::status::log::Echo;
use crate::supervisor::panics::catch;
use crate::sys::describe;
use crate::sys::process::hold;
use crate::sys::process::start::look_up;
use crate::sys::terminal::escape::escaped;
use crate::sys::threads::signals::block_first;
use crate::tree::error::TreeError;
use crate::tree::handover::{Handover, ReExec};
use crate::tree::options::Options;
use crate::tree::question::{HandoverArgument, Question};
use crate::tree::run::run;
use crate::tree::shutdown::{ShutdownRules, not_executed};
use crate::tree::tree_dir::TreeDirError;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const NAME: &str = "supervise-tree";

/// Supervise every service directory under ROOT, one supervisor thread each.
#[derive(clap::Parser, Debug)]
#[command(name = NAME, version, override_usage = "supervise-tree [OPTIONS] <ROOT> [-- <CMD>...]", after_help = "See supervise-tree(8), supervise-service(7) and supervise.conf(5).")]
pub struct Arguments {
    /// Status root [default: $SUPERVISE_STATUS, else ./status]
    #[arg(short = 'p', value_name = "STATUS_ROOT")]
    pub status_root: Option<PathBuf>,
    /// Configuration file [default: supervise.conf in ROOT, else ./supervise.conf]
    #[arg(short = 'F', value_name = "CONF")]
    pub conf: Option<PathBuf>,
    /// Keep the files of runit's runsv, too, so that sv, svc, svstat and svok work on the tree
    #[arg(long)]
    pub runit_compat: bool,
    /// As root, refuse services that somebody other than root may write, instead of a warning
    #[arg(long)]
    pub strict: bool,
    /// In a container: `log : stdout` where nothing else is set, a status root that can be written, TERM counts once
    #[arg(long)]
    pub container: bool,
    /// The stop of everything takes at most this many seconds: what is left then is killed
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub stop_timeout: Option<Duration>,
    /// Say on standard error what modules log, too
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say only warnings on standard error
    #[arg(short, long)]
    pub quiet: bool,
    /// For the program itself: what it has handed over, when it replaces itself
    #[arg(long, value_name = "FD", hide = true)]
    pub handover: Option<HandoverArgument>,
    /// Services root: one directory (or link to one) for each service
    #[arg(value_name = "ROOT", required_unless_present = "command")]
    pub root: Option<PathBuf>,
    /// One more module, `main`, on the tree's own terminal or pipes, started when all others are ready: the tree ends with it
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// The whole program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = probe::run_if_asked(&words) {
        return code.into();
    }
    block_first();
    let arguments: Arguments = match parse(words.clone()) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    // First of all: what is handed over includes limits that are about to be changed.
    let handover = match arguments.handover {
        None => Handover::default(),
        Some(HandoverArgument::Question(question)) => return answer(question, arguments, words),
        Some(HandoverArgument::Letter(number)) => receive(number),
    };
    if let Err(error) = prepare() {
        return fail(NAME, TEMPORARY, &error.to_string());
    }
    hold::reserve();
    let options = match options(arguments, words, handover) {
        Ok(options) => options,
        Err(message) => return fail(NAME, USAGE, &message),
    };
    // A panic is noted and not printed, so nobody would know why the tree is gone.
    match catch(|| run(options)) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) => fail(NAME, exit_code(&error), &error.to_string()),
        Err(panic) => fail(NAME, TEMPORARY, &format!("{panic}; this is a bug; services run on")),
    }
}

/// What the program before us has handed over. If that cannot be read, what runs is found by its records.
fn receive(number: i32) -> Handover {
    let handover = Handover::receive(number).unwrap_or_else(|error| {
        crate::sys::terminal::console::line(&format!("{NAME}: nothing was handed over: {error}; adopting what runs"));
        Handover { is_upgrade: true, ..Handover::default() }
    });
    if let Some(program) = &handover.program {
        crate::sys::handover::name_after(program);
    }
    handover
}

/// Tells the program that hands over whether this one could take over, with these arguments and on this kernel.
fn answer(question: Question, arguments: Arguments, words: Vec<OsString>) -> ExitCode {
    let version = || format!("cannot read version {} of what would be handed over", question.version);
    let fit = if question.is_understood() { Ok(()) } else { Err(version()) };
    match fit
        .and_then(|()| prepare().map_err(|error| error.to_string()))
        .and_then(|()| options(arguments, words, Handover::default()))
    {
        Ok(_) if question.say_yes().is_ok() => ExitCode::SUCCESS,
        Ok(_) => fail(NAME, TEMPORARY, "nobody to answer"),
        Err(message) => fail(NAME, TEMPORARY, &message),
    }
}

/// The exit code for a tree that could not begin: what a person has to mend is told from what may pass.
fn exit_code(error: &TreeError) -> u8 {
    match error {
        TreeError::RootIsNoDirectory(_) | TreeError::NameIsTaken(_) => USAGE,
        TreeError::Command(_, errno) => not_executed(*errno),
        TreeError::TreeDir(TreeDirError::Make(_, MakeError::Io(_))) => NO_DIRECTORY,
        TreeError::TreeDir(
            TreeDirError::Make(_, MakeError::Foreign { .. }) | TreeDirError::Held(..) | TreeDirError::Lock(..),
        )
        | TreeError::Root(..)
        | TreeError::Signals(_)
        | TreeError::Thread(_) => TEMPORARY,
    }
}

/// Paths become absolute here, so that what is shown and recorded means the same to everybody.
fn options(mut arguments: Arguments, words: Vec<OsString>, handover: Handover) -> Result<Options, String> {
    let root = root(&mut arguments)?;
    let (runit, strict) = (arguments.runit_compat, arguments.strict);
    let shutdown = ShutdownRules { timeout: arguments.stop_timeout, once: arguments.container };
    let absolute = |path: PathBuf| {
        std::path::absolute(&path).map_err(|error| format!("{}: {}", path.display(), crate::sys::errno_text(&error)))
    };
    let paths = [Some(&root), arguments.status_root.as_ref(), arguments.conf.as_ref()];
    let are_relative = arguments.status_root.is_none() || paths.into_iter().flatten().any(|path| path.is_relative());
    let root = absolute(root)?;
    let conf = arguments.conf.map(absolute).transpose()?;
    // Without a working directory there is no file in it.
    let here = absolute(CONFIG_FILE.into()).ok();
    let source = ConfigSource::choose(conf, [root.join(CONFIG_FILE)].into_iter().chain(here));
    let (tree_echo, echo) = match (arguments.verbose, arguments.quiet) {
        (true, _) => (Echo::All, Echo::All),
        (_, true) => (Echo::Warnings, Echo::Warnings),
        _ => (Echo::All, Echo::Warnings),
    };
    let command = Some(arguments.command).filter(|words| !words.is_empty()).map(CommandLine::of_tree).transpose()?;
    let source = source.with_defaults(Defaults { container: arguments.container, command: command.is_some(), runit });
    let chosen = || if arguments.container { container::status_root() } else { default_status_root() };
    let status_root = absolute(arguments.status_root.unwrap_or_else(chosen))?;
    // Found now: once the file is replaced, the kernel calls this one deleted.
    let here = || match std::env::current_exe() {
        // Without /proc, it is what a shell would have found.
        Err(_) => look_up(words.first().map_or(OsStr::new(NAME), OsString::as_os_str))
            .map_err(|errno| describe(errno).to_string()),
        Ok(path) => Ok(path),
    };
    let program = handover.program.clone().map_or_else(here, Ok)?;
    let re_exec = ReExec { program, arguments: lasting(words), are_relative };
    Ok(Options { root, status_root, source, tree_echo, echo, command, runit, strict, shutdown, re_exec, handover })
}

/// ROOT, which may also stand after a `--` that ends the options; what follows it then is a command only after another `--`.
fn root(arguments: &mut Arguments) -> Result<PathBuf, String> {
    if let Some(root) = arguments.root.take() {
        return Ok(root);
    }
    let mut words = std::mem::take(&mut arguments.command).into_iter();
    let root = words.next().map(PathBuf::from).unwrap_or_default();
    match words.next() {
        Some(word) if word != "--" => {
            Err(format!("unexpected argument '{}' found; see {NAME} --help", escaped(&word.to_string_lossy())))
        }
        Some(_) | None => {
            arguments.command = words.collect();
            Ok(root)
        }
    }
}

/// The arguments without what one program has told the next: what stands after `--` is not ours.
fn lasting(words: Vec<OsString>) -> Vec<OsString> {
    let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let is_message = |(at, word): &(usize, OsString)| *at < own && word.as_bytes().starts_with(b"--handover=");
    words.into_iter().enumerate().filter(|word| !is_message(word)).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_may_stand_after_the_options_end() {
        let read = |text: &str| {
            let mut arguments = <Arguments as clap::Parser>::try_parse_from(text.split(' ')).unwrap();
            root(&mut arguments).map(|root| (root.display().to_string(), arguments.command.join(" ".as_ref())))
        };
        let root = |root: &str, command: &str| Ok((root.into(), command.into()));
        assert_eq!(read("supervise-tree sv"), root("sv", ""));
        assert_eq!(read("supervise-tree -q sv -- cmd -x -- y"), root("sv", "cmd -x -- y"));
        assert_eq!(read("supervise-tree sv --"), root("sv", ""));
        assert_eq!(read("supervise-tree -- -dash"), root("-dash", ""));
        assert_eq!(read("supervise-tree -- -dash -- cmd"), root("-dash", "cmd"));
        assert_eq!(
            read("supervise-tree -- a b"),
            Err("unexpected argument 'b' found; see supervise-tree --help".into())
        );
    }

    #[test]
    fn what_the_command_is_told_is_not_ours() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let told = words("supervise-tree --handover=7 sv -- cmd --handover=8 -- --handover=9");
        assert_eq!(lasting(told), words("supervise-tree sv -- cmd --handover=8 -- --handover=9"));
        assert_eq!(lasting(words("supervise-tree --handover=7 sv")), words("supervise-tree sv"));
    }
}
