//! `env/`, `env_file`, `env`, `env_clear`.

use crate::common::*;
use crate::variable;

#[test]
fn the_later_wins_and_no_value_is_logged() {
    let place = Place::new();
    let file = place.path().join("web.env");
    std::fs::write(&file, "# settings\nB=file\nC='file\nof lines'\nsecret line\nD=\"x\" # secret\n").expect("env file");
    place.conf(&format!(
        "[global]\nenv : D=global E=global\n[web]\nenv_file : {} -/none\nenv : D=own\n",
        file.display()
    ));
    place.service("web", &[("run", "exec sleep 1000"), ("env/A", ""), ("env/B", "")]);
    std::fs::write(place.root().join("web/env/A"), "dir  \nmore\n").expect("A");
    std::fs::write(place.root().join("web/env/GONE"), "").expect("GONE");
    let mut command = tree_command();
    command.env("GONE", "1").env("KEPT", "1").arg("-p").arg(place.status_root()).arg(place.root());
    let _tree = place.start(command);
    let web = place.module("web");
    let pid = web.wait_up(&place);
    let all = ["A", "B", "C", "D", "E", "KEPT"].map(|name| variable(pid, name).unwrap_or_default());
    assert_eq!(all, ["dir", "file", "file\nof lines", "own", "global", "1"]);
    assert_eq!(variable(pid, "GONE"), None);
    web.wait_text(&place, "supervise.log.wf", &format!("{}:5: is not NAME=value and is ignored", file.display()));
    web.wait_text(&place, "supervise.log.wf", &format!("{}:6: has a # within", file.display()));
    assert!(!web.log().contains("secret"), "{}", web.log());
}

#[test]
fn cleared_it_has_path_alone() {
    let place = Place::new();
    place.conf("[web]\nenv_clear : yes\nenv : ONLY='this one'\n");
    place.run("web", SLEEP);
    let _tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    assert_eq!(variable(pid, "ONLY").as_deref(), Some("this one"));
    assert!(variable(pid, "PATH").is_some());
    assert_eq!(variable(pid, "HOME"), None);
}

#[test]
fn a_file_is_read_again_at_each_start_and_told_of_once() {
    let place = Place::new();
    let file = place.path().join("web.env");
    std::fs::write(&file, "A=1\njunk\n").expect("env file");
    place.conf(&format!("[global]\nrestart_delay : 0.05\n[web]\nenv_file : {}\n", file.display()));
    place.run("web", "echo A=$A; exec sleep 1000");
    let _tree = place.tree();
    let web = place.module("web");
    let mut pid = web.wait_up(&place);
    for value in ["2", "3"] {
        std::fs::write(&file, format!("A={value}\njunk\n")).expect("env file");
        web.send("k");
        pid = web.wait_new_pid(&place, pid);
        web.wait_text(&place, "__stdout", &format!("A={value}\n"));
    }
    web.send("d");
    web.wait_state(&place, "down");
    assert_eq!(web.text("supervise.log.wf").matches("is not NAME=value").count(), 1, "{}", web.log());
}

#[test]
fn svctl_shows_what_the_next_start_has() {
    let place = Place::new();
    place.conf("[web]\nenv : A=1 B='two words'\n");
    place.service("web", &[("run", SLEEP), ("env/C", "")]);
    std::fs::write(place.root().join("web/env/C"), "line\n").expect("C");
    let mut command = tree_command();
    command.env("TREE", "1").arg("-p").arg(place.status_root()).arg(place.root());
    let _tree = place.start(command);
    place.module("web").wait_up(&place);
    let shown = |arguments: &[&str]| {
        let mut command = svctl_command();
        command.arg("-p").arg(place.status_root()).args(arguments).env("OURS", "1");
        let output = place.output(command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let text = shown(&["config", "--env", "web"]);
    for line in ["A=1", "B=two words", "C=line", "TREE=1"] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert!(!text.contains("OURS="), "{text}");
    let json: serde_json::Value = serde_json::from_str(&shown(&["--json", "config", "--env", "web"])).expect("JSON");
    assert_eq!((&json[0]["module"], &json[0]["env"]["B"]), (&"web".into(), &"two words".into()));
}
