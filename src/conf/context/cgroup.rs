//! The values of `cgroup`, `memory_max`, `memory_high`, `cpu_max` and `tasks_max`.

use super::amounts::{number, percent, size};

/// The control group of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Where there can be none, the service is not started.
    pub required: bool,
    /// At most so much memory.
    pub memory_max: Option<Memory>,
    /// Above so much memory, it is slowed down.
    pub memory_high: Option<Memory>,
    /// At most so much processor time, in hundredths of one processor.
    pub cpu_max: Option<u64>,
    /// At most so many processes and threads.
    pub tasks_max: Option<u64>,
}

impl Group {
    /// Whether any limit is set.
    pub fn has_limits(&self) -> bool {
        self.memory_max.is_some() || self.memory_high.is_some() || self.cpu_max.is_some() || self.tasks_max.is_some()
    }
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// In bytes.
    Bytes(u64),
    /// In hundredths of what the machine has.
    Percent(u64),
}

/// Reads a size, or a share such as `50%`.
///
/// # Errors
/// What is wrong with it.
pub fn memory(value: &str) -> Result<Memory, String> {
    match percent(value) {
        Some(1..=100) => percent(value).map(Memory::Percent).ok_or_else(String::new),
        Some(_) => Err(format!("{value:?} is not a share of the memory: 1% to 100%")),
        None => match size(value)? {
            0 => Err("with no memory at all, nothing runs".into()),
            bytes => Ok(Memory::Bytes(bytes)),
        },
    }
}

/// Reads a share of processors: `150%` is one and a half.
///
/// # Errors
/// What is wrong with it.
pub fn cpu(value: &str) -> Result<u64, String> {
    let share = percent(value).filter(|share| (1..=1_000_000).contains(share));
    share.ok_or_else(|| format!("{value:?} is not a share of a processor: as 50% or 150%"))
}

/// Reads a number of tasks.
///
/// # Errors
/// What is wrong with it.
pub fn tasks(value: &str) -> Result<u64, String> {
    number(value).filter(|tasks| *tasks > 0).ok_or_else(|| format!("{value:?} is not a number of tasks"))
}

/// Reads `required` or `optional`.
///
/// # Errors
/// What is wrong with it.
pub fn required(value: &str) -> Result<bool, String> {
    match value {
        "required" => Ok(true),
        "optional" => Ok(false),
        other => Err(format!("{other:?} is not required or optional")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_sizes_shares_and_numbers() {
        assert_eq!((memory("512M"), memory("50%")), (Ok(Memory::Bytes(512 << 20)), Ok(Memory::Percent(50))));
        assert_eq!((cpu("150%"), tasks("64")), (Ok(150), Ok(64)));
        assert_eq!((required("required"), required("optional")), (Ok(true), Ok(false)));
        assert!(memory("0").is_err() && memory("101%").is_err() && memory("0%").is_err() && memory("lots").is_err());
        assert!(cpu("2").is_err() && cpu("0%").is_err() && tasks("0").is_err() && tasks("").is_err());
        assert!(required("yes").is_err());
    }
}
