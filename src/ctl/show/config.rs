//! `config`: what is in force for a module and who said so, and what is wrong in the file.

use crate::cli::svctl::Config as Arguments;
use crate::conf::own::{OwnFile, s6};
use crate::conf::{CONFIG_FILE, Complaint, Config, Effective, GLOBAL, Origin, Program, Value};
use crate::ctl::access;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::{Extra, Out, Report};
use crate::ctl::root::{Missing, Module, StatusRoot};
use crate::ctl::service::context;
use crate::ctl::show::complaints;
use crate::ctl::show::environment::environment;
use crate::ctl::show::in_force::{self, InForce};
use crate::ctl::snapshot::Snapshot;
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Shows effective settings, or all complaints.
///
/// # Errors
/// The file that was named cannot be read.
pub fn config(root: &StatusRoot, arguments: &Arguments, json: bool, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let known = root.modules().unwrap_or_default();
    let path = arguments.file.clone().or_else(|| find(&known));
    let config = match &path {
        Some(path) => read(path, arguments.check, json, out)?,
        None => {
            out.note(&format!("there is no {CONFIG_FILE}: the defaults are in force"));
            Some(Config::empty())
        }
    };
    // Its one complaint has been printed.
    let Some(config) = config else { return Ok(vec![Outcome::Failed]) };
    let config = config.with_defaults(root.defaults());
    match () {
        () if arguments.check => Ok(check(root, &config, &known, &arguments.modules, json, out)),
        () if arguments.env => environment(root, &config, arguments, json, out),
        () => show(root, &config, &arguments.modules, json, out),
    }
}

/// Reads the file; `None` if it cannot be read and that was the answer to `--check`.
fn read(path: &Path, check: bool, json: bool, out: &mut Out) -> Result<Option<Config>, CtlError> {
    match Config::read(path) {
        Ok(config) => Ok(Some(config)),
        Err(complaint) if check => {
            if json {
                out.line(&format::json(&Json::from(vec![object(&complaint)])))
            } else {
                out.line(&format::text(&complaint.to_string()))
            }
            Ok(None)
        }
        Err(complaint) => {
            let denied = std::fs::File::open(path).is_err_and(|error| access::is_denied(&error));
            let outcome = if denied { Outcome::Denied } else { Outcome::Failed };
            Err(CtlError { outcome, text: format::text(&complaint.to_string()) })
        }
    }
}

/// The file that most of the services have been given, or that is beside most of them, where there is one; else the
/// one in the current directory.
fn find(known: &[Module]) -> Option<PathBuf> {
    let mut votes: HashMap<PathBuf, usize> = HashMap::new();
    for module in known.iter().filter(|module| module.logged().is_none()) {
        let Ok(snapshot) = Snapshot::read(module) else { continue };
        // The one that was read; or, of a supervisor that found none, where it would have looked.
        let read = snapshot.state.config.as_ref().map(PathBuf::from);
        let beside = || Path::new(&snapshot.state.definition).parent().map(|parent| parent.join(CONFIG_FILE));
        if let Some(path) = read.or_else(beside).filter(|path| path.is_absolute()) {
            *votes.entry(path).or_default() += 1;
        }
    }
    let mut candidates: Vec<(usize, PathBuf)> = votes.into_iter().map(|(path, votes)| (votes, path)).collect();
    candidates.sort();
    let beside = candidates.into_iter().rev().map(|(_, path)| path);
    beside.chain([PathBuf::from(CONFIG_FILE)]).find(|path| path.exists())
}

