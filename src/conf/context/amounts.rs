//! Sizes and times with a unit behind them.

use std::time::Duration;

/// Times longer than this, in seconds, are typing errors: a hundred years.
const SECONDS_MAX: f64 = 3_155_760_000.0;

/// Reads a size in bytes: a number, or one with `K`, `M`, `G` or `T` (powers of 1024) behind it.
///
/// # Errors
/// What is wrong with it.
pub fn size(value: &str) -> Result<u64, String> {
    let bad = || format!("{value:?} is not a size: a number, with K, M, G or T behind it if need be");
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match value.get(digits.len()..).unwrap_or_default().to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err(bad()),
    };
    number(digits).ok_or_else(bad)?.checked_mul(factor).ok_or_else(|| format!("{value:?} is too large"))
}

/// Reads a time: seconds, or numbers with `ms`, `s`, `m`, `h` or `d` behind each, as `90`, `0.5`, `1m30s`, `250ms`.
///
/// # Errors
/// What is wrong with it.
pub fn time(value: &str) -> Result<Duration, String> {
    let bad = || format!("{value:?} is not a time: seconds, or with units, as 90, 0.5, 250ms, 1m30s, 2h");
    let (mut rest, mut seconds) = (value, 0.0);
    while !rest.is_empty() {
        // f64 would take `inf`, `nan` and `1e3`, too.
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
        seconds += number * unit_of_time(&rest[..unit], digits == value.len()).ok_or_else(bad)?;
        rest = &rest[unit..];
    }
    if value.is_empty() { Err(bad()) } else { Ok(Duration::from_secs_f64(f64::min(seconds, SECONDS_MAX))) }
}

/// A unit in seconds. A number that is `alone` needs none.
fn unit_of_time(unit: &str, alone: bool) -> Option<f64> {
    match unit {
        "" if alone => Some(1.0),
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        "d" => Some(86400.0),
        _ => None,
    }
}

/// Reads a time as [`time`] does, in whole seconds.
///
/// # Errors
/// What is wrong with it.
pub fn seconds(value: &str) -> Result<u64, String> {
    let time = time(value)?;
    if time.subsec_nanos() == 0 {
        Ok(time.as_secs())
    } else {
        Err(format!("{value:?} is not a whole number of seconds"))
    }
}

/// Reads a number without a sign.
pub fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Reads a share such as `50%`, in hundredths.
pub fn percent(value: &str) -> Option<u64> {
    value.strip_suffix('%').and_then(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_units() {
        let cases =
            [("10", 10_000), ("10s", 10_000), ("1m30s", 90_000), ("250ms", 250), ("0.25", 250), ("1.5h", 5_400_000)];
        for (value, milliseconds) in cases.into_iter().chain([("1d1h1m1s1ms", 90_061_001), ("0", 0)]) {
            assert_eq!(time(value), Ok(Duration::from_millis(milliseconds)), "{value}");
        }
        for bad in ["", "s", ".", "-1", "1e9", "nan", "inf", "1 s", "1m30", "m1", "1..5", "1S", "1w"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(time("99999999999999999999d").is_ok());
    }

    #[test]
    fn units_multiply() {
        assert_eq!(size("16M"), Ok(16 << 20));
        assert_eq!(size("1g"), Ok(1 << 30));
        assert_eq!(size("0"), Ok(0));
        assert_eq!(seconds("2m"), Ok(120));
        assert_eq!(percent("150%"), Some(150));
        for bad in ["", "K", "-1", "1X", "1.5G", "0x10", "99999999999999999999", "99999999T", "+1", "1 K"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["", "s", "-1", "1w", "1M", "0.5"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!((percent("50"), percent("%"), percent("-5%")), (None, None, None));
    }
}
