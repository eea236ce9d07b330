//! The values of `umask`, `nice`, `oom_score`, `cpus` and `io_class`.

use super::amounts::number;
use crate::sys::context::IO_CLASS_SHIFT;

/// The kernel has no processor with a higher number (`CONFIG_NR_CPUS`, at most).
const CPU_MAX: u32 = 8191;

/// Classes of `ioprio_set(2)`.
const REALTIME: u16 = 1;
const BEST_EFFORT: u16 = 2;
const IDLE: u16 = 3;

/// Levels 0 to 7 of a class; a service that says none has the middle one.
const LEVELS: u64 = 8;
const LEVEL: u16 = 4;

/// Reads a file mode creation mask, in octal.
///
/// # Errors
/// What is wrong with it.
pub fn umask(value: &str) -> Result<u32, String> {
    let is_octal = !value.is_empty() && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mask = u32::from_str_radix(value, 8).ok().filter(|mask| is_octal && *mask <= 0o777);
    mask.ok_or_else(|| format!("{value:?} is not a umask: three octal digits, as 027"))
}

/// Reads a nice value.
///
/// # Errors
/// What is wrong with it.
pub fn nice(value: &str) -> Result<i32, String> {
    let nice = value.parse().ok().filter(|nice| (-20..=19).contains(nice));
    nice.ok_or_else(|| format!("{value:?} is not a nice value: -20 to 19"))
}

/// Reads an OOM score adjustment.
///
/// # Errors
/// What is wrong with it.
pub fn oom_score(value: &str) -> Result<i16, String> {
    let score = value.parse().ok().filter(|score| (-1000..=1000).contains(score));
    score.ok_or_else(|| format!("{value:?} is not an OOM score: -1000 to 1000"))
}

/// Reads numbers and ranges of processors, as `0-3,8`.
///
/// # Errors
/// What is wrong with it.
pub fn cpus(value: &str) -> Result<Vec<u32>, String> {
    let one = |word: &str| number(word.trim()).and_then(|cpu| u32::try_from(cpu).ok()).filter(|cpu| *cpu <= CPU_MAX);
    let mut cpus = Vec::new();
    for range in value.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match one(first).zip(one(last)) {
            Some((first, last)) if first <= last => cpus.extend(first..=last),
            _ => return Err(format!("{:?} are not processors: numbers and ranges, as 0-3,8", range.trim())),
        }
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// Reads an I/O class, with its level.
///
/// # Errors
/// What is wrong with it.
pub fn io_class(value: &str) -> Result<u16, String> {
    let bad = || format!("{value:?} is not an I/O class: idle, best-effort N or realtime N, N from 0 to 7");
    let mut words = value.split_ascii_whitespace();
    let class = match words.next() {
        Some("idle") => IDLE,
        Some("best-effort") => BEST_EFFORT,
        Some("realtime") => REALTIME,
        _ => return Err(bad()),
    };
    let level = words.next();
    if words.next().is_some() || (class == IDLE && level.is_some()) {
        return Err(bad());
    }
    let level = match level {
        None if class == IDLE => 0,
        None => LEVEL,
        Some(level) => number(level).filter(|level| *level < LEVELS).ok_or_else(bad)? as u16,
    };
    Ok(class << IO_CLASS_SHIFT | level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_priorities() {
        assert_eq!((umask("027"), umask("0")), (Ok(0o027), Ok(0)));
        assert_eq!((nice("-20"), nice("19")), (Ok(-20), Ok(19)));
        assert_eq!((oom_score("-1000"), oom_score("1000")), (Ok(-1000), Ok(1000)));
        assert_eq!(io_class("idle"), Ok(3 << 13));
        assert_eq!((io_class("best-effort 7"), io_class("best-effort")), (Ok(2 << 13 | 7), Ok(2 << 13 | 4)));
        assert_eq!(io_class("realtime 0"), Ok(1 << 13));
        for bad in ["", "8", "01000", "-1", "0x7", "u=rwx"] {
            assert!(umask(bad).is_err(), "{bad}");
        }
        assert!(nice("20").is_err() && nice("-21").is_err() && nice("").is_err());
        assert!(oom_score("1001").is_err() && oom_score("-1001").is_err() && oom_score("99999").is_err());
        for bad in ["", "idle 3", "best-effort 8", "realtime x", "best-effort 1 2", "none"] {
            assert!(io_class(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn processors_are_numbers_and_ranges() {
        assert_eq!(cpus("0-3,8"), Ok(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpus("1, 0-1"), Ok(vec![0, 1]));
        for bad in ["", ",", "3-1", "a", "-1", "1-", "99999", "0-99999999999"] {
            assert!(cpus(bad).is_err(), "{bad}");
        }
    }
}
