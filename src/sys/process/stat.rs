//! `/proc/PID/stat` (proc_pid_stat(5)): what the kernel says of a process, also of one that is none of ours.

use crate::sys::ok_unless_exhausted;
use nix::unistd::Pid;
use std::io;

/// The fields from the third on, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat(String);

/// Fields by their number in proc_pid_stat(5).
const STATE: usize = 3;
const PARENT: usize = 4;
const GROUP: usize = 5;
const START: usize = 22;

impl Stat {
    /// Reads that of `pid`; `None` if there is no such process.
    ///
    /// # Errors
    /// Out of memory or descriptors, so nobody can tell.
    pub fn read(pid: Pid) -> io::Result<Option<Stat>> {
        let text = ok_unless_exhausted(std::fs::read_to_string(format!("/proc/{pid}/stat")))?;
        Ok(text.and_then(|text| Stat::parse(&text)))
    }

    fn parse(text: &str) -> Option<Stat> {
        // The name may hold blanks and brackets: what counts comes after the last bracket, which closes field 2.
        text.rsplit_once(')').map(|(_, fields)| Stat(fields.to_string()))
    }

    fn field(&self, number: usize) -> Option<&str> {
        self.0.split_ascii_whitespace().nth(number - STATE)
    }

    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.field(STATE) == Some("T")
    }

    /// Whether it has ended, and is only still to be reaped.
    pub fn has_ended(&self) -> bool {
        matches!(self.field(STATE), None | Some("Z" | "X"))
    }

    /// Its parent.
    pub fn parent(&self) -> Option<Pid> {
        self.field(PARENT)?.parse().ok().map(Pid::from_raw)
    }

    /// Its process group.
    pub fn group(&self) -> Option<Pid> {
        self.field(GROUP)?.parse().ok().map(Pid::from_raw)
    }

    /// When it was made, in nanoseconds since the boot, rounded down to a [`tick`]. The kernel adds the reader's offset of a
    /// time namespace.
    pub fn started(&self) -> Option<u64> {
        self.field(START)?.parse::<u64>().ok()?.checked_mul(tick())
    }
}

/// Length of a clock tick, in nanoseconds.
pub fn tick() -> u64 {
    // SAFETY: sysconf takes an integer and reads a constant.
    let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000_000 / u64::try_from(hertz).ok().filter(|hertz| *hertz > 0).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_hides_nothing() {
        let stat = Stat::parse("7 (a) b (c) T 3 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1234 0").unwrap();
        assert!(stat.is_stopped() && !stat.has_ended());
        assert_eq!((stat.parent(), stat.group()), (Some(Pid::from_raw(3)), Some(Pid::from_raw(5))));
        assert_eq!(stat.started(), Some(1234 * tick()));
        assert_eq!(Stat::parse("7 no name"), None);
    }

    #[test]
    fn we_have_a_parent_and_nobody_has_no_process() {
        let ours = Stat::read(nix::unistd::getpid()).unwrap().unwrap();
        assert_eq!(ours.parent(), Some(nix::unistd::getppid()));
        assert!(!ours.has_ended());
        assert_eq!(Stat::read(Pid::from_raw(i32::MAX)).unwrap(), None);
    }
}
