//! Control groups, version 2: where they are mounted, which one a process is in, and what can be done with one.
//!
//! Formats: `/proc/PID/cgroup` (cgroups(7)), `/proc/self/mountinfo` (proc(5)), and the files of a group
//! (`Documentation/admin-guide/cgroup-v2.rst` of the kernel).

use crate::sys::files::file;
use crate::sys::threads::poll;
use crate::sys::time::Mono;
use nix::unistd::Pid;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The attribute in which a group's owner is noted.
/// Bytes for the groups of a process, in one read as a rule.
const ROOM: usize = 1024;

const OWNER: &std::ffi::CStr = c"user.supervise_status";

/// The part of the hierarchy that can be seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Which group of the whole hierarchy is at that place.
    root: PathBuf,
}

impl Hierarchy {
    /// The hierarchy of version 2, if it is mounted and can be seen from here.
    pub fn find() -> Option<Hierarchy> {
        mounted(&std::fs::read("/proc/self/mountinfo").ok()?)
    }

    /// The group that `pid` is in; `None` when it is gone, or its group cannot be seen from here.
    pub fn group_of(&self, pid: Pid) -> Option<Group> {
        let text = file::of_kernel(&format!("/proc/{pid}/cgroup"), ROOM).ok()?;
        self.place(&unified(&text)?)
    }

    /// The group that we are in.
    pub fn own(&self) -> Option<Group> {
        let text = std::fs::read("/proc/self/cgroup").ok()?;
        self.place(&unified(&text)?)
    }

    fn place(&self, path: &Path) -> Option<Group> {
        let below = path.strip_prefix(&self.root).ok()?;
        let leads_up = below.components().any(|part| matches!(part, std::path::Component::ParentDir));
        // No slash at the end: the paths of groups are compared.
        let path = if below.as_os_str().is_empty() { self.mount.clone() } else { self.mount.join(below) };
        (!leads_up).then_some(Group { path })
    }
}

