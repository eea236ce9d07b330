//! `log` in supervise.conf: the tree runs supervise-log by itself.

use super::common::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// One line to standard output and one to standard error, then it waits.
const BOTH: &str = "#!/bin/sh\necho out $$\necho err $$ >&2\nexec sleep 1000\n";

fn current(place: &Place) -> PathBuf {
    place.status_root().join("web/log/main/current")
}

fn wait_logged(place: &Place, path: &std::path::Path, text: &str) {
    wait_for(text, place, || std::fs::read_to_string(path).unwrap_or_default().contains(text));
}

#[test]
fn both_streams_go_to_a_logger_that_is_shown_and_steered_like_any() {
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\nlog_stamp : none\n"));
    place.run("web", BOTH);
    let (web, logger) = (place.module("web"), place.module("web/log"));
    let tree = place.reaped_tree();
    let pid = web.wait_up(&place);
    let log_pid = logger.wait_up(&place);
    wait_logged(&place, &current(&place), &format!("out {pid}\nerr {pid}\n"));
    assert_eq!((web.text("__stdout"), web.text("__stderr")), (String::new(), String::new()));
    wait_for("the logger's pid to be shown", &place, || web.state()["log_pid"] == log_pid);
    assert_eq!(logger.state()["log_dir"], current(&place).parent().unwrap().to_str().unwrap());
    assert_eq!(std::fs::metadata(current(&place)).unwrap().mode() & 0o777, 0o640);
    // A KILL of the logger makes a new one.
    signal(log_pid, "KILL");
    logger.wait_new_pid(&place, log_pid);
    signal(pid, "KILL");
    let next = web.wait_new_pid(&place, pid);
    wait_logged(&place, &current(&place), &format!("err {pid}\nout {next}\n"));
    assert!(tree.stop().success());
    assert!(!is_alive(log_pid));
}

#[test]
fn it_takes_effect_at_the_next_start_and_says_so() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", BOTH);
    let web = place.module("web");
    let tree = place.reaped_tree();
    let first = web.wait_up(&place);
    web.wait_text(&place, "__stderr", &format!("err {first}"));
    place.conf(&format!("{FAST}log : yes\nlog_stamp : none\n"));
    tree.signal("HUP");
    let logger = place.module("web/log");
    let log_pid = logger.wait_up(&place);
    wait_for("the word of it", &place, || place.story().contains("from its next start on its output goes to web/log"));
    assert_eq!(web.pid(), first);
    assert!(place.svctl(&["restart", "web"]).status.success(), "{}", place.story());
    let second = web.wait_new_pid(&place, first);
    wait_logged(&place, &current(&place), &format!("out {second}\nerr {second}\n"));
    // And back: the logger stays until the service is started without it.
    place.conf(FAST);
    tree.signal("HUP");
    wait_for("the word of it", &place, || place.story().contains("log says files now"));
    assert!(is_alive(log_pid) && web.pid() == second);
    assert!(place.svctl(&["restart", "web"]).status.success(), "{}", place.story());
    let third = web.wait_new_pid(&place, second);
    web.wait_text(&place, "__stderr", &format!("err {third}"));
    wait_for("the logger to end", &place, || !is_alive(log_pid));
    assert!(!std::fs::read_to_string(current(&place)).unwrap().contains(&third.to_string()));
    wait_for("the logger's thread to end", &place, || !logger.is_supervised());
    assert!(!place.story().contains("blocks when the pipe is full"), "{}", place.story());
    let kept = current(&place).parent().unwrap().display().to_string();
    let status = said_by(&place.svctl(&["status"]));
    assert!(status.contains(&format!("web logs elsewhere now; its lines of before are in {kept}")), "{status}");
    assert!(!status.contains("forget"), "{status}");
    let logs = place.svctl(&["logs", "web"]);
    let note = String::from_utf8_lossy(&logs.stderr).into_owned();
    assert!(note.contains(&format!("it logs elsewhere now; its lines of before are in {kept}")), "{note}");
    // Once more.
    place.conf(&format!("{FAST}log : yes\nlog_stamp : none\n"));
    tree.signal("HUP");
    logger.wait_new_pid(&place, log_pid);
    signal(third, "KILL");
    let fourth = web.wait_new_pid(&place, third);
    wait_logged(&place, &current(&place), &format!("err {fourth}"));
    assert!(tree.stop().success());
    // Without a tree, both wait for the next one.
    let status = said_by(&place.svctl(&["status"]));
    assert!(!status.contains("removed") && !status.contains("forget"), "{status}");
}

