//! What others do to a log's directory, and what becomes of the lines.

use super::pipe::{Pipe, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    std::fs::rename(pipe.current(), pipe.path().join("moved")).unwrap();
    logger.signal(Signal::SIGHUP);
    wait_until("a new file", || {
        pipe.write(b"two\n");
        pipe.lossy().contains("two\n")
    });
    // The same without a signal.
    std::fs::remove_file(pipe.current()).unwrap();
    wait_until("a new file", || {
        pipe.write(b"three\n");
        pipe.lossy().contains("three\n")
    });
}

#[test]
fn a_link_is_refused_and_lines_wait_until_it_is_gone() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    std::fs::remove_file(pipe.current()).unwrap();
    symlink("/etc/passwd", pipe.current()).unwrap();
    logger.signal(Signal::SIGHUP);
    pipe.wait_error("it is a symbolic link; the service waits");
    pipe.write(b"two\n");
    std::fs::remove_file(pipe.current()).unwrap();
    pipe.wait_text("two\n");
    pipe.wait_error("writing again");
    assert_eq!(pipe.errors().lines().count(), 2, "{}", pipe.errors());
}

#[test]
fn a_directory_that_was_removed_is_made_anew_with_lock_and_journal() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    std::fs::remove_dir_all(pipe.log()).unwrap();
    wait_until("a new directory", || {
        pipe.write(b"two\n");
        pipe.lossy().contains("two\n")
    });
    pipe.wait_error("it is made anew");
    assert!(pipe.log().join("lock").exists());
    // And it is as safe as before.
    pipe.write(b"half");
    wait_until("the half line in the journal", || {
        let journal = std::fs::read(pipe.log().join("journal")).unwrap();
        journal.windows(4).any(|window| window == b"half")
    });
    logger.kill();
    let _next = pipe.logger(&["--stamp", "none"]);
    pipe.write(b" line\n");
    pipe.wait_text("half line\n");
}

/// Somebody whom permissions hold, and a log of his.
fn somebodys_log(pipe: &Pipe) -> Option<u32> {
    std::fs::create_dir(pipe.log()).unwrap();
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = 4711;
    std::os::unix::fs::chown(pipe.log(), Some(user), Some(user)).unwrap();
    std::fs::set_permissions(pipe.path(), Permissions::from_mode(0o755)).unwrap();
    Some(user)
}

