//! What a module uses of the machine: of its control group if it has one of its own, else of its run process.

use crate::ctl::root::Module;
use crate::service::context::cgroup;
use crate::sys::context::cgroup::{Group, Hierarchy};
use crate::sys::process::stat::Stat;
use nix::unistd::Pid;
use std::cell::OnceCell;
use std::time::Duration;

/// What the kernel says at one moment; `None` for what it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes in the control group; the kernel does not count those of a process.
    pub processes: Option<usize>,
    /// Processor time since the start.
    pub processor_time: Option<Duration>,
}

/// The hierarchy of control groups, looked for once for all modules.
#[derive(Debug)]
pub struct Groups(Option<Hierarchy>);

impl Groups {
    /// Looks for it.
    pub fn find() -> Groups {
        Groups(Hierarchy::find())
    }

    fn of(&self, module: &Module, pid: u32) -> Option<Group> {
        let directory = std::path::absolute(module.dir.path()).ok()?;
        cgroup::of_process(self.0.as_ref()?, Pid::from_raw(i32::try_from(pid).ok()?), &module.json(), &directory)
    }
}

impl Usage {
    /// That of the module whose run process is `pid`.
    pub fn of(module: &Module, pid: u32, groups: &Groups) -> Usage {
        let group = groups.of(module, pid);
        let group = group.as_ref();
        let stat = OnceCell::new();
        let stat = || stat.get_or_init(|| self::stat(pid)).as_ref();
        Usage {
            memory: group.and_then(|group| group.memory()).or_else(|| stat()?.resident_memory()),
            processes: group.and_then(|group| group.processes().ok()).map(|all| all.len()),
            processor_time: group
                .and_then(|group| group.processor_time())
                .or_else(|| stat()?.processor_time())
                .map(Duration::from_nanos),
        }
    }
}

/// How many processes are in the process group that `pid` leads; one that leads none counts alone.
pub fn processes_of_group(pid: u32) -> usize {
    let group_of = |pid: u32| stat(pid)?.group().map(|group| group.as_raw().unsigned_abs());
    let Ok(entries) = std::fs::read_dir("/proc") else { return 1 };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|other| group_of(*other) == Some(pid)).count().max(1)
}

fn stat(pid: u32) -> Option<Stat> {
    Stat::read(Pid::from_raw(pid.cast_signed())).ok()?
}
