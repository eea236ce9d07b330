//! The command line of `supervise`, its exit codes, and how it leaves the terminal (supervise(8)).

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn supervise(place: &Place, arguments: &[&str]) -> Output {
    let mut command = supervise_command();
    command.args(arguments);
    place.output(command)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn nothing_was_started(place: &Place) {
    assert_eq!(processes_of(&place.path().to_string_lossy()), [0; 0]);
}

// ----- wrong usage: 100 ----------------------------------------------------------------------------------------

#[test]
fn every_wrong_argument_exits_100_with_a_message() {
    let place = Place::new();
    let wrong: &[(&[&str], &str)] = &[
        (&[], "required"),
        (&["-p", "status/a"], "-f"),
        (&["-f", "sleep 1"], "-p"),
        (&["-p"], "-p"),
        (&["-p", "status/a", "-f"], "-f"),
        (&["-p", "status/a", "-f", "sleep 1", "-z"], "-z"),
        (&["-p", "status/a", "-f", "sleep 1", "--nonsense"], "--nonsense"),
        (&["-p", "status/a", "-f", "sleep 1", "-F"], "-F"),
        (&["-p", "status/a", "-f", "sleep 1", "-r"], "-r"),
        (&["-p", "status/a", "-f", "sleep 1", "-t"], "-t"),
        (&["-p", "status/a", "-f", ""], "a command is required"),
        (&["-p", "status/a", "-f", "   "], "a command is required"),
        (&["-p", "status/a", "-f", "''"], "the command is empty"),
        (&["-p", "status/a", "-f", "sleep '1"], "not closed"),
        (&["-p", "status/a", "-f", "sleep \"1"], "not closed"),
        (&["-p", "status/a", "-f", "sleep 1\\"], "backslash"),
        (&["-u"], "-u"),
        (&["-u", "status/a"], "a command is required"),
        (&["-u", "status/a", ""], "the command is empty"),
        (&["status/a", "sleep"], "-p"),
        (&["-p", "status/a", "sleep", "-x"], "-x"),
    ];
    for (arguments, word) in wrong {
        let output = supervise(&place, arguments);
        assert_eq!(output.status.code(), Some(100), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert!(!place.status_root().exists());
    nothing_was_started(&place);
}

#[test]
fn a_status_path_without_status_and_module_exits_100_with_the_seeds_message() {
    let place = Place::new();
    for bad in ["", "web", "./web", "status", "status/", "./status/", "status//", "stat/web", "Status/web"] {
        for arguments in [&["-p", bad, "-f", "sleep 1000"][..], &["-u", bad, "sleep", "1000"]] {
            let output = supervise(&place, arguments);
            assert_eq!(output.status.code(), Some(100), "{arguments:?}: {}", stderr(&output));
            let expected = "bad status_dir: sub-string \"status/module_name\" is required";
            if !bad.is_empty() {
                assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
            }
        }
    }
    nothing_was_started(&place);
}

#[test]
fn the_module_is_all_that_follows_the_first_status() {
    let place = Place::new();
    for (path, module) in [("./status/a", "a"), ("deep/er/status/b/c/", "b/c"), ("status/status/d", "status/d")] {
        let output = supervise(&place, &["-p", path, "-f", "sleep 1000"]);
        assert!(output.status.success(), "{path}: {}", stderr(&output));
        let state = std::fs::read_to_string(place.path().join(path).join("state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        assert_eq!(state["module"], module, "{path}");
    }
}

// ----- what may pass, and what cannot be made: 111 and 110 ---------------------------------------------------------

#[test]
fn a_lock_that_is_held_exits_111_naming_the_holder() {
    let place = Place::new();
    let holder = place.supervised("web", &["-f", "sleep 1000"]);
    let pid = place.module("web").wait_up(&place);
    for extra in [&[][..], &["-n"]] {
        let output = place.supervise("web", &[&["-f", "sleep 1000"][..], extra].concat());
        assert_eq!(output.status.code(), Some(111), "{}", stderr(&output));
        assert!(stderr(&output).contains(&format!("already supervised by pid {holder}")), "{}", stderr(&output));
    }
    assert_eq!(place.module("web").pid(), pid);
    assert_eq!(processes_of(&place.path().to_string_lossy()).len(), 2, "nothing else was started");
}

#[test]
fn a_tree_and_a_supervise_keep_out_of_each_others_way() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    let output = place.supervise("web", &["-f", "sleep 1000"]);
    assert_eq!(output.status.code(), Some(111));
    assert!(stderr(&output).contains(&format!("already supervised by pid {}", tree.pid())), "{}", stderr(&output));
    let other = place.supervised("other", &["-f", "sleep 1000"]);
    place.run("other", SLEEP);
    place.module(".supervise-tree").path("supervise.log.wf");
    let other_module = place.module("other");
    other_module.wait_text(&place, "supervise.log.wf", &format!("already supervised by pid {other}"));
    assert_eq!(other_module.state()["supervisor_pid"], other);
}

#[test]
fn a_command_that_is_not_found_exits_111_before_anything_is_made() {
    let place = Place::new();
    std::fs::write(place.path().join("plain"), "#!/bin/sh\n").unwrap();
    let missing: &[(&[&str], &str)] = &[
        (&["-f", "no-such-program-here 1"], "No such file or directory"),
        (&["-f", "./nothing"], "No such file or directory"),
        (&["-f", "./plain"], "Permission denied"),
        (&["-f", "/"], "Permission denied"),
    ];
    for (arguments, word) in missing {
        let output = place.supervise("web", arguments);
        assert_eq!(output.status.code(), Some(111), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("supervise: "), "{}", stderr(&output));
    }
    assert!(!place.status_root().exists());
}

#[test]
fn a_first_start_that_fails_exits_111() {
    let place = Place::new();
    script(&place.path().join("broken"), "#!/nonexistent/interpreter\n");
    for extra in [&[][..], &["-n"]] {
        let begin = Instant::now();
        let output = place.supervise("web", &[&["-f", "./broken"][..], extra].concat());
        assert_eq!(output.status.code(), Some(111), "{}", stderr(&output));
        assert!(stderr(&output).contains("execve: No such file or directory"), "{}", stderr(&output));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    assert!(!place.module("web").is_supervised());
    nothing_was_started(&place);
    // The directory is as good as new.
    place.supervised("web", &["-f", "sleep 1000"]);
}

#[test]
fn a_script_without_a_first_line_is_run_by_sh_as_execvp_does() {
    let place = Place::new();
    std::fs::write(place.path().join("script"), "echo \"$0 $*\"; exec sleep 1000\n").unwrap();
    std::fs::set_permissions(place.path().join("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
    place.supervised("web", &["-f", "./script a b"]);
    place.module("web").wait_text(&place, "__stdout", "./script a b\n");
}

#[test]
fn a_status_directory_that_cannot_be_made_exits_110() {
    let place = Place::new();
    std::fs::write(place.path().join("file"), "").unwrap();
    std::fs::create_dir(place.status_root()).unwrap();
    std::fs::write(place.status_root().join("web"), "").unwrap();
    for path in ["file/status/web", "status/web", "status/web/sub"] {
        let output = supervise(&place, &["-p", path, "-f", "sleep 1000"]);
        assert_eq!(output.status.code(), Some(110), "{path}: {}", stderr(&output));
        assert!(stderr(&output).contains(&format!("cannot make {path}")), "{}", stderr(&output));
    }
    nothing_was_started(&place);
}

#[test]
fn a_missing_configuration_that_was_asked_for_is_a_warning() {
    let place = Place::new();
    let output = place.supervise("web", &["-f", "sleep 1000", "-F", "nowhere.conf"]);
    assert!(output.status.success(), "{}", stderr(&output));
    place.module("web").wait_text(
        &place,
        "supervise.log.wf",
        "nowhere.conf: cannot be read: No such file or directory",
    );
}

// ----- version and help ----------------------------------------------------------------------------------------------

#[test]
fn v_and_h_answer_on_standard_output() {
    let place = Place::new();
    for (arguments, word) in [(["-v"], env!("CARGO_PKG_VERSION")), (["-h"], "-p STATUS_DIR -f COMMAND")] {
        let output = supervise(&place, &arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains(word), "{output:?}");
        assert!(output.stderr.is_empty());
    }
    // Into a pipe that nobody reads any more: no panic, no signal.
    let mut child = supervise_command().arg("-h").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code().is_some() && !stderr(&output).contains("panicked"), "{output:?}");
}

// ----- the command -----------------------------------------------------------------------------------------------------

/// Writes each of its arguments on a line.
const WORDS: &str = "for word do printf '%s\\n' \"<$word>\"; done; exec sleep 1000";

#[test]
fn f_splits_as_a_shell_does_and_expands_nothing() {
    let place = Place::new();
    script(&place.path().join("words"), WORDS);
    let command = r#"./words a 'b  c' "d \"e\" $HOME" f\ g '' * ~ $(touch pwned) `touch pwned` ; touch pwned #x -p"#;
    place.supervised("web", &["-f", command]);
    let expected = "<a>\n<b  c>\n<d \"e\" $HOME>\n<f g>\n<>\n<*>\n<~>\n<$(touch>\n<pwned)>\n<`touch>\n<pwned`>\n<;>\n<touch>\n<pwned>\n<#x>\n<-p>\n";
    place.module("web").wait_text(&place, "__stdout", "<-p>\n");
    assert_eq!(place.module("web").text("__stdout"), expected);
    assert!(!place.path().join("pwned").exists());
}

#[test]
fn u_takes_the_words_as_they_are() {
    let place = Place::new();
    script(&place.path().join("words"), WORDS);
    let output =
        supervise(&place, &["-F", "x", "-u", "status/web", "./words", "-p", "a b", "", "--", "-f", "'q'", "-h", "-v"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "<-v>\n");
    assert_eq!(web.text("__stdout"), "<-p>\n<a b>\n<>\n<-->\n<-f>\n<'q'>\n<-h>\n<-v>\n");
}

#[test]
fn words_that_are_no_text_reach_the_command() {
    let place = Place::new();
    script(&place.path().join("words"), WORDS);
    // A path in an old encoding: the C program never cared.
    let word = std::ffi::OsStr::from_bytes(b"\xc4\xe3\xba\xc3");
    let mut command = supervise_command();
    command.args(["-u", "status/u", "./words"]).arg(word);
    assert!(place.output(command).status.success());
    let mut command = supervise_command();
    command.args(["-p", "status/f", "-f"]).arg(std::ffi::OsStr::from_bytes(b"./words \xc4\xe3\xba\xc3"));
    let output = place.output(command);
    assert!(output.status.success(), "{}", stderr(&output));
    for module in ["u", "f"] {
        let read = || std::fs::read(place.module(module).path("__stdout")).unwrap_or_default();
        wait_for("the word", &place, || read() == b"<\xc4\xe3\xba\xc3>\n");
    }
}

#[test]
fn the_first_conf_in_the_current_directory_counts_unless_f_names_one() {
    let place = Place::new();
    std::fs::write(place.path().join("supervise.conf"), "[global]\nfirst_bad : 1\n").unwrap();
    std::fs::write(place.path().join("other.conf"), "[global]\nsecond_bad : 1\n").unwrap();
    place.supervised("default", &["-f", "sleep 1000"]);
    place.supervised("named", &["-f", "sleep 1000", "-F", "other.conf"]);
    place.module("default").wait_text(&place, "supervise.log.wf", "supervise.conf:2: unknown key first_bad");
    place.module("named").wait_text(&place, "supervise.log.wf", "other.conf:2: unknown key second_bad");
    assert!(!place.module("named").log().contains("first_bad"));
}

// ----- leaving the terminal ------------------------------------------------------------------------------------------------

#[test]
fn detached_it_leads_a_session_with_nothing_attached() {
    let place = Place::new();
    let mut command = supervise_command();
    command.args(["-p", "status/web", "-f", "sleep 1000"]).current_dir(place.path());
    let begin = Instant::now();
    // With pipes on all three: if they stayed open in the supervisor, reading them would not come to an end.
    let output = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let supervisor = web.state()["supervisor_pid"].as_u64().unwrap() as u32;
    assert_eq!(proc_stat(supervisor, 6), i64::from(supervisor), "session leader");
    assert_eq!(proc_stat(supervisor, 7), 0, "no terminal");
    for fd in 0..3 {
        let target = || std::fs::read_link(format!("/proc/{supervisor}/fd/{fd}")).unwrap();
        wait_for("standard input, output and error on /dev/null", &place, || target().to_str() == Some("/dev/null"));
    }
    let cwd = |pid: u32| std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    let here = std::fs::canonicalize(place.path()).unwrap();
    assert_eq!((cwd(supervisor), cwd(pid)), (here.clone(), here), "the current directory is kept");
    // Scripts find the run process with `pgrep -s`.
    assert_eq!(proc_stat(pid, 6), i64::from(supervisor), "in the supervisor's session");
    assert_eq!(proc_stat(pid, 4), i64::from(supervisor), "its child");
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap().to_str(), Some("/dev/null"));
    // Until it is loaded, it has its libraries open.
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    wait_for("standard input, output and error to be all", &place, || descriptors() == 3);
}

#[test]
fn in_the_foreground_it_stays_and_says_what_it_does() {
    for option in ["-n", "--foreground"] {
        let place = Place::new();
        let mut command = supervise_command();
        command.args(["-p", "status/web", "-f", "sleep 1000", option]);
        let running = place.start(command);
        let web = place.module("web");
        let pid = web.wait_up(&place);
        assert_eq!(proc_stat(running.pid(), 6), proc_stat(std::process::id(), 6), "our session");
        assert_eq!(proc_stat(pid, 4), i64::from(running.pid()));
        let said = || std::fs::read_to_string(place.path().join("stderr")).unwrap();
        wait_for("the start on standard error", &place, || said().contains(&format!("started, pid {pid}")));
        web.send("dx");
        assert_eq!(running.wait().code(), Some(0));
    }
}

// ----- signals -----------------------------------------------------------------------------------------------------------------

#[test]
fn term_and_int_end_it_at_once_and_leave_the_process_alone() {
    for name in ["TERM", "INT"] {
        let place = Place::new();
        let mut command = supervise_command();
        command.args(["-n", "-p", "status/web", "-f", "sleep 1000"]);
        let running = place.start(command);
        let pid = place.module("web").wait_up(&place);
        running.signal(name);
        assert_eq!(running.wait().code(), Some(0), "{name}");
        holds_for(Duration::from_millis(100), "the process lives", &place, || is_alive(pid));
        assert!(!place.module("web").is_supervised());
    }
}

#[test]
fn term_leaves_a_paused_process_alone_too() {
    let place = Place::new();
    let supervisor = place.supervised("web", &["-f", "sleep 1000"]);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    web.send("p");
    wait_for("the pause", &place, || is_stopped(pid) && web.status()[12] == 1);
    signal(supervisor, "TERM");
    wait_for("the end of supervise", &place, || !is_alive(supervisor));
    holds_for(Duration::from_millis(100), "the process lives", &place, || is_alive(pid));
    signal(pid, "CONT");
    wait_for("the process to go on", &place, || !is_stopped(pid));
    holds_for(Duration::from_millis(100), "the process lives", &place, || is_alive(pid));
}

#[test]
fn hup_and_usr2_are_ignored() {
    let place = Place::new();
    let supervisor = place.supervised("web", &["-f", "sleep 1000"]);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    for _ in 0..3 {
        signal(supervisor, "HUP");
        signal(supervisor, "USR2");
    }
    web.send("s");
    wait_for("the next command", &place, || web.status()[14] == b'x');
    assert!(is_alive(supervisor) && is_alive(pid));
    assert_eq!(web.pid(), pid);
}

#[test]
fn x_ends_it_with_0_and_giving_up_with_another_code() {
    let place = Place::new();
    std::fs::write(
        place.path().join("supervise.conf"),
        "[global]\nalarm_interval : 60\nmax_tries : 1\nrestart_delay : 0.05\n",
    )
    .unwrap();
    let start = |module: &str, line: &str| {
        let mut command = supervise_command();
        command.args(["-n", "-p", &format!("status/{module}"), "-f", line]);
        place.start(command)
    };
    let good = start("good", "sleep 1000");
    place.module("good").wait_up(&place);
    place.module("good").send("xk");
    assert_eq!(good.wait().code(), Some(0));
    let bad = start("bad", "false");
    assert_eq!(bad.wait().code(), Some(111));
    let log = place.module("bad").text("supervise.log.wf");
    // Nobody is left who would answer to `u`.
    assert!(log.contains("[FATAL]") && log.contains("gave up after 1 restart: no restart; supervision ends"), "{log}");
    assert!(!place.module("bad").is_supervised());
}

// ----- -r and -t -------------------------------------------------------------------------------------------------------------------

/// Starts `supervise` with a restart command that notes its argument, and kills the run process `times` times.
fn counts(place: &Place, reset: &[&str], pauses: &[Duration]) -> Vec<String> {
    script(&place.path().join("hook"), "echo \"$# $1\" >> counts; echo from hook");
    std::fs::write(
        place.path().join("supervise.conf"),
        "[global]\nalarm_interval : 60\nmax_tries : 1\nalarm_command : touch alarmed\nno_such_key : 1\n",
    )
    .unwrap();
    let web = place.module("web");
    place.supervised("web", &[&["-f", "sleep 1000", "-r", "exec ./hook"], reset].concat());
    let mut pid = web.wait_up(place);
    for pause in pauses {
        std::thread::sleep(*pause);
        signal(pid, "KILL");
        pid = web.wait_new_pid(place, pid);
    }
    let text = std::fs::read_to_string(place.path().join("counts")).unwrap_or_default();
    text.lines().map(ToString::to_string).collect()
}

#[test]
fn r_runs_before_each_restart_with_the_count_of_exits() {
    let place = Place::new();
    assert_eq!(counts(&place, &[], &[Duration::ZERO; 3]), ["1 1", "1 2", "1 3"]);
    // Limits and alarms are off, and the configuration is not read.
    let web = place.module("web");
    assert!(!place.path().join("alarmed").exists());
    assert!(!web.log().contains("no_such_key"), "{}", web.log());
    assert_eq!(web.text("__stdout"), "from hook\n".repeat(3));
    // The hook runs while nothing else does, and commands are answered meanwhile.
    script(&place.path().join("hook"), "while [ ! -e go ]; do sleep 0.01; done");
    let pid = web.pid();
    web.send("k");
    web.wait_state(&place, "starting");
    assert_eq!(web.pid(), 0);
    web.send("s");
    wait_for("the command", &place, || web.status()[14] == b'x');
    std::fs::write(place.path().join("go"), "").unwrap();
    web.wait_new_pid(&place, pid);
}

#[test]
fn t_resets_the_count_when_the_time_has_passed_between_two_exits() {
    let place = Place::new();
    let pauses = [Duration::ZERO, Duration::ZERO, Duration::from_millis(2200), Duration::ZERO];
    assert_eq!(counts(&place, &["-t", "2"], &pauses), ["1 1", "1 2", "1 1", "1 2"]);
}

#[test]
fn a_restart_command_that_fails_is_no_reason_not_to_restart() {
    let place = Place::new();
    let web = place.module("web");
    place.supervised("web", &["-f", "sleep 1000", "-r", "no-such-program-here"]);
    let pid = web.wait_up(&place);
    web.send("k");
    web.wait_new_pid(&place, pid);
    // It is ended when somebody wants out.
    let other = place.module("other");
    let supervisor = place.supervised("other", &["-f", "sleep 1000", "-r", "sleep 1000; #"]);
    other.wait_up(&place);
    other.send("k");
    other.wait_state(&place, "starting");
    other.send("dx");
    wait_for("the end", &place, || !is_alive(supervisor));
}

// ----- among others ----------------------------------------------------------------------------------------------------------------

#[test]
fn fifty_at_once_on_one_directory_are_one() {
    let place = Place::new();
    let start = || {
        let mut command = supervise_command();
        command.args(["-p", "status/web", "-f", "sleep 1000"]).current_dir(place.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..50).map(|_| start()).collect();
    let outputs: Vec<Output> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let codes: Vec<_> = outputs.iter().map(|output| output.status.code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(111)).count(), 49, "{codes:?}");
    wait_for("one supervisor and one process", &place, || processes_of(&place.path().to_string_lossy()).len() == 2);
    let mut which = Command::new("pgrep");
    which.args(["-s", &place.module("web").state()["supervisor_pid"].to_string(), "-x", "sleep"]);
    if let Ok(found) = which.output() {
        assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), place.module("web").pid().to_string());
    }
}
