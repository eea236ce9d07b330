//! Starting a process.
//!
//! `clone(CLONE_VM | CLONE_VFORK | CLONE_FILES)`: the child borrows our memory and our descriptor table until
//! it execs, so nothing is copied, and a start costs the same whether we hold ten descriptors or ten
//! thousand. The price is a list of rules for the child, kept by `child.rs`:
//!
//! - it touches no descriptor before `close_range(…, CLOSE_RANGE_UNSHARE)` has given it a table
//!   of its own, with nothing in it but what it holds ([`crate::sys::process::hold`]); afterwards it opens what it needs by path;
//! - it makes raw system calls only, allocates nothing, indexes nothing, and cannot panic: a panic would
//!   unwind in the parent's memory;
//! - all signals stay blocked, 32 and 33 (glibc's own) too, until every disposition is the default one: a
//!   handler of ours must not run in it;
//! - what it reads was built before; what it has to say (the failed step and its errno) goes into atomics.

use crate::sys::context::Change;
use crate::sys::process::child::{ChildPlan, changed_dispositions, in_child, set_signal_mask};
use crate::sys::process::hold::Hold;
use crate::sys::process::oom;
use crate::sys::process::pidfd::Pidfd;
pub use crate::sys::process::plan::{Environment, Input, Leader, Output, Plan, Step, WorkingDirectory};
use crate::sys::process::setup::{self, Nofile, OUR_UMASK, inherited};
use crate::sys::process::stack::{Stack, StackLoan};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::ffi::{CString, OsStr, c_char};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// A process that runs.
#[derive(Debug)]
pub struct Started {
    /// Its number.
    pub pid: Pid,
    /// Its descriptor.
    pub pidfd: Pidfd,
    /// Why a later supervisor will not find it.
    pub unwritten_record: Option<Errno>,
    /// Why standard output is `/dev/null` instead of the file that was asked for.
    pub stdout_lost: Option<Errno>,
    /// Likewise for standard error.
    pub stderr_lost: Option<Errno>,
}

/// A start that failed: nothing is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartError {
    /// Where.
    pub step: Step,
    /// Why.
    pub errno: Errno,
}

impl StartError {
    /// Whether it is for want of processes, descriptors or memory, or because the file or directory is just
    /// being changed: nothing is wrong with the service, and a later try may go well.
    pub fn passes_by_itself(&self) -> bool {
        match self.errno {
            Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE => true,
            Errno::ETXTBSY | Errno::ESTALE | Errno::EINTR => true,
            _ => self.step == Step::Clone,
        }
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Step::Context(refusal) = self.step {
            return write!(f, "{}: {}", self.step, refusal.text());
        }
        let hint = match (self.step, self.errno) {
            (Step::Change(part), errno) => part.hint(errno),
            (Step::Exec, Errno::EAGAIN) => " (limit_nproc, which counts all processes of the user)",
            (Step::Exec, Errno::ENOEXEC) => " (no #! line?)",
            (Step::Exec, Errno::ENOENT) => " (the file, or the interpreter in its #! line)",
            (Step::Directory, Errno::ESTALE) => " (the directory was replaced)",
            _ => "",
        };
        write!(f, "{}: {}{hint}", self.step, crate::sys::describe(self.errno))
    }
}

/// Starts the process. Returns when it has executed its program, or could not.
///
/// # Errors
/// The step and its errno. There is no process then, not even a zombie.
pub fn start(plan: &Plan<'_>) -> Result<Started, StartError> {
    let failed = |step, errno| StartError { step, errno };
    let stack = Stack::take().map_err(|errno| failed(Step::Clone, errno))?;
    let arguments = pointers(&[], plan.arguments);
    let shell = [c"sh".as_ptr(), plan.program.as_ptr()];
    let shell_arguments = pointers(&shell, plan.arguments.get(1..).unwrap_or_default());
    let hold = match plan.stdout {
        Output::Fifo(path) => Hold::of(path),
        _ => None,
    };
    let order = ChildPlan {
        plan,
        hold: hold.as_ref().map(Hold::number),
        arguments: arguments.as_ptr(),
        shell_arguments: shell_arguments.as_ptr(),
        environment: plan.environment.pointers.as_ptr(),
        nofile: match inherited().nofile {
            Nofile { soft, hard } if soft == hard => None,
            Nofile { soft, hard } => Some(libc::rlimit { rlim_cur: soft, rlim_max: hard }),
        },
        umask: Some(inherited().umask).filter(|umask| *umask != OUR_UMASK),
        oom_score: oom::for_children(),
        dispositions: dispositions(),
        parent: plan.ends_with_us.then(nix::unistd::getpid),
        pidfd: AtomicI32::new(-1),
        step: AtomicU32::new(0),
        errno: AtomicI32::new(0),
        unwritten_record: AtomicI32::new(0),
        stdout_lost: AtomicI32::new(0),
        stderr_lost: AtomicI32::new(0),
    };

    let cloned = clone_child(&order, &stack);
    if plan.change.is_some_and(Change::changes_user) {
        setup::stay_dumpable();
    }
    drop((stack, hold));
    let (pid, pidfd) = cloned.map_err(|errno| failed(Step::Clone, errno))?;
    outcome(&order, pid, pidfd)
}

