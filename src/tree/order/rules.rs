//! Who may start, who has to stop first, and who is restarted with whom.
//!
//! Every answer that permits something is given while it is asked, so that nothing can change in between; whom it names to
//! be woken has to ask again. For each module the order counts what it still lacks and who still depends on it, so a change
//! costs as much as the module has edges.

use crate::conf::relations::graph::{Graph, Module};
use crate::conf::relations::{Id, Relation, Relations};
use crate::machine::standing::{Call, Hold, Lack, Standing};
use std::collections::HashMap;

/// Of more modules than this that a stop waits for, not all are named.
const NAMED_MAX: usize = 3;

/// All modules, and their relations.
#[derive(Debug, Default)]
pub struct Order {
    nodes: Vec<Node>,
    places: HashMap<String, Id>,
    free: Vec<Id>,
    /// What `[global]` needs.
    global: Vec<String>,
    graph: Graph,
    /// The graph is older than what was declared.
    pub(super) is_stale: bool,
    /// All are being stopped.
    ends: bool,
    to_wake: Vec<Id>,
}

/// A module.
#[derive(Debug, Default)]
struct Node {
    name: String,
    relations: Relations,
    inherits: bool,
    /// Whether there is such a module; else its place is free.
    is_there: bool,
    standing: Standing,
    /// Why it may not start, as it was told; it has asked, and waits.
    hold: Option<Hold>,
    /// It has asked to stop.
    stops: bool,
    /// It is to stop for one that it needs.
    halt: bool,
    /// Its thread has to hear of it.
    call: Option<Call>,
    /// Its run process has lived before.
    has_run: bool,
    /// Nothing kills its run process when a stop takes long.
    is_unlimited: bool,
    /// Those it is restarted with that did not run when it was started: the next start of each replaces nothing.
    unseen: Vec<Id>,
    is_woken: bool,
    /// How many of those that it needs are not ready.
    unmet: usize,
    /// How many of those that it comes after are still to come.
    blocked: usize,
    /// How many that need it live.
    dependents: usize,
    /// How many that come after it live and are being stopped.
    followers: usize,
}

/// What others have to know of a module.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Facts {
    lack: Option<Lack>,
    lives: bool,
    /// It lives, and is being stopped.
    leaves: bool,
}

impl Node {
    fn lack(&self) -> Option<Lack> {
        match self.standing {
            standing if standing.lives() && (self.stops || self.halt || self.call.is_some()) => Some(Lack::Stopping),
            Standing::Ready | Standing::Done => None,
            Standing::Down { .. } => Some(Lack::Down),
            Standing::Finished => Some(Lack::Finished),
            Standing::Failed => Some(Lack::Failed),
            Standing::Unheard | Standing::Coming | Standing::Around | Standing::Up => Some(Lack::NotReady),
        }
    }

    fn facts(&self, ends: bool) -> Facts {
        let lives = self.standing.lives();
        Facts { lack: self.lack(), lives, leaves: lives && (self.stops || ends) }
    }

    fn may_stop(&self) -> bool {
        self.dependents + self.followers == 0
    }

    /// Whether the one called `name` is what it was told to wait for.
    fn waits_for(&self, other: &str) -> bool {
        matches!(&self.hold, Some(Hold::Lacks { name, .. }) if name == other)
    }
}

/// Whether one that comes after has to wait.
fn blocks(lack: Option<Lack>) -> bool {
    match lack {
        None | Some(Lack::Unknown | Lack::Down | Lack::Finished | Lack::Failed) => false,
        Some(Lack::NotReady | Lack::Stopping) => true,
    }
}

impl Order {
    // ----- who there is -----------------------------------------------------------------------------------------

    /// There is a module `name`, which says this of others. What was said before is replaced.
    pub fn declare(&mut self, name: &str, relations: Relations, inherits: bool) -> Id {
        if let Some(id) = self.places.get(name).copied() {
            let node = &mut self.nodes[id];
            self.is_stale |= node.relations != relations || node.inherits != inherits;
            (node.relations, node.inherits) = (relations, inherits);
            return id;
        }
        let id = self.free.pop().unwrap_or(self.nodes.len());
        let node = Node { name: name.to_string(), relations, inherits, is_there: true, ..Node::default() };
        match self.nodes.get_mut(id) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        self.places.insert(name.to_string(), id);
        self.is_stale = true;
        id
    }

