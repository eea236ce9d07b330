//! `metrics`: what is told of modules and of the tree, in numbers, at one moment.
//!
//! No label has a pid or a path: each new value would be a new series. supervise-metrics(7) lists the names.

use crate::cli::svctl::Metrics as Arguments;
use crate::ctl::access;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::monitor::openmetrics::{Exposition, Family, Form, Type};
use crate::ctl::parallel;
use crate::ctl::report::Out;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::snapshot::{Snapshot, SnapshotError, Supervised, moment};
use crate::ctl::usage::{Groups, Usage};
use crate::logger::counters;
use crate::logger::journal::layout::Counters;
use crate::service::logger::current_file;
use crate::status::module_state::ModuleState;
use crate::status::record::Want;
use crate::status::state::StateFile;
use crate::status::tree_state::TreeState;
use crate::sys::files::fifo;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A state that no `state.json` has: nobody supervises the module.
const UNSUPERVISED: &str = "unsupervised";

/// How one module is.
#[derive(Debug)]
struct Sample {
    name: String,
    snapshot: Snapshot,
    usage: Usage,
    /// Of a logger: the service, and what its log has counted.
    log: Option<(String, Counters)>,
}

/// A family of which each log has a sample.
struct OfLog {
    family: Family,
    value: fn(&Counters) -> u64,
}

/// A family of which each module has at most one sample.
struct OfModule {
    family: Family,
    source: Source,
}

/// Where the value of a sample comes from.
enum Source {
    /// A number that the supervisor counts.
    Counted(fn(&StateFile) -> u64),
    /// What is known at this moment, if anything is.
    Measured(fn(&Sample) -> Option<f64>),
}

impl Source {
    fn value(&self, module: &Sample) -> Option<f64> {
        match self {
            Source::Counted(of) => Some(count(of(&module.snapshot.state))),
            Source::Measured(of) => of(module),
        }
    }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Type::Gauge, unit, help }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Type::Counter, unit, help }
}

const fn counted(name: &'static str, help: &'static str, value: fn(&StateFile) -> u64) -> OfModule {
    OfModule { family: counter(name, "", help), source: Source::Counted(value) }
}

const fn measured(family: Family, value: fn(&Sample) -> Option<f64>) -> OfModule {
    OfModule { family, source: Source::Measured(value) }
}

const STATE: Family = Family {
    name: "supervise_module_state",
    kind: Type::StateSet,
    unit: "",
    help: "How the module is: 1 for the state that it is in.",
};

const TREE: Family =
    Family { name: "supervise_tree", kind: Type::Info, unit: "", help: "The program that wrote this." };

const TREE_UP: Family = gauge("supervise_tree_up", "", "Whether a tree runs on this status root.");

const TREE_START: Family =
    gauge("supervise_tree_start_time_seconds", "seconds", "When the tree began, or last replaced itself.");

/// One sample a module each, in the order in which they are told.
const MODULE: &[OfModule] = &[
    measured(gauge("supervise_module_wanted", "", "Whether the module is wanted up."), |module| {
        Some(truth(module.snapshot.state.want == Some(Want::Up)))
    }),
    measured(
        gauge("supervise_module_ready", "", "Whether the module said that it is ready; no sample where it cannot."),
        |module| module.snapshot.state.ready.map(truth),
    ),
    counted("supervise_module_starts", "Starts of the run process.", |state| state.starts),
    counted("supervise_module_failed_starts", "Starts of the run process that failed.", |state| state.failed_starts),
    counted("supervise_module_check_failures", "Runs of the module's check that failed.", |state| state.check_failures),
    counted("supervise_module_restarts", "Starts of the run process after the first.", |state| state.restarts),
    measured(
        gauge(
            "supervise_module_last_exit_code",
            "",
            "Exit code of the last run process; 128 and the number after a signal.",
        ),
        |module| module.snapshot.state.last_exit.as_ref().and_then(|exit| exit.shell_code()).map(f64::from),
    ),
    measured(gauge("supervise_module_start_time_seconds", "seconds", "When the run process was started."), |module| {
        module.snapshot.state.pid?;
        seconds(module.snapshot.changed?)
    }),
    measured(gauge("supervise_module_state_change_time_seconds", "seconds", "When the state began."), |module| {
        seconds(moment(&module.snapshot.state.since)?)
    }),
    measured(
        counter("supervise_module_cpu_seconds", "seconds", "Processor time of what runs now, and of what has ended."),
        |module| processor_time(&module.snapshot, &module.usage).map(|time| time.as_secs_f64()),
    ),
    measured(
        gauge("supervise_module_memory_bytes", "bytes", "Memory of the control group, else of the run process."),
        |module| module.usage.memory.map(count),
    ),
    measured(gauge("supervise_module_processes", "", "Processes in the control group, where it has one."), |module| {
        module.usage.processes.map(|number| count(number as u64))
    }),
];

