//! Holding all supervisor threads still while the program replaces itself.
//!
//! A parked thread has carried out and written down all that it knew, and keeps its descriptors open over `execve`.
//! If that succeeds, the thread is gone with the old program; if not, it goes on.

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

/// The numbers of a module's descriptors; those that it does not have are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FdNumbers {
    /// The locked file.
    pub lock: Option<RawFd>,
    /// The control FIFO.
    pub control: Option<RawFd>,
    /// The `ok` FIFO.
    pub ok: Option<RawFd>,
    /// A logger's pipe.
    pub pipe: Option<RawFd>,
    /// The FIFO of runit's tools.
    pub runit: Option<RawFd>,
}

/// A module's descriptors, handed over by the program before us.
#[derive(Debug, Default)]
pub struct InheritedFds {
    /// The locked file.
    pub lock: Option<OwnedFd>,
    /// The control FIFO.
    pub control: Option<OwnedFd>,
    /// The `ok` FIFO.
    pub ok: Option<OwnedFd>,
    /// A logger's pipe.
    pub pipe: Option<OwnedFd>,
    /// The FIFO of runit's tools.
    pub runit: Option<OwnedFd>,
    /// Kept until supervision has begun: as long as anybody has one, no orphan is reaped, for it may be a service
    /// that nobody has adopted yet.
    pub beginning: Option<Arc<()>>,
}

impl InheritedFds {
    /// Takes over what has these numbers.
    pub fn receive(numbers: FdNumbers, beginning: &Arc<()>) -> InheritedFds {
        let receive = |number: Option<RawFd>| number.and_then(|number| crate::sys::handover::receive(number).ok());
        InheritedFds {
            lock: receive(numbers.lock),
            control: receive(numbers.control),
            ok: receive(numbers.ok),
            pipe: receive(numbers.pipe),
            runit: receive(numbers.runit),
            beginning: Some(beginning.clone()),
        }
    }
}

/// Where threads park.
#[derive(Debug, Default)]
pub struct Parking {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    parked: BTreeMap<String, FdNumbers>,
    /// Modules of which the next program could not read what they do.
    unwritten: Vec<String>,
    open: bool,
}

impl Parking {
    /// Parks the calling thread, which supervises `module`, until [`Parking::resume`].
    pub fn park(&self, module: &str, numbers: FdNumbers) {
        let mut state = self.state.lock();
        state.parked.insert(module.to_string(), numbers);
        self.changed.notify_all();
        while !state.open {
            self.changed.wait(&mut state);
        }
    }

    /// Says that what `module` does could not be written down. To be called before it is parked.
    pub fn note_unwritten(&self, module: &str) {
        self.state.lock().unwritten.push(module.to_string());
    }

    /// Those of which that was said.
    pub fn unwritten(&self) -> Vec<String> {
        self.state.lock().unwritten.clone()
    }

    /// Waits until all `modules` are parked, and returns their descriptors' numbers.
    ///
    /// # Errors
    /// Those that are not by `deadline`.
    pub fn wait(&self, modules: &[String], deadline: Instant) -> Result<BTreeMap<String, FdNumbers>, Vec<String>> {
        let mut state = self.state.lock();
        loop {
            let missing: Vec<String> =
                modules.iter().filter(|module| !state.parked.contains_key(*module)).cloned().collect();
            if missing.is_empty() {
                return Ok(state.parked.clone());
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(missing);
            }
        }
    }

    /// Lets all threads go on.
    pub fn resume(&self) {
        self.state.lock().open = true;
        self.changed.notify_all();
    }
}