/// One group: a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// The group at `path`.
    pub fn at(path: PathBuf) -> Group {
        Group { path }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The group called `name` in this one; it need not exist.
    pub fn child(&self, name: &str) -> Group {
        Group { path: self.path.join(name) }
    }

    /// The group that this one is in.
    pub fn parent(&self) -> Option<Group> {
        self.path.parent().map(|path| Group { path: path.into() })
    }

    /// Whether there is such a group.
    pub fn exists(&self) -> bool {
        self.path.join("cgroup.procs").exists()
    }

    /// Whether it is the root of the whole hierarchy, which may have processes beside groups.
    pub fn is_root(&self) -> bool {
        !self.path.join("cgroup.type").exists()
    }

    /// Makes it. Whether it was not there before.
    ///
    /// # Errors
    /// What `mkdir` gives.
    pub fn make(&self) -> io::Result<bool> {
        match std::fs::create_dir(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes it.
    ///
    /// # Errors
    /// `EBUSY` while there is a process or another group in it, and what `rmdir` gives.
    pub fn remove(&self) -> io::Result<()> {
        std::fs::remove_dir(&self.path)
    }

    /// The processes in it, groups below not counted.
    ///
    /// # Errors
    /// What `open` and `read` give.
    pub fn processes(&self) -> io::Result<Vec<Pid>> {
        let text = std::fs::read_to_string(self.path.join("cgroup.procs"))?;
        // A process that cannot be seen from our pid namespace is a 0.
        Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw).collect())
    }

    /// Moves `pid` into it, all threads together; `None`: us.
    ///
    /// # Errors
    /// What `write` gives: `EBUSY` where groups below have controllers, `EACCES`, `ESRCH`.
    pub fn take(&self, pid: Option<Pid>) -> io::Result<()> {
        self.write("cgroup.procs", &pid.map_or(0, Pid::as_raw).to_string())
    }

    /// Kills every process in it and in the groups below.
    ///
    /// # Errors
    /// What `kill` gives. Before Linux 5.14 there is no `cgroup.kill`; then each process that is seen is killed, again and
    /// again for as long as there are new ones.
    pub fn kill(&self) -> io::Result<()> {
        match self.write("cgroup.kill", "1") {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.exists() => self.kill_each(),
            other => other,
        }
    }

    fn kill_each(&self) -> io::Result<()> {
        /// More rounds than this, and something forks faster than it can be killed.
        const ROUNDS: usize = 100;
        for _ in 0..ROUNDS {
            let processes = self.processes()?;
            if processes.is_empty() {
                break;
            }
            for pid in processes {
                // It may have ended meanwhile.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
        Ok(())
    }

    /// Whether there is a process in it or in a group below; `None` when that cannot be told.
    pub fn is_populated(&self) -> Option<bool> {
        populated(&std::fs::read_to_string(self.path.join("cgroup.events")).ok()?)
    }

    /// Waits until there is no process in it any more. Whether that came about within `timeout`.
    pub fn wait_until_empty(&self, timeout: Duration) -> bool {
        let Ok(mut events) = File::open(self.path.join("cgroup.events")) else { return true };
        let until = Mono::now() + timeout;
        loop {
            let mut text = String::new();
            // A group that is gone has no processes.
            if io::Seek::rewind(&mut events).and_then(|()| events.read_to_string(&mut text)).is_err() {
                return true;
            }
            if populated(&text) != Some(true) {
                return true;
            }
            // A change of a file of the kernel is told as an error, which is told to whoever waits for anything.
            let [_changed] = poll::wait([Some(poll::PollSource::HungUp(events.as_fd()))], Some(until));
            if Mono::now() >= until {
                return self.is_populated() != Some(true);
            }
        }
    }

    /// The controllers that may be used in groups below this one's own parent.
    pub fn controllers(&self) -> Vec<String> {
        words(&std::fs::read_to_string(self.path.join("cgroup.controllers")).unwrap_or_default())
    }

    /// The controllers that groups in this one have.
    pub fn enabled(&self) -> Vec<String> {
        words(&std::fs::read_to_string(self.path.join("cgroup.subtree_control")).unwrap_or_default())
    }

    /// Gives the groups in this one a controller.
    ///
    /// # Errors
    /// What `write` gives: `EBUSY` while there are processes in this group itself, `ENOENT` for a controller that it has not.
    pub fn enable(&self, controller: &str) -> io::Result<()> {
        self.write("cgroup.subtree_control", &format!("+{controller}"))
    }

    /// Writes `text` into one of its files.
    ///
    /// # Errors
    /// What `open` and `write` give.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        std::fs::OpenOptions::new().write(true).open(self.path.join(file))?.write_all(text.as_bytes())
    }

    /// The number in one of its files; `None` where there is no such file, or it says `max`.
    pub fn number(&self, file: &str) -> Option<u64> {
        std::fs::read_to_string(self.path.join(file)).ok()?.trim().parse().ok()
    }

    /// The memory of all its processes, in bytes, if it has that controller.
    pub fn memory(&self) -> Option<u64> {
        self.number("memory.current")
    }

    /// The processor time that all its processes have used since it was made, in nanoseconds.
    pub fn processor_time(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.path.join("cpu.stat")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        line.trim().parse::<u64>().ok()?.checked_mul(1000)
    }

    /// How many processes and threads, or without that controller processes, are in it.
    pub fn tasks(&self) -> Option<u64> {
        self.number("pids.current").or_else(|| self.processes().ok().map(|all| all.len() as u64))
    }

    /// Notes whose it is.
    ///
    /// # Errors
    /// What `setxattr` gives.
    pub fn mark(&self, owner: &Path) -> io::Result<()> {
        let path = file::c_path(&self.path)?;
        let value = owner.as_os_str().as_bytes();
        // SAFETY: both strings end with a NUL and live through the call, and the value has the length that is given.
        let result = unsafe { libc::setxattr(path.as_ptr(), OWNER.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        nix::errno::Errno::result(result).map(drop).map_err(io::Error::from)
    }

    /// Whose it is noted to be, if anybody's.
    pub fn owner(&self) -> Option<PathBuf> {
        let path = file::c_path(&self.path).ok()?;
        let mut value = vec![0u8; libc::PATH_MAX as usize];
        // SAFETY: as in `mark`; the kernel writes no more than the length that is given.
        let length = unsafe { libc::getxattr(path.as_ptr(), OWNER.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        value.truncate(usize::try_from(length).ok()?);
        Some(PathBuf::from(OsString::from_vec(value)))
    }

    /// The file by which a child enters it.
    pub fn entrance(&self) -> CString {
        file::c_path_with_suffix(&self.path, "/cgroup.procs").unwrap_or_default()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Whether `cgroup.events` says that there are processes.
fn populated(events: &str) -> Option<bool> {
    let value = events.lines().find_map(|line| line.strip_prefix("populated "))?;
    match value.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// The first hierarchy of version 2 in a `mountinfo`.
fn mounted(mountinfo: &[u8]) -> Option<Hierarchy> {
    mountinfo.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        (*fields.get(dash + 1)? == b"cgroup2")
            .then(|| Some(Hierarchy { mount: unescaped(fields.get(4)?), root: unescaped(fields.get(3)?) }))?
    })
}

/// A path in `mountinfo`, where blanks and backslashes are written as `\040` and the like.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::new();
    let mut rest = field;
    while let Some((first, more)) = rest.split_first() {
        let digits = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| *first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = more.get(3..).unwrap_or_default();
            }
            None => {
                path.push(*first);
                rest = more;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

/// The group of version 2 in a `/proc/PID/cgroup`: the line `0::PATH`.
fn unified(text: &[u8]) -> Option<PathBuf> {
    let path = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    // The group of a process that outlives it.
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"22 1 0:20 / /proc rw - proc proc rw\n\
        30 22 0:25 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
        31 22 0:26 /ctr/a\\040b /sys/fs/cgroup/uni\\134fied rw,relatime shared:4 master:1 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_mount_is_found_among_others_with_its_escapes() {
        let hierarchy = mounted(MOUNTS).unwrap();
        assert_eq!(hierarchy.mount, Path::new("/sys/fs/cgroup/uni\\fied"));
        assert_eq!(hierarchy.root, Path::new("/ctr/a b"));
        assert_eq!(mounted(b"22 1 0:20 / /proc rw - proc proc rw\n"), None);
        assert_eq!(mounted(b"- cgroup2\n\n-\n"), None);
    }

    #[test]
    fn a_group_is_placed_below_the_mount_or_not_at_all() {
        let hierarchy = mounted(MOUNTS).unwrap();
        let place = |path: &str| hierarchy.place(Path::new(path)).map(|group| group.path);
        assert_eq!(place("/ctr/a b/web"), Some("/sys/fs/cgroup/uni\\fied/web".into()));
        assert_eq!(place("/ctr/a b"), Some("/sys/fs/cgroup/uni\\fied".into()));
        assert_eq!(place("/ctr"), None);
        assert_eq!(place("/ctr/a b/../x"), None);
    }

    #[test]
    fn the_line_of_version_2_is_taken() {
        let text = b"4:memory:/process_api\n0::/system.slice/web.service\n1:cpu:/\n";
        assert_eq!(unified(text), Some("/system.slice/web.service".into()));
        assert_eq!(unified(b"0::/web (deleted)\n"), Some("/web".into()));
        assert_eq!(unified(b"4:memory:/\n"), None);
    }

    #[test]
    fn events_say_whether_anybody_is_there() {
        assert_eq!(populated("populated 1\nfrozen 0\n"), Some(true));
        assert_eq!(populated("frozen 0\npopulated 0\n"), Some(false));
        assert_eq!(populated("frozen 0\n"), None);
    }

    /// A group of its own below ours, where that is possible.
    fn scratch(name: &str) -> Option<Group> {
        let own = Hierarchy::find()?.own()?;
        let group = own.child(&format!("supervise-test-{name}-{}", std::process::id()));
        match group.make() {
            Ok(_) => Some(group),
            Err(error) => {
                eprintln!("not tested: no group of version 2 can be made here: {error}");
                None
            }
        }
    }

    #[test]
    fn a_group_takes_kills_tells_and_goes() {
        let Some(group) = scratch("life") else { return };
        assert!(!group.make().unwrap(), "it is there");
        assert_eq!(group.is_populated(), Some(false));
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        group.take(Some(pid)).unwrap();
        assert_eq!(group.processes().unwrap(), [pid]);
        assert_eq!(Hierarchy::find().unwrap().group_of(pid).unwrap(), group);
        assert_eq!((group.is_populated(), group.tasks()), (Some(true), Some(1)));
        assert!(group.remove().is_err());
        assert!(!group.wait_until_empty(Duration::from_millis(20)));
        group.kill().unwrap();
        child.wait().unwrap();
        assert!(group.wait_until_empty(Duration::from_secs(5)));
        group.remove().unwrap();
        assert!(!group.exists());
    }

    #[test]
    fn a_group_remembers_whose_it_is() {
        let Some(group) = scratch("owner") else { return };
        assert_eq!(group.owner(), None);
        let marked = group.mark(Path::new("/var/status/web"));
        assert_eq!(group.owner(), marked.is_ok().then(|| "/var/status/web".into()));
        group.remove().unwrap();
    }
}
