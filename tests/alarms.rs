//! Alarms with real programs: who is told what, and that nothing that a name, an address or a service's output says
//! becomes an option or a command.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::hook::*;
use common::host::count;
use common::*;
use std::time::Duration;

// ----- what is told to whom --------------------------------------------------------------------------------------

#[test]
fn an_alarm_program_finds_all_that_the_manual_says() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    conf(&place, &format!("alarm_command : '{}' \"two words\" \\$HOME '' #5", tell.display()));
    place.run(
        "web",
        "[ -e ran ] && exec sleep 1000; touch ran
        i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i >&2; done; printf '~!id\\n\\033[31mred\\n' >&2; exit 3",
    );
    let _tree = place.tree();
    let web = place.module("web");
    let all = wait_alarms(&place, 1);
    let alarm = &all[0];
    let host = nix::unistd::gethostname().unwrap().to_string_lossy().into_owned();
    let words = "argument <two words>\nargument <$HOME>\nargument <>\nargument <#5>\nALARM_";
    assert!(alarm.starts_with(words), "{alarm}");
    web.wait_text(&place, "supervise.log", "started, pid ");
    let log = web.text("supervise.log");
    let pid = log.lines().find_map(|line| line.split_once("started, pid ")).expect("a pid").1;
    for expected in [
        "ALARM_EXIT=3".to_string(),
        format!("ALARM_HOST={host}"),
        "ALARM_MODULE=web".into(),
        format!("ALARM_PID={pid}"),
        "ALARM_REASON=exited".into(),
        format!("ALARM_STATUS_DIR={}", web.dir().display()),
        "exit: exit code 3".into(),
        format!("pid: {pid}"),
        "restarts in this interval: 1".into(),
        // The last twenty lines: 18 of the loop, and two that cannot steer a mailer or a terminal.
        "line 13".into(),
        "line 30".into(),
        " ~!id".into(),
        "[31mred".into(),
    ] {
        assert!(alarm.lines().any(|line| line == expected), "{expected}\n{alarm}");
    }
    assert!(!alarm.contains("line 12\n") && !alarm.contains('\x1b'), "{alarm}");
    let subject = alarm.lines().skip_while(|line| *line != "body").nth(1).unwrap();
    assert!(
        subject.starts_with("20") && subject.ends_with(&format!(" [Alarm: {host}] Service web exited!")),
        "{subject}"
    );
    assert!(log.contains(&format!("alarm: {subject}\n")), "{log}");
}

#[test]
fn the_mailer_gets_all_addresses_at_once_and_each_number_its_own_message() {
    let place = Place::new();
    for name in ["mailer", "texts"] {
        hook(&place, &format!("{name} of ours"));
    }
    let numbers = (100..112).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    conf(
        &place,
        &format!(
            "alarm_mailer : '{0}/mailer of ours' -v\nalarm_gsm_command : \"{0}/texts of ours\"\n\
             alarm_mail : a@example.org _b+c@example.org a@example.org\nalarm_gsm : {numbers} 100\n",
            place.path().display()
        ),
    );
    place.run("web", "[ -e ran ] && exec sleep 1000; touch ran; exit 0");
    let _tree = place.tree();
    let all = wait_alarms(&place, 11);
    let (mails, texts): (Vec<_>, Vec<_>) = all.iter().partition(|alarm| alarm.starts_with("argument <-v>\n"));
    assert_eq!((mails.len(), texts.len()), (1, 10), "{all:?}");
    let lines: Vec<&str> = mails[0].lines().take(5).collect();
    assert_eq!(
        (lines[1], lines[3], lines[4]),
        ("argument <-s>", "argument <a@example.org>", "argument <_b+c@example.org>")
    );
    assert!(lines[2].ends_with(" Service web exited!>") && mails[0].contains("\nALARM_EXIT=0\n"), "{}", mails[0]);
    let mut told: Vec<&str> =
        texts.iter().filter_map(|text| text.strip_prefix("argument <")?.split('@').next()).collect();
    told.sort_unstable();
    assert_eq!(told, ["100", "101", "102", "103", "104", "105", "106", "107", "108", "109"]);
    let first_lines = texts.iter().all(|text| text.lines().next().unwrap().ends_with(" Service web exited!>"));
    assert!(first_lines && texts.iter().all(|text| text.lines().nth(1).unwrap().starts_with("ALARM_")), "{texts:?}");
}

