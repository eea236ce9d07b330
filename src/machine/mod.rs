//! One service's rules: what is, what is wanted, what happens, and what follows from that.
//!
//! Everything here is pure: no file, no process, no clock. A step takes a state, an event and the time, and gives the
//! next state and a list of actions; the supervisor thread carries those out. The line that decides whether a service is
//! started again is in `Machine::judge`, in `steps/ending.rs`.
//!
//! | file or room | what is in it |
//! |---|---|
//! | [`words`] | state, event, action, note for the log, command byte |
//! | [`core`] | the machine's data |
//! | [`table`] | the table: every event in every state |
//! | `steps` | what the table leads to |
//! | [`history`] | what counts from one run to the next: limits, and what a killed supervisor has left |
//! | `view` | what can be asked of a machine |
//! | [`health`] | whether the run process is ready, and whether it is well |
//! | `turns` | waiting for other modules |
//! | `fitness` | what follows from readiness and health |
//! | `recovery` | that all is well after an alarm |
//! | [`standing`] | what others that need it know of a module, and why one waits |

pub mod core;
mod fitness;
pub mod health;
pub mod history;
mod recovery;
pub mod standing;
mod steps;
pub mod table;
#[cfg(test)]
mod tests;
mod turns;
mod view;
pub mod words;

pub use self::core::{Actions, Machine};
pub use history::saved::{SavedRun, SavedState};
pub use steps::stopping::EXPECTED_EXIT_WINDOW;
pub use words::actions::{Action, Alarm, AlarmReason};
pub use words::events::{Answer, Event, Reaped, Sign, Turn};
pub use words::notes::Note;
pub use words::states::{CONTROL_TIME, Control, Leave, Next, Reason, Run, Setup, State, Stop, Want};
