//! `status_group` and `control_group`: who beside us may read the status directory and give commands.

use super::thread::Supervisor;
use crate::conf::context::account::Id;
use crate::service::context::account::{System, group_number};
use crate::sys::errno_text;
use crate::sys::files::access::set;
use crate::sys::files::file;
use log::Level;
use std::io;
use std::path::Path;

/// Modes of a directory: for us alone, and for a group that may look.
const OURS: u32 = 0o700;
const SHARED: u32 = 0o750;

/// Modes of a FIFO: for us alone; for a group that may give commands; for one that may only ask whether anybody is there,
/// which is to open it for writing.
const PRIVATE: u32 = 0o600;
const COMMANDS: u32 = 0o660;
const QUESTIONS: u32 = 0o620;

/// Numbers of the groups, as far as there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    status: Option<u32>,
    control: Option<u32>,
}

impl Groups {
    /// The group of the directory: whoever may give commands has to get there.
    fn directory(self) -> Option<u32> {
        self.status.or(self.control)
    }

    fn is_nobody(self) -> bool {
        self == Groups::default()
    }
}

impl Supervisor {
    /// Looks up the groups that the settings name. They hold for what is made from now on, and for what is there already.
    pub(super) fn look_up_groups(&mut self) {
        let settings = self.settings.clone();
        let (status, control) =
            (self.group_of(settings.status_group.as_ref()), self.group_of(settings.control_group.as_ref()));
        let groups = Groups { status, control };
        self.shares |= groups != self.groups;
        self.groups = groups;
    }

    fn group_of(&mut self, group: Option<&Id>) -> Option<u32> {
        match group_number(group?, &System) {
            Ok(gid) => Some(gid),
            Err(error) => {
                self.say(Level::Warn, format!("{error}: it gets no access to the status directory"));
                None
            }
        }
    }

    /// Gives the groups what is theirs, and nobody else anything. Without groups, and none before, it does nothing.
    pub(super) fn share(&mut self) {
        if (self.groups.is_nobody() && !self.shares) || self.spec.dir.is_foreign() {
            return;
        }
        let shared = self.share_all();
        // Once it is ours alone again, there is nothing to be done any more.
        self.shares = false;
        if let Err(text) = shared {
            self.say(Level::Warn, text);
        }
    }

    fn share_all(&self) -> Result<(), String> {
        let dir = &self.spec.dir;
        share_directory(dir.path(), self.groups)?;
        share_control(&dir.control(), self.groups)?;
        share_ok(&dir.ok(), self.groups)?;
        let Some(runit) = &self.runit else { return Ok(()) };
        share_directory(runit.directory(), self.groups)?;
        // Its `ok` is the same FIFO: whoever could ask could give commands.
        share_control(&file::entry(runit.directory(), "control"), self.groups)
    }
}

fn share_directory(path: &Path, groups: Groups) -> Result<(), String> {
    let mode = if groups.is_nobody() { OURS } else { SHARED };
    told(path, set(path, groups.directory(), mode))
}

fn share_control(path: &Path, groups: Groups) -> Result<(), String> {
    let mode = if groups.control.is_some() { COMMANDS } else { PRIVATE };
    told(path, set(path, groups.control, mode))
}

fn share_ok(path: &Path, groups: Groups) -> Result<(), String> {
    let mode = if groups.is_nobody() { PRIVATE } else { QUESTIONS };
    told(path, set(path, groups.directory(), mode))
}

fn told(path: &Path, result: io::Result<()>) -> Result<(), String> {
    match result {
        // It is made anew with the next report, or is a link to one that is shared.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ELOOP)) => Ok(()),
        other => other.map_err(|error| format!("{}: cannot be shared: {}", path.display(), errno_text(&error))),
    }
}
