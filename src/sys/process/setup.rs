//! What each program sets up once, in `main`, before there is a second thread.
//!
//! Two of these things decide what thousands of threads cost each other later: the size of the table of descriptors
//! ([`make_room_for_descriptors`]), and how many arenas the allocator makes ([`prepare`]).

use crate::sys::files::file;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

/// What the process had before [`prepare`] changed it; children get it back.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    /// The limit of open descriptors.
    pub nofile: Nofile,
    /// The file mode creation mask.
    pub umask: u32,
}

/// The limit of open descriptors (`RLIMIT_NOFILE`). It is written down as a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Nofile {
    /// The limit that the kernel enforces.
    pub soft: u64,
    /// How far the process may raise the soft limit.
    pub hard: u64,
}

impl From<(u64, u64)> for Nofile {
    fn from((soft, hard): (u64, u64)) -> Nofile {
        Nofile { soft, hard }
    }
}

impl From<Nofile> for (u64, u64) {
    fn from(limit: Nofile) -> (u64, u64) {
        (limit.soft, limit.hard)
    }
}

/// The file mode creation mask of our programs.
pub const OUR_UMASK: u32 = 0o022;

/// Whether we could be dumped when we began.
static DUMPABLE: OnceLock<bool> = OnceLock::new();

static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// Takes over what the program before us had inherited: it has changed our own limits already.
pub fn inherit(inherited: Inherited) {
    // Called once, before `prepare`.
    let _ = INHERITED.set(inherited);
}

/// What children get back. Before [`prepare`] was called (in unit tests), what the process has now.
pub fn inherited() -> Inherited {
    *INHERITED.get_or_init(|| Inherited { nofile: nofile(), umask: OUR_UMASK })
}

/// Checks the kernel and sets the process up to hold thousands of services.
///
/// - the soft limit of descriptors is raised to the hard one (a service takes four of them);
/// - the file mode creation mask becomes 022, so that the modes of the status files are what the
///   manual says;
/// - SIGCHLD gets its default disposition: a parent that ignored it would have the kernel throw our
///   children's exit statuses away;
/// - SIGIO is ignored: it tells of somebody who opens a file just when [`crate::sys::files::replace`] looks whether anybody has;
/// - SIGXFSZ is ignored: at the limit of a file's size (`ulimit -f`), the kernel would end us for a line in a log that is
///   too long for it; so the write fails, as on a full disk;
/// - the allocator is kept from making arenas for threads, which cost address space and memory.
///
/// # Errors
/// The kernel is older than 5.9.
pub fn prepare() -> Result<(), KernelTooOld> {
    check_kernel()?;
    let before = umask(Mode::from_bits_truncate(OUR_UMASK)).bits();
    INHERITED.get_or_init(|| Inherited { nofile: nofile(), umask: before });
    let Nofile { hard, .. } = inherited().nofile;
    // Not fatal: fewer services fit, and each that does not says so when it is started.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    // SAFETY: SIG_DFL installs no code, and no other thread exists yet that could rely on another disposition.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    for ignored in [libc::SIGIO, libc::SIGXFSZ] {
        // SAFETY: as above, and children get the default disposition back.
        unsafe { libc::signal(ignored, libc::SIG_IGN) };
    }
    // SAFETY: as in `stay_dumpable`.
    DUMPABLE.get_or_init(|| unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) } == 1);
    limit_arenas();
    Ok(())
}

/// Takes the caller's file mode creation mask back: what we make is no more open than what the caller would have made.
pub fn obey_umask() {
    let mask = inherited().umask;
    umask(Mode::from_bits_truncate(mask));
    file::note_umask(mask);
}

/// Lets this process be dumped and looked into as before. The kernel withdraws that from whoever shares the memory of a child
/// that changes its user, and we do, until the child executes its program.
pub(super) fn stay_dumpable() {
    if DUMPABLE.get() != Some(&false) {
        // SAFETY: prctl with these takes numbers and changes no memory.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
    }
}

/// Makes room for so many descriptors in this process's table.
///
/// While there is one thread, the kernel just makes a larger table; with more, each doubling waits until every
/// processor has passed a quiet moment (`synchronize_rcu`, up to tens of milliseconds), and whoever opens something
/// waits with it. `any` is any open descriptor.
pub fn make_room_for_descriptors(any: BorrowedFd<'_>, count: usize) {
    let Nofile { hard, .. } = inherited().nofile;
    let last = i32::try_from(count.min(hard as usize)).unwrap_or(i32::MAX).saturating_sub(1);
    // If it fails, the table grows when it has to.
    if let Ok(descriptor) = fcntl(any, FcntlArg::F_DUPFD_CLOEXEC(last)) {
        // SAFETY: it is new, and nobody else knows of it.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
}

/// One arena for all threads. The price is its lock, at which a thousand threads that begin at once meet: whoever finds it
/// taken goes to sleep, which costs more than the allocation. So what lies on the way to a start allocates little, keeps
/// small lists where they are used, and makes what is only needed for a line in the log when there is one.
#[cfg(target_env = "gnu")]
fn limit_arenas() {
    // SAFETY: mallopt takes two integers and changes allocator settings under the allocator's own lock.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

#[cfg(not(target_env = "gnu"))]
fn limit_arenas() {}

/// How many descriptors this process may have open now.
pub fn descriptor_limit() -> usize {
    usize::try_from(nofile().soft).unwrap_or(usize::MAX)
}

/// How many processes and threads our user may have; `None` for root, whom the kernel does not limit.
pub fn process_limit() -> Option<usize> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC).ok().filter(|_| !nix::unistd::getuid().is_root())?;
    Some(usize::try_from(soft).unwrap_or(usize::MAX))
}

fn nofile() -> Nofile {
    getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024)).into()
}

/// Asks for what 5.9 brought and we cannot do without: `close_range`, and pidfds (5.3) with it.
fn check_kernel() -> Result<(), KernelTooOld> {
    let none = u32::MAX;
    // SAFETY: the range names a descriptor that cannot exist, so nothing is closed.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, none, none, 0) };
    let opened = crate::sys::process::pidfd::Pidfd::open(nix::unistd::getpid());
    match (closed, opened) {
        (0, Ok(_)) => Ok(()),
        (0, Err(errno)) => Err(KernelTooOld { call: "pidfd_open", errno }),
        _ => Err(KernelTooOld { call: "close_range", errno: Errno::last() }),
    }
}

/// The kernel lacks what no service can be supervised without.
#[derive(Debug)]
pub struct KernelTooOld {
    /// The call that it does not have.
    pub call: &'static str,
    /// What it answers.
    pub errno: Errno,
}

impl fmt::Display for KernelTooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
        let release = release.as_deref().unwrap_or("unknown");
        write!(f, "Linux 5.9 or newer is needed, this is {release}: {}: {}", self.call, self.errno.desc())
    }
}

impl std::error::Error for KernelTooOld {}
