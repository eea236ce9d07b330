//! The machine's data: what is, what is wanted, what was counted, and the settings.

use crate::conf::policy::Policy;
use crate::machine::health::HealthRules;
use crate::machine::history::limits::Limits;
use crate::machine::history::tally::Tally;
use crate::machine::words::actions::{Action, AlarmReason};
use crate::machine::words::states::{LastWords, Leave, Reason, Setup, State, Want};
use crate::sys::process::pidfd::ExitStatus;
use smallvec::SmallVec;

/// A service's state, and the rules for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub(super) state: State,
    pub(super) want: Want,
    pub(super) leave: Option<Leave>,
    pub(super) alarm: bool,
    pub(super) setup: Setup,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) tally: Tally,
    pub(super) last_exit: Option<ExitStatus>,
    pub(super) reason: Option<Reason>,
    pub(super) health_rules: HealthRules,
    /// Why the run process is being made to end, where nobody has asked for it.
    pub(super) illness: Option<AlarmReason>,
    /// An alarm was raised, and its recovery is yet to be told.
    pub(super) alarmed: bool,
    /// There is an order of modules, which is asked before each start and stop.
    pub(super) ordered: bool,
    /// What it needs is being stopped, and its start is under way: it is stopped as soon as it runs.
    pub(super) halted: bool,
    /// Nothing ran, nor was going to, and somebody has stopped it all the same.
    pub(super) put_down: bool,
    /// Whoever ends all does not wait: no `finish` runs any more.
    pub(super) in_haste: bool,
    /// A logger reads what is left in its pipe; set from the first process that does on.
    pub(super) last_words: Option<LastWords>,
}

/// Actions, in order. Inline up to 4 actions: most steps then allocate nothing.
pub type Actions = SmallVec<[Action; 4]>;

impl Machine {
    /// Nothing runs yet; [`Event::Begin`](crate::machine::Event::Begin) or `Resume` comes first.
    pub fn new(setup: Setup, policy: Policy) -> Machine {
        Machine {
            state: State::Down,
            want: Want::Down,
            leave: None,
            alarm: true,
            setup,
            policy,
            limits: Limits::default(),
            tally: Tally::default(),
            last_exit: None,
            reason: None,
            health_rules: HealthRules::default(),
            illness: None,
            alarmed: false,
            ordered: false,
            halted: false,
            put_down: false,
            in_haste: false,
            last_words: None,
        }
    }
}
