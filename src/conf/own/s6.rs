//! The files of an s6 service directory that say what keys say elsewhere (s6's servicedir page).

use super::trusted;
use crate::conf::complaint::Complaint;
use crate::conf::keys;
use crate::conf::sections::Section;
use crate::conf::settings::Settings;
use std::path::Path;

/// Their names. `notification-fd` is not among them: it is read with what concerns readiness.
pub const FILES: [&str; 5] = ["down-signal", "timeout-kill", "timeout-finish", "max-death-tally", "type"];

/// The number of [`FILES`], and what is in the file.
pub type Text = (usize, Vec<u8>);

/// The content of those that are there in `dir`, which have to belong to one of `trusted` as `trusted` has it.
///
/// # Errors
/// As reading a file that must be trusted.
pub fn read(dir: &Path, trusted: &[u32]) -> Result<Vec<Text>, Complaint> {
    let mut texts = Vec::new();
    for (number, name) in FILES.iter().enumerate() {
        if let Some(bytes) = trusted::read(&dir.join(name), trusted)? {
            texts.push((number, bytes));
        }
    }
    Ok(texts)
}

/// The keys that they stand for, each with the number of its file in the place of a line; and what is wrong.
pub fn keys(dir: &Path, texts: &[Text]) -> (Section, Vec<Complaint>) {
    let (mut section, mut complaints) = (Section::default(), Vec::new());
    for (number, bytes) in texts {
        let Some(name) = FILES.get(*number) else { continue };
        let text = String::from_utf8_lossy(bytes);
        let word = text.lines().next().unwrap_or_default().trim();
        let mut fail = |what: String| complaints.push(Complaint::whole(&dir.join(name), what));
        if word.is_empty() {
            fail("is empty: what it inherits, or the default, stands".into());
            continue;
        }
        for (key, value) in meant(name, word) {
            let Some(key) = keys::key(key) else { continue };
            match (key.apply)(&mut Settings::default(), &value) {
                Ok(()) => section.set(key.name, value, *number),
                Err(why) => fail(format!("{why}; what it inherits, or the default, stands")),
            }
        }
    }
    (section, complaints)
}

fn meant(name: &str, word: &str) -> Vec<(&'static str, String)> {
    // A number of milliseconds, where 0 is never, as it is in our keys.
    let time = || if word.bytes().all(|byte| byte.is_ascii_digit()) { format!("{word}ms") } else { word.to_owned() };
    match name {
        "down-signal" => vec![("stop_signal", word.into())],
        "timeout-kill" => vec![("kill_timeout", time())],
        "timeout-finish" => vec![("finish_timeout", time())],
        "max-death-tally" => vec![("max_tries", word.into()), ("alarm_interval", "60".into())],
        "type" => vec![("type", word.into())],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
        let (section, complaints) = keys(dir.path(), &read(dir.path(), &[]).unwrap());
        let shown = |(key, entry): (&str, &crate::conf::sections::Entry)| {
            format!("{key} {} {}", entry.value, FILES[entry.line])
        };
        let told =
            complaints.iter().map(|complaint| complaint.to_string().replace(&*dir.path().to_string_lossy(), "web"));
        (section.iter().map(shown).collect(), told.collect())
    }

    #[test]
    fn each_is_a_key_with_its_file_as_origin() {
        let (keys, complaints) = of(&[
            ("down-signal", "SIGINT\n"),
            ("timeout-kill", "5000\n"),
            ("timeout-finish", "0"),
            ("max-death-tally", "7\n"),
            ("type", "oneshot\n"),
        ]);
        let all = [
            "alarm_interval 60 max-death-tally",
            "finish_timeout 0ms timeout-finish",
            "kill_timeout 5000ms timeout-kill",
            "max_tries 7 max-death-tally",
            "stop_signal SIGINT down-signal",
            "type oneshot type",
        ];
        assert_eq!((keys, complaints), (all.map(String::from).to_vec(), Vec::new()));
    }

    #[test]
    fn what_is_wrong_in_one_is_told_and_stands_for_nothing() {
        let (keys, complaints) = of(&[("down-signal", "SIGNONE\n"), ("timeout-kill", "soon"), ("type", "\n")]);
        assert_eq!(keys, Vec::<String>::new());
        assert!(complaints[0].starts_with("web/down-signal: \"SIGNONE\" is not a signal; "), "{complaints:?}");
        assert!(complaints[1].starts_with("web/timeout-kill: "), "{complaints:?}");
        assert!(complaints[2].starts_with("web/type: is empty"), "{complaints:?}");
    }
}
