//! `svctl logs`: what loggers wrote, in old and compressed files, while they rotate, and by the loggers of others.

use super::common::*;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `svctl logs` answers.
fn shown(place: &Place, arguments: &[&str]) -> String {
    let output = place.svctl(&[&["logs"], arguments].concat());
    assert!(output.status.success(), "{output:?}\n{}", place.story());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn log_dir(place: &Place, module: &str) -> PathBuf {
    place.status_root().join(module).join("log/main")
}

/// An old file, through gzip if its name says so.
fn old_file(dir: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(dir).unwrap();
    let file = std::fs::File::create(dir.join(name)).unwrap();
    if name.ends_with(".gz") {
        GzEncoder::new(file, Compression::fast()).write_all(text.as_bytes()).unwrap();
    } else {
        (&file).write_all(text.as_bytes()).unwrap();
    }
}

fn at(second: u32, text: &str) -> String {
    format!("2026-11-25T09:00:{second:02}.000000Z {text}\n")
}

/// Two modules with old files, one of them in JSON, and a word of each in `current`.
fn two_modules(place: &Place) -> Running<'_> {
    place.conf(&format!("{FAST}log : yes\nlog_stamp : utc\n"));
    for name in ["web", "db"] {
        place.run(name, &format!("#!/bin/sh\necho {name} today\nexec sleep 1000\n"));
    }
    let web = log_dir(place, "web");
    old_file(&web, "log-00000001-20261125T090003Z.gz", &[at(0, "web 0"), at(2, "web 2"), "  more\n".into()].concat());
    old_file(&web, "log-00000002-20261125T090008Z", &[at(4, "web 4"), at(6, "web 6")].concat());
    let json =
        |second| format!(r#"{{"time":"2026-11-25T09:00:{second:02}.000000Z","module":"db","line":"db {second}"}}"#);
    old_file(&log_dir(place, "db"), "log-00000001-20261125T090009Z.gz", &(json(1) + "\n" + &json(5) + "\n"));
    let tree = place.tree();
    for name in ["web", "db"] {
        place.module(name).wait_up(place);
        wait_for("the word of today", place, || shown(place, &["-n", "1", name]).contains("today"));
    }
    tree
}

#[test]
fn several_modules_are_one_story_whatever_files_it_is_in() {
    let place = Place::new();
    let tree = two_modules(&place);
    let texts = |arguments: &[&str]| -> Vec<String> {
        let words = |line: &str| {
            let (name, rest) = line.split_once(" | ").unwrap();
            let number = rest.trim_end_matches("\"}").rsplit(' ').next().unwrap().to_string();
            format!("{} {number}", name.trim_end())
        };
        shown(&place, arguments).lines().map(words).collect()
    };
    let old = ["web 0", "db 1", "web 2", "web more", "web 4", "db 5", "web 6"];
    let all = texts(&["-n", "100", "web", "db"]);
    assert_eq!(all[..7], old);
    assert!(all.len() == 9 && all[7..].iter().all(|line| line.ends_with("today")), "{all:?}");
    assert_eq!(texts(&["--until", "2026-11-25T09:01:00Z", "web", "db"]), old);
    let between = ["--since", "2026-11-25T09:00:01Z", "--until", "2026-11-25T09:00:05Z", "web", "db"];
    assert_eq!(texts(&between), old[1..5]);
    assert_eq!(texts(&["--grep", "(web|db) [0145]", "web", "db"]), ["web 0", "db 1", "web 4", "db 5"]);
    // Of each module the last ones.
    assert_eq!(
        texts(&["--grep", "[0-9]$|[0-9]\"", "-n", "1", "--until", "2026-11-25T09:01:00Z", "web", "db"]),
        ["db 5", "web 6"]
    );
    let output = place.svctl(&["--json", "logs", "--until", "2026-11-25T09:00:02Z", "web", "db"]);
    let lines: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |key: &str| lines.iter().map(|line| line[key].as_str().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(of("module"), ["web", "db"]);
    assert_eq!(of("stream"), ["log", "log"]);
    assert_eq!(of("line")[0], at(0, "web 0").trim_end());
    assert!(tree.stop().success());
}

#[test]
fn a_follower_sees_each_line_once_however_often_the_logger_rotates() {
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\nlog_stamp : none\nlog_size : 4K\nlog_keep : 0\nlog_compress : gzip\n"));
    let count = 30_000;
    place.run(
        "web",
        &format!("#!/bin/sh\necho 0\nuntil [ -e ../../go ]; do sleep 0.01; done\nseq 1 {count}\nexec sleep 1000\n"),
    );
    let tree = place.tree();
    wait_for("the first line", &place, || {
        log_dir(&place, "web").join("current").metadata().is_ok_and(|it| it.len() > 0)
    });
    let followed = place.path().join("followed");
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(["logs", "-f", "web"]);
    command.stdout(std::fs::File::create(&followed).unwrap());
    let following = place.start(command);
    let text = || std::fs::read_to_string(&followed).unwrap();
    wait_for("the first line to be shown", &place, || text().contains('\n'));
    std::fs::write(place.path().join("go"), "").unwrap();
    wait_for("the last line", &place, || text().ends_with(&format!("\n{count}\n")));
    following.kill();
    let old = std::fs::read_dir(log_dir(&place, "web")).unwrap().count();
    assert!(old > 30, "{old} files");
    assert!(text() == (0..=count).map(|number| format!("{number}\n")).collect::<String>(), "{}", text());
    assert!(tree.stop().success());
}

#[test]
fn a_follower_goes_with_the_service_to_its_new_logger() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", "#!/bin/sh\necho first $$\nexec sleep 1000\n");
    let tree = place.tree();
    let web = place.module("web");
    let first = web.wait_up(&place);
    web.wait_text(&place, "__stdout", "first");
    let followed = place.path().join("followed");
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(["logs", "-f", "web"]);
    command.stdout(std::fs::File::create(&followed).unwrap());
    let following = place.start(command);
    let sees = |pid: u32| {
        let line = format!("first {pid}\n");
        wait_for("its line", &place, || std::fs::read_to_string(&followed).unwrap().contains(&line));
    };
    sees(first);
    place.conf(&format!("{FAST}log : yes\nlog_stamp : none\n"));
    tree.signal("HUP");
    place.wait_told("has a log now");
    assert!(place.svctl(&["restart", "web"]).status.success(), "{}", place.story());
    sees(web.wait_new_pid(&place, first));
    following.kill();
    assert!(tree.stop().success());
}

/// A service with this `log/run`, whose lines `svctl logs` shows.
fn with_logger_of_others(program: &str, run: &str) {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&paths).any(|dir| dir.join(program).is_file()) {
        assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{program} is needed");
        return eprintln!("skipped: no {program}");
    }
    let place = Place::new();
    place.conf(FAST);
    let web = "#!/bin/sh\nseq 1 800\nuntil [ -e ../../go ]; do sleep 0.01; done\nseq 801 900\nexec sleep 1000\n";
    place.service("web", &[("run", web), ("log/run", &format!("#!/bin/sh\nmkdir -p main\n{run}\n"))]);
    let tree = place.tree();
    let numbers = |text: &str| -> Vec<u32> {
        text.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    };
    let first: Vec<u32> = (1..=800).collect();
    place.module("web").wait_up(&place);
    wait_for("all lines", &place, || numbers(&shown(&place, &["-n", "1", "web"])) == [800]);
    assert_eq!(numbers(&shown(&place, &["-n", "2000", "web"])), first);
    assert_eq!(numbers(&shown(&place, &["--since", "1h", "web"])), first);
    assert_eq!(numbers(&shown(&place, &["--until", "1h", "web"])), [0; 0]);
    assert_eq!(numbers(&shown(&place, &["--grep", " 7[0-9]$", "web"])), (70..80).collect::<Vec<_>>());
    let followed = place.path().join("followed");
    let mut command = svctl_command();
    command.arg("-p").arg(place.status_root()).args(["logs", "-f", "-n", "1", "web"]);
    command.stdout(std::fs::File::create(&followed).unwrap());
    let following = place.start(command);
    wait_for("a line", &place, || !std::fs::read(&followed).unwrap().is_empty());
    std::fs::write(place.path().join("go"), "").unwrap();
    let text = || std::fs::read_to_string(&followed).unwrap();
    wait_for("what is new", &place, || text().ends_with(" 900\n"));
    assert_eq!(numbers(&text()), (800..=900).collect::<Vec<_>>());
    following.kill();
    // Nobody has its file open then.
    assert!(place.svctl(&["stop", "web/log"]).status.success(), "{}", place.story());
    assert_eq!(numbers(&shown(&place, &["-n", "2000", "web"])), (1..=900).collect::<Vec<_>>());
    let files = std::fs::read_dir(place.root().join("web/log/main")).unwrap().flatten();
    assert!(files.filter(|file| file.file_name().to_string_lossy().starts_with('@')).count() > 1);
    assert!(tree.stop().success());
}

