//! Signals, and the bytes of the tree's own FIFO, as messages for the main loop.

use crate::status::StatusDir;
use crate::status::fifo::Fifos;
use crate::status::log::Log;
use crate::sys::poll::{self, Source::Readable};
use crate::sys::signals::Signals;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::sync::Arc;

/// Stack of the thread, in bytes.
const STACK_SIZE: usize = 128 * 1024;

/// What somebody wants of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
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
    pub wishes: Receiver<Wish>,
    /// For the main loop's own wishes.
    pub wish: Sender<Wish>,
    /// Some process of ours has ended; one message for however many.
    pub children: Receiver<()>,
}

/// Starts the thread that waits for signals and reads the FIFO in `dir`.
///
/// # Errors
/// When there is no thread to be had.
pub fn listen(signals: Signals, dir: StatusDir, log: Arc<Log>) -> std::io::Result<Messages> {
    let (wish, wishes) = unbounded();
    let (child, children) = bounded(1);
    let listener = Listener { signals, dir, log, wish: wish.clone(), child };
    std::thread::Builder::new().name("signals".into()).stack_size(STACK_SIZE).spawn(move || listener.run())?;
    Ok(Messages { wish, wishes, children })
}

struct Listener {
    signals: Signals,
    dir: StatusDir,
    log: Arc<Log>,
    wish: Sender<Wish>,
    child: Sender<()>,
}

impl Listener {
    fn run(self) {
        let mut fifos = Fifos::closed();
        loop {
            if let Err(text) = fifos.keep(&self.dir) {
                log::error!(logger: self.log, "{text}");
            }
            let [signal, command] =
                poll::wait([Some(Readable(self.signals.as_fd())), fifos.control().map(Readable)], None);
            if signal {
                while let Some(signal) = self.signals.next() {
                    self.take(signal);
                }
            }
            if command {
                for byte in fifos.read() {
                    self.command(byte);
                }
            }
        }
    }

    fn take(&self, signal: Signal) {
        match signal {
            Signal::SIGTERM | Signal::SIGINT => self.wish(Wish::Shutdown),
            Signal::SIGHUP => self.wish(Wish::Rescan),
            Signal::SIGUSR2 => self.wish(Wish::Upgrade),
            Signal::SIGCHLD => {
                // Full: the main loop has not looked yet, and will.
                let _ = self.child.try_send(());
            }
            _ => {}
        }
    }

    fn command(&self, byte: u8) {
        match byte {
            b't' => self.wish(Wish::Shutdown),
            b'2' => self.wish(Wish::Upgrade),
            b'h' => self.wish(Wish::Rescan),
            _ => {}
        }
    }

    fn wish(&self, wish: Wish) {
        // It fails only when the main loop is gone, and the process with it.
        let _ = self.wish.send(wish);
    }
}
