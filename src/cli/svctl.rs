//! `svctl`: options and verbs. svctl(8) documents the same ones; a test compares the two.

use super::seconds;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "Exit codes: 0 done, or all as wanted; 1 something failed or timed out; 3 status: at least one is \
    not as it is wanted; 4 not supervised, or no such module; 100 usage; 111 no status root, or no permission.";

/// Shows and controls everything that supervise-tree or supervise supervises.
#[derive(Debug, Parser)]
#[command(name = "svctl", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// The directory of the status directories [default: $SUPERVISE_STATUS, else ./status, else that of the one tree that runs]
    #[arg(short = 'p', value_name = "STATUS_ROOT", global = true)]
    pub status_root: Option<PathBuf>,
    /// Print JSON, and nothing else, on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for the result: 0 does not wait, inf is as long as it takes [default: 7, or as long as the modules'
    /// own time-outs allow]
    #[arg(short = 'w', value_name = "SECONDS", value_parser = seconds, global = true)]
    pub wait: Option<Duration>,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show how all modules are, or those that are named
    #[command(visible_aliases = ["list", "ps"])]
    Status(Status),
    /// Show all about a module on one page: state, settings, last events, last lines of its output
    Show(Modules),
    /// Want it up; done when it runs, and still does a second later
    #[command(visible_alias = "up")]
    Start(Start),
    /// Want it down; done when it is
    #[command(visible_alias = "down")]
    Stop(Modules),
    /// Stop and start; done when a new process runs, and still does a second later
    Restart(Restart),
    /// Start it, and do not start it again when it ends
    Once(Modules),
    /// Send STOP, and remember that it is paused
    Pause(Modules),
    /// Send CONT after a pause
    Cont(Modules),
    /// Send KILL
    Kill(Modules),
    /// Send TERM
    Term(Modules),
    /// Send HUP
    Hup(Modules),
    /// Send INT
    Int(Modules),
    /// Send QUIT
    Quit(Modules),
    /// Send ALRM
    Alrm(Modules),
    /// Send USR1
    Usr1(Modules),
    /// Send USR2
    Usr2(Modules),
    /// Send WINCH
    Winch(Modules),
    /// Let the supervisor of a module end as soon as the module is down; does not stop it
    Exit(Modules),
    /// Remove the service's `down` file, and start it; with NAME SOURCE, link the directory SOURCE into the services root first
    Enable(Enable),
    /// Make the service's `down` file, and stop it
    Disable(Modules),
    /// Remove the status directory of a module whose service is gone
    Forget(Modules),
    /// Raise alarms, or do not
    Alarm(Alarm),
    /// Read the config file again: for these modules, or for the whole tree
    Reload(SomeModules),
    /// Exit 0 if these are up, and their `check` passes, or all that are wanted up are; quiet, for probes
    Check(SomeModules),
    /// Show who needs whom
    Deps(Deps),
    /// Wait until all of them are in a state
    Wait(Wait),
    /// Show the last lines that modules wrote
    #[command(visible_alias = "tail")]
    Logs(Logs),
    /// Write how all modules are, and then a line for every change, until nobody reads any more
    Events(SomeModules),
    /// Print numbers about modules and the tree in the text format of OpenMetrics
    Metrics(Metrics),
    /// Show effective settings and where each comes from, or check the config file
    Config(Config),
    /// Put back the packaged links in service directories whose place those of a tree with --runit-compat have taken
    RunitLinks(RunitLinks),
    /// Tell the tree to look for services again
    Rescan,
    /// Have the tree replace itself by the program now at its path; services run on
    Upgrade,
    /// Tell the tree to stop all services and end
    Shutdown,
    /// Print the completion script for a shell
    Completions(Completions),
}

