//! `status_group` and `control_group`: who beside us may read the status directory and give commands.

use crate::conf::context::account::Id;
use crate::conf::settings::Settings;
use crate::service::context::account::{System, group_number};
use crate::status::StatusDir;
use crate::supervisor::report::lines::Lines;
use crate::sys::errno_text;
use crate::sys::files::access::set;
use crate::sys::files::file;
use crate::sys::files::path_error::PathError;
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
struct Groups {
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

/// The groups, and whether anybody may be able to look who is not to.
#[derive(Debug)]
pub(in crate::supervisor) struct Access {
    groups: Groups,
    is_stale: bool,
}

impl Access {
    /// Without groups. `is_stale` says that somebody may have got access before.
    pub(in crate::supervisor) fn new(is_stale: bool) -> Access {
        Access { groups: Groups::default(), is_stale }
    }

    /// Looks up the groups that the settings name. They hold for what is made from now on, and for what is there already.
    pub(in crate::supervisor) fn look_up(&mut self, settings: &Settings, lines: &mut Lines) {
        let status = group_of(settings.status_group.as_ref(), lines);
        let control = group_of(settings.control_group.as_ref(), lines);
        let groups = Groups { status, control };
        self.is_stale |= groups != self.groups;
        self.groups = groups;
    }

    /// The group that may read.
    pub(in crate::supervisor) fn readers(&self) -> Option<u32> {
        self.groups.status
    }

    /// Gives the groups what is theirs, and nobody else anything. Without groups, and none before, it does nothing.
    /// `runit` is where runit's files are.
    pub(in crate::supervisor) fn share(&mut self, dir: &StatusDir, runit: Option<&Path>, lines: &mut Lines) {
        if (self.groups.is_nobody() && !self.is_stale) || dir.is_foreign() {
            return;
        }
        // Once it is ours alone again, there is nothing to be done any more.
        self.is_stale = false;
        if let Err(PathError { path, error }) = self.groups.share(dir, runit) {
            let (path, why) = (path.display(), errno_text(&error));
            lines.say(Level::Warn, format!("{path}: cannot be shared: {why}"));
        }
    }
}

impl Groups {
    fn share(self, dir: &StatusDir, runit: Option<&Path>) -> Result<(), PathError> {
        share_directory(dir.path(), self)?;
        share_control(&dir.control(), self)?;
        share_ok(&dir.ok(), self)?;
        let Some(runit) = runit else { return Ok(()) };
        share_directory(runit, self)?;
        // Its `ok` is the same FIFO: whoever could ask could give commands.
        share_control(&file::child(runit, "control"), self)
    }
}

fn group_of(group: Option<&Id>, lines: &mut Lines) -> Option<u32> {
    match group_number(group?, &System) {
        Ok(gid) => Some(gid),
        Err(error) => {
            lines.say(Level::Warn, format!("{error}: it gets no access to the status directory"));
            None
        }
    }
}

fn share_directory(path: &Path, groups: Groups) -> Result<(), PathError> {
    let mode = if groups.is_nobody() { OURS } else { SHARED };
    unless_absent(path, set(path, groups.directory(), mode))
}

fn share_control(path: &Path, groups: Groups) -> Result<(), PathError> {
    let mode = if groups.control.is_some() { COMMANDS } else { PRIVATE };
    unless_absent(path, set(path, groups.control, mode))
}

fn share_ok(path: &Path, groups: Groups) -> Result<(), PathError> {
    let mode = if groups.is_nobody() { PRIVATE } else { QUESTIONS };
    unless_absent(path, set(path, groups.directory(), mode))
}

fn unless_absent(path: &Path, result: io::Result<()>) -> Result<(), PathError> {
    match result {
        // It is made anew with the next report, or is a link to one that is shared.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ELOOP)) => Ok(()),
        other => other.map_err(PathError::at(path)),
    }
}
