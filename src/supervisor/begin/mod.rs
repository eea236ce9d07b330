//! How supervision begins.
//!
//! | file | what is in it |
//! |---|---|
//! | [`retry`] | supervision from its beginning to its end; a status directory that cannot be had yet is tried again |
//! | `claim` | a status directory is claimed, step by step, and a supervisor put together |
//! | `record_keeper` | the lock and the record of processes, kept for the next supervisor to find |
//! | `left_behind` | what a supervisor that was killed has left |
//! | `first_event` | the first event: anew, or where another supervisor was killed |

mod claim;
mod first_event;
pub(super) mod left_behind;
pub(super) mod record_keeper;
pub mod retry;
