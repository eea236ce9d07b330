//! The command lines, one definition a program, and the exit codes that they share.

mod container;
mod getopt;
pub mod supervise;
pub mod supervise_log;
pub mod supervise_tree;
pub mod svctl;

use crate::service::names;
use crate::status::registry;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Wrong usage.
pub const USAGE: u8 = 100;

/// The status directory cannot be made.
pub const NO_DIRECTORY: u8 = 110;

/// Anything that may pass: a lock that is held, no memory, an old kernel.
pub const TEMPORARY: u8 = 111;

/// The longest time that `-w` takes, in seconds: ten years stand for "as long as it takes".
const WAIT_MAX: f64 = 315_360_000.0;

/// Parses the command line into `T`; for `--help`, `--version` and wrong usage, the exit code instead.
///
/// # Errors
/// The exit code; what there is to say has been said, for wrong usage in one line like every other failure.
pub fn parse<T: clap::Parser>(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(arguments).map_err(|error| {
        if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // A closed standard output is no reason to fail in another way.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
        let name = T::command().get_name().to_string();
        let error = nearest_first(error);
        let what = in_one_line(&error.render().to_string());
        fail(&name, USAGE, &format!("{what}; see {name} --help"))
    })
}

/// The suggestions for a verb that nobody knows, ordered by how near they are.
fn nearest_first(mut error: clap::Error) -> clap::Error {
    let typed = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) => typed.clone(),
        _ => return error,
    };
    if let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) {
        let mut names = names.clone();
        names.sort_by_key(|name| strsim::damerau_levenshtein(&typed, name));
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
    error
}

/// clap's message and its tips, without the usage.
fn in_one_line(message: &str) -> String {
    let join = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = message.split("\n\n").map(join);
    let first = paragraphs.next().unwrap_or_default();
    let mut line = first.strip_prefix("error: ").unwrap_or(&first).to_string();
    for tips in paragraphs.filter(|paragraph| paragraph.starts_with("tip: ")) {
        line += &tips.replace("tip: ", "; ").replace(" ;", ";");
    }
    crate::sys::terminal::escape::escaped(&line)
}

/// Says on standard error why `program` ends with `code`.
pub fn fail(program: &str, code: u8, message: &str) -> ExitCode {
    crate::sys::terminal::console::line(&format!("{program}: {message}"));
    ExitCode::from(code)
}

/// `$SUPERVISE_STATUS`, if it is set.
fn named_status_root() -> Option<PathBuf> {
    std::env::var_os(names::STATUS_ROOT).filter(|value| !value.is_empty()).map(Into::into)
}

/// The same for a tree. Where that is a service of another tree, what it has from that one is the other's status root.
fn named_for_tree() -> Option<PathBuf> {
    let module = std::env::var_os(names::MODULE).filter(|value| !value.is_empty());
    named_status_root().filter(|root| !module.is_some_and(|module| root.join(module).join("lock").exists()))
}

/// Where whoever is told nothing looks: `$SUPERVISE_STATUS`, else `./status` if `is_used` says that this is a status root, else
/// that of the one tree that runs for this user, else that of a tree with `--container`, else `./status`.
///
/// # Errors
/// There are several trees: their status roots.
pub fn find_status_root(is_used: impl FnOnce(&Path) -> bool) -> Result<PathBuf, Vec<PathBuf>> {
    let here = || PathBuf::from("status");
    if let Some(named) = named_status_root().or_else(|| Some(here()).filter(|here| is_used(here))) {
        return Ok(named);
    }
    let mut running = registry::status_roots();
    match running.len() {
        0 => Ok(container::used_status_root().unwrap_or_else(here)),
        1 => Ok(running.remove(0)),
        _ => Err(running),
    }
}

/// Where a tree's status directories are if nobody says it: `$SUPERVISE_STATUS`, else `./status`.
fn default_status_root() -> PathBuf {
    named_for_tree().unwrap_or_else(|| "status".into())
}

/// Reads a time in seconds; fractions are allowed, and `inf` is as long as it takes.
fn seconds(text: &str) -> Result<Duration, String> {
    if text == "inf" {
        return Ok(Duration::from_secs_f64(WAIT_MAX));
    }
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse::<f64>() {
        Ok(seconds) if plain => Ok(Duration::from_secs_f64(seconds.min(WAIT_MAX))),
        _ => Err("it is not a number of seconds".into()),
    }
}

/// What both supervising programs set up first.
///
/// # Errors
/// The kernel is too old.
pub fn prepare() -> Result<(), crate::sys::process::setup::KernelTooOld> {
    crate::supervisor::panics::note_panics();
    crate::sys::process::setup::prepare()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        let message =
            "error: these are missing:\n  <ROOT>\n  -p <DIR>\n\n  tip: to pass '-x', use '-- -x'\n\nUsage: a b\n";
        assert_eq!(in_one_line(message), "these are missing: <ROOT> -p <DIR>; to pass '-x', use '-- -x'");
        assert_eq!(in_one_line("error: unexpected '\x1b[31m' found\n\nUsage: x\n"), "unexpected '\\u{1b}[31m' found");
    }

    #[test]
    fn the_nearest_verb_is_suggested_first() {
        for (typed, meant) in [("staus", "status"), ("strat", "start"), ("hlep", "help"), ("tial", "tail")] {
            let error = <svctl::Cli as clap::Parser>::try_parse_from(["svctl", typed]).unwrap_err();
            let told = in_one_line(&nearest_first(error).render().to_string());
            assert!(
                told.contains(&format!("exist: '{meant}'")) || told.contains(&format!("exists: '{meant}'")),
                "{told}"
            );
        }
    }

    #[test]
    fn a_time_is_a_plain_number() {
        for bad in ["", "-1", "nan", "1e9", "1s", "."] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        assert_eq!(seconds("inf"), Ok(Duration::from_secs_f64(WAIT_MAX)));
        assert!(seconds("999999999999999999999").is_ok());
    }
}
