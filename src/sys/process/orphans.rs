//! Processes that our services left behind and the kernel gave to us.

use crate::sys::process::pidfd::ExitStatus;
use nix::errno::Errno;
use nix::unistd::Pid;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Makes this process the one that orphans below it are given to, as PID 1 is for all.
///
/// # Errors
/// None on the kernels that we run on; the errno if a sandbox forbids it.
pub fn become_subreaper() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Children of the main thread that a supervisor thread looks after, and how those that were reaped here ended.
///
/// After the program has replaced itself, all of its children are the main thread's, and the kernel cannot tell
/// an adopted service from an orphan.
static ADOPTED: Mutex<BTreeMap<i32, Option<ExitStatus>>> = Mutex::new(BTreeMap::new());

/// Notes that somebody looks after this process: if it is reaped here, its exit status is kept for them.
pub fn register(pid: Pid) {
    ADOPTED.lock().insert(pid.as_raw(), None);
}

/// The exit status of a registered process, if it was reaped here.
pub fn status_of(pid: Pid) -> Option<ExitStatus> {
    ADOPTED.lock().get(&pid.as_raw()).copied().flatten()
}

/// Keeps [`reap`] from reaping until what this returns is dropped.
pub fn hold() -> impl Drop {
    ADOPTED.lock()
}

/// Forgets a process that was registered.
pub fn forget(pid: Pid) {
    ADOPTED.lock().remove(&pid.as_raw());
}

/// Reaps every ended child of the calling thread.
///
/// To be called by the main thread alone: the kernel hands orphans to it, and as only the thread's own
/// children are waited for, no service that another thread has started can be taken by mistake.
pub fn reap() {
    loop {
        // Held over the call: whoever finds a process gone finds its status here.
        let mut adopted = ADOPTED.lock();
        let mut status = 0;
        // SAFETY: waitpid writes one integer to the place we own.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WNOTHREAD) };
        if pid <= 0 {
            return;
        }
        let status = ExitStatus::from_wait_status(status);
        if let Some(place) = adopted.get_mut(&pid) {
            *place = Some(status);
        }
    }
}
