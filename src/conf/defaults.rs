//! Defaults that the tree's command line changes.

use super::relations::ALL;
use super::{Origin, Value};

/// The module of the command that the tree was given (`supervise-tree ROOT -- CMD ...`).
pub const MAIN: &str = "main";

/// What the tree was asked for, as far as settings depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `--container`: where nobody says otherwise, `log : stdout`.
    pub container: bool,
    /// There is a command, [`MAIN`]: it comes last, its end is that of the tree, and its output goes where the tree's does.
    pub command: bool,
    /// `--runit-compat`: where nobody says otherwise, a stop is that of `runsv`.
    pub runit: bool,
}

impl Defaults {
    /// Whether `module` is the command.
    pub fn are_of_command(self, module: &str) -> bool {
        self.command && module == MAIN
    }

    /// Puts the default in the place of what nobody has set for `module`.
    pub(super) fn apply(self, module: &str, value: &mut Value) {
        let of_command = match value.key {
            "shutdown_on" => Some("exit"),
            "after" => Some(ALL),
            _ => None,
        };
        match (of_command, value.origin) {
            // What `[global]` says is meant for services.
            (Some(text), Origin::Default | Origin::Global(_)) if self.are_of_command(module) => {
                (value.text, value.origin) = (text.into(), Origin::Default);
            }
            (_, Origin::Default) if self.container && value.key == "log" && !self.are_of_command(module) => {
                value.text = "stdout".into();
            }
            (_, Origin::Default) if self.runit && value.key == "kill_timeout" => value.text = "0".into(),
            (_, Origin::Default) if self.runit && value.key == "kill_mode" => value.text = "process".into(),
            _ => {}
        }
    }
}
