//! The processes of one service.
//!
//! | file | what is in it |
//! |---|---|
//! | [`process`] | a process under supervision: our child, or adopted |
//! | `running` | all processes of one service that run now |
//! | `scripts` | the scripts in `control/`, one after the other |
//! | `diversion` | where a service's output goes while its logger does not run |
//! | `context` | the context of the next start, and the control group |

mod context;
mod diversion;
pub mod process;
pub(super) mod running;
pub(super) mod scripts;
