//! The settings of one service: those of the shared file, and those that its directory brings along.
//!
//! The shared file is read when somebody asks for that. The directory's own is looked at before every start.

use super::own_settings::Unread;
use super::spec::Spec;
use super::thread::Supervisor;
use crate::conf::Config;
use crate::conf::own::OwnFile;
use crate::conf::policy::{Policy, ShutdownOn};
use crate::conf::settings::Settings;
use crate::conf::source::Reload;
use crate::machine::Event;
use crate::supervisor::order::Shared;
use crate::sys::Errno;
use crate::sys::context::{Part, Refusal};
use crate::sys::process::start::{StartError, Step};
use log::Level;
use std::sync::Arc;

impl Supervisor {
    /// Looks whether the directory's own settings have changed. What has, is in force from now on.
    ///
    /// # Errors
    /// They cannot be read; or a key that takes rights away has a value that is none, in whatever file.
    pub(super) fn refresh_own_settings(&mut self) -> Result<(), StartError> {
        let refused = |why: &str, errno| StartError { step: Step::Context(Refusal::new(Part::Settings, why)), errno };
        let refuse = |why: &str| refused(why, Errno::EINVAL);
        let read = self.own.read(&self.spec.service).map_err(|unread| match unread {
            Unread::Refused(complaint) => refuse(&complaint.to_string()),
            // Which passes by itself.
            Unread::Vanished(complaint) => refused(&complaint.to_string(), Errno::ESTALE),
        });
        if read? {
            self.say_own_complaints();
            self.apply_settings(Shared::AsBefore);
        }
        self.settings.refused.as_deref().map_or(Ok(()), |why| Err(refuse(why)))
    }

    pub(super) fn say_own_complaints(&mut self) {
        let complaints = self.own.file().map(OwnFile::complaints).unwrap_or_default();
        let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        lines.into_iter().for_each(|line| self.say(Level::Warn, line));
    }

    /// Takes over what the files say now.
    fn apply_settings(&mut self, shared: Shared) {
        self.settings = self.spec.config.settings(&self.spec.module, self.own.file(), self.spec.host.program());
        self.access.look_up(&self.settings, &mut self.reports.lines);
        self.processes.origin.compare(&self.settings.context);
        self.declare_relations(shared);
        self.new_policy = Some(Box::new(policy(&self.settings, &self.spec)));
    }

    /// Reads the shared file and the directory's own again, because somebody has asked for that.
    pub(super) fn reload(&mut self) {
        if self.spec.host.restart_hook().is_some() {
            return self.say(Level::Info, "with -r there is no configuration to read".into());
        }
        let has_own = self.spec.service.own_settings().is_some() || self.own.file().is_some();
        if has_own && self.spec.source.is_absent() {
            return self.configure(self.spec.config.clone());
        }
        let Reload { config, lines } = self.spec.source.reload();
        lines.into_iter().for_each(|(level, text)| self.say(level, text));
        if let Some(config) = config {
            self.configure(Arc::new(config));
            self.say(Level::Info, format!("settings read from {}", self.spec.source.path().display()));
        }
    }

    /// A logger that the tree runs by itself has its options from its service's settings.
    fn configure_logger(&mut self) {
        if self.spec.service.configure_logger(&self.spec.config) {
            self.reports.definition = self.spec.service.describe();
            self.processes.origin.note_other_command();
            let text = "other options, from its next start on (svctl restart makes one; no line is lost)";
            self.say(Level::Info, text.into());
        }
    }

    /// Takes over the shared settings `config`, and the directory's own as they are now.
    pub(super) fn configure(&mut self, config: Arc<Config>) {
        self.spec.config = config;
        self.configure_logger();
        match self.own.read(&self.spec.service) {
            Ok(true) => self.say_own_complaints(),
            Ok(false) => {}
            Err(unread) => self.say(Level::Warn, format!("{}; no start without it", unread.complaint())),
        }
        self.apply_settings(Shared::ReadAgain);
        self.join_order();
        if let Some(policy) = self.new_policy.take() {
            self.handle(Event::Policy(policy));
        }
        self.reconfigure_readiness();
    }
}

/// The settings for the machine: with `-r` there are no limits, and without a tree none can end.
pub(super) fn policy(settings: &Settings, spec: &Spec) -> Policy {
    let interval = settings.policy.interval.filter(|_| !spec.host.restart_hook().is_some());
    let shutdown_on = if spec.host.is_single() { ShutdownOn::Never } else { settings.policy.shutdown_on };
    Policy { interval, shutdown_on, ..settings.policy }
}