    /// The module is supervised no longer, and nothing of it runs.
    pub fn remove(&mut self, id: Id) {
        self.refresh();
        if !self.nodes.get(id).is_some_and(|node| node.is_there) {
            return;
        }
        // One that was done is being taken away now.
        self.report(id, Standing::Down { by_command: true });
        self.places.remove(&self.nodes[id].name);
        // Its edges do no harm until its place is given to another one, for nothing lives there. When thousands leave, those
        // who need them first, the graph is not built again for each.
        self.is_stale |= self.is_named(id);
        self.nodes[id] = Node::default();
        self.nodes.iter_mut().for_each(|node| node.unseen.retain(|other| *other != id));
        self.free.push(id);
    }

    /// Whether it makes a difference to anybody that there is such a module. When all are going to be stopped, nobody starts
    /// any more.
    fn is_named(&self, id: Id) -> bool {
        let links = self.graph.links(id);
        let mut others = links.needed_by.iter().chain(&links.followed_by).chain(&links.restarts);
        !self.ends && (!self.global.is_empty() || others.any(|other| self.nodes[*other].is_there))
    }

    /// These are needed by all that inherit from `[global]`.
    pub fn set_global(&mut self, needs: Vec<String>) {
        self.is_stale |= self.global != needs;
        self.global = needs;
    }

    /// All are going to be stopped: who comes after another one stops before it.
    pub fn end(&mut self) {
        self.ends = true;
        self.is_stale = true;
    }

    /// The name of the module at a place.
    pub fn name(&self, id: Id) -> &str {
        self.nodes.get(id).map_or("", |node| &node.name)
    }

