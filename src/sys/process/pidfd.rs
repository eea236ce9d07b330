//! A process held by descriptor: no race between its end, its number's next use, and our signal.

use crate::sys::threads::poll::{self, PollSource};
use crate::sys::time::Mono;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It called `exit` with this code, 0 to 255.
    Code(i32),
    /// A signal killed it.
    Signal {
        /// The signal's number, real-time signals included.
        number: i32,
        /// It dumped core.
        core: bool,
    },
    /// It was not our child, and the kernel could not tell us.
    Unknown,
}

impl ExitStatus {
    /// Decodes the status word of `wait(2)`.
    pub fn from_wait_status(status: i32) -> ExitStatus {
        match status & 0x7f {
            0 => ExitStatus::Code((status >> 8) & 0xff),
            number => ExitStatus::Signal { number, core: status & 0x80 != 0 },
        }
    }

    /// What runit's and our `finish` gets as `$1`: the exit code, or -1 after a signal.
    pub fn code_or_minus_one(self) -> i32 {
        match self {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal { .. } | ExitStatus::Unknown => -1,
        }
    }

    /// What `finish` gets as `$2`: the low byte of the status word (`134` is ABRT with a core dump).
    pub fn low_byte(self) -> i32 {
        match self {
            ExitStatus::Code(_) | ExitStatus::Unknown => 0,
            ExitStatus::Signal { number, core } => number | if core { 0x80 } else { 0 },
        }
    }

    /// Whether it dumped core.
    pub fn core(self) -> bool {
        matches!(self, ExitStatus::Signal { core: true, .. })
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            ExitStatus::Code(code) => write!(f, "exit code {code}"),
            ExitStatus::Signal { number, core } => {
                write!(f, "signal {}{}", signal_name(number), if core { " (core dumped)" } else { "" })
            }
            ExitStatus::Unknown => f.write_str("exit status unknown"),
        }
    }
}

/// A signal's name without the SIG: `KILL`, `USR1`, `RTMIN+3`.
pub fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().trim_start_matches("SIG").to_string(),
        Err(_) if number >= libc::SIGRTMIN() => format!("RTMIN+{}", number - libc::SIGRTMIN()),
        Err(_) => number.to_string(),
    }
}

/// The number of a signal that [`signal_name`] has named.
pub fn signal_number(name: &str) -> Option<i32> {
    if let Some(above) = name.strip_prefix("RTMIN+") {
        return Some(libc::SIGRTMIN() + above.parse::<i32>().ok()?);
    }
    let named = format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32);
    named.ok().or_else(|| name.parse().ok())
}

/// The file system of pidfds (`linux/magic.h`).
const PIDFS_MAGIC: libc::__fsword_t = 0x5049_4446;

/// A descriptor for one process.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