/// Prints all complaints, or those about the modules that were asked for.
fn check(
    root: &StatusRoot,
    config: &Config,
    known: &[Module],
    asked: &[OsString],
    json: bool,
    out: &mut Out,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut found = Vec::new();
    if asked.is_empty() {
        found = complaints::of_all(config, known);
    } else {
        let nothing = |_| asked.iter().map(|word| Err(Missing::new(word))).collect();
        for module in root.select(asked).unwrap_or_else(nothing) {
            match module {
                Ok(module) => found.extend(complaints::of_module(config, &module)),
                Err(missing) => {
                    out.note(&no_section(&missing, config.path()));
                    outcomes.push(Outcome::NoSuchModule);
                }
            }
        }
    }
    if json {
        out.line(&format::json(&found.iter().map(object).collect()));
    } else {
        out.put(&found.iter().map(|complaint| format::text(&complaint.to_string()) + "\n").collect::<String>());
    }
    outcomes.push(if found.is_empty() { Outcome::Done } else { Outcome::Failed });
    outcomes
}

/// Tells what is wrong in the settings that were read again, for all modules or for `asked`.
pub fn report_complaints(root: &StatusRoot, asked: &[Module], report: &mut Report<'_>) {
    let known = root.modules().unwrap_or_default();
    let Some(path) = find(if asked.is_empty() { &known } else { asked }) else { return };
    let config = match Config::read(&path) {
        Ok(config) => config,
        // Whoever may give commands need not be able to read the file: its supervisor tells in the log.
        Err(_) if std::fs::File::open(&path).is_err_and(|error| access::is_denied(&error)) => return,
        Err(complaint) => return report.tree(Outcome::Failed, false, &format::text(&complaint.to_string())),
    };
    let told = |complaint: &Complaint| format::text(&complaint.to_string());
    if asked.is_empty() {
        complaints::of_all(&config, &known)
            .iter()
            .for_each(|complaint| report.tree(Outcome::Failed, false, &told(complaint)));
    }
    for module in asked {
        let found = complaints::of_module(&config, module);
        found.iter().for_each(|complaint| report.module(module, Outcome::Failed, &told(complaint), Extra::default()));
    }
}

fn object(complaint: &Complaint) -> Json {
    json!({ "file": complaint.path.to_string_lossy(), "line": complaint.line, "what": complaint.what })
}

/// What is in force for one name.
struct Part {
    name: OsString,
    own: Option<OwnFile>,
    effective: Effective,
    /// What the files say by now, where that is something else.
    unread: Vec<Value>,
}

impl Part {
    /// For a module that is there, where `file` is what the shared file says now.
    fn of(root: &StatusRoot, module: &Module, file: &Config, out: &Out) -> Part {
        let tree = program_of_root(root);
        let Ok(snapshot) = Snapshot::read(module) else { return Part::of_section(&module.json(), file, tree) };
        let own = context::own_file(&snapshot).unwrap_or_else(|complaint| {
            out.note(&format::text(&complaint.to_string()));
            None
        });
        if in_force::own_file_differs(&snapshot) {
            out.note(&format!(
                "{}: its own {CONFIG_FILE} has changed: that counts from its next start on",
                module.shown()
            ));
        }
        let values = |config: &Config| config.effective(&module.json(), own.as_ref(), program(module, tree));
        let (mut effective, mut unread) = (values(file), Vec::new());
        match in_force::of(root, &snapshot, file) {
            InForce::Same => {}
            InForce::Unknown => {
                let (name, path) = (module.shown(), access::shown(file.path()));
                out.note(&format!("{name}: {path} has changed since it was read: svctl reload makes this hold"));
            }
            InForce::Other(kept) => {
                let now = std::mem::replace(&mut effective, values(&kept));
                let differs = |(now, held): &(Value, &Value)| now.text != held.text;
                unread = now.values.into_iter().zip(&effective.values).filter(differs).map(|(now, _)| now).collect();
            }
        }
        Part { name: module.name.clone(), own, effective, unread }
    }

    /// For a section of the file.
    fn of_section(name: &str, config: &Config, tree: Program) -> Part {
        Part { name: name.into(), own: None, effective: config.effective(name, None, tree), unread: Vec::new() }
    }

    fn files<'a>(&'a self, shared: &'a Path) -> Files<'a> {
        Files { shared, own: self.own.as_ref().map(|own| own.path.as_path()) }
    }