/// At least one module.
#[derive(Args, Debug)]
pub struct Modules {
    /// Names, @tags, or globs such as 'web*' and '*/log'
    #[arg(required = true, value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `start`.
#[derive(Args, Debug)]
pub struct Start {
    /// Leave alone what they need
    #[arg(long)]
    pub no_deps: bool,
    /// Names, @tags, or globs such as 'web*' and '*/log'
    #[arg(required = true, value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `metrics`.
#[derive(Args, Debug)]
pub struct Metrics {
    /// In the older text format of Prometheus, which its textfile collector reads
    #[arg(long)]
    pub prometheus: bool,
    /// Names, @tags, or globs such as 'web*' and '*/log'
    #[arg(value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `enable`.
#[derive(Args, Debug)]
pub struct Enable {
    /// Names, @tags, or globs such as 'web*' and '*/log'; or a name and a directory that begins with / or .
    #[arg(required = true, value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `restart`.
#[derive(Args, Debug)]
pub struct Restart {
    /// Only those whose run, files or settings are newer than their start
    #[arg(long)]
    pub outdated: bool,
    /// Names, @tags, or globs such as 'web*' and '*/log'; all with --outdated, if there is none
    #[arg(required_unless_present = "outdated", value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `deps`.
#[derive(Args, Debug)]
pub struct Deps {
    /// Print a graph for `dot` of Graphviz
    #[arg(long)]
    pub dot: bool,
    /// Names, @tags, or globs; all that need others, or are needed, if there is none
    #[arg(value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// Any number of modules.
#[derive(Args, Debug)]
pub struct SomeModules {
    /// Names, @tags, or globs such as 'web*' and '*/log'
    #[arg(value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `status`.
#[derive(Args, Debug)]
pub struct Status {
    /// Show it again after every change
    #[arg(long)]
    pub watch: bool,
    /// Show only what is not as it is wanted
    #[arg(long, conflicts_with = "watch")]
    pub failed: bool,
    /// Names, @tags, or globs such as 'web*' and '*/log'; all if there is none
    #[arg(value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `alarm`.
#[derive(Args, Debug)]
pub struct Alarm {
    /// Whether alarms are raised
    pub switch: Switch,
    /// Names, @tags, or globs such as 'web*' and '*/log'
    #[arg(required = true, value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Raise alarms
    On,
    /// Raise none
    Off,
}

/// `wait`.
#[derive(Args, Debug)]
pub struct Wait {
    /// What to wait for
    pub state: Awaited,
    /// Names, @tags, or globs such as 'web*' and '*/log'
    #[arg(required = true, value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// What `wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Awaited {
    /// It runs
    Up,
    /// It does not run, and is not about to
    Down,
    /// It runs, and says that it is ready, or its `check` passes
    Ready,
}

/// `logs`.
#[derive(Args, Debug)]
pub struct Logs {
    /// Go on showing what is written, through truncation and rename
    #[arg(short = 'f')]
    pub follow: bool,
    /// How many of the last lines of each file [default: 10; all with --since, --until or --grep]
    #[arg(short = 'n', value_name = "LINES")]
    pub lines: Option<usize>,
    /// Only lines from this time on: 10m (ago), 09:41, 2026-11-25, '2026-11-25 09:41:16', RFC 3339
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only lines before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only lines that this regular expression matches
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// The supervisor's own log instead of the module's output
    #[arg(long)]
    pub supervisor: bool,
    /// Names, @tags, or globs such as 'web*' and '*/log'; all if there is none
    #[arg(value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `config`.
#[derive(Args, Debug)]
pub struct Config {
    /// Print all that is wrong in the file; exit 1 if anything is
    #[arg(long)]
    pub check: bool,
    /// Print the variables that a module's next start has, as far as you may read what they come from
    #[arg(long, conflicts_with = "check", requires = "modules")]
    pub env: bool,
    /// The file [default: supervise.conf beside the service directories, else ./supervise.conf]
    #[arg(short = 'F', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Names, or globs; without one, what a module gets that has no section of its own
    #[arg(value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// `runit-links`.
#[derive(Args, Debug)]
pub struct RunitLinks {
    /// What is done with them
    pub work: LinkWork,
    /// The directory of the services [default: that of the tree]
    #[arg(value_name = "ROOT")]
    pub root: Option<PathBuf>,
}

/// What `runit-links` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LinkWork {
    /// Put them back
    Restore,
}

/// `completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// For which shell
    pub shell: Shell,
}

/// A shell that can complete words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_verb() {
        let before = Cli::try_parse_from(["svctl", "-p", "s", "-w", "0.5", "start", "web"]).unwrap();
        let after = Cli::try_parse_from(["svctl", "start", "web", "-p", "s", "-w", "0.5"]).unwrap();
        for cli in [before, after] {
            assert_eq!((cli.status_root, cli.wait), (Some("s".into()), Some(Duration::from_millis(500))));
        }
    }

    #[test]
    fn an_action_needs_a_module() {
        for verb in ["start", "stop", "kill", "exit", "enable"] {
            assert!(Cli::try_parse_from(["svctl", verb]).is_err(), "{verb}");
        }
        for verb in ["status", "check", "reload", "logs", "config", "rescan", "upgrade", "shutdown"] {
            assert!(Cli::try_parse_from(["svctl", verb]).is_ok(), "{verb}");
        }
    }
}
