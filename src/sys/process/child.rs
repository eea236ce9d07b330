//! The child's side of [`crate::sys::process::start`]: from `clone` to `execve`, under the rules given there.

use crate::sys::context::{Decimal, Part, put_oom_score};
use crate::sys::files::file_id::FileId;
use crate::sys::process::plan::{Input, Leader, Output, Plan, Step, WorkingDirectory};
use crate::sys::process::record::{self, RecordWriter};
use nix::unistd::Pid;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// What the child reads and writes; it lives in the parent's frame.
pub(super) struct ChildPlan<'a> {
    pub plan: &'a Plan<'a>,
    /// A descriptor that it keeps until `execve`, so that what this leads to is held by somebody.
    pub hold: Option<c_int>,
    pub arguments: *const *const c_char,
    pub shell_arguments: *const *const c_char,
    pub environment: *const *const c_char,
    /// The limit of descriptors, if the child's is not ours.
    pub nofile: Option<libc::rlimit>,
    /// The file mode creation mask, likewise.
    pub umask: Option<u32>,
    /// The score for the OOM killer, if that of the parent differs.
    pub oom_score: Option<&'a Decimal>,
    /// The parent, whose end is to be the child's, too.
    pub parent: Option<Pid>,
    /// The signals whose disposition is not the default one, a bit each, signal 1 the lowest.
    pub dispositions: u64,
    /// The parent's descriptor for the child.
    pub pidfd: AtomicI32,
    pub step: AtomicU32,
    pub errno: AtomicI32,
    pub unwritten_record: AtomicI32,
    pub stdout_lost: AtomicI32,
    pub stderr_lost: AtomicI32,
}

/// The child, from `clone` to `execve`.
pub(super) extern "C" fn in_child(order: *mut c_void) -> c_int {
    // SAFETY: `start` passes a pointer to an `ChildPlan` that outlives us (CLONE_VFORK), and only reads it meanwhile.
    let order = unsafe { &*order.cast::<ChildPlan<'_>>() };
    let (step, errno) = order.carry_out();
    order.errno.store(errno, Ordering::Relaxed);
    order.step.store(step.number(), Ordering::Relaxed);
    // SAFETY: ends this process alone, running no handler.
    unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    127
}

impl ChildPlan<'_> {
    /// All steps up to the exec; returns only if one failed.
    fn carry_out(&self) -> (Step, c_int) {
        match self.steps() {
            Ok(never) => match never {},
            Err(failed) => failed,
        }
    }

    fn steps(&self) -> Result<std::convert::Infallible, (Step, c_int)> {
        let plan = self.plan;
        if let Some(recorder) = &plan.recorder
            && let Err(errno) = record(recorder, self.pidfd.load(Ordering::Relaxed))
        {
            self.unwritten_record.store(errno, Ordering::Relaxed);
            if errno == libc::EFBIG {
                // The signal that comes with it waits until none is blocked any more, and would kill the service then.
                set_disposition(libc::SIGXFSZ, libc::SIG_IGN);
            }
        }
        own_descriptors(plan.stdin, self.hold).map_err(|errno| (Step::CloseRange, errno))?;
        if let Some(score) = self.oom_score {
            // It may be raised at all times.
            let _ = put_oom_score(score);
        }
        if let Some(change) = plan.change {
            change.enter_cgroup().map_err(changing)?;
        }
        match plan.leads {
            Leader::Session => raw(libc::SYS_setsid, [0; 4]),
            Leader::Group => raw(libc::SYS_setpgid, [0; 4]),
            Leader::Nothing => Ok(0),
        }
        .map_err(|errno| (Step::Session, errno))?;
        match plan.stdin {
            Input::Null => open_onto(c"/dev/null", libc::O_RDONLY, 0, Kind::Device),
            Input::Fifo(path) => open_onto(path, libc::O_RDONLY, 0, Kind::Fifo),
            Input::Descriptor(descriptor) => move_onto(descriptor.as_raw_fd(), 0),
            Input::Inherited => Ok(()),
        }
        .map_err(|errno| (Step::Stdin, errno))?;
        output(plan.stdout, 1, &self.stdout_lost).map_err(|errno| (Step::Stdout, errno))?;
        output(plan.stderr, 2, &self.stderr_lost).map_err(|errno| (Step::Stderr, errno))?;
        if let Some((path, number)) = plan.fourth {
            open_onto(path, libc::O_RDWR, number, Kind::Fifo).map_err(|errno| (Step::Readiness, errno))?;
        }
        if let Some(directory) = plan.directory {
            enter(directory).map_err(|errno| (Step::Directory, errno))?;
        }
        // Neither can fail with these arguments, and neither would be a reason not to run.
        if let Some(umask) = self.umask {
            let _ = raw(libc::SYS_umask, [umask as c_long, 0, 0, 0]);
        }
        if let Some(nofile) = &self.nofile {
            let limit = (&raw const *nofile) as c_long;
            let _ = raw(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as c_long, limit, 0]);
        }
        if let Some(change) = plan.change {
            change.apply_as_root().and_then(|()| change.apply_as_user()).map_err(changing)?;
        }
        if let Some(parent) = self.parent {
            end_with(parent).map_err(|errno| (Step::Exec, errno))?;
        }
        default_dispositions(self.dispositions);
        if plan.ignores_hangup {
            set_disposition(libc::SIGHUP, libc::SIG_IGN);
        }
        // Last: from here on a signal kills us, as it would kill the service.
        set_signal_mask(0);
        let errno = execute(plan.program, self.arguments, self.environment);
        if errno == libc::ENOEXEC && plan.shell_fallback {
            return Err((Step::Exec, execute(c"/bin/sh", self.shell_arguments, self.environment)));
        }
        Err((Step::Exec, errno))
    }
}

