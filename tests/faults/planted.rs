//! What somebody has put into a status directory: FIFOs that nobody reads, links to what is precious, other files in
//! the place of FIFOs, and directories of his own.

use crate::common::host::{count, skipped};
use crate::common::{FAST, Module, Place, SLEEP, holds_for, is_alive, script, signal, wait_for};
use crate::stage::{Mounted, on_stage};
use std::os::unix::fs::{OpenOptionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

/// All that the supervisor writes.
const FILES: [&str; 9] = [
    "status",
    "status.new",
    "state.json",
    "state.json.new",
    "supervise.log",
    "supervise.log.wf",
    "__stdout",
    "__stderr",
    "lock",
];

fn fifo(path: &Path) {
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::unistd::mkfifo(path, mode).expect("a FIFO");
}

/// A service that tells its pid in its own directory.
const TELLS_ITS_PID: &str = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000";

fn wait_told(place: &Place, name: &str, old: u32) -> u32 {
    let mut pid = 0;
    wait_for(&format!("{name} to run as another process than {old}"), place, || {
        let told = std::fs::read_to_string(place.root().join(name).join("pid")).unwrap_or_default();
        pid = told.trim().parse().unwrap_or(0);
        pid != old && is_alive(pid)
    });
    pid
}

#[test]
fn fifos_that_nobody_reads_hold_nobody_up() {
    let place = Place::new();
    place.conf(FAST);
    let web = place.module("web");
    std::fs::create_dir_all(web.dir()).unwrap();
    for file in FILES.iter().filter(|file| **file != "lock") {
        fifo(&web.path(file));
    }
    place.run("web", TELLS_ITS_PID);
    let tree = place.tree();
    let mut pid = wait_told(&place, "web", 0);
    // They come in the middle, too.
    for _ in 0..3 {
        for file in ["__stdout", "__stderr", "supervise.log", "supervise.log.wf", "status", "status.new"] {
            // In one step: between a removal and a new FIFO, the supervisor may have made the file again.
            fifo(&place.path().join("fifo"));
            std::fs::rename(place.path().join("fifo"), web.path(file)).unwrap();
        }
        signal(pid, "KILL");
        pid = wait_told(&place, "web", pid);
    }
    // What may be replaced is, by a rename.
    for file in ["status", "state.json"] {
        wait_for(file, &place, || std::fs::symlink_metadata(web.path(file)).is_ok_and(|found| found.is_file()));
    }
    wait_for("the status", &place, || web.pid() == pid && web.state()["pid"] == pid);
    // What is a log's is left alone, and said.
    let stderr = place.path().join("stderr");
    for file in ["__stdout", "supervise.log", "supervise.log.wf"] {
        assert!(count(&stderr, &format!("/web/{file}: ")) > 0, "{file}\n{}", place.story());
    }
    web.send("d");
    wait_for("the end", &place, || !is_alive(pid));
    for file in ["supervise.log", "supervise.log.wf"] {
        std::fs::remove_file(web.path(file)).unwrap();
    }
    web.send("u");
    wait_told(&place, "web", pid);
    web.wait_text(&place, "supervise.log", &format!("pid {pid}"));
    assert!(tree.stop().success());
}

#[test]
fn a_lock_that_is_a_fifo_is_refused_and_waited_for() {
    let place = Place::new();
    let web = place.module("web");
    std::fs::create_dir_all(web.dir()).unwrap();
    fifo(&web.path("lock"));
    place.run("web", SLEEP);
    place.run("other", SLEEP);
    let tree = place.tree();
    place.module("other").wait_up(&place);
    web.wait_text(&place, "supervise.log.wf", "cannot lock");
    std::fs::remove_file(web.path("lock")).unwrap();
    web.wait_up(&place);
    assert!(tree.stop().success());
}

#[test]
fn a_configuration_that_is_a_fifo_holds_nobody_up() {
    let place = Place::new();
    fifo(&place.root().join("supervise.conf"));
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    web.wait_up(&place);
    tree.signal("HUP");
    web.send("r");
    web.wait_text(&place, "supervise.log.wf", "the old settings stay");
    assert!(tree.stop().success());
}

#[test]
fn what_planted_links_lead_to_is_never_touched() {
    let place = Place::new();
    place.conf(FAST);
    let web = place.module("web");
    std::fs::create_dir_all(web.dir()).unwrap();
    let precious = place.path().join("precious");
    std::fs::write(&precious, "precious\n").unwrap();
    let nothing = place.path().join("nothing");
    for (number, file) in FILES.iter().enumerate().filter(|(_, file)| **file != "lock") {
        symlink(if number % 2 == 0 { &precious } else { &nothing }, web.path(file)).unwrap();
    }
    symlink(&precious, web.path("supervise.log.1")).unwrap();
    place.run("web", TELLS_ITS_PID);
    // A second one has links in the places of its FIFOs, and a third one of its lock.
    let (fifos, lock) = (place.module("fifos"), place.module("lock"));
    let strange = place.path().join("strange");
    fifo(&strange);
    std::fs::create_dir_all(fifos.dir()).unwrap();
    symlink(&strange, fifos.path("control")).unwrap();
    symlink(&precious, fifos.path("ok")).unwrap();
    std::fs::create_dir_all(lock.dir()).unwrap();
    symlink(&precious, lock.path("lock")).unwrap();
    place.run("fifos", TELLS_ITS_PID);
    place.run("lock", TELLS_ITS_PID);

    let tree = place.tree();
    let mut pid = wait_told(&place, "web", 0);
    for _ in 0..3 {
        signal(pid, "KILL");
        pid = wait_told(&place, "web", pid);
    }
    wait_for("the status", &place, || web.pid() == pid && web.state()["pid"] == pid);
    assert!(!web.path("status").is_symlink() && !web.path("state.json").is_symlink());
    let told = wait_told(&place, "fifos", 0);
    fifos.wait_text(&place, "supervise.log.wf", "[FATAL]");
    lock.wait_text(&place, "supervise.log.wf", "cannot lock");
    // Commands that come in by a planted FIFO are nobody's.
    let mut writer = std::fs::OpenOptions::new();
    let mut writer = writer.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&strange).unwrap();
    std::io::Write::write_all(&mut writer, b"d").unwrap();
    holds_for(Duration::from_millis(300), "fifos is up", &place, || is_alive(told));
    assert!(!place.root().join("lock/pid").exists());
    assert!(tree.stop().success());
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious\n");
    assert!(!nothing.exists());
}

