//! The processes of one service.
//!
//! | file | what is in it |
//! |---|---|
//! | [`process`] | a process under supervision: our child, or adopted |
//! | `running` | all processes of one service that run now |
//! | `scripts` | the scripts in `control/`, one after the other |
//! | `context` | the context of the next start, and the control group |

mod context;
pub mod process;
pub(super) mod running;
pub(super) mod scripts;
