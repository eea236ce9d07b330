//! When a start or a signal is written down: once the processes have had the processors.
//!
//! The kernel lets a parent go on while the new program is still being loaded. What the parent did then (two files and
//! a line in the log cost as much as a third of the start itself) would keep the program from its processor, and, when a
//! thousand services start at once, all others from theirs. So it waits for a lull, but not for long: the log and the
//! status files lag behind by [`STEP`], and while other services are being started or stopped by [`LONGEST`] at most.
//! A process that was told to end has most often ended by then, and one report tells both.

use crate::sys::time::Mono;
use parking_lot::Mutex;
use std::time::Duration;

/// For this long after a start or a signal nothing is written.
const STEP: Duration = Duration::from_millis(5);

/// Past this time it is written, whatever happens to others.
const LONGEST: Duration = Duration::from_millis(500);

/// When any thread last started or signalled a process.
static LAST_ACTION: Mutex<Option<Mono>> = Mutex::new(None);

/// A report that was put off.
#[derive(Clone, Copy, Debug)]
pub struct PutOff {
    since: Mono,
    until: Mono,
}

impl PutOff {
    /// One that begins now.
    pub fn from(now: Mono) -> PutOff {
        PutOff { since: now, until: now + STEP }
    }

    /// When to ask again.
    pub fn until(&self) -> Mono {
        self.until
    }

    /// Whether it is put off no longer.
    pub fn is_over(&mut self, now: Mono) -> bool {
        self.is_over_after(last_action(), now)
    }

    fn is_over_after(&mut self, last_action: Option<Mono>, now: Mono) -> bool {
        if now < self.until {
            return false;
        }
        if now >= self.since + LONGEST || last_action.is_none_or(|last| now >= last + STEP) {
            return true;
        }
        // Eight times as long each time: a thousand threads that looked every few milliseconds would be a storm of their own.
        self.until = (now + 7 * self.until.since(self.since)).min(self.since + LONGEST);
        false
    }
}

/// Tells all others that a process has been started or signalled.
pub fn note_action(now: Mono) {
    *LAST_ACTION.lock() = Some(now);
}

fn last_action() -> Option<Mono> {
    *LAST_ACTION.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono::from_nanoseconds(1_000_000_000);

    fn put_off() -> PutOff {
        PutOff { since: START, until: START + STEP }
    }

    #[test]
    fn alone_it_waits_one_step() {
        let mut alone = put_off();
        assert!(!alone.is_over_after(Some(START), START + STEP / 2));
        assert!(alone.is_over_after(Some(START), START + STEP));
    }

    #[test]
    fn while_others_start_it_waits_longer_and_longer_but_not_for_ever() {
        let mut put_off = put_off();
        let mut looks = 0;
        loop {
            let now = put_off.until();
            if put_off.is_over_after(Some(now), now) {
                break assert_eq!(now, START + LONGEST);
            }
            assert!(put_off.until() > now);
            looks += 1;
        }
        assert!(looks < 4, "{looks}");
    }

    #[test]
    fn a_lull_ends_it() {
        let mut put_off = put_off();
        let now = START + STEP;
        assert!(!put_off.is_over_after(Some(now), now));
        assert!(put_off.is_over_after(Some(now), put_off.until()));
    }
}
