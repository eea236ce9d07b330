//! A stop that is nothing but a signal, offered to the tree's main thread: when the tree ends, it sends that by itself.
//!
//! Otherwise each of a thousand threads has to be woken to send its own. That takes half as long as all ends together, and what
//! ends meanwhile is in its way.

use crate::sys::Pid;
use crate::sys::process::pidfd::Pidfd;
use parking_lot::Mutex;
use std::sync::Arc;

/// The stop that a supervisor thread offers, if it does.
#[derive(Debug, Default)]
pub struct StopOffer(Mutex<Option<Offered>>);

#[derive(Debug)]
struct Offered {
    stop: PlainStop,
    pidfd: Arc<Pidfd>,
    is_sent: bool,
}

/// A stop that is nothing but a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainStop {
    /// Whom it stops.
    pub pid: Pid,
    /// The signal's number. CONT follows it.
    pub signal: i32,
}

impl StopOffer {
    /// Offers it, in the place of what was offered before.
    pub fn offer(&self, stop: PlainStop, pidfd: Arc<Pidfd>) {
        *self.0.lock() = Some(Offered { stop, pidfd, is_sent: false });
    }

    /// Offers nothing any more. What was offered, if it was sent.
    pub fn withdraw(&self) -> Option<PlainStop> {
        self.0.lock().take().filter(|offered| offered.is_sent).map(|offered| offered.stop)
    }

    /// Sends what is offered; whom to wait for then. Once it returns, the thread sends nothing twice.
    pub fn send(&self) -> Option<Arc<Pidfd>> {
        let mut place = self.0.lock();
        let offered = place.as_mut().filter(|offered| !offered.is_sent)?;
        // What cannot be sent, its thread tells of.
        offered.pidfd.signal(offered.stop.signal).ok()?;
        let _ = offered.pidfd.signal(libc::SIGCONT);
        offered.is_sent = true;
        Some(offered.pidfd.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn it_is_sent_once_and_only_while_it_is_offered() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let stop = PlainStop { pid, signal: libc::SIGHUP };
        let offer = StopOffer::default();
        assert!(offer.send().is_none());
        let pidfd = Arc::new(Pidfd::open(pid).unwrap());
        offer.offer(stop, pidfd.clone());
        assert_eq!(offer.withdraw(), None, "it was not sent");
        assert!(offer.send().is_none() && !pidfd.has_ended());
        offer.offer(stop, pidfd);
        assert!(offer.send().is_some() && offer.send().is_none());
        assert_eq!(offer.withdraw(), Some(stop));
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGHUP));
        // Nobody is left to get it.
        offer.offer(stop, Arc::new(Pidfd::open(nix::unistd::getpid()).unwrap()));
        assert_eq!(offer.withdraw(), None);
    }
}
