//! What a supervisor costs while nothing happens: wakeups, processor time, descriptors, memory.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Wakeups and processor time of processes up to now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Activity {
    /// Context switches of all threads.
    pub wakeups: u64,
    /// Processor time in nanoseconds.
    pub cpu: u64,
}

/// What all threads of `pids` have done up to now.
pub fn activity(pids: &[i32]) -> Activity {
    let mut sum = Activity::default();
    for task in pids.iter().flat_map(|pid| entries(&format!("/proc/{pid}/task"))) {
        let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
        let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
        sum.wakeups += switches.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum::<u64>();
        let times = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        sum.cpu += times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
    }
    sum
}

/// Open descriptors of all `pids`.
pub fn descriptors(pids: &[i32]) -> usize {
    pids.iter().map(|pid| entries(&format!("/proc/{pid}/fd")).len()).sum()
}

fn entries(dir: &str) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// How memory is measured on this machine.
pub enum Memory {
    /// By a memory cgroup of ours: all of the supervisors and services, the kernel's part included.
    Cgroup(PathBuf),
    /// By the proportional set sizes of the supervisors and 16 KiB for the kernel stack of each thread.
    Pss,
}

impl Memory {
    /// By a cgroup if we may make one.
    pub fn new() -> Memory {
        let ours = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path =
            |prefix: &str| ours.lines().find_map(|line| line.split_once(prefix)).map(|(_, path)| path.to_owned());
        let v1 = path(":memory:").map(|path| format!("/sys/fs/cgroup/memory{path}"));
        let v2 = path("0::").map(|path| format!("/sys/fs/cgroup{path}"));
        for parent in [v1, v2].into_iter().flatten() {
            let dir = Path::new(&parent).join(format!("supervise-tree-bench-{}", std::process::id()));
            if std::fs::create_dir(&dir).is_ok() {
                if dir.join("memory.stat").exists() && dir.join("cgroup.procs").exists() {
                    return Memory::Cgroup(dir);
                }
                let _ = std::fs::remove_dir(&dir);
            }
        }
        Memory::Pss
    }

    /// What it is, for the report.
    pub fn describe(&self) -> &'static str {
        match self {
            Memory::Cgroup(_) => "memory cgroup, user and kernel memory without page cache, less that of the floor",
            Memory::Pss => "proportional set size of the supervisors and 16 KiB for each of their threads",
        }
    }

    /// Starts `command` where it is measured, and gives its pid.
    pub fn spawn(&self, command: Command) -> io::Result<i32> {
        let child = match self {
            Memory::Pss => { command }.spawn()?,
            Memory::Cgroup(dir) => {
                // Through a shell: what it forks is in the group from its first page on.
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(dir.join("cgroup.procs"));
                shell.arg(command.get_program()).args(command.get_args());
                shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
                if let Some(dir) = command.get_current_dir() {
                    shell.current_dir(dir);
                }
                use std::process::Stdio;
                shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?
            }
        };
        Ok(child.id() as i32)
    }

    /// Bytes in use by what was spawned here.
    pub fn used(&self, supervisors: &[i32]) -> u64 {
        match self {
            Memory::Cgroup(dir) => {
                let stat = std::fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
                let field = |name: &str| {
                    let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
                    lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<u64>().ok())
                };
                match field("anon") {
                    Some(anon) => anon + field("kernel").unwrap_or(0),
                    None => {
                        let kernel = std::fs::read_to_string(dir.join("memory.kmem.usage_in_bytes"));
                        field("rss").unwrap_or(0) + kernel.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
                    }
                }
            }
            Memory::Pss => supervisors.iter().map(|pid| pss(*pid)).sum(),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Memory::Cgroup(dir) = self {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

fn pss(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Pss:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0);
    kilobytes * 1024 + entries(&format!("/proc/{pid}/task")).len() as u64 * 16 * 1024
}
