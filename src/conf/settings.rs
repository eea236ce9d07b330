//! What a section's keys mean to the program.

use super::keys::{KEYS, key, refused};
use super::nearest;
use super::sections::Section;
use std::time::Duration;

/// Which processes a signal goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KillMode {
    /// The run process alone.
    #[default]
    Process,
    /// The run process; once it is gone after a stop, or `kill_timeout` is over, what is left of its group gets KILL.
    Mixed,
    /// Its process group; what is left of it is killed when it is gone.
    Group,
}

/// Whether a run process that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Yes.
    #[default]
    Always,
    /// Not after exit code 0.
    OnFailure,
    /// No.
    Never,
}

/// The settings of one module, as the program uses them. A zero that the manual calls "none" is `None` here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Length of the alarm window; `None`: no alarms and no limits.
    pub alarm_interval: Option<Duration>,
    /// Addresses.
    pub alarm_mail: Vec<String>,
    /// Phone numbers, at most [`GSM_MAX`].
    pub alarm_gsm: Vec<String>,
    /// Most restarts in a window.
    pub max_tries: Option<u32>,
    /// The core dump in a window that is one too many.
    pub max_tries_if_coredumped: Option<u32>,
    /// Program and arguments run for every alarm; empty for none.
    pub alarm_command: Vec<String>,
    /// Program and arguments that send mail.
    pub alarm_mailer: Vec<String>,
    /// Program and arguments that send a short message.
    pub alarm_gsm_command: Vec<String>,
    /// Least time between two starts.
    pub restart_delay: Duration,
    /// What the delay may grow to; `restart_delay` if it does not grow.
    pub restart_delay_max: Duration,
    /// From the stop signal to KILL; `None`: never.
    pub kill_timeout: Option<Duration>,
    /// How long `finish` may run; `None`: for ever.
    pub finish_timeout: Option<Duration>,
    /// The signal's number that `d` sends.
    pub stop_signal: i32,
    /// Which processes a signal goes to.
    pub kill_mode: KillMode,
    /// Whether to start again.
    pub restart: Restart,
}

/// The C program allows this many phone numbers.
pub const GSM_MAX: usize = 10;

impl Settings {
    /// What depends on more than one key.
    pub(super) fn finish(&mut self) {
        self.restart_delay_max = self.restart_delay_max.max(self.restart_delay);
        dedup(&mut self.alarm_mail);
        dedup(&mut self.alarm_gsm);
        self.alarm_gsm.truncate(GSM_MAX);
    }
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|entry| seen.insert(entry.clone()));
}

/// Takes out the entries that are unknown or have a bad value, with a complaint for each.
pub(super) fn drop_invalid(section: &mut Section, found: &mut Vec<(usize, String)>) {
    section.retain(|name, entry| {
        let Some(key) = key(name) else {
            found.push((entry.line, unknown(name)));
            return false;
        };
        found.extend(refused(name, &entry.value).into_iter().map(|what| (entry.line, format!("{name}: {what}"))));
        match (key.apply)(&mut Settings::default(), &entry.value) {
            _ if entry.value.is_empty() => true,
            Ok(()) => true,
            Err(why) => {
                found.push((entry.line, format!("{name}: {why}; what it inherits, or the default, stands")));
                false
            }
        }
    });
}

fn unknown(name: &str) -> String {
    match nearest(name, KEYS.iter().map(|key| key.name)) {
        Some(meant) => format!("unknown key {name}: did you mean {meant}?"),
        None => format!("unknown key {name}: it is ignored"),
    }
}

/// Warns of a list that is longer than what is used of it.
pub(super) fn lint_gsm(section: &Section, found: &mut Vec<(usize, String)>) {
    let Some((key, entry)) = key("alarm_gsm").zip(section.get("alarm_gsm")) else { return };
    let mut settings = Settings::default();
    let _ = (key.apply)(&mut settings, &entry.value);
    if settings.alarm_gsm.len() > GSM_MAX {
        found.push((entry.line, format!("alarm_gsm has more than {GSM_MAX} numbers: the rest is ignored")));
    }
}
