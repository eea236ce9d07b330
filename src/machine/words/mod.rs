//! The words in which the machine speaks.
//!
//! | file | what is in it |
//! |---|---|
//! | [`states`] | what is, and what is wanted |
//! | [`events`] | what happens |
//! | [`actions`] | what the thread does |
//! | [`notes`] | what the log is told |
//! | [`command`] | the bytes of the control FIFO |

pub mod actions;
pub mod command;
pub mod events;
pub mod notes;
pub mod states;
