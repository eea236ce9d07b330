//! A logger on a FIFO that outlives it, and what it has written.

use super::common::processes_of;
use flate2::read::GzDecoder;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use supervise_tree::logger::archive::names;

/// Nothing that is waited for takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same for the next file of a compressor that does get time, but next to none beside others.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(2);

/// Time as a process has it that the machine lets run: of a moment in which it was held up, this much counts.
struct OwnTime {
    looked: Instant,
    passed: Duration,
}

impl OwnTime {
    const MOST: Duration = Duration::from_millis(10);

    fn begin() -> OwnTime {
        OwnTime { looked: Instant::now(), passed: Duration::ZERO }
    }

    fn look(&mut self) -> Duration {
        self.passed += self.looked.elapsed().min(OwnTime::MOST);
        self.looked = Instant::now();
        self.passed
    }
}

/// Waits until `condition` holds; how long that took, without the time in which the machine was busy with others.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let mut time = OwnTime::begin();
    while !condition() {
        assert!(time.look() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(LOOK);
    }
    time.look()
}

/// A directory with a FIFO `in` and a log `log`. The FIFO is held open, so that what is in it waits for a logger.
pub struct Pipe {
    dir: tempfile::TempDir,
    held: Option<File>,
}

impl Pipe {
    pub fn new() -> Pipe {
        Pipe::within(tempfile::tempdir().unwrap())
    }

    pub fn within(dir: tempfile::TempDir) -> Pipe {
        let path = dir.path().join("in");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let held = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        Pipe { dir, held: Some(held) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub fn current(&self) -> PathBuf {
        self.log().join("current")
    }

    /// A writer's end.
    pub fn writer(&self) -> File {
        OpenOptions::new().write(true).open(self.dir.path().join("in")).unwrap()
    }

    pub fn write(&self, bytes: &[u8]) {
        self.writer().write_all(bytes).unwrap();
    }

    /// A logger that reads the FIFO.
    pub fn logger(&self, options: &[&str]) -> Logger {
        self.logger_as(None, options)
    }

    /// The same as another user.
    pub fn logger_as(&self, user: Option<u32>, options: &[&str]) -> Logger {
        let input = File::open(self.dir.path().join("in")).unwrap();
        let errors = OpenOptions::new().append(true).create(true).open(self.dir.path().join("errors")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_supervise-log"));
        command.args(options).arg(self.log()).stdin(input).stdout(Stdio::null()).stderr(errors);
        user.map(|user| command.uid(user).gid(user));
        Logger { child: command.spawn().unwrap() }
    }

    /// All that was said on standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("errors")).unwrap_or_default()
    }

    /// All that was written, the oldest first.
    pub fn text(&self) -> Vec<u8> {
        text_of(&self.log())
    }

    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.text()).into_owned()
    }

    /// Waits until the log has `text`.
    pub fn wait_text(&self, text: &str) -> Duration {
        wait_until(&format!("{text:?} in the log"), || self.lossy().contains(text))
    }

    /// Waits for something that a compressor does, or that comes after it. It runs when nothing else wants to: so its time is
    /// over only when neither it has run nor a file has changed for long.
    pub fn wait_for_compressor(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let (mut time, mut changed, mut seen) = (OwnTime::begin(), Instant::now(), self.progress());
        while !condition() {
            let now = self.progress();
            if now.0 != seen.0 {
                changed = Instant::now();
            }
            if now != seen {
                (time, seen) = (OwnTime::begin(), now);
            }
            let is_late = time.look() > PATIENCE || changed.elapsed() > MOST_PATIENCE;
            assert!(!is_late, "waited too long for {what}: {seen:?}, {}", self.errors());
            std::thread::sleep(10 * LOOK);
        }
    }

    /// Waits until the logger has read to the end of its input.
    pub fn wait_for_end_of_input(&self) {
        wait_until("the logger to have seen the end", || {
            // The hash that a logger leaves which ends in good order.
            std::fs::read(self.log().join("journal")).is_ok_and(|journal| journal[12 * 8..13 * 8] != [0; 8])
        });
    }

    /// Waits until the logger has read to the end of its input, and kills it: what it has left to a compressor stays plain.
    pub fn end_without_compressing(&self, logger: Logger) {
        self.wait_for_end_of_input();
        logger.kill();
        wait_until("its compressor to end", || processes_of(&self.log().to_string_lossy()).is_empty());
    }

    /// The files and their sizes, and how long the processes of the log have run, in nanoseconds.
    fn progress(&self) -> (Vec<(std::ffi::OsString, u64)>, u64) {
        let files = std::fs::read_dir(self.log()).into_iter().flatten().flatten();
        let size = |entry: &std::fs::DirEntry| entry.metadata().map_or(0, |it| it.len());
        let mut files: Vec<_> = files.map(|entry| (entry.file_name(), size(&entry))).collect();
        files.sort();
        let ran = |pid: u32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
        };
        (files, processes_of(&self.log().to_string_lossy()).into_iter().map(ran).sum())
    }

    /// Waits until standard error has `text`.
    pub fn wait_error(&self, text: &str) {
        wait_until(&format!("{text:?} on standard error"), || self.errors().contains(text));
    }

    /// Nobody but writers has the FIFO from now on: when they go, it ends.
    pub fn let_go(&mut self) {
        self.held = None;
    }
}

/// All that a logger has written into `dir`, the oldest first.
pub fn text_of(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for name in names::list(dir).unwrap_or_default() {
        let path = dir.join(name.text());
        // A file and its compressed copy are there together for a moment.
        if !name.is_compressed() && dir.join(format!("{}.gz", name.text())).exists() {
            continue;
        }
        if name.is_compressed() {
            GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut all).unwrap()
        } else {
            File::open(path).unwrap().read_to_end(&mut all).unwrap()
        };
    }
    if let Ok(mut current) = File::open(dir.join("current")) {
        current.read_to_end(&mut all).unwrap();
    }
    all
}

/// A number from the environment.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect(name))
}

/// A row of numbers that looks random (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// One logger, killed when it is dropped.
pub struct Logger {
    child: Child,
}

impl Logger {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to end, and waits for that.
    pub fn stop(mut self) -> std::process::ExitStatus {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.child.wait().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
