//! The control group of a service: below the supervisor's own, named after the module.
//!
//! The kernel has no processes in a group that hands controllers on. So before the first limit is set, the supervisor
//! itself, and what it started, moves into a group of its own beside those of the modules.

use super::refuse::{refuse, refuse_for};
use crate::conf::context::cgroup::{Group as Wanted, Memory};
use crate::sys::context::Part;
use crate::sys::context::cgroup::{Group, Hierarchy};
use crate::sys::fnv;
use crate::sys::process::record;
use crate::sys::process::start::StartError;
use crate::sys::{Errno, Pid, errno_text};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The group that the supervisor itself moves into.
const LEAF: &str = ".supervise";

/// Longer names are cut, in bytes: `NAME_MAX` of Linux, and room for what makes a cut one unmistakable.
const NAME_MAX: usize = 255 - 17;

/// The period in which a share of processor time is counted, in microseconds (the kernel's default).
const PERIOD: u64 = 100_000;

/// How long a start waits for what was killed just now.
const EMPTY_WAIT: Duration = Duration::from_millis(500);

/// A group that a service can be started in, and what it lacks.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The group, if there can be one.
    pub group: Option<Group>,
    /// What was asked for and cannot be had, a line each.
    pub warnings: Vec<String>,
}

/// Makes the group of `module`, and sets its limits. `owner` is the status directory, which is noted at the group; with
/// `alone`, what is left in it of an earlier run is killed first.
///
/// # Errors
/// There can be no group, or not with all that was asked for, and it is required; or something is left in it that does not
/// end.
pub fn prepare(wanted: &Wanted, module: &str, owner: &Path, alone: bool) -> Result<Prepared, StartError> {
    if !wanted.has_limits() && !wanted.required && !alone {
        return Ok(Prepared::default());
    }
    let prepared = match make(module, owner) {
        Ok((base, group)) => {
            if alone {
                empty(&group)?;
            }
            let warnings = set_limits(wanted, &base, &group);
            Prepared { group: Some(group), warnings }
        }
        Err(why) => Prepared { group: None, warnings: vec![why] },
    };
    match prepared.warnings.first() {
        Some(why) if wanted.required => {
            // It may have been there before, with something in it; then it stays.
            let _ = prepared.group.as_ref().map(Group::remove);
            Err(refuse(Part::Cgroup, why))
        }
        _ => Ok(Prepared {
            warnings: prepared.warnings.into_iter().map(|why| format!("cgroup: {why}; it runs without")).collect(),
            ..prepared
        }),
    }
}

/// The group of `module` that a process runs in, if it is in one of its own.
pub fn of_process(hierarchy: &Hierarchy, pid: Pid, module: &str, owner: &Path) -> Option<Group> {
    let group = hierarchy.group_of(pid)?;
    let is_named = group.path().file_name().is_some_and(|found| found == name(module).as_str());
    (is_named && group.owner().is_none_or(|noted| noted == owner)).then_some(group)
}

/// The group of `module`, where it is now, if it is that of the service with this status directory.
pub fn of_module(module: &str, owner: &Path) -> Option<Group> {
    let group = base().ok()?.child(&name(module));
    (group.exists() && group.owner().is_some_and(|noted| noted == owner)).then_some(group)
}

/// Kills what is in the group, and waits for it.
fn empty(group: &Group) -> Result<(), StartError> {
    if group.is_populated() != Some(true) {
        return Ok(());
    }
    let failed =
        |error: &io::Error| format!("cannot kill what is left in {}: {}", group.path().display(), errno_text(error));
    group.kill().map_err(|error| refuse(Part::Cgroup, &failed(&error)))?;
    if group.wait_until_empty(EMPTY_WAIT) {
        Ok(())
    } else {
        let text = format!("what is left in {} was killed and has not ended yet", group.path().display());
        Err(refuse_for(Part::Cgroup, Errno::EAGAIN, &text))
    }
}

/// The group below which those of the modules are: ours, or the one around it if we have moved already.
fn base() -> Result<Group, String> {
    let hierarchy = Hierarchy::find().ok_or("version 2 is not mounted")?;
    let own = hierarchy.own().ok_or("our own group cannot be seen from here")?;
    if own.path().file_name().is_some_and(|name| name == LEAF) {
        own.parent().ok_or_else(|| "our own group has none around it".into())
    } else {
        Ok(own)
    }
}

