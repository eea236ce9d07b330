//! The scanner: service directories come and go, and a supervisor thread comes and goes with each.
//!
//! | file | what is in it |
//! |---|---|
//! | [`scan`] | what a directory entry is: a service, one that may become one, or nothing of ours |
//! | [`watch`] | inotify: which names have changed |
//! | [`roster`] | who is supervised, and the threads that do it |
//! | [`signals`] | signals and the tree's own FIFO, as messages |
//! | [`upgrade`] | the program replaces itself |
//! | [`run`] | the main loop |

pub mod roster;
pub mod run;
pub mod scan;
pub mod signals;
pub mod upgrade;
pub mod watch;
