//! What the roster knows of a service, and of a supervisor thread.

use crate::service::pipe::LogPipe;
use crate::supervisor::requests::mailbox::Mailbox;
use crate::supervisor::spec::Outcome;
use crate::sys::threads::thread::Thread;
use crate::tree::capacity::Demand;
use crate::tree::root::scan::ServiceDir;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A supervisor thread has ended.
#[derive(Debug)]
pub struct ThreadExit {
    pub(super) member: u64,
    /// `None` if it panicked outside its loop.
    pub(super) outcome: Option<Outcome>,
}

/// One supervisor thread.
#[derive(Debug)]
pub(super) struct SupervisorThread {
    pub(super) module: String,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) thread: Thread,
    pub(super) demand: Demand,
}

/// A service, from its directory's appearance to the end of its last thread.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) found: ServiceDir,
    pub(super) logger_kind: LoggerKind,
    pub(super) stdout: Stdout,
    pub(super) service: Option<u64>,
    pub(super) logger: Option<u64>,
    /// From the service to the logger.
    pub(super) pipe: Option<Arc<LogPipe>>,
    pub(super) lifecycle: Lifecycle,
}

impl Entry {
    /// An entry that has to wait until another one has left the same directory.
    pub(super) fn pending(found: ServiceDir) -> Entry {
        Entry {
            lifecycle: Lifecycle::Leaving(Some(Box::new(found.clone()))),
            found,
            logger_kind: LoggerKind::Directory,
            stdout: Stdout::No,
            service: None,
            logger: None,
            pipe: None,
        }
    }

    /// Whether its logger has left, and nothing else.
    pub(super) fn misses_logger(&self) -> bool {
        self.lifecycle == Lifecycle::Supervised
            && self.service.is_some()
            && self.logger.is_none()
            && self.pipe.is_some()
            && !self.logger_kind.goes()
    }

    pub(super) fn has_threads(&self) -> bool {
        self.service.is_some() || self.logger.is_some()
    }

    /// What is to come in its place.
    pub(super) fn successor(&self) -> Option<&ServiceDir> {
        match &self.lifecycle {
            Lifecycle::Leaving(next) => next.as_deref(),
            Lifecycle::Supervised | Lifecycle::Exited => None,
        }
    }

    /// Whether something may still run in the directory that `found` is, under another name.
    pub(super) fn is_leaving_from(&self, found: &ServiceDir) -> bool {
        matches!(self.lifecycle, Lifecycle::Leaving(_)) && found.is_renamed_from(&self.found)
    }
}

/// Where an entry's logger, if it has one, comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoggerKind {
    /// From the service directory's `log/run`.
    Directory,
    /// It is run by the tree itself, as `log` says.
    Own,
    /// The same, but `log` says something else by now: it goes when the service starts the next time.
    OwnUntilNextStart,
    /// From a `log/run` that is gone, and it has ended: it goes when the service starts the next time.
    GoneUntilNextStart,
}

impl LoggerKind {
    /// Whether it goes when the service starts the next time.
    pub(super) fn goes(self) -> bool {
        match self {
            LoggerKind::Directory | LoggerKind::Own => false,
            LoggerKind::OwnUntilNextStart | LoggerKind::GoneUntilNextStart => true,
        }
    }

    /// Whether the tree runs it by itself.
    pub(super) fn is_own(self) -> bool {
        match self {
            LoggerKind::Own | LoggerKind::OwnUntilNextStart => true,
            LoggerKind::Directory | LoggerKind::GoneUntilNextStart => false,
        }
    }
}

/// Whether a service writes to the tree's standard output.
#[derive(Clone, Debug)]
pub(super) enum Stdout {
    /// It does not.
    No,
    /// It does.
    Now(Arc<LogPipe>),
    /// It does, until its next start.
    UntilNextStart(Arc<LogPipe>),
    /// It does from its next start on.
    FromNextStart(Arc<LogPipe>),
}

/// What becomes of an entry when its threads have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    /// Nobody has told it to leave.
    Supervised,
    /// It was told to leave; what is to come in its place: in a box, for few entries have it and all have room for it.
    Leaving(Option<Box<ServiceDir>>),
    /// Its thread ended by `x`: it stays away until somebody wants it back.
    Exited,
}

/// Services of an earlier tree, by where they may write still.
#[derive(Debug, Default)]
pub(super) struct OutputsLeft {
    /// The tree ran a logger for them.
    pub(super) own_loggers: BTreeSet<String>,
    /// The same, until their standard output is settled.
    pub(super) own_loggers_kept: BTreeSet<String>,
    /// Standard output.
    pub(super) on_stdout: BTreeSet<String>,
}
