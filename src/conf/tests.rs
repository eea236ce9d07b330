use super::policy::{KillMode, RestartPolicy};
use super::*;

fn config(text: &str) -> Config {
    Config::parse(Path::new("supervise.conf"), text.as_bytes())
}

fn settings(text: &str, module: &str) -> Settings {
    config(text).effective(module, None, Program::Tree).settings
}

fn complaints(text: &str) -> Vec<String> {
    config(text).complaints().iter().map(ToString::to_string).collect()
}

const SEED: &str = "[transmit]\n[global]\nalarm_interval : 60\nalarm_mail :\nalarm_gsm :\nmax_tries : 10\n\
    max_tries_if_coredumped : 10\n[redis]\nmax_tries : 3\n[quiet]\nmax_tries : 0\n[same]\nmax_tries :\n";

#[test]
fn the_seeds_example_means_what_the_seed_says() {
    assert_eq!(complaints(SEED), [""; 0]);
    assert_eq!(settings(SEED, "transmit").policy.interval, None);
    assert_eq!(settings(SEED, "redis").policy.max_tries, Some(3));
    assert_eq!(settings(SEED, "redis").policy.interval, Some(Duration::from_secs(60)));
    assert_eq!(settings(SEED, "quiet").policy.max_tries, None);
    assert_eq!(settings(SEED, "same").policy.max_tries, Some(10));
    assert_eq!(settings(SEED, "nobody").policy.max_cores, Some(10));
}

#[test]
fn the_directorys_own_file_stands_between_global_and_the_modules_section() {
    let own = OwnFile::parse(Path::new("web/supervise.conf"), b"max_tries : 5\nnice : 3\nenv : B=2\nstop_signal :\n");
    let text =
        "[alone]\nnice : 9\n[global]\nmax_tries : 10\nstop_signal : INT\nenv : A=1\n[web]\nnice : 4\nenv : C=3\n";
    let config = config(text);
    let of = |module, key| {
        let effective = config.effective(module, Some(&own), Program::Tree);
        let value = effective.values.into_iter().find(|value| value.key == key).unwrap();
        (value.text, value.origin)
    };
    assert_eq!(of("web", "max_tries"), ("5".into(), Origin::Directory(1)));
    assert_eq!(of("web", "nice"), ("4".into(), Origin::Own(8)));
    assert_eq!(of("web", "env"), ("A=1 B=2 C=3".into(), Origin::Own(9)));
    assert_eq!(of("web", "stop_signal"), ("INT".into(), Origin::Global(5)), "an empty value inherits");
    assert_eq!(of("db", "nice"), ("3".into(), Origin::Directory(2)));
    assert_eq!(of("alone", "max_tries"), ("5".into(), Origin::Directory(1)));
    assert_eq!(of("alone", "stop_signal"), ("TERM".into(), Origin::Default), "it stands before [global]");
    assert_eq!(config.settings("db", Some(&own), Program::Tree).context.nice, Some(3));
    assert_eq!(config.settings("db", None, Program::Tree).context.nice, None);
}

#[test]
fn relations_add_up_and_what_global_needs_is_kept_apart() {
    let text = "[early]\nneeds : a\n[global]\nneeds : init\ntags : all\n[web]\nneeds : db @cache\ntags : blue\n";
    let config = config(text);
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (web, inherits) = config.relations("web", None);
    assert_eq!((web.needs, web.tags, inherits), (words(&["db", "@cache"]), words(&["all", "blue"]), true));
    assert_eq!(config.settings("web", None, Program::Tree).relations.needs, words(&["init", "db", "@cache"]));
    let (early, inherits) = config.relations("early", None);
    assert_eq!((early.needs, early.tags, inherits), (words(&["a"]), words(&[]), false));
    let (other, inherits) = config.relations("other", None);
    assert_eq!((other.needs, inherits), (words(&[]), true));
    assert_eq!(config.global_needs(), words(&["init"]));
    let own = OwnFile::parse(Path::new("web/supervise.conf"), b"needs : key\ntags : green\n");
    let (web, _) = config.relations("web", Some(&own));
    assert_eq!((web.needs, web.tags), (words(&["key", "db", "@cache"]), words(&["all", "green", "blue"])));
    assert!(config.has_relations());
    assert!(!super::tests::config("[web]\ntags : a\nneeds :\n").has_relations());
}

