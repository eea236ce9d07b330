//! A file as memory that outlives the process.

use nix::sys::mman::{MapFlags, ProtFlags, mlock, mmap, munmap};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// A shared mapping of a whole file: what is stored in it is in the file even if the process is killed at once.
///
/// Nobody else may change the file, or cut it (then the kernel ends the process with SIGBUS): a lock has to see to it.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

impl Mapping {
    /// Maps `length` bytes of `file`, which has as many; without a file, memory that does not outlive us.
    ///
    /// # Errors
    /// What `mmap` gives: `ENODEV` on file systems that cannot do it.
    pub fn new(file: Option<&File>, length: NonZeroUsize) -> io::Result<Mapping> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let start = match file {
            // SAFETY: a new mapping at a place of the kernel's choice, which overlaps with nothing.
            Some(file) => unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, 0) },
            // SAFETY: the same.
            None => unsafe { nix::sys::mman::mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE) },
        }?;
        Ok(Mapping { start: start.cast(), length })
    }

    /// Keeps these bytes in memory, if we may, so that the kernel never has to fetch a page of them while it stores what was
    /// read: a KILL that came in such a moment could tear a read.
    pub fn keep_in_memory(&self, range: Range<usize>) {
        let bytes = self.bytes(range);
        let Some(start) = NonNull::new(bytes.as_ptr().cast_mut()) else { return };
        // SAFETY: it changes no byte of ours; the range was checked.
        let _ = unsafe { mlock(start.cast(), bytes.len()) };
    }

    /// One word, by its number.
    pub fn word(&self, index: usize) -> u64 {
        self.at(index).load(Ordering::Relaxed)
    }

    /// Stores one word at one instant; the compiler moves nothing across. (A process that is killed has done all that was
    /// before an instruction, and nothing that is behind it; no other processor looks on.)
    pub fn set_word(&mut self, index: usize, value: u64) {
        compiler_fence(Ordering::SeqCst);
        self.at(index).store(value, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    fn at(&self, index: usize) -> &AtomicU64 {
        let bytes = self.bytes(index * 8..index * 8 + 8);
        // SAFETY: eight bytes of the mapping, which begins at a page, at a multiple of eight; all access to them is atomic or
        // through `&mut self`.
        unsafe { &*bytes.as_ptr().cast::<AtomicU64>() }
    }

    /// Bytes.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        // SAFETY: the mapping lives as long as we, and nobody changes it while we are borrowed.
        let all = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length.get()) };
        &all[range]
    }

    /// Bytes, to be changed.
    pub fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        // SAFETY: as above, and we are borrowed alone.
        let all = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length.get()) };
        &mut all[range]
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is ours, and no slice of it outlives us.
        let _ = unsafe { munmap(self.start.cast(), self.length.get()) };
    }
}

/// Makes sure that `file` has room on its disk for these bytes, which it may not have held before.
///
/// # Errors
/// What `posix_fallocate` gives: `ENOSPC`.
pub fn reserve(file: &File, range: Range<usize>) -> io::Result<()> {
    let (start, length) = (range.start as libc::off_t, range.len() as libc::off_t);
    // SAFETY: plain numbers and a descriptor that lives through the call.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), start, length) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        reserve(&file, 0..8192).unwrap();
        let mut mapping = Mapping::new(Some(&file), NonZeroUsize::new(8192).unwrap()).unwrap();
        mapping.keep_in_memory(0..4096);
        mapping.set_word(2, 0x1122);
        mapping.bytes_mut(8190..8192).copy_from_slice(b"ab");
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len(), &bytes[8190..], bytes[16], mapping.word(2)), (8192, &b"ab"[..], 0x22, 0x1122));
    }
}
