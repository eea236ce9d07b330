//! What a change of a module is, and how it is told: as a line for people, or as an object on a line.

use crate::ctl::format;
use crate::ctl::root::Module;
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::status::module_state::ModuleState;
use crate::status::record::Want;
use crate::status::state::{LastExit, rfc3339};
use serde_json::{Value, json};
use std::time::SystemTime;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How a module is when the stream begins.
    Snapshot,
    /// It has come since, or is different now.
    Change,
    /// Its status directory is gone.
    Gone,
}

impl Kind {
    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Snapshot => "snapshot",
            Kind::Change => "change",
            Kind::Gone => "gone",
        }
    }
}

/// What of a module makes an event when it changes. Times and counters do not: they change with what they count.
#[derive(Clone, Debug, PartialEq)]
pub struct Essence {
    supervised: Supervised,
    state: ModuleState,
    want: Option<Want>,
    pid: Option<u32>,
    ready: Option<bool>,
    alarm: bool,
    last_exit: Option<LastExit>,
    reason: Option<String>,
    /// Where the process was replaced by one with the same number, only this tells.
    restarts: u64,
}

impl Essence {
    /// That of a module as it was seen.
    pub fn of(snapshot: &Snapshot) -> Essence {
        let state = &snapshot.state;
        Essence {
            supervised: snapshot.supervised,
            state: state.state.clone(),
            want: state.want,
            pid: state.pid,
            ready: state.ready,
            alarm: state.alarm,
            last_exit: state.last_exit.clone(),
            reason: state.reason.clone(),
            restarts: state.restarts,
        }
    }

    /// Its state in one word.
    pub fn word(&self) -> &str {
        self.supervised.word(&self.state)
    }
}

/// One line for people: when, which module, how it is now, how it was, and how its last process ended if that is new.
pub fn line(module: &Module, before: Option<&Essence>, snapshot: Option<&Snapshot>, now: SystemTime) -> String {
    let (stamp, name) = (crate::status::log::stamp(now), module.shown());
    let Some(snapshot) = snapshot else { return format!("{stamp} {name}: gone") };
    let essence = Essence::of(snapshot);
    let mut text = match snapshot.supervised {
        Supervised::Yes | Supervised::Stale => format!("{stamp} {name}: {}", snapshot.describe(now)),
        Supervised::No { runs_on: true } => format!("{stamp} {name}: unsupervised, its process runs on"),
        Supervised::No { runs_on: false } | Supervised::Removed | Supervised::NotBegun => {
            format!("{stamp} {name}: {}", format::text(essence.word()))
        }
    };
    if let Some(before) = before {
        if before.word() != essence.word() {
            text += &format!(", was {}", format::text(before.word()));
        }
        if let Some(exit) = essence.last_exit.as_ref().filter(|_| before.last_exit != essence.last_exit) {
            text += &format!("; ended: {}", format::ending(exit));
        }
    }
    text
}

/// The same as an object: the module's `state.json`, and what happened to it when.
pub fn object(
    kind: Kind,
    module: &Module,
    before: Option<&Essence>,
    snapshot: Option<&Snapshot>,
    now: SystemTime,
) -> Value {
    let mut object = snapshot.and_then(|snapshot| snapshot.json(module)).unwrap_or_else(|| json!({}));
    // What only the next supervisor reads says nothing to anybody else.
    if let Some(keys) = object.as_object_mut() {
        keys.remove("memory");
    }
    object["event"] = kind.word().into();
    object["time"] = rfc3339(now).into();
    object["module"] = module.json().into();
    object["previous_state"] = before.map(Essence::word).into();
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::StatusDir;
    use crate::status::state::StateFile;
    use std::time::{Duration, UNIX_EPOCH};

    fn module() -> Module {
        Module { name: "web".into(), dir: StatusDir::new("/nowhere/web") }
    }

    fn up(pid: u32) -> Snapshot {
        let state = StateFile { pid: Some(pid), state: ModuleState::Up, ..StateFile::default() };
        Snapshot { supervised: Supervised::Yes, state, raw: None, changed: None }
    }

    fn text(before: Option<&Snapshot>, now: Option<&Snapshot>) -> String {
        let before = before.map(Essence::of);
        let line = line(&module(), before.as_ref(), now, UNIX_EPOCH);
        line.split_once("web: ").expect("the name").1.to_string()
    }

    #[test]
    fn times_alone_are_no_event() {
        let mut later = up(7);
        later.state.since = "2026-01-01T00:00:00Z".into();
        later.changed = Some(UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(Essence::of(&later), Essence::of(&up(7)));
        later.state.restarts = 1;
        assert_ne!(Essence::of(&later), Essence::of(&up(7)));
    }

    #[test]
    fn a_line_says_what_is_and_what_was() {
        assert_eq!(text(None, Some(&up(7))), "up (pid 7)");
        let mut down = up(7);
        down.state = StateFile {
            state: ModuleState::Failed,
            last_exit: Some(LastExit { code: Some(3), ..LastExit::default() }),
            reason: Some("gave up after 3 restarts".into()),
            ..StateFile::default()
        };
        let told = text(Some(&up(7)), Some(&down));
        assert!(told.starts_with("failed: gave up after 3 restarts, was up; ended: "), "{told}");
        assert_eq!(text(Some(&up(7)), None), "gone");
        let left = Snapshot { supervised: Supervised::No { runs_on: true }, ..up(7) };
        assert_eq!(text(Some(&up(7)), Some(&left)), "unsupervised, its process runs on, was up");
    }

    #[test]
    fn an_object_is_the_state_with_what_happened() {
        let before = Essence::of(&up(7));
        let change = object(Kind::Change, &module(), Some(&before), Some(&up(8)), UNIX_EPOCH);
        assert_eq!((&change["event"], &change["pid"]), (&"change".into(), &8.into()));
        assert_eq!((&change["previous_state"], &change["state"]), (&"up".into(), &"up".into()));
        assert_eq!(change["supervised"], true);
        assert!(change.get("memory").is_none());
        let gone = object(Kind::Gone, &module(), Some(&before), None, UNIX_EPOCH);
        assert_eq!((&gone["event"], &gone["module"]), (&"gone".into(), &"web".into()));
    }

    #[test]
    fn a_reason_cannot_write_to_the_terminal() {
        let mut failed = up(7);
        failed.state.state = ModuleState::Failed;
        failed.state.reason = Some("\x1b[2J".into());
        assert!(!text(None, Some(&failed)).contains('\x1b'));
    }
}
