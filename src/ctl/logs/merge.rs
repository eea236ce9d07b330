//! The lines of several loggers, in the order of the times in front of them.
//!
//! Each logger's own lines stay in their order. Of each, a part is in memory at a time.

use crate::ctl::logs::source::{Reading, Source};
use crate::ctl::logs::time;
use crate::ctl::report::Out;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// One logger's lines that come next. One without a time has that of the line before it.
struct Queue<'a> {
    source: &'a mut Source,
    reading: Reading,
    lines: VecDeque<(Option<i64>, Vec<u8>)>,
    at: Option<i64>,
}

impl Queue<'_> {
    /// The time of the next line; `None` when there is no more.
    fn next_time(&mut self, out: &Out) -> Option<Option<i64>> {
        let (lines, at) = (&mut self.lines, &mut self.at);
        while lines.is_empty() {
            let more = self.source.read_on(&mut self.reading, out, &mut |line| {
                // A clock that was set back puts no line before an earlier one of the same logger.
                *at = time::of_line(line).max(*at);
                lines.push_back((*at, line.to_vec()));
            });
            if !more && lines.is_empty() {
                return None;
            }
        }
        lines.front().map(|(at, _)| *at)
    }
}

/// Hands over all lines of `sources`, each with the number that its source has there, until `each` has enough.
pub fn merge(
    sources: Vec<(&mut Source, Reading)>,
    out: &mut Out,
    each: &mut dyn FnMut(usize, &[u8], &mut Out) -> bool,
) {
    let queue = |(source, reading)| Queue { source, reading, lines: VecDeque::new(), at: None };
    let mut queues: Vec<Queue<'_>> = sources.into_iter().map(queue).collect();
    let mut next = BinaryHeap::new();
    for (number, queue) in queues.iter_mut().enumerate() {
        next.extend(queue.next_time(out).map(|at| Reverse((at, number))));
    }
    while let Some(Reverse((_, number))) = next.pop() {
        let Some(queue) = queues.get_mut(number) else { return };
        let Some((_, line)) = queue.lines.pop_front() else { return };
        if !each(number, &line, out) {
            return;
        }
        next.extend(queue.next_time(out).map(|at| Reverse((at, number))));
    }
}