    /// Whether nothing kills its run process when a stop takes long.
    pub fn set_unlimited(&mut self, id: Id, is_unlimited: bool) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.is_unlimited = is_unlimited;
        }
    }

    /// The place of the module called `name`.
    pub fn place(&self, name: &str) -> Option<Id> {
        self.places.get(name).copied()
    }

    /// The circles, each told from the first of its modules on, by name: so it is the same text each time.
    pub fn circles(&mut self) -> Vec<String> {
        self.refresh();
        let first = |circle: &Vec<Id>| circle.iter().copied().min_by_key(|id| &self.nodes[*id].name);
        self.graph.circles().iter().filter_map(first).map(|id| self.circle(id)).collect()
    }

    fn circle(&self, id: Id) -> String {
        let mut text = self.nodes[id].name.clone();
        for (relation, other) in self.graph.circle(id) {
            text = format!("{text} {} {}", relation.key(), self.nodes[other].name);
        }
        text
    }

    // ----- what becomes of them ---------------------------------------------------------------------------------

    /// Its run process has lived before, under an earlier tree, and lives no more: its next one replaces that.
    pub fn has_run_before(&mut self, id: Id) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.has_run = true;
        }
    }

    /// What has become of it.
    pub fn report(&mut self, id: Id, standing: Standing) {
        self.refresh();
        let Some(node) = self.nodes.get(id).filter(|node| node.is_there) else { return };
        let before = node.standing;
        self.change(id, |node| {
            node.standing = standing;
            if standing != Standing::Coming {
                node.hold = None;
            }
            if !standing.lives() {
                (node.stops, node.halt, node.call) = (false, false, None);
            }
        });
        if standing.runs() && !before.runs() {
            self.replaced(id, before);
        }
        // What is stopped takes those that need it along, also where nothing of it has run just now. Those that have
        // run on since an earlier tree are left alone.
        if standing == (Standing::Down { by_command: true }) && before != Standing::Unheard {
            self.halt_dependents(id);
        }
    }

    fn replaced(&mut self, id: Id, before: Standing) {
        let node = &mut self.nodes[id];
        let is_another = before != Standing::Unheard && node.has_run;
        node.has_run = true;
        for other in self.graph.links(id).restarts.clone() {
            let node = &mut self.nodes[other];
            let saw_it = match node.unseen.iter().position(|unseen| *unseen == id) {
                Some(at) => {
                    node.unseen.swap_remove(at);
                    false
                }
                None => true,
            };
            if is_another && saw_it && node.standing.runs() && !node.stops && node.call.is_none() {
                self.change(other, |node| node.call = Some(Call::Restart));
                self.wake(other);
            }
        }
    }

    /// It is about to start: whether it may, and if so, that it does. If not, it is woken once it may, or once there is
    /// another reason why not.
    ///
    /// # Errors
    /// What it has to wait for.
    pub fn ask_start(&mut self, id: Id) -> Result<(), Hold> {
        self.report(id, Standing::Coming);
        if let Some(hold) = self.hold(id) {
            self.nodes[id].hold = Some(hold.clone());
            return Err(hold);
        }
        let others = self.graph.links(id).restart_with.iter().copied();
        let unseen = others.filter(|other| !self.nodes[*other].standing.runs()).collect();
        self.change(id, |node| {
            (node.hold, node.unseen) = (None, unseen);
            node.standing = Standing::Around;
        });
        Ok(())
    }

    /// It is about to stop its run process, which lives: whether it may. Those that need it are told to stop; it is woken
    /// when the last of them has.
    ///
    /// # Errors
    /// For how many it has to wait.
    pub fn ask_stop(&mut self, id: Id) -> Result<(), Hold> {
        self.refresh();
        if !self.nodes.get(id).is_some_and(|node| node.is_there) {
            return Ok(());
        }
        if !self.nodes[id].standing.lives() {
            self.report(id, Standing::Up);
        }
        self.change(id, |node| (node.stops, node.call) = (true, None));
        self.halt_dependents(id);
        let node = &self.nodes[id];
        if node.may_stop() {
            return Ok(());
        }
        let count = node.dependents + node.followers;
        Err(Hold::Others { count, names: self.first_that_hold(id), unlimited: self.waits_for_unlimited(id) })
    }

    /// The names of the first of those that have to stop before it.
    fn first_that_hold(&self, id: Id) -> Vec<String> {
        let links = self.graph.links(id);
        let facts = |other: &&Id| (self.nodes[**other].facts(self.ends), !self.graph.share_circle(id, **other));
        let needs_it = links.needed_by.iter().filter(|other| matches!(facts(other), (Facts { lives: true, .. }, true)));
        let follows =
            links.followed_by.iter().filter(|other| matches!(facts(other), (Facts { leaves: true, .. }, true)));
        needs_it.chain(follows).take(NAMED_MAX).map(|other| self.nodes[*other].name.clone()).collect()
    }

    /// Whether nothing kills one of those that have to stop before it.
    fn waits_for_unlimited(&self, id: Id) -> bool {
        let (mut seen, mut open) = (vec![false; self.nodes.len()], vec![id]);
        while let Some(next) = open.pop() {
            let links = self.graph.links(next);
            for other in links.needed_by.iter().chain(&links.followed_by).copied() {
                if self.nodes[other].standing.lives() && !std::mem::replace(&mut seen[other], true) {
                    if self.nodes[other].is_unlimited {
                        return true;
                    }
                    open.push(other);
                }
            }
        }
        false
    }

    fn halt_dependents(&mut self, id: Id) {
        for other in self.graph.links(id).needed_by.clone() {
            let node = &self.nodes[other];
            if node.standing.lives() && !node.stops && !node.halt {
                self.change(other, |node| (node.halt, node.call) = (true, Some(Call::Halt)));
                self.wake(other);
            }
        }
    }

    /// Its thread begins anew, and stops its run process or does not: it may have lost what it was about to do. Unless it
    /// stops, it is told again what it was told before, also while nobody was there to hear of it. Others may wait for its
    /// end.
    pub fn join(&mut self, id: Id, stops: bool) {
        self.refresh();
        let Some(node) = self.nodes.get(id).filter(|node| node.is_there) else { return };
        let stops = stops && node.standing.lives();
        self.change(id, |node| {
            node.stops = stops;
            if node.halt && !stops && node.call.is_none() {
                node.call = Some(Call::Halt);
            }
        });
        if self.nodes[id].call.is_some() {
            self.wake(id);
        }
    }

    /// Takes the messages for the module's thread.
    pub fn take_call(&mut self, id: Id) -> Option<Call> {
        self.refresh();
        let call = self.nodes.get(id)?.call?;
        // One that is told to restart asks to stop at once; until then nobody may take it for one that stays.
        if call == Call::Halt {
            self.nodes[id].call = None;
        }
        Some(call)
    }

    /// Takes those that have to look: to ask again, or to take what they are told.
    pub fn take_woken(&mut self) -> Vec<Id> {
        self.refresh();
        self.to_wake.iter().for_each(|id| self.nodes[*id].is_woken = false);
        std::mem::take(&mut self.to_wake)
    }

    // ----- how it is known --------------------------------------------------------------------------------------

    /// Why it may not start.
    fn hold(&self, id: Id) -> Option<Hold> {
        let (node, links) = (&self.nodes[id], self.graph.links(id));
        if self.graph.is_in_circle(id) {
            return Some(Hold::Circle(self.circle(id)));
        }
        if let Some(name) = links.missing.first() {
            return Some(Hold::Lacks { relation: Relation::Needs, name: name.clone(), lack: Lack::Unknown });
        }
        if node.unmet + node.blocked == 0 {
            return None;
        }
        let lacks = |relation, other: &Id| {
            let (name, lack) = (self.nodes[*other].name.clone(), self.nodes[*other].lack()?);
            Some(Hold::Lacks { relation, name, lack })
        };
        let blocks = |other: &&Id| blocks(self.nodes[**other].lack());
        links
            .needs
            .iter()
            .find_map(|other| lacks(Relation::Needs, other))
            .or_else(|| links.after.iter().find(blocks).and_then(|other| lacks(Relation::After, other)))
    }

    /// Changes what others know of a module, and counts anew what depends on it.
    fn change(&mut self, id: Id, change: impl FnOnce(&mut Node)) {
        let before = self.nodes[id].facts(self.ends);
        change(&mut self.nodes[id]);
        let after = self.nodes[id].facts(self.ends);
        if before == after {
            return;
        }
        let (is_other_lack, links) = (before.lack != after.lack, self.graph.links(id));
        let mut woken = Vec::new();
        if is_other_lack {
            for other in links.needed_by.iter().chain(&links.followed_by).copied() {
                if self.nodes[other].waits_for(&self.nodes[id].name) {
                    woken.push(other);
                }
            }
        }
        if before.lack.is_some() != after.lack.is_some() {
            for other in &links.needed_by {
                count(&mut self.nodes[*other].unmet, after.lack.is_some());
            }
        }
        if blocks(before.lack) != blocks(after.lack) {
            for other in &links.followed_by {
                count(&mut self.nodes[*other].blocked, blocks(after.lack));
            }
        }
        // When few are left, it says who: the stop may take long because of them. All are, when all stop.
        let (ends, few) = (self.ends, NAMED_MAX);
        let is_told = |node: &Node| node.may_stop() || !ends && node.dependents + node.followers <= few;
        let mut release = |nodes: &mut [Node], other: Id| {
            if nodes[other].stops && nodes[other].standing.lives() && is_told(&nodes[other]) {
                woken.push(other);
            }
        };
        if before.lives != after.lives {
            for other in links.needs.iter().copied().filter(|other| !self.graph.share_circle(id, *other)) {
                count(&mut self.nodes[other].dependents, after.lives);
                release(&mut self.nodes, other);
            }
        }
        if before.leaves != after.leaves {
            for other in links.after.iter().copied().filter(|other| !self.graph.share_circle(id, *other)) {
                count(&mut self.nodes[other].followers, after.leaves);
                release(&mut self.nodes, other);
            }
        }
        woken.into_iter().for_each(|other| self.wake(other));
    }

    fn wake(&mut self, id: Id) {
        if !std::mem::replace(&mut self.nodes[id].is_woken, true) {
            self.to_wake.push(id);
        }
    }

    /// Resolves all names again, if anything was declared since, and tells those for whom that makes a difference.
    fn refresh(&mut self) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        let nodes = self.nodes.iter().enumerate().filter(|(_, node)| node.is_there);
        let modules: Vec<Module<'_>> = nodes
            .map(|(id, node)| Module { id, name: &node.name, relations: &node.relations, inherits: node.inherits })
            .collect();
        self.graph = Graph::build(&modules, &self.global);
        self.count_all();
        for id in 0..self.nodes.len() {
            let node = &self.nodes[id];
            let (stops, lives) = (node.stops, node.standing.lives());
            if node.hold.is_some() && node.hold != self.hold(id) {
                self.wake(id);
            }
            if stops && lives {
                self.halt_dependents(id);
                if self.nodes[id].may_stop() {
                    self.wake(id);
                }
            }
        }
    }

    fn count_all(&mut self) {
        let facts: Vec<Facts> = self.nodes.iter().map(|node| node.facts(self.ends)).collect();
        for (id, node) in self.nodes.iter_mut().enumerate() {
            let links = self.graph.links(id);
            let apart = |other: &&Id| !self.graph.share_circle(id, **other);
            node.unmet = links.needs.iter().filter(|other| facts[**other].lack.is_some()).count();
            node.blocked = links.after.iter().filter(|other| blocks(facts[**other].lack)).count();
            node.dependents = links.needed_by.iter().filter(apart).filter(|other| facts[**other].lives).count();
            node.followers = links.followed_by.iter().filter(apart).filter(|other| facts[**other].leaves).count();
        }
    }
}

fn count(number: &mut usize, up: bool) {
    *number = if up { *number + 1 } else { number.saturating_sub(1) };
}
