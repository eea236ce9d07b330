//! `supervise` beside a second program of that name: the same random commands to both, the same states, pids and flags.
//!
//! The second program is whatever `LEGACY_SUPERVISE` names, usually the C program. Without that variable there is nothing
//! to compare, and the test says so and does nothing. `LEGACY_SEQUENCES` says how many sequences there are (20), and
//! `LEGACY_SEED` the number of the first.
//!
//! What differs on purpose is in the table of differences in supervise(8), and is left out here: commands that only one of
//! them knows, adoption (so a process that is left behind is killed before a new supervisor is called), and exits that were
//! asked for, which count in the C program (so the sequences with limits kill the process from outside alone).

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../chaos/random.rs"]
mod random;
mod sequence;
mod side;

use common::host::skipped;
use sequence::{Kind, Step};
use side::Side;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Sequences that run at the same time: they mostly sleep.
const AT_ONCE: usize = 40;

/// After a start, the C program hears nothing for a second.
const STEP: Duration = Duration::from_millis(1600);

/// How long both may take to agree where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(12);

#[test]
fn both_programs_do_the_same() {
    let Some(other) = std::env::var_os("LEGACY_SUPERVISE").map(PathBuf::from) else {
        return skipped("LEGACY_SUPERVISE names no second program to compare with");
    };
    let number = |name, default| match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    };
    let (count, first) = (number("LEGACY_SEQUENCES", 20), number("LEGACY_SEED", 1));
    let seeds: Vec<u64> = (first..first + count).collect();
    let mut differences = Vec::new();
    for some in seeds.chunks(AT_ONCE) {
        let ours = Path::new(env!("CARGO_BIN_EXE_supervise"));
        let threads: Vec<_> = some
            .iter()
            .map(|seed| {
                let (seed, ours, other) = (*seed, ours.to_owned(), other.clone());
                std::thread::spawn(move || compare(seed, &ours, &other))
            })
            .collect();
        differences.extend(threads.into_iter().filter_map(|thread| thread.join().expect("no panic")));
    }
    eprintln!("{count} sequences from {first} on: {} differ", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Runs one sequence on both; what differs, if something does.
fn compare(seed: u64, ours: &Path, other: &Path) -> Option<String> {
    let (kind, steps) = sequence::random(seed);
    let sides = [Side::new(ours, kind), Side::new(other, kind)];
    let mut done = String::new();
    for step in steps {
        done += &format!(" {step}");
        sides.iter().for_each(|side| side.take(step));
        std::thread::sleep(STEP);
        let agree = Instant::now() + PATIENCE;
        loop {
            let [here, there] = sides.each_ref().map(Side::seen);
            if here == there {
                break;
            }
            if Instant::now() > agree {
                let stories = sides.each_ref().map(|side| side.story());
                return Some(format!(
                    "sequence {seed} ({kind:?}):{done}\n  ours:  {here:?}\n  other: {there:?}\n{}\n{}",
                    stories[0], stories[1]
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    None
}

/// The generator makes what it is meant to: each kind, each step, and the same for the same seed.
#[test]
fn sequences_have_all_kinds_and_steps_and_are_repeatable() {
    let all: Vec<(Kind, Vec<Step>)> = (0..300).map(sequence::random).collect();
    for kind in Kind::ALL {
        assert!(all.iter().any(|(found, _)| *found == kind), "{kind:?}");
    }
    for step in Step::ALL {
        assert!(all.iter().any(|(_, steps)| steps.contains(&step)), "{step:?}");
    }
    assert_eq!(sequence::random(7), sequence::random(7));
    assert!(all.iter().all(|(kind, steps)| steps.iter().all(|step| kind.allows(*step))));
}
