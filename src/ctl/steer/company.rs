//! Whom a command concerns beside the modules that were named: what a start needs, and what a stop stops first.

use crate::conf::relations::Id;
use crate::ctl::error::CtlError;
use crate::ctl::order::known::Known;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::status::module_state::ModuleState;
use crate::status::record::Want;
use std::collections::HashSet;
use std::ffi::OsString;

/// Whom a command concerns, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Nobody.
    Nobody,
    /// What the modules need is started before them.
    Needed,
    /// Those that need the modules stop before them; the words say how that is told.
    Dependents(&'static str),
}

/// A module that gets the command, and what is said beside its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The module.
    pub module: Module,
    /// `needed by web`, `stopped with it: app, web`.
    pub note: Option<String>,
    /// The modules that the note names.
    pub with: Vec<String>,
}

impl Member {
    /// One to which nothing is to be said.
    pub fn alone(module: Module) -> Member {
        Member { module, note: None, with: Vec::new() }
    }

    /// What is said of it, with the note.
    pub fn told(&self, text: String) -> String {
        match &self.note {
            Some(note) => format!("{text}; {note}"),
            None => text,
        }
    }
}

/// All that get a command.
#[derive(Debug, Default)]
pub struct Company {
    /// In the order in which they get it.
    pub members: Vec<Member>,
    /// The order of all modules, where it had to be looked at.
    pub known: Option<Known>,
}

/// Those that get a command for `modules`. Modules that have nothing to do with others cost a start no look at any other.
///
/// # Errors
/// The status root cannot be read.
pub fn gather(root: &StatusRoot, modules: Vec<Module>, along: Along) -> Result<Company, CtlError> {
    let needs = |module: &Module| Snapshot::read_now(module).is_ok_and(|snapshot| !snapshot.state.needs.is_empty());
    let has_to_look = match along {
        Along::Nobody => false,
        Along::Needed => modules.iter().any(needs),
        Along::Dependents(_) => true,
    };
    let known = if has_to_look { Some(Known::read(root)?) } else { None };
    let members = match (&known, along) {
        (Some(known), Along::Needed) => with_needed(known, modules),
        (Some(known), Along::Dependents(told)) => with_dependents(known, modules, told),
        (Some(_), Along::Nobody) | (None, _) => modules.into_iter().map(Member::alone).collect(),
    };
    Ok(Company { members, known })
}

/// What is needed and does not run comes before those that need it.
fn with_needed(known: &Known, modules: Vec<Module>) -> Vec<Member> {
    let mut seen: HashSet<OsString> = modules.iter().map(|module| module.name.clone()).collect();
    let mut members = Vec::new();
    for module in modules {
        let needed = known.id(&module.name).map_or_else(Vec::new, |id| known.needed(id));
        for id in needed.into_iter().filter(|id| has_to_be_started(known.snapshot(*id))) {
            let other = known.module(id);
            if seen.insert(other.name.clone()) {
                let note = Some(format!("needed by {}", module.shown()));
                members.push(Member { module: other.clone(), note, with: vec![module.json()] });
            }
        }
        members.push(Member::alone(module));
    }
    members
}

/// Whether it stays as it is if nobody starts it. A one-shot that is done is not run again for somebody who needs it.
fn has_to_be_started(snapshot: &Snapshot) -> bool {
    if snapshot.supervised != Supervised::Yes {
        return false;
    }
    match snapshot.state.state {
        ModuleState::Down | ModuleState::Failed => true,
        ModuleState::Done => !snapshot.is_one_shot_done(),
        _ => snapshot.state.want == Some(Want::Down),
    }
}

fn with_dependents(known: &Known, modules: Vec<Module>, told: &str) -> Vec<Member> {
    let named: HashSet<Id> = modules.iter().filter_map(|module| known.id(&module.name)).collect();
    let member = |module: Module| {
        let dependents = known.id(&module.name).map_or_else(Vec::new, |id| known.dependents(id));
        let runs = |id: &Id| !named.contains(id) && known.snapshot(*id).state.pid.is_some();
        let stopped: Vec<&Module> = dependents.into_iter().filter(runs).map(|id| known.module(id)).collect();
        let shown: Vec<String> = stopped.iter().map(|other| other.shown()).collect();
        let note = (!shown.is_empty()).then(|| format!("{told}: {}", shown.join(", ")));
        Member { module, note, with: stopped.into_iter().map(Module::json).collect() }
    };
    modules.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::order::known::tests::known;
    use crate::status::state::Memory;

    fn module(known: &Known, name: &str) -> Module {
        known.module(known.id(name.as_ref()).unwrap()).clone()
    }

    #[test]
    fn a_needed_service_that_has_finished_is_started_and_a_one_shot_is_not() {
        let has_to = |one_shot, want| {
            let known = known(&[("db", "done", "")], "");
            let mut snapshot = known.snapshot(0).clone();
            snapshot.state.want = Some(want);
            snapshot.state.memory = Some(Memory { done: one_shot, ..Memory::default() });
            has_to_be_started(&snapshot)
        };
        assert!(has_to(false, Want::Down));
        assert!(!has_to(true, Want::Up));
        assert!(!has_to(true, Want::Down), "somebody has said so, and it is done all the same");
    }

    #[test]
    fn a_start_begins_with_what_is_needed_and_down() {
        let known =
            known(&[("app", "down", "web"), ("db", "down", ""), ("setup", "done", ""), ("web", "up", "db setup")], "");
        let members = with_needed(&known, vec![module(&known, "app")]);
        let told: Vec<_> = members.iter().map(|member| (member.module.shown(), member.note.clone())).collect();
        assert_eq!(told, [("db".to_string(), Some("needed by app".to_string())), ("app".to_string(), None)]);
        // Whoever is named gets the command once, and for itself.
        let members = with_needed(&known, vec![module(&known, "app"), module(&known, "db")]);
        assert!(members.iter().all(|member| member.note.is_none()) && members.len() == 2, "{members:?}");
    }
}
