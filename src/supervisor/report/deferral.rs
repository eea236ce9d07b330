//! Reports of starts and signals are put off until the machine is quiet.
//!
//! After `clone`, the kernel lets the parent run on while the new program is still being loaded. Writing two files and a log
//! line at that moment costs a third of the start itself, and takes the processor from the new program; when a thousand
//! services start at once, from all of them. So a report waits until no service has been started or signalled for
//! [`QUIET_PERIOD`].
//!
//! The delay is bounded. The log and the status files lag behind by [`QUIET_PERIOD`]; while other services start or stop, by
//! at most [`MAX_DELAY`] and [`MAX_DELAY_PER_WAITER`] for each report that waits. A process that was told to end has usually
//! ended by then, and one report tells both. A command is never put off, for who has given it waits for the report. A change of what is wanted waits for [`QUIET_PERIOD`] only: if we were killed,
//! nobody else could find it out.
//!
//! One timer serves all threads. When each thread looked by itself, three looks a thread took a tenth of the start of a
//! thousand services.

use crate::sys::threads::poll::{PollSource, Timer};
use crate::sys::time::Mono;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The machine is quiet when no service was started or signalled for this long.
const QUIET_PERIOD: Duration = Duration::from_millis(5);

/// When the tree ends, it is when no service was signalled and none has ended for this long: nobody needs to know before, and on a
/// machine with much to do, threads that are to signal come later than [`QUIET_PERIOD`] one after another.
const QUIET_PERIOD_AT_END: Duration = Duration::from_millis(50);

/// A report waits no longer than this, whatever happens to other services ...
const MAX_DELAY: Duration = Duration::from_millis(500);

/// ... plus this much for each report that waits, which is a little more than a start takes: when thousands are started, the
/// first reports come after the last start.
const MAX_DELAY_PER_WAITER: Duration = Duration::from_micros(400);

/// The timer is not set again within this time, so the quiet period may be that much shorter.
const TIMER_GRANULARITY: Duration = Duration::from_millis(1);

/// How many reports wait.
static WAITING: AtomicU32 = AtomicU32::new(0);

/// A report that was put off.
#[derive(Debug)]
pub struct DeferredReport {
    quiet: Option<&'static QuietTimer>,
    since: Mono,
}

impl DeferredReport {
    /// One for a process that was started or signalled just now.
    pub fn from(now: Mono) -> DeferredReport {
        // If there is no descriptor for the timer, each report waits for its own deadline.
        static TIMER: OnceLock<Option<QuietTimer>> = OnceLock::new();
        WAITING.fetch_add(1, Ordering::Relaxed);
        DeferredReport { quiet: TIMER.get_or_init(QuietTimer::new).as_ref(), since: now }
    }

    /// Notes that one more service was started or signalled: all waiting reports wait for a new quiet period, which is longer
    /// when the tree `ends`.
    pub fn note_action(&self, now: Mono, ends: bool) {
        if let Some(quiet) = self.quiet {
            quiet.note_action(now, if ends { QUIET_PERIOD_AT_END } else { QUIET_PERIOD });
        }
    }

    /// Nobody is to be started or signalled any more.
    pub fn let_all_be_written(&self) {
        if let Some(quiet) = self.quiet {
            quiet.timer.set(Duration::from_nanos(1));
        }
    }

    /// What to wait for.
    pub fn source(&self) -> Option<PollSource<'static>> {
        self.quiet.map(|quiet| PollSource::Readable(quiet.timer.as_fd()))
    }

    /// The earliest time for this report, quiet or not.
    pub fn earliest(&self) -> Mono {
        self.since + QUIET_PERIOD
    }

    /// The latest time for this report; each report that waits moves it.
    pub fn latest(&self) -> Mono {
        match self.quiet {
            Some(_) => self.since + MAX_DELAY + MAX_DELAY_PER_WAITER * WAITING.load(Ordering::Relaxed),
            None => self.earliest(),
        }
    }
}

impl Drop for DeferredReport {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The timer that runs out when nothing has happened for a while.
#[derive(Debug)]
struct QuietTimer {
    timer: Timer,
    /// When it was last set, in nanoseconds of the monotonic clock.
    set: AtomicU64,
}

impl QuietTimer {
    fn new() -> Option<QuietTimer> {
        Some(QuietTimer { timer: Timer::new().ok()?, set: AtomicU64::new(0) })
    }

    fn note_action(&self, now: Mono, period: Duration) {
        let now = now.nanoseconds();
        if now.saturating_sub(self.set.load(Ordering::Relaxed)) >= TIMER_GRANULARITY.as_nanos() as u64 {
            self.set.store(now, Ordering::Relaxed);
            self.timer.set(period);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::threads::poll;

    fn wait(quiet: &QuietTimer, limit: Duration) -> Option<Duration> {
        let began = Mono::now();
        let [over] = poll::wait([Some(PollSource::Readable(quiet.timer.as_fd()))], Some(began + limit));
        over.then(|| Mono::now().since(began))
    }

    #[test]
    fn it_comes_when_nothing_has_happened_for_a_while_and_all_are_told() {
        let quiet = QuietTimer::new().unwrap();
        assert_eq!(wait(&quiet, Duration::ZERO), None, "nothing has happened yet");
        quiet.note_action(Mono::now(), QUIET_PERIOD);
        assert!(wait(&quiet, Duration::from_secs(20)).unwrap() >= QUIET_PERIOD / 2);
        assert!(wait(&quiet, Duration::ZERO).is_some(), "whoever looks later is told, too");
    }

    #[test]
    fn what_happens_meanwhile_puts_it_off() {
        let quiet = QuietTimer::new().unwrap();
        let began = Mono::now();
        let mut last = began;
        while last < began + 4 * QUIET_PERIOD {
            last = Mono::now();
            quiet.note_action(last, QUIET_PERIOD);
            // On a machine that stands still for longer than QUIET_PERIOD, a wake-up is right.
            if wait(&quiet, Duration::ZERO).is_some() {
                assert!(Mono::now() + TIMER_GRANULARITY >= last + QUIET_PERIOD);
            }
        }
        assert!(wait(&quiet, Duration::from_secs(20)).is_some());
        assert!(Mono::now() + TIMER_GRANULARITY >= last + QUIET_PERIOD);
    }

    #[test]
    fn without_a_timer_it_waits_for_itself_alone() {
        let now = Mono::now();
        let mut alone = DeferredReport::from(now);
        alone.quiet = None;
        assert!(alone.source().is_none());
        assert_eq!(alone.latest(), now + QUIET_PERIOD);
    }

    #[test]
    fn the_more_wait_the_longer() {
        let now = Mono::now();
        let first = DeferredReport::from(now);
        let alone = first.latest();
        assert!(alone > now + MAX_DELAY);
        let others: Vec<DeferredReport> = (0..100).map(|_| DeferredReport::from(now)).collect();
        assert!(first.latest() >= now + MAX_DELAY + 101 * MAX_DELAY_PER_WAITER);
        drop(others);
        // Other tests may start something meanwhile, but not so many.
        assert!(first.latest() < now + MAX_DELAY + 100 * MAX_DELAY_PER_WAITER);
    }
}
