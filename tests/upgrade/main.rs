//! SIGUSR2: the tree replaces itself, and nobody notices.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod fixture;

mod faults;
mod kept;
mod programs;
