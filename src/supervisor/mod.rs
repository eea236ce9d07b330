//! One service's life.
//!
//! [`crate::machine`] decides, and does nothing; [`thread`] does, and decides nothing. The line that decides whether
//! a service is started again is in `Machine::judge`, in `machine/steps/ending.rs`.
//!
//! | file or room | what is in it |
//! |---|---|
//! | [`spec`] | what makes a supervisor |
//! | [`host`] | the program that a supervisor is part of, and what only that one has |
//! | [`begin`] | from the spec to the machine's first event: the status directory claimed, the predecessor's remains found |
//! | [`thread`] | the loop that drives a machine with real processes |
//! | [`requests`] | what the tree, or a signal, asks of that loop |
//! | `output` | where a service's output goes while its logger does not run |
//! | `actions` | what the machine wants done, done |
//! | `leaving` | how supervision comes to its end with the tree |
//! | `settings`, `own_settings` | what is in force: the shared file's settings, and the service directory's own |
//! | [`processes`] | the processes under supervision, the scripts beside them, and the context that they get |
//! | [`place`], `order` | the module's place in the order of modules, and what the thread does with it |
//! | `signs` | what a run process has said of itself, and the check that looks at it |
//! | `readiness` | how the run process says that it is ready, and how it is looked at |
//! | [`report`] | what is told of it afterwards: the files of the status directory, the log, alarms |
//! | [`runit`] | runit's files, and who else may supervise |
//! | [`panics`] | our own mistakes, caught at the door |

mod actions;
pub mod begin;
pub mod host;
mod leaving;
mod order;
mod output;
pub mod own_settings;
pub mod panics;
pub mod place;
pub mod processes;
mod readiness;
pub mod report;
pub mod requests;
pub mod runit;
mod settings;
mod signs;
pub mod spec;
pub mod thread;
