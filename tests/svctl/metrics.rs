//! `metrics`: what Prometheus makes of it, and that its counters only grow.

use crate::common::host::skipped;
use crate::fixture::{Fixture, STEADY, SVCTL, until};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a program with `input`; `None` where there is no such program.
fn with_input(command: &mut Command, input: &str) -> Option<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// The parser of Prometheus' own client library for Python reads it, where there is one.
fn accepted_by_prometheus_client(text: &str) {
    let program = "import sys\ntry:\n from prometheus_client.openmetrics.parser import text_string_to_metric_families as f\n\
                   except ImportError:\n sys.exit(77)\nprint(sum(1 for _ in f(sys.stdin.read())))";
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let Some(output) = with_input(Command::new(python).args(["-c", program]), text) else {
        return skipped("no python3: the text is not read by prometheus_client");
    };
    if output.status.code() == Some(77) {
        return skipped("no prometheus_client: the text is not read by it");
    }
    let families = String::from_utf8_lossy(&output.stdout).trim().parse::<usize>();
    assert!(families.is_ok_and(|families| families > 15), "{output:?} {text}");
}

/// `promtool` finds nothing wrong in it, where there is one.
fn accepted_by_promtool(arguments: &[&str], input: &str) {
    let Some(output) = with_input(Command::new("promtool").args(arguments), input) else {
        return skipped("no promtool: Prometheus does not read it");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{output:?}\n{input}");
}

/// All samples of the counters.
fn counters(fixture: &Fixture) -> BTreeMap<String, f64> {
    let text = fixture.expect(0, &["metrics"]).out;
    let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
    let counters = samples.filter(|(name, _)| name.contains("_total"));
    counters.map(|(name, value)| (name.to_string(), value.parse().unwrap())).collect()
}

/// The example of a manual page that begins with `beginning`.
fn example(page: &str, beginning: &str) -> String {
    let examples = page.split(".Bd -literal").skip(1).filter_map(|part| part.split_once('\n')?.1.split(".Ed\n").next());
    let found = examples.into_iter().find(|text| text.starts_with(beginning)).unwrap();
    found.replace("\\e", "\\").replace("\\&", "").replace("\\-", "-")
}

#[test]
fn metrics_tell_how_each_module_is() {
    let mut fixture = Fixture::with(&[("web", STEADY), ("idle", STEADY), ("odd \"name\\", STEADY)]);
    let talker = "#!/bin/sh\necho one\necho two\nexec sleep 1000\n";
    fixture.service("talker", talker);
    std::fs::write(fixture.services.join("supervise.conf"), "[talker]\nlog : yes\n").unwrap();
    fixture.start_tree();
    fixture.all_up(&["web", "idle", "talker", "talker/log"]);
    fixture.expect(0, &["stop", "idle"]);
    let said = || fixture.expect(0, &["metrics"]).out.contains("supervise_log_lines_total{module=\"talker\"} 2\n");
    until("its logger has counted both lines", || said().then_some(()));
    let text = fixture.expect(0, &["metrics"]).out;
    let has = |line: &str| assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    has("supervise_module_state{module=\"web\",supervise_module_state=\"up\"} 1");
    has("supervise_module_state{module=\"idle\",supervise_module_state=\"down\"} 1");
    has("supervise_module_wanted{module=\"idle\"} 0");
    has("supervise_module_starts_total{module=\"idle\"} 1");
    has("supervise_module_exits_total{module=\"idle\",reason=\"requested\"} 1");
    has("supervise_module_exits_total{module=\"idle\",reason=\"signal\"} 0");
    has("supervise_module_last_exit_code{module=\"idle\"} 143");
    has("supervise_log_bytes_total{module=\"talker\"} 8");
    has("supervise_log_dropped_lines_total{module=\"talker\"} 0");
    has("supervise_tree_up 1");
    has("# EOF");
    assert!(text.contains("{module=\"odd \\\"name\\\\\"}"), "{text}");
    let cpu = text.lines().find(|line| line.starts_with("supervise_module_cpu_seconds_total{module=\"web\"}"));
    assert!(cpu.is_some(), "{text}");
    // A logger comes with its service, and other modules do not.
    let one = fixture.expect(0, &["metrics", "talker"]).out;
    assert!(one.contains("supervise_log_lines_total{module=\"talker\"} 2\n") && !one.contains("\"web\""), "{one}");
    assert_eq!(fixture.expect(4, &["metrics", "wbe"]).out.lines().last(), Some("# EOF"));
    accepted_by_prometheus_client(&text);
    accepted_by_promtool(&["check", "metrics"], &fixture.expect(0, &["metrics", "--prometheus"]).out);
}

#[test]
fn counters_only_grow_while_a_tree_lives() {
    // Some tenths of a second of processor time, before it is ready.
    let busy = "#!/bin/sh\ni=0; while [ $i -lt 100000 ]; do i=$((i+1)); done\necho >&3\nexec sleep 1000\n";
    let services = [("web", STEADY), ("loop", "#!/bin/sh\nexit 3\n"), ("sick", STEADY), ("busy", busy)];
    let mut fixture = Fixture::with(&services);
    std::fs::write(fixture.services.join("busy/supervise.conf"), "ready : fd\n").unwrap();
    let check = "check_interval : 0.1\ncheck_timeout : 1\nready : check\n";
    std::fs::write(fixture.services.join("sick/supervise.conf"), check).unwrap();
    crate::common::script(&fixture.services.join("sick/check"), "#!/bin/sh\nexit 1\n");
    std::fs::write(fixture.services.join("supervise.conf"), "[loop]\nrestart_delay : 0.1\n").unwrap();
    fixture.start_tree();
    fixture.all_up(&["web", "sick", "busy"]);
    fixture.expect(0, &["wait", "ready", "busy"]);
    let at = |name: &str| counters(&fixture).get(name).copied().unwrap_or_default();
    until("there is something to count", || {
        let (failed, ends) = ("supervise_module_check_failures_total{module=\"sick\"}", "loop\",reason=\"failure\"}");
        (at(failed) > 0.0 && at(&format!("supervise_module_exits_total{{module=\"{ends}")) > 1.0).then_some(())
    });
    let mut before = counters(&fixture);
    let mut have_grown = |what: &str| {
        let after = counters(&fixture);
        for (name, value) in &before {
            // What has ended just now and is not counted yet has no sum, rather than a smaller one.
            let unknown = if name.contains("cpu_seconds") && name.contains("loop") { *value } else { -1.0 };
            let now = after.get(name).copied().unwrap_or(unknown);
            assert!(now >= *value, "{what}: {name} was {value} and is {now}");
        }
        before = after;
    };
    fixture.expect(0, &["upgrade"]);
    have_grown("upgrade");
    fixture.expect(0, &["restart", "web"]);
    have_grown("restart");
    let spent = "supervise_module_cpu_seconds_total{module=\"busy\"}";
    let once = at(spent);
    assert!(once > 0.0, "{once}");
    fixture.expect(0, &["stop", "busy"]);
    have_grown("a stop");
    fixture.expect(0, &["start", "busy"]);
    have_grown("a start");
    fixture.expect(0, &["upgrade"]);
    have_grown("another upgrade");
    fixture.expect(0, &["restart", "busy"]);
    have_grown("another restart");
    assert!(at(spent) > once, "{once}");
    // Another directory under the same name is the same series.
    let starts = at("supervise_module_starts_total{module=\"web\"}");
    std::fs::rename(fixture.services.join("web"), fixture.path().join("old")).unwrap();
    until("it is gone", || (fixture.svctl(&["status", "web"]).code == 4).then_some(()));
    fixture.service("web", STEADY);
    until("the new one runs", || (fixture.svctl(&["wait", "up", "web"]).code == 0).then_some(()));
    have_grown("another directory");
    assert!(at("supervise_module_starts_total{module=\"web\"}") > starts);
    // After a clean end, all of them begin anew.
    let spent_by_three = at(spent);
    fixture.expect(0, &["shutdown"]);
    fixture.ended();
    fixture.start_tree();
    fixture.expect(0, &["wait", "ready", "busy"]);
    let at = |name: &str| counters(&fixture).get(name).copied().unwrap_or_default();
    assert_eq!(at("supervise_module_starts_total{module=\"web\"}"), 1.0);
    let spent_by_one = at(spent);
    assert!(spent_by_one < spent_by_three, "{spent_by_one} after {spent_by_three}");
}

#[test]
fn the_recipe_for_the_textfile_collector_works_as_it_stands() {
    if !Path::new("/bin/bash").exists() {
        return skipped("no bash: the recipe of supervise-metrics(7) is not run");
    }
    let page = include_str!("../../man/supervise-metrics.7");
    let mut fixture = Fixture::with(&[("web", STEADY)]);
    let out = fixture.path().join("supervise.prom");
    let recipe = example(page, "#!/bin/bash").replace("/var/lib/node_exporter/supervise.prom", out.to_str().unwrap());
    let programs = Path::new(SVCTL).parent().unwrap().display();
    fixture.service("textfile", &recipe.replacen('\n', &format!("\nPATH={programs}:$PATH\n"), 1));
    fixture.start_tree();
    fixture.all_up(&["web", "textfile"]);
    let is = |state: &str| {
        let line = format!("supervise_module_state{{module=\"web\",supervise_module_state=\"{state}\"}} 1");
        until(&format!("the file says {state}"), || {
            std::fs::read_to_string(&out).ok().filter(|text| text.contains(&line))
        })
    };
    is("up");
    fixture.expect(0, &["stop", "web"]);
    let text = is("down");
    accepted_by_promtool(&["check", "metrics"], &text);
    assert_eq!(fixture.state("textfile").unwrap()["exits"], 0);
}

#[test]
fn the_alert_rules_of_the_manual_are_rules() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, example(include_str!("../../man/supervise-metrics.7"), "groups:")).unwrap();
    accepted_by_promtool(&["check", "rules", file.to_str().unwrap()], "");
    let names = ["CrashLoop", "Failed", "NotReady", "LogLinesDropped"].map(|name| format!("alert: Service{name}\n"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(names.iter().all(|name| text.contains(name.as_str())), "{text}");
}
