//! Limits, priorities, processors, masks, directory.

use crate::common::host::skipped;
use crate::common::*;
use crate::{field, is_root, may_raise, open_place};

/// Soft and hard limit by `/proc/PID/limits`.
fn limits(pid: u32, name: &str) -> [String; 2] {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    [words.next().unwrap_or_default(), words.next().unwrap_or_default()]
}

#[test]
fn every_limit_is_as_the_kernel_has_it() {
    if !is_root() {
        return;
    }
    let raised = |value| if may_raise() { value } else { "0" };
    let rows = [
        ("as", "3G:4G", "Max address space", ["3221225472", "4294967296"]),
        ("core", "0:infinity", "Max core file size", ["0", "unlimited"]),
        ("cpu", "50:1m", "Max cpu time", ["50", "60"]),
        ("data", "1G", "Max data size", ["1073741824", "1073741824"]),
        ("fsize", "1M", "Max file size", ["1048576", "1048576"]),
        ("locks", "7", "Max file locks", ["7", "7"]),
        ("memlock", "64K", "Max locked memory", ["65536", "65536"]),
        ("msgqueue", "4096", "Max msgqueue size", ["4096", "4096"]),
        ("nice", raised("30"), "Max nice priority", [raised("30"), raised("30")]),
        ("nofile", "100:200", "Max open files", ["100", "200"]),
        ("nproc", "300:400", "Max processes", ["300", "400"]),
        ("rss", "1G", "Max resident set", ["1073741824", "1073741824"]),
        ("rtprio", raised("5"), "Max realtime priority", [raised("5"), raised("5")]),
        ("rttime", "1000000", "Max realtime timeout", ["1000000", "1000000"]),
        ("sigpending", "99", "Max pending signals", ["99", "99"]),
        ("stack", "4M:8M", "Max stack size", ["4194304", "8388608"]),
    ];
    let place = open_place();
    let keys: String = rows.iter().map(|(name, value, ..)| format!("limit_{name} : {value}\n")).collect();
    place.conf(&format!("[web]\nuser : 4798\n{keys}"));
    place.run("web", SLEEP);
    let _tree = place.tree();
    let pid = place.module("web").wait_up(&place);
    for (name, _, line, expected) in rows {
        assert_eq!(limits(pid, line), expected, "limit_{name}");
    }
}

#[test]
fn limit_nproc_counts_the_user_that_it_becomes() {
    if !is_root() {
        return;
    }
    let place = open_place();
    place.conf("[web]\nuser : 4797\nlimit_nproc : 1\n");
    place.run("web", "(echo forked); echo unreached; sleep 1000");
    let _tree = place.tree();
    place.module("web").wait_text(&place, "__stderr", "Cannot fork");
    assert!(!place.module("web").text("__stdout").contains("forked"));
}

#[test]
fn priorities_processors_and_masks_are_set() {
    if !is_root() {
        return;
    }
    let place = open_place();
    let score = if may_raise() { -300 } else { 300 };
    let keys = "umask : 027\nnice : -5\ncpus : 0\nio_class : best-effort 7\ndirectory : /usr/bin\n";
    place.conf(&format!("[web]\nuser : 4798\noom_score : {score}\n{keys}"));
    place.run("web", "umask; pwd; ionice -p $$; exec sleep 1000");
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    web.wait_text(&place, "__stdout", "0027\n/usr/bin\nbest-effort: prio 7\n");
    assert_eq!(proc_stat(pid, 19), -5);
    assert_eq!(field(pid, "Cpus_allowed_list"), "0");
    let kept = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
    assert_eq!(kept, format!("{score}\n"));
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).expect("cwd"), std::path::Path::new("/usr/bin"));
}

#[test]
fn the_tree_is_spared_when_memory_is_short_and_its_services_are_not() {
    if !may_raise() {
        return skipped("the_tree_is_spared_when_memory_is_short_and_its_services_are_not: needs CAP_SYS_RESOURCE");
    }
    let score = |process: &str| std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).unwrap_or_default();
    let ours = score("self");
    let place = Place::new();
    place.conf("[asks]\noom_score : 77\n");
    let says = "cat /proc/self/oom_score_adj; exec sleep 1000";
    let finish = "cat /proc/self/oom_score_adj > ../../finish";
    place.service("web", &[("run", says), ("finish", finish)]);
    place.run("asks", says);
    let tree = place.tree();
    let (web, asks) = (place.module("web"), place.module("asks"));
    let pids = [web.wait_up(&place), asks.wait_up(&place)];
    web.wait_text(&place, "__stdout", &ours);
    assert_eq!(score(&tree.pid().to_string()), "-999\n");
    assert_eq!([score(&pids[0].to_string()), score(&pids[1].to_string())], [ours.clone(), "77\n".into()]);
    tree.signal("USR2");
    wait_for("the program to be replaced", &place, || place.own().state()["generation"] == 2);
    wait_for("it to be spared again", &place, || score(&tree.pid().to_string()) == "-999\n");
    web.send("k");
    let next = web.wait_new_pid(&place, pids[0]);
    assert_eq!(score(&next.to_string()), ours);
    wait_for("finish", &place, || std::fs::read_to_string(place.path().join("finish")).is_ok_and(|said| said == ours));
}

#[test]
fn a_relative_directory_is_in_the_service_directory() {
    let place = Place::new();
    place.conf("[web]\ndirectory : data\n");
    place.service("web", &[("run", "pwd; echo $0; exec sleep 1000"), ("data/file", "")]);
    let _tree = place.tree();
    let directory = place.root().canonicalize().expect("a path").join("web");
    let expected = format!("{0}/data\n{1}/web/run\n", directory.display(), place.root().display());
    place.module("web").wait_text(&place, "__stdout", &expected);
}

#[test]
fn a_setting_that_was_read_again_holds_from_the_next_start_on() {
    let place = Place::new();
    place.conf("[global]\nrestart_delay : 0.05\n[web]\numask : 027\n");
    place.run("web", "umask; exec sleep 1000");
    let _tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    web.wait_text(&place, "__stdout", "0027\n");
    place.conf("[global]\nrestart_delay : 0.05\n[web]\numask : 077\n");
    web.send("r");
    web.send("k");
    web.wait_new_pid(&place, pid);
    web.wait_text(&place, "__stdout", "0077\n");
}
