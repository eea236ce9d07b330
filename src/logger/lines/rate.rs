//! How many lines a second are written.

use crate::sys::time::Mono;
use std::time::Duration;

/// Counts lines in windows of one second.
#[derive(Debug, Default)]
pub struct Rate {
    /// Lines a second; 0 for as many as there are.
    most: u64,
    window: Option<Mono>,
    lines: u64,
}

const WINDOW: Duration = Duration::from_secs(1);

impl Rate {
    /// At most `most` lines a second; 0 for as many as there are.
    pub fn new(most: u64) -> Rate {
        Rate { most, window: None, lines: 0 }
    }

    /// Whether all lines are written.
    pub fn is_off(&self) -> bool {
        self.most == 0
    }

    /// Whether one more line may be written at `now`.
    pub fn takes(&mut self, now: Mono) -> bool {
        if self.most == 0 {
            return true;
        }
        if self.is_new_window(now) {
            (self.window, self.lines) = (Some(now), 0);
        }
        self.lines += 1;
        self.lines <= self.most
    }

    /// The last line was not written after all.
    pub fn give_back(&mut self) {
        self.lines = self.lines.saturating_sub(1);
    }

    /// Whether the second in which lines were counted is over at `now`, so that what was too much can be said.
    pub fn is_new_window(&self, now: Mono) -> bool {
        self.window.is_none_or(|window| now.since(window) >= WINDOW)
    }

    /// When the second is over in which lines were counted.
    pub fn window_end(&self) -> Option<Mono> {
        self.window.map(|window| window + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_lines() {
        let mut rate = Rate::new(2);
        let at = |milliseconds| Mono(Duration::from_millis(milliseconds));
        let taken: Vec<bool> = [0, 10, 20, 999, 1000, 1001, 1500, 5000].map(|time| rate.takes(at(time))).to_vec();
        assert_eq!(taken, [true, true, false, false, true, true, false, true]);
        assert_eq!(rate.window_end(), Some(at(6000)));
        assert!(Rate::new(0).takes(at(0)));
    }
}
