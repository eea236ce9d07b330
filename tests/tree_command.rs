//! `supervise-tree ROOT -- CMD ...`: the module `main`, which has the tree's standard streams, comes last, and ends the tree.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::*;
use nix::pty::{ForkptyResult, forkpty};
use std::ffi::CString;
use std::io::{Read, Write};
use std::process::{Command, Output};

/// The tree with a command that is these words.
fn tree_with_command(words: &[&str]) -> Command {
    let mut command = tree_command();
    command.args(["-p", "status", "sv", "--"]).args(words);
    command
}

/// The same, running; its signals are taken.
fn start<'a>(place: &'a Place, words: &[&str]) -> Running<'a> {
    let tree = place.start(tree_with_command(words));
    wait_for("the tree to listen", place, || place.own().is_supervised());
    tree
}

/// To its end.
fn run(place: &Place, words: &[&str]) -> Output {
    place.output(tree_with_command(words))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_has_the_streams_and_the_environment_of_the_tree_and_its_exit_code_is_handed_on() {
    let place = Place::new();
    place.run("web", SLEEP);
    let mut command = Command::new("sh");
    let script = "printf 'in\\n' | WORD=env \"$0\" \"$@\" > out 2> err";
    command.args(["-c", script, env!("CARGO_BIN_EXE_supervise-tree"), "-p", "status", "sv", "--"]);
    command.args(["sh", "-c", "read a; echo $a $WORD; echo error >&2; pwd >&2; ls /proc/self/fd | wc -l; exit 7"]);
    assert_eq!(place.output(command).status.code(), Some(7), "{}", place.story());
    let text = |name| std::fs::read_to_string(place.path().join(name)).unwrap();
    // `ls` has one more, for the directory that it lists.
    assert_eq!(text("out"), "in env\n4\n");
    let here = place.path().canonicalize().unwrap();
    assert!(text("err").contains(&format!("error\n{}\n", here.display())), "{}", text("err"));
    assert!(!place.module("main").path("__stdout").exists());
}

#[test]
fn a_signal_and_a_program_that_is_none_give_the_exit_code_of_a_shell() {
    let place = Place::new();
    place.run("web", SLEEP);
    assert_eq!(run(&place, &["sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    // Nothing is started for one that is not there.
    std::fs::remove_dir_all(place.status_root()).unwrap();
    script(&place.path().join("broken"), "#!/no/interpreter\n");
    for (word, code, line) in [
        ("no-such-program", 127, "supervise-tree: no-such-program: not found in PATH\n"),
        ("./none", 127, "supervise-tree: ./none: No such file or directory\n"),
        ("/etc/passwd", 126, "supervise-tree: /etc/passwd: Permission denied\n"),
        ("", 100, "supervise-tree: the command is empty\n"),
    ] {
        let output = run(&place, &[word]);
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(code), line), "{word}");
        assert!(!place.status_root().exists(), "{word}");
    }
    // That only the kernel knows.
    let output = run(&place, &["./broken"]);
    assert_eq!(output.status.code(), Some(127), "{}", said(&output));
    assert!(said(&output).contains("main: could not be started: execve: No such file or directory"), "{output:?}");
}

#[test]
fn it_starts_when_all_others_are_ready_or_done_and_is_stopped_first() {
    let place = Place::new();
    let bad = "alarm_interval : 60\nmax_tries : 1\nrestart_delay : 0.1";
    let ready = "ready : fd\n";
    place.conf(&format!("[job]\ntype : oneshot\n[slow]\n{ready}[bad]\n{bad}\n[later]\nafter : main\n[main]\n{ready}"));
    let stops = |name: &str| format!("trap 'echo {name} >> ../../order; exit' TERM; while :; do sleep 0.02; done");
    place.run("job", "sleep 0.3; echo job >> ../../order");
    place.run("slow", &format!("until [ -e ../../go ]; do sleep 0.02; done; echo >&3; {}", stops("slow")));
    place.service("off", &[("run", SLEEP), ("down", "")]);
    place.run("bad", "exit 1");
    place.run("later", &format!("echo later >> ../../order; {}", stops("later")));
    let mut command = tree_command();
    let main = "trap 'echo main ends >> order; sleep 0.2; exit' TERM; echo main >> order; echo >&3; while :; do sleep 0.02; done";
    command.args(["-p", "status", "sv", "--", "sh", "-c", main]);
    let tree = place.start(command);
    let order = || std::fs::read_to_string(place.path().join("order")).unwrap_or_default();
    wait_for("the job's end", &place, || order() == "job\n");
    place.module("main").wait_state(&place, "waiting");
    std::fs::write(place.path().join("go"), "").unwrap();
    wait_for("all to have begun", &place, || order() == "job\nmain\nlater\n");
    assert!(tree.stop().success(), "{}", place.story());
    // Who comes after it stops before it; the others after it.
    assert_eq!(order(), "job\nmain\nlater\nlater\nmain ends\nslow\n");
}

#[test]
fn svctl_works_on_it_and_what_is_asked_for_does_not_end_the_tree() {
    let place = Place::new();
    place.run("web", SLEEP);
    place.conf("[global]\nshutdown_on : failed\n[main]\nready_timeout : 0\n");
    let tree = start(&place, &["sleep", "1000"]);
    let main = place.module("main");
    let first = main.wait_up(&place);
    let show = said_by(&place.svctl(&["show", "main"]));
    assert!(show.contains("sleep 1000") && show.contains("up"), "{show}");
    let elsewhere = "writes to the standard output of supervise-tree\n";
    assert!(show.ends_with(elsewhere) && !show.contains("shutdown_on"), "{show}");
    assert_eq!(said_by(&place.svctl(&["logs", "main"])), format!("svctl: main: {elsewhere}"));
    let config = said_by(&place.svctl(&["config", "main"]));
    let line = |key: &str| config.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap_or("none");
    assert!(line("shutdown_on").contains(" exit ") && line("shutdown_on").ends_with("default"), "{config}");
    assert!(line("after").contains(" * ") && line("kill_timeout").contains(" 10 "), "{config}");
    assert!(place.svctl(&["restart", "main"]).status.success());
    assert_ne!(main.wait_new_pid(&place, first), first);
    assert!(place.svctl(&["stop", "main"]).status.success());
    assert!(place.svctl(&["start", "main"]).status.success());
    // It goes by `dx`, and comes back by HUP.
    main.send("dx");
    place.own().wait_text(&place, "supervise.log", "main: left, as told by x");
    tree.signal("HUP");
    let last = main.wait_up(&place);
    assert_eq!(said_by(&place.svctl(&["config", "--check"])), "");
    signal(last, "USR1");
    assert_eq!(tree.wait().code(), Some(128 + 10), "{}", place.story());
}

#[test]
fn a_directory_of_its_name_is_refused() {
    let place = Place::new();
    place.run("main", SLEEP);
    let output = run(&place, &["true"]);
    assert_eq!(output.status.code(), Some(100));
    assert!(said(&output).ends_with("sv/main: the command after -- is called so: give the directory another name\n"));
    std::fs::rename(place.root().join("main"), place.path().join("aside")).unwrap();
    let tree = start(&place, &["sleep", "1000"]);
    let pid = place.module("main").wait_up(&place);
    std::fs::rename(place.path().join("aside"), place.root().join("main")).unwrap();
    place.wait_told("main: passed over: the command after -- is called so: give the directory another name");
    std::fs::remove_dir_all(place.root().join("main")).unwrap();
    // Events are dealt with in their order.
    place.run("web", SLEEP);
    place.module("web").wait_up(&place);
    let web = place.root().join("web");
    let enable = place.svctl(&["enable", "main", web.to_str().unwrap()]);
    assert_eq!(enable.status.code(), Some(100), "{enable:?}");
    assert!(said(&enable).contains("the command that the tree was given is called so"), "{enable:?}");
    assert!(place.root().join("main").symlink_metadata().is_err());
    assert_eq!(place.module("main").pid(), pid);
    assert!(tree.stop().success());
}

#[test]
fn it_stays_over_an_upgrade_and_keeps_its_words() {
    let place = Place::new();
    place.run("web", SLEEP);
    let tree = start(&place, &["sh", "-c", "trap 'exit 9' USR1; sleep 1000 & wait", "--handover=1", "--"]);
    let main = place.module("main");
    let pid = main.wait_up(&place);
    let words = || proc_words(tree.pid(), "cmdline");
    let generation = || place.own().state()["generation"].as_u64();
    for upgrades in 1..3 {
        tree.signal("USR2");
        wait_for("the next program", &place, || generation() == Some(1 + upgrades));
        wait_for("its thread", &place, || main.is_supervised() && main.pid() == pid);
        assert!(words().ends_with(b"\0--handover=1\0--\0"), "{}", String::from_utf8_lossy(&words()));
    }
    signal(pid, "USR1");
    assert_eq!(tree.wait().code(), Some(9), "{}", place.story());
}

#[test]
fn the_next_tree_adopts_it_after_kill_and_one_without_a_command_stops_it() {
    let place = Place::new();
    place.run("web", SLEEP);
    let words = ["sh", "-c", "trap 'exit 5' USR1; sleep 1000 & wait"];
    let (main, web) = (place.module("main"), place.module("web"));
    let killed = place.reaped(tree_with_command(&words));
    let pid = main.wait_up(&place);
    killed.kill();
    let tree = place.reaped(tree_with_command(&words));
    wait_for("it to be adopted", &place, || main.state()["supervisor_pid"] == tree.pid() && main.pid() == pid);
    assert!(is_alive(pid));
    tree.kill();
    let tree = place.tree();
    web.wait_up(&place);
    wait_for("it to be stopped", &place, || !is_alive(pid) && main.state_name() == "down");
    // A directory of its name is another service.
    place.run("main", SLEEP);
    assert_ne!(main.wait_up(&place), pid);
    assert!(tree.stop().success());
}

#[test]
fn a_terminal_is_its_own_as_it_would_be_without_the_tree() {
    let place = Place::new();
    place.run("web", SLEEP);
    let run = |words: &str, typed: &[u8]| {
        let tree = env!("CARGO_BIN_EXE_supervise-tree");
        let words = format!("cd {} && exec {tree} -p status sv -- {words}", place.path().display());
        let words = [c"sh".to_owned(), c"-c".to_owned(), CString::new(words).unwrap()];
        let words = [words[0].as_ptr(), words[1].as_ptr(), words[2].as_ptr(), std::ptr::null()];
        // SAFETY: this process has threads, so the child does nothing but execute another program.
        let (child, master) = match unsafe { forkpty(None, None) }.unwrap() {
            ForkptyResult::Parent { child, master } => (child, master),
            // SAFETY: all pointers lead to what was made before the fork.
            ForkptyResult::Child => unsafe {
                libc::execv(c"/bin/sh".as_ptr(), words.as_ptr());
                libc::_exit(127)
            },
        };
        let mut terminal = std::fs::File::from(master);
        let (mut shown, mut room, mut has_typed) = (Vec::new(), [0; 4096], false);
        // The end of the last process is the end of the terminal.
        while let Ok(count @ 1..) = terminal.read(&mut room) {
            shown.extend_from_slice(&room[..count]);
            if !has_typed && String::from_utf8_lossy(&shown).contains("type:") {
                terminal.write_all(typed).unwrap();
                has_typed = true;
            }
        }
        let status = nix::sys::wait::waitpid(child, None).unwrap();
        (status, String::from_utf8_lossy(&shown).into_owned())
    };
    let exited = |code| move |status| matches!(status, nix::sys::wait::WaitStatus::Exited(_, is) if is == code);
    let (status, shown) = run("sh -c 'echo type:; read word; tty; echo got $word; exit 3'", b"hello\n");
    assert!(exited(3)(status) && shown.contains("got hello") && shown.contains("/dev/"), "{status:?}\n{shown}");
    // A shell has job control there: a job of its own in the foreground, of which it gets the end.
    let script = "set -m; sh -c \"echo type:; read word; echo got \\$word\"; kill -0 $! 2> /dev/null; exit 4";
    let (status, shown) = run(&format!("sh -c '{script}'"), b"hello\n");
    assert!(exited(4)(status) && shown.contains("got hello"), "{status:?}\n{shown}");
    // An interrupt is for all in the foreground, the tree among them.
    let (status, shown) =
        run("sh -c 'trap \"echo interrupted; exit\" INT TERM; echo type:; while :; do sleep 0.05; done'", b"\x03");
    assert!(exited(0)(status) && shown.contains("interrupted"), "{status:?}\n{shown}");
}
