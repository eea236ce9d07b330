//! The child's side: raw system calls only, no allocation, no indexing, nothing that can panic.

use super::change::{Change, Decimal, Ids, Part};
use std::ffi::{CStr, c_int, c_long};

/// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`: 64 bits, as two halves.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Capabilities are numbered below this.
const CAPABILITIES_MAX: u32 = 64;

/// `IOPRIO_WHO_PROCESS`.
const IO_PROCESS: c_long = 1;

type Failure = (Part, c_int);

impl Change {
    /// Enters the cgroup. It comes before the session, so that not even a moment of the service is outside.
    pub fn enter_cgroup(&self) -> Result<(), Failure> {
        let Some(path) = &self.cgroup else { return Ok(()) };
        put(path, b"0").map_err(|errno| (Part::Cgroup, errno))
    }

    /// What only root may do, or what does not depend on the user.
    pub fn apply_as_root(&self) -> Result<(), Failure> {
        for limit in &self.limits {
            let value = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
            call(libc::SYS_prlimit64, [0, limit.resource.number(), (&raw const value) as c_long, 0, 0])
                .map_err(|errno| (Part::Limit(limit.resource), errno))?;
        }
        if let Some(nice) = self.nice {
            call(libc::SYS_setpriority, [libc::PRIO_PROCESS as c_long, 0, nice as c_long, 0, 0])
                .map_err(|errno| (Part::Nice, errno))?;
        }
        if let Some(class) = self.io_class {
            call(libc::SYS_ioprio_set, [IO_PROCESS, 0, class as c_long, 0, 0])
                .map_err(|errno| (Part::IoClass, errno))?;
        }
        if let Some(score) = &self.oom_score {
            put_oom_score(score).map_err(|errno| (Part::OomScore, errno))?;
        }
        if !self.cpus.is_empty() {
            let size = size_of_val(self.cpus.as_slice()) as c_long;
            call(libc::SYS_sched_setaffinity, [0, size, self.cpus.as_ptr() as c_long, 0, 0])
                .map_err(|errno| (Part::Cpus, errno))?;
        }
        if let Some(umask) = self.umask {
            // It cannot fail.
            let _ = call(libc::SYS_umask, [umask as c_long, 0, 0, 0, 0]);
        }
        Ok(())
    }

    /// From the groups on, to the working directory.
    pub fn apply_as_user(&self) -> Result<(), Failure> {
        self.take_ids()?;
        if self.no_new_privileges {
            prctl(libc::PR_SET_NO_NEW_PRIVS, [1, 0, 0]).map_err(|errno| (Part::NoNewPrivileges, errno))?;
        }
        if let Some(directory) = &self.directory {
            call(libc::SYS_chdir, [directory.as_ptr() as c_long, 0, 0, 0, 0])
                .map_err(|errno| (Part::Directory, errno))?;
        }
        Ok(())
    }

    fn take_ids(&self) -> Result<(), Failure> {
        let capabilities = |errno| (Part::Capabilities, errno);
        if let Some(kept) = self.capabilities {
            // While we still have CAP_SETPCAP.
            limit_bounding_set(kept).map_err(capabilities)?;
        }
        let Ids { uid, gid, groups } = &self.ids;
        if let Some(groups) = groups {
            call(libc::SYS_setgroups, [groups.len() as c_long, groups.as_ptr() as c_long, 0, 0, 0])
                .map_err(|errno| (Part::Groups, errno))?;
        }
        if let Some(gid) = *gid {
            let gid = gid as c_long;
            call(libc::SYS_setresgid, [gid, gid, gid, 0, 0]).map_err(|errno| (Part::User, errno))?;
        }
        if let Some(uid) = *uid {
            if self.capabilities.is_some_and(|kept| kept != 0) {
                prctl(libc::PR_SET_KEEPCAPS, [1, 0, 0]).map_err(capabilities)?;
            }
            let uid = uid as c_long;
            call(libc::SYS_setresuid, [uid, uid, uid, 0, 0]).map_err(|errno| (Part::User, errno))?;
        }
        match (self.capabilities, *uid) {
            (Some(kept), _) => set_capabilities(kept).map_err(capabilities),
            // The kernel has taken them away with the change from uid 0, but neither the inheritable ones, nor any if its
            // caller has told it not to (`SECBIT_NO_SETUID_FIXUP`).
            (None, Some(uid)) if uid != 0 => set_capabilities(0).map_err(capabilities),
            (None, _) => Ok(()),
        }
    }
}

