//! Whether memory is to be had, asked before it is too late: a failed allocation ends the whole program, and so does a
//! thread that finds no room for its signal stack.

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::num::NonZeroUsize;
use std::sync::OnceLock;

/// What has to be left for everything else when something that can wait takes memory, in bytes: a failed allocation ends the
/// whole program.
pub const RESERVE: usize = 512 * 1024;

/// Whether the kernel may refuse a mapping at all: there is a limit of address space (`ulimit -v`), or it promises no
/// more than it has (`vm.overcommit_memory` 2). Otherwise asking costs two turns at the lock for which all threads that
/// begin are waiting.
fn is_limited() -> bool {
    static STRICT: OnceLock<bool> = OnceLock::new();
    let mode = || std::fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "2");
    getrlimit(Resource::RLIMIT_AS).is_ok_and(|(soft, _)| soft != RLIM_INFINITY) || *STRICT.get_or_init(mode)
}

/// Size of a page, in bytes.
pub(super) fn page_size() -> usize {
    // SAFETY: sysconf takes an integer and reads a constant.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok().filter(|size| *size > 0).unwrap_or(4096)
}

/// What this machine has, in bytes.
pub fn total() -> u64 {
    // SAFETY: sysconf takes an integer and reads a number that the kernel keeps.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u64::try_from(pages).unwrap_or(0).saturating_mul(page_size() as u64)
}

/// Whether a mapping of so many bytes could be made just now; it is given back at once.
///
/// # Errors
/// `ENOMEM`: a limit of address space, or of what the machine commits to.
pub fn probe(bytes: usize) -> Result<(), Errno> {
    let Some(size) = NonZeroUsize::new(bytes).filter(|_| is_limited()) else { return Ok(()) };
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new anonymous mapping at a place of the kernel's choice overlaps nothing.
    let place = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_PRIVATE) }?;
    // SAFETY: the mapping just made, which nobody has used.
    unsafe { munmap(place, bytes) }
}
