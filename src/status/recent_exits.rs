//! Exits in the last minutes: how many, without a wakeup that forgets them.
//!
//! They are kept in steps of 10 seconds of the monotonic clock, so that a service that ends a thousand times a minute needs no
//! more memory than one that never does; whoever reads them later leaves out what is too old by then.

use crate::sys::time::Mono;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds that are counted as one.
const STEP: u64 = 10;

/// So many steps are kept: 5 minutes.
const STEPS: usize = 30;

/// So many exits in 5 minutes make a module flap.
pub const FLAPPING: u64 = 3;

/// The exits of the last 5 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentExits {
    /// The step of the newest, counted from the beginning of the clock.
    newest: u64,
    /// The newest first.
    counts: [u16; STEPS],
}

impl RecentExits {
    /// None.
    pub const NONE: RecentExits = RecentExits { newest: 0, counts: [0; STEPS] };

    /// One more, `now`.
    pub fn add(&mut self, now: Mono) {
        self.add_to_step(step_of(now), 1);
    }

    /// How many there are in the 5 minutes before `now`.
    pub fn count(&self, now: Mono) -> u64 {
        let passed = step_of(now).saturating_sub(self.newest);
        let kept = STEPS.saturating_sub(usize::try_from(passed).unwrap_or(STEPS));
        self.counts[..kept].iter().map(|count| u64::from(*count)).sum()
    }

    fn add_to_step(&mut self, step: u64, more: u16) {
        if step > self.newest {
            let by = usize::try_from(step - self.newest).unwrap_or(STEPS).min(STEPS);
            self.counts.rotate_right(by % STEPS);
            self.counts[..by].fill(0);
            self.newest = step;
        }
        let back = usize::try_from(self.newest - step).unwrap_or(STEPS);
        if let Some(count) = self.counts.get_mut(back) {
            *count = count.saturating_add(more);
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (u64, u16)> + '_ {
        let steps = self.counts.iter().zip(0..).filter(|(count, _)| **count > 0);
        steps.map(|(count, back)| (self.newest.saturating_sub(back).saturating_mul(STEP), *count))
    }
}

fn step_of(at: Mono) -> u64 {
    at.nanoseconds() / 1_000_000_000 / STEP
}

/// Pairs of a second and a count.
impl Serialize for RecentExits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.pairs())
    }
}

impl<'de> Deserialize<'de> for RecentExits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RecentExits, D::Error> {
        let mut pairs: Vec<(u64, u16)> = Vec::deserialize(deserializer)?;
        pairs.sort_unstable();
        let mut recent = RecentExits::NONE;
        pairs.into_iter().for_each(|(second, count)| recent.add_to_step(second / STEP, count));
        Ok(recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn those_of_the_last_five_minutes_count_and_no_older_ones() {
        let mut recent = RecentExits::NONE;
        for second in [1000, 1001, 1100, 1250] {
            recent.add(at(second));
        }
        let counts = [1250, 1295, 1305, 1405, 1560, 99_999].map(|second| recent.count(at(second)));
        assert_eq!(counts, [4, 4, 2, 1, 0, 0]);
    }

    #[test]
    fn what_is_written_is_read_back_and_is_short() {
        let mut recent = RecentExits::NONE;
        for second in [1000, 1001, 1250] {
            recent.add(at(second));
        }
        let text = serde_json::to_string(&recent).unwrap();
        assert_eq!(text, "[[1250,1],[1000,2]]");
        assert_eq!(serde_json::from_str::<RecentExits>(&text).unwrap(), recent);
        assert_eq!(serde_json::to_string(&RecentExits::NONE).unwrap(), "[]");
        assert_eq!(serde_json::from_str::<RecentExits>("[[18446744073709551615,7],[0,1]]").unwrap().count(at(1)), 7);
    }
}
