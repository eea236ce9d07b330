//! What `supervise-log` stands on.
//!
//! | file | what it wraps |
//! |---|---|
//! | [`intake`] | a pipe: how much is in it, and a look at it that takes nothing |
//! | [`mapping`] | a file as memory that outlives the process |
//! | [`readiness`] | many pipes, of which most have nothing new |
//! | [`background`] | idle priority, and an end with the parent |
//! | [`bus_error`] | a mapped file that somebody has cut |

pub mod background;
pub mod bus_error;
pub mod intake;
pub mod mapping;
pub mod readiness;
