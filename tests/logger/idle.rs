//! What a logger does while no lines come, and with input that is no pipe.

use super::pipe::{Logger, Pipe, wait_until};
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::unix::fs::{FileExt, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long it is looked at a logger that has nothing to do.
const WHILE: Duration = Duration::from_secs(2);

/// So much processor time that takes at most. One that turns in a circle gets more even beside many others.
const MOST: Duration = Duration::from_millis(60);

/// How long the logger has run.
fn ran(logger: &Logger) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{}/schedstat", logger.pid())).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn assert_rests(logger: &Logger) {
    let before = ran(logger);
    std::thread::sleep(WHILE);
    let time = ran(logger) - before;
    assert!(time < MOST, "{time:?} in {WHILE:?}");
}

#[test]
fn a_file_that_is_gone_does_not_grow_old() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none", "--age", "1"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    std::fs::remove_file(pipe.current()).unwrap();
    wait_until("a new file", || pipe.current().exists());
    assert_rests(&logger);
    pipe.write(b"two\n");
    pipe.wait_text("two\n");
    std::fs::rename(pipe.current(), pipe.path().join("moved")).unwrap();
    logger.signal(Signal::SIGHUP);
    wait_until("a new file", || pipe.current().exists());
    assert_rests(&logger);
}

#[test]
fn an_emptied_file_is_no_old_one_and_has_room() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none", "--size", "100"]);
    let old_files =
        || std::fs::read_dir(pipe.log()).unwrap().flatten().filter(|it| it.file_name() != "current").count();
    pipe.write(&[&[b'a'; 90][..], b"\n"].concat());
    pipe.wait_text("a\n");
    let before = old_files();
    // As logrotate does it with `copytruncate`, but in the midst of a line.
    File::options().write(true).open(pipe.current()).unwrap().set_len(5).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    pipe.write(&[&[b'b'; 80][..], b"\n"].concat());
    pipe.wait_text("b\n");
    assert_eq!(pipe.lossy(), format!("aaaaa\n{}\n", "b".repeat(80)));
    std::fs::write(pipe.current(), "").unwrap();
    logger.signal(Signal::SIGALRM);
    pipe.write(b"c\n");
    pipe.wait_text("c\n");
    assert_eq!((old_files(), pipe.lossy()), (before, "c\n".to_string()));
}

#[test]
fn what_cannot_be_said_now_is_waited_for() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none", "--rate", "1"]);
    // The second line is too much, and a long one has begun behind it that nobody ends.
    pipe.write(b"one\ntwo\n");
    let piece = 256 * 1024;
    for _ in 0..5 {
        pipe.write(&vec![b'x'; piece]);
    }
    pipe.wait_text("one\n");
    std::thread::sleep(Duration::from_secs(1));
    assert_rests(&logger);
    pipe.write(b"\n");
    pipe.wait_text("supervise-log: 2 lines left out");
}

#[test]
fn dropped_lines_are_told_of_without_another_line() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none", "--full", "drop", "--age", "1", "--rate", "2"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    std::fs::remove_file(pipe.current()).unwrap();
    symlink("nowhere", pipe.current()).unwrap();
    logger.signal(Signal::SIGHUP);
    pipe.wait_error("lines are dropped and counted");
    pipe.write(b"two\nthree\nfour\nfive\n");
    std::thread::sleep(Duration::from_secs(1));
    assert_rests(&logger);
    std::fs::remove_file(pipe.current()).unwrap();
    pipe.wait_text("dropped, they could not be written\n");
    pipe.wait_error("writing again");
}

fn reads(input: File, pipe: &Pipe) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supervise-log"));
    command.args(["--stamp", "none"]).arg(pipe.log()).stdin(input).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn input_may_be_a_device_and_a_file_of_any_size() {
    let pipe = Pipe::new();
    assert!(reads(File::open("/dev/null").unwrap(), &pipe).wait().unwrap().success());
    // What is left of it does not fit into the kernel's answer.
    let path = pipe.path().join("large");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(3 << 30).unwrap();
    file.write_all_at(b"the first line\n", 0).unwrap();
    let mut child = reads(file, &pipe);
    let wait = std::panic::AssertUnwindSafe(|| pipe.wait_text("the first line\n"));
    let seen = std::panic::catch_unwind(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    seen.unwrap();
}
