//! `svctl` against real trees, a real `supervise`, terminals, closed pipes, and status roots of other users.

#[path = "../common/mod.rs"]
mod common;
mod fixture;

mod faults;
mod logs;
mod probes;
mod single;
mod steering;
mod terminal;
