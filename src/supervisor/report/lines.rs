//! Lines for the module's log that wait until urgent work is done.

use crate::status::StatusDir;
use log::Level;

/// Lines for the log, oldest first.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Lines(Vec<(Level, String)>);

impl Lines {
    /// Adds a line.
    pub(in crate::supervisor) fn say(&mut self, level: Level, text: String) {
        self.0.push((level, text));
    }

    /// All lines, with the path of `dir` that the caller knows; none waits any more.
    pub(in crate::supervisor) fn take(&mut self, dir: &StatusDir) -> Vec<(Level, String)> {
        let mut lines = std::mem::take(&mut self.0);
        lines.iter_mut().for_each(|(_, text)| *text = dir.shown(std::mem::take(text)));
        lines
    }
}