#[test]
fn names_and_checks_that_are_none_are_told_and_the_others_stand() {
    let text = "[web]\nneeds : db web/log @\ntags : a @b\nready : fd 1\ncheck : tcp here\ncheck_failures : 0\n";
    let told = complaints(text);
    assert_eq!(told.len(), 6, "{told:?}");
    for (line, what) in [
        (2, "logger"),
        (2, "is not a tag"),
        (3, "only where it is used"),
        (4, "from 3 on"),
        (5, "HOST:PORT"),
        (6, "at least 1"),
    ] {
        let is_so = |text: &String| text.contains(&format!(":{line}:")) && text.contains(what);
        assert!(told.iter().any(is_so), "{line}: {what}: {told:?}");
    }
    let settings = settings(text, "web");
    assert_eq!((settings.relations.needs, settings.relations.tags), (vec!["db".to_string()], vec!["a".to_string()]));
    assert_eq!((settings.readiness.ready, settings.readiness.check_failures), (Default::default(), 3));
}

#[test]
fn every_value_says_where_it_comes_from() {
    let effective = config(SEED).effective("redis", None, Program::Tree);
    let origin = |key| effective.values.iter().find(|value| value.key == key).unwrap().origin;
    assert_eq!(origin("max_tries"), Origin::Own(9));
    assert_eq!(origin("alarm_interval"), Origin::Global(3));
    assert_eq!(origin("restart_delay"), Origin::Default);
}

#[test]
fn the_defaults_are_valid_and_differ_by_program() {
    let mut scratch = Settings::default();
    for key in KEYS {
        for program in [Program::Tree, Program::Single] {
            assert_eq!((key.apply)(&mut scratch, (key.default)(program)), Ok(()), "{}", key.name);
        }
    }
    let tree = Config::empty().effective("web", None, Program::Tree).settings;
    assert_eq!((tree.policy.kill_timeout, tree.policy.kill_mode), (Some(Duration::from_secs(10)), KillMode::Mixed));
    assert_eq!((tree.policy.delay, tree.policy.delay_max), (Duration::from_secs(1), Duration::from_secs(1)));
    assert_eq!((tree.policy.stop_signal, tree.policy.restart), (15, RestartPolicy::Always));
    let single = Config::empty().effective("web", None, Program::Single).settings;
    assert_eq!((single.policy.kill_timeout, single.policy.kill_mode), (None, KillMode::Process));
}

#[test]
fn with_runit_compat_a_stop_is_that_of_runsv_unless_a_file_says_otherwise() {
    let runit = |text: &str| config(text).with_defaults(Defaults { runit: true, ..Defaults::default() });
    let stop = |text: &str| {
        let policy = runit(text).settings("web", None, Program::Tree).policy;
        (policy.kill_timeout, policy.kill_mode)
    };
    assert_eq!(stop(""), (None, KillMode::Process));
    assert_eq!(stop("[global]\nkill_mode : mixed\n"), (None, KillMode::Mixed));
    assert_eq!(stop("[web]\nkill_timeout : 10\n"), (Some(Duration::from_secs(10)), KillMode::Process));
    let values = runit("").effective("web", None, Program::Tree).values;
    assert!(values.iter().any(|value| value.key == "kill_timeout" && value.text == "0"));
}

#[test]
fn an_interval_below_60_counts_as_60() {
    assert_eq!(settings("[global]\nalarm_interval : 1\n", "a").policy.interval, Some(Duration::from_secs(60)));
    assert_eq!(settings("[global]\nalarm_interval : 61\n", "a").policy.interval, Some(Duration::from_secs(61)));
}

