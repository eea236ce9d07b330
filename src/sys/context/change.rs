//! The plain data: what a child changes about itself, and the names of the steps.

use nix::errno::Errno;
use std::ffi::{CString, c_long};

/// A resource limit of the kernel (`setrlimit(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(usize);

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Things, or the kernel's own unit.
    Count,
}

/// All limits: the name after `limit_`, the kernel's number, the unit.
const RESOURCES: [(&str, u32, Unit); 16] = [
    ("as", libc::RLIMIT_AS, Unit::Bytes),
    ("core", libc::RLIMIT_CORE, Unit::Bytes),
    ("cpu", libc::RLIMIT_CPU, Unit::Seconds),
    ("data", libc::RLIMIT_DATA, Unit::Bytes),
    ("fsize", libc::RLIMIT_FSIZE, Unit::Bytes),
    ("locks", libc::RLIMIT_LOCKS, Unit::Count),
    ("memlock", libc::RLIMIT_MEMLOCK, Unit::Bytes),
    ("msgqueue", libc::RLIMIT_MSGQUEUE, Unit::Bytes),
    ("nice", libc::RLIMIT_NICE, Unit::Count),
    ("nofile", libc::RLIMIT_NOFILE, Unit::Count),
    ("nproc", libc::RLIMIT_NPROC, Unit::Count),
    ("rss", libc::RLIMIT_RSS, Unit::Bytes),
    ("rtprio", libc::RLIMIT_RTPRIO, Unit::Count),
    ("rttime", libc::RLIMIT_RTTIME, Unit::Count),
    ("sigpending", libc::RLIMIT_SIGPENDING, Unit::Count),
    ("stack", libc::RLIMIT_STACK, Unit::Bytes),
];

/// The keys of the limits, in the order of the table above.
const LIMIT_KEYS: [&str; 16] = [
    "limit_as",
    "limit_core",
    "limit_cpu",
    "limit_data",
    "limit_fsize",
    "limit_locks",
    "limit_memlock",
    "limit_msgqueue",
    "limit_nice",
    "limit_nofile",
    "limit_nproc",
    "limit_rss",
    "limit_rtprio",
    "limit_rttime",
    "limit_sigpending",
    "limit_stack",
];

impl Resource {
    /// All of them, by name.
    pub fn all() -> impl Iterator<Item = Resource> {
        (0..RESOURCES.len()).map(Resource)
    }

    /// The one called `name`.
    pub fn named(name: &str) -> Option<Resource> {
        Resource::all().find(|resource| resource.name() == name)
    }

    /// Its name, as after `limit_`.
    pub fn name(self) -> &'static str {
        RESOURCES.get(self.0).map_or("", |(name, _, _)| name)
    }

    /// The key that sets it.
    pub fn key(self) -> &'static str {
        LIMIT_KEYS.get(self.0).copied().unwrap_or("")
    }

    /// What it counts.
    pub fn unit(self) -> Unit {
        RESOURCES.get(self.0).map_or(Unit::Count, |(_, _, unit)| *unit)
    }

    /// The kernel's number.
    pub(super) fn number(self) -> c_long {
        RESOURCES.get(self.0).map_or(-1, |(_, number, _)| *number as c_long)
    }
}

/// A limit, as the kernel takes it: `u64::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which.
    pub resource: Resource,
    /// What counts now.
    pub soft: u64,
    /// What the soft one may be raised to.
    pub hard: u64,
}

/// What a limit that limits nothing is for the kernel (`RLIM_INFINITY`).
pub const INFINITY: u64 = libc::RLIM_INFINITY;

/// The step that failed, by the name of the key that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Entering the cgroup.
    Cgroup,
    /// Setting a limit.
    Limit(Resource),
    /// Setting the nice value.
    Nice,
    /// Setting the I/O class.
    IoClass,
    /// Setting the OOM score.
    OomScore,
    /// Binding it to processors.
    Cpus,
    /// Setting supplementary groups.
    Groups,
    /// Setting user and group.
    User,
    /// Setting capabilities.
    Capabilities,
    /// Giving up new privileges.
    NoNewPrivileges,
    /// Entering the directory.
    Directory,
    /// Setting up the environment; in the parent alone.
    Environment,
    /// Reading an environment file; in the parent alone.
    EnvFile,
    /// Reading the directory `env`; in the parent alone.
    EnvDir,
    /// Reading the service directory's own settings; in the parent alone.
    Settings,
}

/// The parts but for the limits, in the order of their numbers.
const PARTS: [(Part, &str); 14] = [
    (Part::Cgroup, "cgroup"),
    (Part::Nice, "nice"),
    (Part::IoClass, "io_class"),
    (Part::OomScore, "oom_score"),
    (Part::Cpus, "cpus"),
    (Part::Groups, "groups"),
    (Part::User, "user"),
    (Part::Capabilities, "capabilities"),
    (Part::NoNewPrivileges, "no_new_privileges"),
    (Part::Directory, "directory"),
    (Part::Environment, "env"),
    (Part::EnvFile, "env_file"),
    (Part::EnvDir, "env/"),
    (Part::Settings, "supervise.conf"),
];

