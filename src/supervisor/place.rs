//! The module's place among others: asked before each start and stop, and told what becomes of the module.
//!
//! Where the tree has no order, nothing is asked and nothing told.

use crate::conf::Config;
use crate::conf::own::OwnFile;
use crate::machine::standing::{Call, Hold, Standing};
use crate::machine::{State, Stop};
use std::fmt::Debug;
use std::sync::Arc;

/// A module's place in the order of modules.
pub trait Place: Debug + Send + Sync {
    /// Whether there is an order at all.
    fn is_ordered(&self) -> bool;
    /// The service is about to start: whether it may. If not, the thread is woken when it is worth another try.
    ///
    /// # Errors
    /// What it waits for.
    fn ask_start(&self) -> Result<(), Hold>;
    /// The run process is about to be stopped: whether it may. If not, the thread is woken when it is worth another try.
    ///
    /// # Errors
    /// What it waits for.
    fn ask_stop(&self) -> Result<(), Hold>;
    /// What has become of the service.
    fn report(&self, standing: Standing);
    /// Whether it is known what the service directory itself says of others.
    fn has_own(&self) -> bool;
    /// A run process lived before supervision began, and lives no more.
    fn has_run_before(&self);
    /// A supervisor of the module has begun, and stops the run process or does not. Whatever another one before it was
    /// told, it is told again: that one may have panicked before it could do it.
    fn join(&self, stops: bool);
    /// What the thread of the module gets.
    fn take_call(&self) -> Option<Call>;
    /// This is what the service directory itself says of others; whether there is an order only since this.
    fn declare(&self, config: &Arc<Config>, own: Option<&OwnFile>) -> bool;
    /// Nothing kills the run process when its stop takes long: those that it needs do not wait for that for ever.
    fn set_unlimited(&self, is_unlimited: bool);
}

/// What a thread knows of its place.
#[derive(Debug, Default)]
pub(super) struct Standpoint {
    /// There is an order, and it is told what becomes of the service.
    pub(super) ordered: bool,
    /// The directory itself names others, and the order knows.
    pub(super) declared: bool,
    /// What it was told last.
    pub(super) told: Option<Standing>,
    /// What the service waits for.
    pub(super) hold: Option<Hold>,
}

impl Standpoint {
    /// What the service, whose state is this, waits for.
    pub(super) fn hold(&self, state: State) -> Option<&Hold> {
        let waits = match state {
            State::Waiting => true,
            State::Up(run) => matches!(run.stop, Stop::Held(_)),
            State::Down
            | State::Backoff { .. }
            | State::PreStartRequested
            | State::PreStart { .. }
            | State::StartRequested
            | State::FinishRequested(_)
            | State::Finishing { .. }
            | State::Failed
            | State::Done
            | State::Ended => false,
        };
        self.hold.as_ref().filter(|_| waits)
    }
}
