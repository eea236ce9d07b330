//! `status`, `check`, `config` and `completions` on a real tree.

use crate::common::script;
use crate::fixture::{Fixture, STEADY, until};
use std::time::{Duration, Instant};

const WITH_LOG: &str = "#!/bin/sh\necho line\nexec sleep 1000\n";
const LOGGER: &str = "#!/bin/sh\nexec cat\n";

#[test]
fn status_shows_what_is_not_up_first_and_loggers_below_their_services() {
    let mut fixture = Fixture::with(&[("api", WITH_LOG), ("api/log", LOGGER), ("zombie", STEADY)]);
    std::fs::write(fixture.services.join("zombie/down"), "").unwrap();
    fixture.start_tree();
    fixture.all_up(&["api", "api/log"]);
    until("all are there", || fixture.state("zombie"));
    let answer = fixture.expect(0, &["status"]);
    let lines: Vec<&str> = answer.out.lines().collect();
    assert!(lines[0].starts_with("MODULE"), "{answer:?}");
    assert!(lines[1].starts_with("zombie "), "{answer:?}");
    assert!(lines[2].starts_with("api "), "{answer:?}");
    assert!(lines[3].starts_with("  api/log "), "{answer:?}");
    assert!(!answer.out.contains('\x1b'), "{answer:?}");
    assert_eq!(fixture.expect(0, &["status", "api", "api/log"]).out.lines().count(), 3);
    let json = fixture.expect(0, &["--json", "status", "api"]).json();
    assert_eq!(json[0]["module"], "api");
    assert_eq!(json[0]["supervised"], true);
    assert_eq!(json[0]["pid"].as_u64(), fixture.pid("api").map(u64::from));
    let hint = fixture.expect(4, &["status", "ap"]);
    assert!(hint.out.contains("did you mean api?"), "{hint:?}");
}

#[test]
fn what_is_not_as_it_is_wanted_is_found_without_naming_it() {
    let fixture = Fixture::tree(&[("web", STEADY), ("sick", "#!/bin/sh\nexit 1\n"), ("idle", STEADY)]);
    fixture.all_up(&["web", "idle"]);
    fixture.expect(0, &["down", "idle"]);
    until("it waits", || fixture.state("sick").filter(|state| state["state"] == "backoff"));
    fixture.expect(3, &["ps"]);
    let failed = fixture.expect(3, &["status", "--failed"]);
    assert_eq!(failed.out.lines().count(), 2, "{failed:?}");
    assert!(failed.out.lines().nth(1).is_some_and(|line| line.starts_with("sick ")), "{failed:?}");
    let check = fixture.expect(1, &["check"]);
    assert!(check.err.contains("sick") && !check.err.contains("idle") && !check.err.contains("web"), "{check:?}");
    fixture.expect(0, &["stop", "sick"]);
    fixture.expect(0, &["check"]);
    assert_eq!(fixture.expect(0, &["status", "--failed"]).out, "everything is as it is wanted\n");
    // A restart of all is for what runs.
    fixture.expect(0, &["restart", "*"]);
    assert_eq!(fixture.state("idle").unwrap()["state"], "down");
}

