//! The scanner: service directories come and go, and a supervisor thread comes and goes with each.
//!
//! | file | what is in it |
//! |---|---|
//! | [`scan`] | what a directory entry is: a service, one that may become one, or nothing of ours |
//! | [`watch`] | inotify: which names have changed |
//! | [`debounce`] | directories that are not complete yet |
//! | [`root_path`] | whether the root's name still leads to the same directory |
//! | [`entry`] | what the roster knows of a service, and of a thread |
//! | [`roster`] | who is supervised, and the threads that do it |
//! | [`leftovers`] | what an earlier tree has left, and is not where it was |
//! | [`threads`] | how the threads of a service directory are started |
//! | [`capacity`] | whether there is room for one more |
//! | [`signals`] | signals and the tree's own FIFO, as messages |
//! | [`upgrade`] | the program replaces itself |
//! | [`tree_dir`] | the tree's own status directory and its lock |
//! | [`run`] | the main loop |

pub mod capacity;
pub mod debounce;
pub mod entry;
pub mod leftovers;
pub mod root_path;
pub mod roster;
pub mod run;
pub mod scan;
pub mod signals;
pub mod threads;
pub mod tree_dir;
pub mod upgrade;
pub mod watch;
