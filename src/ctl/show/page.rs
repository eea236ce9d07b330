//! `show`: one page about one module, for whoever has to find out at three in the morning what is wrong with it.

use crate::conf::Config;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::logs::last_words::{self, LastWords};
use crate::ctl::logs::logged;
use crate::ctl::order::known::Known;
use crate::ctl::report::Out;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::service::context;
use crate::ctl::service::outdated::Outdated;
use crate::ctl::show::config;
use crate::ctl::show::relations::Relations;
use crate::ctl::snapshot::{Snapshot, moment};
use crate::ctl::usage::{Groups, Usage, processes_of_group};
use crate::sys::Pid;
use crate::sys::process::stat::Stat;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::time::SystemTime;

/// How many of the last events, and of the last lines of output, are shown.
const LINES: usize = 10;

/// Everything on the page of one module.
#[derive(Debug)]
struct Page {
    module: Module,
    snapshot: Snapshot,
    /// Key, value and origin of what differs from the defaults.
    settings: Vec<[String; 3]>,
    /// Whether a tree that starts now would start it; `None` where there is no service directory.
    enabled: Option<bool>,
    /// The parent of a run process that its supervisor has adopted.
    foreign_parent: Option<u32>,
    /// Who has to do with it.
    relations: Relations,
    /// Whether it has a `check`.
    has_check: bool,
    events: Vec<String>,
    output: Option<LastWords>,
    is_on_the_trees_output: bool,
    /// Memory in bytes, and processes of its group.
    memory: Option<u64>,
    processes: usize,
}

/// Shows a page for each module.
///
/// # Errors
/// The status root cannot be read.
pub fn show(root: &StatusRoot, words: &[OsString], json: bool, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let mut outcomes = Vec::new();
    let mut objects = Vec::new();
    let known = Known::read(root)?;
    for found in root.select(words)? {
        let page = match found {
            Ok(module) => Page::of(root, module, &known),
            Err(missing) => {
                Err(CtlError::new(Outcome::NoSuchModule, format!("{}: {}", format::name(&missing.word), missing.why)))
            }
        };
        match page {
            Ok(page) if json => objects.extend(page.json()),
            Ok(page) => {
                let gap = if outcomes.is_empty() { "" } else { "\n" };
                out.put(&format!("{gap}{}", page.text(SystemTime::now(), out.terminal.map(|size| size.columns))));
            }
            Err(error) => {
                out.note(&format!("fail: {}", error.text));
                outcomes.push(error.outcome);
                continue;
            }
        }
        outcomes.push(Outcome::Done);
    }
    if json {
        out.line(&format::json(&Value::from(objects)));
    }
    Ok(outcomes)
}

impl Page {
    fn of(root: &StatusRoot, module: Module, known: &Known) -> Result<Page, CtlError> {
        let snapshot = Outdated::default().complete(&module, Snapshot::read(&module)?);
        let definition = Path::new(&snapshot.state.definition).to_owned();
        let is_directory = definition.is_absolute() && definition.is_dir();
        let pid = snapshot.state.pid.filter(|_| snapshot.is_supervised());
        let usage = pid.map(|pid| Usage::of(&module, pid, &Groups::find())).unwrap_or_default();
        Ok(Page {
            settings: settings(root, &module, &snapshot),
            enabled: snapshot.is_enabled(),
            relations: known.id(&module.name).map(|id| Relations::of(known, id)).unwrap_or_default(),
            has_check: is_directory && crate::sys::files::file::is_executable(&definition.join("check")),
            foreign_parent: pid.and_then(parent_of).filter(|parent| *parent != snapshot.state.supervisor_pid),
            events: events(&module),
            output: last_words::of(&module, &snapshot, LINES),
            is_on_the_trees_output: logged::is_on_the_trees_output(&module),
            memory: usage.memory,
            processes: usage.processes.or(pid.map(processes_of_group)).unwrap_or(0),
            module,
            snapshot,
        })
    }

    fn text(&self, now: SystemTime, columns: Option<usize>) -> String {
        let state = &self.snapshot.state;
        let columns = columns.unwrap_or(usize::MAX);
        let head = format!("{}: ", self.module.shown());
        let mut text = format::hanging(&head, &self.snapshot.describe(now), columns);
        let mut row = |key: &str, value: String| {
            text += &format::hanging(&format!("  {}  ", format::padded(key, 13)), &value, columns)
        };
        if let Some(since) = moment(&state.since) {
            row("since", crate::status::log::stamp(since));
        }
        row("wanted", state.want.map_or("unknown", |want| want.name()).to_string());
        if let Some(enabled) = self.enabled {
            row("enabled", if enabled { "yes".into() } else { "no: there is a down file".into() });
        }
        row("definition", format::text(&state.definition));
        row("status", crate::ctl::access::shown(self.module.dir.path()));
        row("restarts", state.restarts.to_string());
        if let Some(exit) = &state.last_exit {
            let ago =
                self.snapshot.ended_ago(now).map_or(String::new(), |ago| format!(", {} ago", format::duration(ago)));
            row("last exit", format!("{}{ago}", format::ending(exit)));
        }
        if let Some(memory) = self.memory {
            let processes = if self.processes == 1 { "process" } else { "processes" };
            row("memory", format!("{} KiB, {} {processes}", memory / 1024, self.processes));
        }
        if let Some(parent) = self.foreign_parent {
            row("adopted", format!("an earlier supervisor started it; its parent is process {parent}"));
        }
        if let Some(why) = &state.outdated {
            row("outdated", format!("{}: svctl restart {}", format::text(why), self.module.shown()));
        }
        self.relations.rows().for_each(|(key, value)| row(key, value));
        if let Some(says) = state.status.as_deref() {
            row("says", format::text(says));
        }
        if let Some(said) = state.check.as_deref() {
            row("check said", format::text(said));
        }
        if self.has_check {
            row("check", format!("svctl check {}", self.module.shown()));
        }
        if !state.alarm {
            row("alarms", "off".into());
        }
        text + &self.sections()
    }

