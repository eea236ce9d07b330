//! The sample services that need each other, as they are.

use crate::common::*;
use crate::{svctl, wait_for_state, wait_reason};
use std::path::Path;

#[test]
fn web_waits_for_migrate_and_goes_before_it() {
    let place = Place::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("services.example");
    for name in ["migrate", "web"] {
        let copied = std::process::Command::new("cp")
            .args(["-R", "-P"])
            .arg(samples.join(name))
            .arg(place.root().join(name))
            .status();
        assert!(copied.is_ok_and(|status| status.success()));
        // What a run on the spot has left.
        let _ = std::fs::remove_dir_all(place.root().join(name).join("data"));
    }
    let _tree = place.tree();
    wait_reason(&place, "web", "needs migrate, which is not ready yet");
    assert_eq!(place.module("web").state()["waits_for"], "migrate", "{}", place.story());
    wait_for_state(&place, "migrate", "done");
    wait_for_state(&place, "web", "ready");
    let said = place.module("web").state()["check"].as_str().unwrap_or_default().to_string();
    assert!(said.starts_with("version 2, "), "{said}");
    assert!(svctl(&place, &["stop", "migrate"]).status.success());
    wait_reason(&place, "web", "needs migrate, which is down");
    assert_eq!(svctl(&place, &["config", "--check"]).status.code(), Some(0));
}