#[test]
fn two_modules_with_one_directory_are_told_of_and_why_a_logger_ends() {
    let place = Place::new();
    let shared = place.path().join("shared");
    place.conf(&format!("{FAST}log : {}\n", shared.display()));
    place.run("db", BOTH);
    place.run("web", BOTH);
    let tree = place.reaped_tree();
    let told = format!("log: all modules would write into the directory {}; with a slash", shared.display());
    wait_for("the complaint", &place, || place.story().contains(&told));
    let why = format!("it says: supervise-log: {}: process", shared.join("lock").display());
    let logs = ["db/log", "web/log"].map(|name| place.module(name));
    wait_for("the reason", &place, || logs.iter().any(|logger| logger.text("supervise.log.wf").contains(&why)));
    assert!(tree.stop().success());
}

#[test]
fn a_killed_tree_finds_its_loggers_again_whatever_the_file_says_by_then() {
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\nlog_stamp : none\n"));
    place.run("web", BOTH);
    let (web, logger) = (place.module("web"), place.module("web/log"));
    let killed = place.reaped_tree();
    let (pid, log_pid) = (web.wait_up(&place), logger.wait_up(&place));
    wait_logged(&place, &current(&place), &format!("err {pid}"));
    killed.kill();
    let again = place.reaped_tree();
    wait_for("the new tree's word", &place, || logger.state()["supervisor_pid"] == again.pid());
    assert_eq!((web.pid(), logger.pid()), (pid, log_pid));
    again.kill();
    place.conf(FAST);
    let tree = place.reaped_tree();
    wait_for("the new tree's word", &place, || web.state()["supervisor_pid"] == tree.pid());
    wait_for("the new tree's word", &place, || logger.state()["supervisor_pid"] == tree.pid());
    assert_eq!((web.pid(), logger.pid()), (pid, log_pid), "{}", place.story());
    signal(pid, "KILL");
    let next = web.wait_new_pid(&place, pid);
    web.wait_text(&place, "__stderr", &format!("err {next}"));
    wait_for("the logger to end", &place, || !is_alive(log_pid));
    assert!(tree.stop().success());
}

#[test]
fn the_directorys_own_logger_wins() {
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\n"));
    place.service("web", &[("run", BOTH), ("log/run", "#!/bin/sh\nexec cat\n")]);
    let logger = place.module("web/log");
    let tree = place.reaped_tree();
    logger.wait_text(&place, "__stdout", "out ");
    assert!(place.story().contains("web: has a log/run, so its log key has no effect"), "{}", place.story());
    assert!(!current(&place).exists());
    assert!(tree.stop().success());
}

#[test]
fn another_user_writes_below_directories_that_are_closed_to_him() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may start a logger as another user");
        return;
    }
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\nlog_user : 4711:4712\n"));
    place.run("web", BOTH);
    let logger = place.module("web/log");
    let tree = place.reaped_tree();
    let log_pid = logger.wait_up(&place);
    wait_logged(&place, &current(&place), "err ");
    assert!(proc_status(log_pid, "Uid").starts_with("4711"), "{}", proc_status(log_pid, "Uid"));
    let metadata = std::fs::metadata(current(&place)).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o777), (4711, 4712, 0o640));
    assert!(tree.stop().success());
}

