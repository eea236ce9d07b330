//! The context of the next start, and the control group that the service runs in.

use crate::conf::policy::KillMode;
use crate::service::context::cgroup::{self, Prepared};
use crate::service::context::{self, Resolved};
use crate::supervisor::thread::Supervisor;
use crate::sys::context::cgroup::{Group, Hierarchy};
use crate::sys::process::start::StartError;
use crate::sys::{Pid, errno_text};
use log::Level;
use std::path::PathBuf;
use std::time::Duration;

/// How long the thread waits for what it has killed, so that the group can be removed. What ends later keeps the group, until
/// the next start or the supervisor's end.
const REMOVAL_WAIT: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Works out the context of the next start, and makes its control group.
    ///
    /// # Errors
    /// The part that cannot be had.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn next_context(&mut self) -> Result<Option<Box<Resolved>>, StartError> {
        self.refresh_own_settings()?;
        let resolved = self.spec.service.context(&self.settings.context)?;
        if !self.wants_group() {
            return Ok(resolved);
        }
        self.in_group(resolved).map(Some)
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn in_group(&mut self, resolved: Option<Box<Resolved>>) -> Result<Box<Resolved>, StartError> {
        let alone = self.settings.policy.kill_mode == KillMode::Cgroup;
        let Prepared { group, warnings } =
            cgroup::prepare(&self.settings.context.group, &self.spec.module, &self.owner(), alone)?;
        let mut resolved =
            resolved.unwrap_or_else(|| Box::new(context::of_variables(self.spec.service.environment().clone())));
        resolved.change.cgroup = group.as_ref().map(Group::entrance);
        resolved.warnings.extend(warnings);
        self.processes.group = group;
        Ok(resolved)
    }

    fn wants_group(&self) -> bool {
        let group = &self.settings.context.group;
        self.settings.policy.kill_mode == KillMode::Cgroup || group.required || group.has_limits()
    }

    /// What is noted at the group.
    fn owner(&self) -> PathBuf {
        std::path::absolute(self.spec.dir.path()).unwrap_or_else(|_| self.spec.dir.path().to_owned())
    }

    /// Finds the group of a process that an earlier supervisor has started.
    pub(in crate::supervisor) fn adopt_group(&mut self, pid: Pid) {
        if self.wants_group() {
            self.processes.group = Hierarchy::find()
                .and_then(|hierarchy| cgroup::of_process(&hierarchy, pid, &self.spec.module, &self.owner()));
        }
    }

    /// With `kill_mode : cgroup`, finds the group of a run process that has ended while there was no supervisor.
    pub(in crate::supervisor) fn find_left_cgroup(&mut self) {
        if self.settings.policy.kill_mode != KillMode::Cgroup {
            return;
        }
        self.processes.group = cgroup::of_module(&self.spec.module, &self.owner());
        if self.processes.group.as_ref().and_then(Group::is_populated) == Some(true) {
            let text = "an earlier run has left processes in the control group: they are killed before the next start";
            self.say(Level::Info, text.into());
        }
    }

    /// With `kill_mode : cgroup`, kills everything that the service ever started.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn kill_group(&mut self) {
        let Some(group) = self.processes.group.as_ref().filter(|_| self.settings.policy.kill_mode == KillMode::Cgroup)
        else {
            return;
        };
        if let Err(error) = group.kill() {
            let text = format!("cannot kill the control group {}: {}", group.path().display(), errno_text(&error));
            self.say(Level::Warn, text);
        }
    }

    /// Removes the group, once there is nothing in it.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn remove_group(&mut self) {
        let Some(group) = &self.processes.group else { return };
        // What was killed just now may take a moment to end.
        let is_empty = self.settings.policy.kill_mode != KillMode::Cgroup || group.wait_until_empty(REMOVAL_WAIT);
        // It takes its count with it.
        let spent = group.processor_time().map_or(Duration::ZERO, Duration::from_nanos);
        if is_empty && group.remove().is_ok() {
            self.processes.group = None;
            self.processes.note_spent(Some(spent));
        }
    }
}
