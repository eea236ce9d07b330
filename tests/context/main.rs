//! The context that a service runs in, by the kernel's own account. Most of it needs root.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod account;
mod attributes;
mod calls;
mod check;
mod environment;
mod group;
mod names;
mod own_file;
mod refused;

use common::*;

/// Whether we are root with everything that root may do.
pub fn is_root() -> bool {
    let all = proc_status(std::process::id(), "CapEff");
    let root =
        nix::unistd::geteuid().is_root() && u64::from_str_radix(all.trim(), 16).is_ok_and(|all| all.count_ones() > 30);
    if !root {
        common::host::skipped("needs root with all capabilities");
    }
    root
}

/// Whether we may raise limits, and lower an OOM score: `CAP_SYS_RESOURCE`, which containers seldom have.
pub fn may_raise() -> bool {
    let all = u64::from_str_radix(proc_status(std::process::id(), "CapEff").trim(), 16).unwrap_or(0);
    all & 1 << 24 != 0
}

/// A field of a process's status in `/proc`, its blanks made single.
pub fn field(pid: u32, name: &str) -> String {
    proc_status(pid, name).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The variables of a process.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let environ = String::from_utf8_lossy(&proc_words(pid, "environ")).into_owned();
    environ.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

/// A place that other users may look into: a temporary directory is its owner's alone.
pub fn open_place() -> Place {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    place
}