/// Puts something else in the place of a FIFO.
fn replace(path: &Path, kind: &str) {
    // In one step: what is removed may be made anew before something else is put there.
    let new = path.with_extension("planted");
    match kind {
        "a file" => std::fs::write(&new, "dx").unwrap(),
        "a link" => symlink("/dev/null", &new).unwrap(),
        "a directory" => {
            while std::fs::create_dir(path).is_err() {
                let _ = std::fs::remove_file(path);
            }
            return;
        }
        _ => unreachable!(),
    }
    std::fs::rename(&new, path).unwrap();
}

/// Whether somebody reads the FIFO: it is made a moment before it is opened.
fn is_read(path: &Path) -> bool {
    std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).is_ok()
}

fn take_away(path: &Path) {
    if path.is_dir() && !path.is_symlink() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) }.unwrap();
}

#[test]
fn a_fifo_that_is_replaced_is_refused_once_and_made_anew_when_it_can_be() {
    let place = Place::new();
    place.conf(FAST);
    let kinds = ["a file", "a directory", "a link"];
    let mut modules: Vec<(Module, &str, &str)> = Vec::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        for fifo in ["control", "ok"] {
            let name = format!("{fifo}{number}");
            place.run(&name, SLEEP);
            modules.push((place.module(&name), fifo, kind));
        }
    }
    let tree = place.tree();
    for (module, fifo, kind) in &modules {
        let pid = module.wait_up(&place);
        replace(&module.path(fifo), kind);
        signal(pid, "KILL");
        let next = module.wait_new_pid(&place, pid);
        module.wait_text(&place, "supervise.log.wf", "[FATAL]");
        signal(next, "KILL");
        module.wait_new_pid(&place, next);
    }
    for (module, fifo, kind) in &modules {
        let text = module.text("supervise.log.wf");
        assert_eq!(text.matches("[FATAL]").count(), 1, "{fifo}, {kind}: {text}");
        assert!(text.contains(&format!("/{fifo} is not a FIFO and is not read")), "{fifo}, {kind}: {text}");
        if *kind == "a file" {
            assert_eq!(module.text(fifo), "dx");
        }
        take_away(&module.path(fifo));
    }
    // Nothing happens at them: they are looked after all the same.
    for (module, fifo, _) in &modules {
        let is_fifo = |path: &Path| {
            std::os::unix::fs::FileTypeExt::is_fifo(&std::fs::symlink_metadata(path).unwrap().file_type())
        };
        wait_for("the FIFO", &place, || module.path(fifo).exists() && is_fifo(&module.path(fifo)));
        wait_for("somebody to read both", &place, || is_read(&module.path("control")) && is_read(&module.path("ok")));
        module.send("d");
        module.wait_state(&place, "down");
    }
    assert!(tree.stop().success());
}