    /// What is a list: settings, events, output.
    fn sections(&self) -> String {
        let mut text = section(
            "settings that differ from the default",
            self.settings.iter().map(|[key, value, origin]| format!("{key} : {value}  ({origin})")),
        );
        text += &section("last events", self.events.iter().cloned());
        match &self.output {
            Some(LastWords { path, lines }) => {
                let lines = lines.iter().map(|line| format::text(&String::from_utf8_lossy(line)));
                text += &section(&format!("last lines of {}", crate::ctl::access::shown(path)), lines);
            }
            None if self.is_on_the_trees_output => text += &format!("\n  it {}\n", logged::ON_THE_TREES_OUTPUT),
            None => text += "\n  it has written nothing\n",
        }
        text
    }

    fn json(&self) -> Option<Value> {
        let mut object = self.snapshot.json(&self.module)?;
        let lossy = |lines: &[Vec<u8>]| -> Vec<String> {
            lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
        };
        let setting = |[key, value, origin]: &[String; 3]| json!({ "key": key, "value": value, "origin": origin });
        object["needed_by"] = self.relations.needed_by.iter().map(|(name, _)| name.clone()).collect();
        object["adopted"] = self.foreign_parent.is_some().into();
        object["settings"] = self.settings.iter().map(setting).collect();
        object["events"] = self.events.clone().into();
        object["output"] = match &self.output {
            Some(said) => json!({ "path": said.path.to_string_lossy(), "lines": lossy(&said.lines) }),
            None => Value::Null,
        };
        object["outdated"] = self.snapshot.state.outdated.clone().into();
        object["memory_bytes"] = self.memory.into();
        object["processes"] = self.processes.into();
        Some(object)
    }
}

/// A heading, and lines below it; nothing if there are none.
fn section(heading: &str, lines: impl Iterator<Item = String>) -> String {
    let body: String = lines.map(|line| format!("    {line}\n")).collect();
    if body.is_empty() { body } else { format!("\n  {heading}\n{body}") }
}

/// What is in force for it and would not be without the file, and where it is set.
fn settings(root: &StatusRoot, module: &Module, snapshot: &Snapshot) -> Vec<[String; 3]> {
    let nothing = || Config::empty().with_defaults(context::defaults(snapshot));
    let shared = context::shared_file(snapshot).unwrap_or_else(|_| nothing());
    let own = context::own_file(snapshot).ok().flatten();
    let program = config::program(module, config::program_of_root(root));
    let effective = shared.effective(&module.json(), own.as_ref(), program).values;
    let defaults = nothing().effective(&module.json(), None, program).values;
    let files = config::Files { shared: shared.path(), own: own.as_ref().map(|own| own.path.as_path()) };
    let differs = effective.iter().zip(&defaults).filter(|(value, default)| value.text != default.text);
    differs
        .map(|(value, _)| value)
        .map(|value| [value.key.to_string(), config::shown(value), files.origin(value)])
        .collect()
}

/// The supervisor's last lines about it, of both logs, in the order of their time.
fn events(module: &Module) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for path in [module.dir.log(), module.dir.log_wf()] {
        for line in last_words::last_lines(&path, LINES) {
            let line = format::text(&String::from_utf8_lossy(&line));
            // `[LEVEL] YYYY-MM-DD HH:MM:SS what`: the stamp orders the lines of both files.
            let stamp = line.split_once(' ').map_or(String::new(), |(_, rest)| rest.chars().take(19).collect());
            lines.push((stamp, line));
        }
    }
    lines.sort_by(|(a, _), (b, _)| a.cmp(b));
    let first = lines.len().saturating_sub(LINES);
    lines.split_off(first).into_iter().map(|(_, line)| line).collect()
}

/// The parent of a process.
fn parent_of(pid: u32) -> Option<u32> {
    stat(pid)?.parent().map(|parent| parent.as_raw().unsigned_abs())
}

fn stat(pid: u32) -> Option<Stat> {
    Stat::read(Pid::from_raw(pid.cast_signed())).ok()?
}
