//! Signals, and the bytes of the tree's own FIFO, as messages for the main loop.

use crate::status::StatusDir;
use crate::status::dir::TREE_DIR;
use crate::status::fifo::{FifoError, Fifos};
use crate::status::log::Log;
use crate::supervisor::requests::mailbox::{Ask, Mailbox};
use crate::supervisor::requests::parking::{Descriptors, Parking};
use crate::sys::files::removals::Removals;
use crate::sys::threads::poll::{self, PollSource::Readable, PollSource::Woken};
use crate::sys::threads::signals::Signals;
use crate::sys::time::Mono;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// How often the thread retries to open a FIFO that could not be opened.
const REPAIR_INTERVAL: Duration = Duration::from_secs(5);

/// Stack of the thread, in bytes.
const STACK_SIZE: usize = 128 * 1024;

/// How long an ended orphan may stay a zombie. A service's own thread learns of its end by the pidfd; the main loop is
/// needed for orphans only, and they can wait. Without this delay each exit of a service would wake two threads, just when
/// the next start needs the processor.
const CHILDREN_WAIT: Duration = Duration::from_millis(100);

/// Whoever removes a directory, file by file, is let finish: nothing is made anew in it until nothing has been removed for
/// this long ...
const REMOVAL_QUIET: Duration = Duration::from_millis(100);

/// ... or this long after the first.
const REMOVAL_WAIT: Duration = Duration::from_secs(1);

/// A request to the tree as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeRequest {
    /// TERM, INT, or `t` on the FIFO.
    Shutdown,
    /// HUP, or `h` on the FIFO.
    Rescan,
    /// USR2, or `2` on the FIFO.
    Upgrade,
}

/// Where the messages arrive.
#[derive(Debug)]
pub struct Messages {
    /// What somebody wants.
    pub requests: Receiver<TreeRequest>,
    /// For requests of the main loop itself.
    pub request: Sender<TreeRequest>,
    /// At least one child has ended; one message stands for any number.
    pub children: Receiver<()>,
    /// Somebody has removed something from the status root; one message for however much.
    pub removed: Receiver<()>,
    orders: Arc<Mailbox>,
}

impl Messages {
    /// Has the listening thread come to rest, under the name [`TREE_DIR`]. What it has taken has become a message by
    /// then; what comes later stays with the kernel, and is there for the next program.
    pub fn park(&self, parking: &Arc<Parking>) {
        self.orders.ask(Ask::Park(parking.clone()));
    }

    /// Has the listening thread look whether its FIFOs are in their places.
    pub fn wake(&self) {
        self.orders.ask(Ask::Publish);
    }
}

/// The listening thread, started early: it has not got its signals and FIFO yet.
#[derive(Debug)]
pub struct Listening(Sender<Listener>);

impl Listening {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn prepare() -> std::io::Result<Listening> {
        let (sender, receiver) = bounded::<Listener>(1);
        // Whoever has prepared it and has nothing for it lets it go.
        let listen = move || receiver.recv().map(Listener::run).unwrap_or_default();
        std::thread::Builder::new().name("signals".into()).stack_size(STACK_SIZE).spawn(listen)?;
        Ok(Listening(sender))
    }

    /// Has it wait for signals and read the FIFO in `dir`, which the program before us may have had open.
    pub fn listen(
        self,
        signals: Signals,
        (dir, removals): (StatusDir, Option<Arc<Removals>>),
        log: Log,
        inherited: Descriptors<OwnedFd>,
    ) -> Messages {
        let (request, requests) = unbounded();
        let (removal, removed) = bounded(1);
        let (child, children) = bounded(1);
        let orders = Arc::new(Mailbox::default());
        let listener = Listener {
            signals,
            orders: orders.clone(),
            fifos: Fifos::inherit(inherited.control, inherited.ok),
            dir,
            log,
            request: request.clone(),
            child,
            children_at: None,
            removals,
            removal,
            removed_at: None,
        };
        // The thread takes it, and never ends.
        let _ = self.0.send(listener);
        Messages { request, requests, children, removed, orders }
    }
}

