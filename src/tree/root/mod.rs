//! The services root: what is in it, and when that changes.
//!
//! | file | what is in it |
//! |---|---|
//! | [`trust`] | who may write what is executed as root |
//! | [`scanner`] | which names to look at, what each of them is, and when to look again |
//! | [`scan`] | what a directory entry is: a service, one that may become one, or nothing of ours |
//! | [`debounce`] | directories that are not complete yet |
//! | [`watch`] | inotify: which names have changed |
//! | [`root_path`] | whether the root's path still leads to the same directory |
//! | [`watch_error`] | what could not be watched, and why |

pub mod debounce;
pub mod root_path;
pub mod scan;
pub mod scanner;
pub mod trust;
pub mod watch;
pub mod watch_error;
