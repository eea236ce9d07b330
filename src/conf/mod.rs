//! `supervise.conf`: lines, then sections, then typed settings, each with where it comes from.
//!
//! 1. [`sections::lines`] reads every line by itself, keys and values with rust-ini, and complains about what is none of ours;
//! 2. [`sections`] puts them together, and keeps each key's line;
//! 3. [`settings`] gives each key its type, and [`Config::effective`] resolves a module's inheritance.
//!
//! Nothing in a file is fatal: each complaint names file and line, and what it is about counts as not written.

mod complaint;
pub mod context;
pub mod defaults;
pub mod keys;
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
#[cfg(test)]
mod tests;

use crate::sys::files::file;
use crate::sys::fnv;
pub use complaint::Complaint;
use complaint::Findings;
use defaults::Defaults;
use keys::{KEYS, Key};
pub use nearest::nearest;
use own::OwnFile;
pub use program::Program;
use readiness::Ready;
use relations::Relations;
use sections::{Entry, Section, Sections};
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
    /// The file of s6 in the service directory, by its number in [`own::s6::FILES`].
    S6(usize),
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
    defaults: Defaults,
}

impl Config {
    /// The same with defaults that the tree's command line has changed.
    pub fn with_defaults(self, defaults: Defaults) -> Config {
        Config { defaults, ..self }
    }

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
        let mut complaints = Findings::default();
        let mut sections = Sections::build(sections::lines::classify(bytes), &mut complaints);
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
        config.lint_watchdogs(&mut complaints);
        lint::lint_log_dirs(&config, &mut complaints);
        config.complaints = complaints.complaints(path);
        config
    }

    /// Warns of a limit that cannot be reached, by what is in force: the keys may stand in two sections.
    fn lint_limits(&self, complaints: &mut Findings) {
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

    /// Warns of a watchdog that nobody can feed.
    fn lint_watchdogs(&self, complaints: &mut Findings) {
        for (name, section) in self.sections.iter().filter(|(name, _)| *name != GLOBAL) {
            let Some(entry) = section.get("watchdog") else { continue };
            let readiness = self.effective(name, None, Program::Tree).settings.readiness;
            if readiness.watchdog.is_some() && readiness.ready != Ready::Notify {
                let what = format!("watchdog of [{name}] has no effect without ready : notify");
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
        let mut findings = Findings::default();
        findings.extend(self.sections.iter().filter(|(name, _)| !is_known(name)).map(complaint));
        findings.complaints(&self.path)
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
        match module.strip_suffix("/log") {
            None => settings,
            Some(service) => self.logger_settings((module, service), settings, program),
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn logger_settings(
        &self,
        (module, service): (&str, &str),
        settings: Arc<Settings>,
        program: Program,
    ) -> Arc<Settings> {
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
            ((_, None), None) if !self.defaults.are_of_command(module) => {
                common.get_or_init(|| self.own_settings(GLOBAL, None, program)).clone()
            }
            _ => self.own_settings(module, own, program),
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn own_settings(&self, module: &str, own: Option<&OwnFile>, program: Program) -> Arc<Settings> {
        Arc::new(self.effective(module, own, program).settings)
    }

    /// The settings of `module`, whose service directory has the file `own`, and where each comes from.
    pub fn effective(&self, module: &str, own: Option<&OwnFile>, program: Program) -> Effective {
        let places = self.places(module, own);
        let mut settings = Settings::default();
        let mut values = Vec::new();
        for key in KEYS {
            let mut value = resolve(key, &places, program);
            self.defaults.apply(module, &mut value);
            // Every text was tried when the file was read, and the defaults are tested. Those that are none and must not be
            // passed over are still there.
            if let Err(why) = (key.apply)(&mut settings, &value.text)
                && lint::takes_rights(key.name)
            {
                settings.refused.get_or_insert(format!("{}: {why}", key.name));
            }
            values.push(value);
        }
        settings.resolve_defaults();
        // The delay's ceiling follows the delay where nobody set it; the table shows what is in force.
        if let Some(value) = values.iter_mut().find(|value| value.key == "restart_delay_max" && value.text.is_empty()) {
            value.text = settings.policy.delay_max.as_secs_f64().to_string();
        }
        Effective { settings, values }
    }

    /// How `module`, whose service directory has the file `own`, stands to others. What `[global]` needs is not among its
    /// needs: whether that is needed by it, too, is the second part.
    pub fn relations(&self, module: &str, own: Option<&OwnFile>) -> (Relations, bool) {
        let (global, section) = self.scope(module);
        let mut settings = Settings::default();
        // Not all settings, which takes a tenth of a start: the tree asks for each of thousands.
        for key in KEYS.iter().filter(|key| ["after", "restart_with", "tags"].contains(&key.name)) {
            let mut value = resolve(key, &self.places(module, own), Program::Tree);
            self.defaults.apply(module, &mut value);
            // As in `effective`.
            let _ = (key.apply)(&mut settings, &value.text);
        }
        let mut relations = settings.relations;
        let needs = own.map(OwnFile::section).into_iter().chain(section).filter_map(|section| section.get("needs"));
        relations.needs = needs.flat_map(|entry| keys::names(&entry.value)).collect();
        (relations, global.is_some())
    }

    /// What `[global]` needs.
    pub fn global_needs(&self) -> Vec<String> {
        let entry = self.sections.get(GLOBAL).and_then(|section| section.get("needs"));
        entry.map_or_else(Vec::new, |entry| keys::names(&entry.value))
    }

    /// The names of all sections but `[global]`, in the order of their lines.
    pub fn section_names(&self) -> Vec<&str> {
        let mut sections: Vec<_> = self.sections.iter().filter(|(name, _)| *name != GLOBAL).collect();
        sections.sort_by_key(|(_, section)| section.line);
        sections.into_iter().map(|(name, _)| name).collect()
    }

    /// The file and the line that have `word` in the value of `key` for `module`; else those that have such a value at all.
    pub fn line_of(&self, module: &str, own: Option<&OwnFile>, key: &str, word: &str) -> Option<(PathBuf, usize)> {
        let (global, section) = self.scope(module);
        let here = |section: &'_ Section| section.get(key).cloned().map(|entry| (self.path.clone(), entry));
        let there = |own: &OwnFile| own.section().get(key).cloned().map(|entry| (own.path.clone(), entry));
        let places = [section.and_then(here), own.and_then(there), global.and_then(here)];
        let mut places = places.into_iter().flatten().collect::<Vec<_>>();
        let has_word = |entry: &Entry| entry.value.split_ascii_whitespace().any(|part| part == word);
        let at = places.iter().position(|(_, entry)| has_word(entry)).unwrap_or(0);
        (at < places.len()).then(|| places.swap_remove(at)).map(|(path, entry)| (path, entry.line))
    }

    /// Whether `key` is said of `module` itself, not of all.
    pub fn is_own(&self, module: &str, own: Option<&OwnFile>, key: &str) -> bool {
        let sections = [self.scope(module).1, own.map(OwnFile::section)];
        sections.into_iter().flatten().any(|section| section.get(key).is_some())
    }

    /// Whether any section, or the command, says of any module how it stands to others.
    pub fn has_relations(&self) -> bool {
        self.defaults.command || self.sections.iter().any(|(_, section)| names_others(section))
    }

    /// Whether the shared file says how `module` stands to others.
    pub fn names_others(&self, module: &str) -> bool {
        let (global, section) = self.scope(module);
        [global, section].into_iter().flatten().any(names_others)
    }

    /// Where values of `module` come from; a later one counts more.
    fn places<'a>(&'a self, module: &str, own: Option<&'a OwnFile>) -> [Option<Place<'a>>; 4] {
        let (global, section) = self.scope(module);
        [
            global.map(|section| (section, Origin::Global as fn(usize) -> Origin)),
            own.map(|own| (own.s6(), Origin::S6 as fn(usize) -> Origin)),
            own.map(|own| (own.section(), Origin::Directory as fn(usize) -> Origin)),
            section.map(|section| (section, Origin::Own as fn(usize) -> Origin)),
        ]
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

/// Whether `section` says by which tags others may name a module.
pub(crate) fn has_tags(section: &Section) -> bool {
    section.get("tags").is_some_and(|entry| !entry.value.is_empty())
}

/// Whether `section` says how a module stands to others.
pub(crate) fn names_others(section: &Section) -> bool {
    ["needs", "after", "restart_with"].iter().any(|key| section.get(key).is_some_and(|entry| !entry.value.is_empty()))
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
            Origin::Global(_) | Origin::S6(_) | Origin::Directory(_) if key.adds => {
                format!("{} {}", value.text, entry.value)
            }
            Origin::Default | Origin::Global(_) | Origin::S6(_) | Origin::Directory(_) | Origin::Own(_) => {
                entry.value.clone()
            }
        };
        value.origin = origin(entry.line);
    }
    value
}

/// The manual of the C program advises against addresses in both `[global]` and a module's own section.
fn lint_lists(sections: &Sections, complaints: &mut Findings) {
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
