//! One thread wakes another that polls, and needs no descriptor for it: by a signal that is blocked at all times but while
//! that thread polls, when it ends the waiting. What arrives before that is kept by the kernel, so no call is lost.
//!
//! The signal is SIGURG, which does nothing by default and which debuggers pass on unseen. Whoever else sends it makes a
//! thread look around once more than it had to.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

const SIGNAL: Signal = Signal::SIGURG;

/// The signal mask of threads that poll: that of all threads that attend to a waker, but for [`SIGNAL`].
static WHILE_POLLING: OnceLock<SigSet> = OnceLock::new();

/// What wakes one thread.
#[derive(Debug, Default)]
pub struct Waker {
    /// The kernel's number of the thread, 0 as long as nobody attends.
    thread: AtomicI32,
}

impl Waker {
    /// One to which nobody attends yet.
    pub const fn new() -> Waker {
        Waker { thread: AtomicI32::new(0) }
    }

    /// Makes the calling thread the one that is woken. After this, look once at everything that can wake it:
    /// calls from before are not heard. Its signal mask, and that of all others that attend to a waker, must be the same.
    pub fn attend(&self) {
        WHILE_POLLING.get_or_init(|| {
            // Where the signal is not blocked, it is not to be noticed; `ppoll` is never gone on with.
            let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
            // SAFETY: the handler does nothing at all, so it may run at any point of any thread.
            let installed = unsafe { sigaction(SIGNAL, &action) };
            debug_assert!(installed.is_ok(), "SIGURG can be handled");
            let mut mask = SigSet::thread_get_mask().unwrap_or(SigSet::empty());
            mask.remove(SIGNAL);
            mask
        });
        // It fails only for a wrong first argument.
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::from(SIGNAL)), None);
        self.thread.store(nix::unistd::gettid().as_raw(), Ordering::SeqCst);
    }

    /// Ends the thread's waiting, now or when it waits next, once for however many calls.
    pub fn wake(&self) {
        let thread = self.thread.load(Ordering::SeqCst);
        if thread > 0 {
            // SAFETY: takes three integers. If the thread has ended, it meets nobody, or another thread of this process.
            unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, SIGNAL as libc::c_int) };
        }
    }
}

/// The signal mask with which to poll, so that a waker ends it; `None` if nobody attends to any.
pub(super) fn mask_while_polling() -> Option<SigSet> {
    WHILE_POLLING.get().copied()
}

extern "C" fn nothing(_: libc::c_int) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::threads::poll::{self, PollSource};
    use crate::sys::time::Mono;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    fn is_woken(limit: Duration) -> bool {
        poll::wait([Some(PollSource::Woken)], Some(Mono::now() + limit)) == [true]
    }

    #[test]
    fn a_call_is_kept_until_the_thread_polls_and_counts_once() {
        let waker = Waker::new();
        waker.wake();
        waker.attend();
        assert!(!is_woken(Duration::ZERO), "nobody attended");
        waker.wake();
        waker.wake();
        assert!(is_woken(Duration::from_secs(20)));
        assert!(!is_woken(Duration::ZERO));
    }

    #[test]
    fn something_to_read_does_not_keep_a_call_from_being_heard() {
        let waker = Waker::new();
        waker.attend();
        let (reading, writing) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&writing, b"x").unwrap();
        waker.wake();
        let readable = PollSource::Readable(std::os::fd::AsFd::as_fd(&reading));
        // However long there is something to read.
        for _ in 0..2 {
            assert_eq!(poll::wait([Some(readable), Some(PollSource::Woken)], None), [true, true]);
        }
    }

    #[test]
    fn no_call_is_lost_however_the_two_meet() {
        const ROUNDS: usize = 20_000;
        let (waker, asked) = (Arc::new(Waker::new()), Arc::new(AtomicUsize::new(0)));
        let (its_waker, its_asked) = (waker.clone(), asked.clone());
        let (tell, told) = crossbeam_channel::bounded(0);
        let thread = std::thread::spawn(move || {
            its_waker.attend();
            let mut seen = 0;
            while seen < ROUNDS {
                let now = its_asked.load(Ordering::SeqCst);
                if now == seen {
                    assert!(is_woken(Duration::from_secs(60)), "round {seen}");
                    continue;
                }
                seen = now;
                tell.send(seen).unwrap();
            }
        });
        for round in 1..=ROUNDS {
            asked.store(round, Ordering::SeqCst);
            waker.wake();
            assert_eq!(told.recv().unwrap(), round);
        }
        thread.join().unwrap();
        // It has ended: there is nobody to be woken.
        waker.wake();
    }
}