#[test]
fn only_the_first_exit_in_a_window_raises_an_alarm_and_none_while_they_are_off() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    conf(&place, &format!("max_tries : 9\nalarm_command : {}", tell.display()));
    for name in ["loud", "silent"] {
        place.service(name, &[("run", CRASHER), ("down", "")]);
    }
    let _tree = place.tree();
    let (loud, silent) = (place.module("loud"), place.module("silent"));
    for (module, bytes) in [(&loud, "u"), (&silent, "su")] {
        module.wait_state(&place, "down");
        module.send(bytes);
    }
    loud.wait_state(&place, "failed");
    assert_eq!(runs(&loud), 10);
    wait_for("more runs than the limit allows: with alarms off, nothing counts", &place, || runs(&silent) > 12);
    assert_eq!(silent.state()["alarm"], false);
    let all = wait_alarms(&place, 2);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|alarm| alarm.contains("ALARM_MODULE=loud\n")), "{all:?}");
    assert_eq!(count(&loud.path("supervise.log"), "alarm: "), 2);
    assert_eq!(count(&silent.path("supervise.log"), "alarm: "), 0);
}

#[test]
fn an_alarm_program_that_hangs_or_fails_holds_nothing_up() {
    for (program, said) in [
        ("sleep 1000", None),
        ("false", Some("alarm of web: false: exit code 1")),
        ("/no/such/program", Some("alarm of web: /no/such/program: No such file or directory")),
        ("/dev/null", Some("alarm of web: /dev/null: Permission denied")),
    ] {
        let place = Place::new();
        conf(&place, &format!("alarm_command : {program}"));
        place.run("web", CRASHER);
        let tree = place.tree();
        let web = place.module("web");
        wait_for("run after run", &place, || runs(&web) >= 5);
        if let Some(said) = said {
            web.wait_text(&place, "supervise.log.wf", said);
            assert_eq!(count(&web.path("supervise.log.wf"), "alarm of"), 1);
        }
        let clock = std::time::Instant::now();
        assert!(tree.stop().success());
        assert!(clock.elapsed() < Duration::from_secs(10), "the end waited for {program}");
    }
}

// ----- what attacks a shell --------------------------------------------------------------------------------------

/// Names that would make a file `pwned` if any shell or any program took them for more than a name.
const HOSTILE: &[&str] = &[
    "a;touch pwned",
    "`touch pwned`",
    "$(touch pwned)",
    "|touch pwned",
    "a&touch pwned&",
    "a>pwned",
    "-rf",
    "--help",
    "a'b\"c",
    "a@b",
    "~",
    "!id",
    " blanks ",
    "%s%n",
    "日本",
];

/// Whether something that was not to be run has been run, here or in a service directory.
fn pwned(place: &Place, names: &[&str]) -> bool {
    let in_services = names.iter().any(|name| place.root().join(name).join("pwned").exists());
    in_services || place.path().join("pwned").exists() || place.root().join("pwned").exists()
}

#[test]
fn a_modules_name_is_only_a_name_to_every_alarm_program() {
    let place = Place::new();
    for name in ["mailer", "texts", "tell"] {
        hook(&place, name);
    }
    conf(
        &place,
        &format!(
            "max_tries : 1\nalarm_mailer : {0}/mailer\nalarm_gsm_command : {0}/texts\nalarm_command : {0}/tell\n\
             alarm_mail : ops@example.org\nalarm_gsm : 123",
            place.path().display()
        ),
    );
    let long = "x".repeat(255);
    let names: Vec<&str> = HOSTILE.iter().copied().chain([long.as_str()]).collect();
    for name in &names {
        place.run(name, CRASHER);
    }
    let tree = place.tree();
    for name in &names {
        place.module(name).wait_state(&place, "failed");
    }
    // Two alarms for each, by three programs.
    let all = wait_alarms(&place, names.len() * 6);
    for name in &names {
        let theirs = |text: &str| all.iter().filter(|alarm| alarm.contains(text)).count();
        assert_eq!(theirs(&format!("\nALARM_MODULE={name}\n")), 6, "{name}");
        assert_eq!(theirs(&format!(" Service {name} exited!>\n")), 2, "{name}: mail and short message, in one word");
        assert_eq!(theirs(&format!(" Service {name} gave up after 1 restart!>\n")), 2, "{name}");
    }
    assert!(!pwned(&place, &names));
    assert!(tree.stop().success());
}

