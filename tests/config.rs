//! `supervise.conf` under a tree that runs: what a module's section inherits, what a reload changes, and that nothing
//! that can be done to the file stops anything.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// Larger than any file that is read, in bytes.
const HUGE: u64 = 5 * 1024 * 1024;

/// USR1 stops a service, so that it can be seen whether these settings are in force.
const USR1: &str = "[global]\nstop_signal : USR1\n";

fn own_log(place: &Place) -> String {
    place.own().log()
}

/// The tree's complaints.
fn warnings(place: &Place) -> Vec<String> {
    place.own().text("supervise.log.wf").lines().map(ToString::to_string).collect()
}

fn file(place: &Place) -> PathBuf {
    place.root().join("supervise.conf")
}

/// HUP, and no return before all modules have been given what was read.
fn reload(place: &Place, tree: &Running<'_>) {
    let count = || own_log(place).matches("reading the settings").count();
    let before = count();
    tree.signal("HUP");
    wait_for("the tree to read the settings", place, || count() > before);
    // A directory that comes now is looked at by the same thread, after that.
    let marker = format!("marker-{before}");
    place.run(&marker, SLEEP);
    place.module(&marker).wait_up(place);
}

/// Stops a service; the signal that has ended it.
fn stopped_by(place: &Place, name: &str) -> String {
    let module = place.module(name);
    module.send("d");
    module.wait_state(place, "down");
    module.state()["last_exit"]["signal"].as_str().unwrap_or_default().to_string()
}

/// A tree with USR1 as its stop signal and a service `web`, up, whose pid is returned.
fn running<'a>(place: &'a Place, arguments: &[&str]) -> (Running<'a>, u32) {
    place.conf(USR1);
    place.run("web", SLEEP);
    let tree = place.tree_with(arguments);
    let pid = place.module("web").wait_up(place);
    (tree, pid)
}

// ----- sections --------------------------------------------------------------------------------------------------

#[test]
fn a_section_inherits_from_global_if_it_stands_after_it() {
    let place = Place::new();
    place.conf(
        "[before]\nkill_timeout : 7\n\
         [global]\nstop_signal : USR1\nkill_timeout : 8\nrestart_delay : 0.05\n\
         [own]\nstop_signal : USR2\n\
         [empty]\nstop_signal :\n\
         [zero]\nkill_timeout : 0\n\
         [web/log]\nstop_signal : ALRM\n",
    );
    let names = ["before", "own", "empty", "zero", "other"];
    for name in names {
        place.run(name, SLEEP);
    }
    place.service("web", &[("run", SLEEP), ("log/run", SLEEP)]);
    let tree = place.tree();
    for name in names.into_iter().chain(["web", "web/log"]) {
        place.module(name).wait_up(&place);
    }
    for (name, signal, kill) in [
        ("before", "TERM", "in 7.0 s"),
        ("own", "USR2", "in 8.0 s"),
        ("empty", "USR1", "in 8.0 s"),
        ("zero", "USR1", "never"),
        ("other", "USR1", "in 8.0 s"),
        ("web", "USR1", "in 8.0 s"),
        ("web/log", "ALRM", "in 8.0 s"),
    ] {
        assert_eq!(stopped_by(&place, name), signal, "{name}");
        let expected = format!(": {signal} sent, KILL {kill}\n");
        place.module(name).wait_text(&place, "supervise.log", &expected);
    }
    assert_eq!(warnings(&place), [""; 0]);
    assert!(tree.stop().success());
}

#[test]
fn a_zero_that_is_written_is_a_value() {
    let place = Place::new();
    place.conf(
        "[global]\nrestart_delay : 1000\nalarm_interval : 60\nmax_tries : 2\n\
         [zero]\nrestart_delay : 0\nalarm_interval : 0\n[few]\nrestart_delay : 0\nmax_tries : 2\n",
    );
    let five = "echo run; [ $(wc -l < $OUT) -lt 5 ] && exit 1; exec sleep 1000";
    for name in ["zero", "few"] {
        let out = place.module(name).path("__stdout");
        place.run(name, &format!("OUT='{}'; {five}", out.display()));
    }
    let _tree = place.tree();
    // Neither the delay nor the limit of [global].
    place.module("zero").wait_text(&place, "__stdout", &"run\n".repeat(5));
    place.module("few").wait_state(&place, "failed");
    assert_eq!(place.module("few").text("__stdout"), "run\n".repeat(3));
}

