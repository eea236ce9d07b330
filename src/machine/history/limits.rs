//! How often, and how fast, a service may be started again. Pure: time comes in as an argument.

use crate::conf::policy::Policy;
use crate::status::state::{Memory, SavedWindow};
use crate::sys::time::Mono;
use std::time::Duration;

/// Least time from a start that failed to the next try, even where `restart_delay` is 0: unlike a service that
/// ends quickly, such a loop does nothing but burn a processor.
const FAILED_START_DELAY: Duration = Duration::from_millis(100);

/// The first step of a backoff where `restart_delay` is 0, for doubling 0 leads nowhere.
const SMALLEST_BACKOFF: Duration = Duration::from_millis(100);

/// What an exit that nobody asked for means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The exit is within the limits.
    Within {
        /// The exit is the window's first, which is worth an alarm.
        alarm: bool,
    },
    /// All restarts of this window, so many, are used up.
    TooManyRestarts(u32),
    /// The window has this many core dumps, which is the limit.
    TooManyCores(u32),
}

/// The window opens with its first exit and closes `alarm_interval` later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// When the window opened.
    pub opened: Mono,
    /// Exits in the window. Each of them but the last has led to a restart.
    pub exits: u32,
    /// Core dumps in the window.
    pub cores: u32,
}

/// What earlier starts and exits have led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    window: Option<Window>,
    last_start: Option<Mono>,
    /// The delay, if it is longer than `restart_delay` by now.
    backoff: Option<Duration>,
    /// When the next start may come, as of the last exit.
    next: Option<Mono>,
    last_exit: Option<Mono>,
    /// Exits since the count was last reset (`-t`).
    exits: u32,
}

impl Limits {
    /// Nothing has happened yet.
    pub const NONE: Limits =
        Limits { window: None, last_start: None, backoff: None, next: None, last_exit: None, exits: 0 };

    /// A start is being tried.
    pub fn started(&mut self, now: Mono) {
        self.last_start = Some(now);
    }

    /// An exit that counts for the limits.
    pub fn count(&mut self, policy: &Policy, core: bool, now: Mono) -> Verdict {
        let Some(interval) = policy.interval else { return Verdict::Within { alarm: false } };
        let mut window = match self.window {
            Some(window) if now.since(window.opened) < interval => window,
            _ => Window { opened: now, exits: 0, cores: 0 },
        };
        let restarts = window.exits;
        window.exits = window.exits.saturating_add(1);
        window.cores = window.cores.saturating_add(u32::from(core));
        self.window = Some(window);
        if core && policy.max_cores.is_some_and(|most| window.cores >= most) {
            return Verdict::TooManyCores(window.cores);
        }
        if policy.max_tries.is_some_and(|most| restarts >= most) {
            return Verdict::TooManyRestarts(restarts);
        }
        Verdict::Within { alarm: restarts == 0 }
    }

    /// The next exit that counts opens a window.
    pub fn close_window(&mut self) {
        self.window = None;
    }

    /// Counts an exit for the restart hook, whoever requested that exit.
    pub fn count_exit_for_hook(&mut self, count_reset: Option<Duration>, now: Mono) {
        let expired = count_reset.zip(self.last_exit).is_some_and(|(reset, last)| now.since(last) >= reset);
        self.exits = if expired { 1 } else { self.exits.saturating_add(1) };
        self.last_exit = Some(now);
    }

    /// Exits so far, as the restart hook gets it.
    pub fn exits(&self) -> u32 {
        self.exits
    }

    /// When the next start may come after an exit. The delay grows, or falls back after a long life.
    ///
    /// A `requested` exit leaves the delay as it is: a restart by hand must not lengthen it.
    pub fn next_after_exit(&mut self, policy: &Policy, requested: bool, now: Mono) -> Mono {
        let delay = self.delay(policy);
        let next = self.last_start.map_or(now, |start| (start + delay).max(now));
        let grows = policy.delay_max > policy.delay;
        // With a delay of 0 every run would count as long-lived, so a minimum stands in for it.
        let life = if grows && delay.is_zero() { SMALLEST_BACKOFF } else { delay };
        if self.last_start.is_none_or(|start| start + life <= now) {
            self.backoff = None;
        } else if !requested && grows {
            self.backoff = Some(delay.saturating_mul(2).max(SMALLEST_BACKOFF).min(policy.delay_max));
        }
        self.next = Some(next);
        next
    }

