//! Service directories on an overlay, as in most containers: what is changed is copied to another layer first.

use crate::common::host::skipped;
use crate::common::{FAST, Place, SLEEP, holds_for, script, wait_for};
use crate::stage::{Mounted, on_stage};
use std::time::Duration;

#[test]
fn a_service_directory_that_is_copied_up_is_the_same_one() {
    on_stage(|| {
        let place = Place::new();
        // An overlay cannot have another one's directory as its upper layer.
        let _disk = Mounted::tmpfs(&place.path().join("disk"), "size=4m");
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| place.path().join("disk").join(name));
        script(&lower.join("web/run"), SLEEP);
        std::fs::write(lower.join("supervise.conf"), FAST).unwrap();
        let Some(_overlay) = Mounted::overlay(&lower, &upper, &work, &place.root()) else {
            return skipped("no overlay to be had here");
        };
        let tree = place.tree();
        let web = place.module("web");
        let pid = web.wait_up(&place);
        std::fs::write(place.root().join("web/down"), "").unwrap();
        tree.signal("HUP");
        place.own().wait_text(&place, "supervise.log", "looking at everything again");
        holds_for(Duration::from_millis(300), "it runs on", &place, || web.pid() == pid);
        // The next tree, too, takes it for the same.
        tree.signal("USR2");
        wait_for("the next program", &place, || place.own().state()["generation"] == 2);
        web.wait_text(&place, "supervise.log", &format!("adopted: pid {pid}"));
        holds_for(Duration::from_millis(300), "it runs on", &place, || web.pid() == pid);
        assert!(tree.stop().success());
    });
}
