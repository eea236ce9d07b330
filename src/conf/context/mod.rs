//! The context that a service runs in, as its settings say it: values are read here, names are looked up at each start.
//!
//! | file | keys |
//! |---|---|
//! | [`account`] | `user`, `groups`, `status_group`, `control_group` |
//! | [`attributes`] | `umask`, `nice`, `oom_score`, `cpus`, `io_class` |
//! | [`limits`] | `limit_*` |
//! | [`capabilities`] | `capabilities` |
//! | [`variables`] | `env`, `env_file` |
//! | [`cgroup`] | `cgroup`, `memory_max`, `memory_high`, `cpu_max`, `tasks_max` |
//! | [`amounts`] | sizes and times |
//! | [`list`] | lists of which a bad word spoils no good one |

pub mod account;
pub mod amounts;
pub mod attributes;
pub mod capabilities;
pub mod cgroup;
pub mod limits;
pub mod list;
pub mod variables;

use crate::sys::context::Limit;
use crate::sys::fnv;
use account::{Groups, User};
use cgroup::Group;
use variables::{EnvFile, Variable};

/// What a service is to run as. All that is empty is as the supervisor has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The user, and the first group.
    pub user: Option<User>,
    /// Supplementary groups beside those of the database.
    pub groups: Option<Groups>,
    /// The working directory.
    pub directory: Option<String>,
    /// The file mode creation mask.
    pub umask: Option<u32>,
    /// The nice value.
    pub nice: Option<i32>,
    /// The OOM score adjustment.
    pub oom_score: Option<i16>,
    /// The processors, by number.
    pub cpus: Vec<u32>,
    /// The I/O class and level, as `ioprio_set(2)` takes them.
    pub io_class: Option<u16>,
    /// Limits, one for each resource at most.
    pub limits: Vec<Limit>,
    /// No program gains anything by its mode.
    pub no_new_privileges: bool,
    /// The capabilities that are left, a bit each.
    pub capabilities: Option<u64>,
    /// Variables.
    pub env: Vec<Variable>,
    /// Files of variables.
    pub env_file: Vec<EnvFile>,
    /// The environment begins with `PATH` alone.
    pub env_clear: bool,
    /// The control group, and its limits.
    pub group: Group,
}

impl Context {
    /// Whether it is all as the supervisor has it.
    pub fn is_empty(&self) -> bool {
        *self == Context::default()
    }

    /// A fingerprint, by which a later supervisor sees whether it is the same; `None` if it is all as the supervisor has it.
    /// Another version of this program may have another fingerprint for the same.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub fn fingerprint(&self) -> Option<String> {
        let number = || fnv::hash(format!("{self:?}").as_bytes());
        (!self.is_empty()).then(|| format!("{} {:016x}", env!("CARGO_PKG_VERSION"), number()))
    }

    /// Sets a limit in the place of an earlier one of the same resource.
    pub fn set_limit(&mut self, limit: Limit) {
        self.limits.retain(|other| other.resource != limit.resource);
        self.limits.push(limit);
    }
}

/// Reads `yes` or `no`.
///
/// # Errors
/// What is wrong with it.
pub fn yes_or_no(value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("{other:?} is not yes or no")),
    }
}

/// Reads a path: any text without quotes around it.
///
/// # Errors
/// What is wrong with it.
pub fn directory(value: &str) -> Result<Option<String>, String> {
    if value.starts_with(['"', '\'', '~']) {
        Err(format!("{value:?} is taken as it is: without quotes, without ~"))
    } else {
        Ok((!value.is_empty()).then(|| value.to_string()))
    }
}
