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
//! | [`root`], [`snapshot`], [`parallel`] | which modules there are; how one of them is; looking at a thousand |
//! | [`status`], [`table`], [`watch`] | `status`: taking stock, drawing the table, `--watch` |
//! | [`steer`], [`send`] | `start`, `stop`, `restart`, signals, `enable` …: to all first, then waiting |
//! | [`goal`], [`errand`], [`wait`] | when an action is done: the rules, one module's way there, waiting for many |
//! | [`check`], [`service`] | a service's own `check` script, and its directory; the verb `check` |
//! | [`logs`], [`tail`] | `logs`: many files, their lines mixed; one file |
//! | [`config`] | `config` |
//! | [`tree`] | `rescan`, `upgrade`, `shutdown`, `reload` of the whole tree |
//! | [`completions`] | `completions`, and the answers to a shell |
//! | [`report`], [`words`], [`access`], [`exit`] | what comes out: lines, words, refusals, exit codes |

pub mod access;
pub mod check;
pub mod completions;
pub mod config;
pub mod errand;
pub mod exit;
pub mod goal;
pub mod logs;
pub mod parallel;
pub mod report;
pub mod root;
pub mod send;
pub mod service;
pub mod snapshot;
pub mod status;
pub mod steer;
pub mod table;
pub mod tail;
pub mod tree;
pub mod wait;
pub mod watch;
pub mod words;

use crate::cli;
use crate::cli::svctl::{Awaited, Cli, Switch, Verb};
use exit::Outcome;
use goal::Goal;
use report::{Form, Out, Report};
use root::{Refusal, StatusRoot};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;
use steer::Order;

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

fn dispatch(cli: &Cli, out: &mut Out) -> Result<Vec<Outcome>, Refusal> {
    let root = || StatusRoot::find(cli.status_root.as_deref());
    match &cli.verb {
        Verb::Status(arguments) if arguments.watch => watch::watch(&root()?, &arguments.modules, cli.json, out),
        Verb::Status(arguments) => status::once(&root()?, &arguments.modules, cli.json, out),
        Verb::Logs(arguments) => logs::logs(&root()?, arguments, cli.json, out),
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
                (true, _) => Form::Json,
                (false, Verb::Check(_)) => Form::Quiet,
                (false, _) => Form::Lines,
            };
            let mut report = Report::new(out, form);
            act(verb, &root, cli.wait, &mut report)?;
            Ok(report.finish())
        }
    }
}

/// The verbs that report a line for each module.
fn act(verb: &Verb, root: &StatusRoot, patience: Duration, report: &mut Report<'_>) -> Result<(), Refusal> {
    if let Some((order, modules)) = order(verb) {
        return steer::steer(root, root.select(modules)?, order, patience, report);
    }
    match verb {
        Verb::Reload(_) => tree::hup(root, "told to read its settings and look for services again", report),
        Verb::Rescan => tree::hup(root, "told to look for services again", report),
        Verb::Upgrade => tree::upgrade(root, patience, report),
        Verb::Shutdown => tree::shutdown(root, patience, report),
        Verb::Wait(arguments) => {
            let goal = match arguments.state {
                Awaited::Up => Goal::IsUp,
                Awaited::Down => Goal::IsDown,
                Awaited::Ready => Goal::IsReady,
            };
            steer::wait(root, &arguments.modules, goal, patience, report)?;
        }
        Verb::Check(arguments) => {
            let mut modules = Vec::new();
            for found in root.select(&arguments.modules)? {
                match found {
                    Ok(module) => modules.push(module),
                    Err(missing) => report.missing(&missing),
                }
            }
            check::check(modules, patience, report);
        }
        // All others have an order, or were dispatched before.
        _ => {}
    }
    Ok(())
}

/// The order of a verb that has one, and to whom it goes.
fn order(verb: &Verb) -> Option<(Order, &[OsString])> {
    let (order, modules) = match verb {
        Verb::Start(to) => (steer::START, &to.modules),
        Verb::Stop(to) => (steer::STOP, &to.modules),
        Verb::Restart(to) => (steer::RESTART, &to.modules),
        Verb::Once(to) => (steer::ONCE, &to.modules),
        Verb::Pause(to) => (steer::PAUSE, &to.modules),
        Verb::Cont(to) => (steer::CONT, &to.modules),
        Verb::Kill(to) => (steer::KILL, &to.modules),
        Verb::Term(to) => (steer::TERM, &to.modules),
        Verb::Hup(to) => (steer::HUP, &to.modules),
        Verb::Int(to) => (steer::INT, &to.modules),
        Verb::Quit(to) => (steer::QUIT, &to.modules),
        Verb::Alrm(to) => (steer::ALRM, &to.modules),
        Verb::Usr1(to) => (steer::USR1, &to.modules),
        Verb::Usr2(to) => (steer::USR2, &to.modules),
        Verb::Winch(to) => (steer::WINCH, &to.modules),
        Verb::Exit(to) => (steer::EXIT, &to.modules),
        Verb::Enable(to) => (steer::ENABLE, &to.modules),
        Verb::Disable(to) => (steer::DISABLE, &to.modules),
        Verb::Alarm(to) if to.switch == Switch::On => (steer::ALARM_ON, &to.modules),
        Verb::Alarm(to) => (steer::ALARM_OFF, &to.modules),
        Verb::Reload(to) if !to.modules.is_empty() => (steer::RELOAD, &to.modules),
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