/// Has the kernel kill this process when its parent ends. A change of user takes that away again, so it comes after that.
fn end_with(parent: Pid) -> Result<(), c_int> {
    raw(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as c_long, libc::SIGKILL as c_long, 0, 0])?;
    // One that has ended before does not end again.
    match raw(libc::SYS_getppid, [0; 4])? {
        there if there == c_long::from(parent.as_raw()) => Ok(()),
        _ => Err(libc::ESRCH),
    }
}

/// What a part of the context that failed is to [`ChildPlan::steps`].
fn changing((part, errno): (Part, c_int)) -> (Step, c_int) {
    (Step::Change(part), errno)
}

fn execute(program: &CStr, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
    let words = [program.as_ptr() as c_long, arguments as c_long, environment as c_long, 0];
    raw(libc::SYS_execve, words).err().unwrap_or(0)
}

/// Writes who we are into the lock file. The descriptor is the parent's, and is only used, not changed; the table
/// that holds it, and the lock with it, is shared until this is done, even if the parent is killed now.
///
/// `pidfd` is the parent's descriptor for us, which the kernel has opened before we began.
fn record(recorder: &RecordWriter<'_>, pidfd: c_int) -> Result<(), c_int> {
    let mut line = recorder.line;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    raw(libc::SYS_clock_gettime, [libc::CLOCK_BOOTTIME as c_long, (&raw mut now) as c_long, 0, 0])?;
    let nanoseconds = (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64);
    let pid = raw(libc::SYS_getpid, [0; 4])?;
    put(line.get_mut(record::PID), pid as u64);
    put(line.get_mut(record::AFTER), nanoseconds.wrapping_sub(recorder.clock_offset as u64));
    if recorder.has_numbers {
        put(line.get_mut(record::NUMBER), metadata(pidfd)?.st_ino);
    }
    let file = recorder.file.as_raw_fd() as c_long;
    raw(libc::SYS_pwrite64, [file, line.as_ptr() as c_long, record::SIZE as c_long, 0]).map(drop)
}

/// Writes a number with leading zeros.
fn put(place: Option<&mut [u8]>, mut number: u64) {
    for digit in place.into_iter().flatten().rev() {
        *digit = b'0'.wrapping_add((number % 10) as u8);
        number /= 10;
    }
}

