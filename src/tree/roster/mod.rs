//! Who is supervised: for each service directory a thread, and one more for its logger.
//!
//! | file | what is in it |
//! |---|---|
//! | [`entry`] | what the roster knows of a service, and of a thread |
//! | [`members`] | the roster: its data, and what all its threads are asked together |
//! | [`changes`] | entries come, are replaced and go; threads end |
//! | [`threads`] | how the threads of a service directory are started |
//! | [`command`] | the module `main`: what the tree was given to run |
//! | [`logging`] | loggers that the tree runs by itself |
//! | [`panicked`] | threads that have panicked, and what follows |
//! | [`leftovers`] | what an earlier tree has left, and is not where it was |

pub mod changes;
pub mod command;
pub mod entry;
pub mod leftovers;
pub mod logging;
pub mod members;
pub mod panicked;
#[cfg(test)]
mod tests;
pub mod threads;
