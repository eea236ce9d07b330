//! A service in the order of services: asked before each start and stop, and told what becomes of it.
//!
//! Where the tree has no order, nothing is asked and nothing told.

use crate::conf::{has_tags, names_others};
use crate::machine::standing::{Hold, Lack, Standing};
use crate::machine::{Event, Stop, Turn};
use crate::supervisor::host::ToTree;
use crate::supervisor::place::Place;
use crate::supervisor::thread::Supervisor;
use crate::sys::Errno;
use crate::sys::context::{Part, Refusal};
use crate::sys::process::start::{StartError, Step};
use log::Level;
use std::sync::Arc;
use std::time::Duration;

/// Whether the thread has read the shared file again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shared {
    /// The order has it from the tree.
    AsBefore,
    /// It has.
    ReadAgain,
}

/// So long, those are waited for whose stop has no `kill_timeout`.
const UNLIMITED_STOP_WAIT: Duration = Duration::from_secs(60);

impl Supervisor {
    /// Looks whether there is an order, before the first event.
    pub(super) fn take_place(&mut self, had_run: bool) {
        // The tree may have read what an earlier one went by, and the directory may say something else by now.
        self.standpoint.declared = self.place().is_some_and(|place| place.is_ordered() && place.has_own());
        self.declare_relations(Shared::AsBefore);
        if let Some(place) = self.place().filter(|place| place.is_ordered()) {
            if had_run {
                place.has_run_before();
            }
            // Who has declared something has joined by that. Once more, and the order would be told that nothing runs.
            if !self.standpoint.ordered {
                self.enter_order(&*place);
            }
        }
    }

    /// After the first event: what the service does now is known.
    pub(super) fn join_order(&mut self) {
        if let Some(place) = self.place().filter(|_| self.standpoint.ordered) {
            self.tell_standing();
            place.join(self.machine.run().is_some_and(|run| run.stop != Stop::No));
        }
    }

    fn place(&self) -> Option<Arc<dyn Place>> {
        self.spec.host.tree().and_then(|tree| tree.place.clone())
    }

    fn enter_order(&mut self, place: &dyn Place) {
        self.tell_stop_limit(place);
        // Before the first event nothing is known of the service, so nothing is told of it yet.
        self.handle(Event::Turn(Turn::Ordered(true)));
        self.standpoint.ordered = true;
    }

    /// Whether anything of it may take for ever to end: what is run, or its `finish`.
    fn tell_stop_limit(&self, place: &dyn Place) {
        let policy = &self.settings.policy;
        place.set_unlimited(policy.kill_timeout.is_none() || policy.finish_timeout.is_none());
    }

    /// The settings were read: what the directory itself says of others counts, too. So does what the shared file says by now,
    /// if that was read again here.
    pub(super) fn declare_relations(&mut self, shared: Shared) {
        let Some(place) = self.place() else { return };
        let own = self.own.file();
        let (names_others, has_tags) =
            own.map_or((false, false), |own| (names_others(own.section()), has_tags(own.section())));
        if self.standpoint.ordered {
            self.tell_stop_limit(&*place);
        }
        // Where nobody names others, nobody asks for tags.
        let says = names_others || (has_tags && place.is_ordered());
        let shared_says =
            shared == Shared::ReadAgain && (place.is_ordered() || self.spec.config.names_others(&self.spec.module));
        if !says && !shared_says && !self.standpoint.declared {
            return;
        }
        self.standpoint.declared = says;
        if place.declare(&self.spec.config, own) {
            self.tell_tree(ToTree::Ordered);
        }
        if !self.standpoint.ordered {
            self.enter_order(&*place);
        }
    }

    /// The order has woken us, or there is one now.
    pub(super) fn look_at_order(&mut self) {
        let Some(place) = self.place() else { return };
        if !self.standpoint.ordered && place.is_ordered() {
            self.enter_order(&*place);
            self.declare_relations(Shared::AsBefore);
            self.join_order();
        }
        if !self.standpoint.ordered {
            return;
        }
        if let Some(call) = place.take_call() {
            self.handle(Event::Turn(Turn::Call(call)));
        }
        self.handle(Event::Turn(Turn::AskAgain));
    }

    pub(super) fn ask_start(&mut self) -> Option<Event> {
        // What the directory says of others by now counts for this start. Why it cannot be read, the start says.
        let _ = self.refresh_own_settings();
        let answer = self.place().map_or(Ok(()), |place| place.ask_start());
        // It has noted by itself that the service is to come, and whether it begins.
        self.standpoint.told = Some(if answer.is_ok() { Standing::Around } else { Standing::Coming });
        self.answered(answer, Turn::MayStart)
    }

    /// The settings were read for a start that asked nobody, since there was no order before them.
    ///
    /// # Errors
    /// What it has to wait for: the next try asks.
    pub(super) fn comes_first(&self, was_ordered: bool) -> Result<(), StartError> {
        let place = self.place().filter(|_| !was_ordered && self.standpoint.ordered);
        place.map_or(Ok(()), |place| place.ask_start()).map_err(|hold| {
            let refusal = Refusal::new(Part::Settings, &hold.to_string());
            StartError { step: Step::Context(refusal), errno: Errno::EAGAIN }
        })
    }

    pub(super) fn ask_stop(&mut self) -> Option<Event> {
        let answer = self.place().map_or(Ok(()), |place| place.ask_stop());
        self.answered(answer, Turn::MayStop)
    }

    fn answered(&mut self, answer: Result<(), Hold>, turn: Turn) -> Option<Event> {
        let hold = answer.err();
        let is_new = self.standpoint.hold != hold;
        // That others have ended is told by their own logs.
        let is_fewer = matches!((&self.standpoint.hold, &hold), (Some(Hold::Others { .. }), Some(Hold::Others { .. })));
        self.standpoint.hold = hold;
        // It may pass within moments, and others are being started or stopped just now.
        self.reports.acted_this_turn |= is_new && self.standpoint.hold.is_some();
        match &self.standpoint.hold {
            None => return Some(Event::Turn(turn)),
            // It passes within moments.
            Some(Hold::Early) => {}
            Some(hold) if is_new && !is_fewer => {
                let (level, text, in_circle) =
                    (level(hold), format!("waiting: {hold}"), matches!(hold, Hold::Circle(_)));
                self.say(level, text);
                if in_circle {
                    self.tell_tree(ToTree::InCircle);
                }
            }
            Some(_) => {}
        }
        match (turn, &self.standpoint.hold) {
            (Turn::MayStop, Some(Hold::Others { unlimited: true, .. })) => {
                Some(Event::Turn(Turn::StopWithin(UNLIMITED_STOP_WAIT)))
            }
            _ => None,
        }
    }

    /// Tells the order what has become of the service, if that has changed.
    pub(super) fn tell_standing(&mut self) {
        if !self.standpoint.ordered {
            return;
        }
        let standing = self.machine.standing();
        if self.standpoint.told != Some(standing)
            && let Some(place) = self.place()
        {
            self.standpoint.told = Some(standing);
            place.report(standing);
        }
    }
}

/// What passes by itself is a notice, and what somebody may have to look at a warning. Of a circle the tree warns, once for
/// all that are in it.
fn level(hold: &Hold) -> Level {
    match hold {
        Hold::Lacks { lack: Lack::Unknown | Lack::Failed, .. } => Level::Warn,
        Hold::Lacks { lack: Lack::Down | Lack::Finished | Lack::NotReady | Lack::Stopping, .. }
        | Hold::Others { .. }
        | Hold::Early
        | Hold::Circle(_) => Level::Info,
    }
}
