//! `supervise.conf`: lines, then sections, then typed settings, each with where it comes from.
//!
//! 1. [`lines`] reads every line by itself, keys and values with rust-ini, and complains about what is none of ours;
//! 2. [`sections`] puts them together, and keeps each key's line;
//! 3. [`settings`] gives each key its type, and [`Config::effective`] resolves a module's inheritance.
//!
//! Nothing in a file is fatal: each complaint names file and line, and what it is about counts as not written.

mod complaint;
pub mod context;
pub mod keys;
pub mod lines;
mod lint;
pub mod log;
pub mod nearest;
pub mod own;
pub mod policy;
pub mod program;
pub mod readiness;
pub mod relations;
pub mod sections;
pub mod settings;
pub mod shell_words;
pub mod source;

use crate::sys::files::file;
use crate::sys::fnv;
pub use complaint::Complaint;
use keys::{KEYS, Key};
pub use nearest::nearest;
use own::OwnFile;
pub use program::Program;
use sections::{Section, Sections};
use settings::Settings;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A file larger than this, in bytes, is somebody's mistake.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// How long whoever writes a pipe that is read as a file (`-F <(...)`) may take for it.
const PIPE_WAIT: Duration = Duration::from_secs(5);

/// The section that others inherit from.
pub const GLOBAL: &str = "global";

/// The file's name, where it is looked for without `-F`.
pub const CONFIG_FILE: &str = "supervise.conf";

/// Where an effective value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The `[global]` section, in this line.
    Global(usize),
    /// The service directory's own file, in this line.
    Directory(usize),
    /// The module's own section, in this line.
    Own(usize),
}

/// One effective value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The key, as in the file.
    pub key: &'static str,
    /// The value, as in the file or in the manual's table of defaults.
    pub text: String,
    /// Who set it. For a list to which several add, the last one that did.
    pub origin: Origin,
}

/// A module's settings, and each value with its origin.
#[derive(Clone, Debug)]
pub struct Effective {
    /// What the program uses.
    pub settings: Settings,
    /// What a user reads, in the manual's order.
    pub values: Vec<Value>,
}

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub struct Config {
    path: PathBuf,
    /// What was read.
    text: Vec<u8>,
    /// A number for it.
    hash: u64,
    sections: Sections,
    complaints: Vec<Complaint>,
    /// The settings of all modules without a section, for the tree and for `supervise`.
    common: [OnceLock<Arc<Settings>>; 2],
}

impl Config {
    /// No file: the defaults for all modules.
    pub fn empty() -> Config {
        Config::default()
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// One complaint, when the file cannot be read at all: whoever has older settings keeps them.
    pub fn read(path: &Path) -> Result<Config, Complaint> {
        Config::read_as(path, path)
    }

    /// The same for a file that others know by the path `shown`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_as(path: &Path, shown: &Path) -> Result<Config, Complaint> {
        let fail = |what: String| Complaint::whole(shown, what);
        let bytes = file::read_text(path, FILE_MAX + 1, PIPE_WAIT);
        let bytes = bytes.map_err(|error| fail(format!("cannot be read: {}", crate::sys::errno_text(&error))))?;
        if bytes.len() as u64 > FILE_MAX {
            Err(fail(format!("is larger than {FILE_MAX} bytes and was not read")))
        } else {
            Ok(Config::parse(shown, &bytes))
        }
    }

    /// Reads `bytes` as the content of the file at `path`.
    pub fn parse(path: &Path, bytes: &[u8]) -> Config {
        let mut complaints = Vec::new();
        let lines = lines::classify(bytes);
        let mut sections = Sections::build(&lines, &mut complaints);
        for (_, section) in sections.iter_mut() {
            lint::drop_invalid(section, &mut complaints);
            lint::lint_gsm(section, &mut complaints);
        }
        lint_lists(&sections, &mut complaints);
        let mut config = Config {
            path: path.to_owned(),
            text: bytes.to_vec(),
            hash: fnv::hash(bytes),
            sections,
            ..Config::default()
        };
        config.lint_limits(&mut complaints);
        config.complaints = Complaint::all(path, complaints);
        config
    }

