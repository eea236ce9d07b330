//! Lines through a renderer, whatever it was told: each is written, passed or counted once, and what is written ends with a
//! newline.

use std::time::Duration;
use supervise_tree::logger::journal::layout::Counters;
use supervise_tree::logger::lines::render::{Renderer, Room, Step, View};
use supervise_tree::sys::time::Mono;

const LINES: &[u8] = b"one\n\nan error 7\n\0\xff\"\\\n-*debug*\nno end";

/// Asserts it.
pub fn check(mut renderer: Renderer) {
    let (mut at, mut counters) = (0, Counters::default());
    let view = View { is_last: true, is_full: false };
    let room = Room { left: u64::MAX, is_empty: true };
    // One step for each line, and one for a word about those that were left out.
    for _ in 0..8 {
        let (taken, after) = match renderer.step(&LINES[at..], counters, view, room, Mono(Duration::from_secs(9))) {
            Step::Wait => break,
            Step::Write(taken, after) => {
                assert_eq!(renderer.out().last(), Some(&b'\n'));
                (taken, after)
            }
            Step::Pass(taken, after) | Step::AsTheyAre(taken, after) => (taken, after),
            step @ (Step::Long(..) | Step::Rotate) => panic!("no line is long, and the file has room: {step:?}"),
        };
        (at, counters) = (at + taken, after);
    }
    assert_eq!((at, counters.lines), (LINES.len(), 6));
}
