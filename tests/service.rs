//! What a service finds when it is started, what `finish` is told, and what a logger gets.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

// ----- what `run` finds -------------------------------------------------------------------------------------

#[test]
fn run_finds_a_clean_place() {
    let place = Place::new();
    place.run(
        "web",
        "echo \"arguments $# $0\"; pwd; readlink /proc/$$/fd/0; readlink /proc/$$/fd/1; readlink /proc/$$/fd/2
        echo \"from $FROM_OUTSIDE\"; umask; ulimit -Sn; ulimit -Hn; exec sleep 1000",
    );
    // A parent that hands down what a service must not get, or must get unchanged.
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("trap '' HUP USR1 PIPE; umask 027; ulimit -Sn 777; exec 7>leak 8</dev/null; exec \"$0\" -p status sv");
    command.arg(env!("CARGO_BIN_EXE_supervise-tree")).env("FROM_OUTSIDE", "a b  c\nd");
    let tree = place.start(command);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    wait_for("the shell to be replaced", &place, || proc_status(pid, "Name") == "sleep");
    let text = web.text("__stdout");
    let dir = std::fs::canonicalize(place.path()).unwrap();
    let hard = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap().1;
    let (sv, status) = (dir.join("sv/web"), dir.join("status/web"));
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default().to_string();
    assert_eq!(next(), "arguments 0 ./run");
    assert_eq!(next(), sv.to_str().unwrap());
    assert_eq!(next(), "/dev/null");
    assert_eq!(next(), status.join("__stdout").to_str().unwrap());
    assert_eq!(next(), status.join("__stderr").to_str().unwrap());
    assert_eq!((next(), next()), ("from a b  c".into(), "d".into()));
    assert_eq!(next(), "0027", "the umask is the parent's");
    assert_eq!((next(), next()), ("777".into(), hard.to_string()), "the descriptor limit is the parent's");
    for set in ["SigBlk", "SigIgn"] {
        assert_eq!(proc_status(pid, set), "0000000000000000", "{set}");
    }
    // A program that begins has its libraries open for a moment.
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    wait_for("input, output, error, and nothing of the parent's", &place, || descriptors() == 3);
    assert_eq!(proc_stat(pid, 6), i64::from(pid), "its own session");
    assert_eq!(proc_stat(pid, 5), i64::from(pid), "its own group");
    assert_eq!(proc_stat(pid, 7), 0, "no terminal");
    assert_eq!(proc_stat(pid, 4), i64::from(tree.pid()), "a child of the tree");
    // The umask of the parent is not that of the status files.
    web.wait_log(&place, "started, pid ");
    let mode = |path: &str| std::fs::metadata(web.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("status"), mode("supervise.log"), mode("control")), (0o700, 0o644, 0o644, 0o600));
}

