//! Which lines are shown: `--since`, `--until`, `--grep`.

use crate::ctl::logs::time;
use regex::bytes::{Regex, RegexBuilder};

/// What is asked of a line.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not earlier than this, in microseconds of Unix time.
    pub since: Option<i64>,
    /// Earlier than this.
    pub until: Option<i64>,
    grep: Option<Regex>,
    /// The time of the line before: one without a time belongs to it.
    last: Option<i64>,
}

impl Filter {
    /// What the options say.
    ///
    /// # Errors
    /// A time or an expression that is none.
    pub fn new(since: Option<&str>, until: Option<&str>, grep: Option<&str>) -> Result<Filter, String> {
        let time = |text: Option<&str>| text.map(time::parse).transpose();
        let grep = grep
            .map(|text| RegexBuilder::new(text).unicode(false).build().map_err(|error| format!("--grep: {error}")))
            .transpose()?;
        Ok(Filter { since: time(since)?, until: time(until)?, grep, last: None })
    }

    /// Whether it asks for anything.
    pub fn is_empty(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.grep.is_none()
    }

    /// Whether the next line of a file is shown. Before the first line with a time, none is when times are asked for.
    pub fn takes(&mut self, line: &[u8]) -> bool {
        if self.since.is_some() || self.until.is_some() {
            self.last = time::of_line(line).or(self.last);
            let Some(at) = self.last else { return false };
            if self.since.is_some_and(|since| at < since) || self.until.is_some_and(|until| at >= until) {
                return false;
            }
        }
        self.grep.as_ref().is_none_or(|grep| grep.is_match(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_time_belongs_to_the_one_before() {
        let mut filter = Filter::new(Some("2026-11-25T09:00:00Z"), None, None).unwrap();
        let lines = ["no time", "2026-11-25T08:59:59Z a", "  more of a", "2026-11-25T09:00:00Z b", "  more of b"];
        assert_eq!(lines.map(|line| filter.takes(line.as_bytes())), [false, false, false, true, true]);
        assert!(Filter::new(None, None, Some("(")).is_err());
        assert!(Filter::default().takes(b""));
    }
}
