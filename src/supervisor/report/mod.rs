//! What is told of a service.
//!
//! | file | what is in it |
//! |---|---|
//! | `reports` | the status files and the log of one service, and what of them waits |
//! | [`tree_end`] | what services do first, and what later, when the tree ends |
//! | `turn` | what a turn of the loop has to tell: the files of the status directory, the log |
//! | `deferral` | when a start or a signal is written down: not while others wait for the processor |
//! | [`publish`] | `status` and `state.json` |
//! | `lines` | lines for the log that wait until urgent work is done |
//! | `access` | which groups may read the status directory and give commands |
//! | [`last_words`] | what a run process has written last |
//! | [`alarm`] | mail, short messages, programs |

pub(super) mod access;
pub mod alarm;
pub(super) mod deferral;
pub mod last_words;
pub(super) mod lines;
pub mod publish;
pub(super) mod reports;
pub mod tree_end;
mod turn;
