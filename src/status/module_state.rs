//! The key `state` of `state.json`: one word for how a module is (supervise-status(5), STATES).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a module is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModuleState {
    /// Nothing runs, and nothing is about to.
    Down,
    /// It waits for other modules that it needs.
    Waiting,
    /// The run process is about to be started: a hook runs first.
    Starting,
    /// The run process runs.
    Up,
    /// It runs, and said that it is ready.
    Ready,
    /// It runs, was ready, and its checks fail.
    Unhealthy,
    /// It runs, and said that it reads its configuration again.
    Reloading,
    /// It runs, and was stopped by `p`.
    Paused,
    /// It was told to end, and has not ended yet.
    Stopping,
    /// It has ended, and `finish` runs.
    Finishing,
    /// The next start waits for its time.
    Backoff,
    /// It ended too often: the supervisor gave up.
    Failed,
    /// It has ended well, and is not to be started again: by its `restart` setting, or a one-shot.
    Done,
    /// A word of a supervisor that is newer than this program, or none at all.
    Unknown(String),
}

impl ModuleState {
    /// Every state that has a word, in the order of a module's life.
    pub const KNOWN: [ModuleState; 13] = [
        ModuleState::Down,
        ModuleState::Waiting,
        ModuleState::Starting,
        ModuleState::Up,
        ModuleState::Ready,
        ModuleState::Unhealthy,
        ModuleState::Reloading,
        ModuleState::Paused,
        ModuleState::Stopping,
        ModuleState::Finishing,
        ModuleState::Backoff,
        ModuleState::Failed,
        ModuleState::Done,
    ];

    /// Its word in `state.json`.
    pub fn name(&self) -> &str {
        match self {
            ModuleState::Down => "down",
            ModuleState::Waiting => "waiting",
            ModuleState::Starting => "starting",
            ModuleState::Up => "up",
            ModuleState::Ready => "ready",
            ModuleState::Unhealthy => "unhealthy",
            ModuleState::Reloading => "reloading",
            ModuleState::Paused => "paused",
            ModuleState::Stopping => "stopping",
            ModuleState::Finishing => "finishing",
            ModuleState::Backoff => "backoff",
            ModuleState::Failed => "failed",
            ModuleState::Done => "done",
            ModuleState::Unknown(word) => word,
        }
    }

    /// The state that `word` names.
    pub fn from_name(word: &str) -> ModuleState {
        let known = ModuleState::KNOWN.iter().find(|state| state.name() == word);
        known.cloned().unwrap_or_else(|| ModuleState::Unknown(word.to_string()))
    }
}

impl Default for ModuleState {
    fn default() -> ModuleState {
        ModuleState::Unknown(String::new())
    }
}

impl Serialize for ModuleState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ModuleState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModuleState, D::Error> {
        Ok(ModuleState::from_name(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_the_manual_has_it() {
        let page = include_str!("../../man/supervise-status.5");
        for state in ModuleState::KNOWN {
            assert_eq!(ModuleState::from_name(state.name()), state);
            assert!(page.contains(&format!("\n.It Cm {}\n", state.name())), "{}", state.name());
        }
    }

    #[test]
    fn a_word_of_the_future_is_kept() {
        let state: ModuleState = serde_json::from_str("\"hibernating\"").unwrap();
        assert_eq!(state, ModuleState::Unknown("hibernating".into()));
        assert_eq!(serde_json::to_string(&state).unwrap(), "\"hibernating\"");
    }
}