#[test]
fn what_svlogd_writes_is_shown() {
    with_logger_of_others("svlogd", "printf 's4096\\nn0\\n' > main/config\nexec svlogd -tt ./main");
}

#[test]
fn what_multilog_writes_is_shown() {
    with_logger_of_others("multilog", "exec multilog t s4096 n100 ./main");
}

#[test]
fn what_s6_log_writes_is_shown() {
    with_logger_of_others("s6-log", "exec s6-log T s4096 n100 ./main");
}

#[test]
fn what_a_program_of_theirs_has_compressed_is_shown() {
    with_logger_of_others("svlogd", "printf 's4096\\nn0\\n!gzip\\n' > main/config\nexec svlogd -tt ./main");
    with_logger_of_others("multilog", "exec multilog t s4096 n100 '!gzip' ./main");
    with_logger_of_others("s6-log", "exec s6-log T s4096 n100 '!gzip' ./main");
}

#[test]
fn a_logger_that_writes_elsewhere_and_does_not_run_is_told_of() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", "#!/bin/sh\nexec sleep 1000\n"), ("log/run", "#!/bin/sh\nexec cat > /dev/null\n")]);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    place.module("web/log").wait_up(&place);
    assert!(place.svctl(&["stop", "web/log"]).status.success(), "{}", place.story());
    let said = said_by(&place.svctl(&["logs", "web"]));
    assert!(said.contains("its output goes to web/log, which does not run, and which file"), "{said}");
    assert!(tree.stop().success());
}

