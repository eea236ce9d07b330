//! The modules of a status root, and who of them needs whom.
//!
//! `state.json` has the relations that are in force, with what `[global]` needs among a module's needs. Which of them that is
//! says the file that the tree has kept: those that `[global]` names do not need each other.

use crate::conf::relations::graph::{self, Graph, Links};
use crate::conf::relations::{Id, Relations};
use crate::conf::{CONFIG_FILE, Config};
use crate::ctl::error::CtlError;
use crate::ctl::parallel;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::status::state::StateFile;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// All modules that can be in an order, and its edges.
#[derive(Debug)]
pub struct Known {
    modules: Vec<(Module, Snapshot)>,
    ids: HashMap<OsString, Id>,
    graph: Graph,
}

impl Known {
    /// Looks at all modules. Loggers are outside of the order, and what was removed is nobody's need.
    ///
    /// # Errors
    /// The status root cannot be read.
    pub fn read(root: &StatusRoot) -> Result<Known, CtlError> {
        let mut modules = root.modules()?;
        modules.retain(|module| module.logged().is_none());
        let snapshots = parallel::map(&modules, Snapshot::read_now);
        let seen = modules.into_iter().zip(snapshots).filter_map(|(module, snapshot)| Some((module, snapshot.ok()?)));
        let there: Vec<_> = seen.filter(|(_, snapshot)| snapshot.supervised != Supervised::Removed).collect();
        let global = if there.iter().any(|(_, snapshot)| !snapshot.state.needs.is_empty()) {
            global_needs(root, there.iter().map(|(_, snapshot)| &snapshot.state))
        } else {
            Vec::new()
        };
        Ok(Known::of(there, &global))
    }

    /// From modules that were looked at, and what `[global]` needs.
    pub fn of(modules: Vec<(Module, Snapshot)>, global: &[String]) -> Known {
        let names: Vec<String> = modules.iter().map(|(module, _)| module.json()).collect();
        let relations: Vec<(Relations, bool)> =
            modules.iter().map(|(_, snapshot)| relations(&snapshot.state, global)).collect();
        let nodes = names.iter().zip(&relations).enumerate();
        let nodes: Vec<graph::Module<'_>> = nodes
            .map(|(id, (name, (relations, inherits)))| graph::Module { id, name, relations, inherits: *inherits })
            .collect();
        let graph = Graph::build(&nodes, global);
        let ids = modules.iter().enumerate().map(|(id, (module, _))| (module.name.clone(), id)).collect();
        Known { modules, ids, graph }
    }

    /// The place of the module called `name`.
    pub fn id(&self, name: &OsStr) -> Option<Id> {
        self.ids.get(name).copied()
    }

    /// All places, ordered by name.
    pub fn all(&self) -> std::ops::Range<Id> {
        0..self.modules.len()
    }

    /// The module at a place.
    pub fn module(&self, id: Id) -> &Module {
        &self.modules[id].0
    }

    /// How it was when it was looked at.
    pub fn snapshot(&self, id: Id) -> &Snapshot {
        &self.modules[id].1
    }

    /// The edges at it.
    pub fn links(&self, id: Id) -> &Links {
        self.graph.links(id)
    }

    /// Everything that it needs, and what that needs, without itself.
    pub fn needed(&self, id: Id) -> Vec<Id> {
        self.reached(id, |links| &links.needs)
    }

    /// Everything that needs it, and what needs that, without itself.
    pub fn dependents(&self, id: Id) -> Vec<Id> {
        self.reached(id, |links| &links.needed_by)
    }

    /// `b needs a`, the way from it back to itself, if it is in a circle.
    pub fn circle(&self, id: Id) -> Option<String> {
        let way = self.graph.circle(id);
        let steps = way.iter().map(|(relation, other)| format!(" {} {}", relation.key(), self.module(*other).shown()));
        (!way.is_empty()).then(|| format!("{}{}", self.module(id).shown(), steps.collect::<String>()))
    }

    /// Whether it has to do with any other module.
    pub fn is_related(&self, id: Id) -> bool {
        *self.links(id) != Links::default()
    }

    /// The longest way from a module along `edges`, each module with its weight. Who is in a circle is counted once.
    pub fn longest(
        &self,
        from: Id,
        edges: impl Fn(&Links) -> &Vec<Id>,
        weight: &mut impl FnMut(Id) -> Duration,
    ) -> Duration {
        let mut done: HashMap<Id, Duration> = HashMap::new();
        let mut begun = HashSet::from([from]);
        let mut open = vec![(from, 0)];
        // A chain may be thousands long, so this keeps its own stack: a module is done after all that it leads to.
        while let Some((id, edge)) = open.last_mut() {
            let (id, next) = (*id, edges(self.links(*id)));
            let Some(other) = next.get(*edge).copied() else {
                let ahead = next.iter().filter_map(|other| done.get(other)).max().copied().unwrap_or_default();
                done.insert(id, ahead + weight(id));
                open.pop();
                continue;
            };
            *edge += 1;
            if begun.insert(other) {
                open.push((other, 0));
            }
        }
        done.get(&from).copied().unwrap_or_default()
    }

