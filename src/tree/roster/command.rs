//! The module `main`: the command that the tree was given. It has no service directory, and the tree's standard streams.

use super::members::Roster;
use crate::conf::defaults::MAIN;
use crate::service::entries::Contents;
use crate::service::{CommandLine, Definition, Streams};
use crate::status::StatusDir;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::tree::root::scan::ServiceDir;
use std::io;
use std::path::PathBuf;

impl Roster {
    /// The command is supervised, if there is one and it is not yet.
    ///
    /// # Errors
    /// As [`Roster::want`].
    pub fn want_command(&mut self) -> io::Result<()> {
        if self.shared.command.is_none() {
            return Ok(());
        }
        let instance = FileInstance::of_unknown_age(FileId::NONE);
        let contents = Contents::default();
        let (name, path) = (MAIN.to_string(), PathBuf::new());
        self.want(ServiceDir { name, path, instance, has_logger: false, contents, link: None, writer: None })
    }

    /// Whether `name` is the command's.
    pub fn is_command(&self, name: &str) -> bool {
        self.command_of(name).is_some()
    }

    /// The command, if `name` is its.
    pub(super) fn command_of(&self, name: &str) -> Option<&CommandLine> {
        self.shared.command.as_ref().filter(|_| name == MAIN)
    }

    /// What the module `name` runs, if that is the command, and where its output goes.
    pub(super) fn command_to_run(&self, name: &str, dir: &StatusDir) -> Option<(Definition, Streams)> {
        let command = self.command_of(name)?.clone();
        Some((Definition::Command(command), Streams::inherited(dir)))
    }
}
