//! One service's rules: what is, what is wanted, what happens, and what follows from that.
//!
//! Everything here is pure: no file, no process, no clock. A step takes a state, an event and the time, and gives the
//! next state and a list of actions; the supervisor thread carries those out. The line that decides whether a service is
//! started again is in `Machine::judge`, in `transitions.rs`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`states`] | the words: state, event, action |
//! | [`table`] | the table: every event in every state |
//! | `transitions` | what the table leads to: starting, stopping, the verdict after an end |
//! | `view` | what can be asked of a machine |
//! | [`limits`] | how often and how fast: window, counts, delays |
//! | [`command`] | the bytes of the control FIFO |
//! | [`standing`] | what others that need it know of a module, and why one waits |

pub mod command;
pub mod limits;
pub mod standing;
pub mod states;
pub mod table;
#[cfg(test)]
mod tests;
mod transitions;
mod view;