#[test]
fn the_file_in_the_root_comes_before_the_one_in_the_current_directory_and_f_before_both() {
    for (in_root, asked, expected) in
        [(true, true, "WINCH"), (true, false, "USR1"), (false, false, "USR2"), (false, true, "WINCH")]
    {
        let place = Place::new();
        let talks = "trap 'echo gone; exit 0' WINCH USR1 USR2; echo ready; sleep 1000 & wait";
        place.run("web", talks);
        if in_root {
            place.conf(USR1);
        }
        std::fs::write(place.path().join("supervise.conf"), "[global]\nstop_signal : USR2\n").unwrap();
        std::fs::write(place.path().join("asked.conf"), "[global]\nstop_signal : WINCH\n").unwrap();
        let _tree = place.tree_with(if asked { &["-F", "asked.conf"] } else { &[] });
        let web = place.module("web");
        web.wait_text(&place, "__stdout", "ready\n");
        web.wait_up(&place);
        web.send("d");
        web.wait_state(&place, "down");
        // The log is written after the files.
        web.wait_text(&place, "supervise.log", &format!(": {expected} sent, "));
    }
}

// ----- reading again ---------------------------------------------------------------------------------------------

#[test]
fn hup_gives_all_modules_new_settings_and_restarts_nothing() {
    let place = Place::new();
    let (tree, pid) = running(&place, &[]);
    place.run("other", SLEEP);
    let other = place.module("other").wait_up(&place);
    place.conf("[global]\nstop_signal : USR2\n[other]\nstop_signal : ALRM\n");
    reload(&place, &tree);
    assert_eq!((place.module("web").pid(), place.module("other").pid()), (pid, other));
    assert!(is_alive(pid) && is_alive(other));
    assert_eq!((stopped_by(&place, "web"), stopped_by(&place, "other")), ("USR2".into(), "ALRM".into()));
    // What comes later has them, too.
    place.run("later", SLEEP);
    place.module("later").wait_up(&place);
    assert_eq!(stopped_by(&place, "later"), "USR2");
    assert_eq!(warnings(&place), [""; 0]);
}

#[test]
fn the_trees_own_fifo_reloads_too() {
    let place = Place::new();
    let (_tree, pid) = running(&place, &[]);
    place.conf("[global]\nstop_signal : USR2\n");
    place.own().send("h");
    wait_for("the tree to read the settings", &place, || own_log(&place).contains("reading the settings"));
    place.run("marker", SLEEP);
    place.module("marker").wait_up(&place);
    assert_eq!(place.module("web").pid(), pid);
    assert_eq!(stopped_by(&place, "web"), "USR2");
}

#[test]
fn r_gives_new_settings_to_its_module_alone_and_restarts_nothing() {
    let place = Place::new();
    let (_tree, pid) = running(&place, &[]);
    place.run("other", SLEEP);
    place.module("other").wait_up(&place);
    place.conf("[global]\nstop_signal : USR2\n");
    let web = place.module("web");
    web.send("r");
    web.wait_text(&place, "supervise.log", &format!("settings read from {}", file(&place).display()));
    assert_eq!(web.pid(), pid);
    assert_eq!((stopped_by(&place, "web"), stopped_by(&place, "other")), ("USR2".into(), "USR1".into()));
}

#[test]
fn a_delay_that_is_made_shorter_holds_for_the_next_start() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 1000\n");
    place.run("web", "echo run; exit 1");
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_state(&place, "backoff");
    place.conf("[global]\nrestart_delay : 0.05\n");
    web.send("ru");
    web.wait_text(&place, "__stdout", "run\nrun\nrun\n");
}

#[test]
fn limits_that_come_with_a_reload_count_from_then_on() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", "echo run; exit 1");
    let tree = place.tree();
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "run\nrun\nrun\n");
    place.conf("[global]\nrestart_delay : 0.05\nalarm_interval : 60\nmax_tries : 2\n");
    reload(&place, &tree);
    web.wait_state(&place, "failed");
    assert_eq!(web.state()["reason"], "gave up after 2 restarts");
    // And settings that go do not bring back what was given up.
    place.conf(FAST);
    reload(&place, &tree);
    assert_eq!(web.state_name(), "failed");
    web.send("u");
    wait_for("web to be started again", &place, || web.state_name() != "failed");
}

// ----- files that are no such file -------------------------------------------------------------------------------

/// What one can do to the file so that it cannot be read, and what is said then.
type Damage = (&'static str, fn(&std::path::Path), &'static str);

const UNREADABLE: &[Damage] = &[
    ("a directory", |path| std::fs::create_dir(path).unwrap(), "cannot be read: not a regular file"),
    ("a link in a circle", |path| symlink(path, path).unwrap(), "cannot be read: Too many symbolic links encountered"),
    ("huge", |path| std::fs::File::create(path).unwrap().set_len(HUGE).unwrap(), "is larger than 4194304 bytes"),
    ("not there", |_| (), "cannot be read: No such file or directory"),
];

