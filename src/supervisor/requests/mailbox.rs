//! What the tree asks of a supervisor thread.

use crate::conf::Config;
use crate::machine::Leave;
use crate::service::NextOutput;
use crate::supervisor::requests::parking::Parking;
use crate::supervisor::requests::stop_offer::StopOffer;
use crate::sys::process::pidfd::Pidfd;
use crate::sys::threads::wake::Waker;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// One thing that is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// End supervision.
    Leave(Leave),
    /// Kill whatever runs, and end supervision.
    KillNow,
    /// These are the settings now.
    Configure(Arc<Config>),
    /// Its output goes elsewhere from its next start on.
    ChangeOutput(NextOutput),
    /// Come to rest: the program is going to be replaced.
    Park(Arc<Parking>),
    /// Something that the status files show has changed elsewhere.
    Publish,
    /// The order of modules has something for this one.
    Look,
    /// HUP came: a module that has left by `x` comes back. A running thread ignores it; when it is found unread in the box
    /// of one that has ended, HUP came after the exit.
    ComeBack,
}

/// A supervisor thread's letter box. It never refuses and never blocks.
#[derive(Debug, Default)]
pub struct Mailbox {
    asks: Mutex<VecDeque<Ask>>,
    waker: Waker,
    /// What the tree may do without asking.
    pub stop: StopOffer,
}

impl Mailbox {
    /// Makes the calling thread the one that is asked.
    pub fn attend(&self) {
        self.waker.attend();
        // What was asked before that has woken nobody.
        if !self.asks.lock().is_empty() {
            self.waker.wake();
        }
    }

    /// Asks, and wakes the thread.
    pub fn ask(&self, ask: Ask) {
        self.asks.lock().push_back(ask);
        self.waker.wake();
    }

    /// Asks for the end, and sends the stop that is offered. If that could be sent, the thread is not woken: whom to wait
    /// for before [`Mailbox::wake_unless_read`].
    pub fn leave_at_once(&self) -> Option<Arc<Pidfd>> {
        // Before the signal: the thread must know when it sees what comes of that.
        self.asks.lock().push_back(Ask::Leave(Leave::Stop));
        let sent = self.stop.send();
        if sent.is_none() {
            self.waker.wake();
        }
        sent
    }

    /// Wakes the thread, unless it has read all that it was asked: the end of its process may have woken it.
    pub fn wake_unless_read(&self) {
        if !self.asks.lock().is_empty() {
            self.waker.wake();
        }
    }

    /// Takes what was asked first. One by one: if that makes the thread panic, it finds the rest when it begins anew.
    pub fn take(&self) -> Option<Ask> {
        self.asks.lock().pop_front()
    }
}
