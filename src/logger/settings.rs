//! What a log is told: options, svlogd's `config`, and what holds where neither says anything.

use super::archive::compress::Compress;
use super::archive::keeper;
use super::archive::prune::Limits;
use super::lines::form::{Form, Format};
use super::lines::pattern::{Dialect, PatternError, Rules};
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
    /// Whose patterns they are.
    pub dialect: Dialect,
}

impl Said {
    /// What we say, and `other` where we say nothing.
    pub fn or(self, other: Said) -> Said {
        let is_silent = self.patterns.is_empty();
        let (patterns, dialect) =
            if is_silent { (other.patterns, other.dialect) } else { (self.patterns, self.dialect) };
        Said {
            size: self.size.or(other.size),
            age: self.age.or(other.age),
            keep: self.keep.or(other.keep),
            prefix: self.prefix.or(other.prefix),
            patterns,
            dialect,
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
        let rules = Rules::parse(&said.patterns, said.dialect)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_before_config() {
        let option = Said { size: Some(1), patterns: vec![b"-a".to_vec()], ..Said::default() };
        let config = Said { size: Some(2), keep: Some(3), patterns: vec![b"-b".to_vec()], ..Said::default() };
        let both = option.clone().or(config);
        assert_eq!((both.size, both.keep, both.patterns), (Some(1), Some(3), option.patterns));
    }
}
