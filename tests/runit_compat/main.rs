//! `--runit-compat`: Debian's own `sv`, `svc`, `svstat` and `svok` on the tree, and beside it on a real `runsv`.

#[path = "../common/mod.rs"]
mod common;
mod fixture;

mod beside;
mod controls;
mod files;
mod others;
mod switching;