#[test]
fn standard_input_is_at_its_end_and_output_is_appended() {
    let place = Place::new();
    place.conf(FAST);
    let web = place.module("web");
    std::fs::create_dir_all(web.dir()).unwrap();
    std::fs::write(web.path("__stdout"), "before\n").unwrap();
    place.run("web", "cat; echo out; echo err >&2; read x < go; exec sleep 1000");
    nix::unistd::mkfifo(&place.root().join("web/go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _tree = place.tree();
    web.wait_text(&place, "__stderr", "err\n");
    assert_eq!((web.text("__stdout"), web.text("__stderr")), ("before\nout\n".into(), "err\n".into()));
    // Truncated by somebody: what comes next begins at the beginning, for it is appended.
    std::fs::write(web.path("__stdout"), "").unwrap();
    let pid = web.wait_up(&place);
    web.send("k");
    web.wait_new_pid(&place, pid);
    web.wait_text(&place, "__stdout", "out");
    assert_eq!(web.text("__stdout"), "out\n");
}

#[test]
fn an_output_that_cannot_be_opened_is_no_reason_not_to_run() {
    let place = Place::new();
    let web = place.module("web");
    std::fs::create_dir_all(web.path("__stdout")).unwrap();
    std::os::unix::fs::symlink("/dev/full", web.path("__stderr")).unwrap();
    place.run("web", SLEEP);
    let _tree = place.tree();
    let pid = web.wait_up(&place);
    for fd in ["1", "2"] {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"));
    }
    web.wait_text(&place, "supervise.log.wf", "__stdout");
    web.wait_text(&place, "supervise.log.wf", "__stderr");
}

// ----- what `finish` is told ----------------------------------------------------------------------------------

/// Runs `run` once with a `finish` that says its arguments, and returns what it said.
fn told_to_finish(run: &str) -> String {
    let place = Place::new();
    place.conf("[global]\nrestart : never\n");
    place.service("web", &[("run", run), ("finish", "echo $# $*; pwd; readlink /proc/$$/fd/0")]);
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "/dev/null\n");
    wait_for("it to stay down", &place, || ["down", "done"].contains(&web.state_name().as_str()));
    let text = web.text("__stdout");
    let mut lines = text.lines();
    let told = lines.next().unwrap_or_default().to_string();
    let dir = std::fs::canonicalize(place.root().join("web")).unwrap();
    assert_eq!(lines.next(), dir.to_str());
    told
}

#[test]
fn finish_gets_the_exit_code_and_the_module() {
    assert_eq!(told_to_finish("exit 0"), "3 0 0 web");
    assert_eq!(told_to_finish("exit 7"), "3 7 0 web");
    assert_eq!(told_to_finish("exit 255"), "3 255 0 web");
}

#[test]
fn finish_gets_minus_one_and_the_signal() {
    assert_eq!(told_to_finish("kill -KILL $$"), "3 -1 9 web");
    assert_eq!(told_to_finish("kill -USR2 $$"), "3 -1 12 web");
}

#[test]
fn finish_is_told_of_a_core_dump() {
    if !dumps_core() {
        eprintln!("SKIPPED: processes dump no core here");
        return;
    }
    assert_eq!(told_to_finish("ulimit -c unlimited; kill -ABRT $$"), "3 -1 134 web");
}

#[test]
fn finish_is_told_of_a_run_that_could_not_be_started() {
    assert_eq!(told_to_finish("#!/nonexistent/interpreter"), "3 111 0 web");
}

#[test]
fn finish_that_exits_125_is_the_last_word_until_u() {
    let place = Place::new();
    place.conf(FAST);
    place.service("job", &[("run", "echo run; exit 3"), ("finish", "exit 125")]);
    let _tree = place.tree();
    let job = place.module("job");
    job.wait_state(&place, "down");
    assert_eq!((job.status()[13], job.state()["last_exit"]["code"].as_i64()), (b'd', Some(3)));
    assert!(job.state()["reason"].as_str().is_some_and(|reason| reason.contains("125")), "{}", job.text("state.json"));
    holds_for(Duration::from_millis(200), "no second run", &place, || job.text("__stdout") == "run\n");
    job.send("u");
    job.wait_text(&place, "__stdout", "run\nrun\n");
}

#[test]
fn a_job_that_is_done_is_no_warning_and_nothing_promises_its_restart() {
    let place = Place::new();
    place.conf(FAST);
    place.service("job", &[("run", "exit 0"), ("finish", "exit 125")]);
    let _tree = place.tree();
    let job = place.module("job");
    job.wait_text(&place, "supervise.log", "finish exited 125: no restart");
    let (notices, warnings) = (job.text("supervise.log"), job.text("supervise.log.wf"));
    assert!(notices.contains(": exit code 0; running finish; restarting in 0."), "{notices}");
    assert!(notices.contains(" s unless it exits 125\n"), "{notices}");
    assert_eq!(warnings, "");
}

#[test]
fn any_other_exit_of_finish_means_nothing() {
    let place = Place::new();
    place.conf(FAST);
    place.service("job", &[("run", "echo run"), ("finish", "echo finish; kill -SEGV $$")]);
    let _tree = place.tree();
    place.module("job").wait_text(&place, "__stdout", "run\nfinish\nrun\nfinish\nrun\n");
}

#[test]
fn a_finish_that_hangs_is_killed_with_its_children() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\nfinish_timeout : 0.2\n");
    let finish = "trap '' TERM; sleep 1000 & echo $! > child; sleep 1000";
    place.service("web", &[("run", "echo run; exit 0"), ("finish", finish)]);
    let _tree = place.tree();
    let web = place.module("web");
    web.wait_text(&place, "__stdout", "run\nrun\n");
    web.wait_text(&place, "supervise.log.wf", "finish_timeout");
    let children = || processes_of(&place.root().join("web").to_string_lossy()).len();
    // Of the first finish nothing is left: what runs is the second one with its child, or less.
    wait_for("the first finish to be gone", &place, || children() <= 3);
    holds_for(Duration::from_millis(500), "killed finishes leave nothing", &place, || children() <= 4);
}

