//! What the process tests share: a place in a temporary directory, programs that are started there and ended
//! even when a test fails, and waiting for conditions with a deadline.

#![allow(dead_code)] // Each test file uses a part of this.

pub mod hook;
pub mod host;

use std::fmt::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// A service that does nothing.
pub const SLEEP: &str = "exec sleep 1000";

/// Settings for tests that are not about delays: the default second between two starts would only cost time.
pub const FAST: &str = "[global]\nrestart_delay : 0.05\n";

/// The beginning of a service that says `DOUBLE` if an earlier copy of it is still there.
pub const ALONE: &str = "{ read old < alone; } 2> /dev/null; kill -0 $old 2> /dev/null && echo DOUBLE; echo $$ > alone
    ";

/// A service that says on its standard output which signals it got, and goes on.
pub const TALKER: &str = "for s in TERM INT HUP ALRM QUIT USR1 USR2 WINCH; do trap \"echo $s\" $s; done
    sleep 1000 & echo ready; while :; do wait $!; done";

/// The signals that a process may handle or ignore without a `trap`, a bit each: HUP and CHLD.
const IN_ANY_SHELL: u64 = 1 | 1 << 16;

/// Nothing that a test waits for takes this long, even on a machine that is busy with other things.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A program that is to end by itself gets so long, on a machine that is busy with other tests.
const OUTPUT_DEADLINE: Duration = Duration::from_secs(120);

/// A temporary directory with a services root (`sv`) and a status root (`status`) in it.
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place::below(&std::env::temp_dir()).expect("a temporary directory")
    }

    /// The same in memory, if there is such a place and programs in it may be executed: for thousands of files, a disk
    /// that is busy with other things makes all the difference.
    pub fn in_memory() -> Place {
        let runs = |place: &Place| {
            script(&place.path().join("try"), "exit 0");
            Command::new(place.path().join("try")).status().is_ok_and(|status| status.success())
        };
        Place::below(Path::new("/dev/shm")).ok().filter(runs).unwrap_or_else(Place::new)
    }

    fn below(path: &Path) -> std::io::Result<Place> {
        let place = Place { dir: tempfile::Builder::new().prefix("svt").tempdir_in(path)? };
        std::fs::create_dir(place.root())?;
        Ok(place)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The services root.
    pub fn root(&self) -> PathBuf {
        self.path().join("sv")
    }

    /// The status root.
    pub fn status_root(&self) -> PathBuf {
        self.path().join("status")
    }

    /// The status directory of `module`.
    pub fn module(&self, module: &str) -> Module {
        Module { dir: self.status_root().join(module) }
    }

    /// Makes the service directory `name` (a path below the services root) whole, elsewhere, and moves it in.
    pub fn service(&self, name: &str, files: &[(&str, &str)]) {
        let staging = self.path().join("staging").join(name);
        for (file, content) in files {
            script(&staging.join(file), content);
        }
        let target = self.root().join(name);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("parent");
        std::fs::rename(&staging, &target).expect("moved in");
    }

    /// A service that runs `sh` with `script` in it.
    pub fn run(&self, name: &str, script: &str) {
        self.service(name, &[("run", script)]);
    }

    /// Writes the configuration file beside the service directories.
    pub fn conf(&self, text: &str) {
        std::fs::write(self.root().join("supervise.conf"), text).expect("supervise.conf");
    }

    /// Starts `supervise-tree` on the services root.
    pub fn tree(&self) -> Running<'_> {
        self.tree_with(&[])
    }

    /// The same with further arguments.
    pub fn tree_with(&self, arguments: &[&str]) -> Running<'_> {
        let mut command = tree_command();
        command.arg("-p").arg(self.status_root()).args(arguments).arg(self.root());
        let running = self.start(command);
        // The tree's own FIFO comes when its signals are taken; before that, TERM would kill it.
        wait_for("the tree to listen", self, || is_listening(&self.status_root().join(".supervise-tree")));
        running
    }

    /// Starts `supervise` on the status directory of `module`, to the end of its detachment.
    pub fn supervise(&self, module: &str, arguments: &[&str]) -> Output {
        let mut command = supervise_command();
        command.arg("-p").arg(self.module(module).dir()).args(arguments);
        self.output(command)
    }

    /// The same, for a test that needs it to go well; returns the pid of the detached supervisor.
    pub fn supervised(&self, module: &str, arguments: &[&str]) -> u32 {
        let output = self.supervise(module, arguments);
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), self.story());
        self.module(module).state()["supervisor_pid"].as_u64().expect("supervisor_pid") as u32
    }

    /// Starts any program here, its messages kept.
    pub fn start(&self, mut command: Command) -> Running<'_> {
        let stderr =
            std::fs::OpenOptions::new().append(true).create(true).open(self.path().join("stderr")).expect("stderr");
        command.current_dir(self.path()).stdin(Stdio::null()).stderr(stderr);
        let until = Instant::now() + DEADLINE;
        let child = loop {
            match command.spawn() {
                // Another test's child still holds a program open that was just copied, until it executes its own.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                spawned => break spawned.expect("started"),
            }
        };
        Running { place: self, child: Some(child) }
    }

    /// Runs a program here to its end.
    pub fn output(&self, mut command: Command) -> Output {
        command.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("run");
        let pid = child.id();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        receiver.recv_timeout(OUTPUT_DEADLINE).map(|output| output.expect("read")).unwrap_or_else(|_| {
            signal(pid, "KILL");
            panic!("{command:?} does not end\n{}", self.story())
        })
    }

    /// What `svctl` does with these words about the services here.
    pub fn svctl(&self, words: &[&str]) -> Output {
        let mut command = svctl_command();
        command.arg("-p").arg(self.status_root()).args(words);
        self.output(command)
    }

    /// Everything that supervisors and programs said here, and what each process waits for, for a test that fails.
    pub fn story(&self) -> String {
        let mut story = String::new();
        for pid in processes_of(&self.path().to_string_lossy()) {
            let line = proc_words(pid, "cmdline");
            let _ = writeln!(story, "--- pid {pid}: {}", String::from_utf8_lossy(&line).replace('\0', " "));
            for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
                let state = read("stat").rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
                let (name, place) = (read("comm"), read("wchan"));
                let _ = writeln!(story, "    {}: {} in {place}", name.trim_end(), state.unwrap_or('?'));
            }
        }
        collect(self.path(), &mut story);
        story
    }
}

