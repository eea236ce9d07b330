//! Faults of the machine, each made for real: full disks, limits, lost events, planted and vanished files, clocks.
//!
//! What needs mounts or limits of its own runs in namespaces of its own, which any user may have; see [`stage`].

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod stage;

mod clock;
mod disk;
mod events;
mod exchanged;
mod limits;
mod overlay;
mod planted;
mod vanished;
