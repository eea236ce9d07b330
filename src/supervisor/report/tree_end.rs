//! The end of a tree, in an order that lets all services end as soon as can be: first all are signalled, where that is all by
//! the main thread in one go ([`stop_offer`](crate::supervisor::requests::stop_offer)); then each looks whether its process has
//! ended, and what is written of those that have waits for those that have not.
//!
//! To reap a process takes as long as its end does, and to write down what has become of it three times as long. When each of a
//! thousand threads did so at once, that took the processor from those that were still to be signalled, and from processes that
//! were about to end: all were dead after 209 ms, and now are after 136 ms, on two busy processors.

use crate::supervisor::report::deferral::DeferredReport;
use crate::sys::process::pidfd::Pidfd;
use crate::sys::threads::poll::{self, PollSource, Timer};
use crate::sys::time::Mono;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// So few services end at the same time without being in each other's way.
const FEW: usize = 16;

/// Nobody is waited for longer than this, if it has not been signalled ...
const TIMEOUT: Duration = Duration::from_millis(50);

/// ... plus this much for each service, several times what a signal takes.
const TIMEOUT_PER_SERVICE: Duration = Duration::from_micros(100);

/// When none of those that were signalled has ended for so long, those that are left take their time.
const QUIET: Duration = Duration::from_millis(20);

/// What all supervisor threads of a tree know of its end.
#[derive(Debug, Default)]
pub struct TreeEnd {
    has_begun: AtomicBool,
    /// How many services have not been told yet.
    untold: AtomicUsize,
    /// How many have not ended.
    left: AtomicUsize,
    /// Becomes readable when all have been told, or at this time; only if they are many.
    told: OnceLock<(Timer, Mono)>,
}

impl TreeEnd {
    /// The tree ends, and so many services are going to be told.
    pub fn begin(&self, services: usize) {
        self.untold.store(services, Ordering::Relaxed);
        self.left.store(services, Ordering::Relaxed);
        if let (true, Ok(timer)) = (services > FEW, Timer::new()) {
            let timeout = TIMEOUT + TIMEOUT_PER_SERVICE * u32::try_from(services).unwrap_or(u32::MAX);
            timer.set(timeout);
            // It begins once.
            let _ = self.told.set((timer, Mono::now() + timeout));
        }
        self.has_begun.store(true, Ordering::Release);
    }

    /// Whether so many services end that the tree sends by itself what signals it can.
    pub fn signals_by_itself(&self) -> bool {
        self.told.get().is_some()
    }

    /// The tree has signalled these. Waits for their ends, as long as one after the other comes: each wakes its own thread then,
    /// and nothing else takes the processor from those that are left.
    pub fn wait_for(&self, processes: Vec<Arc<Pidfd>>) {
        if let Some((_, latest)) = self.told.get() {
            wait_for(processes, *latest);
        }
    }

    /// Whether the tree is ending.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// One more was told, and its process signalled, if it may be.
    pub fn note_told(&self) {
        if is_last(&self.untold)
            && let Some((timer, _)) = self.told.get()
        {
            timer.set(Duration::from_nanos(1));
        }
    }

    /// What to wait for before it is worth to look whether a process has ended.
    pub fn until_all_are_told(&self) -> Option<PollSource<'_>> {
        let (timer, latest) = self.told.get()?;
        let waits = self.untold.load(Ordering::Relaxed) > 0 && Mono::now() < *latest;
        waits.then(|| PollSource::Readable(timer.as_fd()))
    }

    /// One more has ended, of which `report` tells. With the last one, nothing is waited for any more.
    pub fn note_ended(&self, report: &DeferredReport) {
        if is_last(&self.left) {
            report.let_all_be_written();
        }
    }
}

/// Waits until these have ended, as long as one after the other does, in whatever order.
fn wait_for(mut processes: Vec<Arc<Pidfd>>, latest: Mono) {
    while let Some(last) = processes.last() {
        let until = latest.min(Mono::now() + QUIET);
        if poll::wait([Some(PollSource::Readable((**last).as_fd()))], Some(until)) == [true] {
            processes.pop();
            continue;
        }
        let before = processes.len();
        processes.retain(|process| !process.has_ended());
        if processes.len() == before || Mono::now() >= latest {
            return;
        }
    }
}

/// Counts one less; whether it was the last.
fn is_last(number: &AtomicUsize) -> bool {
    number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| number.checked_sub(1)) == Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes(source: PollSource<'_>, limit: Duration) -> bool {
        poll::wait([Some(source)], Some(Mono::now() + limit)) == [true]
    }

    #[test]
    fn nobody_looks_before_all_are_told_if_they_are_many() {
        let few = TreeEnd::default();
        few.begin(FEW);
        assert!(few.has_begun() && few.until_all_are_told().is_none());
        let end = TreeEnd::default();
        assert!(!end.has_begun() && end.until_all_are_told().is_none());
        // So many that the test is not too slow for them.
        end.begin(100_000);
        for _ in 1..100_000 {
            end.note_told();
        }
        let source = end.until_all_are_told().expect("one is to come");
        assert!(!comes(source, Duration::ZERO));
        end.note_told();
        assert!(comes(source, Duration::from_secs(2)));
        assert!(end.until_all_are_told().is_none());
        // Whoever has not been counted changes nothing.
        end.note_told();
        assert!(end.until_all_are_told().is_none());
    }

    #[test]
    fn who_is_never_told_is_not_waited_for() {
        let end = TreeEnd::default();
        end.begin(FEW + 1);
        let source = end.until_all_are_told().expect("all are to come");
        assert!(comes(source, Duration::from_secs(20)));
        assert!(end.until_all_are_told().is_none());
    }

    #[test]
    fn who_takes_long_to_end_is_not_waited_for() {
        let few = TreeEnd::default();
        few.begin(FEW);
        assert!(!few.signals_by_itself());
        let end = TreeEnd::default();
        end.begin(100_000);
        assert!(end.signals_by_itself());
        let mut children = ["0", "1000"].map(|time| std::process::Command::new("sleep").arg(time).spawn().unwrap());
        let pid = |child: &std::process::Child| crate::sys::Pid::from_raw(child.id().cast_signed());
        let processes = children.iter().map(|child| Arc::new(Pidfd::open(pid(child)).unwrap())).collect();
        let began = Mono::now();
        end.wait_for(processes);
        assert!(Mono::now().since(began) >= QUIET);
        for child in &mut children {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }
}
