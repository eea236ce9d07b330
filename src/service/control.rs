//! `control/X` in a service directory: a script that is run for the command X (runit's rules).

use super::context::Resolved;
use super::directory::Directory;
use super::{Definition, Service, Streams};
use crate::sys::files::file;
use crate::sys::files::flock::Lock;
use crate::sys::process::record::{RecordWriter, Role};
use crate::sys::process::start::{StartError, Started};
use std::ffi::CString;
use std::path::PathBuf;

impl Service {
    /// Whether there may be such scripts: it is a service directory, and no logger's.
    pub fn may_have_controls(&self) -> bool {
        matches!(self.definition, Definition::Directory(_)) && self.streams.input.is_none()
    }

    /// Starts `control/LETTER`, if there is one. It is not recorded in the lock, where the run process is.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn control(&self, letter: char) -> Result<Option<Started>, StartError> {
        match &self.definition {
            Definition::Directory(directory) => directory.control(letter, &self.streams, || None, None),
            Definition::Command(_) | Definition::Logger(_) => Ok(None),
        }
    }

    /// Whether there is `control/LETTER`.
    pub fn has_control(&self, letter: char) -> bool {
        match &self.definition {
            Definition::Directory(directory) => {
                directory.entries().control && file::is_executable(&directory.control_path(letter))
            }
            Definition::Command(_) | Definition::Logger(_) => false,
        }
    }

    /// Whether there may be something to run before a start, as things are now.
    pub fn may_have_pre_start(&self) -> bool {
        match &self.definition {
            Definition::Directory(_) => self.has_control('u'),
            Definition::Command(_) => true,
            Definition::Logger(_) => false,
        }
    }

    /// Starts what runs before a start, if there is something: `control/u` in the service's context, or the restart command
    /// with this count of exits.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn run_pre_start(
        &self,
        exits: u32,
        lock: &Lock,
        context: Option<&Resolved>,
    ) -> Result<Option<Started>, StartError> {
        let recorder = || RecordWriter::new(lock, Role::Hook, self.directory());
        match &self.definition {
            Definition::Directory(directory) => directory.control('u', &self.streams, || Some(recorder()), context),
            Definition::Command(command) => command.restart_hook(&self.streams, exits, recorder()),
            Definition::Logger(_) => Ok(None),
        }
    }

    /// What [`Service::run_pre_start`] runs, for messages.
    pub fn pre_start_name(&self) -> &'static str {
        match &self.definition {
            Definition::Directory(_) => "control/u",
            Definition::Command(_) | Definition::Logger(_) => "the restart command",
        }
    }
}

impl Directory {
    fn control_path(&self, letter: char) -> PathBuf {
        self.path().join(name(letter))
    }

    fn control<'a>(
        &self,
        letter: char,
        streams: &Streams,
        recorder: impl FnOnce() -> Option<RecordWriter<'a>>,
        context: Option<&Resolved>,
    ) -> Result<Option<Started>, StartError> {
        if !file::is_executable(&self.control_path(letter)) {
            return Ok(None);
        }
        // Before the first start there may be no pipe to the logger yet.
        streams.ensure_open()?;
        let program = CString::new(name(letter)).unwrap_or_default();
        self.execute(&program, std::slice::from_ref(&program), streams, recorder(), context).map(Some)
    }
}

/// As runit calls it, and as the script sees it in `$0`.
fn name(letter: char) -> String {
    format!("control/{letter}")
}
