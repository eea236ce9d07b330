//! Old files.

use super::pipe::{Logger, Pipe, wait_until};
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use supervise_tree::logger::archive::names;

fn old_files(pipe: &Pipe) -> Vec<String> {
    names::list(&pipe.log()).unwrap_or_default().iter().map(|name| name.text().to_string()).collect()
}

/// Lines of a hundred bytes.
fn lines(from: usize, to: usize) -> String {
    (from..to).map(|number| format!("{number:099}\n")).collect()
}

#[test]
fn files_are_closed_by_size_between_lines_and_kept_by_number() {
    let mut pipe = Pipe::new();
    let mut logger = pipe.logger(&["--stamp", "none", "-s", "1050", "-n", "3"]);
    pipe.write(lines(0, 100).as_bytes());
    pipe.let_go();
    wait_until("the end of the logger", || !logger.is_running());
    assert_eq!(old_files(&pipe).len(), 3);
    assert_eq!(pipe.lossy(), lines(60, 100));
    for name in old_files(&pipe) {
        let metadata = std::fs::metadata(pipe.log().join(name)).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (1000, 0o640));
    }
}

#[test]
fn files_are_kept_by_bytes_and_compressed() {
    let mut pipe = Pipe::new();
    let mut logger = pipe.logger(&["--stamp", "none", "-s", "10K", "-n", "0", "--total", "25000", "-z", "gzip"]);
    pipe.write(lines(0, 500).as_bytes());
    pipe.let_go();
    pipe.wait_for_compressor("the end of the logger", || !logger.is_running());
    let names = old_files(&pipe);
    assert!(!names.is_empty() && names.iter().all(|name| name.ends_with(".gz")), "{names:?}");
    assert!(pipe.lossy().ends_with(&lines(400, 500)));
    assert_eq!(pipe.errors(), "");
}

#[test]
fn svlogds_files_stay_in_order_and_are_pruned_with_ours() {
    let pipe = Pipe::new();
    std::fs::create_dir(pipe.log()).unwrap();
    for (name, text) in [("@400000006744000000000000.s", "oldest\n"), ("@400000006745000000000000.u", "old\n")] {
        std::fs::write(pipe.log().join(name), text).unwrap();
    }
    std::fs::write(pipe.current(), "torn").unwrap();
    std::fs::write(pipe.log().join("config"), "s1050\nn2\npweb: \n-*debug*\nEx\n").unwrap();
    let _logger = pipe.logger(&["--stamp", "none"]);
    pipe.wait_error("config, line 5: e and E have no effect");
    pipe.write(b"debug\nnew\n");
    pipe.wait_text("torn\nweb: new\n");
    assert_eq!(pipe.lossy(), "oldest\nold\ntorn\nweb: new\n");
    pipe.write(lines(0, 10).as_bytes());
    // Two there are before the rotation, too.
    wait_until("svlogd's oldest to go", || !pipe.lossy().contains("oldest"));
    assert_eq!(old_files(&pipe).len(), 2);
}

#[test]
fn alarm_rotates_age_rotates_and_an_empty_file_stays() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none", "--age", "1"]);
    wait_until("current", || pipe.current().exists());
    logger.signal(Signal::SIGALRM);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    logger.signal(Signal::SIGALRM);
    wait_until("an old file", || old_files(&pipe).len() == 1);
    pipe.write(b"two\n");
    // Nothing else comes, and the file becomes old.
    wait_until("an old file by age", || old_files(&pipe).len() == 2);
    assert_eq!(pipe.lossy(), "one\ntwo\n");
}

#[test]
fn a_compressor_that_is_killed_is_tried_again_and_half_files_go() {
    let pipe = Pipe::new();
    std::fs::create_dir(pipe.log()).unwrap();
    let name = "log-00000001-20261125T094116Z";
    // As a logger leaves it that was killed while its compressor ran, and one whose compressor was just done.
    std::fs::write(pipe.log().join(name), "one\n").unwrap();
    std::fs::write(pipe.log().join(format!("{name}.gz.part")), "half").unwrap();
    let _logger = pipe.logger(&["--stamp", "none", "-z", "gzip"]);
    pipe.wait_for_compressor("a compressed file", || old_files(&pipe) == [format!("{name}.gz")]);
    pipe.wait_for_compressor("no half file", || !pipe.log().join(format!("{name}.gz.part")).exists());
    assert_eq!(pipe.lossy(), "one\n");
}

/// The process that compresses for a logger, if it runs.
fn compressor_of(logger: &Logger) -> Option<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", logger.pid())).ok()?;
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.collect::<String>().split_whitespace().next()?.parse().ok()
}