    /// When the next start may come after one that failed.
    pub fn next_after_failed_start(&mut self, policy: &Policy, now: Mono) -> Mono {
        let next = self.next_after_exit(policy, false, now).max(now + FAILED_START_DELAY);
        self.next = Some(next);
        next
    }

    /// When the next start may come, as the last exit or failed start left it.
    pub fn next(&self, now: Mono) -> Mono {
        self.next.map_or(now, |next| next.max(now))
    }

    /// When the next start may come if somebody asks for one: `restart_delay` counts, and the backoff ends.
    pub fn next_after_up(&mut self, policy: &Policy, now: Mono) -> Mono {
        self.backoff = None;
        self.last_start.map_or(now, |start| (start + policy.delay).max(now))
    }

    fn delay(&self, policy: &Policy) -> Duration {
        self.backoff.map_or(policy.delay, |backoff| backoff.clamp(policy.delay, policy.delay_max.max(policy.delay)))
    }

    /// Forgets what was counted, but not when the last start was.
    pub fn clear(&mut self) {
        *self = Limits { last_start: self.last_start, ..Limits::default() };
    }

    /// Saves what a later supervisor has to know.
    pub fn remember(&self, memory: &mut Memory) {
        let nanoseconds = |at: Option<Mono>| at.map(Mono::nanoseconds);
        memory.last_start = nanoseconds(self.last_start);
        memory.last_exit = nanoseconds(self.last_exit);
        memory.backoff_delay = self.backoff.and_then(|backoff| u64::try_from(backoff.as_nanos()).ok());
        memory.window = self.window.map(|window| SavedWindow {
            opened: window.opened.nanoseconds(),
            exits: window.exits,
            cores: window.cores,
        });
        memory.exits = self.exits;
    }

    /// Reads what was saved. A time in the future cannot be ours, for somebody has changed the file; it is dropped.
    pub fn recall(memory: &Memory, now: Mono) -> Limits {
        let past = |at: u64| Some(Mono::from_nanoseconds(at)).filter(|at| *at <= now);
        let window = memory
            .window
            .and_then(|saved| Some(Window { opened: past(saved.opened)?, exits: saved.exits, cores: saved.cores }));
        Limits {
            window,
            last_start: memory.last_start.and_then(past),
            backoff: memory.backoff_delay.map(Duration::from_nanos),
            next: None,
            last_exit: memory.last_exit.and_then(past),
            exits: memory.exits,
        }
    }

    /// When the next start may come where the last exit was not seen, but the last start is known.
    pub fn next_after_gap(&self, policy: &Policy, now: Mono) -> Mono {
        self.last_start.map_or(now, |start| (start + self.delay(policy)).max(now))
    }

    /// Restarts in the present window.
    pub fn restarts_in_window(&self) -> u32 {
        self.window.map_or(0, |window| window.exits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(1000 + seconds))
    }

    fn policy() -> Policy {
        Policy {
            interval: Some(Duration::from_secs(60)),
            max_tries: Some(3),
            max_cores: Some(2),
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(1),
            ..Policy::default()
        }
    }

    #[test]
    fn the_exit_after_the_last_allowed_restart_is_given_up() {
        let mut limits = Limits::default();
        let verdicts: Vec<_> = (0..4).map(|second| limits.count(&policy(), false, at(second))).collect();
        let within = |alarm| Verdict::Within { alarm };
        assert_eq!(verdicts, [within(true), within(false), within(false), Verdict::TooManyRestarts(3)]);
    }

    #[test]
    fn the_nth_core_dump_is_given_up() {
        let mut limits = Limits::default();
        assert_eq!(limits.count(&policy(), true, at(0)), Verdict::Within { alarm: true });
        assert_eq!(limits.count(&policy(), false, at(1)), Verdict::Within { alarm: false });
        assert_eq!(limits.count(&policy(), true, at(2)), Verdict::TooManyCores(2));
    }

    #[test]
    fn a_window_closes_its_interval_after_its_first_exit() {
        let mut limits = Limits::default();
        for second in [0, 58, 59] {
            limits.count(&policy(), false, at(second));
        }
        assert_eq!(limits.count(&policy(), false, at(60)), Verdict::Within { alarm: true });
        assert_eq!(limits.restarts_in_window(), 1);
    }

    #[test]
    fn without_an_interval_nothing_is_limited_and_nothing_alarms() {
        let policy = Policy { interval: None, max_tries: Some(1), max_cores: Some(1), ..policy() };
        let mut limits = Limits::default();
        for second in 0..50 {
            assert_eq!(limits.count(&policy, true, at(second)), Verdict::Within { alarm: false });
        }
    }