#[test]
fn a_finish_without_the_x_bit_or_with_a_bad_interpreter_does_not_stop_restarts() {
    let place = Place::new();
    place.conf(FAST);
    place.service("plain", &[("run", "echo run"), ("finish", "echo finish")]);
    place.service("broken", &[("run", "echo run"), ("finish", "#!/nonexistent/interpreter\n")]);
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.root().join("plain/finish"), mode).unwrap();
    let _tree = place.tree();
    place.module("plain").wait_text(&place, "__stdout", "run\nrun\n");
    place.module("broken").wait_text(&place, "__stdout", "run\nrun\n");
    place.module("broken").wait_text(&place, "supervise.log.wf", "finish could not be run: execve");
    assert!(!place.module("plain").text("__stdout").contains("finish"));
}

// ----- a `run` that cannot be started ---------------------------------------------------------------------------

/// A service that starts, and whose `run` is then spoilt by `spoil`: the next start must say `step` and `errno`,
/// be tried again, and go well once `run` is whole again.
fn spoilt(spoil: impl FnOnce(&std::path::Path), expected: &str) {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let run = place.root().join("web/run");
    spoil(&run);
    assert!(is_alive(pid), "the process that runs is left alone");
    web.send("k");
    web.wait_text(&place, "supervise.log.wf", expected);
    let tries = || web.text("supervise.log.wf").matches(expected).count();
    wait_for("another try", &place, || tries() >= 3);
    assert!(web.text("supervise.log.wf").contains("[WARNING]"), "{}", web.log());
    assert_eq!((web.pid(), web.status()[13]), (0, b'u'));
    assert!(
        web.state()["reason"].as_str().is_some_and(|reason| reason.contains("could not be started")),
        "{}",
        place.story()
    );
    if run.is_dir() {
        std::fs::remove_dir_all(&run).unwrap();
    }
    let _ = std::fs::remove_file(&run);
    script(&place.root().join("web/run.new"), SLEEP);
    std::fs::set_permissions(place.root().join("web/run.new"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(place.root().join("web/run.new"), &run).unwrap();
    web.wait_new_pid(&place, pid);
}

#[test]
fn a_missing_run_is_named_and_tried_again() {
    spoilt(|run| std::fs::remove_file(run).unwrap(), "cannot start: execve: No such file or directory");
}

#[test]
fn a_run_that_may_not_be_executed_is_named_and_tried_again() {
    let plain = std::fs::Permissions::from_mode(0o644);
    spoilt(|run| std::fs::set_permissions(run, plain).unwrap(), "cannot start: execve: Permission denied");
}

#[test]
fn a_run_with_a_bad_interpreter_is_named_and_tried_again() {
    spoilt(|run| script(run, "#!/nonexistent/sh\n"), "interpreter");
}

#[test]
fn a_run_that_is_a_directory_is_named_and_tried_again() {
    let spoil = |run: &std::path::Path| {
        std::fs::remove_file(run).unwrap();
        std::fs::create_dir(run).unwrap();
    };
    spoilt(spoil, "cannot start: execve: Permission denied");
}

#[test]
fn a_run_without_a_first_line_is_named_and_tried_again() {
    let spoil = |run: &std::path::Path| {
        std::fs::write(run, "echo no first line\n").unwrap();
    };
    spoilt(spoil, "cannot start: execve: Exec format error (no #! line?)");
}

#[test]
fn an_empty_run_and_a_link_that_leads_nowhere_are_no_reason_to_spin() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n");
    place.service("empty", &[("run", "#!")]);
    let run = place.root().join("empty/run");
    std::fs::write(&run, "").unwrap();
    let _tree = place.tree();
    let empty = place.module("empty");
    empty.wait_text(&place, "supervise.log.wf", "cannot start");
    let tries = || empty.text("supervise.log.wf").matches("cannot start").count();
    let before = tries();
    std::thread::sleep(Duration::from_millis(500));
    let after = tries() - before;
    assert!((1..=10).contains(&after), "{after} tries in half a second");
    std::fs::remove_file(&run).unwrap();
    std::os::unix::fs::symlink("nowhere", &run).unwrap();
    empty.wait_text(&place, "supervise.log.wf", "No such file or directory");
}

// ----- log/run ------------------------------------------------------------------------------------------------

/// Copies its input into `got`, a line at a time, and ends on TERM only between two lines.
const CAREFUL_LOGGER: &str = "trap 'end=1' TERM
    while [ -z \"$end\" ] && IFS= read -r line; do printf '%s\\n' \"$line\" >> got; done
    [ -n \"$end\" ] || echo 'end of input' >> got";

fn got(place: &Place) -> String {
    std::fs::read_to_string(place.root().join("web/log/got")).unwrap_or_default()
}

#[test]
fn a_logger_gets_what_run_and_finish_write() {
    let place = Place::new();
    place.conf(FAST);
    place.service(
        "web",
        &[
            ("run", "echo from run; echo aside >&2; exit 1"),
            ("finish", "echo from finish; exit 125"),
            ("log/run", CAREFUL_LOGGER),
        ],
    );
    let _tree = place.tree();
    wait_for("both lines", &place, || got(&place) == "from run\nfrom finish\n");
    let (web, log) = (place.module("web"), place.module("web/log"));
    assert_eq!((web.text("__stdout").as_str(), web.text("__stderr").as_str()), ("", "aside\n"));
    let pid = log.wait_up(&place);
    wait_for("log_pid", &place, || web.state()["log_pid"] == pid);
    assert_eq!(log.state()["module"], "web/log");
    // Each is commanded by its own FIFO.
    log.send("k");
    let next = log.wait_new_pid(&place, pid);
    wait_for("the new log_pid", &place, || web.state()["log_pid"] == next);
    assert_eq!(web.state_name(), "down");
}

#[test]
fn a_logger_is_stopped_last_by_the_end_of_its_input() {
    let place = Place::new();
    place.conf(FAST);
    let run = "trap 'for i in 1 2 3 4 5; do echo last $i; sleep 0.02; done; exit 0' TERM
        echo ready; sleep 1000 & while :; do wait $!; done";
    place.service("web", &[("run", run), ("log/run", CAREFUL_LOGGER)]);
    let tree = place.tree();
    wait_for("the service", &place, || got(&place).contains("ready"));
    let pid = place.module("web/log").wait_up(&place);
    assert!(tree.stop().success());
    assert!(!is_alive(pid));
    assert_eq!(got(&place), "ready\nlast 1\nlast 2\nlast 3\nlast 4\nlast 5\nend of input\n");
    assert_eq!(place.module("web/log").state()["last_exit"]["code"], 0, "{}", place.story());
}

#[test]
fn a_logger_whose_service_is_removed_reads_to_the_end() {
    let place = Place::new();
    place.conf(FAST);
    let log = format!("cd ../..; {}", CAREFUL_LOGGER.replace("got", "../got"));
    let run = "trap 'echo last; exit 0' TERM; echo ready; sleep 1000 & while :; do wait $!; done";
    place.service("web", &[("run", run), ("log/run", &log)]);
    let tree = place.tree();
    let got = || std::fs::read_to_string(place.path().join("got")).unwrap_or_default();
    wait_for("the service", &place, || got().contains("ready"));
    std::fs::remove_dir_all(place.root().join("web")).unwrap();
    wait_for("the end of the logger's input", &place, || got() == "ready\nlast\nend of input\n");
    wait_for("the end of both", &place, || {
        !place.module("web").is_supervised() && !place.module("web/log").is_supervised()
    });
    for module in ["web", "web/log"] {
        let module = place.module(module);
        let state = module.state();
        assert_eq!((&state["state"], &state["want"], &state["log_pid"]), (&"down".into(), &"down".into(), &().into()));
        assert_eq!((module.status()[13], module.pid()), (b'd', 0));
    }
    assert!(tree.stop().success());
}

#[test]
fn no_line_is_lost_or_doubled_while_either_side_is_killed_again_and_again() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0\n");
    // Each run writes its pid and a number into the pipe, and then the same beside it.
    let run = "n=0; while :; do n=$((n+1)); echo \"$$ $n\"; echo \"$$ $n\" >&2; done";
    place.service("web", &[("run", run), ("log/run", CAREFUL_LOGGER)]);
    let tree = place.tree();
    let (web, log) = (place.module("web"), place.module("web/log"));
    for round in 0..15 {
        let (service, logger) = (web.wait_up(&place), log.wait_up(&place));
        let lines = got(&place).len();
        wait_for("lines to flow", &place, || got(&place).len() > lines + 200);
        if round % 3 != 1 {
            web.send("k");
            web.wait_new_pid(&place, service);
        }
        if round % 3 != 0 {
            log.send("t");
            log.wait_new_pid(&place, logger);
        }
    }
    assert!(tree.stop().success());
    let text = got(&place);
    let mut last: std::collections::HashMap<&str, u64> = std::collections::HashMap::new();
    for line in text.lines().filter(|line| *line != "end of input") {
        let (pid, number) = line.split_once(' ').unwrap_or_else(|| panic!("half a line: {line:?}"));
        let number: u64 = number.parse().unwrap_or_else(|_| panic!("half a line: {line:?}"));
        let before = last.insert(pid, number).unwrap_or(0);
        assert_eq!(number, before + 1, "lost or doubled after {pid} {before}");
    }
    assert!(last.len() >= 10, "{} runs", last.len());
    let beside = web.text("__stderr");
    let mut written: std::collections::HashMap<&str, u64> = std::collections::HashMap::new();
    for line in beside.lines() {
        let (pid, number) = line.split_once(' ').unwrap();
        written.insert(pid, number.parse().unwrap());
    }
    for (pid, written) in written {
        let logged = last.get(pid).copied().unwrap_or(0);
        // Killed between its two writes, it has one line more in the pipe.
        assert!(logged == written || logged == written + 1, "{pid}: {written} written, {logged} logged");
    }
}

#[test]
fn what_was_written_while_no_logger_ran_waits_for_it() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", "echo early; exec sleep 1000"), ("log/run", CAREFUL_LOGGER), ("log/down", "")]);
    let _tree = place.tree();
    place.module("web").wait_up(&place);
    let log = place.module("web/log");
    log.wait_state(&place, "down");
    log.send("u");
    wait_for("the line", &place, || got(&place) == "early\n");
}

#[test]
fn a_logger_that_cannot_start_does_not_stop_its_service() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", "echo line; exec sleep 1000"), ("log/run", "#!/nonexistent/sh\n")]);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    place.module("web/log").wait_text(&place, "supervise.log.wf", "cannot start");
    script(&place.root().join("web/log/run"), CAREFUL_LOGGER);
    wait_for("the line", &place, || got(&place) == "line\n");
    assert!(tree.stop().success());
}