    fn reached(&self, from: Id, edges: impl Fn(&Links) -> &Vec<Id>) -> Vec<Id> {
        let mut seen = HashSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            open.extend(edges(self.links(id)).iter().copied().filter(|other| seen.insert(*other)));
        }
        seen.remove(&from);
        let mut reached: Vec<Id> = seen.into_iter().collect();
        reached.sort_unstable();
        reached
    }
}

/// What a module says of others by itself, and whether what `[global]` needs is needed by it, too.
fn relations(state: &StateFile, global: &[String]) -> (Relations, bool) {
    let inherits = !global.is_empty() && global.iter().all(|name| state.needs.contains(name));
    let is_own = |name: &&String| !(inherits && global.contains(name));
    let relations = Relations {
        needs: state.needs.iter().filter(is_own).cloned().collect(),
        after: state.after.clone(),
        restart_with: state.restart_with.clone(),
        tags: state.tags.clone(),
    };
    (relations, inherits)
}

/// What `[global]` needs, by the file that the tree has read, else by that file as it is now.
fn global_needs<'a>(root: &StatusRoot, mut states: impl Iterator<Item = &'a StateFile>) -> Vec<String> {
    let kept = Config::read(&root.tree().path().join(CONFIG_FILE));
    let now = || Config::read(states.find_map(|state| state.config.as_deref())?.as_ref()).ok();
    kept.ok().or_else(now).map_or_else(Vec::new, |config| config.global_needs())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::status::StatusDir;
    use crate::status::module_state::ModuleState;

    /// Modules by name, state and needs, where `[global]` needs `global`.
    pub fn known(modules: &[(&str, &str, &str)], global: &str) -> Known {
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        let of = |(name, state, needs): &(&str, &str, &str)| {
            let state = StateFile { state: ModuleState::from_name(state), needs: words(needs), ..StateFile::default() };
            let snapshot = Snapshot { supervised: Supervised::Yes, state, raw: None, changed: None };
            (Module { name: (*name).into(), dir: StatusDir::new("/nowhere") }, snapshot)
        };
        Known::of(modules.iter().map(of).collect(), &words(global))
    }

    fn names(known: &Known, ids: &[Id]) -> String {
        ids.iter().map(|id| known.module(*id).shown()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn both_directions_go_to_the_end() {
        let known = known(&[("app", "up", "web"), ("db", "up", ""), ("log", "up", ""), ("web", "up", "db")], "");
        let id = |name: &str| known.id(OsStr::new(name)).unwrap();
        assert_eq!(names(&known, &known.needed(id("app"))), "db web");
        assert_eq!(names(&known, &known.dependents(id("db"))), "app web");
        assert!(!known.is_related(id("log")));
        assert_eq!(known.circle(id("app")), None);
    }

    #[test]
    fn what_all_need_is_not_needed_by_itself() {
        let all = [("init", "done", "init"), ("web", "up", "init db"), ("db", "up", "init")];
        let known = known(&all, "init");
        let id = |name: &str| known.id(OsStr::new(name)).unwrap();
        assert_eq!(known.circle(id("init")), None);
        assert_eq!(names(&known, &known.dependents(id("init"))), "web db");
        assert_eq!(names(&known, &known.needed(id("web"))), "init db");
    }

    #[test]
    fn the_longest_way_counts_whatever_is_side_by_side_once() {
        let all = [("app", "up", "web db"), ("db", "up", "disk"), ("disk", "up", ""), ("web", "up", "db")];
        let known = known(&all, "");
        let mut second = |_| Duration::from_secs(1);
        assert_eq!(known.longest(0, |links| &links.needs, &mut second), Duration::from_secs(4));
        assert_eq!(known.longest(2, |links| &links.needed_by, &mut second), Duration::from_secs(4));
        let circle = super::tests::known(&[("a", "up", "b"), ("b", "up", "a")], "");
        assert_eq!(circle.longest(0, |links| &links.needs, &mut second), Duration::from_secs(2));
    }

    #[test]
    fn a_circle_ends_the_search_and_is_told() {
        let known = known(&[("a", "waiting", "b"), ("b", "waiting", "a")], "");
        assert_eq!(known.needed(0), [1]);
        assert_eq!(known.circle(0).as_deref(), Some("a needs b needs a"));
    }
}
