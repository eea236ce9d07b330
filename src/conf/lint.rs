//! What is wrong in a section: unknown keys, bad values, lists that are too long.

use super::complaint::Findings;
use super::keys::{key, refused};
use super::sections::Section;
use super::settings::{GSM_MAX, Settings};

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

/// Warns of a list that is longer than what is used of it.
pub(super) fn lint_gsm(section: &Section, complaints: &mut Findings) {
    let Some((key, entry)) = key("alarm_gsm").zip(section.get("alarm_gsm")) else { return };
    let mut settings = Settings::default();
    let _ = (key.apply)(&mut settings, &entry.value);
    if settings.alarms.gsm.len() > GSM_MAX {
        complaints.push((entry.line, format!("alarm_gsm has more than {GSM_MAX} numbers: the rest is ignored")));
    }
}
