//! Times: those that a user asks for, and those in front of lines.

use crate::sys::time::local;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use std::time::{Duration, SystemTime};

/// TAI64's name for the beginning of 1970, and the ten seconds that daemontools takes for the difference to UTC.
const TAI_OF_1970: u64 = (1 << 62) + 10;

/// No stamp is longer, in bytes.
const STAMP_MAX: usize = 40;

/// What stands in front of the time in JSON.
const JSON: &[u8] = b"{\"time\":\"";

/// Reads what a user asks for, in microseconds of Unix time: `10m` (ago), `2026-11-25`, `2026-11-25 09:41[:16]`, `09:41`, all of this
/// machine's zone, or RFC 3339.
///
/// # Errors
/// It is no time.
pub fn parse(text: &str) -> Result<i64, String> {
    let bad = || format!("{text:?} is no time such as 10m, 2h, 09:41, 2026-11-25 or 2026-11-25T09:41:16");
    if let Ok(ago) = crate::conf::log::time(text) {
        return SystemTime::now().checked_sub(ago).map(|at| local(at).timestamp_micros()).ok_or_else(bad);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.timestamp_micros());
    }
    let plain = text.replacen('T', " ", 1);
    let whole = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
    let naive = whole.iter().find_map(|form| NaiveDateTime::parse_from_str(&plain, form).ok()).or_else(|| {
        let day = NaiveDate::parse_from_str(&plain, "%Y-%m-%d").ok();
        let time = ["%H:%M:%S", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(&plain, form).ok());
        match (day, time) {
            (Some(day), _) => Some(day.and_time(NaiveTime::MIN)),
            (None, time) => time.map(|time| local(SystemTime::now()).date_naive().and_time(time)),
        }
    });
    naive.map(of_local).ok_or_else(bad)
}

/// This machine's wall clock as Unix time, in microseconds. Of an hour that comes twice, the second is meant.
fn of_local(naive: NaiveDateTime) -> i64 {
    let shown = naive.and_utc().timestamp_micros();
    let minus_zone = |at: i64| {
        let since = Duration::from_micros(at.unsigned_abs());
        let at = if at < 0 { None } else { SystemTime::UNIX_EPOCH.checked_add(since) };
        let offset = at.map_or(0, |at| local(at).offset().local_minus_utc());
        shown - i64::from(offset) * 1_000_000
    };
    // The zone's offset at a moment nearby, then that of the moment itself.
    minus_zone(minus_zone(shown))
}

/// The time in front of a line, in microseconds of Unix time: as supervise-log, s6-log, svlogd, multilog and tai64nlocal write it,
/// and as a supervisor writes it behind a level: `[NOTICE] 2026-11-25 09:41:16`.
pub fn of_line(line: &[u8]) -> Option<i64> {
    let line = behind_level(line).unwrap_or(line);
    let line = line.strip_prefix(JSON).unwrap_or(line);
    if let Some(label) = line.strip_prefix(b"@") {
        return tai(label.get(..24)?);
    }
    // A look at one byte spares most lines without a time all that follows.
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let head = line.get(..STAMP_MAX.min(line.len()))?;
    let ends = |byte: &u8| matches!(byte, b' ' | b'"');
    let end = head.iter().position(ends).unwrap_or(head.len());
    let word = std::str::from_utf8(head.get(..end)?).ok()?;
    if let Ok(at) = DateTime::parse_from_rfc3339(word) {
        return Some(at.timestamp_micros());
    }
    // svlogd -tt and -ttt, in UTC.
    if let Ok(at) = NaiveDateTime::parse_from_str(word, "%Y-%m-%d_%H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(word, "%Y-%m-%dT%H:%M:%S%.f"))
    {
        return Some(at.and_utc().timestamp_micros());
    }
    // s6-log T and tai64nlocal: `2026-11-25 09:41:16.123456789`, in local time.
    let second = head.get(end + 1..)?;
    let length = second.iter().position(ends).unwrap_or(second.len());
    let both = format!("{word} {}", std::str::from_utf8(second.get(..length)?).ok()?);
    let naive = NaiveDateTime::parse_from_str(&both, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(of_local(naive))
}

/// What stands behind the level of a line of a supervisor's.
fn behind_level(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"[")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_uppercase()).filter(|end| *end > 0)?;
    rest.get(end..)?.strip_prefix(b"] ")
}

fn tai(label: &[u8]) -> Option<i64> {
    let hex = |part: &[u8]| u64::from_str_radix(std::str::from_utf8(part).ok()?, 16).ok();
    let (seconds, nanoseconds) = (hex(label.get(..16)?)?, hex(label.get(16..24)?)?);
    let seconds = i64::try_from(seconds.checked_sub(TAI_OF_1970)?).ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(i64::try_from(nanoseconds / 1000).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logger::lines::stamp::{Clock, Stamp};

    #[test]
    fn every_stamp_that_loggers_write_is_read() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_764_063_676, 123_456_789);
        for stamp in [Stamp::Iso, Stamp::Utc, Stamp::Tai64n] {
            let mut line = Vec::new();
            Clock::default().stamp(stamp, at, &mut line);
            line.extend_from_slice(b"text");
            assert_eq!(of_line(&line), Some(1_764_063_676_123_456), "{stamp:?}");
        }
        let others = [
            "2025-11-25_09:41:16.12345 x",
            "2025-11-25T09:41:16.12345 x",
            "{\"time\":\"2025-11-25T09:41:16Z\",\"m\":1}",
        ];
        for line in others {
            assert_eq!(of_line(line.as_bytes()).map(|at| at / 1_000_000), Some(1_764_063_676), "{line}");
        }
        let text = local(SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_063_676)).format("%Y-%m-%d %H:%M:%S.000 x");
        assert_eq!(of_line(text.to_string().as_bytes()), Some(1_764_063_676_000_000));
        assert_eq!(of_line(format!("[WARNING] {text}").as_bytes()), Some(1_764_063_676_000_000));
        for line in [
            "[INFO] text",
            "[",
            "[]",
            "[] 2025-11-25 09:41:16 x",
            "[1] 2025-11-25T09:41:16Z x",
            "",
            "text",
            "12 apples",
            "@4000",
            "2025-11-25",
            "@zzzzzzzzzzzzzzzzzzzzzzzz x",
        ] {
            assert_eq!(of_line(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_user_may_ask_in_many_ways() {
        let now = local(SystemTime::now()).timestamp_micros();
        let ago = now - parse("10m").unwrap();
        assert!((599_000_000..601_000_000).contains(&ago), "{ago}");
        assert_eq!(parse("2025-11-25T09:41:16Z"), Ok(1_764_063_676_000_000));
        assert_eq!(parse("2025-11-25 09:41"), parse("2025-11-25T09:41:00"));
        assert_eq!(parse("2025-11-25"), parse("2025-11-25 00:00"));
        assert!(parse("09:41").is_ok());
        for bad in ["", "yesterday", "25:00", "2025-13-01", "-1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
