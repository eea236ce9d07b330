//! What a section's keys mean to the program.

use super::context::Context;
use super::context::account::Id;
use super::log::LogSettings;
use super::policy::Policy;
use crate::conf::readiness::Readiness;
use crate::conf::relations::Relations;

/// The settings of one module, as the program uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who is told of an alarm, and by which programs.
    pub alarms: Alarms,
    /// When the service is started, stopped and given up.
    pub policy: Policy,
    /// The context that the service runs in.
    pub context: Context,
    /// Where its output goes.
    pub log: LogSettings,
    /// Why there is no start: a key that takes rights away has a value that is none, so its service would have them all.
    pub refused: Option<String>,
    /// The group that may read the status directory.
    pub status_group: Option<Id>,
    /// The group that may give commands.
    pub control_group: Option<Id>,
    /// When it is ready, and whether it is well.
    pub readiness: Readiness,
    /// How it stands to others.
    pub relations: Relations,
}

/// Who is told of an alarm, and by which programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// `alarm_mail`: addresses.
    pub mail: Vec<String>,
    /// `alarm_gsm`: phone numbers, at most [`GSM_MAX`].
    pub gsm: Vec<String>,
    /// `alarm_command`: program and arguments run for every alarm; empty for none.
    pub command: Vec<String>,
    /// `alarm_mailer`: program and arguments that send mail.
    pub mailer: Vec<String>,
    /// `alarm_gsm_command`: program and arguments that send a short message.
    pub gsm_command: Vec<String>,
}

impl Alarms {
    /// Whether anybody is told of one.
    pub fn tell_anybody(&self) -> bool {
        !(self.mail.is_empty() && self.gsm.is_empty() && self.command.is_empty())
    }
}

/// The C program allows this many phone numbers.
pub const GSM_MAX: usize = 10;

impl Settings {
    /// What depends on more than one key.
    pub(super) fn resolve_defaults(&mut self) {
        self.policy.delay_max = self.policy.delay_max.max(self.policy.delay);
        dedup(&mut self.alarms.mail);
        dedup(&mut self.alarms.gsm);
        self.alarms.gsm.truncate(GSM_MAX);
    }
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|entry| seen.insert(entry.clone()));
}
