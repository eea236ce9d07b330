//! How a module does, in one word, for whoever asks whether somebody has to look at it.

use crate::ctl::snapshot::{Snapshot, SnapshotError, Supervised};
use crate::status::module_state::ModuleState;
use crate::status::record::Want;

/// How a module does, in the order in which the table shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Gave up.
    Failed,
    /// Ends again and again, whatever it does just now.
    Flapping,
    /// Nobody supervises it, though somebody should.
    Unsupervised,
    /// What its files say is over.
    Stale,
    /// We may not look.
    Denied,
    /// Waits for its next start.
    Backoff,
    /// Another supervisor would not find what runs.
    Unrecorded,
    /// There is no room on the disk for what its files tell.
    DiskFull,
    /// Up, and its checks fail.
    Unhealthy,
    /// Waits for modules that it needs.
    Waiting,
    /// On its way up or down, or in a state that we do not know.
    Changing,
    /// Paused.
    Paused,
    /// Down, though it is wanted up.
    NotUp,
    /// Down, as it is wanted.
    Down,
    /// Done, and not to be started again.
    Done,
    /// Up.
    Up,
    /// The service was removed, and this is left of it.
    Removed,
}

impl Health {
    /// How `seen` does; `None` for one that vanished while we looked.
    pub fn of(seen: &Result<Snapshot, SnapshotError>) -> Option<Health> {
        let snapshot = match seen {
            Ok(snapshot) => snapshot,
            Err(SnapshotError::Gone) => return None,
            Err(SnapshotError::Denied(_)) => return Some(Health::Denied),
        };
        let health = match snapshot.supervised {
            Supervised::Removed => Health::Removed,
            Supervised::No { .. } => Health::Unsupervised,
            Supervised::NotBegun => Health::Failed,
            Supervised::Stale => Health::Stale,
            Supervised::Yes if snapshot.state.state == ModuleState::Unhealthy => Health::Unhealthy,
            Supervised::Yes if snapshot.is_flapping() => Health::Flapping,
            Supervised::Yes if snapshot.is_up() => Health::Up,
            Supervised::Yes => match snapshot.state.state {
                ModuleState::Failed => Health::Failed,
                ModuleState::Backoff => Health::Backoff,
                ModuleState::Paused => Health::Paused,
                ModuleState::Done => Health::Done,
                ModuleState::Down if snapshot.state.want == Some(Want::Down) => Health::Down,
                ModuleState::Down => Health::NotUp,
                ModuleState::Waiting => Health::Waiting,
                ModuleState::Unhealthy => Health::Unhealthy,
                ModuleState::Starting
                | ModuleState::Reloading
                | ModuleState::Up
                | ModuleState::Ready
                | ModuleState::Stopping
                | ModuleState::Finishing
                | ModuleState::Unknown(_) => Health::Changing,
            },
        };
        // What its files lack is told of one that does well otherwise.
        let files_alone = snapshot.supervised == Supervised::Yes && health.is_as_wanted();
        Some(match health {
            _ if files_alone && snapshot.state.unrecorded.is_some() => Health::Unrecorded,
            _ if files_alone && snapshot.state.disk_full => Health::DiskFull,
            health => health,
        })
    }

    /// Whether it is as it is wanted: nobody has to look at it.
    pub fn is_as_wanted(self) -> bool {
        match self {
            Health::Down | Health::Done | Health::Up | Health::Removed => true,
            Health::Failed
            | Health::Flapping
            | Health::Unsupervised
            | Health::Stale
            | Health::Denied
            | Health::Backoff
            | Health::Unrecorded
            | Health::DiskFull
            | Health::Unhealthy
            | Health::Waiting
            | Health::Changing
            | Health::Paused
            | Health::NotUp => false,
        }
    }

    /// The colour of its state, as SGR parameters.
    pub fn colour(self) -> &'static str {
        match self {
            Health::Failed | Health::Flapping | Health::Unsupervised | Health::Stale | Health::Denied => "1;31",
            Health::Unrecorded
            | Health::DiskFull
            | Health::Backoff
            | Health::Waiting
            | Health::Changing
            | Health::Paused => "33",
            Health::NotUp | Health::Unhealthy => "1;31",
            Health::Down => "35",
            Health::Up | Health::Done => "32",
            Health::Removed => "2",
        }
    }

    /// Its name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Health::Failed => "failed",
            Health::Flapping => "flapping",
            Health::Unsupervised => "not supervised",
            Health::Stale => "stale",
            Health::Denied => "not readable",
            Health::Backoff => "in backoff",
            Health::Unhealthy => "unhealthy",
            Health::Unrecorded => "not recorded",
            Health::Waiting => "waiting",
            Health::Changing => "changing",
            Health::Paused => "paused",
            Health::NotUp => "not up",
            Health::Down => "down",
            Health::Done => "done",
            Health::Up => "up",
            Health::Removed => "removed",
            Health::DiskFull => "on a full disk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::state::StateFile;

    #[test]
    fn what_a_next_supervisor_would_not_find_is_not_as_it_is_wanted() {
        let health = |unrecorded: Option<&str>, disk_full, supervised| {
            let unrecorded = unrecorded.map(str::to_string);
            let state =
                StateFile { pid: Some(1), state: ModuleState::Up, unrecorded, disk_full, ..StateFile::default() };
            Health::of(&Ok(Snapshot { supervised, state, raw: None, changed: None }))
        };
        assert_eq!(health(None, false, Supervised::Yes), Some(Health::Up));
        assert_eq!(health(None, true, Supervised::Yes), Some(Health::DiskFull));
        assert_eq!(health(Some("no space"), true, Supervised::Yes), Some(Health::Unrecorded));
        assert_eq!(health(Some("no space"), false, Supervised::Yes), Some(Health::Unrecorded));
        assert!(!Health::Unrecorded.is_as_wanted());
        assert_eq!(health(Some("no space"), false, Supervised::Removed), Some(Health::Removed));
    }
}
