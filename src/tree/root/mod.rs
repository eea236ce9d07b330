//! The services root: what is in it, and when that changes.
//!
//! | file | what is in it |
//! |---|---|
//! | [`scan`] | what a directory entry is: a service, one that may become one, or nothing of ours |
//! | [`debounce`] | directories that are not complete yet |
//! | [`watch`] | inotify: which names have changed |
//! | [`root_path`] | whether the root's name still leads to the same directory |

pub mod debounce;
pub mod root_path;
pub mod scan;
pub mod watch;
