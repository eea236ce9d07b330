//! What a start costs who uses none of the keys: not one system call.

use crate::common::*;
use crate::open_place;
use std::fs::{File, FileTimes};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// A tracer of every thread of a process, and where it writes.
struct Trace(Child, std::path::PathBuf);

impl Trace {
    /// Traces what `pid` does with files; `None` where nobody may trace.
    fn begin(place: &Place, pid: u32) -> Option<Trace> {
        let path = place.path().join("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=file", "-o"]).arg(&path).args(["-p", &pid.to_string()]);
        let Ok(mut child) = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn() else {
            host::skipped("needs strace");
            return None;
        };
        let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).expect("tasks").flatten();
        let is_traced = |task: &std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        };
        wait_for("the tracer", place, || {
            child.try_wait().expect("a child").is_some() || threads().all(|task| is_traced(&task))
        });
        if child.try_wait().expect("a child").is_some() {
            host::skipped("needs the right to trace");
            return None;
        }
        Some(Trace(child, path))
    }

    /// The calls that name something in the directory of `module`, but those of the child that executes `run`.
    fn end(self, place: &Place, module: &str) -> Vec<String> {
        signal(self.0.id(), "INT");
        let mut child = self.0;
        child.wait().expect("its end");
        let dir = place.root().join(module).display().to_string();
        let text = std::fs::read_to_string(&self.1).expect("a trace");
        let is_ours = |line: &&str| {
            line.contains(&dir) && !["chdir(", "execve(", "getcwd"].iter().any(|call| line.contains(call))
        };
        text.lines().filter(is_ours).map(str::to_owned).collect()
    }
}

#[test]
fn a_start_without_keys_looks_once_at_the_directory_and_at_nothing_in_it() {
    let place = open_place();
    place.conf("[global]\nrestart_delay : 0\n");
    for name in ["plain", "own"] {
        place.run(name, SLEEP);
    }
    std::fs::write(place.root().join("own/supervise.conf"), "nice : 1\n").expect("its own file");
    for name in ["plain", "own"] {
        let past = FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(60));
        File::open(place.root().join(name)).and_then(|dir| dir.set_times(past)).expect("a time");
    }
    let tree = place.tree();
    for name in ["plain", "own"] {
        // The first start is to get it running soon, and the second learns what a third has not to look for.
        let module = place.module(name);
        let first = module.wait_up(&place);
        module.send("t");
        module.wait_new_pid(&place, first);
    }
    let restart = |name: &str| {
        let module = place.module(name);
        let old = module.pid();
        let trace = Trace::begin(&place, tree.pid())?;
        // A command would look for its script in `control`.
        signal(old, "TERM");
        module.wait_new_pid(&place, old);
        Some(trace.end(&place, name))
    };
    let Some(plain) = restart("plain") else { return };
    // `finish` is looked for after each exit, as ever, and `down` when it is told; the directory itself is looked at once.
    let is_of_old = |line: &&String| line.contains("/plain/finish") || line.contains("/plain/down");
    let inside: Vec<_> = plain.iter().filter(|line| line.contains("/plain/") && !is_of_old(line)).collect();
    assert!(inside.is_empty(), "{inside:?}");
    assert_eq!(plain.len() - plain.iter().filter(is_of_old).count(), 1, "{plain:?}");
    let own = restart("own").expect("a trace");
    assert!(own.iter().any(|line| line.contains("/own/supervise.conf")), "{own:?}");
}
