//! The order as the threads share it: each asks and tells under one lock, and those for whom that makes a difference are
//! woken.
//!
//! As long as no module names another one, nothing of this is touched but a flag when a module begins.

use super::rules::Order;
use crate::conf::Config;
use crate::conf::own::OwnFile;
use crate::machine::standing::{Call, Hold, Standing};
use crate::supervisor::place::Place;
use crate::supervisor::requests::mailbox::{Ask, Mailbox};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// All places.
#[derive(Debug, Default)]
pub struct Places {
    ordered: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    order: Order,
    mailboxes: HashMap<String, Arc<Mailbox>>,
    /// Those are declared who were there when the order began. Until then nobody starts by it, for one that has not been seen
    /// yet would be overtaken.
    begun: bool,
    /// What service directories themselves say.
    own: HashMap<String, OwnFile>,
    /// The shared file, as modules have read it themselves, since the tree has.
    read_again: HashMap<String, Arc<Config>>,
    /// Circles that have been told.
    told: HashSet<String>,
}

impl Inner {
    /// Wakes whoever has to look.
    fn wake(&mut self) {
        for id in self.order.take_woken() {
            if let Some(mailbox) = self.mailboxes.get(self.order.name(id)) {
                mailbox.ask(Ask::Look);
            }
        }
    }

    fn declare(&mut self, config: &Config, name: &str) {
        let config = self.read_again.get(name).map_or(config, |config| config);
        let (relations, inherits) = config.relations(name, self.own.get(name));
        self.order.declare(name, relations, inherits);
    }
}

impl Places {
    /// Whether any module names another one, as far as that was ever so.
    pub fn are_ordered(&self) -> bool {
        self.ordered.load(Ordering::Relaxed)
    }

    /// These modules are there, or are going to be: nobody overtakes one that has not begun yet.
    pub fn announce(&self, config: &Config, names: impl Iterator<Item = String>) {
        if !config.has_relations() && !self.are_ordered() {
            return;
        }
        self.ordered.store(true, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        inner.begun = true;
        inner.order.set_global(config.global_needs());
        names.for_each(|name| inner.declare(config, &name));
    }

    /// A directory has named others, and nobody had before: these are the modules, with their threads.
    pub fn begin<'a>(&self, config: &Config, threads: impl Iterator<Item = (&'a str, &'a Arc<Mailbox>)>) {
        let mut inner = self.inner.lock();
        inner.begun = true;
        inner.order.set_global(config.global_needs());
        for (name, mailbox) in threads {
            inner.declare(config, name);
            inner.mailboxes.insert(name.to_string(), mailbox.clone());
            mailbox.ask(Ask::Look);
        }
        inner.wake();
    }

    /// The settings were read again, for modules whose threads are these.
    pub fn configure<'a>(&self, config: &Config, threads: impl Iterator<Item = (&'a str, &'a Arc<Mailbox>)>) {
        if !config.has_relations() && !self.are_ordered() {
            return;
        }
        let is_new = !self.ordered.swap(true, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        inner.begun = true;
        inner.read_again.clear();
        inner.order.set_global(config.global_needs());
        for (name, mailbox) in threads {
            inner.declare(config, name);
            if is_new {
                inner.mailboxes.insert(name.to_string(), mailbox.clone());
                mailbox.ask(Ask::Look);
            }
        }
        inner.wake();
    }

    /// What the directory of this module says of others, of which an earlier tree has left something running: its thread, which
    /// reads that itself, begins later.
    pub fn note_own(&self, name: &str, own: OwnFile) {
        self.ordered.store(true, Ordering::Relaxed);
        self.inner.lock().own.insert(name.to_string(), own);
    }

    /// An earlier tree has left something of this module running, and its thread begins later.
    pub fn note_running(&self, config: &Config, name: &str) {
        let mut inner = self.inner.lock();
        inner.declare(config, name);
        if let Some(id) = inner.order.place(name) {
            inner.order.report(id, Standing::Up);
            // Nothing ends it until its thread begins, which may fail.
            inner.order.set_unlimited(id, true);
        }
    }