#[derive(Debug)]
struct Listener {
    signals: Signals,
    orders: Arc<Mailbox>,
    fifos: Fifos,
    dir: StatusDir,
    log: Log,
    request: Sender<TreeRequest>,
    child: Sender<()>,
    /// When the main loop is told that children have ended, if some have.
    children_at: Option<Mono>,
    removals: Option<Arc<Removals>>,
    removal: Sender<()>,
    /// When something was first and last removed of which the main loop has not been told.
    removed_at: Option<(Mono, Mono)>,
}

impl Listener {
    fn run(mut self) {
        self.orders.attend();
        loop {
            // Not at once: the service whose process has ended is being restarted just now.
            if self.children_at.is_none()
                && let Err(FifoError { level, text }) = self.fifos.keep(&self.dir)
            {
                log::log!(logger: self.log, level, "{text}");
            }
            let repair_at = (!self.fifos.are_open()).then(|| Mono::now() + REPAIR_INTERVAL);
            let mend_at = self.removed_at.map(|(first, last)| (last + REMOVAL_QUIET).min(first + REMOVAL_WAIT));
            let [signal, command, order, removed] = poll::wait(
                [
                    Some(Readable(self.signals.as_fd())),
                    self.fifos.control().map(Readable),
                    Some(Woken),
                    self.removals.as_ref().map(|removals| Readable(removals.as_fd())),
                ],
                [self.children_at, repair_at, mend_at].into_iter().flatten().min(),
            );
            if mend_at.is_some_and(|at| Mono::now() >= at) {
                self.removed_at = None;
                // Full: the main loop has not looked yet, and will.
                let _ = self.removal.try_send(());
            }
            if removed {
                self.take_removals();
            }
            if self.children_at.is_some_and(|at| Mono::now() >= at) {
                self.children_at = None;
                self.signals.unmask_all();
                // The channel is full: a message is waiting already, and stands for this one, too.
                let _ = self.child.try_send(());
            }
            if signal {
                while let Some(signal) = self.signals.next() {
                    self.take(signal);
                }
            }
            if command {
                for byte in self.fifos.read() {
                    self.command(byte);
                }
            }
            if order {
                self.take_orders();
            }
        }
    }

    fn take_removals(&mut self) {
        // Of a status directory, what a supervisor cannot do without; a logger removes old files in its own.
        let counts = |name: &[u8]| matches!(name, b"lock" | b"control" | b"ok" | b"status" | b"state.json");
        if self.removals.as_ref().is_some_and(|removals| removals.take(counts)) {
            let now = Mono::now();
            self.removed_at = Some((self.removed_at.map_or(now, |(first, _)| first), now));
        }
    }

    fn take_orders(&self) {
        while let Some(ask) = self.orders.take() {
            match ask {
                Ask::Park(parking) => {
                    let (control, ok) = self.fifos.keep_open(true);
                    parking.park(TREE_DIR, Descriptors { control, ok, ..Descriptors::default() });
                    self.fifos.keep_open(false);
                }
                Ask::Leave(_)
                | Ask::KillNow
                | Ask::Configure(_)
                | Ask::ChangeOutput(_)
                | Ask::Publish
                | Ask::Look
                | Ask::ComeBack => {}
            }
        }
    }

    fn take(&mut self, signal: Signal) {
        match signal {
            Signal::SIGTERM | Signal::SIGINT => self.request(TreeRequest::Shutdown),
            Signal::SIGHUP => self.request(TreeRequest::Rescan),
            Signal::SIGUSR2 => self.request(TreeRequest::Upgrade),
            Signal::SIGCHLD => {
                self.signals.mask(Signal::SIGCHLD);
                self.children_at = Some(Mono::now() + CHILDREN_WAIT);
            }
            _ => {}
        }
    }

    fn command(&self, byte: u8) {
        match byte {
            b't' => self.request(TreeRequest::Shutdown),
            b'2' => self.request(TreeRequest::Upgrade),
            b'h' => self.request(TreeRequest::Rescan),
            _ => {}
        }
    }

    fn request(&self, request: TreeRequest) {
        // It fails only when the main loop is gone, and the process with it.
        let _ = self.request.send(request);
    }
}