fn make(module: &str, owner: &Path) -> Result<(Group, Group), String> {
    let base = base()?;
    let group = base.child(&name(module));
    let shown = group.path().display();
    let is_new = group.make().map_err(|error| format!("cannot make {shown}: {}", errno_text(&error)))?;
    match group.owner() {
        _ if is_new => {
            // Where it cannot be noted, an empty group is taken again, and no other.
            let _ = group.mark(owner);
        }
        Some(noted) if noted == owner => {}
        Some(noted) => return Err(format!("{shown} is that of the service at {}", noted.display())),
        None if group.is_populated() == Some(false) => drop(group.mark(owner)),
        None => return Err(format!("{shown} is there already, and somebody else's")),
    }
    Ok((base, group))
}

/// Sets all limits, those that are not asked for, too: the group may be an older one. What cannot be set is said.
fn set_limits(wanted: &Wanted, base: &Group, group: &Group) -> Vec<String> {
    let mut warnings = Vec::new();
    for (controller, limits) in [
        (
            "memory",
            vec![("memory_max", "memory.max", wanted.memory_max.map(bytes)), {
                ("memory_high", "memory.high", wanted.memory_high.map(bytes))
            }],
        ),
        ("cpu", vec![("cpu_max", "cpu.max", wanted.cpu_max.map(share))]),
        ("pids", vec![("tasks_max", "pids.max", wanted.tasks_max.map(|tasks| tasks.to_string()))]),
    ] {
        let is_wanted = limits.iter().any(|(_, _, value)| value.is_some());
        if !is_wanted && !base.enabled().iter().any(|enabled| enabled == controller) {
            continue;
        }
        if let Err(why) = enable(base, controller) {
            let asked = limits.iter().filter(|(_, _, value)| value.is_some()).map(|(key, _, _)| *key);
            warnings.push(format!("{}: {why}", asked.collect::<Vec<_>>().join(", ")));
            continue;
        }
        for (key, file, value) in limits {
            if let Err(error) = group.write(file, value.as_deref().unwrap_or("max"))
                && value.is_some()
            {
                warnings.push(format!("{key}: {}: {}", group.path().join(file).display(), errno_text(&error)));
            }
        }
    }
    warnings
}

/// Has the groups of modules have `controller`.
fn enable(base: &Group, controller: &str) -> Result<(), String> {
    // One after another: who moves first moves all.
    static MOVING: Mutex<()> = Mutex::new(());
    let _one = MOVING.lock();
    let has = |all: Vec<String>| all.iter().any(|other| other == controller);
    if has(base.enabled()) {
        return Ok(());
    }
    let shown = base.path().display();
    if !has(base.controllers()) {
        return Err(format!("{shown} has no {controller} controller (is it used by version 1, or not delegated?)"));
    }
    if !base.is_root() {
        move_aside(base).map_err(|error| format!("cannot move out of {shown}: {}", errno_text(&error)))?;
    }
    base.enable(controller).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => format!("{shown} has processes that are not ours, so nothing can be limited below it"),
        _ => format!("cannot hand on the {controller} controller of {shown}: {}", errno_text(&error)),
    })
}

/// Moves us, and what we started, into a group of our own.
fn move_aside(base: &Group) -> io::Result<()> {
    let leaf = base.child(LEAF);
    leaf.make()?;
    leaf.take(None)?;
    let us = Pid::this();
    for pid in base.processes()?.into_iter().filter(|pid| descends_from(*pid, us)) {
        // It may have ended meanwhile.
        let _ = leaf.take(Some(pid));
    }
    Ok(())
}

fn descends_from(mut pid: Pid, ancestor: Pid) -> bool {
    /// Deeper than this, nobody starts processes; a circle can only be seen while numbers are used again.
    const DEPTH: usize = 100;
    for _ in 0..DEPTH {
        match record::parent(pid) {
            Some(parent) if parent == ancestor => return true,
            Some(parent) => pid = parent,
            None => return false,
        }
    }
    false
}