#[test]
fn a_background_child_that_keeps_the_pipe_does_not_keep_the_tree() {
    let place = Place::new();
    place.conf("[global]\nkill_timeout : 0.3\nkill_mode : process\n");
    let run = "setsid sleep 1000 & exec sleep 1000";
    place.service("web", &[("run", run), ("log/run", "trap '' TERM; exec cat > got")]);
    let tree = place.tree();
    place.module("web").wait_up(&place);
    let logger = place.module("web/log").wait_up(&place);
    wait_for("cat", &place, || proc_status(logger, "Name") == "cat");
    assert!(tree.stop().success());
    assert!(!is_alive(logger));
    assert_eq!(place.module("web/log").state()["last_exit"]["signal"], "KILL");
}

#[test]
fn a_log_directory_that_is_replaced_is_used_by_the_next_start() {
    let place = Place::new();
    place.conf(FAST);
    place.service("web", &[("run", TALKER), ("log/run", CAREFUL_LOGGER)]);
    let tree = place.tree();
    let log = place.module("web/log");
    let pid = log.wait_up(&place);
    wait_for("the first line", &place, || got(&place) == "ready\n");
    let (old, new) = (place.root().join("web/log"), place.root().join("web/log.new"));
    script(&new.join("run"), CAREFUL_LOGGER);
    std::fs::rename(&old, place.path().join("log.old")).unwrap();
    std::fs::rename(&new, &old).unwrap();
    tree.signal("HUP");
    log.send("t");
    // It may have ended with the rescan already.
    log.wait_new_pid(&place, pid);
    place.module("web").send("1");
    wait_for("a line in the new directory", &place, || got(&place).contains("USR1"));
}