/// What `execve` takes: these, then the words, then a null.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn pointers(first: &[*const c_char], words: &[CString]) -> Vec<*const c_char> {
    let mut all = Vec::with_capacity(first.len() + words.len() + 1);
    all.extend_from_slice(first);
    for word in words {
        all.push(word.as_ptr());
    }
    all.push(null());
    all
}

/// Makes the child, and waits until it has executed its program or ended. No signal reaches it on the way.
fn clone_child(order: &ChildPlan<'_>, stack: &StackLoan) -> Result<(Pid, Pidfd), Errno> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
    let before = set_signal_mask(u64::MAX);
    // SAFETY: the stack is ours alone until the child has execed or ended, which CLONE_VFORK waits for; `order`
    // and all that it points to live longer than that; `in_child` keeps the rules above.
    let pid = unsafe {
        libc::clone(in_child, stack.top(), flags, (&raw const *order).cast_mut().cast(), order.pidfd.as_ptr())
    };
    let cloned = Errno::result(pid);
    set_signal_mask(before);
    let pid = Pid::from_raw(cloned?);
    // SAFETY: clone has put a new descriptor there, which nobody else owns.
    let pidfd = Pidfd::from_owned(unsafe { OwnedFd::from_raw_fd(order.pidfd.load(Ordering::Relaxed)) });
    Ok((pid, pidfd))
}

/// What the child has noted: how it was started, or at which step it failed.
fn outcome(order: &ChildPlan<'_>, pid: Pid, pidfd: Pidfd) -> Result<Started, StartError> {
    let noted = |errno: &AtomicI32| match errno.load(Ordering::Relaxed) {
        0 => None,
        code => Some(Errno::from_raw(code)),
    };
    match Step::from_number(order.step.load(Ordering::Relaxed)) {
        None => Ok(Started {
            pid,
            pidfd,
            unwritten_record: noted(&order.unwritten_record),
            stdout_lost: noted(&order.stdout_lost),
            stderr_lost: noted(&order.stderr_lost),
        }),
        Some(step) => {
            // The child is past `_exit`, or about to be: vfork has been released.
            while matches!(pidfd.reap(), Ok(None) | Err(Errno::EINTR)) {
                crate::sys::threads::poll::wait_readable(std::os::fd::AsFd::as_fd(&pidfd));
            }
            Err(StartError { step, errno: Errno::from_raw(order.errno.load(Ordering::Relaxed)) })
        }
    }
}

/// The signals that the child has to reset. Looked up once: whoever changes a disposition does so before its first start.
fn dispositions() -> u64 {
    static OURS: OnceLock<u64> = OnceLock::new();
    *OURS.get_or_init(changed_dispositions)
}