impl Drop for Place {
    /// Kills what still runs with this directory in its environment, arguments, or as its own.
    fn drop(&mut self) {
        let mark = self.path().to_string_lossy().into_owned();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            let mut left = processes_of(&mark);
            left.extend(services_of(&mark));
            if left.is_empty() {
                return;
            }
            for pid in left {
                signal(pid, "KILL");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn collect(dir: &Path, story: &mut String) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, story);
        } else if path.is_file() && (name.contains("supervise.log") || name == "stderr" || name == "state.json") {
            let text = std::fs::read(&path).unwrap_or_default();
            let _ = write!(story, "--- {}\n{}", path.display(), String::from_utf8_lossy(&text));
        }
    }
}

/// Live processes whose working directory, or a word of whose command line, is below `mark`.
pub fn processes_of(mark: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid == std::process::id() || !is_alive(pid) {
            continue;
        }
        let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let line = proc_words(pid, "cmdline");
        if cwd.to_string_lossy().starts_with(mark) || String::from_utf8_lossy(&line).contains(mark) {
            found.push(pid);
        }
    }
    found
}

/// Live services of a status root below `mark`, wherever their working directory is.
fn services_of(mark: &str) -> Vec<u32> {
    let variable = format!("SUPERVISE_STATUS={mark}/");
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let environment = proc_words(*pid, "environ");
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(variable.as_bytes()))
    };
    pids.filter(|pid| *pid != std::process::id() && is_alive(*pid) && is_one(pid)).collect()
}