fn set_mode(pipe: &Pipe, mode: u32) {
    std::fs::set_permissions(pipe.log(), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn in_a_read_only_directory_the_file_grows_and_is_closed_when_that_is_over() {
    let pipe = Pipe::new();
    let user = somebodys_log(&pipe);
    let _logger = pipe.logger_as(user, &["--stamp", "none", "-s", "1050"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    set_mode(&pipe, 0o555);
    pipe.write(lines(0, 20).as_bytes());
    pipe.wait_error("current: cannot rename: Permission denied; the file grows until it can be renamed");
    pipe.wait_text(&lines(0, 20));
    set_mode(&pipe, 0o755);
    wait_until("an old file", || {
        pipe.write(b"more\n");
        std::fs::metadata(pipe.current()).is_ok_and(|current| current.len() < 1050)
    });
    assert!(pipe.lossy().starts_with(&format!("one\n{}more\n", lines(0, 20))));
    assert_eq!(pipe.errors().lines().count(), 1, "{}", pipe.errors());
}

#[test]
fn a_read_only_directory_without_a_file_is_said_and_lines_wait() {
    let pipe = Pipe::new();
    let user = somebodys_log(&pipe);
    let logger = pipe.logger_as(user, &["--stamp", "none"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    std::fs::rename(pipe.current(), pipe.log().join("moved")).unwrap();
    set_mode(&pipe, 0o555);
    logger.signal(Signal::SIGHUP);
    pipe.write(b"two\n");
    pipe.wait_error("current: cannot open: Permission denied; the service waits until it can be written");
    set_mode(&pipe, 0o755);
    let time = pipe.wait_text("two\n");
    assert!(time.as_millis() < 1500, "{time:?}");
    pipe.wait_error("writing again");
    assert_eq!(pipe.errors().lines().count(), 2, "{}", pipe.errors());
}

#[test]
fn a_second_logger_is_refused() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&[]);
    wait_until("current", || pipe.current().exists());
    let mut second = pipe.logger(&[]);
    wait_until("the end of the second", || !second.is_running());
    pipe.wait_error(&format!("process {} writes this log already", logger.pid()));
}

#[test]
fn a_damaged_journal_is_begun_anew_and_said() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    logger.kill();
    let path = pipe.log().join("journal");
    let mut journal = std::fs::read(&path).unwrap();
    journal[8..16].fill(0xff);
    std::fs::write(&path, journal).unwrap();
    let _next = pipe.logger(&["--stamp", "none"]);
    pipe.wait_error("the journal is damaged");
    pipe.write(b"two\n");
    pipe.wait_text("one\ntwo\n");
}

#[test]
fn a_journal_that_somebody_cuts_makes_the_logger_begin_anew() {
    let pipe = Pipe::new();
    let begun = std::time::Instant::now();
    let mut logger = pipe.logger(&["--stamp", "none"]);
    pipe.write(b"one\n");
    pipe.wait_text("one\n");
    wait_until("a logger that is not new", || begun.elapsed().as_millis() > 300);
    std::fs::write(pipe.log().join("journal"), "").unwrap();
    pipe.write(b"two\n");
    pipe.wait_text("one\ntwo\n");
    pipe.wait_error("journal: somebody has cut it; beginning anew");
    assert!(logger.is_running(), "it is the same process");
}

/// A name in a log's directory, which is made.
fn within(log: &Path, name: &str) -> PathBuf {
    std::fs::create_dir(log).unwrap();
    log.join(name)
}

#[test]
fn what_is_no_file_is_said_by_its_name() {
    let said = |prepare: fn(&Path), expected: &str| {
        let pipe = Pipe::new();
        prepare(&pipe.log());
        let logger = pipe.logger(&["--stamp", "none"]);
        pipe.write(b"line\n");
        pipe.wait_error(&format!("{}{expected}", pipe.log().display()));
        drop(logger);
    };
    said(|log| std::fs::write(log, "").unwrap(), ": not a log: it is not a directory");
    said(|log| symlink("/nowhere", within(log, "lock")).unwrap(), "/lock: cannot lock: it is a symbolic link");
    said(
        |log| symlink("x", within(log, "journal")).unwrap(),
        "/journal: cannot open: it is a symbolic link; nothing is read",
    );
    said(
        |log| std::fs::create_dir(within(log, "current")).unwrap(),
        "/current: cannot open: Is a directory; the service waits",
    );
    said(
        |log| nix::unistd::mkfifo(&within(log, "current"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "/current: not written to: it is not a regular file; the service waits",
    );
    said(
        |log| std::fs::write(within(log, "config"), "#".repeat(70_000)).unwrap(),
        "/config: cannot read: it is larger than 64 KiB; what was read before holds",
    );
    said(
        |log| nix::unistd::mkfifo(&within(log, "config"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "/config: cannot read: not a regular file; what was read before holds",
    );
}

/// A small file system in memory, for those who may mount one.
struct Small(PathBuf);

impl Small {
    fn at(path: &Path) -> Option<Small> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), Some("size=1m"));
        match mounted {
            Ok(()) => Some(Small(path.to_path_buf())),
            Err(error) => {
                eprintln!("skipped: cannot mount: {error}");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|number| format!("{number:099}\n")).collect()
}

#[test]
fn on_a_full_disk_the_service_waits_and_nothing_is_lost() {
    let pipe = Pipe::new();
    let Some(_small) = Small::at(&pipe.log()) else { return };
    let logger = pipe.logger(&["--stamp", "none"]);
    wait_until("current", || pipe.current().exists());
    let ballast = pipe.log().join("ballast");
    std::fs::write(&ballast, vec![0; 500_000]).unwrap();
    let mut writer = pipe.writer();
    let text = lines(0, 6000);
    let expected = text.clone();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap());
    pipe.wait_error("No space left on device; the service waits");
    // Nothing of a line is torn, and a KILL changes nothing.
    assert!(pipe.lossy().ends_with('\n') && expected.starts_with(&pipe.lossy()));
    logger.kill();
    let _next = pipe.logger(&["--stamp", "none"]);
    std::fs::remove_file(&ballast).unwrap();
    let time = wait_until("the writer", || writing.is_finished());
    writing.join().unwrap();
    assert!(time.as_millis() < 1500, "{time:?}");
    wait_until("all lines", || pipe.lossy() == expected);
}

#[test]
fn who_has_to_end_with_lines_in_hand_says_so() {
    let pipe = Pipe::new();
    let Some(_small) = Small::at(&pipe.log()) else { return };
    let logger = pipe.logger(&["--stamp", "none"]);
    wait_until("current", || pipe.current().exists());
    let ballast = pipe.log().join("ballast");
    // As much as there is room for.
    let _ = std::fs::write(&ballast, vec![0; 2_000_000]);
    pipe.write(lines(0, 700).as_bytes());
    pipe.wait_error("No space left on device; the service waits");
    assert_eq!(logger.stop().code(), Some(111));
    pipe.wait_error("bytes could not be written; the next logger will do it");
    std::fs::remove_file(&ballast).unwrap();
    let next = pipe.logger(&["--stamp", "none"]);
    wait_until("all lines", || pipe.lossy() == lines(0, 700));
    // Half a line is none.
    pipe.write(b"half");
    assert_eq!(next.stop().code(), Some(0));
}

#[test]
fn on_a_full_disk_lines_are_dropped_and_counted_in_place() {
    let pipe = Pipe::new();
    let Some(_small) = Small::at(&pipe.log()) else { return };
    let _logger = pipe.logger(&["--stamp", "none", "--full", "drop"]);
    wait_until("current", || pipe.current().exists());
    let ballast = pipe.log().join("ballast");
    std::fs::write(&ballast, vec![0; 600_000]).unwrap();
    pipe.write(lines(0, 3000).as_bytes());
    pipe.wait_error("No space left on device; lines are dropped");
    std::fs::remove_file(&ballast).unwrap();
    let time = wait_until("a line after it", || {
        pipe.write(b"after\n");
        pipe.lossy().contains("after\n")
    });
    assert!(time.as_millis() < 1500, "{time:?}");
    let text = pipe.lossy();
    let mut numbers = text.lines().filter(|line| line.len() == 99).count();
    for line in text.lines().filter_map(|line| line.strip_prefix("supervise-log: ")) {
        let dropped: usize = line.split(' ').next().unwrap().parse().unwrap();
        numbers += dropped;
    }
    // `after` may have been dropped, too.
    assert!((3000..3000 + 1000).contains(&numbers), "{numbers}");
    assert!(text.contains("lines dropped, they could not be written\n"));
}
