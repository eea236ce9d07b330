//! The scanner: service directories come and go, and a supervisor thread comes and goes with each.
//!
//! | file | what is in it |
//! |---|---|
//! | [`scan`] | what a directory entry is: a service, one that may become one, or nothing of ours |
//! | [`watch`] | inotify: which names have changed |
//! | [`filling`] | directories that are not complete yet |
//! | [`way`] | whether the root's name still leads to the same directory |
//! | [`entry`] | what the roster knows of a service, and of a thread |
//! | [`roster`] | who is supervised, and the threads that do it |
//! | [`leftovers`] | what an earlier tree has left, and is not where it was |
//! | [`threads`] | how the threads of a service directory are started |
//! | [`room`] | whether there is room for one more |
//! | [`signals`] | signals and the tree's own FIFO, as messages |
//! | [`upgrade`] | the program replaces itself |
//! | [`own`] | the tree's own status directory and its lock |
//! | [`run`] | the main loop |

pub mod entry;
pub mod filling;
pub mod leftovers;
pub mod own;
pub mod room;
pub mod roster;
pub mod run;
pub mod scan;
pub mod signals;
pub mod threads;
pub mod upgrade;
pub mod watch;
pub mod way;
