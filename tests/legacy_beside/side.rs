//! One of the two programs, in a directory of its own: what is done to it, and what can be seen from outside.

use crate::common::{Place, is_alive, is_stopped, script, signal};
use crate::sequence::{Kind, Step};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::RwLock;
use std::time::Duration;

/// What scripts can see. Nothing of it may differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    supervised: bool,
    /// Whether the pid in `status` is that of a live process; none when it is 0.
    alive: Option<bool>,
    stopped: bool,
    /// Bytes 12 to 15.
    flags: Vec<u8>,
    starts: usize,
    /// What the restart command read in `status`, once for each call.
    hooks: Vec<String>,
    alarms: usize,
}

/// Who writes files that are to be executed has it for writing, who starts a process for reading.
static FILES: RwLock<()> = RwLock::new(());

/// A program at work.
pub struct Side {
    place: Place,
    program: PathBuf,
    kind: Kind,
}

impl Side {
    /// Calls it for the first time.
    pub fn new(program: &Path, kind: Kind) -> Side {
        let place = Place::new();
        let here = place.path();
        std::fs::create_dir(place.status_root()).expect("the status root");
        // A process that another thread starts just now would hold the script open for writing: "Text file busy".
        let writing = FILES.write().expect("no panic");
        let body = match kind {
            Kind::Stubborn => "trap '' TERM\necho $$ >> starts\nexec sleep 1000",
            Kind::Plain | Kind::Hook | Kind::Limits => "echo $$ >> starts\nexec sleep 1000",
        };
        script(&here.join("app"), body);
        script(&here.join("hook"), "od -An -j16 -N4 -tu4 status/app/status >> hooks");
        script(&here.join("sbin/gsmsend-script"), &format!("echo alarm >> {}/alarms", here.display()));
        let conf = match kind {
            Kind::Limits => "[global]\nalarm_interval : 600\nmax_tries : 2\nalarm_gsm : 1\n",
            Kind::Plain | Kind::Stubborn | Kind::Hook => "[global]\nalarm_interval : 0\n",
        };
        std::fs::write(here.join("supervise.conf"), conf).expect("supervise.conf");
        drop(writing);
        let side = Side { place, program: program.to_owned(), kind };
        side.call();
        side
    }

    /// Does one step.
    pub fn take(&self, step: Step) {
        match step {
            Step::Send(bytes) => self.send(bytes),
            Step::Kill => self.kill_run(),
            Step::Signal(name) => self.signal_supervisor(name),
            Step::Again => {
                self.signal_supervisor("TERM");
                self.wait_until("the end", || self.supervisor().is_none());
                self.remove_run();
                self.call();
            }
            Step::Call if self.supervisor().is_none() => {
                self.remove_run();
                self.call();
            }
            Step::Call => {}
        }
    }

    /// What is to be seen now.
    pub fn seen(&self) -> Seen {
        let status = self.status();
        let pid = pid_in(&status);
        Seen {
            supervised: self.supervisor().is_some(),
            alive: (pid != 0).then(|| is_alive(pid)),
            stopped: pid != 0 && is_stopped(pid),
            flags: status.get(12..16).unwrap_or_default().to_vec(),
            starts: self.lines("starts").len(),
            hooks: self.lines("hooks"),
            alarms: self.alarms(),
        }
    }

    /// What it has logged.
    pub fn story(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.dir().join(name)).unwrap_or_default();
        format!("--- {}\n{}{}", self.program.display(), read("supervise.log"), read("supervise.log.wf"))
    }

    fn call(&self) {
        let before = self.lines("starts").len();
        let mut command = Command::new(&self.program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.place.path().join("sbin").display()));
        command.current_dir(self.place.path()).args(["-p", "status/app", "-f", "./app"]);
        if self.kind == Kind::Hook {
            command.args(["-r", "./hook", "-t", "100"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // What a shell has ignored for its background jobs, the C program hands on, and `supervise` does not.
        let default = || {
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
                // SAFETY: SIG_DFL installs no code.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: what runs between fork and exec calls signal(2) alone.
        unsafe { command.pre_exec(default) };
        let reading = FILES.read().expect("no panic");
        let mut child = command.spawn().expect("it runs");
        drop(reading);
        assert!(child.wait().expect("its end").success(), "{}", self.story());
        // The C program takes its lock and starts the service after it has answered, and hears nothing for a second then.
        self.wait_until("a start", || pid_in(&self.status()) != 0 && self.lines("starts").len() > before);
        std::thread::sleep(Duration::from_millis(1100));
    }

    fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        crate::common::wait_for(&format!("{what} ({})", self.program.display()), &self.place, condition);
    }

    fn dir(&self) -> PathBuf {
        self.place.status_root().join("app")
    }

    fn status(&self) -> Vec<u8> {
        std::fs::read(self.dir().join("status")).unwrap_or_default()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.place.path().join(name)).unwrap_or_default();
        text.lines().map(|line| line.trim().to_string()).collect()
    }

    /// Alarms of exits. Giving up raises one of its own here, and none in the C program.
    fn alarms(&self) -> usize {
        let text = std::fs::read_to_string(self.dir().join("supervise.log.wf")).unwrap_or_default();
        self.lines("alarms").len() - text.lines().filter(|line| line.contains("gave up after")).count()
    }

    /// The pid of whoever holds the lock.
    fn supervisor(&self) -> Option<u32> {
        let inode = std::fs::metadata(self.dir().join("lock")).ok()?.ino().to_string();
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        locks.lines().find_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (kind, pid, place) = (words.next()?, words.nth(2)?, words.next()?);
            (kind == "FLOCK" && place.rsplit(':').next() == Some(&inode)).then(|| pid.parse().ok())?
        })
    }

    fn signal_supervisor(&self, name: &str) {
        if let Some(pid) = self.supervisor() {
            signal(pid, name);
        }
    }

    fn kill_run(&self) {
        let pid = pid_in(&self.status());
        if pid != 0 && is_alive(pid) {
            signal(pid, "KILL");
        }
    }

    /// The same where nobody supervises: the next one must not find it still dying, and adopt it.
    fn remove_run(&self) {
        let pid = pid_in(&self.status());
        self.kill_run();
        self.wait_until("the end of the process", || pid == 0 || !Path::new(&format!("/proc/{pid}")).exists());
    }

    /// Nobody may be there to read it.
    fn send(&self, bytes: &str) {
        let mut options = std::fs::OpenOptions::new();
        if let Ok(mut fifo) = options.write(true).custom_flags(libc::O_NONBLOCK).open(self.dir().join("control")) {
            let _ = fifo.write_all(bytes.as_bytes());
        }
    }
}

fn pid_in(status: &[u8]) -> u32 {
    status.get(16..20).map_or(0, |pid| u32::from_le_bytes(pid.try_into().expect("4 bytes")))
}