#[test]
fn a_newline_in_a_modules_name_makes_no_second_line() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    std::fs::write(
        place.path().join("supervise.conf"),
        format!(
            "[global]\nalarm_interval : 60\nmax_tries : 1\nrestart_delay : 0.05\nalarm_mailer : {0}\n\
             alarm_mail : ops@example.org\n",
            tell.display()
        ),
    )
    .unwrap();
    // No tree takes such a directory, but the single program is called with whatever somebody types.
    let name = "web\nBcc: all@example.org\n\x1b[31m;touch pwned";
    let mut command = supervise_command();
    command.args(["-n", "-p", &format!("status/{name}"), "-f", "false"]);
    assert_eq!(place.start(command).wait().code(), Some(111));
    let all = wait_alarms(&place, 2);
    for alarm in &all {
        let subject = alarm.lines().find(|line| line.contains("Service ")).expect("a subject");
        assert!(subject.contains(" Service web?Bcc: all@example.org??[31m;touch pwned "), "{alarm}");
        assert!(subject.starts_with("argument <20") && subject.ends_with("!>"), "{alarm}");
        assert!(alarm.contains(&format!("\nALARM_MODULE={name}\n")), "{alarm}");
        let body = alarm.split_once("\nbody\n").expect("a body").1;
        assert!(body.contains("\nstatus: status/web?Bcc: all@example.org??[31m;touch pwned\n"), "{body}");
        assert!(!body.contains("\nBcc") && !body.contains('\x1b'), "{body}");
    }
    let log = place.module(name).log();
    assert!(log.lines().all(|line| line.starts_with('[')) && !log.contains('\x1b'), "one event a line: {log}");
    let said = std::fs::read_to_string(place.path().join("stderr")).unwrap();
    assert!(said.lines().all(|line| line.starts_with('[')) && !said.contains('\x1b'), "{said}");
    assert!(!pwned(&place, &[]));
}

/// Every word of a list reaches the program as one argument: no shell acts on it, and it cannot be an option.
#[test]
fn words_of_lists_are_arguments_and_no_options() {
    let place = Place::new();
    for name in ["mailer", "texts"] {
        hook(&place, name);
    }
    let passed = [
        ("alarm_mail", "a@x.org;touch"),
        ("alarm_mail", "`touch`@x.org"),
        ("alarm_mail", "$(touch)@x.org"),
        ("alarm_mail", "|touch"),
        ("alarm_mail", "ünï@x.org"),
        ("alarm_mail", "a@x.org,b@x.org"),
        ("alarm_gsm", "1;touch"),
        ("alarm_gsm", "$(id)"),
        ("alarm_gsm", "ourMobileGroup"),
    ];
    let refused = [("alarm_mail", "-oQ/tmp"), ("alarm_gsm", "-1")];
    let mut text = format!(
        "[global]\nalarm_interval : 60\nmax_tries : 1\nrestart_delay : 0.05\nalarm_mailer : {0}/mailer\n\
         alarm_gsm_command : {0}/texts\n",
        place.path().display()
    );
    for (at, (key, word)) in refused.iter().chain(&passed).enumerate() {
        text += &format!("[m{at}]\n{key} : {word}\n");
        place.run(&format!("m{at}"), CRASHER);
    }
    place.conf(&text);
    let _tree = place.tree();
    let modules = refused.len() + passed.len();
    (0..modules).for_each(|at| place.module(&format!("m{at}")).wait_state(&place, "failed"));
    // One for the first exit of each, and one for giving up.
    let all = wait_alarms(&place, 2 * passed.len());
    assert_eq!(all.len(), 2 * passed.len(), "{all:?}");
    for (key, word) in passed {
        let argument =
            if key == "alarm_mail" { format!("argument <{word}>\n") } else { format!("argument <{word}@20") };
        assert_eq!(all.iter().filter(|alarm| alarm.contains(&argument)).count(), 2, "{word}: {all:?}");
    }
    let complaints = place.own().text("supervise.log.wf");
    for (at, (key, word)) in refused.iter().enumerate() {
        let line = format!("supervise.conf:{}: {key}: {word:?} looks like an option and is left out", 8 + 2 * at);
        assert!(complaints.contains(&line), "{line}\n{complaints}");
    }
}

