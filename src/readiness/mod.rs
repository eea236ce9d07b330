//! How a service tells that it is ready and well, and how it is looked at from outside.
//!
//! | file | what is in it |
//! |---|---|
//! | [`notify`] | what a datagram of sd_notify(3) says |
//! | [`probe`] | a look at a socket or a URL, as a program of its own |

pub mod notify;
pub mod probe;