fn bytes(memory: Memory) -> String {
    match memory {
        Memory::Bytes(bytes) => bytes.to_string(),
        Memory::Percent(share) => (crate::sys::memory::total() / 100 * share).to_string(),
    }
}

fn share(hundredths: u64) -> String {
    format!("{} {PERIOD}", PERIOD / 100 * hundredths)
}

/// What the group of `module` is called: a name that no file of the kernel's can have, and no other module's group.
pub fn name(module: &str) -> String {
    let mut name = String::new();
    // The kernel's files have a dot in their names, or are one of a few others, none of which has a dot.
    if module.contains('.') || module.starts_with(['_', '.']) || FILES.contains(&module) {
        name.push('_');
    }
    for letter in module.chars() {
        match letter {
            '/' => name += "%2f",
            '%' => name += "%25",
            other => name.push(other),
        }
    }
    if name.len() <= NAME_MAX {
        return name;
    }
    let end = name.char_indices().map(|(at, _)| at).take_while(|at| *at <= NAME_MAX).last().unwrap_or(0);
    format!("{}~{:016x}", name.get(..end).unwrap_or_default(), fnv::hash(module.as_bytes()))
}

/// Files of version 1 without a dot in their names.
const FILES: [&str; 3] = ["tasks", "notify_on_release", "release_agent"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_collide_neither_with_the_kernels_files_nor_with_each_other() {
        assert_eq!(name("web"), "web");
        assert_eq!(name("web/log"), "web%2flog");
        assert_eq!(name("memory.max"), "_memory.max");
        assert_eq!(name("cgroup.procs"), "_cgroup.procs");
        assert_eq!(name("tasks"), "_tasks");
        let long = "x".repeat(255);
        let modules = ["web", "_web", "web/log", "web%2flog", "a.b", "_a.b", &long, &long[1..], "tasks", "_tasks"];
        let names: HashSet<_> = modules.iter().map(|module| name(module)).collect();
        assert_eq!(names.len(), modules.len());
        assert!(names.iter().all(|name| name.len() <= 255 && name != LEAF));
        assert!(name(&"ä".repeat(200)).len() <= 255);
    }

    #[test]
    fn amounts_are_as_the_kernel_reads_them() {
        assert_eq!(bytes(Memory::Bytes(512 << 20)), "536870912");
        assert!(bytes(Memory::Percent(50)).parse::<u64>().unwrap() > 1 << 20);
        assert_eq!(share(150), "150000 100000");
        assert_eq!(share(1), "1000 100000");
    }

    #[test]
    fn without_a_wish_there_is_no_group() {
        let prepared = prepare(&Wanted::default(), "web", Path::new("/s/web"), false).unwrap();
        assert!(prepared.group.is_none() && prepared.warnings.is_empty());
    }

    #[test]
    fn a_group_is_made_found_emptied_and_left_to_its_owner() {
        let module = format!("supervise-test.{}", std::process::id());
        let owner = Path::new("/status/test");
        let prepared = prepare(&Wanted::default(), &module, owner, true).unwrap();
        let Some(group) = prepared.group else {
            return eprintln!("not tested: {}", prepared.warnings.join("; "));
        };
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let hierarchy = Hierarchy::find().unwrap();
        group.take(Some(pid)).unwrap();
        assert_eq!(of_process(&hierarchy, pid, &module, owner), Some(group.clone()));
        assert_eq!(of_process(&hierarchy, pid, "other", owner), None);
        let other = Path::new("/other/test");
        let refused = prepare(&Wanted { required: true, ..Wanted::default() }, &module, other, false);
        let marked = group.owner().is_some();
        assert!(refused.is_err(), "marked: {marked}");
        if marked {
            assert_eq!(of_module(&module, owner), Some(group.clone()));
            assert_eq!(of_module(&module, other), None);
            let waiting = std::thread::spawn(move || child.wait());
            assert!(prepare(&Wanted::default(), &module, owner, true).unwrap().group.is_some());
            waiting.join().unwrap().unwrap();
            assert_eq!(group.is_populated(), Some(false));
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        group.remove().unwrap();
    }
}