/// Takes all but `kept` out of the bounding set, so that not even a program of root's, or a set-uid one, gets them back.
fn limit_bounding_set(kept: u64) -> Result<(), c_int> {
    for capability in 0..CAPABILITIES_MAX {
        match prctl(libc::PR_CAPBSET_READ, [capability as c_long, 0, 0]) {
            // The kernel knows no more.
            Err(libc::EINVAL) => break,
            Err(errno) => return Err(errno),
            Ok(1) if kept & (1u64 << capability) == 0 => {
                prctl(libc::PR_CAPBSET_DROP, [capability as c_long, 0, 0])?;
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Makes `kept` the effective, permitted, inheritable and ambient capabilities.
fn set_capabilities(kept: u64) -> Result<(), c_int> {
    // The header and the two halves of `capset(2)`: version and pid; effective, permitted, inheritable.
    let header = [CAPABILITY_VERSION, 0];
    let (low, high) = (kept as u32, (kept >> 32) as u32);
    let sets = [low, low, low, high, high, high];
    clear_ambient()?;
    call(libc::SYS_capset, [header.as_ptr() as c_long, sets.as_ptr() as c_long, 0, 0, 0])?;
    for capability in 0..CAPABILITIES_MAX {
        if kept & (1u64 << capability) != 0 {
            prctl(libc::PR_CAP_AMBIENT, [libc::PR_CAP_AMBIENT_RAISE as c_long, capability as c_long, 0])?;
        }
    }
    Ok(())
}

fn clear_ambient() -> Result<(), c_int> {
    match prctl(libc::PR_CAP_AMBIENT, [libc::PR_CAP_AMBIENT_CLEAR_ALL as c_long, 0, 0]) {
        // A kernel that knows no ambient set has nothing in it.
        Ok(_) | Err(libc::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The capabilities that we may hand on: those permitted to us and in our bounding set, a bit each.
pub fn own_capabilities() -> u64 {
    let header = [CAPABILITY_VERSION, 0];
    let mut sets = [0u32; 6];
    let asked = call(libc::SYS_capget, [header.as_ptr() as c_long, sets.as_mut_ptr() as c_long, 0, 0, 0]);
    let [_, low, _, _, high, _] = sets;
    let permitted = if asked.is_ok() { u64::from(high) << 32 | u64::from(low) } else { 0 };
    let bounding = |capability: &u32| prctl(libc::PR_CAPBSET_READ, [*capability as c_long, 0, 0]) == Ok(1);
    (0..CAPABILITIES_MAX).filter(bounding).map(|capability| 1u64 << capability).sum::<u64>() & permitted
}

/// Has the OOM killer take this process before others, or after them.
pub fn put_oom_score(score: &Decimal) -> Result<(), c_int> {
    put(c"/proc/self/oom_score_adj", score.text())
}

/// Writes `text` into the file at `path` in one go. The descriptor is the lowest free one, for a moment.
fn put(path: &CStr, text: &[u8]) -> Result<(), c_int> {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NOCTTY) as c_long;
    let file = call(libc::SYS_openat, [libc::AT_FDCWD as c_long, path.as_ptr() as c_long, flags, 0, 0])?;
    let written = call(libc::SYS_write, [file, text.as_ptr() as c_long, text.len() as c_long, 0, 0]);
    let _ = call(libc::SYS_close, [file, 0, 0, 0, 0]);
    written.map(drop)
}

fn prctl(option: c_int, [a, b, c]: [c_long; 3]) -> Result<c_long, c_int> {
    call(libc::SYS_prctl, [option as c_long, a, b, c, 0])
}

/// A raw system call of up to five words; the errno as the error.
fn call(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> Result<c_long, c_int> {
    // SAFETY: the callers in this file pass numbers, or pointers to memory that lives through the call and has
    // the layout that the kernel wants for it.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    match result {
        // SAFETY: the address of this thread's errno is always valid.
        -1 => Err(unsafe { *libc::__errno_location() }),
        value => Ok(value),
    }
}
