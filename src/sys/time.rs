//! Clocks. All waiting is on the monotonic one; wall-clock time is for stamps that people read.

use nix::time::{ClockId, clock_gettime};
use std::ops::Add;
use std::time::Duration;

/// A point on `CLOCK_MONOTONIC`, as the time since an unspecified start (on Linux, the boot).
///
/// It is the same clock for all processes of one boot, so it may be written down and compared by a
/// later process, as long as the boot id is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub Duration);

impl Mono {
    /// The present.
    pub fn now() -> Mono {
        // The call fails only for a clock that does not exist; this one has since Linux 2.6.
        Mono(clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from))
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, wait: Duration) -> Mono {
        Mono(self.0.saturating_add(wait))
    }
}

/// Says which boot of the machine this is (`/proc/sys/kernel/random/boot_id`); empty if it cannot be read.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
}
