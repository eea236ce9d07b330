//! `/proc/PID/stat` (proc_pid_stat(5)): what the kernel says of a process, also of one that is none of ours.

use crate::sys::files::file;
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
const FLAGS: usize = 9;
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;
const START: usize = 22;
const RESIDENT: usize = 24;

/// Bytes for all fields.
const ROOM: usize = 1024;

/// The flag of a process that is on its way out (`PF_EXITING`).
const EXITING: u64 = 0x4;

impl Stat {
    /// Reads that of `pid`; `None` if there is no such process.
    ///
    /// # Errors
    /// Out of memory or descriptors, so nobody can tell.
    pub fn read(pid: Pid) -> io::Result<Option<Stat>> {
        let text = ok_unless_exhausted(file::of_kernel(&format!("/proc/{pid}/stat"), ROOM))?;
        Ok(text.and_then(|text| Stat::parse(&String::from_utf8_lossy(&text))))
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

    /// Whether its first thread is on its way out, or is through; others may still hold what they had open.
    pub fn is_exiting(&self) -> bool {
        let flags: Option<u64> = self.field(FLAGS).and_then(|flags| flags.parse().ok());
        self.has_ended() || flags.is_some_and(|flags| flags & EXITING != 0)
    }

    /// Its parent.
    pub fn parent(&self) -> Option<Pid> {
        self.field(PARENT)?.parse().ok().map(Pid::from_raw)
    }

    /// Its process group.
    pub fn group(&self) -> Option<Pid> {
        self.field(GROUP)?.parse().ok().map(Pid::from_raw)
    }

    /// The processor time that it has used, in nanoseconds, rounded down to a [`tick`]; that of its children is not in it.
    pub fn processor_time(&self) -> Option<u64> {
        let ticks = |number| self.field(number)?.parse::<u64>().ok();
        ticks(USER_TIME)?.checked_add(ticks(SYSTEM_TIME)?)?.checked_mul(tick())
    }

    /// Its memory that is in RAM, in bytes.
    pub fn resident_memory(&self) -> Option<u64> {
        self.field(RESIDENT)?.parse::<u64>().ok()?.checked_mul(page())
    }

    /// When it was made, in nanoseconds since the boot, rounded down to a [`tick`]. The kernel adds the reader's offset of a
    /// time namespace.
    pub fn started(&self) -> Option<u64> {
        self.field(START)?.parse::<u64>().ok()?.checked_mul(tick())
    }
}

/// Whether `pid` is ending, and nothing can keep it from that: it was killed, whether it has had a processor since or not.
pub fn is_ending(pid: Pid) -> bool {
    match Stat::read(pid) {
        Ok(Some(stat)) => stat.is_exiting() || has_kill_pending(pid),
        // Where others' processes are hidden, it may live all the same.
        Ok(None) => nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH),
        Err(_) => false,
    }
}

fn has_kill_pending(pid: Pid) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    // Bit masks in hexadecimal: what waits for the first thread, and for the process as a whole.
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigPnd:").or(line.strip_prefix("ShdPnd:")));
    let mut masks = masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    masks.any(|mask| mask & (1 << (libc::SIGKILL - 1)) != 0)
}

fn page() -> u64 {
    // SAFETY: sysconf takes an integer and reads a constant.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
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
        let ours = Stat::read(nix::unistd::getpid()).unwrap().unwrap();
        assert!(
            ours.resident_memory().is_some_and(|bytes| bytes > 1 << 20 && bytes.is_multiple_of(page())),
            "{ours:?}"
        );
    }

    #[test]
    fn who_was_killed_is_ending_before_and_after_its_end_and_who_lives_is_not() {
        assert!(!is_ending(nix::unistd::getpid()));
        assert!(is_ending(Pid::from_raw(i32::MAX)));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        assert!(!is_ending(pid));
        child.kill().unwrap();
        assert!(is_ending(pid));
        child.wait().unwrap();
    }

    #[test]
    fn we_have_a_parent_and_nobody_has_no_process() {
        let ours = Stat::read(nix::unistd::getpid()).unwrap().unwrap();
        assert_eq!(ours.parent(), Some(nix::unistd::getppid()));
        assert!(!ours.has_ended());
        assert_eq!(Stat::read(Pid::from_raw(i32::MAX)).unwrap(), None);
    }
}
