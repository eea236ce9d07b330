//! Too few descriptors, processes and pages: what does not fit says so and waits, and what runs does not suffer.

use crate::common::{
    FAST, Module, Place, Running, SLEEP, holds_for, is_alive, proc_words, processes_of, signal, tree_command, wait_for,
};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// Sets a soft limit of a process, and its hard one too if that is asked for; raw calls only.
fn set_limit(pid: u32, resource: u32, soft: u64) -> io::Result<()> {
    // SAFETY: the pointers are to structures of ours, which live through the calls.
    unsafe {
        let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        if libc::syscall(libc::SYS_prlimit64, pid, resource, 0, &raw mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        limit.rlim_cur = soft.min(limit.rlim_max);
        match libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, 0) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn up(modules: &[Module]) -> usize {
    modules.iter().filter(|module| module.pid() != 0 && is_alive(module.pid())).count()
}

fn all_up(place: &Place, modules: &[Module]) {
    wait_for("all to run", place, || up(modules) == modules.len());
}

/// Services called s00, s01, ...
fn services(place: &Place, number: usize) -> Vec<Module> {
    let name = |number| format!("s{number:02}");
    (0..number).for_each(|number| place.run(&name(number), SLEEP));
    (0..number).map(|number| place.module(&name(number))).collect()
}

/// What runs can be steered, and is restarted.
fn is_steered(place: &Place, module: &Module) {
    let pid = module.wait_up(place);
    module.send("k");
    let next = module.wait_new_pid(place, pid);
    module.send("d");
    module.wait_state(place, "down");
    assert!(!is_alive(next));
    module.send("u");
    module.wait_new_pid(place, next);
}

/// All that the tree and its modules have said on standard error.
fn said(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("stderr")).unwrap_or_default()
}

#[test]
fn services_for_which_there_is_no_descriptor_wait_for_one() {
    let place = Place::new();
    place.conf(FAST);
    let tree = place.tree();
    set_limit(tree.pid(), libc::RLIMIT_NOFILE, 59).unwrap();
    let all = services(&place, 20);
    wait_for("six to run", &place, || up(&all) == 6);
    wait_for("the tree to say so", &place, || said(&place).matches("no descriptors to be had").count() == 14);
    // Those that run have what they need for it.
    for module in all.iter().filter(|module| module.pid() != 0) {
        is_steered(&place, module);
    }
    let text = said(&place);
    assert!(text.contains("the limit is 59 (ulimit -n), and 6 modules fill it; tried again every second"), "{text}");
    assert!(!text.contains("Too many open files"), "{text}");
    set_limit(tree.pid(), libc::RLIMIT_NOFILE, 1000).unwrap();
    all_up(&place, &all);
    all.iter().for_each(|module| is_steered(&place, module));
    // It was tried again, but said once.
    assert_eq!(said(&place).matches("no descriptors to be had").count(), 14);
    assert!(tree.stop().success());
}

#[test]
fn what_runs_is_restarted_and_steered_while_no_descriptor_is_left() {
    let place = Place::new();
    place.conf(FAST);
    let tree = place.tree();
    let first = services(&place, 3);
    all_up(&place, &first);
    let used = || std::fs::read_dir(format!("/proc/{}/fd", tree.pid())).unwrap().count() as u64;
    // One is left: for the file of a log or a status, or the new process's descriptor, while that is needed.
    set_limit(tree.pid(), libc::RLIMIT_NOFILE, used() + 1).unwrap();
    place.run("more", SLEEP);
    wait_for("the tree to say so", &place, || said(&place).contains("more: no descriptors to be had"));
    for module in &first {
        is_steered(&place, module);
    }
    tree.signal("HUP");
    // Now there is none: a process cannot even be made, for it would have no descriptor.
    set_limit(tree.pid(), libc::RLIMIT_NOFILE, 8).unwrap();
    let pid = first[0].pid();
    crate::common::signal(pid, "KILL");
    wait_for("the failed start to be told", &place, || {
        said(&place).contains("s00: cannot start: clone: Too many open files")
    });
    set_limit(tree.pid(), libc::RLIMIT_NOFILE, 1000).unwrap();
    let next = first[0].wait_new_pid(&place, pid);
    assert!(is_alive(next));
    place.module("more").wait_up(&place);
    assert!(tree.stop().success());
}

#[test]
fn room_that_one_service_leaves_goes_to_another() {
    let place = Place::new();
    place.conf(FAST);
    let tree = place.tree();
    set_limit(tree.pid(), libc::RLIMIT_NOFILE, 51).unwrap();
    let all = services(&place, 10);
    wait_for("the tree to say so", &place, || said(&place).contains("no descriptors to be had"));
    wait_for("four to run", &place, || up(&all) == 4);
    // One after the other gets its turn as those that run are taken away.
    let mut left: Vec<_> = all.iter().enumerate().collect();
    while !left.is_empty() {
        wait_for("somebody to run", &place, || left.iter().any(|(_, module)| module.state_name() == "up"));
        let at = left.iter().position(|(_, module)| module.state_name() == "up").unwrap();
        let (number, module) = left.swap_remove(at);
        std::fs::rename(place.root().join(format!("s{number:02}")), place.path().join(format!("away{number}")))
            .unwrap();
        module.wait_state(&place, "down");
    }
    assert!(tree.stop().success());
}

/// A user of whom there is no other process: one of his own, or ourselves in a user namespace that is new.
#[derive(Clone, Copy)]
enum Stranger {
    User(u32),
    Namespace,
}

impl Stranger {
    fn new() -> Stranger {
        if nix::unistd::geteuid().is_root() { Stranger::User(70_000 + std::process::id()) } else { Stranger::Namespace }
    }

    /// Starts a tree with at most `processes`, threads included.
    fn tree(self, place: &Place, processes: u64) -> Running<'_> {
        let mut command = tree_command();
        if let Stranger::User(uid) = self {
            // He need not be able to read the place where the program was built.
            let program = place.path().join("supervise-tree");
            std::fs::copy(command.get_program(), &program).unwrap();
            command = Command::new(program);
            std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
            chown(place.path(), Some(uid), Some(uid)).unwrap();
        }
        command.arg("-p").arg(place.status_root()).arg(place.root());
        // SAFETY: raw system calls only, which are allowed between fork and exec.
        unsafe {
            command.pre_exec(move || {
                self.enter()?;
                set_limit(0, libc::RLIMIT_NPROC, processes)
            })
        };
        let running = place.start(command);
        wait_for("the tree", place, || place.own().is_supervised());
        running
    }

    /// Sets the limit of his tree: even root may need his hand for that.
    fn limit(self, tree: &Running<'_>, processes: u64) {
        let pid = tree.pid();
        let mut command = Command::new("true");
        // SAFETY: as above.
        unsafe {
            command.pre_exec(move || {
                if let Stranger::User(_) = self {
                    self.enter()?;
                }
                set_limit(pid, libc::RLIMIT_NPROC, processes)
            })
        };
        assert!(command.status().unwrap().success());
    }

    fn enter(self) -> io::Result<()> {
        // SAFETY: integers alone.
        let done = unsafe {
            match self {
                Stranger::User(uid) => {
                    libc::syscall(libc::SYS_setresgid, uid, uid, uid)
                        | libc::syscall(libc::SYS_setresuid, uid, uid, uid)
                }
                Stranger::Namespace => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
            }
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[test]
fn services_for_which_there_is_no_process_wait_for_one() {
    let place = Place::new();
    place.conf(FAST);
    let stranger = Stranger::new();
    let tree = stranger.tree(&place, 20);
    let all = services(&place, 10);
    wait_for("six to run", &place, || up(&all) == 6);
    wait_for("the tree to say so", &place, || said(&place).matches("no processes to be had").count() == 4);
    let text = said(&place);
    assert!(text.contains("the limit is 20 (ulimit -u), and 6 modules fill it; tried again every second"), "{text}");
    let running: Vec<_> = all.iter().filter(|module| module.pid() != 0).cloned().collect();
    running.iter().for_each(|module| is_steered(&place, module));
    // Now something else of this user has taken what there was.
    stranger.limit(&tree, 4);
    let pid = running[0].pid();
    crate::common::signal(pid, "KILL");
    running[0].wait_text(&place, "supervise.log.wf", "cannot start: clone: Resource temporarily unavailable");
    // It is answered all the same.
    running[0].send("d");
    running[0].wait_state(&place, "down");
    running[0].send("u");
    running[0].wait_state(&place, "backoff");
    stranger.limit(&tree, 1000);
    all_up(&place, &all);
    all.iter().for_each(|module| is_steered(&place, module));
    assert!(!said(&place).contains("FATAL"), "{}", said(&place));
    assert!(tree.stop().success());
}

#[test]
fn services_for_which_there_is_no_memory_wait_for_it() {
    let place = Place::new();
    place.conf(FAST);
    let tree = place.tree();
    let first = services(&place, 2);
    all_up(&place, &first);
    let size = crate::common::proc_status(tree.pid(), "VmSize");
    let size: u64 = size.trim_end_matches(" kB").trim().parse().unwrap();
    // Room for what is allocated now and then, but not for all the stacks of new threads.
    set_limit(tree.pid(), libc::RLIMIT_AS, (size + 1500) * 1024).unwrap();
    let names: Vec<_> = (0..30).map(|number| format!("new{number}")).collect();
    names.iter().for_each(|name| place.run(name, SLEEP));
    let new: Vec<_> = names.iter().map(|name| place.module(name)).collect();
    wait_for("the tree to say so", &place, || said(&place).contains("no thread to be had"));
    first.iter().for_each(|module| is_steered(&place, module));
    set_limit(tree.pid(), libc::RLIMIT_AS, u64::MAX).unwrap();
    all_up(&place, &new);
    first.iter().for_each(|module| is_steered(&place, module));
    let text = said(&place);
    assert!(!text.contains("FATAL") && !text.contains("panicked"), "{text}");
    assert!(tree.stop().success());
}

#[test]
fn without_memory_for_new_settings_the_old_ones_stay() {
    let place = Place::new();
    let section = |number| format!("[m{number}]\nalarm_interval : 60\n");
    place.conf(&format!("{FAST}{}", (0..300).map(section).collect::<String>()));
    let tree = place.tree();
    let first = services(&place, 2);
    all_up(&place, &first);
    let size = crate::common::proc_status(tree.pid(), "VmSize");
    let size: u64 = size.trim_end_matches(" kB").trim().parse().unwrap();
    set_limit(tree.pid(), libc::RLIMIT_AS, (size + 64) * 1024).unwrap();
    tree.signal("HUP");
    wait_for("the tree to say so", &place, || {
        said(&place).contains("there is no memory to spare; the old settings stay")
    });
    first.iter().for_each(|module| is_steered(&place, module));
    set_limit(tree.pid(), libc::RLIMIT_AS, u64::MAX).unwrap();
    assert!(tree.stop().success());
}

#[test]
fn at_the_limit_of_a_files_size_services_run_and_are_restarted() {
    let place = Place::new();
    place.conf(FAST);
    place.run("web", SLEEP);
    let tree = place.tree();
    let web = place.module("web");
    let pid = web.wait_up(&place);
    // Too little for state.json, and enough for a few lines.
    set_limit(tree.pid(), libc::RLIMIT_FSIZE, 500).unwrap();
    signal(pid, "KILL");
    wait_for("the tree to say so", &place, || said(&place).contains("File too large"));
    wait_for("the status file to be written all the same", &place, || ![0, pid].contains(&web.pid()));
    let pid = web.pid();
    // Too little for anything.
    set_limit(tree.pid(), libc::RLIMIT_FSIZE, 0).unwrap();
    signal(pid, "KILL");
    wait_for("it to run again", &place, || sleepers(&place).iter().any(|other| *other != pid));
    let next = sleepers(&place);
    // Nothing in the files tells of it: a new program would start it once more.
    tree.signal("USR2");
    let is_replaced = || {
        let line = proc_words(tree.pid(), "cmdline");
        String::from_utf8_lossy(&line).contains("--handover=")
    };
    holds_for(Duration::from_secs(1), "the old program", &place, || !is_replaced() && sleepers(&place) == next);
    set_limit(tree.pid(), libc::RLIMIT_FSIZE, u64::MAX).unwrap();
    assert_eq!(vec![web.wait_new_pid(&place, pid)], next);
    tree.signal("USR2");
    wait_for("the new program", &place, is_replaced);
    assert_eq!(vec![web.wait_up(&place)], next);
    is_steered(&place, &web);
    assert!(tree.stop().success());
}

/// The pids of services.
fn sleepers(place: &Place) -> Vec<u32> {
    let is_service =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(place.root()));
    processes_of(&place.path().to_string_lossy()).into_iter().filter(is_service).collect()
}

#[test]
fn a_root_that_cannot_be_watched_for_want_of_threads_is_looked_at_again_and_again() {
    let place = Place::new();
    place.conf(FAST);
    place.run("first", SLEEP);
    let stranger = Stranger::new();
    // Two threads: the main one, and the one that takes signals.
    let tree = stranger.tree(&place, 2);
    let own = place.own();
    own.wait_text(&place, "supervise.log.wf", "looking every 5 s");
    own.wait_text(&place, "supervise.log.wf", "first: no processes to be had");
    stranger.limit(&tree, 1000);
    place.module("first").wait_up(&place);
    own.wait_text(&place, "supervise.log", "is watched again");
    // Once more while it runs: a new root needs a new watch.
    stranger.limit(&tree, 2);
    std::fs::rename(place.root(), place.path().join("away")).unwrap();
    std::fs::create_dir(place.root()).unwrap();
    place.run("second", SLEEP);
    own.wait_text(&place, "supervise.log.wf", "second: no processes to be had");
    let warnings = own.text("supervise.log.wf");
    let told =
        warnings.lines().filter(|line| line.contains("no thread to be had") && line.contains("looking every 5 s"));
    assert_eq!(told.count(), 2, "{warnings}");
    stranger.limit(&tree, 1000);
    place.module("second").wait_up(&place);
    wait_for("the new root to be watched", &place, || own.text("supervise.log").matches("watched again").count() == 2);
    assert!(tree.stop().success());
}
