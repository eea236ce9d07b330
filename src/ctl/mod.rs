//! `svctl`: one command to see and steer everything that `supervise-tree` and `supervise` supervise.
//!
//! It works on status directories alone: it reads `state.json` and `status`, writes bytes into `control`, and waits
//! for the next change by inotify. So it needs no server, it works for both programs, and for what is left of a
//! dead one.
//!
//! A call goes through the rooms in this order: [`root`] finds the modules that are meant, [`snapshot`] looks at
//! each, a verb does its work, [`report`] prints one line for each module, and [`exit`] makes one exit code of all
//! outcomes.
//!
//! | file | what |
//! |---|---|
//! | [`show`] | the verbs that show: `status`, `config` |
//! | [`steer`] | the verbs that change something, and waiting for the result |
//! | [`order`] | who needs whom: `deps` |
//! | [`logs`] | `logs` |
//! | [`monitor`] | the verbs for programs that watch: `events`, `metrics` |
//! | [`root`], [`snapshot`], [`parallel`] | which modules there are; how one of them is; looking at a thousand |
//! | [`usage`] | what a module uses of the machine |
//! | [`service`] | what a module is started from: its service directory, its context, and whether its process is older |
//! | [`changes`] | what is watched, and which changes say something |
//! | [`completions`] | `completions`, and the answers to a shell |
//! | [`report`], [`mod@format`], [`access`], [`error`], [`exit`] | what comes out: lines, names, errors, exit codes |

pub mod access;
pub mod changes;
pub mod completions;
pub mod error;
pub mod exit;
pub mod format;
pub mod logs;
pub mod monitor;
pub mod not_begun;
pub mod order;
pub mod parallel;
pub mod report;
pub mod root;
pub mod service;
pub mod show;
pub mod snapshot;
pub mod steer;
pub mod usage;

use crate::cli;
use crate::cli::svctl::{Alarm, Awaited, Cli, Enable, LinkWork, Restart, RunitLinks, Start, Switch, Verb};
use error::CtlError;
use exit::Outcome;
use logs::print;
use monitor::{events, metrics};
use order::deps;
use report::{Out, OutputFormat, Report};
use root::StatusRoot;
use show::{config, page, status, watch};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use steer::control::{self, Command};
use steer::goal::Goal;
use steer::{check, forget, link, runit_links, timeout, tree};

/// The program: answers a shell that asks for completions, or does what the command line says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match completions::answer() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        // A shell that asks for completions has no use for the reason.
        Err(_) => return ExitCode::FAILURE,
    }
    match cli::parse::<Cli>(arguments) {
        Ok(cli) => ExitCode::from(run(&cli)),
        Err(code) => code,
    }
}

/// Does what the command line says; gives the exit code.
fn run(cli: &Cli) -> u8 {
    let mut out = Out::new();
    let outcomes = dispatch(cli, &mut out).unwrap_or_else(|error| {
        out.note(&error.text);
        // Whoever reads an array gets one, whatever happens.
        match task(&cli.verb) {
            _ if !cli.json => {}
            Task::Logs(_) | Task::Events(_) | Task::Metrics(_) | Task::Completions(_) => {}
            Task::Status(_) | Task::Show(_) | Task::Deps(_) | Task::Config(_) => out.line("[]"),
            Task::Forget(_)
            | Task::Wait(_)
            | Task::Check(_)
            | Task::Command(..)
            | Task::Link(..)
            | Task::RestartOutdated(_)
            | Task::Hup(_)
            | Task::Upgrade
            | Task::RestoreLinks(_)
            | Task::Shutdown => out.line(&report::came_to_nothing(&error)),
        }
        vec![error.outcome]
    });
    report::code(outcomes, &out)
}

