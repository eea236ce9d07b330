//! Threads by the thousand.
//!
//! A thread of the standard library also gets a signal stack, on which it could say that its stack was too small before
//! the program dies of that. It is a mapping of its own with a guard of its own, made and unmade under the one lock that
//! every new process needs, too: with a thousand threads, each of which starts a process, that is a tenth of the whole
//! start. What overruns one of these stacks meets a guard page all the same.
//!
//! # Its stack costs what it has ever touched
//!
//! The kernel keeps each page of a stack that was ever touched, and a thread that waits keeps them for as long as it waits:
//! a thousand threads that once went one page deeper cost 4 MB for good. So what a supervisor thread calls only now and then
//! has a frame of its own (`#[inline(never)]`), which is gone before anything else is called, and large values and paths are
//! put together on the heap. Such places say `Own frame` and refer to this page.

use crate::sys::memory::page_size;
use nix::errno::Errno;
use std::ffi::{CString, c_void};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

/// As long as a thread's name may be for the kernel, in bytes.
const NAME_MAX: usize = 15;

/// A thread. It is not waited for when this is dropped.
#[derive(Debug)]
pub struct Thread(libc::pthread_t);

/// What a thread begins with.
struct Beginning<F> {
    name: CString,
    body: F,
}

impl Thread {
    /// Starts a thread with a stack of `stack` bytes, or the least that the machine allows. `ps -L` shows the beginning of its
    /// name. A panic of `body` ends the thread and nothing else.
    ///
    /// # Errors
    /// `EAGAIN` when there are too many processes, or no memory for the stack.
    pub fn spawn(name: &str, stack: usize, body: impl FnOnce() + Send + 'static) -> Result<Thread, Errno> {
        let short = name.bytes().filter(|byte| *byte != 0).take(NAME_MAX).collect::<Vec<u8>>();
        let beginning = Box::new(Beginning { name: CString::new(short).unwrap_or_default(), body });
        spawn(stack, beginning)
    }

    /// Waits until it has ended.
    pub fn join(self) {
        let thread = ManuallyDrop::new(self);
        // SAFETY: the thread was neither joined nor detached: either takes the `Thread` away.
        unsafe { libc::pthread_join(thread.0, null_mut()) };
    }

    /// Ends the calling thread, whose body was started by [`Thread::spawn`], in the middle of everything, for a process that
    /// is about to end as a whole: what it holds is neither dropped nor unmapped, so no other thread waits for that.
    ///
    /// Only glibc can do without what a thread does at its end; elsewhere, the thread just sleeps.
    pub fn quit() -> ! {
        loop {
            #[cfg(target_env = "gnu")]
            // SAFETY: the kernel ends this thread alone. Its stack stays mapped, so whatever points there stays valid.
            unsafe {
                libc::syscall(libc::SYS_exit, 0)
            };
            #[cfg(not(target_env = "gnu"))]
            std::thread::park();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: as in `join`.
        unsafe { libc::pthread_detach(self.0) };
    }
}

fn spawn<F: FnOnce() + Send + 'static>(stack: usize, beginning: Box<Beginning<F>>) -> Result<Thread, Errno> {
    let checked = |code| if code == 0 { Ok(()) } else { Err(Errno::from_raw(code)) };
    let stack = stack.max(least_stack()).next_multiple_of(page_size());
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: initialises the place we own.
    checked(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
    // SAFETY: the attributes are initialised; a size below the least possible is refused.
    let sized = checked(unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack) });
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let beginning = Box::into_raw(beginning);
    let made = sized.and_then(|()| {
        // SAFETY: the attributes are initialised, and `start` gets the box that it is made for, once.
        checked(unsafe {
            libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), start::<F>, beginning.cast::<c_void>())
        })
    });
    // SAFETY: initialised above, and not used after this.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    match made {
        // SAFETY: pthread_create has succeeded, and so has written the thread's number.
        Ok(()) => Ok(Thread(unsafe { thread.assume_init() })),
        Err(errno) => {
            // SAFETY: there is no thread that could have taken it.
            drop(unsafe { Box::from_raw(beginning) });
            Err(errno)
        }
    }
}

/// As small as a thread's stack may be here, in bytes: 16 KiB on x86-64, 128 KiB on AArch64.
fn least_stack() -> usize {
    // SAFETY: sysconf takes an integer and reads a constant.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_THREAD_STACK_MIN) }).unwrap_or(0)
}

extern "C" fn start<F: FnOnce()>(beginning: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` passes a box of this very type, and keeps nothing of it.
    let Beginning { name, body } = *unsafe { Box::from_raw(beginning.cast::<Beginning<F>>()) };
    // A thread without its name does as well.
    let _ = nix::sys::prctl::set_name(&name);
    let _ = catch_unwind(AssertUnwindSafe(body));
    null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const STACK: usize = 512 * 1024;

    #[test]
    fn it_runs_under_its_name_and_is_waited_for() {
        let (tell, told) = crossbeam_channel::bounded(1);
        let body = move || tell.send(std::fs::read_to_string("/proc/thread-self/comm").unwrap()).unwrap();
        Thread::spawn("a-rather-long-name", STACK, body).unwrap().join();
        assert_eq!(told.try_recv().unwrap(), "a-rather-long-n\n");
    }

    #[test]
    fn a_panic_ends_it_alone_and_drops_what_it_has() {
        let held = Arc::new(());
        let its = held.clone();
        let body = move || {
            let _its = its;
            panic!("as is meant to be");
        };
        Thread::spawn("panics", STACK, body).unwrap().join();
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn one_that_cannot_be_made_leaves_nothing_behind() {
        let held = Arc::new(());
        let its = held.clone();
        assert_eq!(Thread::spawn("huge", usize::MAX / 2, move || drop(its)).unwrap_err(), Errno::EAGAIN);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn it_can_quit_in_the_middle() {
        let reached = Arc::new(AtomicUsize::new(0));
        let its = reached.clone();
        let body = move || {
            its.fetch_add(1, Ordering::SeqCst);
            Thread::quit();
        };
        Thread::spawn("quits", STACK, body).unwrap().join();
        assert_eq!(reached.load(Ordering::SeqCst), 1);
        assert_eq!(Arc::strong_count(&reached), 2, "nothing is dropped");
    }
}
