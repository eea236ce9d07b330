//! `log : stdout`: one writer for many modules, and a standard output that may be anything.

use super::common::*;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const CONF: &str = "[global]\nrestart_delay : 0.05\nlog : stdout\n";

/// Numbered lines, as fast as they are taken.
const COUNTS: &str = "#!/bin/sh\nn=0\nwhile [ $n -lt 20000 ]; do n=$((n+1)); echo $n; done\nexec sleep 1000\n";

fn tree_into(place: &Place, stdout: impl Into<std::process::Stdio>) -> Running<'_> {
    let mut command = tree_command();
    command.arg("-p").arg(place.status_root()).arg(place.root()).stdout(stdout);
    place.start(command)
}

fn out(place: &Place) -> PathBuf {
    place.path().join("out")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn writer_of(tree: &Running<'_>) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", tree.pid())).unwrap();
    let all = tasks.flatten().map(|task| text(&task.path().join("children"))).collect::<Vec<_>>().join(" ");
    all.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .find(|pid: &u32| proc_words(*pid, "cmdline").windows(7).any(|word| word == b"--merge"))
}

#[test]
fn lines_of_all_are_whole_named_and_in_order_while_the_writer_is_killed() {
    let place = Place::new();
    place.conf(CONF);
    place.run("web", COUNTS);
    place.run("db", COUNTS);
    let tree = tree_into(&place, File::create(out(&place)).unwrap());
    for _ in 0..3 {
        let before = text(&out(&place)).len();
        wait_for("lines", &place, || text(&out(&place)).len() > before || text(&out(&place)).ends_with("20000\n"));
        wait_for("a writer", &place, || writer_of(&tree).is_some());
        signal(writer_of(&tree).unwrap(), "KILL");
    }
    wait_for("all lines", &place, || ["web | 20000\n", "db | 20000\n"].iter().all(|l| text(&out(&place)).contains(l)));
    assert!(tree.stop().success());
    for name in ["web | ", "db | "] {
        let all = text(&out(&place));
        let mut numbers: Vec<u32> =
            all.lines().filter_map(|l| l.strip_prefix(name)).map(|n| n.parse().unwrap()).collect();
        // What was written when the KILL came may come twice.
        let doubled = numbers.len() - 20_000;
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, (1..=20_000).collect::<Vec<_>>());
        assert!(doubled <= 3 * 4096 / 6, "{doubled} lines came twice");
    }
}

/// A service that writes without end into what nobody takes is stopped, started, killed and shown as ever.
fn is_steered_as_ever(place: &Place, tree: Running<'_>) {
    let web = place.module("web");
    let first = web.wait_up(place);
    wait_for("the service to be blocked", place, || text(Path::new(&format!("/proc/{first}/wchan"))).contains("pipe"));
    let begun = std::time::Instant::now();
    let does = |words: &[&str]| {
        let output = place.svctl(words);
        assert!(output.status.success(), "{words:?}: {}\n{}", said_by(&output), place.story());
        said_by(&output)
    };
    assert!(does(&["status", "web"]).contains(&first.to_string()));
    does(&["-w", "10", "stop", "web"]);
    assert!(!is_alive(first));
    does(&["-w", "10", "start", "web"]);
    let second = web.wait_new_pid(place, first);
    signal(second, "KILL");
    let third = web.wait_new_pid(place, second);
    does(&["-w", "10", "restart", "web"]);
    let last = web.wait_new_pid(place, third);
    assert!(tree.stop().success());
    assert!(!is_alive(last));
    // Far from the 10 s after which a process is killed that does not end.
    assert!(begun.elapsed().as_secs() < 9, "{:?}", begun.elapsed());
}

fn endless(place: &Place, conf: &str) {
    place.conf(&format!("{CONF}{conf}"));
    place.run("web", "#!/bin/sh\nexec yes\n");
}

#[test]
fn a_standard_output_that_nobody_reads_holds_no_supervision_up() {
    let place = Place::new();
    endless(&place, "");
    let (_unread, input) = nix::unistd::pipe().unwrap();
    let tree = tree_into(&place, input);
    is_steered_as_ever(&place, tree);
}

