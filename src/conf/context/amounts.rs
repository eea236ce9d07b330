//! Sizes and times with a unit behind them.

/// Reads a size in bytes: a number, or one with `K`, `M`, `G` or `T` (powers of 1024) behind it.
///
/// # Errors
/// What is wrong with it.
pub fn size(value: &str) -> Result<u64, String> {
    let bad = || format!("{value:?} is no size: a number, with K, M, G or T behind it if need be");
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

/// Reads a whole number of seconds: a number, or one with `s`, `m`, `h` or `d` behind it.
///
/// # Errors
/// What is wrong with it.
pub fn seconds(value: &str) -> Result<u64, String> {
    let bad = || format!("{value:?} is no number of seconds");
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match value.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(bad()),
    };
    number(digits).ok_or_else(bad)?.checked_mul(factor).ok_or_else(|| format!("{value:?} is too large"))
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
    fn units_multiply() {
        assert_eq!(size("16M"), Ok(16 << 20));
        assert_eq!(size("1g"), Ok(1 << 30));
        assert_eq!(size("0"), Ok(0));
        assert_eq!(seconds("2m"), Ok(120));
        assert_eq!(percent("150%"), Some(150));
        for bad in ["", "K", "-1", "1X", "1.5G", "0x10", "99999999999999999999", "99999999T", "+1", "1 K"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["", "s", "-1", "1w", "1M"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!((percent("50"), percent("%"), percent("-5%")), (None, None, None));
    }
}
