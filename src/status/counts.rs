//! How often run processes have ended, by how they did: what monitoring tells a crash from a kill by.

use crate::sys::process::pidfd::ExitStatus;
use serde::{Deserialize, Serialize};

/// The ends of a module's run processes. In `state.json` what never happened is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitCounts {
    /// Somebody had asked for it: a stop, a restart, a signal of a command.
    #[serde(skip_serializing_if = "is_zero")]
    pub requested: u64,
    /// Exit code 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub success: u64,
    /// Another exit code.
    #[serde(skip_serializing_if = "is_zero")]
    pub failure: u64,
    /// Killed by a signal.
    #[serde(skip_serializing_if = "is_zero")]
    pub signal: u64,
    /// The same, with a core dump.
    #[serde(skip_serializing_if = "is_zero")]
    pub core: u64,
    /// Nobody saw how.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown: u64,
}

/// For serde, which hands out references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ExitCounts {
    /// Nothing has ended yet.
    pub const NONE: ExitCounts = ExitCounts { requested: 0, success: 0, failure: 0, signal: 0, core: 0, unknown: 0 };

    /// Notes an end.
    pub fn add(&mut self, status: ExitStatus, requested: bool) {
        let count = match status {
            _ if requested => &mut self.requested,
            ExitStatus::Code(0) => &mut self.success,
            ExitStatus::Code(_) => &mut self.failure,
            ExitStatus::Signal { core: true, .. } => &mut self.core,
            ExitStatus::Signal { core: false, .. } => &mut self.signal,
            ExitStatus::Unknown => &mut self.unknown,
        };
        *count = count.saturating_add(1);
    }

    /// The same, and nothing less than in `earlier`.
    pub fn at_least(self, earlier: ExitCounts) -> ExitCounts {
        ExitCounts {
            requested: self.requested.max(earlier.requested),
            success: self.success.max(earlier.success),
            failure: self.failure.max(earlier.failure),
            signal: self.signal.max(earlier.signal),
            core: self.core.max(earlier.core),
            unknown: self.unknown.max(earlier.unknown),
        }
    }

    /// Each with its name.
    pub fn named(self) -> [(&'static str, u64); 6] {
        [
            ("requested", self.requested),
            ("success", self.success),
            ("failure", self.failure),
            ("signal", self.signal),
            ("core", self.core),
            ("unknown", self.unknown),
        ]
    }

    /// Whether nothing has ended yet.
    pub fn is_none(&self) -> bool {
        *self == ExitCounts::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_counts_once_and_is_told_by_its_name() {
        let mut counts = ExitCounts::NONE;
        let killed = |core| ExitStatus::Signal { number: 9, core };
        for status in [ExitStatus::Code(0), ExitStatus::Code(3), killed(false), killed(true), ExitStatus::Unknown] {
            counts.add(status, false);
        }
        counts.add(ExitStatus::Code(0), true);
        assert_eq!(counts.named().map(|(_, count)| count), [1; 6]);
        let json = serde_json::to_value(counts).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 6);
        assert_eq!(serde_json::to_string(&ExitCounts { core: 2, ..ExitCounts::NONE }).unwrap(), r#"{"core":2}"#);
        for (name, count) in counts.named() {
            assert_eq!(json[name], count);
        }
    }
}