/// The executable that `execvp` would take for `name`: itself if it has a slash, else the first in `$PATH`.
///
/// # Errors
/// `ENOENT`, or `EACCES` if there was one that may not be executed.
pub fn look_up(name: &OsStr) -> Result<std::path::PathBuf, Errno> {
    if name.as_bytes().contains(&b'/') {
        return match crate::sys::files::file::is_executable(Path::new(name)) {
            true => Ok(name.into()),
            false if Path::new(name).exists() => Err(Errno::EACCES),
            false => Err(Errno::ENOENT),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut errno = Errno::ENOENT;
    for directory in std::env::split_paths(&path) {
        let candidate = directory.join(name);
        if name.is_empty() {
            break;
        }
        if crate::sys::files::file::is_executable(&candidate) {
            return Ok(candidate);
        }
        if candidate.is_file() {
            errno = Errno::EACCES;
        }
    }
    Err(errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files::file_id::FileId;
    use crate::sys::process::pidfd::ExitStatus;
    use std::ffi::CString;
    use std::os::fd::AsFd;

    /// Runs `sh -c SCRIPT`, the plan changed by `more`, to its end.
    fn shell<'a>(script: &str, more: impl FnOnce(&mut Plan<'a>)) -> Result<ExitStatus, StartError> {
        let arguments = Box::leak(Box::new([c"sh".to_owned(), c"-c".to_owned(), CString::new(script).unwrap()]));
        let environment = Box::leak(Box::new(Environment::inherited()));
        let mut plan = Plan { stderr: Output::Same, ..Plan::new(c"/bin/sh", arguments, environment) };
        more(&mut plan);
        let started = start(&plan)?;
        loop {
            crate::sys::threads::poll::wait_readable(started.pidfd.as_fd());
            if let Some(status) = started.pidfd.reap().unwrap() {
                return Ok(status);
            }
        }
    }

    #[test]
    fn it_runs_and_its_exit_is_seen() {
        assert_eq!(shell("exit 7", |_| ()), Ok(ExitStatus::Code(7)));
        assert_eq!(shell("kill -9 $$", |_| ()), Ok(ExitStatus::Signal { number: 9, core: false }));
    }

    #[test]
    fn a_failed_exec_says_the_step_and_leaves_no_child() {
        let error = shell("", |plan| plan.program = c"/nonexistent/program").unwrap_err();
        assert_eq!(error, StartError { step: Step::Exec, errno: Errno::ENOENT });
        assert!(!error.passes_by_itself());
    }

    #[test]
    fn a_replaced_directory_is_noticed() {
        let error = shell("", |plan| {
            plan.directory = Some(WorkingDirectory { path: c"/", expect: Some(FileId::NONE), within: None });
        });
        assert_eq!(error.unwrap_err(), StartError { step: Step::Directory, errno: Errno::ESTALE });
    }

    #[test]
    fn it_runs_in_the_directory_within_the_one_that_was_checked() {
        let root = std::fs::metadata("/").unwrap();
        let run = |expect| {
            shell("test $PWD = /proc && exit 3", |plan| {
                plan.directory = Some(WorkingDirectory { path: c"/", expect: Some(expect), within: Some(c"proc") });
            })
        };
        assert_eq!(run(FileId::of(&root)), Ok(ExitStatus::Code(3)));
        assert_eq!(run(FileId::NONE), Err(StartError { step: Step::Directory, errno: Errno::ESTALE }));
    }

    #[test]
    fn the_child_has_three_descriptors_default_signals_and_no_blocked_ones() {
        let dir = tempfile::tempdir().unwrap();
        let out = CString::new(dir.path().join("out").as_os_str().as_bytes()).unwrap();
        let script = "ls /proc/self/fd | wc -l; grep -E 'SigIgn|SigBlk' /proc/self/status; ls -l /proc/$$/fd/1";
        shell(script, |plan| plan.stdout = Output::File(&out)).unwrap();
        let text = std::fs::read_to_string(dir.path().join("out")).unwrap();
        // ls itself has one more descriptor open, for the directory that it lists.
        assert!(text.starts_with("4\n"), "{text}");
        assert_eq!(text.matches("0000000000000000").count(), 2, "{text}");
    }

    #[test]
    fn an_output_that_is_a_fifo_does_not_hang_and_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let out = CString::new(path.as_os_str().as_bytes()).unwrap();
        let arguments = [c"true".to_owned()];
        let environment = Environment::inherited();
        let started = start(&Plan {
            leads: Leader::Group,
            stdout: Output::File(&out),
            stderr: Output::Same,
            ..Plan::new(c"/bin/true", &arguments, &environment)
        })
        .unwrap();
        assert_eq!(started.stdout_lost, Some(Errno::ENXIO));
        crate::sys::threads::poll::wait_readable(started.pidfd.as_fd());
        assert_eq!(started.pidfd.reap(), Ok(Some(ExitStatus::Code(0))));
    }

    #[test]
    fn what_is_to_end_with_us_ends_with_the_thread_that_has_started_it_and_nothing_else_does() {
        for ends_with_us in [true, false] {
            let begin = move || {
                let arguments = [c"sleep".to_owned(), c"1000".to_owned()];
                let environment = Environment::inherited();
                start(&Plan { ends_with_us, ..Plan::new(c"/bin/sleep", &arguments, &environment) }).unwrap()
            };
            let started = std::thread::spawn(begin).join().unwrap();
            if !ends_with_us {
                assert_eq!(started.pidfd.reap(), Ok(None));
                started.pidfd.signal(libc::SIGTERM).unwrap();
            }
            crate::sys::threads::poll::wait_readable(started.pidfd.as_fd());
            let number = if ends_with_us { libc::SIGKILL } else { libc::SIGTERM };
            assert_eq!(started.pidfd.reap(), Ok(Some(ExitStatus::Signal { number, core: false })));
        }
    }

    #[test]
    fn a_descriptor_of_ours_becomes_standard_input() {
        let (reading, writing) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&writing, b"hello\n").unwrap();
        drop(writing);
        // One of the four is that of the list.
        let status = shell("read word; set -- /proc/$$/fd/*; test $word = hello && test $# -le 4", |plan| {
            plan.stdin = Input::Descriptor(reading.as_fd());
        });
        assert_eq!(status, Ok(ExitStatus::Code(0)));
    }

    #[test]
    fn names_are_looked_up_as_execvp_does() {
        assert!(look_up(OsStr::new("sh")).unwrap().is_absolute());
        assert_eq!(look_up(OsStr::new("no-such-program-here")), Err(Errno::ENOENT));
        assert_eq!(look_up(OsStr::new("/etc/passwd")), Err(Errno::EACCES));
        assert_eq!(look_up(OsStr::new("")), Err(Errno::ENOENT));
    }
}