// ----- at the end ------------------------------------------------------------------------------------------------

/// Services that crash once each, and a program that takes `script` for each of their alarms.
fn crashers<'a>(place: &'a Place, number: usize, script: &str) -> (Running<'a>, Vec<Module>) {
    common::script(&place.path().join("tell"), script);
    conf(place, &format!("alarm_command : {}", place.path().join("tell").display()));
    let names: Vec<String> = (0..number).map(|number| format!("m{number:02}")).collect();
    for name in &names {
        place.run(name, "[ -e ran ] && exec sleep 1000; touch ran; exit 3");
    }
    let tree = place.tree();
    let modules: Vec<Module> = names.iter().map(|name| place.module(name)).collect();
    for module in &modules {
        module.wait_text(place, "supervise.log", "] Service m");
    }
    (tree, modules)
}

#[test]
fn alarms_that_wait_for_others_are_sent_before_the_tree_ends() {
    let place = Place::new();
    let (tree, modules) = crashers(&place, 12, "sleep 0.5; echo $ALARM_MODULE >> \"$(dirname \"$0\")/told\"");
    assert!(tree.stop().success());
    // Those that were started last run on alone.
    let told = || count(&place.path().join("told"), "m");
    assert!(told() + 4 >= modules.len(), "{}", place.story());
    wait_for("the last", &place, || told() == modules.len());
    assert!(!place.own().text("supervise.log.wf").contains("not run"));
}

#[test]
fn who_is_in_a_hurry_waits_for_no_alarm_and_is_told_what_was_dropped() {
    let place = Place::new();
    let (tree, modules) = crashers(&place, 7, "exec sleep 1000");
    tree.signal("TERM");
    wait_for("the services' end", &place, || modules.iter().all(|module| module.state_name() == "down"));
    holds_for(Duration::from_millis(300), "the alarms are waited for", &place, || is_alive(tree.pid()));
    assert!(tree.stop().success());
    place.own().wait_text(&place, "supervise.log.wf", "3 alarm programs not run");
    let dropped = modules.iter().filter(|module| module.text("supervise.log.wf").contains("alarm dropped")).count();
    assert_eq!(dropped, 3);
}

// ----- for programs ----------------------------------------------------------------------------------------------

/// `ALARM_JSON` of each alarm of a module so far.
fn objects(place: &Place, module: &str) -> Vec<serde_json::Value> {
    let all = alarms(place);
    let lines = all.iter().filter_map(|alarm| alarm.lines().find_map(|line| line.strip_prefix("ALARM_JSON=")));
    let objects = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
    objects.filter(|alarm| alarm["module"] == module).collect()
}

/// Waits for an alarm of this kind.
fn wait_kind(place: &Place, module: &str, kind: &str) -> serde_json::Value {
    let found = || objects(place, module).into_iter().find(|alarm| alarm["kind"] == kind);
    wait_for(&format!("{module}: {kind}"), place, || found().is_some());
    found().unwrap()
}

