//! Who stands above a supervisor: a tree, or nobody.

use crate::conf::Program;
use crate::status::log::Log;
use crate::status::state::StateFile;
use crate::supervisor::place::Place;
use crate::supervisor::report::tree_end::TreeEnd;
use crate::supervisor::requests::mailbox::{Ask, Mailbox};
use crate::supervisor::requests::parking::InheritedModule;
use crate::supervisor::runit::files::RunitTree;
use crate::sys::files::removals::Removals;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::start::StartError;
use crate::sys::threads::poll::PollSource;
use crate::sys::threads::signals::Signals;
use crossbeam_channel::Sender;
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// The program that a supervisor is part of, and what only that program has.
#[derive(Debug)]
pub enum Host {
    /// `supervise`.
    Single(Single),
    /// `supervise-tree`.
    Tree(InTree),
}

/// What only `supervise` has: no tree stands above it.
#[derive(Debug)]
pub struct Single {
    /// Its orders are signals.
    pub signals: Signals,
    /// `-r` and `-t`.
    pub restart_hook: RestartHook,
    /// Whether it stays attached to whatever terminal it was started from.
    pub foreground: bool,
}

/// What only a supervisor thread of a tree has.
#[derive(Debug)]
pub struct InTree {
    /// Where the tree's orders arrive.
    pub mailbox: Arc<Mailbox>,
    /// Whether to start the service.
    pub wanted: bool,
    /// The tree's log, for when the module cannot have one of its own.
    pub log: Log,
    /// What the tree is told while supervision goes on.
    pub reports: Sender<ToTree>,
    /// What the program before us has handed over.
    pub inherited: Option<InheritedModule>,
    /// Tells the tree of what is removed from status directories.
    pub removals: Option<Arc<Removals>>,
    /// What the supervisor before us wanted and counted, if the same service is begun anew.
    pub continued: Option<Box<StateFile>>,
    /// Runit's files are kept, too.
    pub runit: Option<Arc<RunitTree>>,
    /// Its place in the order of modules; a logger has none.
    pub place: Option<Arc<dyn Place>>,
    /// The tree's end, once that has begun.
    pub end: Arc<TreeEnd>,
}

/// What a supervisor tells the tree while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToTree {
    /// A start of this module has found another directory than the module's own: the tree is to look at the name.
    Replaced(String),
    /// A service directory itself names others, and nobody had before.
    Ordered,
    /// This module may not start, for it is in a circle: the tree says so, once for all that are in it.
    InCircle,
    /// The tree is to end, for this module has ended so, or could not be started.
    ShutDown {
        /// The module's name.
        module: String,
        /// How it ended, or why it could not be started.
        exit: Result<ExitStatus, StartError>,
    },
}

/// Whether a command runs before each restart. With one, limits and alarms are off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartHook {
    /// None.
    None,
    /// It is told of all exits so far.
    CountsAll,
    /// The count of exits begins anew after this much time without one.
    CountsSince(Duration),
}

impl RestartHook {
    /// Whether there is one.
    pub fn is_some(self) -> bool {
        self != RestartHook::None
    }

    /// How long without an exit lets the count begin anew.
    pub fn count_reset(self) -> Option<Duration> {
        match self {
            RestartHook::CountsSince(time) => Some(time),
            RestartHook::None | RestartHook::CountsAll => None,
        }
    }
}

/// An order to a supervisor.
#[derive(Debug)]
pub enum Order {
    /// The tree asks.
    Ask(Ask),
    /// ALRM to `supervise`: the limits count from the beginning.
    ResetLimits,
    /// TERM or INT: leave at once, and leave the run process alone.
    Abandon(Signal),
}

impl Host {
    /// The tree, if there is one.
    pub fn tree(&self) -> Option<&InTree> {
        match self {
            Host::Single(_) => None,
            Host::Tree(tree) => Some(tree),
        }
    }

    /// The same, to be changed.
    pub fn tree_mut(&mut self) -> Option<&mut InTree> {
        match self {
            Host::Single(_) => None,
            Host::Tree(tree) => Some(tree),
        }
    }

    /// Which program it is.
    pub fn program(&self) -> Program {
        match self {
            Host::Single(_) => Program::Single,
            Host::Tree(_) => Program::Tree,
        }
    }

    /// Whether `supervise` is meant.
    pub fn is_single(&self) -> bool {
        self.program() == Program::Single
    }

    /// Whether to start the service, as long as nobody has said otherwise.
    pub fn is_wanted(&self) -> bool {
        self.tree().is_none_or(|tree| tree.wanted)
    }

    /// The command that runs before each restart.
    pub fn restart_hook(&self) -> RestartHook {
        match self {
            Host::Single(single) => single.restart_hook,
            Host::Tree(_) => RestartHook::None,
        }
    }

    /// Whether there may be a terminal, whose interrupt is meant for the supervisor alone.
    pub fn may_have_terminal(&self) -> bool {
        match self {
            Host::Single(single) => single.foreground,
            Host::Tree(_) => true,
        }
    }

    /// Takes the order that has come first.
    pub fn take_order(&self) -> Option<Order> {
        match self {
            Host::Tree(tree) => tree.mailbox.take().map(Order::Ask),
            // HUP and USR2 are taken so that they do not kill us, and mean nothing: the terminal went away, or
            // somebody took us for a tree, and asked for an upgrade.
            Host::Single(single) => std::iter::from_fn(|| single.signals.next()).find_map(|signal| match signal {
                Signal::SIGTERM | Signal::SIGINT => Some(Order::Abandon(signal)),
                Signal::SIGALRM => Some(Order::ResetLimits),
                _ => None,
            }),
        }
    }

    /// What to wait for, to learn of orders.
    pub fn order_source(&self) -> PollSource<'_> {
        match self {
            Host::Tree(_) => PollSource::Woken,
            Host::Single(single) => PollSource::Readable(single.signals.as_fd()),
        }
    }
}
