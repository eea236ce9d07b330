//! Service directories on an overlay, as in most containers: what is changed is copied to another layer first.

use crate::common::host::skipped;
use crate::common::{FAST, Place, SLEEP, holds_for, script, wait_for};
use crate::stage::{Mounted, on_stage};
use std::path::Path;
use std::time::Duration;

/// A services root on an overlay, in which `web` is of the lower layer if `in_lower` says so; `act` is not called where there
/// is none to be had.
fn on_overlay(in_lower: bool, act: impl FnOnce(&Place)) {
    let place = Place::new();
    let (image, disk) = (place.path().join("image"), place.path().join("disk"));
    let fill = |dir: &Path| {
        script(&dir.join("sv/web/run"), SLEEP);
        std::fs::write(dir.join("sv/supervise.conf"), FAST).unwrap();
    };
    let mount = |disk: &Path| {
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| disk.join(name));
        std::fs::create_dir_all(&lower).unwrap();
        if in_lower {
            fill(&lower);
        }
        Mounted::overlay(&lower, &upper, &work, &image)
    };
    // A disk gives the numbers of files away again. But an overlay cannot have another one's directory as its upper layer.
    let mut memory = None;
    let mounted = mount(&disk).or_else(|| {
        memory = Some(Mounted::tmpfs(&place.path().join("memory"), "size=4m"));
        mount(&place.path().join("memory"))
    });
    let Some(_overlay) = mounted else { return skipped("no overlay to be had here") };
    if !in_lower {
        fill(&image);
    }
    std::fs::remove_dir(place.root()).unwrap();
    std::os::unix::fs::symlink("image/sv", place.root()).unwrap();
    act(&place);
}

#[test]
fn a_service_directory_that_is_copied_up_is_the_same_one() {
    on_stage(|| {
        on_overlay(true, |place| {
            let tree = place.tree();
            let web = place.module("web");
            let pid = web.wait_up(place);
            std::fs::write(place.root().join("web/down"), "").unwrap();
            tree.signal("HUP");
            place.own().wait_text(place, "supervise.log", "looking at everything again");
            holds_for(Duration::from_millis(300), "it runs on", place, || web.pid() == pid);
            // The next tree, too, takes it for the same.
            tree.signal("USR2");
            wait_for("the next program", place, || place.own().state()["generation"] == 2);
            web.wait_text(place, "supervise.log", &format!("adopted: pid {pid}"));
            holds_for(Duration::from_millis(300), "it runs on", place, || web.pid() == pid);
            assert!(tree.stop().success());
        });
    });
}

#[test]
fn one_that_is_removed_and_made_anew_is_another_one() {
    on_stage(|| {
        on_overlay(false, |place| {
            let tree = place.tree();
            let web = place.module("web");
            web.wait_up(place);
            web.send("d");
            web.wait_state(place, "down");
            // Nothing holds its number.
            let root = place.path().join("image/sv");
            std::fs::remove_dir_all(root.join("web")).unwrap();
            script(&root.join("web/run"), SLEEP);
            let pid = web.wait_up(place);
            // The same for the whole root.
            std::fs::remove_dir_all(&root).unwrap();
            script(&root.join("web/run"), SLEEP);
            web.wait_new_pid(place, pid);
            script(&root.join("new/run"), SLEEP);
            place.module("new").wait_up(place);
            assert!(tree.stop().success());
        });
    });
}
