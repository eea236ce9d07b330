//! supervise-tree: a process supervisor for Linux.
//!
//! # How a new directory becomes a running process
//!
//! 1. A directory `web` with an executable `run` appears in the services root. inotify tells
//!    [`tree::root::watch`], which notes the name and wakes the main loop.
//! 2. The main loop ([`tree::run`]) looks at the name with [`tree::root::scan`]: it is a service. If the directory was made
//!    here, file by file, it waits until that has been quiet for 50 ms ([`tree::root::debounce`]). Then it hands it to the
//!    [`tree::roster`], which starts a supervisor thread for it, and one more for its `log/` if it has one.
//! 3. The thread ([`supervisor::begin::retry`], then [`supervisor::thread`]) makes `status/web`, takes its lock, opens its FIFOs,
//!    and gives its [`machine`] the first event: *begin*.
//! 4. The machine, a pure function of state, event and time, answers with actions: run `control/u` if there is one, then
//!    *start*. `supervisor/actions.rs` carries them out.
//! 5. [`service`] knows what a start means for a service directory, and works out the context that the settings ask for
//!    ([`service::context`]). [`sys::process::start`] does it: `clone` as vfork, everything opened by path in the child,
//!    `execve`. The thread gives the machine the pid.
//! 6. The thread waits: for the process's descriptor, the control FIFO, requests of the tree, and the machine's deadline,
//!    if there is one. The files of the status directory and the log follow: after a start or a signal once the new
//!    program has had the processor (`supervisor/report/deferral.rs`), in all other cases at once (`supervisor/report/turn.rs`).
//!    While nothing happens, nothing runs.
//!
//! When the process ends, its descriptor becomes readable, the thread reaps it and tells the machine, and
//! `Machine::judge` (in `machine/steps/ending.rs`) decides whether it is started again. A byte on the control FIFO
//! is one more event. When the directory goes away, the roster asks the thread to leave; the machine stops the
//! process first.
//!
//! Two rules are not obvious, and everything rests on them:
//!
//! - **A thread waits for its own child alone.** Nobody calls `wait` for any process but the main thread, which reaps
//!   orphans and never sees a service. So no exit status is lost to somebody else.
//! - **A child records itself before it does anything else** ([`sys::process::record`]): its pid, start time and boot stand in
//!   the lock file before the supervisor could be killed without it. So the next supervisor finds every process that was
//!   ever started, and never starts a second copy.
//!
//! With `--runit-compat`, the thread keeps the files of runit's `runsv` beside ours ([`supervisor::runit`],
//! [`status::runit_files`]); a service directory that somebody else supervises is not touched until it is free.
//!
//! `supervise`, the single-service program, is the same [`supervisor::thread::Supervisor`] on the main thread,
//! with signals in the place of the tree's orders ([`cli::supervise`]).
//!
//! # The house
//!
//! Arrows go downwards only.
//!
//! | room | what is in it |
//! |---|---|
//! | `bin/` | the programs: each calls one function |
//! | [`all_in_one`] | which program one file is, by the name that it was called by |
//! | [`ctl`] | `svctl`: shows and steers, through status directories alone |
//! | [`cli`] | the command lines of all programs, and what those that are not `svctl` do with them |
//! | [`tree`] | the scanner: directory events, the roster of threads, order, signals, orphans |
//! | [`supervisor`] | one service's life: the thread that drives its machine, alarms |
//! | [`logger`] | `supervise-log`: intake, lines, archive |
//! | [`service`] | what to run: a service directory or a command, its context, and the pipe to a logger |
//! | [`machine`] | the rules, pure: state, event and time in, state and actions out |
//! | [`readiness`] | how a service tells that it is ready and well, and how it is looked at |
//! | [`conf`] | `supervise.conf`: lines, sections, typed settings, each with its origin |
//! | [`status`] | the status directory, one file for each entry |
//! | [`sys`] | every raw system call and every `unsafe` |

pub mod all_in_one;
pub mod cli;
pub mod conf;
pub mod ctl;
pub mod logger;
pub mod machine;
pub mod readiness;
pub mod service;
pub mod status;
pub mod supervisor;
pub mod sys;
pub mod tree;