#[test]
fn a_pipe_to_a_logger_that_is_replaced_is_not_written_into() {
    let place = Place::new();
    place.conf(FAST);
    let kinds = ["a file", "a directory", "a link"];
    for (number, _) in kinds.iter().enumerate() {
        let run = "while :; do echo line; sleep 0.05; done";
        place.service(&format!("web{number}"), &[("run", run), ("log/run", "exec cat > got")]);
    }
    let tree = place.tree();
    for (number, kind) in kinds.into_iter().enumerate() {
        let web = place.module(&format!("web{number}"));
        let pipe = place.module(&format!("web{number}/log")).path("stdin");
        let pid = web.wait_up(&place);
        place.module(&format!("web{number}/log")).wait_up(&place);
        replace(&pipe, kind);
        web.send("k");
        web.wait_text(&place, "supervise.log.wf", "cannot start: open standard output: ");
        // It is down, for it has nowhere to write; it answers, and nothing was done to what is there.
        web.send("d");
        web.wait_state(&place, "down");
        web.send("u");
        if kind == "a file" {
            assert_eq!(std::fs::read_to_string(&pipe).unwrap(), "dx");
        }
        take_away(&pipe);
        web.wait_new_pid(&place, pid);
    }
    assert!(tree.stop().success());
}

#[test]
fn the_trees_own_fifo_is_refused_and_made_anew_likewise() {
    let place = Place::new();
    let tree = place.tree();
    let own = place.own();
    wait_for("both FIFOs", &place, || is_read(&own.path("control")) && is_read(&own.path("ok")));
    replace(&own.path("control"), "a file");
    std::fs::remove_file(own.path("ok")).unwrap();
    tree.signal("HUP");
    own.wait_text(&place, "supervise.log.wf", "is not a FIFO and is not read");
    take_away(&own.path("control"));
    wait_for("the tree to listen", &place, || is_read(&own.path("control")) && is_read(&own.path("ok")));
    own.send("t");
    assert!(tree.wait().success());
}

