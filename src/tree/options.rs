//! What the program was asked to do.

use super::handover::{Handover, ReExec};
use super::shutdown::ShutdownRules;
use crate::conf::source::ConfigSource;
use crate::service::CommandLine;
use crate::status::log::Echo;
use std::path::PathBuf;

/// What the program was asked to do.
#[derive(Debug)]
pub struct Options {
    /// The services root, absolute.
    pub root: PathBuf,
    /// The status root, absolute.
    pub status_root: PathBuf,
    /// Where the settings come from.
    pub source: ConfigSource,
    /// What the tree itself says on standard error.
    pub tree_echo: Echo,
    /// What modules say there.
    pub echo: Echo,
    /// The command after `--`.
    pub command: Option<CommandLine>,
    /// Keep runit's files, too.
    pub runit: bool,
    /// Refuse services that somebody other than root may write, where the tree is root's.
    pub strict: bool,
    /// How the tree ends.
    pub shutdown: ShutdownRules,
    /// How to start this program again.
    pub re_exec: ReExec,
    /// What the program before us has handed over.
    pub handover: Handover,
}