#[test]
fn lists_add_up_and_the_lint_says_so() {
    let text = "[global]\nalarm_mail : a@x.org b@x.org\n[web]\nalarm_mail : b@x.org c@x.org\n";
    assert_eq!(settings(text, "web").alarms.mail, ["a@x.org", "b@x.org", "c@x.org"]);
    assert!(complaints(text)[0].starts_with("supervise.conf:4: alarm_mail of [web]"), "{:?}", complaints(text));
}

#[test]
fn at_most_ten_phone_numbers() {
    let numbers = |from: u32| (from..from + 8).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let text = format!("[global]\nalarm_gsm : {}\n[web]\nalarm_gsm : {}\n", numbers(100), numbers(104));
    assert_eq!(settings(&text, "web").alarms.gsm.len(), 10);
}

#[test]
fn a_bad_value_leaves_what_it_would_have_replaced() {
    let text = "[global]\nmax_tries : 7\n[web]\nmax_tries : many\nkill_timeout : -1\nmax_try : 3\nstop_signal : INT\n";
    let web = settings(text, "web");
    assert_eq!(
        (web.policy.max_tries, web.policy.kill_timeout, web.policy.stop_signal),
        (Some(7), Some(Duration::from_secs(10)), 2)
    );
    let all = complaints(text);
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all[0].starts_with("supervise.conf:4: max_tries: \"many\""), "{all:?}");
    assert!(all[2].contains("did you mean max_tries?"), "{all:?}");
}

#[test]
fn each_word_of_a_list_stands_by_itself() {
    let text = "[global]\nalarm_mail : root a@b.c,d@e.f -oQ/tmp |pipe ünï@x.org  # the team\n\
        alarm_gsm : 13800000000 someMobileGroup 12-34 -5\n";
    let web = settings(text, "web");
    assert_eq!(web.alarms.mail, ["root", "a@b.c,d@e.f", "|pipe", "ünï@x.org"]);
    assert_eq!(web.alarms.gsm, ["13800000000", "someMobileGroup", "12-34"]);
    let all = complaints(text);
    assert_eq!(all[0], "supervise.conf:2: alarm_mail: \"-oQ/tmp\" looks like an option and is left out");
    assert_eq!(all[1], "supervise.conf:3: alarm_gsm: \"-5\" looks like an option and is left out");
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(complaints("[global]\nalarm_mail : a\x1bb\n").len(), 1, "a control character");
}

#[test]
fn a_bad_word_in_a_list_spoils_no_good_one() {
    let text = "[global]\nenv : A=1 B-C=2 D=4\ngroups : adm a/b\nenv_file : /a ~/b\n";
    let context = settings(text, "web").context;
    assert_eq!((context.env.len(), context.env_file.len()), (2, 1));
    assert!(context.groups.is_some());
    let all = complaints(text);
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|line| line.ends_with("it is left out")), "{all:?}");
}

#[test]
fn a_comment_may_stand_behind_a_number_and_a_header() {
    let text =
        "[global]\nalarm_interval : 120   # two minutes\nmax_tries : 3 ; as agreed\n[web]  # ours\nmax_tries : 4\n";
    let web = settings(text, "web");
    assert_eq!((web.policy.interval, web.policy.max_tries), (Some(Duration::from_secs(120)), Some(4)));
    assert_eq!(complaints(text), [""; 0]);
    assert_eq!(complaints("[global]\nmax_tries : 3 4\n").len(), 1);
    assert_eq!(settings("[global]\nalarm_interval : 90s\n", "a").policy.interval, Some(Duration::from_secs(90)));
}

#[test]
fn a_limit_that_cannot_be_reached_is_named() {
    let all = complaints("[global]\nalarm_interval : 60\nmax_tries : 60\n");
    assert!(all.len() == 1 && all[0].contains("never reached"), "{all:?}");
}