    /// Warns of a limit that cannot be reached, by what is in force: the keys may stand in two sections.
    fn lint_limits(&self, complaints: &mut Vec<(usize, String)>) {
        for (name, section) in self.sections.iter() {
            let keys = ["max_tries", "alarm_interval", "restart_delay"];
            // A section that sets none of them has nothing to answer for.
            let own = keys.iter().find_map(|key| section.get(key).filter(|entry| !entry.value.is_empty()));
            let Some(entry) = own else { continue };
            let settings = self.effective(name, None, Program::Tree).settings;
            if let (Some(interval), Some(tries)) = (settings.policy.interval, settings.policy.max_tries)
                && settings.policy.delay.saturating_mul(tries) >= interval
            {
                let (delay, interval) = (settings.policy.delay.as_secs_f64(), interval.as_secs());
                let what = format!(
                    "max_tries {tries} of [{name}] is never reached: \
                     with restart_delay {delay} there are not so many restarts in {interval} s"
                );
                complaints.push((entry.line, what));
            }
        }
    }

    /// The file that was read; empty if there was none.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands in it; `None` if there was none.
    pub fn text(&self) -> Option<&[u8]> {
        Some(self.text.as_slice()).filter(|_| !self.path.as_os_str().is_empty())
    }

    /// The [`Config::hash`] of the regular file at `path`, which is not looked into any further.
    pub fn text_hash(path: &Path) -> Option<u64> {
        if file::leads_to_fifo(path) {
            return None;
        }
        file::read_text(path, FILE_MAX + 1, PIPE_WAIT).ok().map(|bytes| fnv::hash(&bytes))
    }

    /// A number that tells this text from any other; `None` if there was no file.
    pub fn hash(&self) -> Option<u64> {
        self.text().map(|_| self.hash)
    }

    /// What is wrong in the section of `module`.
    pub fn complaints_about<'a>(&'a self, module: &'a str) -> impl Iterator<Item = &'a Complaint> {
        let is_there = move |line: usize| self.sections.of_line(line) == Some(module);
        self.complaints.iter().filter(move |complaint| complaint.line.is_none_or(is_there))
    }

    /// A complaint for each section that is none of the `modules`.
    pub fn nameless_sections(&self, modules: &[String]) -> Vec<Complaint> {
        let is_known = |name: &str| name == GLOBAL || modules.iter().any(|module| module == name);
        let complaint = |(name, section): (&str, &Section)| {
            let meant = nearest(name, modules.iter().map(String::as_str));
            let meant = meant.map_or(String::new(), |meant| format!(": did you mean [{meant}]?"));
            (section.line, format!("[{name}] names no module{meant}"))
        };
        Complaint::all(&self.path, self.sections.iter().filter(|(name, _)| !is_known(name)).map(complaint).collect())
    }