/// A program that a test has started; it gets KILL when the test is done with it.
pub struct Running<'a> {
    place: &'a Place,
    child: Option<Child>,
}

impl Running<'_> {
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        let mut status = None;
        wait_for("the program's end", self.place, || {
            status = child.try_wait().expect("waited");
            status.is_some()
        });
        status.expect("ended")
    }

    /// Sends TERM, and waits for its end.
    pub fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends KILL, and reaps it.
    pub fn kill(self) {
        self.signal("KILL");
        self.wait();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if std::thread::panicking() {
                eprintln!("{}", self.place.story());
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A module's status directory.
#[derive(Clone, Debug)]
pub struct Module {
    dir: PathBuf,
}

impl Module {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn path(&self, entry: &str) -> PathBuf {
        self.dir.join(entry)
    }

    /// The content of one of its files, or nothing.
    pub fn text(&self, entry: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(entry)).unwrap_or_default()).into_owned()
    }

    /// Both supervise logs.
    pub fn log(&self) -> String {
        self.text("supervise.log") + &self.text("supervise.log.wf")
    }

    /// The 20 bytes.
    pub fn status(&self) -> Vec<u8> {
        std::fs::read(self.path("status")).unwrap_or_default()
    }

    /// The pid in the 20 bytes; 0 when down, or when there is none yet.
    pub fn pid(&self) -> u32 {
        let bytes = self.status();
        bytes.get(16..20).map_or(0, |pid| u32::from_le_bytes(pid.try_into().expect("4 bytes")))
    }

    /// `state.json`.
    pub fn state(&self) -> serde_json::Value {
        serde_json::from_str(&self.text("state.json")).unwrap_or_default()
    }

    /// `state` in `state.json`.
    pub fn state_name(&self) -> String {
        self.state()["state"].as_str().unwrap_or_default().to_string()
    }

    /// Writes `bytes` into the control FIFO, as a shell's `echo` does, but never waiting for a reader.
    pub fn send(&self, bytes: &str) {
        let mut options = std::fs::OpenOptions::new();
        let mut fifo = options.write(true).custom_flags(libc::O_NONBLOCK).open(self.path("control")).expect("control");
        std::io::Write::write_all(&mut fifo, bytes.as_bytes()).expect("command written");
    }

    /// Whether somebody supervises it.
    pub fn is_supervised(&self) -> bool {
        is_listening(&self.dir)
    }

    /// Waits until it is up, and returns the pid.
    pub fn wait_up(&self, place: &Place) -> u32 {
        self.wait_new_pid(place, 0)
    }

    /// Waits until it is up with another pid than `old`.
    pub fn wait_new_pid(&self, place: &Place, old: u32) -> u32 {
        wait_for(&format!("{} to have a new pid", self.dir.display()), place, || {
            let pid = self.pid();
            // `state.json` is written after `status`.
            pid != 0 && pid != old && is_alive(pid) && self.state()["pid"] == pid
        });
        self.wait_trap();
        self.pid()
    }

    /// Waits until a service that is a shell with a `trap` has come to it, if it does so soon. It runs before that, and a
    /// signal that comes earlier ends it.
    pub fn wait_trap(&self) {
        let run = self.state()["definition"].as_str().map(|dir| Path::new(dir).join("run"));
        let text = run.and_then(|run| std::fs::read_to_string(run).ok()).unwrap_or_default();
        // Not one of a child, nor of the shell's own end.
        if !text.contains("trap ") || text.contains("(trap ") || text.contains("EXIT\n") {
            return;
        }
        let deadline = Instant::now() + Duration::from_millis(500);
        let handled = |field| u64::from_str_radix(&proc_status(self.pid(), field), 16).unwrap_or(0) & !IN_ANY_SHELL;
        while handled("SigCgt") | handled("SigIgn") == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until `state.json` shows `state`.
    pub fn wait_state(&self, place: &Place, state: &str) {
        wait_for(&format!("{} to be {state}", self.dir.display()), place, || self.state_name() == state);
    }

    /// Waits until its log has `text`: a line is written a moment after `state.json`.
    pub fn wait_log(&self, place: &Place, text: &str) {
        wait_for(&format!("{text:?} in the log"), place, || self.log().contains(text));
    }

    /// Waits until one of its files has `text` in it.
    pub fn wait_text(&self, place: &Place, entry: &str, text: &str) {
        wait_for(&format!("{text:?} in {}", self.path(entry).display()), place, || self.text(entry).contains(text));
    }
}

fn is_listening(dir: &Path) -> bool {
    std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(dir.join("ok")).is_ok()
        || std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(dir.join("control")).is_ok()
}

/// Waits until `condition` holds; panics with the story of `place` when it takes too long.
pub fn wait_for(what: &str, place: &Place, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}\n{}", place.story());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next()).is_some_and(|state| !"ZX".contains(state))
}

