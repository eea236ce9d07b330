//! `completions`: scripts for shells, which ask this program for verbs, options and the names of modules.
//!
//! The script calls `svctl` with [`VARIABLE`] set, and the words typed so far; the answer comes from the same
//! definition as the command line itself. Names that a shell would take apart or expand are left out: what is
//! completed ends up in a command line that somebody runs.

use super::report::Out;
use super::root::{StatusRoot, tags};
use crate::cli::svctl::{Cli, Shell};
use crate::cli::{supervise, supervise_tree};
use crate::conf::relations::TAG;
use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, EnvCompleter};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The environment variable that makes this program answer a shell instead of doing its work.
pub const VARIABLE: &str = "SVCTL_COMPLETE";

/// Answers a shell that asks for completions; gives whether it did.
///
/// # Errors
/// The words cannot be completed, for people to read.
pub fn answer() -> Result<bool, String> {
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .bin("svctl")
        .completer("svctl")
        .try_complete(std::env::args_os(), here.as_deref())
        .map_err(|error| error.to_string())
}

/// Prints the script for a shell: for this program, and for those that supervise, whose options are all that there is to ask for.
pub fn script(shell: Shell, out: &mut Out) {
    let (completer, generator): (&dyn EnvCompleter, _) = match shell {
        Shell::Bash => (&clap_complete::env::Bash, clap_complete::Shell::Bash),
        Shell::Zsh => (&clap_complete::env::Zsh, clap_complete::Shell::Zsh),
        Shell::Fish => (&clap_complete::env::Fish, clap_complete::Shell::Fish),
    };
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = completer.write_registration(VARIABLE, "svctl", "svctl", "svctl", &mut text);
    clap_complete::generate(generator, &mut supervise_tree::Arguments::command(), "supervise-tree", &mut text);
    clap_complete::generate(generator, &mut supervise::Arguments::command(), "supervise", &mut text);
    out.put_bytes(&text);
}

/// The command line's definition, each MODULE with its names.
fn command() -> Command {
    let mut command = Cli::command();
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_string()).collect();
    for verb in verbs {
        command = command.mut_subcommand(verb, |verb| {
            let takes_modules = verb.get_arguments().any(|arg| arg.get_id() == "modules");
            if !takes_modules {
                return verb;
            }
            verb.mut_arg("modules", |arg| arg.add(ArgValueCompleter::new(names)))
        });
    }
    command
}

/// The names of modules that begin with `begun`.
fn names(begun: &OsStr) -> Vec<CompletionCandidate> {
    let root = StatusRoot::name(typed_root(std::env::args_os()).as_deref());
    let modules = root.modules().unwrap_or_default();
    let begun = begun.to_string_lossy();
    let names = modules.iter().filter_map(|module| module.name.to_str().map(str::to_string));
    // Looking into a thousand files takes longer than listing them: only for whoever has begun a tag.
    let tags = if begun.starts_with(TAG) { tags(&modules) } else { BTreeSet::new() };
    let tags = tags.into_iter().map(|tag| format!("{TAG}{tag}"));
    let all = tags.chain(names).filter(|name| name.starts_with(&*begun) && is_plain(name));
    all.map(CompletionCandidate::new).collect()
}

/// Whether no shell does anything with `name` but take it as it is.
fn is_plain(name: &str) -> bool {
    !name.starts_with('-') && name.chars().all(|letter| letter.is_alphanumeric() || "._-/@+:,%".contains(letter))
}

/// The status root in the words typed so far.
fn typed_root(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    // Before the `--`: ourselves. After it: the command line as typed.
    let mut words = words.skip_while(|word| word != "--").skip(2);
    let mut found = None;
    while let Some(word) = words.next() {
        if word == "-p" {
            found = words.next();
        } else if let Some(joined) = word.to_str().and_then(|word| word.strip_prefix("-p")) {
            found = Some(joined.trim_start_matches('=').into());
        }
    }
    found.filter(|root| !root.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_would_obey_are_left_out() {
        for plain in ["web", "web/log", "web@1", "a.b_c-d", "服务"] {
            assert!(is_plain(plain), "{plain}");
        }
        for hostile in ["a b", "a;b", "$(id)", "`id`", "*", "-f", "a\nb", "a'b", "~", "a&b", "#"] {
            assert!(!is_plain(hostile), "{hostile}");
        }
    }

    #[test]
    fn the_status_root_is_taken_from_what_was_typed() {
        let typed = |line: &str| typed_root(line.split(' ').map(OsString::from));
        assert_eq!(typed("svctl -- svctl -p /srv/status start w"), Some("/srv/status".into()));
        assert_eq!(typed("svctl -- svctl -p/srv/status start w"), Some("/srv/status".into()));
        assert_eq!(typed("svctl -- svctl start w"), None);
    }

    #[test]
    fn every_verb_with_modules_completes_them() {
        let command = command();
        let verbs = command.get_subcommands();
        let with_modules = verbs.flat_map(|verb| verb.get_arguments()).filter(|arg| arg.get_id() == "modules");
        assert!(with_modules.map(|arg| arg.get::<ArgValueCompleter>()).all(|completer| completer.is_some()));
    }
}
