//! Where a benchmark takes place: the services, the FIFO on which they say that they run, and their processes.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A start, as the service itself has seen it.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Its pid.
    pub pid: i32,
    /// `CLOCK_MONOTONIC` at its first instruction, in nanoseconds.
    pub at: u64,
}

/// A directory with services that all run the same static program.
pub struct Place {
    dir: tempfile::TempDir,
    starts: File,
}

impl Place {
    /// Makes a directory in `parent`, the program, and `count` services `s0`, `s1`, ...
    pub fn new(parent: &Path, program: &Path, count: usize) -> io::Result<Place> {
        let dir = tempfile::Builder::new().prefix("svbench").tempdir_in(parent)?;
        // Not beside the services root, whose parent may be watched: every start would be an event there.
        std::fs::create_dir(dir.path().join("fifo"))?;
        let fifo = dir.path().join("fifo/starts");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
        let starts = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&fifo)?;
        // Room for all at once, so that no service ever waits for us. As an ordinary user, the limit is 1 MiB, too.
        nix::fcntl::fcntl(starts.as_fd(), nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20))?;
        let place = Place { dir, starts };
        std::fs::create_dir(place.root())?;
        std::fs::copy(program, place.program())?;
        for number in 0..count {
            place.make_service(&place.root().join(format!("s{number}")))?;
        }
        Ok(place)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The services root.
    pub fn root(&self) -> PathBuf {
        self.path().join("sv")
    }

    /// The program that each service runs.
    pub fn program(&self) -> PathBuf {
        self.path().join("program")
    }

    /// Makes a service directory.
    pub fn make_service(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir(dir)?;
        std::fs::hard_link(self.program(), dir.join("run"))
    }

    /// What a program needs that is started here.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("BENCH_STARTS", self.path().join("fifo/starts")).current_dir(self.path());
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        command
    }

    /// The next start, if one comes in time. Its reader is woken by it, as a user who waits would be.
    pub fn next_start(&mut self, timeout: Duration) -> Option<Start> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(start) = self.read(1).pop() {
                return Some(start);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let mut fds = [nix::poll::PollFd::new(self.starts.as_fd(), nix::poll::PollFlags::POLLIN)];
            let timeout = nix::poll::PollTimeout::try_from(left).unwrap_or(nix::poll::PollTimeout::MAX);
            let _ = nix::poll::poll(&mut fds, timeout);
        }
    }

    /// The next `count` starts, or as many as come in time. Looks now and then, to leave the processors to the others.
    pub fn starts(&mut self, count: usize, timeout: Duration) -> Vec<Start> {
        let deadline = Instant::now() + timeout;
        let mut starts = Vec::with_capacity(count);
        while starts.len() < count && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            starts.extend(self.read(count - starts.len()));
        }
        starts
    }

    fn read(&mut self, most: usize) -> Vec<Start> {
        let mut bytes = vec![0; most.min(4096) * 16];
        let read = self.starts.read(&mut bytes).unwrap_or(0);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let records = bytes.get(..read).unwrap_or_default().chunks_exact(16);
        records.map(|record| Start { pid: number(&record[..8]) as i32, at: number(&record[8..]) }).collect()
    }
}

/// Compiles the service into `dir`.
pub fn compile(dir: &Path) -> io::Result<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/probe.rs");
    let program = dir.join("probe");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(compiler)
        .args(["--edition", "2024", "-O", "-C", "panic=abort", "-C", "strip=symbols"])
        .args(["-C", "target-feature=+crt-static", "-C", "relocation-model=static", "-o"])
        .args([program.as_os_str(), source.as_ref()])
        .status()?;
    if status.success() {
        Ok(program)
    } else {
        Err(io::Error::other("the service of the benchmark did not compile (is libc's static library there?)"))
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub fn now() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("the clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Sends a signal; false if there is no such process.
pub fn signal(pid: i32, number: i32) -> bool {
    // SAFETY: sends a signal to a process that this benchmark has caused.
    unsafe { libc::kill(pid, number) == 0 }
}

/// All that descends from us but `services`: the supervisors. Orphans come to us, for we are a subreaper.
pub fn supervisors(services: &HashSet<i32>) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let mut found = Vec::new();
    let mut look_at = vec![std::process::id() as i32];
    while let Some(parent) = look_at.pop() {
        let below = children.remove(&parent).unwrap_or_default();
        found.extend(below.iter().filter(|pid| !services.contains(pid)));
        look_at.extend(below);
    }
    found
}

/// Descriptors of processes, to see their end without reaping them. Those that have ended have none.
pub fn open_all(pids: &[i32]) -> Vec<OwnedFd> {
    let open = |pid: &i32| {
        // SAFETY: takes two integers, and gives a new descriptor or an error.
        let number = unsafe { libc::syscall(libc::SYS_pidfd_open, *pid, 0) } as RawFd;
        // SAFETY: the kernel has just given it to us.
        (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
    };
    pids.iter().filter_map(open).collect()
}

/// Waits until all of these processes have ended, reaped or not; false if that takes longer than `timeout`. It looks at one
/// after the other, for whoever is woken by each end takes the processor from those that are measured.
pub fn all_dead(processes: &[OwnedFd], timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    processes.iter().all(|process| {
        loop {
            let mut entry = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            match poll(&mut entry, PollTimeout::ZERO) {
                Ok(0) if Instant::now() > deadline => return false,
                Ok(0) => std::thread::sleep(Duration::from_micros(200)),
                _ => return true,
            }
        }
    })
}

/// Reaps what ends, until nothing below us is left; false if that takes longer than `timeout`.
pub fn reap_all(timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        // SAFETY: waits for our own children, and wants no status.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 if Instant::now() > deadline => return false,
            0 => std::thread::sleep(Duration::from_micros(200)),
            -1 => return true,
            _ => {}
        }
    }
}

/// Kills everything below us, whatever it is.
pub fn kill_all() {
    for _ in 0..100 {
        for pid in supervisors(&HashSet::new()) {
            signal(pid, libc::SIGKILL);
        }
        if reap_all(Duration::from_millis(200)) {
            return;
        }
    }
}
