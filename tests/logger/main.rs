//! supervise-log, as a process beside others.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod archive;
#[path = "../common/mod.rs"]
mod common;
mod idle;
mod in_tree;
mod kill;
mod kill_all;
mod last_words;
mod lines;
mod pipe;
mod shown;
mod standard_output;
mod trouble;
