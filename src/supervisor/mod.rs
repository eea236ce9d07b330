//! One service's life.
//!
//! [`crate::machine`] decides, and does nothing; [`thread`] does, and decides nothing. The line that decides whether
//! a service is started again is in `Machine::judge`, in `ending.rs`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`thread`] | the loop that drives a machine with real processes |
//! | `actions` | what the machine wants done, done |
//! | `report` | what is told of it afterwards: the files of the status directory, the log |
//! | `access` | which groups may read the status directory and give commands |
//! | `context` | the context of the next start, and the control group |
//! | `scripts` | the scripts in `control/`, one after the other |
//! | `lines` | lines for the log that wait until urgent work is done |
//! | `open` | a status directory is claimed, step by step, and a supervisor put together |
//! | [`opening`] | waiting for a status directory that cannot be had yet |
//! | [`spec`] | what makes a supervisor |
//! | `left_behind` | what a supervisor that was killed has left |
//! | `first_event` | the first event: anew, or where another supervisor was killed |
//! | `record_keeper` | the lock and the record of processes, kept for the next supervisor to find |
//! | [`mailbox`] | what the tree, or a signal, asks of that loop |
//! | [`publish`] | `status` and `state.json` |
//! | [`runit`] | runit's files, and who else may supervise |
//! | `deferral` | when a start or a signal is written down: not while others wait for the processor |
//! | [`process`] | a process under supervision: our child, or adopted |
//! | [`parking`] | holding the threads still while the program replaces itself |
//! | [`panics`] | our own mistakes, caught at the door |
//! | [`alarm`] | mail, short messages, programs |

mod access;
mod actions;
pub mod alarm;
mod context;
mod deferral;
mod first_event;
mod left_behind;
mod lines;
pub mod mailbox;
mod open;
pub mod opening;
pub mod panics;
pub mod parking;
pub mod process;
pub mod publish;
mod record_keeper;
mod report;
pub mod runit;
mod scripts;
pub mod spec;
pub mod thread;
