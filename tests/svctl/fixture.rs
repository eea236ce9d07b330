//! A place with services, a supervisor for them, and calls of `svctl` on it.

use crate::common::{self, DEADLINE, Place, signal};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const SVCTL: &str = env!("CARGO_BIN_EXE_svctl");

/// A service that runs until it is told to end.
pub const STEADY: &str = "#!/bin/sh\nexec sleep 1000\n";

/// Waits until `holds` gives something.
pub fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A services root and a status root, and perhaps a supervisor for them.
pub struct Fixture {
    place: Place,
    pub services: PathBuf,
    pub status: PathBuf,
    supervisors: Vec<Child>,
}

/// What a call of `svctl` gave.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl CommandOutput {
    pub fn of(output: Output) -> CommandOutput {
        CommandOutput {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Fixture {
    /// Empty, and unsupervised.
    pub fn new() -> Fixture {
        let place = Place::new();
        Fixture { services: place.root(), status: place.status_root(), place, supervisors: Vec::new() }
    }

    /// The directory in which everything is, and in which `svctl` runs.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// With these services: name and `run` script.
    pub fn with(services: &[(&str, &str)]) -> Fixture {
        let fixture = Fixture::new();
        for (name, run) in services {
            fixture.service(name, run);
        }
        fixture
    }

    /// With these services, and a tree that has all of them up or failed once.
    pub fn tree(services: &[(&str, &str)]) -> Fixture {
        let mut fixture = Fixture::with(services);
        fixture.start_tree();
        for (name, _) in services {
            until(&format!("{name} is supervised"), || fixture.state(name));
        }
        fixture
    }

    /// Adds a service.
    pub fn service(&self, name: &str, run: &str) {
        let dir = self.services.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        common::script(&dir.join("run.new"), run);
        // At once: a tree that runs must not see half of it.
        std::fs::rename(dir.join("run.new"), dir.join("run")).unwrap();
    }

    /// Starts `supervise-tree`.
    pub fn start_tree(&mut self) -> u32 {
        let mut command = common::tree_command();
        command.arg("-q").arg("-p").arg(&self.status).arg(&self.services);
        let log = std::fs::File::create(self.path().join("stderr")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let pid = child.id();
        self.supervisors.push(child);
        pid
    }

    /// Starts `supervise` for one module, attached.
    pub fn supervise(&mut self, module: &str, command: &str) -> u32 {
        let mut supervise = common::supervise_command();
        supervise.arg("--foreground").arg("-p").arg(self.status.join(module)).arg("-f").arg(command);
        supervise.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = supervise.spawn().unwrap();
        let pid = child.id();
        self.supervisors.push(child);
        until(&format!("{module} is up"), || self.pid(module));
        pid
    }

    /// Kills the supervisor that was started last, as a crash would.
    pub fn crash(&mut self) {
        let mut child = self.supervisors.pop().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for the end of the supervisor that was started last.
    pub fn ended(&mut self) -> i32 {
        let child = self.supervisors.last_mut().unwrap();
        until("the supervisor ends", || child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    /// A module's `state.json`.
    pub fn state(&self, module: &str) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.status.join(module).join("state.json")).ok()?).ok()
    }

    /// The pid of a module's run process.
    pub fn pid(&self, module: &str) -> Option<u32> {
        self.state(module)?["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// Waits until a module's run process runs.
    pub fn up(&self, module: &str) -> u32 {
        until(&format!("{module} is up"), || self.pid(module))
    }

    /// Waits until all of these run.
    pub fn all_up(&self, modules: &[&str]) {
        for module in modules {
            self.up(module);
        }
    }

    /// `svctl -p STATUS_ROOT ARGUMENTS`, to be changed or run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = common::svctl_command();
        command.arg("-p").arg(&self.status).args(arguments).current_dir(self.path());
        command.env_remove("SUPERVISE_STATUS").stdin(Stdio::null());
        command
    }

    /// Runs `svctl` to its end.
    pub fn svctl(&self, arguments: &[&str]) -> CommandOutput {
        let answer = CommandOutput::of(self.command(arguments).output().unwrap());
        eprintln!("svctl {arguments:?}: {answer:?}");
        answer
    }

    /// Runs it, and wants this exit code.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        let answer = self.svctl(arguments);
        assert_eq!(answer.code, code, "svctl {arguments:?}: {answer:?}");
        answer
    }

    /// A status directory as a supervisor would leave it, with the FIFOs but nobody who reads them.
    pub fn fabricate(&self, module: &str, state: &Value) -> PathBuf {
        let dir = self.status.join(module);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("lock"), "").unwrap();
        std::fs::write(dir.join("state.json"), state.to_string()).unwrap();
        for fifo in ["ok", "control"] {
            let _ = nix::unistd::mkfifo(&dir.join(fifo), nix::sys::stat::Mode::S_IRWXU);
        }
        dir
    }
}

impl Drop for Fixture {
    /// Ends the supervisors; what they leave is up to [`Place`].
    fn drop(&mut self) {
        for child in &mut self.supervisors {
            signal(child.id(), "TERM");
            let end = Instant::now() + Duration::from_secs(5);
            while child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() && !self.supervisors.is_empty() {
            eprintln!("{}", self.place.story());
        }
    }
}
