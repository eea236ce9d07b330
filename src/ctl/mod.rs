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
//! | [`logs`] | `logs` |
//! | [`root`], [`snapshot`], [`parallel`] | which modules there are; how one of them is; looking at a thousand |
//! | [`service`] | a module's service directory |
//! | [`completions`] | `completions`, and the answers to a shell |
//! | [`report`], [`mod@format`], [`access`], [`exit`] | what comes out: lines, names, refusals, exit codes |

pub mod access;
pub mod completions;
pub mod exit;
pub mod format;
pub mod logs;
pub mod parallel;
pub mod report;
pub mod root;
pub mod service;
pub mod show;
pub mod snapshot;
pub mod steer;

use crate::cli;
use crate::cli::svctl::{Awaited, Cli, Switch, Verb};
use exit::Outcome;
use logs::print;
use report::{Out, OutputFormat, Report};
use root::{CtlError, StatusRoot};
use show::{config, status, watch};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;
use steer::control::{self, Order};
use steer::goal::Goal;
use steer::{check, tree};

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
    let outcomes = dispatch(cli, &mut out).unwrap_or_else(|refusal| {
        out.note(&refusal.text);
        // Whoever reads an array gets one, whatever happens.
        if cli.json && !matches!(cli.verb, Verb::Logs(_) | Verb::Completions(_)) {
            out.line("[]");
        }
        vec![refusal.outcome]
    });
    report::code(outcomes, &out)
}

fn dispatch(cli: &Cli, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let root = || StatusRoot::find(cli.status_root.as_deref());
    match &cli.verb {
        Verb::Status(arguments) if arguments.watch => watch::watch(&root()?, &arguments.modules, cli.json, out),
        Verb::Status(arguments) => status::once(&root()?, &arguments.modules, cli.json, out),
        Verb::Logs(arguments) => print::logs(&root()?, arguments, cli.json, out),
        // A file can be checked where nothing runs yet.
        Verb::Config(arguments) => {
            config::config(&StatusRoot::name(cli.status_root.as_deref()), arguments, cli.json, out)
        }
        Verb::Completions(arguments) => {
            completions::script(arguments.shell, out);
            Ok(vec![Outcome::Done])
        }
        verb => {
            let root = root()?;
            let form = match (cli.json, verb) {
                (true, _) => OutputFormat::Json,
                (false, Verb::Check(_)) => OutputFormat::Quiet,
                (false, _) => OutputFormat::Lines,
            };
            let mut report = Report::new(out, form);
            act(verb, &root, cli.wait, &mut report)?;
            Ok(report.finish())
        }
    }
}

/// The verbs that report a line for each module.
fn act(verb: &Verb, root: &StatusRoot, timeout: Duration, report: &mut Report<'_>) -> Result<(), CtlError> {
    if let Some((order, modules)) = order(verb) {
        return control::steer(root, root.select(modules)?, order, timeout, report);
    }
    match verb {
        Verb::Reload(_) => tree::hup(root, "told to read its settings and look for services again", report),
        Verb::Rescan => tree::hup(root, "told to look for services again", report),
        Verb::Upgrade => tree::upgrade(root, timeout, report),
        Verb::Shutdown => tree::shutdown(root, timeout, report),
        Verb::Wait(arguments) => {
            let goal = match arguments.state {
                Awaited::Up => Goal::IsUp,
                Awaited::Down => Goal::IsDown,
                Awaited::Ready => Goal::IsReady,
            };
            control::wait(root, &arguments.modules, goal, timeout, report)?;
        }
        Verb::Check(arguments) => {
            let mut modules = Vec::new();
            for found in root.select(&arguments.modules)? {
                match found {
                    Ok(module) => modules.push(module),
                    Err(missing) => report.missing(&missing),
                }
            }
            check::check(modules, timeout, report);
        }
        // All others have an order, or were dispatched before.
        _ => {}
    }
    Ok(())
}

/// The order of a verb that has one, and to whom it goes.
fn order(verb: &Verb) -> Option<(Order, &[OsString])> {
    let (order, modules) = match verb {
        Verb::Start(to) => (control::START, &to.modules),
        Verb::Stop(to) => (control::STOP, &to.modules),
        Verb::Restart(to) => (control::RESTART, &to.modules),
        Verb::Once(to) => (control::ONCE, &to.modules),
        Verb::Pause(to) => (control::PAUSE, &to.modules),
        Verb::Cont(to) => (control::CONT, &to.modules),
        Verb::Kill(to) => (control::KILL, &to.modules),
        Verb::Term(to) => (control::TERM, &to.modules),
        Verb::Hup(to) => (control::HUP, &to.modules),
        Verb::Int(to) => (control::INT, &to.modules),
        Verb::Quit(to) => (control::QUIT, &to.modules),
        Verb::Alrm(to) => (control::ALRM, &to.modules),
        Verb::Usr1(to) => (control::USR1, &to.modules),
        Verb::Usr2(to) => (control::USR2, &to.modules),
        Verb::Winch(to) => (control::WINCH, &to.modules),
        Verb::Exit(to) => (control::EXIT, &to.modules),
        Verb::Enable(to) => (control::ENABLE, &to.modules),
        Verb::Disable(to) => (control::DISABLE, &to.modules),
        Verb::Alarm(to) if to.switch == Switch::On => (control::ALARM_ON, &to.modules),
        Verb::Alarm(to) => (control::ALARM_OFF, &to.modules),
        Verb::Reload(to) if !to.modules.is_empty() => (control::RELOAD, &to.modules),
        Verb::Status(_)
        | Verb::Reload(_)
        | Verb::Check(_)
        | Verb::Wait(_)
        | Verb::Logs(_)
        | Verb::Config(_)
        | Verb::Rescan
        | Verb::Upgrade
        | Verb::Shutdown
        | Verb::Completions(_) => return None,
    };
    Some((order, modules))
}