#[test]
fn a_slow_reader_of_standard_output_holds_no_supervision_up_and_gets_whole_lines() {
    let place = Place::new();
    endless(&place, "");
    let (out, input) = nix::unistd::pipe().unwrap();
    let tree = tree_into(&place, input);
    let reading = std::thread::spawn(move || {
        let (mut reader, mut all, mut room) = (File::from(out), Vec::new(), [0; 64]);
        while let Ok(count @ 1..) = reader.read(&mut room) {
            all.extend_from_slice(&room[..count]);
            // What is left when the tree has gone is taken at once.
            if all.len() < 16_000 {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        String::from_utf8(all).unwrap()
    });
    is_steered_as_ever(&place, tree);
    let all = reading.join().unwrap();
    assert!(all.ends_with('\n') && all.lines().all(|line| line == "web | y"), "{all:?}");
}

#[test]
fn a_standard_output_without_room_is_said_and_holds_no_supervision_up() {
    let place = Place::new();
    endless(&place, "");
    let tree = tree_into(&place, File::options().write(true).open("/dev/full").unwrap());
    let errors = place.path().join("stderr");
    wait_for("the word of it", &place, || {
        text(&errors).contains("supervise-log: standard output: No space left on device; services wait")
    });
    is_steered_as_ever(&place, tree);
}

#[test]
fn a_terminal_that_is_stuck_holds_no_supervision_up() {
    let place = Place::new();
    endless(&place, "");
    let terminal = nix::pty::openpty(None, None).unwrap();
    let tree = tree_into(&place, terminal.slave);
    is_steered_as_ever(&place, tree);
}

#[test]
fn names_have_colours_on_a_terminal_and_each_its_own() {
    let place = Place::new();
    place.conf(CONF);
    for name in ["web", "db"] {
        place.run(name, "#!/bin/sh\necho hello\nexec sleep 1000\n");
    }
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut master = File::from(terminal.master);
    nix::fcntl::fcntl(&master, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    let tree = tree_into(&place, terminal.slave);
    let (mut shown, mut room) = (String::new(), [0; 4096]);
    wait_for("both lines", &place, || {
        let count = master.read(&mut room).unwrap_or(0);
        shown.push_str(&String::from_utf8_lossy(&room[..count]));
        shown.matches("hello").count() == 2
    });
    let colour = |name: &str| {
        let line = shown.lines().find(|line| line.contains(name)).unwrap();
        let rest = line.strip_prefix("\x1b[").unwrap();
        let (colour, rest) = rest.split_once('m').unwrap();
        assert_eq!(rest, format!("{name} |\x1b[0m hello"));
        colour.parse::<u8>().unwrap()
    };
    assert!((31..37).contains(&colour("web")) && (31..37).contains(&colour("db")), "{shown:?}");
    assert_ne!(colour("web"), colour("db"));
    assert!(tree.stop().success());
}

#[test]
fn a_standard_output_that_is_closed_is_said_and_nothing_else_ends() {
    let place = Place::new();
    place.conf(&format!("{CONF}log_full : drop\n"));
    place.run("web", "#!/bin/sh\necho $$\nexec sleep 1000\n");
    let (unread, input): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    drop(unread);
    let errors = place.path().join("stderr");
    let tree = tree_into(&place, input);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_for("the word of it", &place, || {
        text(&errors).contains("supervise-log: standard output: Broken pipe; lines are dropped")
    });
    assert!(is_alive(pid));
    assert!(tree.stop().success());
}

#[test]
fn nothing_goes_elsewhere_while_the_reader_takes_a_rest() {
    let place = Place::new();
    place.conf(CONF);
    place.run("web", "#!/bin/sh\nseq 1 20000\necho done > ../../done\nexec sleep 1000\n");
    let (reader, input): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    let tree = tree_into(&place, input);
    let web = place.module("web");
    web.wait_up(&place);
    // Longer than a service waits for a logger that does not run.
    std::thread::sleep(std::time::Duration::from_secs(7));
    assert!(!place.path().join("done").exists(), "both pipes hold less");
    assert!(!place.story().contains("its logger does not run"), "{}", place.story());
    let read = std::thread::spawn(move || {
        let mut all = String::new();
        File::from(reader).read_to_string(&mut all).unwrap();
        all
    });
    wait_for("the service", &place, || place.path().join("done").exists());
    assert_eq!(web.text("__stdout"), "");
    assert!(tree.stop().success());
    let all = read.join().unwrap();
    let numbers: Vec<u32> = all.lines().map(|line| line.strip_prefix("web | ").unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (1..=20_000).collect::<Vec<_>>());
}

#[test]
fn a_long_line_in_odd_pieces_holds_up_nobody() {
    let place = Place::new();
    place.conf(CONF);
    let line = place.path().join("line");
    std::fs::write(&line, "x".repeat(90_000)).unwrap();
    let dd = |size: u32| format!("dd if={} bs={size} 2>/dev/null; echo; echo after {size}\n", line.display());
    // Half a line, and then more than the pipe has room for.
    let half = format!("printf half; sleep 0.1; cat {0} {0} {0}; echo; echo the end", line.display());
    place.run("web", &format!("#!/bin/sh\n{}{}{half}\nexec sleep 1000\n", dd(3000), dd(4095)));
    let tree = tree_into(&place, File::create(out(&place)).unwrap());
    wait_for("the last line", &place, || text(&out(&place)).contains("web | the end\n"));
    assert!(tree.stop().success());
    let lengths: Vec<usize> = text(&out(&place)).lines().map(|line| line.matches('x').count()).collect();
    assert_eq!(lengths, [90_000, 0, 90_000, 0, 270_000, 0]);
}

#[test]
fn json_and_back_to_files_at_the_next_start() {
    let place = Place::new();
    place.conf(&format!("{CONF}log_format : json\n"));
    place.run("web", "#!/bin/sh\necho a $$\necho b $$ >&2\nexec sleep 1000\n");
    let tree = tree_into(&place, File::create(out(&place)).unwrap());
    let web = place.module("web");
    let first = web.wait_up(&place);
    wait_for("both lines", &place, || text(&out(&place)).lines().count() == 2);
    let lines: Vec<serde_json::Value> = text(&out(&place)).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((&lines[0]["line"], &lines[1]["module"]), (&format!("a {first}").into(), &"web".into()));
    place.conf(FAST);
    tree.signal("HUP");
    wait_for("the word of it", &place, || place.story().contains("log says files now"));
    assert!(place.svctl(&["restart", "web"]).status.success(), "{}", place.story());
    let second = web.wait_new_pid(&place, first);
    web.wait_text(&place, "__stderr", &format!("b {second}"));
    place.conf(CONF);
    tree.signal("HUP");
    wait_for("the word of it", &place, || place.story().contains("log says stdout now"));
    assert!(place.svctl(&["restart", "web"]).status.success(), "{}", place.story());
    let third = web.wait_new_pid(&place, second);
    wait_for("text", &place, || text(&out(&place)).contains(&format!("web | b {third}\n")));
    assert!(tree.stop().success());
    assert!(!text(&out(&place)).contains(&format!("b {second}")));
}
