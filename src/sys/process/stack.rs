//! Stacks for children, from `clone` to `execve`.

use crate::sys::memory::page_size;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use parking_lot::Mutex;
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// A stack for a child, with a page below it that faults.
pub(super) struct Stack(NonNull<c_void>);

// SAFETY: the mapping is owned by whoever holds the `Stack`.
unsafe impl Send for Stack {}

/// The child needs some hundred bytes in a release build and a few KiB in a debug one.
const STACK_SIZE: usize = 32 * 1024;

/// As many stacks are kept for later starts. When a thousand services start at once, so many are in use at a time, and to
/// unmap one and map the next would take the lock on our memory that every start needs.
const SPARE_STACKS: usize = 64;

/// Stacks are handed on from start to start.
static STACKS: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// With the page that faults, which may be larger than the stack itself.
fn mapping_size() -> usize {
    page_size() + STACK_SIZE
}

impl Stack {
    /// One that is spare, or a new one.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn take() -> Result<StackLoan, Errno> {
        if let Some(stack) = STACKS.lock().pop() {
            return Ok(StackLoan(Some(stack)));
        }
        let size = NonZeroUsize::new(mapping_size()).ok_or(Errno::EINVAL)?;
        // SAFETY: a new anonymous mapping at a place of the kernel's choice overlaps nothing.
        let low = unsafe {
            mmap_anonymous(
                None,
                size,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK,
            )
        }?;
        let stack = Stack(low);
        // SAFETY: the first page of the mapping just made, which nobody uses yet.
        unsafe { mprotect(low, page_size(), ProtFlags::PROT_NONE) }?;
        Ok(StackLoan(Some(stack)))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: we own the mapping, and no child uses it: a loan ends after clone has returned.
        let _ = unsafe { munmap(self.0, mapping_size()) };
    }
}

/// A stack in use; it goes back to the others when dropped.
pub(super) struct StackLoan(Option<Stack>);

impl StackLoan {
    /// Where it begins: it grows downwards.
    pub(super) fn top(&self) -> *mut c_void {
        let low = self.0.as_ref().map_or(std::ptr::null_mut(), |stack| stack.0.as_ptr());
        low.wrapping_byte_add(mapping_size())
    }
}

impl Drop for StackLoan {
    fn drop(&mut self) {
        let mut spare = STACKS.lock();
        if spare.len() < SPARE_STACKS
            && let Some(stack) = self.0.take()
        {
            spare.push(stack);
        }
    }
}
