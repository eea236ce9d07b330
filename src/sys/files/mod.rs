//! Files, opened without ever blocking or following a planted link.
//!
//! | file | what it wraps |
//! |---|---|
//! | [`access`] | group and mode, changed on the open file |
//! | [`mod@file`] | regular files in directories that somebody else may have touched |
//! | [`file_id`] | which file it is, whatever its name |
//! | `births` | on which devices the time at which a file was made stays what it is |
//! | [`fifo`] | FIFOs, opened so that nobody waits for the other end |
//! | [`flock`] | the lock that keeps a second supervisor out |
//! | [`mod@replace`] | new content in the place of a file's old one, in one step |
//! | [`statx`] | one look at what a name leads to |
//! | [`inotify`] | directories watched for changes |
//! | [`removals`] | directories watched for what is removed from them |
//! | [`held`] | directories reached through a descriptor, whoever replaces what is at their paths |
//! | [`listing`] | the names in a small directory |
//! | [`mod@last_lines`] | the last lines of an output that somebody else writes |
//! | [`path_error`] | what went wrong, and at which path |
//! | [`datagrams`] | a socket that receives datagrams with their senders |

pub mod access;
mod births;
pub mod datagrams;
pub mod fifo;
pub mod file;
pub mod file_id;
pub mod flock;
pub mod held;
pub mod inotify;
pub mod last_lines;
pub mod listing;
pub mod path_error;
pub mod removals;
pub mod replace;
pub mod statx;