/// Takes the file away, and puts something else in its place.
fn replace(place: &Place, name: &str, damage: fn(&std::path::Path)) {
    let path = place.path().join(name);
    let removed = if path.is_dir() { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) };
    removed.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }).unwrap();
    damage(&path);
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_settings_as_they_were() {
    let place = Place::new();
    std::fs::write(place.path().join("asked.conf"), USR1).unwrap();
    place.run("web", SLEEP);
    place.run("other", SLEEP);
    let asked = place.path().join("asked.conf");
    let tree = place.tree_with(&["-F", asked.to_str().unwrap()]);
    let (web, other) = (place.module("web"), place.module("other"));
    let pids = (web.wait_up(&place), other.wait_up(&place));
    for (at, (what, damage, said)) in UNREADABLE.iter().enumerate() {
        replace(&place, "asked.conf", *damage);
        let expected = format!("{}: {said}", asked.display());
        reload(&place, &tree);
        let lines = warnings(&place);
        assert_eq!(lines.len(), at + 1, "{what}: one line: {lines:?}");
        assert!(lines[at].contains(&expected) && lines[at].ends_with("; the old settings stay"), "{what}: {lines:?}");
        web.send("r");
        wait_for("the line of the module", &place, || web.text("supervise.log.wf").lines().count() == at + 1);
        let text = web.text("supervise.log.wf");
        let last = text.lines().last().unwrap();
        assert!(last.contains(&expected) && last.ends_with("; the old settings stay"), "{what}: {last}");
        assert_eq!((web.pid(), other.pid()), pids, "{what}");
    }
    assert_eq!((stopped_by(&place, "web"), stopped_by(&place, "other")), ("USR1".into(), "USR1".into()));
    // And when it is there again, it is read.
    std::fs::write(&asked, "[global]\nstop_signal : USR2\n").unwrap();
    reload(&place, &tree);
    other.send("u");
    other.wait_up(&place);
    assert_eq!(stopped_by(&place, "other"), "USR2");
    assert!(tree.stop().success());
}

#[test]
fn a_pipe_is_read_at_the_start_alone() {
    let place = Place::new();
    place.run("web", SLEEP);
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, USR1).unwrap()
    });
    let tree = place.tree_with(&["-F", pipe.to_str().unwrap()]);
    writer.join().unwrap();
    place.module("web").wait_up(&place);
    reload(&place, &tree);
    let lines = warnings(&place);
    assert!(lines.len() == 1 && lines[0].ends_with("is read at the start alone; the old settings stay"), "{lines:?}");
    assert_eq!(stopped_by(&place, "web"), "USR1");
    assert!(tree.stop().success());
}

#[test]
fn a_file_without_permission_leaves_the_settings_as_they_were() {
    if nix::unistd::geteuid().is_root() {
        return host::skipped("root may read any file");
    }
    let place = Place::new();
    let (tree, pid) = running(&place, &[]);
    std::fs::set_permissions(file(&place), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    reload(&place, &tree);
    let lines = warnings(&place);
    assert!(lines.len() == 1 && lines[0].contains("supervise.conf: cannot be read: Permission denied"), "{lines:?}");
    assert_eq!(place.module("web").pid(), pid);
    assert_eq!(stopped_by(&place, "web"), "USR1");
}

#[test]
fn a_file_that_cannot_be_read_at_the_start_is_one_line_and_the_defaults() {
    for (what, damage, said) in UNREADABLE {
        let place = Place::new();
        place.run("web", SLEEP);
        let path = place.path().join("asked.conf");
        damage(&path);
        let tree = place.tree_with(&["-F", "asked.conf"]);
        place.module("web").wait_up(&place);
        let lines = warnings(&place);
        assert!(lines.len() == 1 && lines[0].contains(&format!("asked.conf: {said}")), "{what}: {lines:?}");
        assert!(lines[0].ends_with("; the defaults hold"), "{what}: {lines:?}");
        assert_eq!(stopped_by(&place, "web"), "TERM", "{what}");
        assert!(tree.stop().success());
    }
}

#[test]
fn a_file_that_nobody_asked_for_may_come_and_go() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    assert_eq!(warnings(&place), [""; 0], "nobody asked for one");
    place.conf(USR1);
    reload(&place, &tree);
    std::fs::remove_file(file(&place)).unwrap();
    reload(&place, &tree);
    web.send("r");
    let said = "there is no configuration file: the settings stay as they are";
    web.wait_text(&place, "supervise.log", said);
    assert!(own_log(&place).contains(said), "{}", own_log(&place));
    assert_eq!((warnings(&place).len(), web.pid()), (0, pid));
    assert_eq!(stopped_by(&place, "web"), "USR1");
}

// ----- files with something wrong in them ------------------------------------------------------------------------

