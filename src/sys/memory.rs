//! Whether memory is to be had, asked before it is too late: a failed allocation ends the whole program, and so does a
//! thread that finds no room for its signal stack.

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::num::NonZeroUsize;

/// Whether a mapping of so many bytes could be made just now; it is given back at once.
///
/// # Errors
/// `ENOMEM`: a limit of address space, or of what the machine commits to.
pub fn probe(bytes: usize) -> Result<(), Errno> {
    let Some(size) = NonZeroUsize::new(bytes) else { return Ok(()) };
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new anonymous mapping at a place of the kernel's choice overlaps nothing.
    let place = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_PRIVATE) }?;
    // SAFETY: the mapping just made, which nobody has used.
    unsafe { munmap(place, bytes) }
}