impl Pidfd {
    /// Opens a process by its number. For a child that we have not reaped there is no race.
    ///
    /// # Errors
    /// `ESRCH` if there is none, `EMFILE` and the like when descriptors have run out.
    pub fn open(pid: Pid) -> Result<Pidfd, Errno> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor, which nobody else owns.
        let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
        // SAFETY: as above; the kernel's descriptors fit an i32.
        Ok(Pidfd(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    pub(super) fn from_owned(fd: OwnedFd) -> Pidfd {
        Pidfd(fd)
    }

    /// Whether the kernel gives a number of its own to each process of a boot (since Linux 6.9).
    pub fn are_numbered() -> bool {
        static ARE: OnceLock<bool> = OnceLock::new();
        *ARE.get_or_init(|| Pidfd::open(nix::unistd::getpid()).is_ok_and(|ours| ours.is_numbered()))
    }

    /// The number that the kernel has given to this process, and gives to no other one of this boot, whatever its pid:
    /// the inode of a pidfd is that where pidfds have a file system of their own. `None` on older kernels.
    pub fn number(&self) -> Option<u64> {
        if Pidfd::are_numbered() { nix::sys::stat::fstat(&self.0).ok().map(|there| there.st_ino) } else { None }
    }

    fn is_numbered(&self) -> bool {
        let kind = nix::sys::statfs::fstatfs(&self.0).map(|there| there.filesystem_type());
        // On machines of 32 bits an inode is half of the number alone.
        kind.is_ok_and(|kind| kind.0 == PIDFS_MAGIC) && size_of::<libc::c_long>() == 8
    }

    /// Sends a signal to this very process; nothing happens if it has been reaped.
    ///
    /// # Errors
    /// `ESRCH` when it is gone, `EPERM` when it changed its user.
    pub fn signal(&self, number: i32) -> Result<(), Errno> {
        let info: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: a null siginfo makes the kernel fill in what kill(2) would.
        let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), number, info, 0) };
        Errno::result(done).map(drop)
    }

    /// Sends a signal to the process group that this process leads, or has led: also once it has been reaped, as long as
    /// others are in the group, and never to a group that has the number later (since Linux 6.9).
    ///
    /// # Errors
    /// `ESRCH` when nobody is left in it, `EPERM` when no member may be signalled, `EINVAL` on older kernels.
    pub fn signal_group(&self, number: i32) -> Result<(), Errno> {
        let info: *const libc::siginfo_t = std::ptr::null();
        let (fd, flags) = (self.0.as_raw_fd(), PIDFD_SIGNAL_PROCESS_GROUP);
        // SAFETY: as in `signal`.
        let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, info, flags) };
        Errno::result(done).map(drop)
    }

    /// Whether it has ended, reaped or not: then the descriptor is readable.
    pub fn has_ended(&self) -> bool {
        poll::wait([Some(PollSource::Readable(self.0.as_fd()))], Some(Mono::now())) == [true]
    }

    /// Another descriptor for the same process.
    ///
    /// # Errors
    /// `EMFILE` and the like when descriptors have run out.
    pub fn try_clone(&self) -> std::io::Result<Pidfd> {
        self.0.try_clone().map(Pidfd)
    }

    /// Reaps the process if it is our child and has ended; `None` while it runs.
    ///
    /// Any thread may do it: the descriptor names the process, so nobody else's can be taken by mistake.
    ///
    /// # Errors
    /// `ECHILD` when the process is not our child, or was reaped already.
    pub fn reap(&self) -> Result<Option<ExitStatus>, Errno> {
        self.reap_with_time().map(|ended| ended.map(|(status, _)| status))
    }

    /// The same, with the processor time that the process has used, and its children that it has waited for.
    ///
    /// # Errors
    /// As [`Pidfd::reap`].
    pub fn reap_with_time(&self) -> Result<Option<(ExitStatus, Duration)>, Errno> {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        let options = libc::WEXITED | libc::WNOHANG;
        let (fd, place) = (self.0.as_raw_fd(), info.as_mut_ptr());
        // The system call has an argument that the function of the C library has not: the usage costs no other call.
        // SAFETY: waitid writes one siginfo_t and one rusage to the places we own.
        let done = unsafe { libc::syscall(libc::SYS_waitid, libc::P_PIDFD, fd, place, options, usage.as_mut_ptr()) };
        Errno::result(done)?;
        // SAFETY: zeroed is valid for both, and waitid has filled them in, or left them alone where nothing has ended.
        let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
        // SAFETY: both fields are valid for a SIGCHLD siginfo; a zero pid says that nothing has ended.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        let status = match (pid, info.si_code) {
            (0, _) => return Ok(None),
            (_, libc::CLD_EXITED) => ExitStatus::Code(status),
            (_, code) => ExitStatus::Signal { number: status, core: code == libc::CLD_DUMPED },
        };
        Ok(Some((status, span(usage.ru_utime) + span(usage.ru_stime))))
    }

    /// How a process that was not our child ended: the kernel keeps it once its parent has reaped it.
    ///
    /// `None` if it has not been reaped yet, or the kernel is older than 6.15.
    pub fn exit_of_stranger(&self) -> Option<ExitStatus> {
        let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the request's number holds the structure's size, and the kernel writes no more than that.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
        (done == 0 && info.mask & PIDFD_INFO_EXIT != 0).then(|| ExitStatus::from_wait_status(info.exit_code))
    }
}

/// One of the kernel's times as ours.
fn span(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// `struct pidfd_info` of `linux/pidfd.h`, its first published size.
#[derive(Default)]
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

/// A signal goes to the whole group (`linux/pidfd.h`).
const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

/// Ask for the exit status.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `_IOWR(0xFF, 11, struct pidfd_info)`
const PIDFD_GET_INFO: libc::Ioctl =
    ((3u64 << 30) | ((size_of::<PidfdInfo>() as u64) << 16) | (0xFF << 8) | 11) as libc::Ioctl;

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Signals a whole process group.
///
/// The caller holds the group's leader unreaped: only then can the number not belong to somebody else.
///
/// # Errors
/// `ESRCH` when nobody is left in the group, `EPERM` when no member may be signalled.
pub fn signal_group(leader: Pid, number: i32) -> Result<(), Errno> {
    debug_assert!(leader.as_raw() > 1, "a group of 0 or 1 would be our own or everybody's");
    // SAFETY: kill takes two integers.
    Errno::result(unsafe { libc::kill(-leader.as_raw(), number) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_status_decodes_codes_signals_and_cores() {
        assert_eq!(ExitStatus::from_wait_status(7 << 8), ExitStatus::Code(7));
        assert_eq!(ExitStatus::from_wait_status(15), ExitStatus::Signal { number: 15, core: false });
        assert_eq!(ExitStatus::from_wait_status(134), ExitStatus::Signal { number: 6, core: true });
        assert_eq!(ExitStatus::from_wait_status(134).low_byte(), 134);
    }

    #[test]
    fn real_time_signals_have_names() {
        assert_eq!(signal_name(libc::SIGRTMIN() + 3), "RTMIN+3");
        assert_eq!(signal_name(libc::SIGKILL), "KILL");
    }

    #[test]
    fn a_process_that_does_not_exist_is_esrch() {
        assert_eq!(Pidfd::open(Pid::from_raw(i32::MAX)).err(), Some(Errno::ESRCH));
    }
}
