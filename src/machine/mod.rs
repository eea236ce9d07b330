//! One service's rules: what is, what is wanted, what happens, and what follows from that.
//!
//! Everything here is pure: no file, no process, no clock. A step takes a state, an event and the time, and gives the
//! next state and a list of actions; the supervisor thread carries those out. The line that decides whether a service is
//! started again is in `Machine::judge`, in `ending.rs`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`states`], [`events`], [`actions`] | the words: state, event, action |
//! | [`notes`] | what the log is told |
//! | [`core`] | the machine's data |
//! | [`table`] | the table: every event in every state |
//! | [`saved`], [`predecessor`] | what a killed supervisor has left, and the first event that follows from that |
//! | `resuming` | going on where another supervisor was killed |
//! | `starting`, `stopping`, `ending` | what the table leads to |
//! | `view` | what can be asked of a machine |
//! | [`limits`] | how often and how fast: window, counts, delays |
//! | [`command`] | the bytes of the control FIFO |
//! | [`standing`] | what others that need it know of a module, and why one waits |

pub mod actions;
pub mod command;
pub mod core;
mod ending;
pub mod events;
pub mod limits;
pub mod notes;
pub mod predecessor;
mod resuming;
pub mod saved;
pub mod standing;
mod starting;
pub mod states;
mod stopping;
pub mod table;
#[cfg(test)]
mod tests;
mod view;

pub use self::core::{Actions, Machine};
pub use actions::{Action, Alarm, AlarmReason};
pub use events::{Answer, Event, Reaped};
pub use notes::Note;
pub use saved::{SavedRun, SavedState};
pub use states::{CONTROL_TIME, Control, Leave, Next, Reason, Run, Setup, State, Stop, Want};