/// Gives the child its own table, empty but for the descriptor that becomes standard input, or for the one that it holds:
/// what is opened next gets the lowest numbers, 0, 1 and 2, in turn.
fn own_descriptors(stdin: Input<'_>, hold: Option<c_int>) -> Result<(), c_int> {
    let unshare = libc::CLOSE_RANGE_UNSHARE as c_long;
    let last = u32::MAX as c_long;
    let keep = match (stdin, hold) {
        (Input::Descriptor(keep), _) => keep.as_raw_fd(),
        (Input::Null | Input::Fifo(_), Some(hold)) => hold,
        (Input::Null | Input::Fifo(_), None) => return raw(libc::SYS_close_range, [0, last, unshare, 0]).map(drop),
        (Input::Inherited, _) => return raw(libc::SYS_close_range, [3, last, unshare, 0]).map(drop),
    };
    let keep = keep as c_long;
    raw(libc::SYS_close_range, [keep + 1, last, unshare, 0])?;
    if keep > 0 {
        raw(libc::SYS_close_range, [0, keep - 1, 0, 0])?;
    }
    Ok(())
}

/// What must be found at a path that is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What an administrator has put there; its kind is not looked at.
    Device,
    File,
    /// A file that has one name.
    SoleFile,
    /// Whatever a link leads to.
    Other,
    Fifo,
}

fn output(output: Output<'_>, number: c_int, lost: &AtomicI32) -> Result<(), c_int> {
    let append = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT;
    let or_null = |opened: Result<(), c_int>| {
        opened.or_else(|errno| {
            lost.store(errno, Ordering::Relaxed);
            open_onto(c"/dev/null", libc::O_WRONLY, number, Kind::Device)
        })
    };
    match output {
        Output::Null => open_onto(c"/dev/null", libc::O_WRONLY, number, Kind::Device),
        Output::Fifo(path) => open_onto(path, libc::O_RDWR, number, Kind::Fifo),
        Output::Inherited => Ok(()),
        Output::Same => raw(libc::SYS_dup3, [1, number as c_long, 0, 0]).map(drop),
        Output::File(path) => or_null(open_onto(path, append, number, Kind::File)),
        Output::SoleFile(path) => or_null(open_onto(path, append, number, Kind::SoleFile)),
        Output::Other { path, is_fifo } => {
            let flags = if is_fifo { libc::O_RDWR } else { append };
            or_null(open_onto(path, flags, number, Kind::Other))
        }
    }
}

/// Opens `path` as descriptor `number`, waiting for nobody, and following no link but an administrator's.
fn open_onto(path: &CStr, flags: c_int, number: c_int, kind: Kind) -> Result<(), c_int> {
    let guards = match kind {
        Kind::Device => libc::O_NOCTTY,
        Kind::Other => libc::O_NOCTTY | libc::O_NONBLOCK,
        Kind::File | Kind::SoleFile | Kind::Fifo => libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_NOFOLLOW,
    };
    let words = [libc::AT_FDCWD as c_long, path.as_ptr() as c_long, (flags | guards) as c_long, 0o644];
    let fd = raw(libc::SYS_openat, words)? as c_int;
    let is_meant = match kind {
        Kind::Device => return place(fd, number),
        Kind::Other => true,
        Kind::File => file_kind(fd)? == libc::S_IFREG,
        Kind::SoleFile => file_kind(fd)? == libc::S_IFREG && metadata(fd)?.st_nlink == 1,
        Kind::Fifo => file_kind(fd)? == libc::S_IFIFO,
    };
    if !is_meant {
        raw(libc::SYS_close, [fd as c_long, 0, 0, 0])?;
        return Err(libc::ENOTSUP);
    }
    // The program must not find O_NONBLOCK on what it takes for a file. The description is ours alone.
    raw(libc::SYS_fcntl, [fd as c_long, libc::F_SETFL as c_long, (flags & libc::O_APPEND) as c_long, 0])?;
    place(fd, number)
}

/// Gives the file that was just opened, and so is not a close-on-exec one, the number `number`.
fn place(fd: c_int, number: c_int) -> Result<(), c_int> {
    if fd == number { Ok(()) } else { move_onto(fd, number) }
}