/// Makes an old file that takes a while to be compressed, and a logger that has just begun to do it.
fn stopped_compressor(pipe: &Pipe, name: &str) -> (Logger, nix::unistd::Pid) {
    std::fs::create_dir(pipe.log()).unwrap();
    std::fs::write(pipe.log().join(name), lines(0, 60_000)).unwrap();
    let logger = pipe.logger(&["--stamp", "none", "-z", "gzip"]);
    let mut compressor = None;
    pipe.wait_for_compressor("a compressor with a half file", || {
        compressor = compressor_of(&logger);
        compressor.is_some() && pipe.log().join(format!("{name}.gz.part")).exists()
    });
    let compressor = nix::unistd::Pid::from_raw(compressor.unwrap());
    nix::sys::signal::kill(compressor, Signal::SIGSTOP).unwrap();
    (logger, compressor)
}

#[test]
fn what_is_written_anew_while_the_last_file_is_compressed_is_read_too() {
    let mut pipe = Pipe::new();
    let (mut logger, compressor) = stopped_compressor(&pipe, "log-00000001-20261125T094116Z");
    pipe.write(b"before the end\n");
    pipe.let_go();
    pipe.wait_for_end_of_input();
    pipe.write(b"after the end\n");
    nix::sys::signal::kill(compressor, Signal::SIGCONT).unwrap();
    pipe.wait_for_compressor("the end of the logger", || !logger.is_running());
    assert!(pipe.lossy().ends_with("before the end\nafter the end\n"));
    assert_eq!(pipe.errors(), "");
}

#[test]
fn reading_never_waits_for_a_compressor_and_a_killed_one_is_tried_once_more() {
    let pipe = Pipe::new();
    let name = "log-00000001-20261125T094116Z";
    let (logger, compressor) = stopped_compressor(&pipe, name);
    pipe.write(b"two\n");
    wait_until("a line", || std::fs::read_to_string(pipe.current()).is_ok_and(|text| text == "two\n"));
    logger.signal(Signal::SIGALRM);
    wait_until("the rotation", || old_files(&pipe).len() == 2);
    nix::sys::signal::kill(compressor, Signal::SIGKILL).unwrap();
    let killed = "cannot compress: the compressor ended with signal: 9 (SIGKILL); it is tried once more";
    pipe.wait_for_compressor("the word of it", || pipe.errors().contains(killed));
    pipe.wait_for_compressor("all to be compressed", || old_files(&pipe).iter().all(|name| name.ends_with(".gz")));
    pipe.wait_for_compressor("no half file", || !pipe.log().join(format!("{name}.gz.part")).exists());
    assert_eq!(pipe.lossy(), lines(0, 60_000) + "two\n");
}

#[test]
fn what_is_too_much_goes_while_a_compressor_gets_no_processor() {
    let pipe = Pipe::new();
    let name = "log-00000001-20261125T094116Z";
    let (logger, compressor) = stopped_compressor(&pipe, name);
    std::fs::write(pipe.log().join("config"), "s1000\nn2\n").unwrap();
    logger.signal(Signal::SIGHUP);
    wait_until("lines in old files", || {
        pipe.write(lines(0, 100).as_bytes());
        old_files(&pipe).iter().any(|name| name.starts_with("log-00000009"))
    });
    wait_until("the others to go", || old_files(&pipe).len() == 2);
    nix::sys::signal::kill(compressor, Signal::SIGCONT).unwrap();
    pipe.wait_for_compressor("no half file, and no copy of what is gone", || {
        let left: Vec<_> = std::fs::read_dir(pipe.log()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        !left.iter().any(|left| left.to_string_lossy().starts_with(name)) && old_files(&pipe).len() == 2
    });
    pipe.wait_for_compressor("the rest to be compressed", || old_files(&pipe).iter().all(|name| name.ends_with(".gz")));
    assert_eq!(pipe.errors(), "");
}

#[test]
fn one_that_cannot_be_removed_keeps_no_other() {
    let pipe = Pipe::new();
    std::fs::create_dir(pipe.log()).unwrap();
    let name = |number| format!("log-{number:08}-20261125T094116Z");
    for number in [1, 2, 4] {
        std::fs::write(pipe.log().join(name(number)), "x\n").unwrap();
    }
    std::fs::create_dir(pipe.log().join(name(3))).unwrap();
    let _logger = pipe.logger(&["--keep", "1"]);
    pipe.wait_error(&format!("{}: cannot remove: Is a directory; it is tried again", name(3)));
    wait_until("the others to go", || old_files(&pipe) == [name(3), name(4)]);
}

#[test]
fn a_file_that_cannot_be_compressed_stays_plain_and_is_tried_once_more() {
    let pipe = Pipe::new();
    std::fs::create_dir(pipe.log()).unwrap();
    let name = "log-00000001-20261125T094116Z";
    std::fs::write(pipe.log().join(name), "one\n").unwrap();
    // A directory that has the name already.
    std::fs::create_dir(pipe.log().join(format!("{name}.gz.part"))).unwrap();
    let logger = pipe.logger(&["--stamp", "none", "-z", "gzip"]);
    pipe.wait_for_compressor("the second try", || pipe.errors().contains("it stays as it is"));
    assert!(pipe.errors().contains("it is tried once more"), "{}", pipe.errors());
    pipe.write(b"two\n");
    pipe.wait_text("two\n");
    assert!(pipe.log().join(name).exists());
    drop(logger);
}