    /// The place of a module whose thread is about to begin.
    pub fn take(self: &Arc<Places>, config: &Config, name: &str, mailbox: &Arc<Mailbox>) -> Arc<dyn Place> {
        if self.are_ordered() {
            let mut inner = self.inner.lock();
            inner.declare(config, name);
            inner.mailboxes.insert(name.to_string(), mailbox.clone());
        }
        Arc::new(Seat { places: self.clone(), name: name.to_string(), mailbox: mailbox.clone() })
    }

    /// The module is supervised no longer.
    pub fn leave(&self, name: &str) {
        if self.are_ordered() {
            let mut inner = self.inner.lock();
            inner.mailboxes.remove(name);
            inner.own.remove(name);
            inner.read_again.remove(name);
            if let Some(id) = inner.order.place(name) {
                inner.order.remove(id);
            }
            inner.wake();
        }
    }

    /// All are going to be told to stop.
    pub fn end(&self) {
        if self.are_ordered() {
            let mut inner = self.inner.lock();
            inner.order.end();
            inner.wake();
        }
    }

    /// Circles that have not been told yet.
    pub fn new_circles(&self) -> Vec<String> {
        if !self.are_ordered() {
            return Vec::new();
        }
        let mut inner = self.inner.lock();
        let circles = inner.order.circles();
        inner.wake();
        let told = std::mem::take(&mut inner.told);
        inner.told = circles.iter().cloned().collect();
        circles.into_iter().filter(|circle| !told.contains(circle)).collect()
    }
}

/// The place of one module. It goes by the name, for the module may have a successor of the same name.
#[derive(Debug)]
struct Seat {
    places: Arc<Places>,
    name: String,
    mailbox: Arc<Mailbox>,
}

impl Seat {
    /// Does something at this place, if there is one, and wakes whoever has to look then.
    fn at<T>(&self, otherwise: T, act: impl FnOnce(&mut Order, usize) -> T) -> T {
        let mut inner = self.places.inner.lock();
        let Some(id) = inner.order.place(&self.name) else { return otherwise };
        let result = act(&mut inner.order, id);
        inner.wake();
        result
    }
}

impl Place for Seat {
    fn is_ordered(&self) -> bool {
        self.places.are_ordered()
    }

    fn ask_start(&self) -> Result<(), Hold> {
        let mut inner = self.places.inner.lock();
        if !inner.begun {
            return Err(Hold::Early);
        }
        let Some(id) = inner.order.place(&self.name) else { return Ok(()) };
        let answer = inner.order.ask_start(id);
        inner.wake();
        answer
    }

    fn ask_stop(&self) -> Result<(), Hold> {
        self.at(Ok(()), |order, id| order.ask_stop(id))
    }

    fn report(&self, standing: Standing) {
        self.at((), |order, id| order.report(id, standing));
    }

    fn has_own(&self) -> bool {
        self.places.inner.lock().own.contains_key(&self.name)
    }

    fn has_run_before(&self) {
        self.at((), |order, id| order.has_run_before(id));
    }

    fn declare(&self, config: &Arc<Config>, own: Option<&OwnFile>) -> bool {
        let is_new = !self.places.ordered.swap(true, Ordering::Relaxed);
        let mut inner = self.places.inner.lock();
        inner.read_again.insert(self.name.clone(), config.clone());
        match own {
            Some(own) => inner.own.insert(self.name.clone(), own.clone()),
            None => inner.own.remove(&self.name),
        };
        inner.declare(config, &self.name);
        inner.mailboxes.insert(self.name.clone(), self.mailbox.clone());
        inner.wake();
        is_new
    }

    fn set_unlimited(&self, is_unlimited: bool) {
        self.at((), |order, id| order.set_unlimited(id, is_unlimited));
    }

    fn join(&self, stops: bool) {
        self.at((), |order, id| order.join(id, stops));
    }

    fn take_call(&self) -> Option<Call> {
        self.at(None, |order, id| order.take_call(id))
    }
}
