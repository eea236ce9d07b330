//! Signals as something to read: blocked everywhere, taken from a descriptor.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// The signals that a program takes, as a descriptor that becomes readable.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
    all: SigSet,
}

/// Blocks what somebody may send to a supervisor in its first moment, and what would end it then: HUP and USR2, which wait
/// until [`Signals::take`], and USR1, which means nothing. To be called before anything else in `main`.
pub fn block_first() {
    let set: SigSet = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2].into_iter().collect();
    // It fails for no such set.
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None);
}

impl Signals {
    /// Blocks `signals` for this thread and all that it will make, and opens the descriptor.
    ///
    /// To be called in `main` before any thread exists: a thread that does not block them would get them.
    ///
    /// # Errors
    /// `EMFILE` and the like.
    pub fn take(signals: &[Signal]) -> Result<Signals, Errno> {
        let set: SigSet = signals.iter().copied().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let descriptor = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals { descriptor, all: set })
    }

    /// Leaves `signal` with the kernel, where it is kept, until [`Signals::unmask_all`].
    pub fn mask(&mut self, signal: Signal) {
        let mut others = self.all;
        others.remove(signal);
        // It cannot fail: the descriptor is one, and the set too.
        let _ = self.descriptor.set_mask(&others);
    }

    /// Takes all signals again.
    pub fn unmask_all(&mut self) {
        let _ = self.descriptor.set_mask(&self.all);
    }

    /// The next signal that has arrived, without waiting.
    pub fn next(&self) -> Option<Signal> {
        loop {
            match self.descriptor.read_signal() {
                Ok(Some(info)) => match Signal::try_from(info.ssi_signo as i32) {
                    Ok(signal) => return Some(signal),
                    Err(_) => continue,
                },
                Ok(None) => return None,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
