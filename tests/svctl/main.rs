//! `svctl` against real trees, a real `supervise`, terminals, closed pipes, and status roots of other users.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod fixture;

mod default_root;
mod faults;
mod idempotence;
mod logs;
mod metrics;
mod monitor;
mod not_begun;
mod order;
mod outdated;
mod probes;
mod settings;
mod single;
mod steering;
mod terminal;
