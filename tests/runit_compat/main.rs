//! `--runit-compat`: Debian's own `sv`, `svc`, `svstat` and `svok` on the tree, and beside it on a real `runsv`.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod fixture;

mod beside;
mod controls;
mod files;
mod links;
mod others;
mod switching;
