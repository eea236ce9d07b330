//! What tests of faults need of the machine: a process that reaps what a killed tree leaves behind, and kernel versions.

use super::{DEADLINE, Module, Place, Running, is_listening, signal, tree_command, wait_for};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// A program under a reaper: a process of ours to which the kernel gives what the program leaves behind when it is
/// killed, and which reaps it at once. PID 1 does the same, but some look only once a second, and some never.
pub struct Reaped<'a> {
    place: &'a Place,
    reaper: Running<'a>,
    pid: u32,
}

impl Reaped<'_> {
    /// The program's pid, not the reaper's.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends the program a signal, by name.
    pub fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// Kills the program, and waits for its end. What it has started lives on, with the reaper as its parent.
    pub fn kill(&self) {
        self.signal("KILL");
        // Once it has been reaped, and not before, its last thread is gone, and its locks with it.
        let place = format!("/proc/{}", self.pid);
        wait_for("the program to be killed", self.place, || !Path::new(&place).exists());
    }

    /// Sends TERM, and waits until the program and all that it has left behind have ended; the program's exit status.
    pub fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.reaper.wait()
    }
}

impl Place {
    /// Starts `supervise-tree` on the services root, under a reaper.
    pub fn reaped_tree(&self) -> Reaped<'_> {
        self.reaped_tree_as(tree_command())
    }

    /// Has a tree start these services, and kills it: the services run on, without a supervisor. Their pids.
    pub fn left_running<const N: usize>(&self, modules: [&Module; N]) -> [u32; N] {
        let killed = self.reaped_tree();
        let pids = modules.map(|module| module.wait_up(self));
        killed.kill();
        pids
    }

    /// As [`Place::reaped_tree`], by a command of one's own that ends in `supervise-tree`'s name; the usual arguments are added.
    pub fn reaped_tree_as(&self, mut command: Command) -> Reaped<'_> {
        command.arg("-p").arg(self.status_root()).arg(self.root());
        let reaped = self.reaped(command);
        wait_for("the tree to listen", self, || is_listening(&self.status_root().join(".supervise-tree")));
        reaped
    }

    /// Starts a program under a reaper.
    pub fn reaped(&self, command: Command) -> Reaped<'_> {
        self.under_reaper(command, Reaping::All)
    }

    fn under_reaper(&self, mut command: Command, reaping: Reaping) -> Reaped<'_> {
        command.stdout(Stdio::piped());
        // SAFETY: `split` makes raw system calls only, which are allowed between fork and exec.
        unsafe { command.pre_exec(move || split(reaping)) };
        let mut reaper = self.start(command);
        let mut pid = [0; 4];
        let stdout = reaper.child.as_mut().and_then(|child| child.stdout.take());
        stdout.expect("a pipe").read_exact(&mut pid).expect("the program's pid");
        Reaped { place: self, reaper, pid: u32::from_ne_bytes(pid) }
    }

    /// As [`Place::reaped_tree`], but what the tree leaves behind is not reaped until the end of the test, as by a PID 1 that
    /// does not look.
    pub fn unreaped_tree(&self) -> Reaped<'_> {
        let mut command = tree_command();
        command.arg("-p").arg(self.status_root()).arg(self.root());
        let tree = self.under_reaper(command, Reaping::Nothing);
        wait_for("the tree to listen", self, || is_listening(&self.status_root().join(".supervise-tree")));
        tree
    }

    /// The status directory of the tree itself.
    pub fn own(&self) -> Module {
        self.module(".supervise-tree")
    }

    /// Waits until the tree itself has logged `text`.
    pub fn wait_told(&self, text: &str) {
        wait_for(&format!("the tree to say {text:?}"), self, || self.own().log().contains(text));
    }
}

/// What a reaper does with what its program leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reaping {
    All,
    Nothing,
}

/// Between fork and exec: forks once more. The child goes on to execute the program; the parent stays, as the reaper
/// of all below it, until there is nobody left; then it exits with the program's exit code.
fn split(reaping: Reaping) -> io::Result<()> {
    // SAFETY: integers, and pointers to locals that live through the calls; nothing allocates. `_exit` ends the
    // parent before it could return into the standard library's half of the fork.
    unsafe {
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) != 0 {
            return Err(io::Error::last_os_error());
        }
        let pid = libc::fork();
        if pid <= 0 {
            return if pid == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        }
        libc::write(1, (&raw const pid).cast(), size_of_val(&pid));
        // The standard library waits for the end of one of these.
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        let mut code = 255;
        loop {
            let mut status = 0;
            let whom = if reaping == Reaping::All { -1 } else { pid };
            let ended = libc::waitpid(whom, &mut status, 0);
            if ended == pid && reaping == Reaping::Nothing {
                // It is killed with the test.
                loop {
                    libc::pause();
                }
            }
            if ended == pid {
                code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 255 };
            }
            if ended < 0 && *libc::__errno_location() == libc::ECHILD {
                libc::_exit(code);
            }
        }
    }
}

/// Whether the kernel is at least this; some things can only be told by newer ones.
pub fn kernel_is(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-', '+']).map_while(|word| word.trim().parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// Says on standard error why a test did nothing.
pub fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// How often `text` occurs in the file at `path`.
pub fn count(path: &Path, text: &str) -> usize {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).matches(text).count()
}

/// Asserts that the file has the numbers from 1 on, each in a line, none missing and none twice; returns the last.
pub fn numbered_lines(path: &Path) -> u64 {
    let text = std::fs::read_to_string(path).expect("the numbered lines");
    let mut last = 0;
    for line in text.lines() {
        assert_eq!(line.parse::<u64>().ok(), Some(last + 1), "after line {last} in {}", path.display());
        last += 1;
    }
    assert!(text.ends_with('\n') || text.is_empty(), "the last line is cut: {last}");
    last
}

/// Waits until the file at `path` is longer than it is now.
pub fn wait_growth(place: &Place, path: &Path) {
    let size = || std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let before = size();
    wait_for(&format!("{} to grow (within {DEADLINE:?})", path.display()), place, || size() > before);
}

/// A service that goes on until it is told to end; USR1 makes it exit with code 7.
pub const HOLD: &str =
    "sleep 1000 & s=$!; trap 'kill $s; exit 7' USR1; trap 'kill $s; exit 0' TERM; while :; do wait; done";

/// A service that writes numbered lines all the time.
pub const NUMBERS: &str = "i=0; while :; do i=$((i+1)); echo $i; done";
