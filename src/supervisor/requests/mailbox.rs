//! What the tree asks of a supervisor thread.

use crate::conf::Config;
use crate::machine::Leave;
use crate::supervisor::requests::parking::Parking;
use crate::sys::threads::poll::PollSource;
use crate::sys::threads::signals::Signals;
use crate::sys::threads::wake::Waker;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use std::os::fd::AsFd;
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
    /// Come to rest: the program is going to be replaced.
    Park(Arc<Parking>),
    /// Something that the status files show has changed elsewhere.
    Publish,
    /// HUP came: a module that has left by `x` comes back. A running thread ignores it; when it is found unread in the box
    /// of one that has ended, HUP came after the exit.
    ComeBack,
}

/// A supervisor thread's letter box. It never refuses and never blocks.
#[derive(Debug, Default)]
pub struct Mailbox {
    asks: Mutex<Vec<Ask>>,
    waker: Waker,
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
        self.asks.lock().push(ask);
        self.waker.wake();
    }

    /// Takes what was asked, in order.
    pub fn take(&self) -> Vec<Ask> {
        std::mem::take(&mut *self.asks.lock())
    }
}

/// Where a supervisor's orders come from.
#[derive(Debug)]
pub enum Orders {
    /// From the tree.
    Tree(Arc<Mailbox>),
    /// From signals: `supervise` has no tree above it.
    Signals(Signals),
}

/// What the orders come to.
#[derive(Debug)]
pub enum Order {
    /// The tree asks.
    Ask(Ask),
    /// ALRM to `supervise`: the limits count from the beginning.
    ResetLimits,
    /// TERM or INT: leave at once, and leave the run process alone.
    Abandon(Signal),
}

impl Orders {
    /// Takes what has come, in order.
    pub fn take(&self) -> Vec<Order> {
        match self {
            Orders::Tree(mailbox) => mailbox.take().into_iter().map(Order::Ask).collect(),
            // HUP and USR2 are taken so that they do not kill us, and mean nothing: the terminal went away, or
            // somebody took us for a tree that is to be replaced.
            Orders::Signals(signals) => std::iter::from_fn(|| signals.next())
                .filter_map(|signal| match signal {
                    Signal::SIGTERM | Signal::SIGINT => Some(Order::Abandon(signal)),
                    Signal::SIGALRM => Some(Order::ResetLimits),
                    _ => None,
                })
                .collect(),
        }
    }

    /// What to wait for.
    pub fn source(&self) -> PollSource<'_> {
        match self {
            Orders::Tree(_) => PollSource::Woken,
            Orders::Signals(signals) => PollSource::Readable(signals.as_fd()),
        }
    }
}