    /// Keys, values and origins, of what is in force and of what is not yet. What nobody has set and has no value is not
    /// there.
    fn rows(&self, shared: &Path) -> Vec<[String; 3]> {
        let files = self.files(shared);
        let set = |value: &&Value| value.origin != Origin::Default || !value.text.is_empty();
        let held = self.effective.values.iter().filter(set);
        let held = held.map(|value| [value.key.into(), shown(value), files.origin(value)]);
        let unread = self.unread.iter().map(|value| {
            [value.key.into(), shown(value), format!("not read yet: svctl reload ({})", files.origin(value))]
        });
        held.chain(unread).collect()
    }
}

/// Prints what is in force.
fn show(
    root: &StatusRoot,
    config: &Config,
    asked: &[OsString],
    json: bool,
    out: &mut Out,
) -> Result<Vec<Outcome>, CtlError> {
    let mut outcomes = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let tree = program_of_root(root);
    if asked.is_empty() {
        parts.push(Part::of_section(GLOBAL, config, tree));
    }
    // Without a status root, a section of the file is all that a name can mean.
    let nothing = || asked.iter().map(|word| Err(Missing::new(word))).collect();
    for found in root.select(asked).unwrap_or_else(|_| nothing()) {
        match found {
            Ok(module) => parts.push(Part::of(root, &module, config, out)),
            Err(missing) => match missing.word.to_str().filter(|name| config.has_section(name)) {
                Some(name) => parts.push(Part::of_section(name, config, tree)),
                None => {
                    out.note(&no_section(&missing, config.path()));
                    outcomes.push(Outcome::NoSuchModule);
                }
            },
        }
    }
    outcomes.extend(parts.iter().map(|_| Outcome::Done));
    if json {
        let values = |part: &Part| -> Vec<Json> {
            let files = part.files(config.path());
            let held = part.effective.values.iter().map(|value| (value, true));
            let all = held.chain(part.unread.iter().map(|value| (value, false)));
            all.map(|(value, in_force)| describe(&part.name, files, value, in_force)).collect()
        };
        out.line(&format::json(&parts.iter().flat_map(values).collect()));
    } else {
        out.put(&table(&parts, config.path(), out.terminal.map(|size| size.columns)))
    }
    Ok(outcomes)
}

fn no_section(missing: &Missing, path: &Path) -> String {
    let why = if missing.why.is_empty() { "no such module" } else { &missing.why };
    let name = format::name(&missing.word);
    // No file was read.
    if path.as_os_str().is_empty() {
        return format!("fail: {name}: {why}");
    }
    format!("fail: {name}: {why}, and {} has no such section", access::shown(path))
}

/// Which program's defaults count for a module.
pub(super) fn program(module: &Module, otherwise: Program) -> Program {
    match Snapshot::read(module) {
        Ok(snapshot) if snapshot.state.command => Program::Tree,
        Ok(snapshot) if Path::new(&snapshot.state.definition).is_absolute() => {
            if Path::new(&snapshot.state.definition).is_dir() { Program::Tree } else { otherwise }
        }
        Ok(snapshot) if !snapshot.state.definition.is_empty() => Program::Single,
        _ => otherwise,
    }
}

/// A tree leaves its own directory in its status root.
pub(super) fn program_of_root(root: &StatusRoot) -> Program {
    if root.tree().path().is_dir() || !root.path().is_dir() { Program::Tree } else { Program::Single }
}

/// Keys, values, origins; a heading for each module if there are several.
fn table(parts: &[Part], path: &Path, columns: Option<usize>) -> String {
    let mut text = String::new();
    let cells: Vec<Vec<[String; 3]>> = parts.iter().map(|part| part.rows(path)).collect();
    let width = |column: usize| cells.iter().flatten().map(|row| format::width(&row[column])).max().unwrap_or(0);
    let widths = [width(0), width(1)];
    for (part, rows) in parts.iter().zip(&cells) {
        if parts.len() > 1 {
            text += &format!("[{}]\n", format::name(&part.name));
        }
        for [key, value, origin] in rows {
            let (key, padded) = (format::padded(key, widths[0]), format::padded(value, widths[1]));
            let line = format!("{key}  {padded}  {origin}");
            match columns {
                // What does not fit beside each other stands below each other.
                Some(columns) if format::width(&line) > columns => {
                    text += &format::hanging(&format!("{key}  "), value, columns);
                    text += &format::hanging(&" ".repeat(widths[0] + 2), origin, columns);
                }
                _ => text += &format!("{line}\n"),
            }
        }
    }
    text
}