#[test]
fn show_tells_on_one_page_what_somebody_has_to_know_at_night() {
    let run = "#!/bin/sh\nexec 2>&1\necho nothing works\nexit 3\n";
    let fixture = Fixture::with(&[("sick", run)]);
    // One value is the default, and one is not.
    std::fs::write(fixture.services.join("supervise.conf"), "[global]\nstop_signal : TERM\nkill_timeout : 3\n")
        .unwrap();
    let mut fixture = fixture;
    fixture.start_tree();
    until("it has run", || fixture.state("sick").filter(|state| state["last_exit"]["code"] == 3));
    let restart = fixture.expect(1, &["restart", "sick"]);
    assert!(restart.out.contains("    | nothing works"), "its reason is on standard output: {restart:?}");
    let page = fixture.expect(0, &["show", "sick"]).out;
    for part in [
        "sick: ",
        "  wanted         up\n",
        "  enabled        yes\n",
        "exit 3",
        "last events",
        "last lines of",
        "nothing works",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let json = fixture.expect(0, &["--json", "show", "sick"]).json();
    let settings = json[0]["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 1, "{settings:?}");
    assert_eq!((&settings[0]["key"], &settings[0]["value"]), (&"kill_timeout".into(), &"3".into()));
    assert_eq!(json[0]["output"]["lines"][0], "nothing works");
    fixture.expect(4, &["show", "nobody"]);
}

#[test]
fn check_counts_a_logger_with_its_service() {
    let fixture = Fixture::tree(&[("api", WITH_LOG), ("api/log", LOGGER)]);
    fixture.all_up(&["api", "api/log"]);
    fixture.expect(0, &["check", "api"]);
    fixture.expect(0, &["stop", "api/log"]);
    let answer = fixture.expect(1, &["check", "api"]);
    assert!(answer.err.contains("api/log: down"), "{answer:?}");
}

#[test]
fn enable_and_disable_are_done_without_a_tree_too() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    fixture.expect(0, &["shutdown"]);
    let answer = fixture.expect(0, &["disable", "web"]);
    assert!(answer.out.contains("no supervise-tree runs now"), "{answer:?}");
    assert!(fixture.services.join("web/down").exists());
    fixture.expect(0, &["enable", "web"]);
    assert!(!fixture.services.join("web/down").exists());
}

#[test]
fn check_is_quiet_and_asks_the_script() {
    let fixture = Fixture::with(&[("web", STEADY)]);
    script(&fixture.services.join("web/check"), "#!/bin/sh\necho noise\ntest -e here\n");
    let mut fixture = fixture;
    fixture.start_tree();
    fixture.up("web");
    let answer = fixture.expect(1, &["check", "web"]);
    assert_eq!(answer.out, "");
    assert!(answer.err.contains("fail: web: its check fails: exit code 1: noise"), "{answer:?}");
    std::fs::write(fixture.services.join("web/here"), "").unwrap();
    let answer = fixture.expect(0, &["check", "web"]);
    assert_eq!((answer.out.as_str(), answer.err.as_str()), ("", ""));
    fixture.expect(4, &["check", "nope"]);
    fixture.expect(0, &["stop", "web"]);
    fixture.expect(1, &["check", "web"]);
}

#[test]
fn a_check_has_a_session_of_its_own_and_one_that_writes_without_end_holds_nobody_up() {
    let fixture = Fixture::with(&[("web", STEADY)]);
    let check = "#!/bin/sh\ncut -d' ' -f1,6 /proc/self/stat > stat\necho $SUPERVISE_MODULE $SUPERVISE_STATUS > names\n\
                 tr '\\0' x < /dev/zero | head -c 2000000\necho; echo the last word\nexit 7\n";
    script(&fixture.services.join("web/check"), check);
    let mut fixture = fixture;
    fixture.start_tree();
    fixture.up("web");
    let answer = fixture.expect(1, &["check", "web"]);
    assert!(answer.err.contains("exit code 7: the last word"), "{answer:?}");
    let stat = std::fs::read_to_string(fixture.services.join("web/stat")).unwrap();
    let session: i32 = stat.split_whitespace().nth(1).unwrap().parse().unwrap();
    let ours = nix::unistd::getsid(None).unwrap().as_raw();
    assert_ne!(session, ours);
    let names = std::fs::read_to_string(fixture.services.join("web/names")).unwrap();
    assert_eq!(names.trim(), format!("web {}", fixture.status.display()));
}

#[test]
fn what_a_check_of_the_supervisor_says_is_shown() {
    let mut fixture = Fixture::with(&[("web", STEADY)]);
    script(&fixture.services.join("web/check"), "#!/bin/sh\necho no answer yet\nexit 1\n");
    std::fs::write(fixture.services.join("supervise.conf"), "[web]\nready : check\n").unwrap();
    fixture.start_tree();
    until("it has said so", || fixture.state("web").filter(|state| state["check"] == "no answer yet"));
    let answer = fixture.expect(1, &["check", "web"]);
    assert!(answer.err.contains("not ready; its check says: no answer yet"), "{answer:?}");
    let answer = fixture.expect(1, &["-w", "0.2", "wait", "ready", "web"]);
    assert!(answer.out.contains("not ready after 0.2 s; its check says: no answer yet"), "{answer:?}");
    let page = fixture.expect(0, &["show", "web"]).out;
    assert!(page.contains("  check said     no answer yet\n"), "{page}");
}

#[test]
fn a_check_that_hangs_is_killed_when_the_time_is_over() {
    let fixture = Fixture::with(&[("web", STEADY)]);
    script(&fixture.services.join("web/check"), "#!/bin/sh\necho $$ > pid\nsleep 1000\n");
    let mut fixture = fixture;
    fixture.start_tree();
    fixture.up("web");
    let begun = Instant::now();
    let answer = fixture.expect(1, &["-w", "0.5", "check", "web"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{answer:?}");
    assert!(answer.err.contains("takes longer than 0.5 s"), "{answer:?}");
    let pid = std::fs::read_to_string(fixture.services.join("web/pid")).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
}

#[test]
fn a_restart_waits_until_the_check_passes() {
    let fixture = Fixture::with(&[("web", STEADY)]);
    script(&fixture.services.join("web/check"), "#!/bin/sh\ntest -e here\n");
    let mut fixture = fixture;
    fixture.start_tree();
    fixture.up("web");
    let answer = fixture.expect(1, &["-w", "4", "restart", "web"]);
    assert!(answer.out.starts_with("timeout: web: up (pid "), "{answer:?}");
    assert!(answer.out.contains("its check has not passed after 4 s: exit code 1"), "{answer:?}");
    let waiting = fixture.command(&["-w", "20", "restart", "web"]).spawn().unwrap();
    std::fs::write(fixture.services.join("web/here"), "").unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    fixture.expect(0, &["wait", "ready", "web"]);
}

#[test]
fn config_says_who_set_what() {
    let fixture = Fixture::with(&[("web", STEADY)]);
    let conf = fixture.services.join("supervise.conf");
    std::fs::write(&conf, "[global]\nrestart_delay : 0.5\n[web]\nstop_signal : INT\nmax_try : 3\n").unwrap();
    let mut fixture = fixture;
    fixture.start_tree();
    fixture.up("web");
    let answer = fixture.expect(0, &["config", "web"]);
    let line = |key: &str| answer.out.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap().to_string();
    assert!(line("restart_delay").ends_with("supervise.conf:2 [global]"), "{answer:?}");
    assert!(line("stop_signal").ends_with("supervise.conf:4"), "{answer:?}");
    assert!(line("kill_mode").contains("mixed") && line("kill_mode").ends_with("default"), "{answer:?}");
    let answer = fixture.expect(1, &["config", "--check"]);
    assert!(answer.out.ends_with("supervise.conf:5: unknown key max_try: did you mean max_tries?\n"), "{answer:?}");
    let json = fixture.expect(1, &["--json", "config", "--check"]).json();
    assert_eq!(json[0]["line"], 5);
    std::fs::write(&conf, "[global]\nrestart_delay : 0.5\n").unwrap();
    assert_eq!(fixture.expect(0, &["config", "--check"]).out, "");
    fixture.expect(4, &["config", "wbe"]);
    fixture.expect(1, &["config", "--check", "-F", "/no/such/file"]);
}

#[test]
fn a_file_is_checked_where_nothing_runs() {
    let fixture = Fixture::new();
    let conf = fixture.path().join("supervise.conf");
    std::fs::write(&conf, "[global]\nnonsense\n").unwrap();
    let answer = fixture.expect(1, &["config", "--check"]);
    assert!(answer.out.starts_with("supervise.conf:2: is neither a section nor"), "{answer:?}");
}

#[test]
fn bash_completes_verbs_and_modules() {
    let fixture = Fixture::tree(&[("web-front", STEADY), ("web-back", STEADY)]);
    fixture.fabricate("evil;id", &serde_json::json!({}));
    let scripts = ["bash", "zsh", "fish"].map(|shell| fixture.expect(0, &["completions", shell]).out);
    assert!(scripts.iter().all(|script| script.contains("SVCTL_COMPLETE")));
    std::fs::write(fixture.path().join("complete.bash"), &scripts[0]).unwrap();
    let complete = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let script = format!(
            "source ./complete.bash; COMP_WORDS=({line}{}); COMP_CWORD={}; \
             _clap_complete_svctl svctl '{}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            if line.ends_with(' ') { "''" } else { "" },
            words.len() - 1,
            words.last().unwrap(),
        );
        let path = format!(
            "{}:{}",
            std::path::Path::new(crate::fixture::SVCTL).parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &script])
            .env("PATH", path)
            .env("SUPERVISE_STATUS", &fixture.status)
            .current_dir(fixture.path())
            .output()
            .unwrap();
        eprintln!("{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect::<Vec<_>>()
    };
    // The others: as bash itself finds the function.
    for (program, begun, option) in
        [("supervise-tree", "--stop-t", "--stop-timeout"), ("supervise", "--fore", "--foreground")]
    {
        let script = format!(
            "source ./complete.bash; set -- $(complete -p {program}); while [ \"$1\" != -F ]; do shift; done; \
             COMP_WORDS=({program} {begun}); COMP_CWORD=1; \"$2\" {program} {begun} {program}; echo \"${{COMPREPLY[@]}}\""
        );
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["--norc", "-c", &script]).current_dir(fixture.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{option}\n"), "{output:?}");
    }
    assert!(complete("svctl rest").contains(&"restart".to_string()));
    let names = complete("svctl restart web-");
    assert!(names.contains(&"web-back".to_string()) && names.contains(&"web-front".to_string()), "{names:?}");
    assert!(complete("svctl restart ev").iter().all(|name| !name.contains("evil")));
    assert!(complete("svctl alarm o").contains(&"off".to_string()));
    std::fs::write(fixture.services.join("supervise.conf"), "[web-front]\ntags : blue\n").unwrap();
    fixture.expect(0, &["reload"]);
    until("the tag is read", || fixture.state("web-front").filter(|state| state["tags"][0] == "blue"));
    assert_eq!(complete("svctl stop @b"), ["@blue"]);
}

#[test]
fn the_manual_has_every_verb_and_option() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/svctl.8")).unwrap();
    let command = <supervise_tree::cli::svctl::Cli as clap::CommandFactory>::command();
    for verb in command.get_subcommands() {
        let name = verb.get_name();
        assert!(manual.lines().any(|line| line.starts_with(".It Cm") && line.contains(name)), "no verb {name}");
        for option in verb.get_opts().chain(verb.get_arguments().filter(|arg| !arg.is_positional())) {
            let flag = option.get_short().map(|short| short.to_string());
            let flag = flag.or_else(|| option.get_long().map(|long| format!("-{long}"))).unwrap();
            assert!(manual.contains(&format!("Fl {}", flag.replace('-', "\\-"))), "{name}: no option {flag}");
        }
    }
    let own = ["orphaned", "dead", "removed", "stale", "unknown"];
    let states = supervise_tree::status::module_state::ModuleState::KNOWN;
    for state in states.iter().map(|state| state.name()).chain(own) {
        assert!(manual.contains(&format!("\n.It {state}\n")), "no state {state}");
    }
    for key in
        ["module", "state", "enabled", "want", "pid", "since", "ready", "paused", "restarts", "last_exit", "reason"]
    {
        assert!(manual.contains(&format!(".It Va {key}")), "no JSON key {key}");
    }
    for key in ["next_start", "alarm", "supervisor_pid", "definition", "log_pid", "supervised"] {
        assert!(manual.contains(&format!(".It Va {key}")), "no JSON key {key}");
    }
}
