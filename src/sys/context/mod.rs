//! What a service runs as: what a child changes about itself before it executes its program: group of processes, limits, priorities, user.
//!
//! [`Change`] is plain data, built in the parent, where names are looked up and files are read. [`Change::apply_as_root`] and
//! [`Change::apply_as_user`] are called in the child, under the rules of `process/start.rs`: raw system calls only, no allocation, no
//! indexing, nothing that can panic.
//!
//! The order is that of the manual: cgroup, (session,) limits, nice, I/O class, OOM score, processors, file mode creation
//! mask, groups, gid, uid, capabilities, no_new_privileges, directory. Limits come while we are still root, who alone may
//! raise them. The directory comes last, so that it is entered as the user.
//!
//! | file | what is in it |
//! |---|---|
//! | [`change`] | the plain data, and the names of the steps |
//! | `apply` | the child's side |
//! | [`refusal`] | why there is no child at all |
//! | [`accounts`] | users and groups by name, looked up on a thread of their own |
//! | [`cgroup`] | control groups of version 2 |

pub mod accounts;
mod apply;
pub mod cgroup;
pub mod change;
pub mod refusal;
#[cfg(test)]
mod tests;

pub use apply::own_capabilities;
pub(super) use apply::put_oom_score;
pub use change::{Change, Decimal, INFINITY, IO_CLASS_SHIFT, Ids, Limit, Part, Resource, Unit};
pub use refusal::Refusal;
