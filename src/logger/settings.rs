//! What a log is told: options, svlogd's `config`, and what holds where neither says anything.

use super::archive::compress::Compress;
use super::archive::keeper;
use super::archive::prune::Limits;
use super::lines::form::{Form, Format};
use super::lines::pattern::{PatternError, Rules};
use super::lines::render::Renderer;
use super::lines::stamp::Stamp;
use std::time::Duration;

/// Bytes of `current` until it is closed, where nobody says it.
pub const SIZE: u64 = 16 * 1024 * 1024;

/// Old files that are kept, where nobody says it.
pub const KEEP: usize = 10;

/// What happens when a line cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Full {
    /// The service waits; nothing is lost.
    #[default]
    Block,
    /// Lines are dropped and counted, and the log says so in their place.
    Drop,
}

/// What can be said by options and in `config`; `None` where it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Bytes of `current` until it is closed; 0 for any number.
    pub size: Option<u64>,
    /// Age of `current` until it is closed; 0 for any.
    pub age: Option<Duration>,
    /// Old files that are kept; 0 for all.
    pub keep: Option<usize>,
    /// Between the stamp and the line.
    pub prefix: Option<Vec<u8>>,
    /// Patterns with their signs.
    pub patterns: Vec<Vec<u8>>,
}

impl Said {
    /// What we say, and `other` where we say nothing.
    pub fn or(self, other: Said) -> Said {
        Said {
            size: self.size.or(other.size),
            age: self.age.or(other.age),
            keep: self.keep.or(other.keep),
            prefix: self.prefix.or(other.prefix),
            patterns: if self.patterns.is_empty() { other.patterns } else { self.patterns },
        }
    }
}

/// What only options say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What `config` may say, too.
    pub said: Said,
    /// Bytes of old files that are kept; 0 for all.
    pub total: u64,
    /// How time is written.
    pub stamp: Stamp,
    /// Text or JSON.
    pub format: Format,
    /// The name in JSON.
    pub module: Vec<u8>,
    /// What stands for bytes that are no printable ASCII.
    pub replace: Option<u8>,
    /// What becomes of old files.
    pub compress: Compress,
    /// What happens on a full disk.
    pub full: Full,
    /// Lines a second; 0 for as many as there are.
    pub rate: u64,
}

/// What holds.
#[derive(Debug)]
pub struct Settings {
    /// Bytes of `current` until it is closed; 0 for any number.
    pub size: u64,
    /// Age of `current` until it is closed; 0 for any.
    pub age: Duration,
    /// What becomes of old files.
    pub old_files: keeper::Rules,
    /// What happens on a full disk.
    pub full: Full,
}

impl Options {
    /// What holds with `config`, and how lines are written by it.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn settle(&self, config: Said) -> Result<(Settings, Renderer), PatternError> {
        let said = self.said.clone().or(config);
        let rules = Rules::parse(&said.patterns)?;
        let limits = Limits { keep: said.keep.unwrap_or(KEEP), total: self.total };
        let settings = Settings {
            size: said.size.unwrap_or(SIZE),
            age: said.age.unwrap_or_default(),
            old_files: keeper::Rules { limits, compress: self.compress },
            full: self.full,
        };
        let form = Form::new(self.format, said.prefix.unwrap_or_default(), &self.module, self.replace);
        Ok((settings, Renderer::new(form, self.stamp, rules, self.rate)))
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

/// Reads a time: `90` or `90s`, `10m`, `2h`, `1d`, `1w`.
///
/// # Errors
/// What is wrong with it.
pub fn time(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    number(text, units, "a time such as 90, 10m, 2h or 1d").map(Duration::from_secs)
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
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("16M"), Ok(SIZE));
        assert_eq!(time("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(time("90"), time("90s"));
        for bad in ["", "M", "-1", "+1", "1.5M", "16m", "99999999999999999999", "99999999999T", "1 M"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_option_is_before_config() {
        let option = Said { size: Some(1), patterns: vec![b"-a".to_vec()], ..Said::default() };
        let config = Said { size: Some(2), keep: Some(3), patterns: vec![b"-b".to_vec()], ..Said::default() };
        let both = option.clone().or(config);
        assert_eq!((both.size, both.keep, both.patterns), (Some(1), Some(3), option.patterns));
    }
}