/// Gives the open file `fd` the number `number`; `fd` itself is closed.
fn move_onto(fd: c_int, number: c_int) -> Result<(), c_int> {
    if fd == number {
        return match fd {
            // It may be one that the parent had.
            0 => raw(libc::SYS_fcntl, [fd as c_long, libc::F_SETFD as c_long, 0, 0]).map(drop),
            _ => Ok(()),
        };
    }
    // dup3 leaves close-on-exec off on the new number.
    raw(libc::SYS_dup3, [fd as c_long, number as c_long, 0, 0])?;
    raw(libc::SYS_close, [fd as c_long, 0, 0, 0]).map(drop)
}

fn file_kind(fd: c_int) -> Result<libc::mode_t, c_int> {
    Ok(metadata(fd)?.st_mode & libc::S_IFMT)
}

fn metadata(fd: c_int) -> Result<libc::stat, c_int> {
    let mut place = std::mem::MaybeUninit::<libc::stat>::zeroed();
    let words = [fd as c_long, c"".as_ptr() as c_long, place.as_mut_ptr() as c_long, libc::AT_EMPTY_PATH as c_long];
    raw(libc::SYS_newfstatat, words)?;
    // SAFETY: zeroed is a valid stat, and the kernel has filled it in.
    Ok(unsafe { place.assume_init() })
}

fn enter(directory: WorkingDirectory<'_>) -> Result<(), c_int> {
    raw(libc::SYS_chdir, [directory.path.as_ptr() as c_long, 0, 0, 0])?;
    if let Some(expected) = directory.expect {
        let here = metadata(libc::AT_FDCWD)?;
        if (FileId { device: here.st_dev, inode: here.st_ino }) != expected {
            return Err(libc::ESTALE);
        }
    }
    if let Some(within) = directory.within {
        raw(libc::SYS_chdir, [within.as_ptr() as c_long, 0, 0, 0])?;
    }
    Ok(())
}

/// Sets the disposition of each of `signals` to the default one: exec resets handlers, but not what is ignored, and no
/// handler of ours may run once the signals are no longer blocked.
fn default_dispositions(mut signals: u64) {
    while signals != 0 {
        let signal = signals.trailing_zeros() as c_int + 1;
        signals &= signals - 1;
        set_disposition(signal, libc::SIG_DFL);
    }
}

/// Ignoring a signal also forgets one that waits.
fn set_disposition(signal: c_int, handler: libc::sighandler_t) {
    // The kernel's own sigaction: the handler first (on MIPS after the flags, so nothing is forgotten there), and the rest
    // zero: flags, restorer, mask.
    let action = [handler, 0, 0, 0, 0, 0, 0, 0];
    let _ = raw(libc::SYS_rt_sigaction, [signal as c_long, action.as_ptr() as c_long, 0, 8]);
}

/// The signals whose disposition is not the default one, as [`ChildPlan::dispositions`] wants them.
pub(super) fn changed_dispositions() -> u64 {
    let mut changed = 0;
    for signal in 1..=64 {
        let mut action = [0u64; 8];
        // The handler comes first, on every architecture but MIPS, where the flags do.
        let known = raw(libc::SYS_rt_sigaction, [signal, 0, action.as_mut_ptr() as c_long, 8]);
        if known.is_err() || action != [0u64; 8] {
            changed |= 1 << (signal - 1);
        }
    }
    changed
}

/// Replaces the thread's signal mask by the raw call, which does not spare glibc's signals 32 and 33.
pub(super) fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0u64;
    let how = libc::SIG_SETMASK as c_long;
    let _ = raw(libc::SYS_rt_sigprocmask, [how, (&raw const mask) as c_long, (&raw mut before) as c_long, 8]);
    before
}

/// A raw system call of up to four words; the errno as the error.
fn raw(number: c_long, [a, b, c, d]: [c_long; 4]) -> Result<c_long, c_int> {
    // SAFETY: the callers in this file pass numbers, or pointers to memory that lives through the call and has
    // the layout that the kernel wants for it.
    let result = unsafe { libc::syscall(number, a, b, c, d) };
    match result {
        // SAFETY: the address of this thread's errno is always valid. In the child it is the parent's, which the
        // parent reads only after calls of its own.
        -1 => Err(unsafe { *libc::__errno_location() }),
        value => Ok(value),
    }
}
