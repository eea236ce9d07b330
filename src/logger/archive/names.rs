//! The names of old files: `log-00000042-20261125T094116Z`, with `.gz` behind it when it is compressed.
//!
//! The number says which is older; the time, when the file was closed, is for people. svlogd's and multilog's names
//! (`@4000000067443c0c075bca00.s`) stay where a log was theirs before: they are older than all of ours, and sort by themselves.

use crate::sys::time::local;
use chrono::Utc;
use std::path::Path;
use std::time::SystemTime;

/// The file that is written to.
pub const CURRENT: &str = "current";

/// What a compressed file's name ends with.
pub const GZ: &str = ".gz";

/// What a file's name ends with while it is compressed.
pub const PART: &str = ".part";

/// An old file. The order is that of age, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// svlogd's or multilog's.
    Tai(String),
    /// One of ours: its number, and its whole name.
    Ours(u64, String),
}

impl Name {
    /// What `name` is, if it is an old file.
    pub fn parse(name: &str) -> Option<Name> {
        let plain = name.strip_suffix(GZ).unwrap_or(name);
        if let Some(rest) = plain.strip_prefix("log-") {
            let (number, time) = rest.split_once('-')?;
            let is_number = number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
            let is_time = time.len() == 16 && time.ends_with('Z');
            return (is_number && is_time).then(|| number.parse().ok())?.map(|number| Name::Ours(number, name.into()));
        }
        let (label, end) = plain.strip_prefix('@')?.split_once('.')?;
        let is_label = label.len() == 24 && label.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_label && matches!(end, "s" | "u")).then(|| Name::Tai(name.into()))
    }

    /// The name itself.
    pub fn text(&self) -> &str {
        match self {
            Name::Tai(name) | Name::Ours(_, name) => name,
        }
    }

    /// Whether it is another, younger file: a compressed copy is the same one, and so is what a program of svlogd's has made of it.
    pub fn is_newer_than(&self, other: &Name) -> bool {
        let plain = |name: &Name| match name {
            Name::Tai(text) => Name::Tai(text.split_once('.').map_or(&**text, |(label, _)| label).into()),
            Name::Ours(number, text) => Name::Ours(*number, text.trim_end_matches(GZ).into()),
        };
        plain(self) > plain(other)
    }

    /// Whether it is compressed.
    pub fn is_compressed(&self) -> bool {
        self.text().ends_with(GZ)
    }

    /// The name of the next file of ours, closed at `at`.
    pub fn of(number: u64, at: SystemTime) -> String {
        format!("log-{number:08}-{}", local(at).with_timezone(&Utc).format("%Y%m%dT%H%M%SZ"))
    }
}

/// All old files of a directory, the oldest first.
///
/// # Errors
/// What `opendir` gives.
pub fn list(dir: &Path) -> std::io::Result<Vec<Name>> {
    let names = std::fs::read_dir(dir)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<Name> = names.filter_map(|name| Name::parse(&name)).collect();
    names.sort();
    Ok(names)
}

/// The number of the next file of ours.
pub fn next_number(names: &[Name]) -> u64 {
    let numbers = names.iter().filter_map(|name| match name {
        Name::Ours(number, _) => Some(*number),
        Name::Tai(_) => None,
    });
    numbers.max().map_or(1, |number| number.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn age_is_the_number_whatever_the_clock_did() {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let early = SystemTime::UNIX_EPOCH;
        let old = ["@400000006744000000000000.s", "@400000006745000000000000.u"];
        let all =
            [old[0].into(), old[1].into(), Name::of(9, late), Name::of(10, early) + GZ, Name::of(123_456_789, early)];
        let mut names: Vec<Name> = all.iter().rev().map(|name| Name::parse(name).unwrap()).collect();
        names.sort();
        assert_eq!(names.iter().map(Name::text).collect::<Vec<_>>(), all);
        assert_eq!(next_number(&names), 123_456_790);
        // Plain `ls` has the same order, `current` apart.
        let mut plain = all[..4].to_vec();
        plain.sort();
        assert_eq!(plain, all[..4]);
        assert_eq!(all[3], "log-00000010-19700101T000000Z.gz");
    }

    #[test]
    fn a_compressed_copy_is_as_old_as_the_file() {
        let name = |text: &str| Name::parse(text).unwrap();
        let (one, two) = (name(&Name::of(1, SystemTime::UNIX_EPOCH)), name(&Name::of(2, SystemTime::UNIX_EPOCH)));
        let copy = name(&format!("{}{GZ}", one.text()));
        assert!(!copy.is_newer_than(&one) && !one.is_newer_than(&copy));
        assert!(two.is_newer_than(&copy) && !copy.is_newer_than(&two));
        assert!(one.is_newer_than(&name("@400000006744000000000000.s")));
    }

    #[test]
    fn nothing_else_is_an_old_file() {
        for name in [
            "current",
            "lock",
            "journal",
            "config",
            "log-1-19700101T000000Z",
            "log-00000001-19700101T000000Z.gz.part",
            "log-0000000x-19700101T000000Z",
            "log-00000001-soon",
            "@40000000674400000000000.s",
            "@400000006744000000000000.t",
            "log-99999999999999999999999-19700101T000000Z",
        ] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }
}