/// What a verb comes down to. There is no other way from a verb to its work, so one that does nothing does not compile.
enum Task<'a> {
    /// `status`.
    Status(&'a cli::svctl::Status),
    /// `show`.
    Show(&'a [OsString]),
    /// `logs`.
    Logs(&'a cli::svctl::Logs),
    /// `events`.
    Events(&'a [OsString]),
    /// `metrics`.
    Metrics(&'a cli::svctl::Metrics),
    /// `deps`.
    Deps(&'a cli::svctl::Deps),
    /// `config`.
    Config(&'a cli::svctl::Config),
    /// `completions`.
    Completions(&'a cli::svctl::Completions),
    /// `forget`.
    Forget(&'a [OsString]),
    /// `wait`.
    Wait(&'a cli::svctl::Wait),
    /// `check`.
    Check(&'a [OsString]),
    /// A command for modules.
    Command(Command, &'a [OsString]),
    /// `enable NAME SOURCE`.
    Link(&'a OsStr, &'a Path),
    /// `restart --outdated`.
    RestartOutdated(&'a [OsString]),
    /// The tree is to look again; what it is told, in words.
    Hup(&'static str),
    /// `upgrade`.
    Upgrade,
    /// `runit-links restore`.
    RestoreLinks(Option<&'a Path>),
    /// `shutdown`.
    Shutdown,
}

fn task(verb: &Verb) -> Task<'_> {
    match verb {
        Verb::Status(arguments) => Task::Status(arguments),
        Verb::Show(to) => Task::Show(&to.modules),
        Verb::Logs(arguments) => Task::Logs(arguments),
        Verb::Events(to) => Task::Events(&to.modules),
        Verb::Metrics(arguments) => Task::Metrics(arguments),
        Verb::Deps(arguments) => Task::Deps(arguments),
        Verb::Config(arguments) => Task::Config(arguments),
        Verb::Completions(arguments) => Task::Completions(arguments),
        Verb::Wait(arguments) => Task::Wait(arguments),
        Verb::Forget(to) => Task::Forget(&to.modules),
        Verb::Check(to) => Task::Check(&to.modules),
        Verb::Start(Start { no_deps: false, modules }) => Task::Command(control::START, modules),
        Verb::Start(Start { no_deps: true, modules }) => Task::Command(control::START_ALONE, modules),
        Verb::Stop(to) => Task::Command(control::STOP, &to.modules),
        Verb::Restart(Restart { outdated: false, modules }) => Task::Command(control::RESTART, modules),
        Verb::Restart(Restart { outdated: true, modules }) => Task::RestartOutdated(modules),
        Verb::Once(to) => Task::Command(control::ONCE, &to.modules),
        Verb::Pause(to) => Task::Command(control::PAUSE, &to.modules),
        Verb::Cont(to) => Task::Command(control::CONT, &to.modules),
        Verb::Kill(to) => Task::Command(control::KILL, &to.modules),
        Verb::Term(to) => Task::Command(control::TERM, &to.modules),
        Verb::Hup(to) => Task::Command(control::HUP, &to.modules),
        Verb::Int(to) => Task::Command(control::INT, &to.modules),
        Verb::Quit(to) => Task::Command(control::QUIT, &to.modules),
        Verb::Alrm(to) => Task::Command(control::ALRM, &to.modules),
        Verb::Usr1(to) => Task::Command(control::USR1, &to.modules),
        Verb::Usr2(to) => Task::Command(control::USR2, &to.modules),
        Verb::Winch(to) => Task::Command(control::WINCH, &to.modules),
        Verb::Exit(to) => Task::Command(control::EXIT, &to.modules),
        Verb::Enable(Enable { modules }) => match link::source(modules) {
            Some((name, source)) => Task::Link(name, source),
            None => Task::Command(control::ENABLE, modules),
        },
        Verb::Disable(to) => Task::Command(control::DISABLE, &to.modules),
        Verb::Alarm(Alarm { switch: Switch::On, modules }) => Task::Command(control::ALARM_ON, modules),
        Verb::Alarm(Alarm { switch: Switch::Off, modules }) => Task::Command(control::ALARM_OFF, modules),
        Verb::Reload(to) if to.modules.is_empty() => Task::Hup("told to read its settings and look for services again"),
        Verb::Reload(to) => Task::Command(control::RELOAD, &to.modules),
        Verb::Rescan => Task::Hup("told to look for services again"),
        Verb::Upgrade => Task::Upgrade,
        Verb::RunitLinks(RunitLinks { work: LinkWork::Restore, root }) => Task::RestoreLinks(root.as_deref()),
        Verb::Shutdown => Task::Shutdown,
    }
}

fn dispatch(cli: &Cli, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let name = StatusRoot::name(cli.status_root.as_deref());
    let root = || StatusRoot::find(cli.status_root.as_deref());
    match task(&cli.verb) {
        Task::Status(arguments) if arguments.watch => watch::watch(&root()?, &arguments.modules, cli.json, out),
        Task::Status(arguments) => status::once(&root()?, arguments, cli.json, out),
        Task::Show(modules) => page::show(&root()?, modules, cli.json, out),
        Task::Logs(arguments) if arguments.follow => {
            print::logs(&StatusRoot::find_for_later(cli.status_root.as_deref())?, arguments, cli.json, out)
        }
        Task::Logs(arguments) => print::logs(&root()?, arguments, cli.json, out),
        // Who watches may have come before the tree.
        Task::Events(modules) => {
            events::events(&StatusRoot::find_for_later(cli.status_root.as_deref())?, modules, cli.json, out)
        }
        Task::Metrics(arguments) => metrics::metrics(&root()?, arguments, out),
        Task::Deps(arguments) => deps::deps(&root()?, arguments, cli.json, out),
        // A file can be checked where nothing runs yet.
        Task::Config(arguments) => config::config(&name, arguments, cli.json, out),
        Task::Completions(arguments) => {
            completions::script(arguments.shell, out);
            Ok(vec![Outcome::Done])
        }
        Task::Wait(arguments) => {
            let (root, goal) = (StatusRoot::find_for_later(cli.status_root.as_deref())?, goal(arguments.state));
            reporting(cli, out, |report| control::wait(&root, &arguments.modules, goal, cli.wait, report))
        }
        Task::Forget(modules) => {
            let root = root()?;
            reporting(cli, out, |report| forget::forget(&root, modules, report))
        }
        Task::Check(modules) => {
            let selected = check::select(&root()?, modules)?;
            reporting(cli, out, |report| {
                check::check(selected, cli.wait.unwrap_or(timeout::USUAL), report);
                Ok(())
            })
        }
        Task::Command(command, modules) => {
            let root = root()?;
            let selected = control::select(&root, modules, command)?;
            let asked: Vec<_> = selected.iter().flatten().cloned().collect();
            reporting(cli, out, |report| {
                control::steer(&root, selected, command, cli.wait, report)?;
                if matches!(cli.verb, Verb::Reload(_)) {
                    config::report_complaints(&root, &asked, report);
                }
                Ok(())
            })
        }
        Task::Link(name, source) => {
            let root = root()?;
            reporting(cli, out, |report| link::enable(&root, (name, source), cli.wait, report))
        }
        Task::RestartOutdated(modules) => {
            let root = root()?;
            reporting(cli, out, |report| control::restart_outdated(&root, modules, cli.wait, report))
        }
        Task::Hup(told) => on_tree(cli, out, |root, report| {
            tree::hup(root, told, report);
            if matches!(cli.verb, Verb::Reload(_)) {
                config::report_complaints(root, &[], report);
            }
        }),
        Task::Upgrade => {
            on_tree(cli, out, |root, report| tree::upgrade(root, cli.wait.unwrap_or(timeout::USUAL), report))
        }
        Task::RestoreLinks(services) => reporting(cli, out, |report| runit_links::restore(services, root, report)),
        Task::Shutdown => on_tree(cli, out, |root, report| tree::shutdown(root, cli.wait, report)),
    }
}

fn goal(awaited: Awaited) -> Goal {
    match awaited {
        Awaited::Up => Goal::IsUp,
        Awaited::Down => Goal::IsDown,
        Awaited::Ready => Goal::IsReady,
    }
}

fn on_tree(
    cli: &Cli,
    out: &mut Out,
    work: impl FnOnce(&StatusRoot, &mut Report<'_>),
) -> Result<Vec<Outcome>, CtlError> {
    let root = StatusRoot::find(cli.status_root.as_deref())?;
    reporting(cli, out, |report| {
        work(&root, report);
        Ok(())
    })
}

/// Does work that reports a line for each module.
fn reporting(
    cli: &Cli,
    out: &mut Out,
    work: impl FnOnce(&mut Report<'_>) -> Result<(), CtlError>,
) -> Result<Vec<Outcome>, CtlError> {
    let format = match (cli.json, &cli.verb) {
        (true, _) => OutputFormat::Json,
        (false, Verb::Check(_)) => OutputFormat::Quiet,
        (false, _) => OutputFormat::Lines,
    };
    let mut report = Report::new(out, format);
    if let Err(error) = work(&mut report) {
        report.stopped(&error);
    }
    Ok(report.finish())
}
