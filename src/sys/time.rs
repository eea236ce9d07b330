//! Clocks. All waiting is on the monotonic one; wall-clock time is for stamps that people read.

use chrono::{DateTime, FixedOffset, Offset, Utc};
use nix::time::{ClockId, clock_gettime};
use std::ops::Add;
use std::time::{Duration, SystemTime};

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

    /// As nanoseconds, to be written down.
    pub fn nanoseconds(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// What was written down by [`Mono::nanoseconds`].
    pub const fn from_nanoseconds(nanoseconds: u64) -> Mono {
        Mono(Duration::from_nanos(nanoseconds))
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

/// `CLOCK_BOOTTIME` in nanoseconds: what the kernel stamps a new process with.
pub fn boot_time() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// What the time namespace of this process adds to `CLOCK_BOOTTIME`, in nanoseconds (time_namespaces(7)); `None` if it cannot be
/// read: there are none before Linux 5.6.
pub fn boot_time_offset() -> Option<i64> {
    parse_boot_time_offset(&std::fs::read_to_string("/proc/self/timens_offsets").ok()?)
}

fn parse_boot_time_offset(text: &str) -> Option<i64> {
    let mut words = text.lines().find_map(|line| line.strip_prefix("boottime"))?.split_whitespace();
    let (seconds, nanoseconds): (i64, i64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// Says which boot of the machine this is (`/proc/sys/kernel/random/boot_id`); empty if it cannot be read.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
}

/// The last second that RFC 3339 can write in every time zone, in Unix time: a day before the year 10000.
const LAST_SECOND: i64 = 253_402_300_799 - 86_400;

/// `at` in UTC. What lies before 1970 or after [`LAST_SECOND`], as a clock gone wild or a file that is none of ours may
/// have it, is moved there: chrono panics at times that it cannot hold.
fn utc(at: SystemTime) -> DateTime<Utc> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = i64::try_from(since.as_secs()).unwrap_or(LAST_SECOND).min(LAST_SECOND);
    DateTime::from_timestamp(seconds, since.subsec_nanos()).unwrap_or_default()
}

/// `at` in the machine's time zone, as far as that can be written with four digits for the year.
///
/// The offset comes from the C library, which keeps the zone once for the whole process; chrono's own
/// look-up would keep a copy for each of a thousand threads.
pub fn local(at: SystemTime) -> DateTime<FixedOffset> {
    let utc = utc(at);
    let seconds: libc::time_t = utc.timestamp();
    let mut place = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to memory of ours; localtime_r takes the C library's own lock.
    let done = unsafe { libc::localtime_r(&seconds, place.as_mut_ptr()) };
    // SAFETY: all bytes are zero or what localtime_r wrote, and every field of tm may be zero.
    let offset = if done.is_null() { 0 } else { unsafe { place.assume_init() }.tm_gmtoff };
    let offset = i32::try_from(offset).ok().and_then(FixedOffset::east_opt);
    utc.with_timezone(&offset.unwrap_or(Utc.fix()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_of_the_clock_is_read() {
        let offset = |text| parse_boot_time_offset(text);
        assert_eq!(
            offset("monotonic           0         0\nboottime       86400       500\n"),
            Some(86_400_000_000_500)
        );
        assert_eq!(offset("monotonic  0  0\nboottime  -1  0\n"), Some(-1_000_000_000));
        assert_eq!(offset(""), None);
        assert_eq!(offset("boottime 9223372036854775807 0"), None);
    }

    #[test]
    fn times_that_no_clock_shows_can_be_written_all_the_same() {
        let epoch = SystemTime::UNIX_EPOCH;
        let far = [i64::MAX as u64, 253_402_300_799, 8_210_298_412_799, 8_210_298_412_800];
        for at in far.into_iter().filter_map(|seconds| epoch.checked_add(Duration::from_secs(seconds))) {
            assert_eq!(local(at).to_rfc3339().split('-').next(), Some("9999"), "{at:?}");
        }
        assert!(local(epoch - Duration::from_secs(1)).to_rfc3339().starts_with("19"));
        let recent = epoch + Duration::from_millis(1_700_000_000_123);
        assert_eq!(local(recent).timestamp_millis(), 1_700_000_000_123);
    }
}
