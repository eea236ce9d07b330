//! What is left of a process group whose leader has ended while nobody supervised it.
//!
//! The number alone proves nothing: once a group's last member is gone, the kernel may give its number to a new process,
//! which may lead a group of its own, and end. So one of the members has to be known as ours by what it writes to.

use crate::sys::files::file_id::FileId;
use crate::sys::process::record::ProcessRecord;
use crate::sys::process::stat::Stat;
use nix::unistd::Pid;

/// Whether the group that the `recorded` process led is still there, and certainly that group: its leader is gone, and a
/// member writes to one of the `outputs` that the leader was started with.
pub fn outlives(recorded: &ProcessRecord, outputs: &[FileId]) -> bool {
    // As long as any member lives, nobody else gets the number; so whoever has it is the leader, or the group is gone.
    if !matches!(Stat::read(recorded.pid), Ok(None)) {
        return false;
    }
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
    pids.into_iter().any(|pid| group_of(pid) == Some(recorded.pid) && writes_to(pid, outputs))
}

fn group_of(pid: Pid) -> Option<Pid> {
    Stat::read(pid).ok()??.group()
}

fn writes_to(pid: Pid, outputs: &[FileId]) -> bool {
    let file = |number| std::fs::metadata(format!("/proc/{pid}/fd/{number}")).ok();
    [1, 2].into_iter().filter_map(file).any(|file| outputs.contains(&FileId::of(&file)))
}