/// `/proc/PID/cmdline` or `environ`, each word with a NUL after it; empty when the process is gone, or has none.
///
/// The kernel shows nothing, either, while the process is in the middle of `execve`: it has its new memory, and its words
/// are not in it yet. That is looked at again.
pub fn proc_words(pid: u32, file: &str) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_millis(500);
    let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    // A thread of the kernel has no program, either.
    let is_midway = || read("cmdline").is_empty() && std::fs::read_link(format!("/proc/{pid}/exe")).is_ok();
    loop {
        let words = read(file);
        if !words.is_empty() || !is_alive(pid) || !is_midway() || Instant::now() > deadline {
            // Between the two looks it may have come there.
            return if words.is_empty() { read(file) } else { words };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One field of `/proc/PID/status`; empty when the process is gone.
pub fn proc_status(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::trim));
    line.unwrap_or_default().to_string()
}

/// Whether the process is stopped by a signal.
pub fn is_stopped(pid: u32) -> bool {
    proc_status(pid, "State").starts_with('T')
}

/// A field of `/proc/PID/stat`, counted as in proc(5): 5 is the process group, 6 the session.
pub fn proc_stat(pid: u32, field: usize) -> i64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default().to_string();
    rest.split_whitespace().nth(field - 3).and_then(|word| word.parse().ok()).unwrap_or(-1)
}

/// Waits as long as `time` for something that must not happen: panics as soon as `condition` does not hold.
pub fn holds_for(time: Duration, what: &str, place: &Place, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(condition(), "no longer so: {what}\n{}", place.story());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal, by name, to a process that may be gone.
pub fn signal(pid: u32, name: &str) {
    let signal = format!("SIG{name}").parse::<nix::sys::signal::Signal>().expect("a signal");
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal);
}

/// Whether a process that asks for it dumps core here: that depends on `core_pattern` and on limits.
pub fn dumps_core() -> bool {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let status = Command::new("sh").args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).current_dir(dir.path()).status();
    status.is_ok_and(|status| status.core_dumped())
}

/// Writes a file; `run`, `finish`, `check` and the like become scripts that can be executed, with a `#!` line if
/// they have none.
pub fn script(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("directory");
    let executable = !matches!(path.file_name().and_then(|name| name.to_str()), Some("down" | "supervise.conf"));
    let content =
        if executable && !content.starts_with("#!") { format!("#!/bin/sh\n{content}\n") } else { content.to_string() };
    std::fs::write(path, content).expect("written");
    if executable {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    }
}

pub fn tree_command() -> Command {
    with_test_panics(Command::new(env!("CARGO_BIN_EXE_supervise-tree")))
}

pub fn supervise_command() -> Command {
    with_test_panics(Command::new(env!("CARGO_BIN_EXE_supervise")))
}

/// A debug build listens to the byte that asks for a panic.
fn with_test_panics(mut command: Command) -> Command {
    command.env("SUPERVISE_TEST_PANICS", "1");
    command
}

pub fn svctl_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_svctl"))
}

/// All that a program wrote, standard output first.
pub fn said_by(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
