//! When a start or a signal is written down: once the processes have had the processors.
//!
//! The kernel lets a parent go on while the new program is still being loaded. What the parent did then (two files and
//! a line in the log cost as much as a third of the start itself) would keep the program from its processor, and, when a
//! thousand services start at once, all others from theirs. So it waits for a lull, which is when no process has been
//! started or signalled for [`STEP`], but not for long: the log and the status files lag behind by that, and while other
//! services are being started or stopped by [`LONGEST`] and [`EACH`] for every report that waits, at most. A process that
//! was told to end has most often ended by then, and one report tells both. Only what is wanted is never written later than
//! after a [`STEP`]: nobody could find that out if we were killed.
//!
//! One timer tells all threads of the lull. A thread that looked by itself, now and then, whether it has come would take
//! the processor from the others each time: three looks a thread were a tenth of the start of a thousand services.

use crate::sys::poll::{Source, Timer};
use crate::sys::time::Mono;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// For this long after a start or a signal nothing is written.
const STEP: Duration = Duration::from_millis(5);

/// Past this time it is written, whatever happens to others ...
const LONGEST: Duration = Duration::from_millis(500);

/// ... and so much later for each that waits: as long as its start took, or a little longer. So when thousands are started,
/// the first reports come when the last have been.
const EACH: Duration = Duration::from_micros(400);

/// The timer is not set anew for what happens within this time: then a lull is that much shorter.
const COARSENESS: Duration = Duration::from_millis(1);

/// How many reports wait.
static WAITING: AtomicU32 = AtomicU32::new(0);

/// A report that was put off.
#[derive(Debug)]
pub struct PutOff {
    lull: Option<&'static Lull>,
    since: Mono,
}

impl PutOff {
    /// One for a process that was started or signalled just now.
    pub fn from(now: Mono) -> PutOff {
        // Without a descriptor for the timer, each report waits for itself alone.
        static LULL: OnceLock<Option<Lull>> = OnceLock::new();
        WAITING.fetch_add(1, Ordering::Relaxed);
        PutOff { lull: LULL.get_or_init(Lull::new).as_ref(), since: now }
    }

    /// Tells all others that one more has been started or signalled.
    pub fn note_action(&self, now: Mono) {
        if let Some(lull) = self.lull {
            lull.note_action(now);
        }
    }

    /// What to wait for.
    pub fn source(&self) -> Option<Source<'static>> {
        self.lull.map(|lull| Source::Readable(lull.timer.as_fd()))
    }

    /// Until when at the least, whether there is a lull or not.
    pub fn least(&self) -> Mono {
        self.since + STEP
    }

    /// Until when at the most; the more others come to wait, the later.
    pub fn most(&self) -> Mono {
        match self.lull {
            Some(_) => self.since + LONGEST + EACH * WAITING.load(Ordering::Relaxed),
            None => self.least(),
        }
    }
}

impl Drop for PutOff {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The timer that runs out when nothing has happened for a while.
#[derive(Debug)]
struct Lull {
    timer: Timer,
    /// When it was last set, in nanoseconds of the monotonic clock.
    set: AtomicU64,
}

impl Lull {
    fn new() -> Option<Lull> {
        Some(Lull { timer: Timer::new().ok()?, set: AtomicU64::new(0) })
    }

    fn note_action(&self, now: Mono) {
        let now = now.nanoseconds();
        if now.saturating_sub(self.set.load(Ordering::Relaxed)) >= COARSENESS.as_nanos() as u64 {
            self.set.store(now, Ordering::Relaxed);
            self.timer.set(STEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll;

    fn wait(lull: &Lull, limit: Duration) -> Option<Duration> {
        let began = Mono::now();
        let [over] = poll::wait([Some(Source::Readable(lull.timer.as_fd()))], Some(began + limit));
        over.then(|| Mono::now().since(began))
    }

    #[test]
    fn it_comes_when_nothing_has_happened_for_a_while_and_all_are_told() {
        let lull = Lull::new().unwrap();
        assert_eq!(wait(&lull, Duration::ZERO), None, "nothing has happened yet");
        lull.note_action(Mono::now());
        assert!(wait(&lull, Duration::from_secs(20)).unwrap() >= STEP / 2);
        assert!(wait(&lull, Duration::ZERO).is_some(), "whoever looks later is told, too");
    }

    #[test]
    fn what_happens_meanwhile_puts_it_off() {
        let lull = Lull::new().unwrap();
        let began = Mono::now();
        let mut last = began;
        while last < began + 4 * STEP {
            last = Mono::now();
            lull.note_action(last);
            // On a machine that stands still for longer than a lull, one has come rightly.
            if wait(&lull, Duration::ZERO).is_some() {
                assert!(Mono::now() + COARSENESS >= last + STEP);
            }
        }
        assert!(wait(&lull, Duration::from_secs(20)).is_some());
        assert!(Mono::now() + COARSENESS >= last + STEP);
    }

    #[test]
    fn without_a_timer_it_waits_for_itself_alone() {
        let now = Mono::now();
        let mut alone = PutOff::from(now);
        alone.lull = None;
        assert!(alone.source().is_none());
        assert_eq!(alone.most(), now + STEP);
    }

    #[test]
    fn the_more_wait_the_longer() {
        let now = Mono::now();
        let first = PutOff::from(now);
        let alone = first.most();
        assert!(alone > now + LONGEST);
        let others: Vec<PutOff> = (0..100).map(|_| PutOff::from(now)).collect();
        assert!(first.most() >= now + LONGEST + 101 * EACH);
        drop(others);
        // Other tests may start something meanwhile, but not so many.
        assert!(first.most() < now + LONGEST + 100 * EACH);
    }
}
