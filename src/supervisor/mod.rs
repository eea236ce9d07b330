//! One service's life.
//!
//! [`machine`] decides, and does nothing; [`thread`] does, and decides nothing. The line that decides whether
//! a service is started again is in `Machine::judge`, in `transitions.rs`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`states`] | the words: state, event, action |
//! | [`machine`] | the table: every event in every state |
//! | `transitions` | what the table leads to: starting, stopping, the verdict after an end |
//! | `view` | what can be asked of a machine |
//! | [`limits`] | how often and how fast: window, counts, delays |
//! | [`command`] | the bytes of the control FIFO |
//! | [`thread`] | the loop that drives a machine with real processes |
//! | `actions` | what the machine wants done, done |
//! | `report` | what is told of it afterwards: the files of the status directory, the log |
//! | `controls` | the scripts in `control/`, one after the other |
//! | [`opening`] | waiting for a status directory that cannot be had yet |
//! | [`spec`] | what makes a supervisor |
//! | `beginning` | the first event: anew, or where another supervisor was killed |
//! | `keeping` | the lock and the record of processes, kept for the next supervisor to find |
//! | [`mailbox`] | what the tree, or a signal, asks of that loop |
//! | [`publish`] | `status` and `state.json` |
//! | [`runit`] | runit's files, and who else may supervise |
//! | `lull` | when a start or a signal is written down: not while others wait for the processor |
//! | [`process`] | a process under supervision: our child, or adopted |
//! | [`parking`] | holding the threads still while the program replaces itself |
//! | [`panics`] | our own mistakes, caught at the door |
//! | [`alarm`] | mail, short messages, programs |

mod actions;
pub mod alarm;
mod beginning;
pub mod command;
mod controls;
mod keeping;
pub mod limits;
mod lull;
pub mod machine;
pub mod mailbox;
pub mod opening;
pub mod panics;
pub mod parking;
pub mod process;
pub mod publish;
mod report;
pub mod runit;
pub mod spec;
pub mod states;
#[cfg(test)]
mod tests;
pub mod thread;
mod transitions;
mod view;
