//! The time in front of a line.
//!
//! It is taken once for each read, for all lines of one read had arrived by then: that is what makes a stamp cheap.

use crate::sys::time::local;
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// How time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Stamp {
    /// `2026-11-25T09:41:16.123456+01:00`: the machine's time zone (RFC 3339).
    #[default]
    Iso,
    /// `2026-11-25T08:41:16.123456Z`.
    Utc,
    /// `@4000000067443c0c075bca00`: TAI64N as tai64n(8) of daemontools writes it, which tai64nlocal(8) reads.
    Tai64n,
    /// Nothing.
    None,
}

/// TAI64's name for the beginning of 1970, and the ten seconds that daemontools takes for the difference to UTC.
const TAI_OF_1970: u64 = (1 << 62) + 10;

/// The second that was written last, so that only its fraction has to be written anew.
#[derive(Debug, Default)]
pub struct Clock {
    second: u64,
    zone: String,
    text: String,
}

impl Clock {
    /// `at` as `stamp` says, and a blank behind it; empty for none.
    pub fn stamp(&mut self, stamp: Stamp, at: SystemTime, into: &mut Vec<u8>) {
        into.clear();
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        match stamp {
            Stamp::None => {}
            Stamp::Tai64n => {
                let label = TAI_OF_1970.saturating_add(since.as_secs());
                into.extend(format!("@{label:016x}{:08x} ", since.subsec_nanos()).bytes());
            }
            Stamp::Iso | Stamp::Utc => {
                self.time(stamp == Stamp::Utc, at, into);
                into.push(b' ');
            }
        }
    }

    /// `at` by RFC 3339, with microseconds.
    pub fn time(&mut self, utc: bool, at: SystemTime, into: &mut Vec<u8>) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if self.text.is_empty() || since.as_secs() != self.second {
            let whole = if utc { utc_text(local(at)) } else { local(at).to_rfc3339_opts(SecondsFormat::Secs, true) };
            // `2026-11-25T09:41:16`, and the zone behind it.
            let (text, zone) = whole.split_at(whole.len().min(19));
            (self.text, self.zone, self.second) = (text.into(), zone.into(), since.as_secs());
        }
        let mut fraction = String::with_capacity(8);
        // Writing into a string does not fail.
        let _ = write!(fraction, ".{:06}", since.subsec_micros());
        into.extend_from_slice(self.text.as_bytes());
        into.extend_from_slice(fraction.as_bytes());
        into.extend_from_slice(self.zone.as_bytes());
    }
}

fn utc_text(at: DateTime<FixedOffset>) -> String {
    at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(stamp: Stamp, at: SystemTime) -> String {
        let mut into = Vec::new();
        Clock::default().stamp(stamp, at, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn each_kind_has_the_documented_form() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_764_063_676, 123_456_789);
        assert_eq!(text(Stamp::Utc, at), "2025-11-25T09:41:16.123456Z ");
        assert_eq!(text(Stamp::None, at), "");
        // 4611686018427387914 + 1764063676, as tai64nlocal reads it.
        assert_eq!(text(Stamp::Tai64n, at), "@40000000692579c6075bcd15 ");
        let iso = text(Stamp::Iso, at);
        let parsed = DateTime::parse_from_rfc3339(iso.trim_end()).unwrap();
        assert_eq!(parsed.timestamp_micros(), 1_764_063_676_123_456, "{iso}");
        assert!(!iso.contains('Z') || parsed.offset().local_minus_utc() == 0);
    }

    #[test]
    fn the_same_second_is_not_written_twice_and_the_next_one_is() {
        let mut clock = Clock::default();
        let mut into = Vec::new();
        let mut of = |seconds, nanoseconds| {
            clock.stamp(Stamp::Utc, SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds), &mut into);
            String::from_utf8(into.clone()).unwrap()
        };
        assert_eq!(of(0, 0), "1970-01-01T00:00:00.000000Z ");
        assert_eq!(of(0, 999_999_999), "1970-01-01T00:00:00.999999Z ");
        assert_eq!(of(61, 1000), "1970-01-01T00:01:01.000001Z ");
    }
}