#[test]
fn a_line_is_shown_in_one_piece_whatever_escapes_it_has() {
    let place = Place::new();
    place.conf(&format!("{FAST}log : yes\nlog_format : json\n"));
    place.run("web", "#!/bin/sh\nhead -c 1000000 /dev/zero\necho\nexec sleep 1000\n");
    let tree = place.tree();
    place.module("web").wait_up(&place);
    let line = || shown(&place, &["-n", "1", "web"]);
    wait_for("the line", &place, || line().ends_with("}\n"));
    let value: serde_json::Value = serde_json::from_str(&line()).unwrap();
    assert_eq!(value["line"].as_str().unwrap().len(), 1_000_000);
    assert!(tree.stop().success());
}

/// Lines of a thousand bytes, one a second from midnight on.
fn a_day(seconds: std::ops::Range<u32>) -> String {
    let line = |n: u32| format!("2026-11-25T{:02}:{:02}:{:02}.000000Z {n:0971}\n", n / 3600, n / 60 % 60, n % 60);
    seconds.map(line).collect()
}

#[test]
fn however_much_is_shown_a_part_is_in_memory_at_a_time() {
    let place = Place::in_memory();
    let tree = two_modules(&place);
    let all = [4_000, 8_000, 12_000, 16_000];
    let mut text = String::new();
    for (number, end) in (3..).zip(all) {
        let name = format!("log-{number:08}-20261125T{number:02}0000Z");
        for (module, compressed) in [("web", ""), ("db", ".gz")] {
            let lines = a_day(end - 4_000..end);
            old_file(&log_dir(&place, module), &format!("{name}{compressed}"), &lines);
            text += &lines;
        }
    }
    // Three quarters of what is shown of both; the program alone takes half of that.
    let memory = text.len() / 4 * 3 / 1024;
    let shown = place.path().join("shown");
    let count = |arguments: &[&str], lines: usize| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("ulimit -v {memory}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_svctl"), "-p"]);
        command.arg(place.status_root()).arg("logs").args(arguments);
        command.stdout(std::fs::File::create(&shown).unwrap());
        assert!(place.start(command).wait().success(), "{arguments:?}\n{}", place.story());
        assert_eq!(host::count(&shown, "\n"), lines, "{arguments:?}");
    };
    let day = ["--since", "2026-11-25T00:00:00Z", "--until", "2026-11-26T00:00:00Z"];
    // With the seven lines of the beginning, of which one has no time.
    count(&[&day[..], &["web"]].concat(), 16_000 + 5);
    count(&[&day[..], &["web", "db"]].concat(), 32_000 + 7);
    count(&["--grep", "0$", "-n", "5", "web"], 5);
    assert!(tree.stop().success());
}
