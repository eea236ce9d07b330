//! What is wrong in a section: unknown keys, bad values, lists that are too long.

use super::complaint::Findings;
use super::keys::{key, refused};
use super::log::{self, Destination};
use super::sections::{Entry, Section};
use super::settings::{GSM_MAX, Settings};
use super::{Config, GLOBAL};
use std::path::{Path, PathBuf};

/// Takes out the entries that are unknown or have a bad value, with a complaint for each.
pub(super) fn drop_invalid(section: &mut Section, complaints: &mut Findings) {
    section.retain(|name, entry| {
        // An unknown one has been told.
        let Some(key) = key(name) else { return false };
        complaints.extend(refused(name, &entry.value).into_iter().map(|what| (entry.line, format!("{name}: {what}"))));
        match (key.apply)(&mut Settings::default(), &entry.value) {
            _ if entry.value.is_empty() => true,
            Ok(()) => true,
            Err(why) if takes_rights(name) => {
                complaints.push((entry.line, format!("{name}: {why}; there is no start without it")));
                true
            }
            Err(why) => {
                complaints.push((entry.line, format!("{name}: {why}; what it inherits, or the default, stands")));
                false
            }
        }
    });
}

/// Whether a service without this key could do what it is not to: then a value that is none must not be passed over.
pub(super) fn takes_rights(name: &str) -> bool {
    matches!(name, "user" | "groups" | "capabilities" | "no_new_privileges")
}

/// Warns of modules that would write into the same directory: the second logger is refused.
pub(super) fn lint_log_dirs(config: &Config, complaints: &mut Findings) {
    let entry = |section: &Section| section.get("log").cloned().filter(|entry| !entry.value.is_empty());
    let advice = |path: &Path| {
        format!("with a slash at its end, {}/, each module has a directory of its own there", path.display())
    };
    if let Some(entry) = config.sections.get(GLOBAL).and_then(entry)
        && let Ok(Destination::Directory(path)) = log::destination(&entry.value)
    {
        let what = format!("log: all modules would write into the directory {}; {}", path.display(), advice(&path));
        complaints.push((entry.line, what));
    }
    let modules = config.sections.iter().filter(|(name, _)| *name != GLOBAL && !name.contains('/'));
    let mut all: Vec<(usize, &str, PathBuf, bool)> = modules
        .filter_map(|(name, section)| {
            let Entry { value, line } = entry(section)?;
            match log::destination(&value) {
                Ok(Destination::Directory(path)) => Some((line, name, path.components().collect(), true)),
                Ok(Destination::Below(path)) => Some((line, name, path.join(name), false)),
                Ok(Destination::Files | Destination::StatusDir | Destination::Stdout) | Err(_) => None,
            }
        })
        .collect();
    all.sort();
    for (place, (line, name, path, is_given)) in all.iter().enumerate() {
        if let Some((_, first, ..)) = all[..place].iter().find(|(_, _, other, _)| other == path) {
            let advice = if *is_given { format!("; {}", advice(path)) } else { String::new() };
            let what =
                format!("log: [{first}] and [{name}] would write into the same directory {}{advice}", path.display());
            complaints.push((*line, what));
        }
    }
}

/// Warns of a list that is longer than what is used of it.
pub(super) fn lint_gsm(section: &Section, complaints: &mut Findings) {
    let Some((key, entry)) = key("alarm_gsm").zip(section.get("alarm_gsm")) else { return };
    let mut settings = Settings::default();
    let _ = (key.apply)(&mut settings, &entry.value);
    if settings.alarms.gsm.len() > GSM_MAX {
        complaints.push((entry.line, format!("alarm_gsm has more than {GSM_MAX} numbers: the rest is ignored")));
    }
}