/// What is wrong in a line counts as not written: one complaint with file and line, and all the rest is in force.
fn one_bad_line(bad: &[u8], said: &str) {
    let place = Place::new();
    let (tree, pid) = running(&place, &[]);
    let mut bytes = b"[global]\nstop_signal : USR2\n".to_vec();
    bytes.extend_from_slice(bad);
    bytes.extend_from_slice(b"\n[other]\nstop_signal : ALRM\n");
    std::fs::write(file(&place), bytes).unwrap();
    reload(&place, &tree);
    place.run("other", SLEEP);
    let (web, other) = (place.module("web"), place.module("other"));
    other.wait_up(&place);
    let expected = format!("{}:3: {said}", file(&place).display());
    let lines = warnings(&place);
    assert!(lines.len() == 1 && lines[0].contains(&expected), "{expected}: {lines:?}");
    assert!(!lines[0].contains(|letter: char| letter.is_control()), "{lines:?}");
    // The same for one module by `r`, in its own log.
    web.send("r");
    web.wait_text(&place, "supervise.log", "settings read from");
    let text = web.text("supervise.log.wf");
    assert!(text.lines().count() == 1 && text.contains(&expected), "{expected}: {text}");
    assert_eq!(web.pid(), pid);
    assert_eq!((stopped_by(&place, "web"), stopped_by(&place, "other")), ("USR2".into(), "ALRM".into()));
}

#[test]
fn a_line_that_is_not_utf_8_is_named() {
    one_bad_line(b"kill_timeout : \xff\xfe", "is not UTF-8 and is ignored");
}

#[test]
fn a_line_with_control_characters_is_named_without_them() {
    one_bad_line(b"kill_timeout : \x1b[31m3", "has a control character and is ignored");
}

#[test]
fn a_nul_byte_is_named() {
    one_bad_line(b"kill_\0timeout : 3", "has a control character and is ignored");
}

#[test]
fn an_unknown_key_is_named_with_what_was_meant() {
    one_bad_line(b"kil_timeout : 3", "unknown key kil_timeout: did you mean kill_timeout?");
}

#[test]
fn a_bad_value_is_named() {
    one_bad_line(b"kill_timeout : soon", "kill_timeout: \"soon\" is not a time");
}

#[test]
fn a_word_without_a_separator_is_named() {
    one_bad_line(b"kill_timeout", "is neither a section nor `key : value` and is ignored");
}

#[test]
fn a_section_without_its_bracket_is_named_and_its_lines_belong_to_nobody() {
    let place = Place::new();
    let (tree, _) = running(&place, &[]);
    place.conf("[global]\nstop_signal : USR2\n[web\nstop_signal : INT\n[other]\nstop_signal : HUP\n");
    reload(&place, &tree);
    let lines = warnings(&place);
    let why =
        "supervise.conf:3: has no ]: a section is [name]; the lines below it, up to the next section, are ignored";
    assert!(lines.len() == 1 && lines[0].contains(why), "{lines:?}");
    assert_eq!(stopped_by(&place, "web"), "USR2");
}

#[test]
fn a_line_of_a_megabyte_is_named_in_one_that_can_be_read() {
    let place = Place::new();
    let (tree, pid) = running(&place, &[]);
    place.conf(&format!("[global]\n{}\nstop_signal : USR2\n", "x".repeat(1024 * 1024)));
    reload(&place, &tree);
    let lines = warnings(&place);
    assert!(lines.len() == 1 && lines[0].len() < 400 && lines[0].contains("supervise.conf:2: "), "{lines:?}");
    assert_eq!(place.module("web").pid(), pid);
    assert_eq!(stopped_by(&place, "web"), "USR2");
}

#[test]
fn a_file_that_is_written_while_it_is_read_never_stops_anything() {
    let place = Place::new();
    let (tree, pid) = running(&place, &[]);
    let whole = "[global]\nstop_signal : USR2\nkill_timeout : 3\n[web]\nrestart : on-failure\n";
    // Every length that a reader can meet while somebody writes it.
    for length in 0..whole.len() {
        std::fs::write(file(&place), &whole[..length]).unwrap();
        place.module("web").send("r");
    }
    reload(&place, &tree);
    place.conf(whole);
    reload(&place, &tree);
    let web = place.module("web");
    wait_for("all to be read", &place, || web.text("supervise.log").matches("settings read").count() == whole.len());
    for line in web.text("supervise.log.wf").lines() {
        assert!(line.contains(&format!("{}:", file(&place).display())), "{line}");
    }
    assert_eq!(web.pid(), pid);
    assert!(is_alive(pid));
    assert_eq!(stopped_by(&place, "web"), "USR2");
    assert!(tree.stop().success());
}
