//! The processes of one service.
//!
//! | file | what is in it |
//! |---|---|
//! | [`process`] | a process under supervision: our child, or adopted |
//! | `running` | all processes of one service that run now |
//! | `origin` | what the run process was started from, and whether that is the same now |
//! | `scripts` | the scripts in `control/`, one after the other |
//! | `diversion` | when the output of a service is taken in the place of its logger |
//! | `leftovers` | what a run process leaves behind in its group, told and killed |
//! | `cleanup` | when the thread deals with that: after `finish`, and before the next start |
//! | `context` | the context of the next start, and the control group |

mod cleanup;
mod context;
pub(super) mod diversion;
pub(super) mod leftovers;
pub(super) mod origin;
pub mod process;
pub(super) mod running;
pub(super) mod scripts;
