//! Where a service's output goes: `log` and the keys that begin with `log_`.
//!
//! What supervise-log is told is kept as its options, so that both read the same values.

use super::context::account::{self, User};
use super::context::{amounts, list};
use crate::logger::lines::pattern::{Dialect, Rules};
use std::path::PathBuf;
use std::time::Duration;

/// What supervise-log does without an option.
const DEFAULTS: [(&str, &str); 9] = [
    ("log_size", "16M"),
    ("log_age", "0"),
    ("log_keep", "10"),
    ("log_total", "0"),
    ("log_stamp", "iso"),
    ("log_format", "text"),
    ("log_compress", "no"),
    ("log_full", "block"),
    ("log_rate", "0"),
];

/// What the keys about a log say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// `log`.
    pub destination: Destination,
    /// `log_user`: who the logger runs as.
    pub user: Option<User>,
    /// The other keys, as options of supervise-log, in the order of the keys.
    pub options: Vec<String>,
}

/// The value of `log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// `__stdout` and `__stderr`.
    #[default]
    Files,
    /// A directory below the logger's status directory.
    StatusDir,
    /// This directory.
    Directory(PathBuf),
    /// A directory with the module's name, in this one.
    Below(PathBuf),
    /// The tree's standard output, with the lines of all others that have it.
    Stdout,
}

/// Reads the value of `log`.
///
/// # Errors
/// What is wrong with it.
pub fn destination(value: &str) -> Result<Destination, String> {
    match value {
        "" | "files" => Ok(Destination::Files),
        "yes" => Ok(Destination::StatusDir),
        "stdout" => Ok(Destination::Stdout),
        path if path.starts_with('/') && path.ends_with('/') => Ok(Destination::Below(path.into())),
        path if path.starts_with('/') => Ok(Destination::Directory(path.into())),
        other => Err(format!("{other:?} is not files, yes, stdout or an absolute path")),
    }
}

impl LogSettings {
    /// Takes one of the keys.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "log" => self.destination = destination(value)?,
            // What supervise-log does without the option; svlogd's `config` may say something else then.
            _ if value.is_empty() || DEFAULTS.contains(&(key, value)) => {}
            "log_user" => self.user = Some(account::user(value)?),
            "log_match" => {
                let patterns = list::good(patterns(value)?)?;
                self.options.extend(patterns.into_iter().map(|pattern| format!("--match={pattern}")));
            }
            _ => {
                check(key, value)?;
                let option = key.strip_prefix("log_").unwrap_or(key);
                self.options.push(format!("--{option}={}", unquoted(key, value)?));
            }
        }
        Ok(())
    }
}

/// The patterns of `log_match`, each by itself: as supervise-log reads them.
fn patterns(value: &str) -> Result<Vec<Result<String, String>>, String> {
    let read = |word: String| match Rules::parse(&[word.clone().into_bytes()], Dialect::Shell) {
        Ok(_) => Ok(word),
        Err(error) => Err(error.to_string()),
    };
    Ok(super::shell_words::split(value)?.into_iter().map(read).collect())
}

/// What is wrong with single patterns of `log_match`, whose others stand.
pub fn refused_patterns(value: &str) -> Vec<String> {
    patterns(value).map_or_else(|_| Vec::new(), list::refused)
}

fn check(key: &str, value: &str) -> Result<(), String> {
    let one_of = |words: &[&str]| {
        let is_known = words.contains(&value);
        is_known.then_some(()).ok_or_else(|| format!("{value:?} is not one of {}", words.join(", ")))
    };
    match key {
        "log_size" | "log_total" => bytes(value).map(drop),
        "log_age" => time(value).map(drop),
        "log_keep" | "log_rate" => value.parse::<u32>().map(drop).map_err(|_| format!("{value:?} is no whole number")),
        "log_stamp" => one_of(&["iso", "utc", "tai64n", "none"]),
        "log_format" => one_of(&["text", "json"]),
        "log_compress" => one_of(&["no", "gzip"]),
        "log_full" => one_of(&["block", "drop"]),
        _ => Ok(()),
    }
}

/// A prefix may be quoted, to have a blank at its end.
fn unquoted(key: &str, value: &str) -> Result<String, String> {
    match key {
        "log_prefix" => super::shell_words::split(value).map(|words| words.join(" ")),
        _ => Ok(value.to_string()),
    }
}

/// Reads a number of bytes: `4096`, `64K`, `16M`, `2G`.
///
/// # Errors
/// What is wrong with it.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    number(text, units.map(|(unit, shift)| (unit, 1 << shift)), "a number of bytes such as 4096, 64K, 16M or 2G")
}

/// Reads a time as the other keys have it: `90` or `90s`, `10m`, `1m30s`, `250ms`, `1d`; and `1w`.
///
/// # Errors
/// What is wrong with it.
pub fn time(text: &str) -> Result<Duration, String> {
    let weeks = text.strip_suffix('w').and_then(amounts::number).and_then(|weeks| weeks.checked_mul(604_800));
    weeks.map_or_else(|| amounts::time(text), |seconds| Ok(Duration::from_secs(seconds)))
}

fn number<const N: usize>(text: &str, units: [(&str, u64); N], what: &str) -> Result<u64, String> {
    let unit = units.iter().find_map(|(unit, times)| Some((text.strip_suffix(unit)?, *times)));
    let (digits, times) = unit.unwrap_or((text, 1));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = is_number.then(|| digits.parse::<u64>().ok()?.checked_mul(times)).flatten();
    value.ok_or_else(|| format!("{text:?} is not {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!((bytes("0"), bytes("16M")), (Ok(0), Ok(16 << 20)));
        assert_eq!(time("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(time("90"), time("90s"));
        assert_eq!((time("1m30s"), time("90")), (Ok(Duration::from_secs(90)), Ok(Duration::from_secs(90))));
        assert_eq!((time("250ms"), time("1w")), (Ok(Duration::from_millis(250)), time("7d")));
        for bad in ["", "w", "-1w", "1x", "1 w"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        for bad in ["", "M", "-1", "+1", "1.5M", "16m", "99999999999999999999", "99999999999T", "1 M"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_log_is_files_a_directory_or_one_below_it() {
        assert_eq!(destination("yes"), Ok(Destination::StatusDir));
        assert_eq!(destination("/var/log/web"), Ok(Destination::Directory("/var/log/web".into())));
        assert_eq!(destination("/var/log/"), Ok(Destination::Below("/var/log/".into())));
        for bad in ["log", "./log", "no"] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_become_options_and_what_is_wrong_is_said() {
        let mut log = LogSettings::default();
        for (key, value) in [("log_size", "64K"), ("log_keep", ""), ("log_match", "'-* *' +x"), ("log_prefix", "'a: '")]
        {
            log.set(key, value).unwrap();
        }
        assert_eq!(log.options, ["--size=64K", "--match=-* *", "--match=+x", "--prefix=a: "]);
        for (key, value) in [
            ("log_size", "x"),
            ("log_age", "1x"),
            ("log_keep", "-1"),
            ("log_stamp", "x"),
            ("log_match", "x"),
            ("log_match", "'+[abc'"),
            ("log_match", r"'-a\'"),
            ("log_rate", "a"),
        ] {
            assert!(log.set(key, value).is_err(), "{key} {value}");
        }
    }
}
