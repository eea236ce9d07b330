//! The manifests in supervise-container(7) and the unit in supervise-tree(8): parsed, and what they say done.

use crate::common::host::skipped;
use crate::common::*;
use crate::image::{Container, Image, Rules};
use crate::page::{example, instructions, words};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// Python's `code`, with `text` on its standard input: the JSON that it prints. A line says why not; in CI it has to be there.
fn python(code: &str, text: &str) -> Option<Value> {
    let python = std::env::var_os("EXAMPLES_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.args(["-c", code]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = command.spawn().and_then(|mut child| {
        child.stdin.take().expect("a pipe").write_all(text.as_bytes())?;
        child.wait_with_output()
    });
    let why = match &done {
        Ok(done) if done.status.success() => return Some(serde_json::from_slice(&done.stdout).expect("JSON")),
        Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(why.contains("No module named") || done.is_err(), "{text}\n{why}");
    assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{why}");
    skipped(why.lines().last().unwrap_or_default());
    None
}

fn yaml(name: &str) -> Option<Value> {
    let code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    python(code, &example("supervise-container.7", name))
}

fn list(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// What the image runs where a manifest says `args` alone.
fn entrypoint() -> Vec<String> {
    words(&instructions(&example("supervise-tree.8", "Dockerfile"), "ENTRYPOINT")[0])
}

/// `--stop-timeout` ends before the runtime's grace period does.
fn assert_in_time(words: &[String], grace: u64) {
    let at = words.iter().position(|word| word == "--stop-timeout").expect("--stop-timeout");
    let seconds: u64 = words[at + 1].parse().unwrap();
    assert!(seconds < grace, "{words:?} within {grace} s");
}

/// A container of the image of the manual is well by all of these probes, and ends in order.
fn assert_well(command: &[String], probes: &[Vec<String>]) {
    let place = Place::new();
    let Some(image) = Image::of_the_manual(&place) else { return };
    let container = Container::start(&image, command);
    for probe in probes {
        wait_for(&format!("{probe:?}"), &place, || container.exec(probe));
    }
    assert!(container.stop().success(), "{}", crate::output(&place));
}

#[test]
fn the_pod_runs_to_its_end_as_anybody_with_one_volume() {
    let Some(pod) = yaml("pod.yaml") else { return };
    let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
    let words = [entrypoint(), list(&container["args"])].concat();
    assert_in_time(&words, spec["terminationGracePeriodSeconds"].as_u64().unwrap());
    let rules = Rules {
        read_only: container["securityContext"]["readOnlyRootFilesystem"] == true,
        user: container["securityContext"]["runAsUser"].as_u64(),
        volumes: container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["mountPath"].as_str().unwrap().into())
            .collect(),
    };
    assert!(rules.read_only && rules.user.is_some() && rules.volumes.len() == 1);
    let place = Place::new();
    let Some(image) = Image::of_the_manual(&place).and_then(|image| image.with(rules)) else { return };
    let output = place.output(image.container(&words));
    let said = said_by(&output);
    assert!(output.status.success() && said.contains("\nversion 2, "), "{said}");
    assert_eq!(spec["volumes"][0]["name"], container["volumeMounts"][0]["name"]);
}

#[test]
fn the_deployment_starts_is_well_by_its_probes_and_ends_in_time() {
    let Some(deployment) = yaml("deployment.yaml") else { return };
    let template = &deployment["spec"]["template"];
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]);
    let (spec, container) = (&template["spec"], &template["spec"]["containers"][0]);
    let command = list(&container["command"]);
    assert_in_time(&command, spec["terminationGracePeriodSeconds"].as_u64().unwrap());
    let probes =
        ["startupProbe", "readinessProbe", "livenessProbe"].map(|probe| list(&container[probe]["exec"]["command"]));
    assert_well(&command, &probes);
}

#[test]
fn the_nomad_job_starts_and_is_well_by_its_check() {
    let code = "import json, sys, hcl2; print(json.dumps(hcl2.load(sys.stdin)))";
    let Some(hcl) = python(code, &example("supervise-container.7", "shop.nomad.hcl")) else { return };
    // Versions of the parser differ in whether a label or a string has its quotes, and a block is in a list.
    fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
        match value {
            Value::Object(entries) => {
                let own = entries.iter().find(|(key, _)| key.trim_matches('"') == name).map(|(_, value)| value);
                own.or_else(|| entries.values().find_map(|value| find(value, name)))
            }
            Value::Array(entries) => entries.iter().find_map(|value| find(value, name)),
            _ => None,
        }
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().trim_matches('"').to_string();
    let at = |name: &str| find(&hcl, name).unwrap_or_else(|| panic!("{name}: {hcl}"));
    let all = |name: &str| at(name).as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    assert_eq!((text(at("driver")), text(at("type"))), ("docker".into(), "script".into()));
    let entrypoint = all("entrypoint");
    assert_in_time(&entrypoint, text(at("kill_timeout")).strip_suffix('s').unwrap().parse().unwrap());
    let check = [vec![text(at("command"))], all("args")].concat();
    assert_well(&entrypoint, &[check]);
}

#[test]
fn the_unit_is_one_for_systemd_and_its_command_starts_a_tree() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let of_readme = readme.split_once("```ini\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    for unit in [example("supervise-tree.8", "supervise-tree.service"), of_readme.to_string()] {
        starts_and_is_verified(unit);
    }
}

fn starts_and_is_verified(unit: String) {
    let place = Place::new();
    place.run("web", SLEEP);
    // The paths of this machine, for those of the example.
    let path = |name: &str| place.path().join(name).display().to_string();
    let here = [
        ("/usr/local/bin/supervise-tree", env!("CARGO_BIN_EXE_supervise-tree").to_string()),
        ("/var/lib/supervise", path("status")),
        ("/etc/sv", path("sv")),
    ];
    let unit = here.iter().fold(unit, |unit, (there, here)| unit.replace(there, here));
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_string();
    let words: Vec<&str> = start.split_whitespace().collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    let tree = place.start(command);
    place.module("web").wait_up(&place);
    let reload = unit.lines().find_map(|line| line.strip_prefix("ExecReload=")).unwrap().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", &reload]).env("MAINPID", tree.pid().to_string());
    assert!(place.output(command).status.success());
    place.wait_told("reading the settings");
    assert!(tree.stop().success());
    std::fs::write(place.path().join("supervise-tree.service"), &unit).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "./supervise-tree.service"]).current_dir(place.path());
    let Ok(output) = verify.output() else { return skipped("no systemd-analyze") };
    assert!(output.status.success() && said_by(&output).is_empty(), "{}", said_by(&output));
}