const EXITS: Family =
    counter("supervise_module_exits", "", "Ends of the run process, by how they came: requested, or of themselves.");

/// One sample a log each.
const LOG: &[OfLog] = &[
    OfLog {
        family: counter("supervise_log_lines", "", "Lines that the service wrote to its logger."),
        value: |log| log.lines,
    },
    OfLog { family: counter("supervise_log_bytes", "bytes", "The bytes of these lines."), value: |log| log.bytes },
    OfLog {
        family: counter("supervise_log_dropped_lines", "", "Lines that could not be written and were dropped."),
        value: |log| log.dropped_ever,
    },
    OfLog {
        family: counter("supervise_log_suppressed_lines", "", "Lines above the rate that the log is limited to."),
        value: |log| log.suppressed_ever,
    },
];

/// Writes all of it once.
///
/// # Errors
/// The status root cannot be read.
pub fn metrics(root: &StatusRoot, arguments: &Arguments, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let words = &arguments.modules;
    let mut outcomes = Vec::new();
    let (mut modules, mut named) = (Vec::new(), HashSet::new());
    if words.is_empty() {
        modules = root.modules()?;
    }
    for found in root.select(words)? {
        match found {
            Ok(module) => {
                // What a service writes is counted by its logger.
                let logger = root.module(Path::new(&module.name).join("log").as_os_str());
                for module in [Some(module), logger].into_iter().flatten() {
                    if named.insert(module.name.clone()) {
                        modules.push(module);
                    }
                }
            }
            Err(missing) => {
                out.note(&format!("{}: {}", crate::ctl::format::name(&missing.word), missing.why));
                outcomes.push(Outcome::NoSuchModule);
            }
        }
    }
    let groups = Groups::find();
    let mut samples = Vec::new();
    for (module, sample) in modules.iter().zip(parallel::map(&modules, |module| sample(module, &groups))) {
        match sample {
            Ok(sample) => samples.extend(sample),
            Err(why) => {
                out.note(&format!("{}: {why}", module.shown()));
                outcomes.push(Outcome::Denied);
            }
        }
    }
    let tree = root.tree();
    let runs = match fifo::has_reader(&tree.control()) {
        // Nobody is to be called out of bed because we may not look.
        Err(error) if access::is_denied(&error) => None,
        looked => Some(looked.unwrap_or(false)),
    };
    let form = if arguments.prometheus { Form::Prometheus } else { Form::OpenMetrics };
    out.put(&exposition(form, &samples, runs, TreeState::read(&tree.state()).as_ref()));
    Ok(outcomes)
}

/// What is left of a service that was removed says nothing any more. `Err`: why we may not look.
fn sample(module: &Module, groups: &Groups) -> Result<Option<Sample>, String> {
    let snapshot = match Snapshot::read_now(module) {
        Ok(snapshot) if snapshot.supervised != Supervised::Removed => snapshot,
        Ok(_) | Err(SnapshotError::Gone) => return Ok(None),
        Err(SnapshotError::Denied(why)) => return Err(why),
    };
    let pid = snapshot.state.pid.filter(|_| snapshot.is_supervised());
    let usage = pid.map(|pid| Usage::of(module, pid, groups)).unwrap_or_default();
    let log =
        module.logged().and_then(|service| Some((service.to_string_lossy().into_owned(), log_counters(&snapshot)?)));
    // What it was read from is needed no more, and its memory serves the next module.
    let snapshot = Snapshot { raw: None, ..snapshot };
    Ok(Some(Sample { name: module.json(), snapshot, usage, log }))
}

/// What the log of a logger has counted: where a logger of the tree writes is known, and another one has it open.
fn log_counters(logger: &Snapshot) -> Option<Counters> {
    let open = || Some(current_file(logger.state.pid.filter(|_| logger.is_supervised())?)?.parent()?.to_owned());
    let dir = logger.state.log_dir.as_deref().map(|dir| Path::new(dir).to_owned());
    counters::of(&dir.or_else(open)?)
}

