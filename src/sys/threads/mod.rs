//! Threads, and what they wait for.
//!
//! | file | what it wraps |
//! |---|---|
//! | [`thread`] | threads by the thousand |
//! | [`poll`] | `ppoll` with a monotonic deadline, and a timer to be polled |
//! | [`wake`] | one thread wakes another that polls |
//! | [`signals`] | blocking signals, and reading them from a descriptor |

pub mod poll;
pub mod signals;
pub mod thread;
pub mod wake;
