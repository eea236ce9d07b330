//! A box for a large value that is needed for a moment, in a thread that then waits for long.
//!
//! The allocator of glibc keeps what a thread has freed for that thread: up to seven pieces of each size up to 1032 bytes. With a
//! thousand threads, a box of 900 bytes that each made once is a megabyte for good. A larger piece goes back to all threads.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// What is larger than this, in bytes, is not kept for the thread.
const KEPT_MAX: usize = 1032;

/// A value in a box that is larger than the value needs.
#[derive(Debug)]
pub struct Passing<T>(Box<(T, [MaybeUninit<u8>; KEPT_MAX])>);

impl<T> Passing<T> {
    /// Puts `value` into one.
    pub fn new(value: T) -> Passing<T> {
        Passing(Box::new((value, [MaybeUninit::uninit(); KEPT_MAX])))
    }

    /// A value that is nothing yet, made where it is to be.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub fn blank() -> Passing<T>
    where
        T: Default,
    {
        let mut room = Box::<(T, [MaybeUninit<u8>; KEPT_MAX])>::new_uninit();
        // SAFETY: the room is the box's own, and large enough for the value; the rest of it need not be initialised.
        unsafe {
            (&raw mut (*room.as_mut_ptr()).0).write(T::default());
            Passing(room.assume_init())
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.0
    }
}

impl<T> Deref for Passing<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T> DerefMut for Passing<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_too_large_to_be_kept_and_gives_the_value_back() {
        let mut passing = Passing::new(7u8);
        *passing += 1;
        assert!(size_of_val(&*passing.0) > KEPT_MAX);
        assert_eq!((*passing, passing.into_inner()), (8, 8));
        assert!(Passing::<Vec<u8>>::blank().is_empty());
    }
}