#[test]
fn a_limit_is_looked_at_with_what_it_inherits() {
    let global = "[global]\nalarm_interval : 300\nmax_tries : 10\n";
    for (own, line) in [
        ("[web]\nrestart_delay : 30\n", Some(5)),
        ("[web]\nmax_tries : 400\n", Some(5)),
        ("[web]\nrestart_delay : 30\nmax_tries : 9\n", None),
        ("[web]\nmax_tries : 400\nrestart_delay : 0.5\n", None),
        ("[web]\nrestart_delay : 30\nalarm_interval : 0\n", None),
        ("[web]\nmax_tries :\n", None),
    ] {
        let all = complaints(&format!("{global}{own}"));
        let named = line.map(|line| format!("supervise.conf:{line}: max_tries "));
        assert_eq!(all.len(), usize::from(line.is_some()), "{own}: {all:?}");
        assert!(named.is_none_or(|named| all[0].starts_with(&named)), "{own}: {all:?}");
    }
    // Before [global], it inherits nothing, and there is no interval.
    assert_eq!(complaints(&format!("[web]\nmax_tries : 400\n{global}")), [""; 0]);
}

#[test]
fn a_watchdog_that_nobody_can_feed_is_named() {
    let all =
        complaints("[global]\nwatchdog : 9\n[a]\nwatchdog : 5\n[b]\nwatchdog : 5\nready : notify\n[c]\nwatchdog : 0\n");
    assert_eq!(all, ["supervise.conf:4: watchdog of [a] has no effect without ready : notify"]);
}

#[test]
fn complaints_know_their_section_and_sections_their_modules() {
    let config = config("[global]\nnicer : 1\n[web]\nnice : x\n[bad\nnice : y\n[wbe]\nnice : 1\n");
    let about = |module| config.complaints_about(module).map(|complaint| complaint.line).collect::<Vec<_>>();
    assert_eq!((about("web"), about("global"), about("wbe")), (vec![Some(4)], vec![Some(2)], vec![]));
    let nameless = config.nameless_sections(&["web".into(), "db".into()]);
    let told: Vec<String> = nameless.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["supervise.conf:7: [wbe] names no module: did you mean [web]?"]);
}

#[test]
fn times_have_units() {
    let delay = |value| settings(&format!("[global]\nrestart_delay : {value}\n"), "a").policy.delay;
    assert_eq!(delay("0.25"), Duration::from_millis(250));
    assert_eq!(delay("0"), Duration::ZERO);
    assert_eq!(delay("1m30s  # a while"), Duration::from_secs(90));
    for bad in ["nan", "inf", "1e9", "-1", ".", "1w"] {
        assert_eq!(delay(bad), Duration::from_secs(1), "{bad}");
    }
}

#[test]
fn what_cannot_be_read_is_one_complaint() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Config::read(&dir.path().join("none")).unwrap_err();
    assert!(missing.to_string().ends_with("none: cannot be read: No such file or directory"), "{missing}");
    assert!(Config::read(dir.path()).is_err());
    let huge = dir.path().join("huge");
    std::fs::File::create(&huge).unwrap().set_len(FILE_MAX + 1).unwrap();
    assert!(Config::read(&huge).unwrap_err().what.contains("is larger than"));
}

#[test]
fn modules_that_would_share_a_log_directory_are_named() {
    let told = |text: &str| config(text).complaints().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        told("[global]\nlog : /l\n[a]\n[b]\n"),
        [
            "supervise.conf:2: log: all modules would write into the directory /l; with a slash at its end, /l/, each module has \
          a directory of its own there"
        ]
    );
    let all = told("[b]\nlog : /l/x\n[a]\nlog : /l//x\n[x]\nlog : /l/\n[c]\nlog : /l/c\n");
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(
        all[0].starts_with("supervise.conf:4: log: [b] and [a] would write into the same directory /l/x;"),
        "{all:?}"
    );
    assert_eq!(all[1], "supervise.conf:6: log: [b] and [x] would write into the same directory /l/x");
}

#[test]
fn a_bad_pattern_of_a_log_is_told_and_the_others_stand() {
    let config = config("[a]\nlog : yes\nlog_match : -x '+[abc' +y\n");
    let told: Vec<String> = config.complaints().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["supervise.conf:3: log_match: pattern \"[abc\": [ without ]; it is left out"]);
    assert_eq!(config.settings("a", None, Program::Tree).log.options, ["--match=-x", "--match=+y"]);
}