/// What `svctl logs` answers.
fn shown(place: &Place, arguments: &[&str]) -> String {
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).arg("logs").args(arguments);
    let output = place.output(command);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn svctl_shows_what_the_logger_wrote_old_and_compressed_files_included() {
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\nlog_size : 4K\nlog_compress : gzip\n"));
    place.run("web", "#!/bin/sh\nseq 1 500\necho error 7 >&2\nexec sleep 1000\n");
    place.run("db", "#!/bin/sh\nexec sleep 1000\n");
    let tree = place.reaped_tree();
    wait_logged(&place, &current(&place), "error 7");
    let dir = current(&place).parent().unwrap().to_owned();
    let compressed =
        || std::fs::read_dir(&dir).unwrap().flatten().filter(|f| f.path().extension() == Some("gz".as_ref()));
    wait_for("old files to be compressed", &place, || compressed().count() >= 2);
    let last = |text: &str| text.lines().map(|l| l.split_once(' ').unwrap().1.to_string()).collect::<Vec<_>>();
    let all = shown(&place, &["-n", "1000", "web"]);
    let expected: Vec<String> = (1..=500).map(|n| n.to_string()).chain(["error 7".into()]).collect();
    assert_eq!(last(&all), expected);
    assert_eq!(last(&shown(&place, &["-n", "2", "web"])), ["500", "error 7"]);
    assert_eq!(last(&shown(&place, &["--grep", " 49[0-9]$|error", "web"])).len(), 11);
    assert_eq!(shown(&place, &["--until", "1h", "web"]), "");
    assert_eq!(last(&shown(&place, &["--since", "1h", "web"])), expected);
    // A new file takes the place of the one that is followed.
    let followed = place.path().join("followed");
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(["logs", "-f", "-n", "1", "web"]);
    let following = place.start({
        command.stdout(std::fs::File::create(&followed).unwrap());
        command
    });
    wait_logged(&place, &followed, "error 7");
    place.module("web/log").send("a");
    wait_for("the rotation", &place, || std::fs::metadata(current(&place)).is_ok_and(|now| now.len() == 0));
    let web = place.module("web");
    let old = web.pid();
    signal(old, "KILL");
    web.wait_new_pid(&place, old);
    wait_for("the lines of the new file", &place, || {
        std::fs::read_to_string(&followed).unwrap().matches("error 7").count() == 2
    });
    following.kill();
    assert!(tree.stop().success());
}

/// A fresh build of one program, or an image with one file, has no supervise-log beside it.
#[test]
fn the_trees_own_file_is_the_logger_where_there_is_no_other() {
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\nlog_stamp : none\nlog_size : 4K\nlog_compress : gzip\n"));
    place.run("web", "#!/bin/sh\nseq 1 2000\nexec sleep 1000\n");
    let alone = place.path().join("bin/supervise-tree");
    std::fs::create_dir(place.path().join("bin")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_supervise-tree"), &alone).unwrap();
    let mut command = std::process::Command::new(&alone);
    command.arg("-p").arg(place.status_root()).arg(place.root()).env("PATH", "/usr/bin:/bin");
    let tree = place.start(command);
    place.module("web").wait_up(&place);
    wait_logged(&place, &current(&place), "2000\n");
    wait_for("an old file to be compressed", &place, || {
        let names = std::fs::read_dir(current(&place).parent().unwrap()).unwrap();
        names.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".gz"))
    });
    // By another name, it is another program.
    let svctl = place.path().join("bin/svctl");
    std::os::unix::fs::symlink(&alone, &svctl).unwrap();
    let mut command = std::process::Command::new(&svctl);
    command.arg("-p").arg(place.status_root()).arg("status");
    let told = said_by(&place.output(command));
    assert!(told.contains("web/log") && !told.contains("log/main"), "{told}");
    assert!(tree.stop().success());
}
