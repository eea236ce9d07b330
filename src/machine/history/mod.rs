//! What counts from one run of a service to the next, and from one supervisor to the next.
//!
//! | file | what is in it |
//! |---|---|
//! | [`limits`] | how often and how fast: window, counts, delays |
//! | [`tally`] | what is only counted, for people and for monitoring |
//! | [`saved`] | what a supervisor saves of its machine |
//! | [`predecessor`] | the first event that follows from what a killed supervisor has left |

pub mod limits;
pub mod predecessor;
pub mod saved;
pub mod tally;
