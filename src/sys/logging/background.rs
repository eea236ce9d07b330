//! Work that has all the time in the world: only when nobody else wants the processor or the disk, and only as long as
//! the one who wants it lives.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// `IOPRIO_WHO_PROCESS` and the idle class, as `ioprio_set`(2) has them.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_IDLE: libc::c_int = 3 << 13;

/// Puts this process behind all others. What the kernel refuses stays as it was.
pub fn be_idle() {
    // SAFETY: plain numbers; 0 is this process.
    unsafe {
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters);
    }
}

/// Lets this process write to a terminal of which it has not the foreground, also where `stty tostop` says otherwise.
pub fn may_write_to_terminal() {
    // SAFETY: ignoring a signal runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGTTOU, nix::sys::signal::SigHandler::SigIgn) };
}

/// Ends this process by KILL when its parent ends; says whether it has ended already.
///
/// # Errors
/// What `prctl` gives.
pub fn end_with_parent(parent: i32) -> Result<bool, Errno> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(getppid().as_raw() != parent)
}
