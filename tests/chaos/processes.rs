//! The processes: who is there, who reaps what a killed tree leaves behind, and who ticks.

use crate::common::{proc_status, proc_words};
use crate::services::{LOGGER_SCRIPT, SERVICE_SCRIPT};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The variable in the environment of the tree, and so of all that it starts, by which it is found.
pub const MARK: &str = "CHAOS_PLACE";

/// What a process is, by its command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Service(usize),
    Logger(usize),
    /// Anything else: the tree, and what is between `clone` and its last `execve`.
    Other(String),
}

/// All live processes of the place, but zombies: those have no environment.
pub fn scan(place: &Path) -> Vec<(u32, Role)> {
    let mark = format!("{MARK}={}\0", place.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let environment = proc_words(pid, "environ");
        if String::from_utf8_lossy(&environment).contains(&mark) {
            let line = proc_words(pid, "cmdline");
            let line = String::from_utf8_lossy(&line);
            let words: Vec<&str> = line.split('\0').collect();
            // One that is stopped so early that it has not come to the script.
            let run = std::fs::read_to_string(entry.path().join("cwd/run")).unwrap_or_default();
            let early: Vec<&str> = run.split(['/', '"', ' ', '\n']).filter(|word| !word.is_empty()).collect();
            let role = role(&words).or_else(|| if words.get(1) == Some(&"./run") { early_role(&early) } else { None });
            found.push((pid, role.unwrap_or(Role::Other(words.join(" ")))));
        }
    }
    found
}

fn role(words: &[&str]) -> Option<Role> {
    let id = words.get(2).and_then(|id| id.parse().ok())?;
    match words.get(1).and_then(|path| path.rsplit('/').next()) {
        Some(SERVICE_SCRIPT) => Some(Role::Service(id)),
        Some(LOGGER_SCRIPT) => Some(Role::Logger(id)),
        _ => None,
    }
}

/// The same by the words of a `run`.
fn early_role(words: &[&str]) -> Option<Role> {
    words.windows(2).find_map(|pair| role(&["", pair[0], pair[1]]))
}

/// Children of `parent` that have ended and are not reaped.
pub fn zombies_of(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| proc_status(*pid, "State").starts_with('Z') && proc_status(*pid, "PPid") == parent)
        .collect()
}

/// Reaps every child of this process, as PID 1 does: those that it has started, and those that the kernel gives it when
/// their parent is killed.
pub struct Reaper {
    statuses: Arc<Mutex<HashMap<u32, WaitStatus>>>,
    end: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reaper {
    pub fn start() -> Reaper {
        nix::sys::prctl::set_child_subreaper(true).expect("subreaper");
        let statuses: Arc<Mutex<HashMap<u32, WaitStatus>>> = Arc::default();
        let end: Arc<AtomicBool> = Arc::default();
        let (kept, ends) = (statuses.clone(), end.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                match waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)) {
                    Ok(status) if status.pid().is_some() => {
                        let pid = status.pid().map_or(0, |pid| pid.as_raw().unsigned_abs());
                        kept.lock().insert(pid, status);
                    }
                    _ => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Reaper { statuses, end, thread: Some(thread) }
    }

    /// How a child ended, if it has.
    pub fn status(&self, pid: u32) -> Option<WaitStatus> {
        self.statuses.lock().get(&pid).copied()
    }

    /// Forgets a number before somebody may get it again.
    pub fn forget_all(&self) {
        self.statuses.lock().clear();
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The services' clock: a FIFO for each, which the test holds open.
pub struct Ticker {
    state: Arc<Mutex<Ticks>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Ticks {
    fifos: HashMap<usize, File>,
    running: bool,
    end: bool,
}

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(4);

impl Ticker {
    pub fn start() -> Ticker {
        let state: Arc<Mutex<Ticks>> = Arc::default();
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            loop {
                {
                    let mut ticks = shared.lock();
                    if ticks.end {
                        return;
                    }
                    if ticks.running {
                        // Full where nobody reads; that is drained when all is to come to rest.
                        ticks.fifos.values_mut().for_each(|fifo| drop(fifo.write(b"\n")));
                    }
                }
                std::thread::sleep(TICK);
            }
        });
        Ticker { state, thread: Some(thread) }
    }

    pub fn add(&self, place: &Path, id: usize) {
        let path = place.join("ticks").join(id.to_string());
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("mkfifo");
        let mut options = File::options();
        let fifo = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).expect("opened");
        self.state.lock().fifos.insert(id, fifo);
    }

    pub fn remove(&self, id: usize) {
        self.state.lock().fifos.remove(&id);
    }

    pub fn run(&self) {
        self.state.lock().running = true;
    }

    /// No tick comes any more, and none waits.
    pub fn stop(&self) {
        let mut ticks = self.state.lock();
        ticks.running = false;
        let mut room = [0; 4096];
        for fifo in ticks.fifos.values_mut() {
            while fifo.read(&mut room).is_ok_and(|read| read > 0) {}
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.lock().end = true;
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