/// `tree_runs` is `None` where that cannot be seen.
fn exposition(form: Form, samples: &[Sample], tree_runs: Option<bool>, tree: Option<&TreeState>) -> String {
    let mut text = Exposition::new(form);
    text.family(&TREE);
    text.sample(&TREE, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    if let Some(runs) = tree_runs {
        text.family(&TREE_UP);
        text.sample(&TREE_UP, &[], truth(runs));
    }
    if let Some(began) =
        tree.filter(|_| tree_runs == Some(true)).and_then(|tree| moment(&tree.started)).and_then(seconds)
    {
        text.family(&TREE_START);
        text.sample(&TREE_START, &[], began);
    }
    text.family(&STATE);
    for module in samples {
        let is = if module.snapshot.is_supervised() { module.snapshot.state.state.name() } else { UNSUPERVISED };
        let states = ModuleState::KNOWN.iter().map(ModuleState::name).chain([UNSUPERVISED]);
        for state in states {
            text.sample(&STATE, &[("module", &module.name), (STATE.name, state)], truth(is == state));
        }
    }
    for OfModule { family, source } in MODULE {
        text.family(family);
        for module in samples {
            if let Some(value) = source.value(module) {
                text.sample(family, &[("module", &module.name)], value);
            }
        }
    }
    text.family(&EXITS);
    for module in samples {
        for (reason, exits) in module.snapshot.state.exits_by.named() {
            text.sample(&EXITS, &[("module", &module.name), ("reason", reason)], count(exits));
        }
    }
    for OfLog { family, value } in LOG {
        text.family(family);
        for (service, counted) in samples.iter().filter_map(|module| module.log.as_ref()) {
            text.sample(family, &[("module", service)], count(value(counted)));
        }
    }
    text.finish()
}

/// A process whose time nobody can tell may have ended, and is not among those that have: no sum then, for it would be less
/// than the last one.
fn processor_time(module: &Snapshot, usage: &Usage) -> Option<Duration> {
    let ended = Duration::from_micros(module.state.spent_us);
    match (module.state.pid, usage.processor_time) {
        (_, Some(running)) => Some(ended + running),
        (Some(_), None) => None,
        (None, None) => (module.state.starts > 0).then_some(ended),
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// A float holds every whole number up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn count(number: u64) -> f64 {
    number as f64
}

fn seconds(at: SystemTime) -> Option<f64> {
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::state::LastExit;

    fn up(name: &str) -> Sample {
        let state = StateFile {
            state: ModuleState::Up,
            want: Some(Want::Up),
            pid: Some(7),
            restarts: 3,
            last_exit: Some(LastExit { signal: Some("KILL".into()), ..LastExit::default() }),
            since: "1970-01-01T00:00:02Z".into(),
            ..StateFile::default()
        };
        let changed = Some(UNIX_EPOCH + Duration::from_millis(1500));
        let snapshot = Snapshot { supervised: Supervised::Yes, state, raw: None, changed };
        let usage = Usage { memory: Some(4096), processor_time: Some(Duration::from_millis(250)), processes: None };
        Sample {
            name: name.into(),
            snapshot,
            usage,
            log: Some(("app".into(), Counters { lines: 9, ..Counters::default() })),
        }
    }

    #[test]
    fn a_module_is_in_one_state_and_has_its_numbers() {
        let text = exposition(Form::OpenMetrics, &[up("web")], Some(true), None);
        let has = |line: &str| assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        has("supervise_module_state{module=\"web\",supervise_module_state=\"up\"} 1");
        has("supervise_module_state{module=\"web\",supervise_module_state=\"failed\"} 0");
        has("supervise_module_wanted{module=\"web\"} 1");
        has("supervise_module_restarts_total{module=\"web\"} 3");
        has("supervise_module_last_exit_code{module=\"web\"} 137");
        has("supervise_module_start_time_seconds{module=\"web\"} 1.5");
        has("supervise_module_state_change_time_seconds{module=\"web\"} 2");
        has("supervise_module_cpu_seconds_total{module=\"web\"} 0.25");
        has("supervise_module_memory_bytes{module=\"web\"} 4096");
        has("supervise_tree_up 1");
        has("supervise_module_exits_total{module=\"web\",reason=\"core\"} 0");
        has("supervise_log_lines_total{module=\"app\"} 9");
        assert!(text.ends_with("# EOF\n"));
        assert!(!text.contains("supervise_module_ready{") && !text.contains("pid"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with(STATE.name) && line.ends_with(" 1")).count(), 1);
    }

    #[test]
    fn one_that_nobody_supervises_is_in_no_state_of_its_past() {
        let mut left = up("web");
        left.snapshot.supervised = Supervised::No { runs_on: true };
        let text = exposition(Form::OpenMetrics, &[left], Some(false), None);
        assert!(text.contains("supervise_module_state=\"up\"} 0\n"), "{text}");
        assert!(text.contains("supervise_module_state=\"unsupervised\"} 1\n"), "{text}");
    }

    #[test]
    fn a_tree_that_cannot_be_seen_is_not_said_to_be_down() {
        let text = exposition(Form::OpenMetrics, &[up("web")], None, None);
        assert!(!text.contains(TREE_UP.name) && text.contains("supervise_tree_info"), "{text}");
    }

    #[test]
    fn the_manual_names_every_family() {
        let page = include_str!("../../../man/supervise-metrics.7");
        let all = MODULE.iter().map(|of| of.family).chain(LOG.iter().map(|of| of.family));
        let all = all.chain([STATE, EXITS, TREE, TREE_UP, TREE_START]);
        for Family { name, .. } in all {
            assert!(page.lines().any(|line| line.starts_with(&format!(".It Cm {name}"))), "{name}");
        }
    }
}
