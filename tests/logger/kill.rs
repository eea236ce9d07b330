//! KILL of the logger while lines of all lengths come in writes of all sizes, and old files are compressed and pruned.
//!
//! `LOG_KILLS=200 LOG_LINES=3000000 cargo test --release --test logger kill -- --nocapture` takes minutes.

use super::pipe::{Pipe, Random, number, wait_until};
use std::io::Write;
use std::time::{Duration, Instant};

/// A line: its number, and a length of all magnitudes up to 100 KB, so that each can be checked by itself.
fn line(number: u64, random: &mut Random, into: &mut Vec<u8>) {
    let length = match random.below(20_000) {
        0 => random.below(100_000),
        1..20 => random.below(10_000),
        20..10_000 => random.below(100),
        _ => 0,
    };
    into.extend(number.to_string().bytes());
    if length > 0 {
        into.push(b' ');
        into.extend((0..length).map(|at| b'a' + ((at + number) % 26) as u8));
    }
    into.push(b'\n');
}

fn write_all(mut pipe: std::fs::File, lines: u64, seed: u64) {
    let mut random = Random(seed);
    let (mut waiting, mut sizes) = (Vec::new(), Random(seed + 1));
    for number in 0..lines {
        line(number, &mut random, &mut waiting);
        while waiting.len() > 65_536 || number + 1 == lines && !waiting.is_empty() {
            let size = match sizes.below(4) {
                0 => 1 + sizes.below(40),
                1 => 1 + sizes.below(4000),
                _ => 1 + sizes.below(65_536),
            };
            let size = waiting.len().min(size as usize);
            pipe.write_all(&waiting[..size]).unwrap();
            waiting.drain(..size);
        }
    }
}

/// Every line once, in order, and whole.
fn check(text: &[u8], lines: u64, seed: u64) {
    let mut random = Random(seed);
    let (mut at, mut expected) = (0, Vec::new());
    for number in 0..lines {
        expected.clear();
        line(number, &mut random, &mut expected);
        let there = &text[at..text.len().min(at + expected.len())];
        if there != expected {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
            let before = &text[at.saturating_sub(200)..at];
            panic!("line {number} is {:?}, not {:?}; before it {:?}", shown(there), shown(&expected), shown(before));
        }
        at += expected.len();
    }
    assert_eq!(text.len(), at, "lines that nobody wrote");
}

#[test]
fn kill_loses_tears_and_doubles_nothing() {
    let kills = number("LOG_KILLS", 20);
    let lines = number("LOG_LINES", 20_000 * kills.min(20));
    let seed = number("LOG_SEED", u64::from(std::process::id()) << 8 | 1);
    println!("LOG_SEED={seed}, {kills} kills, {lines} lines");
    let mut pipe = Pipe::new();
    let options = ["--stamp", "none", "--size", "256K", "--keep", "0", "--compress", "gzip"];
    let writer = pipe.writer();
    let writing = std::thread::spawn(move || write_all(writer, lines, seed));
    let mut random = Random(seed + 2);
    let begun = Instant::now();
    let mut done = 0;
    for _ in 0..kills {
        let mut logger = pipe.logger(&options);
        let wait = match random.below(4) {
            0 => random.below(3000),
            _ => random.below(60_000),
        };
        std::thread::sleep(Duration::from_micros(wait));
        assert!(logger.is_running(), "it ended by itself: {}", pipe.errors());
        logger.kill();
        done += u64::from(!writing.is_finished());
    }
    println!("{done} of the KILLs came while lines were written, in {:?}", begun.elapsed());
    let last = pipe.logger(&options);
    wait_until_finished(&writing);
    writing.join().unwrap();
    pipe.let_go();
    pipe.end_without_compressing(last);
    assert_eq!(pipe.errors(), "");
    check(&pipe.text(), lines, seed);
    assert!(done > 0, "no KILL came while lines were written");
}

fn wait_until_finished(writing: &std::thread::JoinHandle<()>) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !writing.is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn kill_within_writes_of_one_byte_loses_nothing() {
    let mut pipe = Pipe::new();
    let mut writer = pipe.writer();
    let text: String = (0..400).map(|number| format!("{number}\n")).collect();
    let expected = text.clone();
    let writing = std::thread::spawn(move || {
        for byte in text.as_bytes() {
            writer.write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    while !writing.is_finished() {
        let logger = pipe.logger(&["--stamp", "none"]);
        std::thread::sleep(Duration::from_millis(5));
        logger.kill();
    }
    let mut last = pipe.logger(&["--stamp", "none"]);
    pipe.let_go();
    wait_until("the end of the logger", || !last.is_running());
    assert_eq!(pipe.lossy(), expected);
}