/// Where the numbers of limits begin.
const LIMITS_FROM: u32 = 64;

impl Part {
    /// The key.
    pub fn name(self) -> &'static str {
        match self {
            Part::Limit(resource) => resource.key(),
            other => PARTS.iter().find(|(part, _)| *part == other).map_or("", |(_, name)| name),
        }
    }

    /// What an errno means here, where its text does not say it.
    pub fn hint(self, errno: Errno) -> &'static str {
        match (self, errno) {
            (Part::User | Part::Groups, Errno::EPERM) => " (only root may change the user)",
            (Part::User, Errno::EAGAIN) => " (too many processes of this user)",
            (Part::User | Part::Groups, Errno::EINVAL) => " (no such number in this user namespace)",
            (Part::Limit(resource), Errno::EPERM) if resource.name() == "nofile" => {
                " (above the hard limit, which only root with CAP_SYS_RESOURCE may raise, or above fs.nr_open)"
            }
            (Part::Limit(_), Errno::EPERM) => {
                " (above the hard limit, which only root with CAP_SYS_RESOURCE may raise)"
            }
            (Part::Nice | Part::IoClass, Errno::EPERM | Errno::EACCES) => {
                " (only root may ask for more than others get)"
            }
            (Part::OomScore, Errno::EPERM | Errno::EACCES) => " (only root with CAP_SYS_RESOURCE may lower it)",
            (Part::OomScore, Errno::ENOENT) => " (is /proc mounted?)",
            (Part::Cpus, Errno::EINVAL) => " (none of these processors may be used here)",
            (Part::Capabilities, Errno::EPERM) => " (only who has them, and CAP_SETPCAP, may hand them on)",
            (Part::Directory, Errno::EACCES) => " (for the user that it runs as)",
            (Part::Cgroup, Errno::EBUSY) => " (there are groups in the group)",
            _ => "",
        }
    }

    /// A number for it, from which [`Part::from_number`] makes it again: the child can hand over no more.
    pub fn number(self) -> u32 {
        match self {
            Part::Limit(resource) => LIMITS_FROM.wrapping_add(resource.0 as u32),
            Part::Cgroup => 0,
            Part::Nice => 1,
            Part::IoClass => 2,
            Part::OomScore => 3,
            Part::Cpus => 4,
            Part::Groups => 5,
            Part::User => 6,
            Part::Capabilities => 7,
            Part::NoNewPrivileges => 8,
            Part::Directory => 9,
            Part::Environment => 10,
            Part::EnvFile => 11,
            Part::EnvDir => 12,
            Part::Settings => 13,
        }
    }

    /// The part that has this number.
    pub fn from_number(number: u32) -> Option<Part> {
        match number.checked_sub(LIMITS_FROM) {
            Some(at) => Resource::all().nth(at as usize).map(Part::Limit),
            None => PARTS.get(number as usize).map(|(part, _)| *part),
        }
    }
}

/// A number in decimal, for a file of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: [u8; 8],
    length: usize,
}

impl Decimal {
    /// The text of `number`, which has at most seven digits.
    pub fn new(number: i16) -> Decimal {
        let mut decimal = Decimal { digits: [0; 8], length: 0 };
        for (place, byte) in decimal.digits.iter_mut().zip(number.to_string().bytes()) {
            *place = byte;
            decimal.length += 1;
        }
        decimal
    }

    /// The text.
    pub(in crate::sys) fn text(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or(b"0")
    }
}

/// The user and groups that a child takes on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ids {
    /// Real, effective and saved uid.
    pub uid: Option<u32>,
    /// Real, effective and saved gid.
    pub gid: Option<u32>,
    /// Supplementary groups.
    pub groups: Option<Vec<u32>>,
}

/// What a child changes about itself. What is `None` or empty costs no system call.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The file `cgroup.procs` of the group that it enters.
    pub cgroup: Option<CString>,
    /// Limits.
    pub limits: Vec<Limit>,
    /// Nice value, -20 to 19.
    pub nice: Option<i32>,
    /// I/O class and level, as `ioprio_set(2)` takes them.
    pub io_class: Option<u16>,
    /// OOM score adjustment, -1000 to 1000.
    pub oom_score: Option<Decimal>,
    /// The processors that it may run on, a bit each.
    pub cpus: Vec<u64>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// User and groups.
    pub ids: Ids,
    /// The capabilities that it keeps, a bit each; `None`: what is left by itself.
    pub capabilities: Option<u64>,
    /// No program that it executes gains anything by its mode.
    pub no_new_privileges: bool,
    /// Working directory.
    pub directory: Option<CString>,
}

impl Change {
    /// Whether the child may become another user, or one who may do less.
    pub fn changes_user(&self) -> bool {
        self.ids != Ids::default() || self.capabilities.is_some()
    }
}

/// The shift of the class in `ioprio_set(2)`'s number.
pub const IO_CLASS_SHIFT: u16 = 13;

/// Every part, for tests.
#[cfg(test)]
pub(super) fn parts() -> Vec<Part> {
    PARTS.iter().map(|(part, _)| *part).chain(Resource::all().map(Part::Limit)).collect()
}
