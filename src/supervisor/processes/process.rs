//! A process under supervision: a child of ours, or one that an earlier supervisor has left us.

use crate::sys::process::orphans;
use crate::sys::process::pidfd::{ExitStatus, Pidfd, signal_group};
use crate::sys::process::record::ProcessRecord;
use crate::sys::process::stat::Stat;
use crate::sys::threads::poll::PollSource;
use crate::sys::time::Mono;
use crate::sys::{Errno, Pid};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for the exit status of an adopted process, once it has ended and its status decides something. Its parent usually reaps it within microseconds; some PID 1 of containers look once a second.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// A process that lives, or has not been reaped yet.
#[derive(Debug)]
pub struct Process {
    /// Its pid.
    pub pid: Pid,
    /// Its descriptor, which the tree may have as well.
    pub pidfd: Arc<Pidfd>,
    /// Whether an earlier supervisor has started it.
    adopted: bool,
    /// Since when it is known to have ended while its exit status is not known.
    ended: Option<Mono>,
    /// How long to wait for that status.
    status_timeout: Duration,
    /// The processor time that it has used, once that is known.
    spent: Option<Duration>,
}

impl Process {
    /// A child that was just started.
    pub fn child(pid: Pid, pidfd: Pidfd) -> Process {
        let pidfd = Arc::new(pidfd);
        Process { pid, pidfd, adopted: false, ended: None, status_timeout: Duration::ZERO, spent: None }
    }

    /// Whether we have started it.
    pub fn is_child(&self) -> bool {
        !self.adopted
    }

    /// The first process of those on record that still lives.
    ///
    /// # Errors
    /// Out of memory or descriptors, or `/proc` is missing, so the answer is unknown.
    pub fn adopt(records: Vec<ProcessRecord>) -> io::Result<Option<(ProcessRecord, Process)>> {
        for recorded in records {
            let Some(pidfd) = recorded.open()?.filter(|pidfd| !has_ended_unseen(recorded.pid, pidfd)) else { continue };
            orphans::register(recorded.pid);
            let mut process = Process::child(recorded.pid, pidfd);
            process.adopted = true;
            return Ok(Some((recorded, process)));
        }
        Ok(None)
    }

    /// Sends a signal to the process group that it leads.
    ///
    /// # Errors
    /// `ESRCH` when it, or its group, is gone.
    pub fn signal_group(&self, number: i32) -> Result<(), Errno> {
        // A child of ours keeps its pid until we reap it. The main thread reaps an adopted process, and the kernel may then
        // give the same number to somebody else's group.
        let _nobody_reaps = self.adopted.then(orphans::hold);
        if self.adopted && self.pidfd.signal(0) == Err(Errno::ESRCH) {
            return Err(Errno::ESRCH);
        }
        signal_group(self.pid, number)
    }

    /// What to wait for.
    pub fn source(&self) -> PollSource<'_> {
        match self.ended {
            None => PollSource::Readable(self.pidfd.as_fd()),
            // A pidfd stays readable once the process has ended. It is hung up when the process is reaped: then the exit status
            // can be read.
            Some(_) => PollSource::HungUp(self.pidfd.as_fd()),
        }
    }

    /// Until when to wait at the longest.
    pub fn deadline(&self) -> Option<Mono> {
        self.ended.map(|ended| ended + self.status_timeout)
    }

    /// The processor time that it has used until its end; `None` while that is not known, and for what we have not started.
    pub fn spent(&self) -> Option<Duration> {
        self.spent
    }

    /// Whether it has been found to have ended before.
    pub fn is_known_to_have_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// The exit status, once it is known. To be called when [`Process::source`] or the deadline has come.
    ///
    /// If it is not our child, its status is waited for only if it `matters`.
    pub fn reap(&mut self, matters: bool, now: Mono) -> Option<ExitStatus> {
        match self.pidfd.reap_with_time() {
            Ok(ended) => {
                let (status, spent) = ended?;
                self.spent = Some(spent);
                Some(status)
            }
            Err(Errno::EINTR) => None,
            // It is not our child, or the main thread has reaped it. Either way it has ended.
            Err(_) => {
                let is_reaped = self.pidfd.signal(0) == Err(Errno::ESRCH);
                let told = orphans::status_of(self.pid).or_else(|| self.pidfd.exit_of_stranger());
                if is_reaped {
                    // The status will never be known. The descriptor stays hung up, so another wait would return at once, for ever.
                    return Some(told.unwrap_or(ExitStatus::Unknown));
                }
                let ended = *self.ended.get_or_insert(now);
                self.status_timeout = if matters { STATUS_WAIT } else { Duration::ZERO };
                told.or((now.since(ended) >= self.status_timeout).then_some(ExitStatus::Unknown))
            }
        }
    }
}

/// Whether a process has ended, and another one is still to reap it, which may take for ever: that is no process that lives. One
/// of ours, which has ended while this program replaced the one before, is ours to reap.
fn has_ended_unseen(pid: Pid, pidfd: &Pidfd) -> bool {
    let is_ours =
        || Stat::read(pid).is_ok_and(|stat| stat.and_then(|stat| stat.parent()) == Some(nix::unistd::getpid()));
    pidfd.has_ended() && !is_ours()
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.adopted {
            orphans::forget(self.pid);
        }
    }
}
