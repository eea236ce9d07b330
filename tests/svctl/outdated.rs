//! `restart --outdated`, and who is: what runs from files or settings that are not the present ones.

use crate::common::script;
use crate::fixture::{Fixture, STEADY, until};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

/// What `status --json` says of a module.
fn outdated(fixture: &Fixture, module: &str) -> Option<String> {
    let seen = fixture.svctl(&["--json", "status", module]).json();
    assert!(seen[0].as_object().unwrap().contains_key("outdated"), "{seen}");
    seen[0]["outdated"].as_str().map(str::to_string)
}

/// The clock by which files are stamped has ticks of some milliseconds: what is written now is newer than what has started.
fn wait_for_the_clock_of_files(fixture: &Fixture) {
    let (from, probe) = (SystemTime::now(), fixture.path().join("probe"));
    let stamp = || {
        std::fs::write(&probe, "").unwrap();
        std::fs::metadata(&probe).and_then(|probe| probe.modified()).ok().filter(|stamp| *stamp > from)
    };
    until("the clock of files has come so far", stamp);
}

#[test]
fn exactly_what_runs_from_something_older_is_restarted() {
    let names = ["run", "conf", "env", "file", "none", "down"];
    let fixture = Fixture::with(&names.map(|name| (name, STEADY)));
    for name in ["env", "none"] {
        std::fs::create_dir(fixture.services.join(name).join("env")).unwrap();
    }
    std::fs::write(fixture.services.join("file/supervise.conf"), "env_file : vars\n").unwrap();
    std::fs::write(fixture.services.join("file/vars"), "A=1\n").unwrap();
    let mut fixture = fixture;
    fixture.start_tree();
    fixture.all_up(&names);
    wait_for_the_clock_of_files(&fixture);
    assert_eq!(fixture.expect(0, &["restart", "--outdated"]).out, "ok: nothing is outdated\n");
    fixture.expect(0, &["stop", "down"]);
    let before = names.map(|name| fixture.pid(name));

    // As a package manager does it: the new file has an old time.
    for name in ["run", "down"] {
        script(&fixture.services.join(name).join("run.new"), STEADY);
        let old = SystemTime::now() - Duration::from_secs(100_000);
        let file = std::fs::File::options().write(true).open(fixture.services.join(name).join("run.new")).unwrap();
        file.set_modified(old).unwrap();
        drop(file);
        std::fs::rename(fixture.services.join(name).join("run.new"), fixture.services.join(name).join("run")).unwrap();
    }
    std::fs::write(fixture.services.join("conf/supervise.conf"), "nice : 1\n").unwrap();
    std::fs::write(fixture.services.join("env/env/PORT"), "8080").unwrap();
    std::fs::write(fixture.services.join("file/vars"), "A=2\n").unwrap();
    let why = names.map(|name| outdated(&fixture, name));
    let why = why.each_ref().map(Option::as_deref);
    let file = format!("{} was changed", std::fs::canonicalize(&fixture.services).unwrap().join("file/vars").display());
    let expected =
        [Some("run was changed"), Some("supervise.conf was changed"), Some("env was changed"), Some(&file), None, None];
    assert_eq!(why, expected);
    let table = fixture.svctl(&["status"]).out;
    assert!(table.contains("outdated: env was changed"), "{table}");
    let page = fixture.expect(0, &["show", "run"]).out;
    assert!(page.contains("run was changed: svctl restart run"), "{page}");

    let answer = fixture.expect(0, &["--json", "restart", "--outdated"]).json();
    let mut restarted: Vec<&str> = answer.as_array().unwrap().iter().filter_map(|one| one["module"].as_str()).collect();
    restarted.sort_unstable();
    assert_eq!(restarted, ["conf", "env", "file", "run"]);
    let after = names.map(|name| fixture.pid(name));
    for ((name, before), after) in names.iter().zip(before).zip(after) {
        assert_eq!(before != after, restarted.contains(name), "{name}");
        assert_eq!(outdated(&fixture, name), None, "{name}");
    }
    // Whoever is named gets an answer.
    let answer = fixture.expect(0, &["--json", "restart", "--outdated", "run"]).json();
    assert_eq!((answer[0]["ok"].as_bool(), answer[0]["changed"].as_bool()), (Some(true), Some(false)));
    assert_eq!(fixture.pid("run"), after[0]);
}

