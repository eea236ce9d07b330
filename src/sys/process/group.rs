//! What is left of a process group whose leader has ended.
//!
//! The number alone proves nothing: once a group's last member is gone, the kernel may give its number to a new process,
//! which may lead a group of its own, and end. Whoever has seen the leader end has its descriptor, which stands for that very
//! group. Where nobody has, one of the members has to be known as ours by what it writes to.

use crate::sys::files::file_id::FileId;
use crate::sys::process::pidfd::{self, Pidfd};
use crate::sys::process::record::ProcessRecord;
use crate::sys::process::stat::Stat;
use crate::sys::threads::poll::{self, PollSource};
use crate::sys::time::Mono;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::fmt::{self, Display, Formatter};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long to wait until what was killed is reaped. The main thread of a tree is quick; somebody else's PID 1 may not be, and
/// old kernels do not tell.
const REAP_WAIT: Duration = Duration::from_millis(100);

/// A process group whose leader was reaped, and that has members all the same.
#[derive(Debug)]
pub struct LeftGroup {
    leader: Pid,
    /// The leader's; `None` when descriptors have run out, or nobody has seen it end.
    pidfd: Option<Pidfd>,
}

/// A process of a group.
#[derive(Debug)]
pub struct Member {
    /// Its pid.
    pub pid: Pid,
    /// It has not ended. One that has keeps its pid until it is reaped.
    pub lives: bool,
    name: String,
}

impl Display for Member {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.pid, self.name)
    }
}

impl LeftGroup {
    /// What is left of the group of `leader`, which has been reaped just now; `None` if nothing is, or it led no group.
    pub fn of(leader: Pid, pidfd: &Pidfd) -> Option<LeftGroup> {
        match signal(leader, Some(pidfd), 0) {
            Ok(()) | Err(Errno::EPERM) => Some(LeftGroup { leader, pidfd: pidfd.try_clone().ok() }),
            Err(_) => None,
        }
    }

    /// What is left of the group that the `recorded` process led, which ended while nobody supervised it; `None` if nothing
    /// certainly is: a member writes to one of the `outputs` that the leader was started with.
    pub fn recorded(recorded: &ProcessRecord, outputs: &[FileId]) -> Option<LeftGroup> {
        outlives(recorded, outputs).then_some(LeftGroup { leader: recorded.pid, pidfd: None })
    }

    /// Whether anything is left.
    pub fn exists(&self) -> bool {
        matches!(signal(self.leader, self.pidfd.as_ref(), 0), Ok(()) | Err(Errno::EPERM))
    }

    /// The process that has led it.
    pub fn leader(&self) -> Pid {
        self.leader
    }

    /// Who is in it.
    pub fn members(&self) -> Vec<Member> {
        let of = |pid: Pid| {
            let stat = Stat::read(pid).ok().flatten().filter(|stat| stat.group() == Some(self.leader))?;
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Some(Member { pid, lives: !stat.has_ended(), name: name.trim_end().into() })
        };
        processes().filter_map(of).collect()
    }

    /// Kills what is left.
    pub fn kill(&self) {
        // It may have ended just now.
        let _ = signal(self.leader, self.pidfd.as_ref(), libc::SIGKILL);
    }

    /// Waits for the end of these `members`, at most for `timeout`.
    pub fn wait(members: &[Member], timeout: Duration) {
        wait_for_end(&pidfds(members), Mono::now() + timeout);
    }

    /// Kills what is left, of which these `members` are known, and waits for their end, at most for `timeout`.
    pub fn kill_and_wait(&self, members: &[Member], timeout: Duration) {
        // Before the signal: afterwards a pid may be somebody else's.
        let pidfds = pidfds(members);
        self.kill();
        let until = Mono::now() + timeout;
        wait_for_end(&pidfds, until);
        // Programs that look with `kill -0` for their predecessors take one that is not reaped for alive.
        let until = until.min(Mono::now() + REAP_WAIT);
        for pidfd in &pidfds {
            let [_reaped] = poll::wait([Some(PollSource::HungUp(pidfd.as_fd()))], Some(until));
        }
    }
}

fn pidfds(members: &[Member]) -> Vec<Pidfd> {
    members.iter().filter_map(|member| Pidfd::open(member.pid).ok()).collect()
}

/// Waits until all of these have ended, at most `until` then.
fn wait_for_end(pidfds: &[Pidfd], until: Mono) {
    for pidfd in pidfds {
        let [_ended] = poll::wait([Some(PollSource::Readable(pidfd.as_fd()))], Some(until));
    }
}

fn signal(leader: Pid, pidfd: Option<&Pidfd>, number: i32) -> Result<(), Errno> {
    match pidfd.map_or(Err(Errno::EINVAL), |pidfd| pidfd.signal_group(number)) {
        // As long as any member lives, nobody else gets the number; so whoever has it leads another group.
        Err(Errno::EINVAL) if matches!(Stat::read(leader), Ok(None)) => pidfd::signal_group(leader, number),
        Err(Errno::EINVAL) => Err(Errno::ESRCH),
        other => other,
    }
}

/// Whether the group that the `recorded` process led is still there, and certainly that group: its leader is gone, and a
/// member writes to one of the `outputs` that the leader was started with.
fn outlives(recorded: &ProcessRecord, outputs: &[FileId]) -> bool {
    // As long as any member lives, nobody else gets the number; so whoever has it is the leader, or the group is gone.
    if pidfd::signal_group(recorded.pid, 0) == Err(Errno::ESRCH) || !matches!(Stat::read(recorded.pid), Ok(None)) {
        return false;
    }
    processes().any(|pid| group_of(pid) == Some(recorded.pid) && writes_to(pid, outputs))
}

/// All that can be seen.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw)
}

fn group_of(pid: Pid) -> Option<Pid> {
    Stat::read(pid).ok()??.group()
}

fn writes_to(pid: Pid, outputs: &[FileId]) -> bool {
    let file = |number| std::fs::metadata(format!("/proc/{pid}/fd/{number}")).ok();
    [1, 2].into_iter().filter_map(file).any(|file| outputs.contains(&FileId::of(&file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    /// A group whose leader has ended, and its one member, by a pid that the leader has told.
    fn left(script: &str) -> (Pid, Pidfd, String) {
        let mut leader = Command::new("/bin/sh");
        leader.args(["-c", script]).process_group(0).stdout(Stdio::piped());
        let mut leader = leader.spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(leader.id()).unwrap());
        let pidfd = Pidfd::open(pid).unwrap();
        let output = std::io::read_to_string(leader.stdout.take().unwrap()).unwrap();
        leader.wait().unwrap();
        (pid, pidfd, output)
    }

    #[test]
    fn what_outlives_its_leader_is_named_and_killed() {
        let (leader, pidfd, member) = left("exec 3>&1; sleep 1000 >/dev/null 3>&- & echo $!");
        let left = LeftGroup::of(leader, &pidfd).unwrap();
        let members = left.members();
        let [only] = members.as_slice() else { panic!("{members:?}") };
        assert_eq!(only.pid.to_string(), member.trim());
        left.kill_and_wait(&members, Duration::from_secs(10));
        assert!(left.members().iter().all(|member| !member.lives));
    }

    #[test]
    fn of_a_leader_without_others_nothing_is_left() {
        let (leader, pidfd, _) = left("exit 0");
        assert!(LeftGroup::of(leader, &pidfd).is_none());
        assert_eq!(signal(leader, None, 0), Err(Errno::ESRCH), "so it is by number");
    }
}