pub(super) fn shown(value: &Value) -> String {
    if value.text.is_empty() { "-".into() } else { format::text(&value.text) }
}

/// The files that settings come from.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    /// That of all modules.
    pub(super) shared: &'a Path,
    /// That in the service directory, if there is one.
    pub(super) own: Option<&'a Path>,
}

impl<'a> Files<'a> {
    /// The file and the line that a value has from; one of s6 is its one value.
    fn place(self, value: &Value) -> Option<(Cow<'a, Path>, Option<usize>)> {
        match value.origin {
            Origin::Default => None,
            Origin::Global(line) | Origin::Own(line) => Some((self.shared.into(), Some(line))),
            Origin::Directory(line) => self.own.map(|own| (own.into(), Some(line))),
            Origin::S6(number) => {
                self.own.zip(s6::FILES.get(number)).map(|(own, name)| (own.with_file_name(name).into(), None))
            }
        }
    }

    /// `supervise.conf:12`, `supervise.conf:3 [global]`, `default`.
    pub(super) fn origin(self, value: &Value) -> String {
        let Some((path, line)) = self.place(value) else { return "default".into() };
        let inherited = if matches!(value.origin, Origin::Global(_)) { format!(" [{GLOBAL}]") } else { String::new() };
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        format!("{}{line}{inherited}", access::shown(&path))
    }
}

fn describe(module: &OsStr, files: Files<'_>, value: &Value, in_force: bool) -> Json {
    let origin = match value.origin {
        Origin::Default => "default",
        Origin::Global(_) => "global",
        Origin::S6(_) | Origin::Directory(_) => "directory",
        Origin::Own(_) => "own",
    };
    let (file, line) = files.place(value).unzip();
    let line = line.flatten();
    let file = file.map(|file| file.to_string_lossy().into_owned());
    let module = module.to_string_lossy();
    json!({
        "module": module, "key": value.key, "value": value.text, "origin": origin, "file": file, "line": line,
        "in_force": in_force,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_origin_beside_it() {
        let text = b"[global]\nalarm_interval : 60\nmax_tries : 10\n[web]\nmax_tries : 3\nstop_signal : INT\n";
        let config = Config::parse(Path::new("/srv/supervise.conf"), text);
        let parts = [Part::of_section("web", &config, Program::Tree)];
        insta::assert_snapshot!(table(&parts, config.path(), None));
        let narrow = table(&parts, config.path(), Some(40));
        assert!(narrow.lines().all(|line| format::width(line) <= 40), "{narrow}");
    }

    #[test]
    fn a_name_without_a_section_is_told_with_the_file_if_there_is_one() {
        let missing = Missing::new(OsStr::new("wbe"));
        assert_eq!(no_section(&missing, Path::new("")), "fail: wbe: no such module");
        let with_file = no_section(&missing, Path::new("/srv/conf"));
        assert_eq!(with_file, "fail: wbe: no such module, and /srv/conf has no such section");
    }

    #[test]
    fn the_file_is_found_beside_the_services() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("status");
        let services = dir.path().join("services");
        for name in ["web", "db"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
            let definition = services.join(name).display().to_string();
            let state = crate::status::state::StateFile { definition, ..Default::default() };
            std::fs::write(root.join(name).join("state.json"), state.encode()).unwrap();
        }
        std::fs::create_dir(&services).unwrap();
        std::fs::write(services.join(CONFIG_FILE), "").unwrap();
        let modules = StatusRoot::find(Some(&root)).unwrap().modules().unwrap();
        assert_eq!(find(&modules), Some(services.join(CONFIG_FILE)));
    }
}