    #[test]
    fn a_start_waits_for_what_is_left_of_the_delay() {
        let mut limits = Limits::default();
        limits.started(at(0));
        let half = Mono(at(0).0 + Duration::from_millis(500));
        assert_eq!(limits.next_after_exit(&policy(), false, half), at(1));
        assert_eq!(limits.next_after_exit(&policy(), false, at(5)), at(5));
    }

    /// Five runs that end when they begin, and the waits after them, in milliseconds.
    fn ends_at_once(policy: &Policy) -> (Limits, Mono, Vec<u128>) {
        let (mut limits, mut now, mut gaps) = (Limits::default(), at(0), Vec::new());
        for _ in 0..5 {
            limits.started(now);
            let next = limits.next_after_exit(policy, false, now);
            gaps.push(next.since(now).as_millis());
            now = next;
        }
        (limits, now, gaps)
    }

    #[test]
    fn the_delay_doubles_up_to_its_ceiling_and_falls_back_after_a_long_life() {
        let policy = Policy { delay_max: Duration::from_secs(5), ..policy() };
        let (mut limits, now, gaps) = ends_at_once(&policy);
        assert_eq!(gaps, [1000, 2000, 4000, 5000, 5000]);
        limits.started(now);
        let later = now + Duration::from_secs(6);
        assert_eq!(limits.next_after_exit(&policy, false, later), later);
        limits.started(later);
        assert_eq!(limits.next_after_exit(&policy, false, later), later + Duration::from_secs(1));
    }

    #[test]
    fn a_delay_of_0_grows_too() {
        let policy = Policy { delay: Duration::ZERO, delay_max: Duration::from_millis(300), ..policy() };
        let (mut limits, now, gaps) = ends_at_once(&policy);
        assert_eq!(gaps, [0, 100, 200, 300, 300]);
        limits.started(now);
        limits.next_after_exit(&policy, false, now + Duration::from_secs(1));
        limits.started(at(9));
        assert_eq!(limits.next_after_exit(&policy, false, at(9)), at(9));
    }

    #[test]
    fn restarting_by_hand_does_not_grow_the_delay_and_cuts_it_short() {
        let policy = Policy { delay_max: Duration::from_secs(60), ..policy() };
        let mut limits = Limits::default();
        for _ in 0..5 {
            limits.started(at(0));
            assert_eq!(limits.next_after_exit(&policy, true, at(0)), at(1));
        }
        for _ in 0..5 {
            limits.started(at(0));
            limits.next_after_exit(&policy, false, at(0));
        }
        assert_eq!(limits.next_after_up(&policy, at(0)), at(1));
    }

    #[test]
    fn a_failed_start_never_loops_hot() {
        let policy = Policy { delay: Duration::ZERO, delay_max: Duration::ZERO, ..policy() };
        let mut limits = Limits::default();
        limits.started(at(0));
        assert_eq!(limits.next_after_failed_start(&policy, at(0)), at(0) + FAILED_START_DELAY);
        assert_eq!(limits.next_after_exit(&policy, false, at(0)), at(0));
    }

    #[test]
    fn what_is_remembered_is_recalled_and_the_future_is_not_believed() {
        let policy = Policy { delay_max: Duration::from_secs(60), ..policy() };
        let mut limits = Limits::default();
        limits.started(at(0));
        limits.count(&policy, true, at(0));
        limits.count_exit_for_hook(None, at(0));
        limits.next_after_exit(&policy, false, at(0));
        let mut memory = Memory::default();
        limits.remember(&mut memory);
        let recalled = Limits::recall(&memory, at(5));
        assert_eq!(recalled, Limits { next: None, ..limits });
        assert_eq!(recalled.next_after_gap(&policy, at(1)), at(2));
        let before = Mono(Duration::from_secs(5));
        assert_eq!(Limits::recall(&memory, before).next_after_gap(&policy, before), before);
    }

    #[test]
    fn the_hooks_count_begins_anew_after_a_quiet_time() {
        let count_reset = Some(Duration::from_secs(10));
        let mut limits = Limits::default();
        for (second, expected) in [(0, 1), (5, 2), (14, 3), (24, 1)] {
            limits.count_exit_for_hook(count_reset, at(second));
            assert_eq!(limits.exits(), expected);
        }
    }
}
