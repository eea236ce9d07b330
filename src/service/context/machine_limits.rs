//! What this machine has and may hand on: what is asked for beyond that is a failure, not less than was asked for.

use super::refuse::refuse;
use crate::conf::context::attributes;
use crate::conf::context::capabilities::names;
use crate::sys::context::{Part, own_capabilities};
use crate::sys::process::start::StartError;

/// Where the kernel says which processors there are.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// Whether there are all of these processors.
///
/// # Errors
/// One that is not there.
pub fn check_processors(wanted: &[u32]) -> Result<(), StartError> {
    if wanted.is_empty() {
        return Ok(());
    }
    // Where it cannot be read, the kernel itself will say no if there is none of them.
    let Ok(text) = std::fs::read_to_string(ONLINE) else { return Ok(()) };
    let Ok(online) = attributes::cpus(text.trim()) else { return Ok(()) };
    match wanted.iter().find(|cpu| !online.contains(cpu)) {
        None => Ok(()),
        Some(missing) => Err(refuse(Part::Cpus, &format!("there is no processor {missing}, only {}", text.trim()))),
    }
}

/// Whether we have all of these capabilities.
///
/// # Errors
/// Those that we have not.
pub fn check_capabilities(wanted: Option<u64>) -> Result<(), StartError> {
    let missing = wanted.unwrap_or(0);
    let missing = if missing == 0 { 0 } else { missing & !own_capabilities() };
    match missing {
        0 => Ok(()),
        missing => {
            let text = format!("the supervisor itself has not {}", names(missing).join(" "));
            Err(refuse(Part::Capabilities, &text))
        }
    }
}

/// These processors, a bit each, as `sched_setaffinity(2)` takes them.
pub fn mask(cpus: &[u32]) -> Vec<u64> {
    let last = cpus.iter().max().map_or(0, |last| *last as usize + 1);
    let mut mask = vec![0u64; last.div_ceil(64)];
    for cpu in cpus {
        if let Some(word) = mask.get_mut(*cpu as usize / 64) {
            *word |= 1 << (cpu % 64);
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_bits() {
        assert_eq!(mask(&[]), [0u64; 0]);
        assert_eq!(mask(&[0, 3]), [9]);
        assert_eq!(mask(&[63, 64]), [1 << 63, 1]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(check_processors(&[0]), Ok(()));
        let refused = check_processors(&[0, 8000]).unwrap_err().to_string();
        assert!(refused.starts_with("cpus: there is no processor 8000, only 0"), "{refused}");
        let refused = check_capabilities(Some(1 << 62)).unwrap_err().to_string();
        assert_eq!(refused, "capabilities: the supervisor itself has not cap_62");
    }
}