    /// All that is wrong in the file, in the order of its lines.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// Whether the file has a section of this name.
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.get(name).is_some()
    }

    /// The settings of `module`, whose service directory has the file `own`. Modules that have neither that nor a section
    /// share them. A logger runs as its service's `log_user`, unless its own section says another `user`.
    pub fn settings(&self, module: &str, own: Option<&OwnFile>, program: Program) -> Arc<Settings> {
        let settings = self.shared_settings(module, own, program);
        let Some(service) = module.strip_suffix("/log") else { return settings };
        let user = self.shared_settings(service, None, program).log.user.clone();
        let has_own = self.sections.get(module).is_some_and(|own| own.get("user").is_some());
        match user {
            Some(user) if !has_own => {
                let mut settings = Settings::clone(&settings);
                settings.context.user = Some(user);
                Arc::new(settings)
            }
            Some(_) | None => settings,
        }
    }

    fn shared_settings(&self, module: &str, own: Option<&OwnFile>, program: Program) -> Arc<Settings> {
        let [tree, single] = &self.common;
        let common = if program == Program::Tree { tree } else { single };
        match (self.scope(module), own) {
            ((_, None), None) => {
                common.get_or_init(|| Arc::new(self.effective(GLOBAL, None, program).settings)).clone()
            }
            _ => Arc::new(self.effective(module, own, program).settings),
        }
    }

    /// The settings of `module`, whose service directory has the file `own`, and where each comes from.
    pub fn effective(&self, module: &str, own: Option<&OwnFile>, program: Program) -> Effective {
        let (global, section) = self.scope(module);
        let places = [
            global.map(|section| (section, Origin::Global as fn(usize) -> Origin)),
            own.map(|own| (own.section(), Origin::Directory as fn(usize) -> Origin)),
            section.map(|section| (section, Origin::Own as fn(usize) -> Origin)),
        ];
        let mut settings = Settings::default();
        let mut values = Vec::new();
        for key in KEYS {
            let value = resolve(key, &places, program);
            // Every text was tried when the file was read, and the defaults are tested.
            let _ = (key.apply)(&mut settings, &value.text);
            values.push(value);
        }
        settings.resolve_defaults();
        // The delay's ceiling follows the delay where nobody set it; the table shows what is in force.
        if let Some(value) = values.iter_mut().find(|value| value.key == "restart_delay_max" && value.text.is_empty()) {
            value.text = settings.policy.delay_max.as_secs_f64().to_string();
        }
        Effective { settings, values }
    }

    /// The sections that `module` draws from: a section before `[global]` stands alone.
    fn scope(&self, module: &str) -> (Option<&Section>, Option<&Section>) {
        let global = self.sections.get(GLOBAL);
        let own = if module == GLOBAL { None } else { self.sections.get(module) };
        match (global, own) {
            (Some(global), Some(own)) if own.line < global.line => (None, Some(own)),
            both => both,
        }
    }
}

/// A section, and what the origin of its values is.
type Place<'a> = (&'a Section, fn(usize) -> Origin);

/// The value of `key` from `places`, of which the later replace the earlier, or add to them.
fn resolve(key: &Key, places: &[Option<Place<'_>>], program: Program) -> Value {
    let mut value = Value { key: key.name, text: (key.default)(program).to_string(), origin: Origin::Default };
    for (section, origin) in places.iter().flatten() {
        // An empty value inherits.
        let Some(entry) = section.get(key.name).filter(|entry| !entry.value.is_empty()) else { continue };
        value.text = match value.origin {
            Origin::Global(_) | Origin::Directory(_) if key.adds => format!("{} {}", value.text, entry.value),
            Origin::Default | Origin::Global(_) | Origin::Directory(_) | Origin::Own(_) => entry.value.clone(),
        };
        value.origin = origin(entry.line);
    }
    value
}

/// The manual of the C program advises against addresses in both `[global]` and a module's own section.
fn lint_lists(sections: &Sections, complaints: &mut Vec<(usize, String)>) {
    let Some(global) = sections.get(GLOBAL) else { return };
    for (name, section) in sections.iter().filter(|(name, section)| *name != GLOBAL && section.line > global.line) {
        for key in KEYS.iter().filter(|key| key.adds && key.name.starts_with("alarm_")) {
            let entry = |section: &Section| section.get(key.name).filter(|entry| !entry.value.is_empty()).cloned();
            if let (Some(in_global), Some(own)) = (entry(global), entry(section)) {
                let what = format!(
                    "{} of [{name}] is added to that of [global] in line {}: give it in one place only",
                    key.name, in_global.line
                );
                complaints.push((own.line, what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        let own =
            OwnFile::parse(Path::new("web/supervise.conf"), b"max_tries : 5\nnice : 3\nenv : B=2\nstop_signal :\n");
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
        let text =
            "[global]\nmax_tries : 7\n[web]\nmax_tries : many\nkill_timeout : -1\nmax_try : 3\nstop_signal : INT\n";
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
}