#[test]
fn a_link_to_another_release_counts_however_old_that_is() {
    let fixture = Fixture::new();
    for release in ["old", "new"] {
        let directory = fixture.path().join("releases").join(release);
        std::fs::create_dir_all(&directory).unwrap();
        script(&directory.join("run"), STEADY);
    }
    symlink("releases/new", fixture.path().join("current")).unwrap();
    symlink(fixture.path().join("current"), fixture.services.join("web")).unwrap();
    let mut fixture = fixture;
    fixture.start_tree();
    let first = fixture.up("web");
    wait_for_the_clock_of_files(&fixture);
    assert_eq!(outdated(&fixture, "web"), None);
    symlink("releases/old", fixture.path().join("next")).unwrap();
    std::fs::rename(fixture.path().join("next"), fixture.path().join("current")).unwrap();
    assert_eq!(outdated(&fixture, "web").as_deref(), Some("another directory has its place"));
    fixture.expect(0, &["restart", "--outdated"]);
    assert!(fixture.pid("web").is_some_and(|pid| pid != first));
    assert_eq!(outdated(&fixture, "web"), None);
}

#[test]
fn settings_that_were_read_since_count_over_the_death_of_the_tree_too() {
    let mut fixture = Fixture::with(&[("web", STEADY), ("other", STEADY)]);
    let file = fixture.services.join("supervise.conf");
    std::fs::write(&file, "[web]\nnice : 1\n").unwrap();
    fixture.start_tree();
    fixture.all_up(&["web", "other"]);
    // What is in force at once makes nothing outdated, and what was not read yet is not in force.
    std::fs::write(&file, "[web]\nnice : 1\nrestart_delay : 3\n[other]\nrestart_delay : 3\n").unwrap();
    fixture.expect(0, &["reload", "web", "other"]);
    std::fs::write(&file, "[web]\nnice : 2\n").unwrap();
    assert_eq!((outdated(&fixture, "web"), outdated(&fixture, "other")), (None, None));
    fixture.expect(0, &["reload", "web", "other"]);
    let why = Some("its settings were changed".to_string());
    assert_eq!((outdated(&fixture, "web"), outdated(&fixture, "other")), (why.clone(), None));
    fixture.crash();
    std::fs::write(&file, "[web]\nnice : 3\n").unwrap();
    fixture.start_tree();
    fixture.expect(0, &["wait", "up", "web", "other"]);
    assert_eq!((outdated(&fixture, "web"), outdated(&fixture, "other")), (why, None));
    let answer = fixture.expect(0, &["restart", "--outdated"]);
    assert!(answer.out.starts_with("ok: web: up") && answer.out.lines().count() == 1, "{answer:?}");
    assert_eq!(outdated(&fixture, "web"), None);
    // As before again, without a restart.
    std::fs::write(&file, "[web]\nnice : 4\n").unwrap();
    fixture.expect(0, &["reload", "web"]);
    assert!(outdated(&fixture, "web").is_some());
    std::fs::write(&file, "[web]\nnice : 3\n").unwrap();
    fixture.expect(0, &["reload", "web"]);
    assert_eq!(outdated(&fixture, "web"), None);
}

#[test]
fn where_a_service_logs_counts_from_its_next_start_on() {
    let mut fixture = Fixture::with(&[("web", STEADY)]);
    let file = fixture.services.join("supervise.conf");
    fixture.start_tree();
    fixture.all_up(&["web"]);
    std::fs::write(&file, "[web]\nlog : yes\nlog_size : 10K\n").unwrap();
    fixture.expect(0, &["reload"]);
    until("it is outdated", || outdated(&fixture, "web"));
    let answer = fixture.expect(0, &["restart", "--outdated"]);
    assert!(answer.out.contains("ok: web: up"), "{answer:?}");
    assert_eq!(outdated(&fixture, "web"), None);
    // Its logger's options are a setting as well, also where the program was replaced meanwhile.
    fixture.expect(0, &["wait", "up", "web/log"]);
    assert_eq!(outdated(&fixture, "web/log"), None);
    std::fs::write(&file, "[web]\nlog : yes\nlog_size : 20K\n").unwrap();
    fixture.expect(0, &["upgrade"]);
    until("the logger is outdated", || outdated(&fixture, "web/log"));
    fixture.expect(0, &["restart", "--outdated"]);
    assert_eq!((outdated(&fixture, "web"), outdated(&fixture, "web/log")), (None, None));
}
