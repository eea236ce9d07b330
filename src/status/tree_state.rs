//! `.supervise-tree/state.json`: what the tree says of itself, for people and for `svctl` (supervise-tree(8)).

use crate::sys::files::file;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;

/// A larger file, in bytes, is none of ours.
const SIZE_MAX: u64 = 4 * 1024 * 1024;

/// The content of the file. Readers ignore keys that they do not know; all may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeState {
    /// Pid of the tree.
    pub pid: u32,
    /// How many programs this process has been: 1, and one more after each upgrade.
    pub generation: u64,
    /// The services root.
    pub root: String,
    /// When this program began, RFC 3339.
    pub started: String,
    /// What came of the last upgrade.
    pub last_upgrade: Option<LastUpgrade>,
    /// Modules for which there was no room, and names in the root that are passed over or lack an executable `run`; and why.
    pub not_begun: Vec<NotBegun>,
    /// Whether it was started with `--container`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub container: bool,
    /// Whether it was given a command, which is the module `main`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub command: bool,
    /// Whether it was started with `--runit-compat`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub runit: bool,
}

/// What came of an upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastUpgrade {
    /// A number that grows with each upgrade.
    pub number: u64,
    /// When, RFC 3339.
    pub at: String,
    /// Why the program was not replaced; null if it was.
    pub failure: Option<String>,
}

/// A module that could not begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotBegun {
    /// Its name.
    pub module: String,
    /// Why.
    pub reason: String,
}

impl TreeState {
    /// The bytes of the file: one line.
    pub fn encode(&self) -> Vec<u8> {
        // Only maps with keys that are no strings make this fail.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads the file at `path`; `None` if it cannot be read, or is no such file. Never waits: it may be a FIFO by now.
    pub fn read(path: &Path) -> Option<TreeState> {
        let mut bytes = Vec::new();
        file::read(path).ok()?.take(SIZE_MAX).read_to_end(&mut bytes).ok()?;
        TreeState::decode(&bytes)
    }

    /// Reads the bytes of the file; `None` if it is none of ours.
    pub fn decode(bytes: &[u8]) -> Option<TreeState> {
        serde_json::from_slice(bytes).ok()
    }

    /// Notes what came of an upgrade at `at`.
    pub fn note_upgrade(&mut self, at: String, failure: Option<String>) {
        let number = self.last_upgrade.as_ref().map_or(0, |last| last.number) + 1;
        self.last_upgrade = Some(LastUpgrade { number, at, failure });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrades_are_counted_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let mut state = TreeState { pid: 7, generation: 1, ..TreeState::default() };
        state.note_upgrade("then".into(), Some("no".into()));
        state.note_upgrade("now".into(), None);
        std::fs::write(&path, state.encode()).unwrap();
        assert_eq!(TreeState::read(&path), Some(state.clone()));
        assert_eq!(state.last_upgrade, Some(LastUpgrade { number: 2, at: "now".into(), failure: None }));
        std::fs::write(&path, "{\"pid\":").unwrap();
        assert_eq!(TreeState::read(&path), None);
    }

    #[test]
    fn the_manual_names_every_key() {
        let page = include_str!("../../man/supervise-tree.8");
        let json = serde_json::to_value(TreeState::default()).unwrap();
        for key in json.as_object().unwrap().keys() {
            assert!(page.contains(&format!("\n.It Cm {key}\n")), "{key}");
        }
    }
}
