//! Holding all supervisor threads still while the program replaces itself.
//!
//! A parked thread has carried out and written down all that it knew, and keeps its descriptors open over `execve`.
//! If that succeeds, the thread is gone with the old program; if not, it goes on.

use crate::sys::handover;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::{OwnedFd, RawFd};

/// A module's descriptors, those that it has: their numbers while they are handed over, otherwise the descriptors themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Descriptors<T> {
    /// The locked file.
    pub lock: Option<T>,
    /// The control FIFO.
    pub control: Option<T>,
    /// The `ok` FIFO.
    pub ok: Option<T>,
    /// A logger's pipe.
    pub pipe: Option<T>,
    /// The FIFO of runit's tools.
    pub runit: Option<T>,
}

impl<T> Default for Descriptors<T> {
    fn default() -> Descriptors<T> {
        Descriptors { lock: None, control: None, ok: None, pipe: None, runit: None }
    }
}

impl<T> Descriptors<T> {
    /// What `convert` makes of each of them.
    fn convert<U>(self, convert: impl Fn(T) -> Option<U>) -> Descriptors<U> {
        let convert = |descriptor: Option<T>| descriptor.and_then(&convert);
        Descriptors {
            lock: convert(self.lock),
            control: convert(self.control),
            ok: convert(self.ok),
            pipe: convert(self.pipe),
            runit: convert(self.runit),
        }
    }
}

/// As long as anybody holds one, no orphan is reaped: the orphan may be a service that no thread has adopted yet. When the
/// last one is dropped, the channel's other end is told. Nothing is ever sent.
pub type AdoptionGuard = Sender<Infallible>;

/// What the program before us has handed over of a module.
#[derive(Debug, Default)]
pub struct InheritedModule {
    /// Its descriptors.
    pub descriptors: Descriptors<OwnedFd>,
    /// Held until supervision has begun.
    pub adoption_guard: Option<AdoptionGuard>,
}

impl InheritedModule {
    /// Takes over what has these numbers.
    pub fn receive(numbers: Descriptors<RawFd>, guard: &AdoptionGuard) -> InheritedModule {
        let descriptors = numbers.convert(|number| crate::sys::handover::receive(number).ok());
        InheritedModule { descriptors, adoption_guard: Some(guard.clone()) }
    }

    /// Has what no thread has taken over yet stay open when the program is replaced once more, or not; the numbers.
    pub fn keep_open(&self, keep: bool) -> Descriptors<RawFd> {
        let Descriptors { lock, control, ok, pipe, runit } = &self.descriptors;
        let number = |descriptor: &Option<OwnedFd>| handover::keep_open(descriptor.as_ref()?, keep).ok();
        Descriptors {
            lock: number(lock),
            control: number(control),
            ok: number(ok),
            pipe: number(pipe),
            runit: number(runit),
        }
    }
}

/// Where threads park.
#[derive(Debug)]
pub struct Parking {
    state: Mutex<State>,
    /// The parked threads wait for this.
    opened: Condvar,
    /// Another thread has come; one message for however many.
    arrival: (Sender<()>, Receiver<()>),
}

#[derive(Debug, Default)]
struct State {
    parked: BTreeMap<String, Descriptors<RawFd>>,
    /// Modules of which the next program could not read what they do.
    unwritten: Vec<String>,
    open: bool,
}

impl Default for Parking {
    fn default() -> Parking {
        Parking { state: Mutex::default(), opened: Condvar::new(), arrival: bounded(1) }
    }
}

impl Parking {
    /// Parks the calling thread, which supervises `module`, until [`Parking::resume`].
    pub fn park(&self, module: &str, numbers: Descriptors<RawFd>) {
        let mut state = self.state.lock();
        state.parked.insert(module.to_string(), numbers);
        // Full: whoever waits has been told already.
        let _ = self.arrival.0.try_send(());
        while !state.open {
            self.opened.wait(&mut state);
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

    /// Receives something when another thread has parked.
    pub fn arrivals(&self) -> &Receiver<()> {
        &self.arrival.1
    }

    /// The numbers of the modules' descriptors.
    ///
    /// # Errors
    /// Those of `modules` that are not parked yet.
    pub fn parked(&self, modules: &[String]) -> Result<BTreeMap<String, Descriptors<RawFd>>, Vec<String>> {
        let state = self.state.lock();
        let missing = modules.iter().filter(|module| !state.parked.contains_key(*module));
        let missing: Vec<String> = missing.cloned().collect();
        if missing.is_empty() { Ok(state.parked.clone()) } else { Err(missing) }
    }

    /// Lets all threads go on.
    pub fn resume(&self) {
        self.state.lock().open = true;
        self.opened.notify_all();
    }
}
