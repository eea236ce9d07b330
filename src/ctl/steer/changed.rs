//! Whether a command has changed anything, for callers that run it again and again: pure rules over snapshots.

use crate::ctl::snapshot::Snapshot;
use crate::ctl::steer::goal::Goal;
use crate::status::module_state::ModuleState;
use crate::status::record::Want;

/// What a command that was taken has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it was so before, or only looked at.
    #[default]
    Nothing,
    /// Something.
    Something,
    /// Something if the settings that are in force are others than these.
    UnlessSettings([Option<u64>; 2]),
    /// Something if there were other starts than these: it has waited for what is started now, too.
    UnlessStarts(u64),
}

impl Change {
    /// `Something` if `changed`.
    pub fn from(changed: bool) -> Change {
        if changed { Change::Something } else { Change::Nothing }
    }

    /// That of a module that was like `before`, and is to become what `goal` asks for.
    pub fn of_state(goal: Goal, before: &Snapshot) -> Change {
        match (goal, &before.state.state) {
            _ if has_to_change(goal, before) => Change::Something,
            (Goal::Up | Goal::Once, ModuleState::Waiting) => Change::UnlessStarts(before.state.starts),
            _ => Change::Nothing,
        }
    }

    /// That of a module's settings, which were those of `before`.
    pub fn of_settings(before: &Snapshot) -> Change {
        Change::UnlessSettings(settings(before))
    }

    /// Either of both.
    pub fn or(self, changed: bool) -> Change {
        if changed { Change::Something } else { self }
    }

    /// Whether something is different in a module that was last seen like this.
    pub fn has_come(self, last: Option<&Snapshot>) -> bool {
        match self {
            Change::Nothing => false,
            Change::Something => true,
            Change::UnlessStarts(before) => last.is_some_and(|last| last.state.starts != before),
            Change::UnlessSettings(before) => last.is_none_or(|last| settings(last) != before),
        }
    }
}

/// Numbers for the files whose settings are in force.
fn settings(snapshot: &Snapshot) -> [Option<u64>; 2] {
    [snapshot.state.config_hash, snapshot.state.own_config_hash]
}

/// Whether a module that was like `before` has to do anything to become what `goal` asks for.
fn has_to_change(goal: Goal, before: &Snapshot) -> bool {
    let (state, want) = (&before.state.state, before.state.want);
    match goal {
        Goal::NewRun => true,
        Goal::Up => want != Some(Want::Up) || is_affected_by_start(state),
        Goal::Once => want != Some(Want::Once) || is_affected_by_start(state),
        Goal::Down => want != Some(Want::Down) || !(before.is_down() || is_going_down(state)),
        Goal::Taken | Goal::IsUp | Goal::IsDown | Goal::IsReady => false,
    }
}

/// Whether the supervisor does something for a start that is wanted already.
fn is_affected_by_start(state: &ModuleState) -> bool {
    match state {
        ModuleState::Down
        | ModuleState::Done
        | ModuleState::Failed
        | ModuleState::Backoff
        | ModuleState::Unknown(_) => true,
        ModuleState::Waiting
        | ModuleState::Starting
        | ModuleState::Up
        | ModuleState::Ready
        | ModuleState::Unhealthy
        | ModuleState::Reloading
        | ModuleState::Paused
        | ModuleState::Stopping
        | ModuleState::Finishing => false,
    }
}

fn is_going_down(state: &ModuleState) -> bool {
    matches!(state, ModuleState::Stopping | ModuleState::Finishing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::snapshot::Supervised;
    use crate::status::state::StateFile;

    fn seen(state: &str, want: Want) -> Snapshot {
        let running = ["up", "ready", "unhealthy", "paused", "stopping"].contains(&state);
        let state = StateFile {
            state: ModuleState::from_name(state),
            want: Some(want),
            pid: running.then_some(7),
            ..StateFile::default()
        };
        Snapshot { supervised: Supervised::Yes, state, raw: None, changed: None }
    }

    #[test]
    fn what_is_as_it_was_asked_for_is_left_alone() {
        let cases = [
            (Goal::Up, "up", Want::Up, false),
            (Goal::Up, "unhealthy", Want::Up, false),
            (Goal::Up, "waiting", Want::Up, false),
            (Goal::Up, "up", Want::Once, true),
            (Goal::Up, "stopping", Want::Down, true),
            (Goal::Up, "down", Want::Down, true),
            (Goal::Up, "failed", Want::Up, true),
            (Goal::Up, "done", Want::Up, true),
            (Goal::Up, "backoff", Want::Up, true),
            (Goal::Once, "up", Want::Once, false),
            (Goal::Once, "up", Want::Up, true),
            (Goal::Once, "down", Want::Once, true),
            (Goal::Down, "down", Want::Down, false),
            (Goal::Down, "stopping", Want::Down, false),
            (Goal::Down, "stopping", Want::Up, true),
            (Goal::Down, "paused", Want::Down, true),
            // The order to come up is withdrawn, once.
            (Goal::Down, "failed", Want::Up, true),
            (Goal::Down, "failed", Want::Down, false),
            (Goal::Down, "up", Want::Up, true),
            (Goal::Down, "backoff", Want::Up, true),
            (Goal::NewRun, "up", Want::Up, true),
            (Goal::IsUp, "down", Want::Down, false),
        ];
        for (goal, state, want, changed) in cases {
            assert_eq!(has_to_change(goal, &seen(state, want)), changed, "{goal:?} {state} {want:?}");
        }
    }

    #[test]
    fn what_waits_changes_if_it_is_started() {
        let waits = seen("waiting", Want::Up);
        let change = Change::of_state(Goal::Up, &waits);
        assert!(!change.has_come(Some(&waits)) && !change.has_come(None));
        let mut up = seen("up", Want::Up);
        assert_eq!(Change::of_state(Goal::Up, &up), Change::Nothing);
        up.state.starts = 1;
        assert!(change.has_come(Some(&up)));
        assert_eq!(Change::of_state(Goal::Down, &waits), Change::Something);
    }

    #[test]
    fn settings_change_by_what_was_read() {
        let mut before = seen("up", Want::Up);
        before.state.config_hash = Some(1);
        let change = Change::of_settings(&before);
        assert!(!change.has_come(Some(&before)));
        let mut after = before.clone();
        after.state.own_config_hash = Some(2);
        assert!(change.has_come(Some(&after)));
        assert!(Change::Nothing.or(true).has_come(None) && !Change::Nothing.or(false).has_come(None));
    }
}
