//! A tree under random faults: services, loggers and the tree itself are killed, directories come, go and change their
//! names, commands, reloads and upgrades arrive, all of it at any moment. Whenever that stops, every wanted service
//! runs exactly once, nothing else does, the status files are true, and no line is lost or doubled.
//!
//! It takes 30 s; `CHAOS_SECONDS=3600 cargo test --test chaos` takes an hour. It prints its seed when it begins;
//! `CHAOS_SEED=N cargo test --test chaos` does the same things again, in the same order (how fast the tree is at each
//! of them, no seed repeats: try it some times, and on a busy machine). When something is wrong, it prints what was
//! done since all was well last.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

#[path = "chaos/disk.rs"]
mod disk;
#[path = "chaos/faults.rs"]
mod faults;
#[path = "chaos/lines.rs"]
mod lines;
#[path = "chaos/processes.rs"]
mod processes;
#[path = "chaos/random.rs"]
mod random;
#[path = "chaos/relations.rs"]
mod relations;
#[path = "chaos/services.rs"]
mod services;
#[path = "chaos/settle.rs"]
mod settle;
#[path = "chaos/subject.rs"]
mod subject;
#[path = "chaos/world.rs"]
mod world;

use common::Place;
use std::time::{Duration, Instant};
use world::World;

/// How long it takes, in seconds, where the environment does not say it.
const SECONDS: u64 = 30;

/// Most things that are done before all has to come to rest again.
const BURST: usize = 14;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn nothing_is_lost_and_nothing_runs_twice_whatever_happens() {
    let seconds = from_environment("CHAOS_SECONDS").unwrap_or(SECONDS);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let seed = from_environment("CHAOS_SEED").unwrap_or((now % 1_000_000_007) as u64);
    // Past the harness, which would keep it to itself until the test has failed.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("chaos: CHAOS_SEED={seed}, {seconds} s\n"));
    // QUIT is among the commands.
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);

    let place = Place::new();
    let mut world = World::new(&place, seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut rounds, mut actions) = (0, 0);
    while Instant::now() < end {
        world.story_before = std::mem::take(&mut world.story);
        let burst = 1 + world.random.below(BURST);
        (0..burst).for_each(|_| world.act());
        if let Err(problems) = world.settle() {
            fail(&world, seed, rounds, &problems);
        }
        rounds += 1;
        actions += burst;
    }
    world.end_tree();
    world.start_tree();
    if let Err(problems) = world.settle() {
        fail(&world, seed, rounds, &problems);
    }
    world.end_tree();
    let lines: u64 = world.subjects.values().map(|subject| subject.lines.count()).sum();
    let services = world.subjects.len();
    let full = world.disk.as_ref().map_or(0, |disk| disk.times_full);
    let text = format!(
        "chaos: {rounds} rounds, {actions} actions on {services} services, {lines} lines, {full} times a full disk\n"
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    assert!(rounds > 0 && lines > 0);
}

fn fail(world: &World<'_>, seed: u64, round: usize, problems: &[String]) -> ! {
    let told = |story: &[String]| story.join("\n  ");
    let mut text = format!("CHAOS_SEED={seed}, round {round}\nwhat was done before all was at rest last:\n  ");
    text += &format!("{}\nwhat was done since:\n  {}\n", told(&world.story_before), told(&world.story));
    let mut logs = vec![world.place.own()];
    for subject in world.subjects.values() {
        let lines = format!("lines of {}:", subject.design.id);
        // One that is in the root no more had its logs under the name that it had there.
        let name = subject
            .last_name()
            .filter(|name| problems.iter().any(|problem| problem.contains(name) || problem.starts_with(&lines)));
        if name.is_some() && subject.design.logger {
            text += &format!("lines of {} that are missing:\n{}", subject.design.id, subject.lines.gaps());
        }
        logs.extend(name.into_iter().flat_map(|name| [world.module(name), world.module(&format!("{name}/log"))]));
    }
    for (pid, role) in processes::scan(world.place.path()) {
        let leads_to = |number| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
        text += &format!("pid {pid} is {role:?}, input {:?}, output {:?}\n", leads_to(0), leads_to(1));
    }
    let gone = problems.iter().filter_map(|problem| problem.split_once(", which is gone")).map(|(name, _)| name);
    let gone: std::collections::BTreeSet<&str> = gone.collect();
    logs.extend(gone.into_iter().flat_map(|name| [world.module(name), world.module(&format!("{name}/log"))]));
    for module in logs {
        let lines = [tail(&module.text("supervise.log")), tail(&module.text("supervise.log.wf"))].concat();
        text += &format!("--- {}\n{lines}{}", module.dir().display(), module.text("state.json"));
    }
    // Last, for whoever is shown the end alone.
    panic!("{text}\nCHAOS_SEED={seed}, round {round}, wrong is:\n  {}", problems.join("\n  "));
}

/// The last lines of a log.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].iter().map(|line| format!("{line}\n")).collect()
}
