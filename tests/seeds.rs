//! Every seed of the fuzzers, through what they assert, with the stable toolchain and the programs as they are.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

#[path = "fuzz/checks/mod.rs"]
mod checks;

use std::path::Path;

#[test]
fn every_seed_of_every_fuzzer_passes() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for (name, check) in checks::ALL {
        let all: Vec<_> = std::fs::read_dir(seeds.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!all.is_empty(), "no seed for {name}");
        for seed in all {
            let bytes = std::fs::read(&seed).unwrap();
            check(&bytes);
            // Cut off and damaged in one place each, as a disk leaves it.
            for place in 0..bytes.len() {
                check(&bytes[..place]);
                let mut damaged = bytes.clone();
                damaged[place] ^= 0x15;
                check(&damaged);
            }
        }
    }
}

/// A target without a seed, or a seed for nobody, is a slip.
#[test]
fn every_folder_of_seeds_has_its_fuzzer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let names = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let known: Vec<_> = checks::ALL.iter().map(|(name, _)| std::ffi::OsString::from(name)).collect();
    assert_eq!(names("seeds"), known);
    assert_eq!(names("targets"), known);
}