#[test]
fn a_status_directory_of_somebody_else_is_not_used() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("a_status_directory_of_somebody_else_is_not_used: only root can give directories away");
    }
    const STRANGER: u32 = 4711;
    let place = Place::new();
    let (web, linked, log) = (place.module("web"), place.module("linked"), place.module("mail/log"));
    for dir in [web.dir(), place.module("mail").dir()] {
        std::fs::create_dir_all(dir).unwrap();
        chown(dir, Some(STRANGER), None).unwrap();
    }
    std::fs::create_dir(place.path().join("elsewhere")).unwrap();
    symlink(place.path().join("elsewhere"), linked.dir()).unwrap();
    std::os::unix::fs::lchown(linked.dir(), Some(STRANGER), None).unwrap();
    for name in ["web", "linked", "mine"] {
        place.run(name, TELLS_ITS_PID);
    }
    place.service("mail", &[("run", TELLS_ITS_PID), ("log/run", "exec cat")]);
    let tree = place.tree();
    place.module("mine").wait_up(&place);
    for (module, path) in [("web", web.dir()), ("linked", linked.dir()), ("mail/log", log.dir().parent().unwrap())] {
        let line = format!("{module}: {} belongs to uid {STRANGER}, neither to us (uid 0)", path.display());
        place.own().wait_text(&place, "supervise.log.wf", &line);
        assert!(std::fs::read_dir(path).unwrap().next().is_none(), "something was written into {}", path.display());
    }
    for name in ["web", "linked", "mail"] {
        assert!(!place.root().join(name).join("pid").exists());
    }
    for dir in [web.dir(), log.dir().parent().unwrap()] {
        chown(dir, Some(0), None).unwrap();
    }
    std::os::unix::fs::lchown(linked.dir(), Some(0), None).unwrap();
    for module in [&web, &linked, &log] {
        module.wait_up(&place);
    }
    let warnings = place.own().text("supervise.log.wf");
    assert_eq!(warnings.matches("web: ").count(), 1, "{warnings}");

    // Exchanged under a running service, it is left alone as well.
    let pid = web.pid();
    web.wait_log(&place, &format!("started, pid {pid}"));
    std::fs::rename(web.dir(), place.path().join("away")).unwrap();
    std::fs::create_dir(web.dir()).unwrap();
    chown(web.dir(), Some(STRANGER), None).unwrap();
    fifo(&web.path("control"));
    signal(pid, "KILL");
    let next = wait_told(&place, "web", pid);
    let mut writer = std::fs::OpenOptions::new();
    let mut writer = writer.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(web.path("control")).unwrap();
    std::io::Write::write_all(&mut writer, b"d").unwrap();
    holds_for(Duration::from_millis(300), "web is up", &place, || is_alive(next));
    for file in FILES.iter().filter(|file| !file.starts_with("__")) {
        assert!(!web.path(file).exists(), "{file} was written into somebody else's directory");
    }
    assert!(tree.stop().success());
}

#[test]
fn an_ordinary_user_refuses_it_likewise() {
    if nix::unistd::geteuid().is_root() {
        // Root's own directories would be ours; the test above has others.
        return;
    }
    on_stage(|| {
        let place = Place::new();
        let web = place.module("web");
        // Outside of our namespace it is root's, which here is somebody.
        let foreign = Mounted::bind(Path::new("/usr/share"), web.dir());
        place.run("web", SLEEP);
        let tree = place.tree();
        place.own().wait_text(&place, "supervise.log.wf", "belongs to uid 65534, neither to us (uid 0) nor to root");
        drop(foreign);
        web.wait_up(&place);
        assert!(tree.stop().success());
    });
}

#[test]
fn a_run_that_is_a_fifo_or_a_device_is_no_service() {
    let place = Place::new();
    let dir = place.root().join("web");
    std::fs::create_dir(&dir).unwrap();
    fifo(&dir.join("run"));
    let tree = place.tree();
    place.own().wait_text(&place, "supervise.log", "web: no executable run yet");
    std::fs::remove_file(dir.join("run")).unwrap();
    script(&dir.join("run"), SLEEP);
    place.module("web").wait_up(&place);
    // A finish that is one is none.
    fifo(&dir.join("finish"));
    place.module("web").send("k");
    let pid = place.module("web").pid();
    place.module("web").wait_new_pid(&place, pid);
    assert!(tree.stop().success());
}
