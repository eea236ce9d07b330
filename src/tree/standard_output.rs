//! The one process that writes the lines of all modules with `log : stdout` to the tree's standard output.
//!
//! It is a process, and no thread, because standard output may be a terminal that is stuck: then it waits, and the tree does
//! not. A thread starts it when the first module needs it, again when it has ended, and tells it the modules' names. What it
//! has not written when it ends is still in the modules' FIFOs.

use crate::conf::{Config, GLOBAL, Program};
use crate::service::logger::{OwnProgram, program};
use crate::status::log::Log;
use crate::sys::errno_text;
use crate::sys::files::file;
use crate::sys::process::pidfd::Pidfd;
use crate::sys::threads::poll::{self, PollSource};
use crate::sys::threads::thread::Thread;
use crate::sys::threads::wake::Waker;
use crate::sys::time::Mono;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Stack of the thread, in bytes: it starts a process by the standard library.
const STACK_SIZE: usize = 512 * 1024;

/// How long until a writer that has ended is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// How long the end of the tree waits for somebody to take the last lines.
const LAST_LINES_WAIT: Duration = Duration::from_secs(2);

/// Options of supervise-log that count for all modules together, as far as `[global]` says them.
const OPTIONS: [&str; 3] = ["--format=", "--stamp=", "--full="];

/// The tree's standard output, for modules.
#[derive(Debug)]
pub struct StandardOutput {
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Shared {
    /// Where the FIFOs are.
    dir: PathBuf,
    log: Log,
    waker: Waker,
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    options: Vec<OsString>,
    /// All modules; one that has gone does no harm.
    names: BTreeSet<String>,
    /// Names that the writer does not know yet.
    new: Vec<String>,
    /// Other options: the writer is to begin anew.
    anew: bool,
    end: bool,
}

impl StandardOutput {
    /// Nothing runs yet.
    pub fn new(dir: PathBuf, log: Log, config: &Config) -> StandardOutput {
        let requests = Mutex::new(Requests { options: options(config), ..Requests::default() });
        StandardOutput { shared: Arc::new(Shared { dir, log, waker: Waker::new(), requests }), thread: None }
    }

    /// Where the FIFOs are.
    pub fn dir(&self) -> &std::path::Path {
        &self.shared.dir
    }

    /// Called when the FIFO of the module `name` has been made, or made anew.
    pub fn announcer(&mut self, name: &str) -> impl Fn() + Send + Sync + 'static {
        if self.thread.is_none() {
            let shared = self.shared.clone();
            match Thread::spawn("stdout", STACK_SIZE, move || shared.run()) {
                Ok(thread) => self.thread = Some(thread),
                Err(errno) => {
                    let why = crate::sys::describe(errno);
                    log::warn!(logger: self.shared.log, "log : stdout: no thread: {why}; tried again with the next module");
                }
            }
        }
        let (shared, name) = (self.shared.clone(), name.to_string());
        move || {
            let mut requests = shared.requests.lock();
            requests.names.insert(name.clone());
            requests.new.push(name.clone());
            drop(requests);
            shared.waker.wake();
        }
    }

    /// The settings are others.
    pub fn configure(&self, config: &Config) {
        let options = options(config);
        let mut requests = self.shared.requests.lock();
        requests.anew |= options != requests.options;
        requests.options = options;
        drop(requests);
        self.shared.waker.wake();
    }

    /// All services have ended: waits a moment until their last lines are written.
    pub fn finish(&mut self) {
        self.shared.requests.lock().end = true;
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

fn options(config: &Config) -> Vec<OsString> {
    let settings = config.settings(GLOBAL, None, Program::Tree);
    let counts = |option: &&String| OPTIONS.iter().any(|name| option.starts_with(name));
    settings.log.options.iter().filter(counts).map(OsString::from).collect()
}

/// The writer.
struct Writer {
    child: Child,
    process: Pidfd,
    names: Option<ChildStdin>,
}

impl Shared {
    fn run(&self) {
        self.waker.attend();
        while !self.requests.lock().end {
            match self.start() {
                Ok(writer) => self.attend_to(writer),
                Err(error) => {
                    let (seconds, why) = (RESTART_DELAY.as_secs(), errno_text(&error));
                    log::warn!(logger: self.log, "log : stdout: supervise-log cannot be started: {why}; tried again in {seconds} s");
                    self.rest();
                }
            }
        }
    }

    fn start(&self) -> io::Result<Writer> {
        let mut requests = self.requests.lock();
        let OwnProgram { name, file } = program();
        let mut command = Command::new(file.as_deref().map_or(name.as_os_str(), Path::as_os_str));
        command.arg0(name);
        command.arg("--merge").arg(&self.dir).args(&requests.options).stdin(Stdio::piped());
        // An interrupt from the terminal is meant for the tree, and last words are still to come.
        command.process_group(0);
        std::fs::create_dir_all(&self.dir)?;
        let mut child = command.spawn()?;
        requests.anew = false;
        requests.new = requests.names.iter().cloned().collect();
        drop(requests);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        let names = child.stdin.take();
        Ok(Writer { child, process: Pidfd::open(pid)?, names })
    }

    /// Gives the writer names until it has ended.
    fn attend_to(&self, mut writer: Writer) {
        let mut last_lines_until = None;
        loop {
            let (new, end, anew) = {
                let mut requests = self.requests.lock();
                (std::mem::take(&mut requests.new), requests.end, requests.anew)
            };
            let text: String = new.iter().flat_map(|name| [name, "\n"]).collect();
            // Names are few and short, and it reads them between two writes: only one that is stuck makes us wait, and nobody
            // waits for us.
            if let Some(names) = &mut writer.names {
                let _ = names.write_all(text.as_bytes());
            }
            if (end || anew) && writer.names.take().is_some() {
                last_lines_until = Some(Mono::now() + LAST_LINES_WAIT);
            }
            let sources = [Some(PollSource::Woken), Some(PollSource::Readable(writer.process.as_fd()))];
            let [_, has_ended] = poll::wait(sources, last_lines_until);
            if last_lines_until.is_some_and(|until| Mono::now() >= until) {
                let _ = writer.process.signal(libc::SIGKILL);
                last_lines_until = None;
            }
            if has_ended && let Ok(Some(status)) = writer.child.try_wait() {
                if writer.names.is_some() {
                    let seconds = RESTART_DELAY.as_secs();
                    log::warn!(logger: self.log, "log : stdout: its writer has ended ({status}); started again in {seconds} s, no line is lost");
                    self.rest();
                }
                return;
            }
        }
    }

    /// Waits until it is worth another try.
    fn rest(&self) {
        let until = Mono::now() + RESTART_DELAY;
        while Mono::now() < until && !self.requests.lock().end {
            poll::wait([Some(PollSource::Woken)], Some(until));
        }
    }
}

/// Whether an earlier tree may have left a process that writes into a FIFO there.
pub fn is_left(dir: &std::path::Path, name: &str) -> bool {
    file::is_fifo(&crate::status::StatusDir::of(dir, name).log_pipe())
}
