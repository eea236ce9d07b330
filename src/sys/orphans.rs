//! Processes that our services left behind and the kernel gave to us.

use super::pidfd::ExitStatus;
use nix::errno::Errno;
use nix::unistd::Pid;

/// Makes this process the one that orphans below it are given to, as PID 1 is for all.
///
/// # Errors
/// None on the kernels that we run on; the errno if a sandbox forbids it.
pub fn become_subreaper() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Reaps every ended child of the calling thread, and says which they were.
///
/// To be called by the main thread alone: the kernel hands orphans to it, and as only the thread's own
/// children are waited for, no service of another thread can be taken by mistake.
pub fn reap() -> Vec<(Pid, ExitStatus)> {
    let mut reaped = Vec::new();
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes one integer to the place we own.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WNOTHREAD) };
        if pid <= 0 {
            return reaped;
        }
        reaped.push((Pid::from_raw(pid), ExitStatus::from_wait_status(status)));
    }
}
