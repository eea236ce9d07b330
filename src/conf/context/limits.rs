//! The values of `limit_*`: `SOFT:HARD`, or one for both.

use super::amounts;
use crate::sys::context::{INFINITY, Limit, Resource, Unit};

/// The prefix of these keys.
const PREFIX: &str = "limit_";

/// Reads the value of the key `name`.
///
/// # Errors
/// What is wrong with it.
pub fn limit(name: &str, value: &str) -> Result<Limit, String> {
    let resource = name.strip_prefix(PREFIX).and_then(Resource::named);
    let resource = resource.ok_or_else(|| format!("there is no limit {name}"))?;
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    let limit = Limit { resource, soft: amount(soft, resource.unit())?, hard: amount(hard, resource.unit())? };
    if limit.soft <= limit.hard {
        Ok(limit)
    } else {
        Err(format!("the soft limit {soft} is above the hard one, {hard}"))
    }
}

fn amount(word: &str, unit: Unit) -> Result<u64, String> {
    if word == "infinity" || word == "unlimited" {
        return Ok(INFINITY);
    }
    match unit {
        Unit::Bytes => amounts::size(word),
        Unit::Seconds => amounts::seconds(word),
        Unit::Count => amounts::number(word)
            .filter(|_| !word.is_empty())
            .ok_or_else(|| format!("{word:?} is not a limit: a number, or infinity")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> Result<(u64, u64), String> {
        limit(name, value).map(|limit| (limit.soft, limit.hard))
    }

    #[test]
    fn both_or_one_for_both() {
        assert_eq!(pair("limit_nofile", "1024:4096"), Ok((1024, 4096)));
        assert_eq!(pair("limit_nproc", "64"), Ok((64, 64)));
        assert_eq!(pair("limit_core", "0:infinity"), Ok((0, INFINITY)));
        assert_eq!(pair("limit_as", "2G"), Ok((2 << 30, 2 << 30)));
        assert_eq!(pair("limit_cpu", "1m"), Ok((60, 60)));
    }

    #[test]
    fn what_is_none_is_said() {
        for bad in ["", ":", "1:", ":1", "-1", "many", "1:2:3", "infinity:5"] {
            assert!(pair("limit_nofile", bad).is_err(), "{bad}");
        }
        assert!(pair("limit_nofile", "4096:1024").unwrap_err().contains("above the hard one"));
        assert!(pair("limit_nofile", "1K").is_err(), "descriptors are counted");
        assert!(pair("limit_nothing", "1").is_err());
    }
}
