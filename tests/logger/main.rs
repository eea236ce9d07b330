//! supervise-log, as a process beside others.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod archive;
mod kill;
mod lines;
mod pipe;
mod trouble;