#[test]
fn the_last_lines_are_those_of_the_process_wherever_they_go() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = place.path().join("tell");
    conf(&place, &format!("alarm_command : '{}'\nlog_stamp : none", tell.display()));
    for (name, log) in [("filed", "files"), ("logged", "yes"), ("shown", "stdout")] {
        let run = format!("[ -e ran ] && exec sleep 1000; touch ran; echo words of {name} >&2; exit 3");
        place.service(name, &[("run", &run)]);
        let stderr = place.module(name).path("__stderr");
        std::fs::create_dir_all(stderr.parent().unwrap()).unwrap();
        std::fs::write(stderr, "of last year\n").unwrap();
        let old = std::fs::read_to_string(place.root().join("supervise.conf")).unwrap();
        place.conf(&format!("{old}[{name}]\nlog : {log}\n"));
    }
    let _tree = place.tree();
    wait_alarms(&place, 3);
    let lines = |name: &str| objects(&place, name)[0]["stderr"].clone();
    assert_eq!(lines("filed"), serde_json::json!(["words of filed"]));
    assert_eq!(lines("logged"), serde_json::json!(["words of logged"]));
    assert_eq!(lines("shown"), serde_json::json!([]));
    assert!(alarms(&place).iter().all(|alarm| !alarm.contains("of last year")));
}

#[test]
fn an_alarm_and_its_end_are_told_as_json_whatever_they_are_about() {
    let place = Place::new();
    hook(&place, "tell");
    let tell = format!("alarm_command : '{}'\nalarm_recovery : yes\n", place.path().join("tell").display());
    conf(&place, &tell);
    // Each fails once. What a service writes does not make the object larger than a variable may be.
    let once = |failure: &str, health: &str| {
        format!("if [ -e ran ]; then {health}; fi; touch ran; {failure}; exec sleep 1000")
    };
    let noise =
        "i=0; while [ $i -lt 20 ]; do i=$((i+1)); head -c 9000 /dev/zero | tr '\\0' '\"' >&2; echo >&2; done; exit 3";
    let services = [
        ("exits", once(noise, ": > ready; exec sleep 1000"), "ready : check\ncheck_interval : 0.1\n"),
        ("late", once(":", ": > ready; exec sleep 1000"), "ready : check\nready_timeout : 0.5\n"),
        (
            "sick",
            ": > ready; exec sleep 1000".into(),
            "ready : check\ncheck_interval : 0.1\ncheck_failures : 2\nunhealthy : alarm\n",
        ),
    ];
    for (name, run, settings) in &services {
        place.service(name, &[("run", run), ("check", "[ -e ready ]"), ("supervise.conf", settings), ("down", "")]);
    }
    let _tree = place.tree();
    for (name, ..) in &services {
        place.module(name).wait_state(&place, "down");
        place.module(name).send("u");
    }
    let exited = wait_kind(&place, "exits", "exited");
    assert_eq!(
        (&exited["code"], &exited["signal"], &exited["core"]),
        (&3.into(), &().into(), &false.into()),
        "{exited}"
    );
    assert!(exited["stderr"].as_array().unwrap().iter().all(|line| line.as_str().unwrap().starts_with('"')));
    assert!(exited["pid"].is_u64() && exited["uptime_seconds"].is_f64() && exited["restarts"] == 1, "{exited}");
    assert!(exited["subject"].as_str().unwrap().ends_with("Service exits exited!"), "{exited}");
    let late = wait_kind(&place, "late", "not_ready");
    assert_eq!((&late["reason"], &late["signal"]), (&"was not ready after 0.5 s".into(), &"TERM".into()));
    place.module("sick").wait_state(&place, "ready");
    std::fs::remove_file(place.root().join("sick/ready")).unwrap();
    let sick = wait_kind(&place, "sick", "unhealthy");
    assert_eq!((&sick["reason"], &sick["code"]), (&"is unhealthy after 2 failed checks".into(), &().into()));
    std::fs::write(place.root().join("sick/ready"), "").unwrap();
    for (name, ..) in &services {
        let well = wait_kind(&place, name, "recovered");
        assert_eq!((&well["reason"], &well["code"]), (&"has recovered".into(), &().into()), "{name}");
    }
    for (name, ..) in &services {
        let kinds: Vec<_> = objects(&place, name).into_iter().map(|alarm| alarm["kind"].clone()).collect();
        assert_eq!(kinds.len(), 2, "{name}: {kinds:?}");
    }
}
