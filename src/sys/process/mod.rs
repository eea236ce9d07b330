//! Processes: started, waited for, signalled, recorded, reaped.
//!
//! | file | what it wraps |
//! |---|---|
//! | [`start`] | a new process: `clone` as vfork with shared descriptors, everything opened by path in the child |
//! | [`plan`] | what a start is made of, and its steps |
//! | `child` | the child's side of that, until `execve` |
//! | [`hold`] | the pipe that the child holds before it has opened it |
//! | `stack` | the stack that the child has until then |
//! | [`pidfd`] | waiting for a process and signalling it without a race on its number |
//! | [`record`] | which process it was, recorded so that a later supervisor finds it again |
//! | [`stat`] | what `/proc/PID/stat` says of a process |
//! | [`group`] | what is left of a process group whose leader is gone |
//! | [`orphans`] | reaping what was re-parented to us (child subreaper, PID 1) |
//! | [`oom`] | what the OOM killer is told of this process |
//! | [`setup`] | what a program sets up once: descriptor limit, umask, allocator, kernel check |
//! | [`isolate`] | running what another user controls, which gets nothing of ours |
//! | [`detach`] | leaving the terminal, with the result reported to the waiting parent |

mod child;
pub mod detach;
pub mod group;
pub mod hold;
pub mod isolate;
pub mod oom;
pub mod orphans;
pub mod pidfd;
pub mod plan;
pub mod record;
pub mod setup;
mod stack;
pub mod start;
pub mod stat;
