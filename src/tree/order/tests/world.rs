//! Modules that do what a supervisor thread does: they ask before they start and before they stop, and look when woken.
//! What the order permits is held against what is so.

use crate::conf::relations::graph::{Graph, Module};
use crate::conf::relations::{Id, Relations};
use crate::machine::standing::{Call, Hold, Standing};
use crate::tree::order::rules::Order;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What a module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Nothing,
    Waits,
    Runs,
    /// It is to stop, and others have to stop first.
    WaitsToStop,
    /// It got its signal.
    Ends,
    Done,
    Failed,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub id: Id,
    pub doing: Doing,
    pub ready: bool,
    pub wanted: bool,
    pub oneshot: bool,
    /// Down, and somebody has said so.
    pub by_command: bool,
    /// It runs on from an earlier tree, or was running when its relations changed: it may miss what it needs.
    pub exempt: bool,
    pub relations: Relations,
    pub starts: u64,
}

#[derive(Debug, Default)]
pub struct World {
    pub order: Order,
    pub members: BTreeMap<String, Member>,
    pub global: Vec<String>,
    /// Who was woken, and has not looked yet.
    pub woken: BTreeSet<Id>,
    pub steps: u64,
    /// As long as nothing is declared.
    built: RefCell<Option<Rc<Graph>>>,
}

pub fn relations(needs: &str, after: &str, restart_with: &str, tags: &str) -> Relations {
    let words = |text: &str| text.split_whitespace().map(str::to_string).collect();
    Relations { needs: words(needs), after: words(after), restart_with: words(restart_with), tags: words(tags) }
}

impl World {
    /// Modules that are wanted up: name, and what it needs.
    pub fn of(needs: &[(&str, &str)]) -> World {
        let mut world = World::default();
        for (name, needs) in needs {
            world.add(name, relations(needs, "", "", ""), false);
        }
        world
    }

    pub fn add(&mut self, name: &str, relations: Relations, oneshot: bool) {
        let before = self.graph_of_those_that_run();
        self.built.take();
        let id = self.order.declare(name, relations.clone(), true);
        let (doing, starts) = (Doing::Nothing, 0);
        let flags = Member {
            id,
            doing,
            ready: false,
            wanted: true,
            oneshot,
            by_command: false,
            exempt: false,
            relations,
            starts,
        };
        self.members.insert(name.to_string(), flags);
        self.exempt_who_needs_more(before.as_deref());
    }

    /// What is said of one module may change what another one needs: by a tag, or since what `[global]` needs, and what that
    /// needs in turn, is exempt from it. Who runs by then runs on.
    fn exempt_who_needs_more(&mut self, before: Option<&Graph>) {
        let Some(before) = before else { return };
        let after = self.graph();
        for member in self.members.values_mut().filter(|member| World::lives(member)) {
            let old = &before.links(member.id).needs;
            member.exempt |= after.links(member.id).needs.iter().any(|id| !old.contains(id));
        }
    }

    /// The graph as it is, if anything runs to which a change of it could matter.
    fn graph_of_those_that_run(&self) -> Option<Rc<Graph>> {
        self.members.values().any(World::lives).then(|| self.graph())
    }

    /// Built by itself: the order's own may be wrong.
    fn graph(&self) -> Rc<Graph> {
        self.built.borrow_mut().get_or_insert_with(|| Rc::new(self.build())).clone()
    }

    fn build(&self) -> Graph {
        let module = |(name, member): (&'_ String, &'_ Member)| (member.id, name.clone(), member.relations.clone());
        let modules: Vec<(Id, String, Relations)> = self.members.iter().map(module).collect();
        let modules: Vec<Module<'_>> =
            modules.iter().map(|(id, name, relations)| Module { id: *id, name, relations, inherits: true }).collect();
        Graph::build(&modules, &self.global)
    }

    fn with(&self, id: Id) -> (&String, &Member) {
        self.members.iter().find(|(_, member)| member.id == id).expect("known")
    }

    pub fn lives(member: &Member) -> bool {
        matches!(member.doing, Doing::Runs | Doing::WaitsToStop | Doing::Ends)
    }

    // ----- what happens -----------------------------------------------------------------------------------------

    /// It is wanted up: it asks.
    pub fn start(&mut self, name: &str) {
        let member = self.members.get_mut(name).expect("known");
        (member.wanted, member.by_command) = (true, false);
        match member.doing {
            Doing::Nothing | Doing::Failed | Doing::Done | Doing::Waits => {
                member.doing = Doing::Waits;
                self.ask_start(name);
            }
            Doing::Runs | Doing::WaitsToStop | Doing::Ends => {}
        }
        self.collect();
    }

    fn ask_start(&mut self, name: &str) -> Option<Hold> {
        self.steps += 1;
        let id = self.members[name].id;
        let answer = self.order.ask_start(id);
        if let Err(hold) = answer {
            return Some(hold);
        }
        self.check_start(name);
        let member = self.members.get_mut(name).expect("known");
        (member.doing, member.ready, member.exempt) = (Doing::Runs, false, false);
        member.starts += 1;
        self.order.report(id, Standing::Up);
        None
    }

    fn check_start(&self, name: &str) {
        let (graph, member) = (self.graph(), &self.members[name]);
        assert!(!graph.is_in_circle(member.id), "{name} is in a circle, and starts");
        assert!(graph.links(member.id).missing.is_empty(), "{name} starts without one that there is not");
        for (other_name, other) in graph.links(member.id).needs.iter().map(|id| self.with(*id)) {
            let is_met = (other.doing == Doing::Runs && other.ready) || other.doing == Doing::Done;
            assert!(is_met, "{name} starts, and needs {other_name}: {other:?}");
        }
    }

    pub fn ready(&mut self, name: &str) {
        let member = self.members.get_mut(name).expect("known");
        if member.doing != Doing::Runs {
            return;
        }
        let id = member.id;
        if member.oneshot {
            (member.doing, member.ready) = (Doing::Done, false);
            self.order.report(id, Standing::Done);
        } else {
            member.ready = true;
            self.order.report(id, Standing::Ready);
        }
        self.collect();
    }

    /// Somebody stops it.
    pub fn stop(&mut self, name: &str) {
        let member = self.members.get_mut(name).expect("known");
        (member.wanted, member.by_command) = (false, true);
        match member.doing {
            Doing::Nothing | Doing::Waits | Doing::Done | Doing::Failed => {
                member.doing = Doing::Nothing;
                let id = member.id;
                self.order.report(id, Standing::Down { by_command: true });
            }
            Doing::Runs | Doing::WaitsToStop => self.ask_stop(name),
            Doing::Ends => {}
        }
        self.collect();
    }

    fn ask_stop(&mut self, name: &str) {
        self.steps += 1;
        let id = self.members[name].id;
        let answer = self.order.ask_stop(id);
        if answer.is_ok() {
            let graph = self.graph();
            for (other_name, other) in graph.links(id).needed_by.iter().map(|other| self.with(*other)) {
                let apart = !graph.share_circle(id, other.id);
                assert!(!(apart && World::lives(other)), "{name} stops before {other_name}, which needs it: {other:?}");
            }
        }
        let member = self.members.get_mut(name).expect("known");
        member.doing = if answer.is_ok() { Doing::Ends } else { Doing::WaitsToStop };
    }

    /// Its process ends, be it that it was told to or not.
    pub fn end(&mut self, name: &str, gives_up: bool) {
        let member = self.members.get_mut(name).expect("known");
        if !World::lives(member) {
            return;
        }
        (member.ready, member.exempt) = (false, false);
        let id = member.id;
        self.order.report(id, Standing::Around);
        let member = self.members.get_mut(name).expect("known");
        match (member.wanted, gives_up && member.doing == Doing::Runs) {
            (_, true) => {
                (member.doing, member.wanted) = (Doing::Failed, false);
                self.order.report(id, Standing::Failed);
            }
            (true, false) => {
                member.doing = Doing::Waits;
                self.ask_start(name);
            }
            (false, false) => {
                member.doing = Doing::Nothing;
                let by_command = member.by_command;
                self.order.report(id, Standing::Down { by_command });
            }
        }
        self.collect();
    }

    pub fn change(&mut self, name: &str, relations: Relations) {
        let before = self.graph_of_those_that_run();
        let member = self.members.get_mut(name).expect("known");
        member.exempt = World::lives(member);
        member.relations = relations.clone();
        self.built.take();
        self.order.declare(name, relations, true);
        self.exempt_who_needs_more(before.as_deref());
        self.collect();
    }

    pub fn set_global(&mut self, needs: &str) {
        self.global = needs.split_whitespace().map(str::to_string).collect();
        self.members.values_mut().for_each(|member| member.exempt |= World::lives(member));
        self.built.take();
        self.order.set_global(self.global.clone());
        self.collect();
    }

    /// Its directory is gone, and nothing of it runs.
    pub fn remove(&mut self, name: &str) {
        if World::lives(&self.members[name]) {
            return;
        }
        let before = self.graph_of_those_that_run();
        let member = self.members.remove(name).expect("known");
        self.built.take();
        self.order.remove(member.id);
        self.exempt_who_needs_more(before.as_deref());
        self.woken.remove(&member.id);
        self.collect();
    }

    pub fn collect(&mut self) {
        self.woken.extend(self.order.take_woken());
    }

    /// One that was woken looks.
    pub fn look(&mut self, id: Id) {
        self.woken.remove(&id);
        let Some((name, _)) = self.members.iter().find(|(_, member)| member.id == id) else { return };
        let name = name.clone();
        self.steps += 1;
        let call = self.order.take_call(id);
        match (self.members[&name].doing, call) {
            (Doing::Waits, None) => {
                self.ask_start(&name);
            }
            (Doing::Runs, Some(Call::Halt | Call::Restart)) | (Doing::WaitsToStop, None | Some(_)) => {
                self.ask_stop(&name);
            }
            (Doing::Runs | Doing::Nothing | Doing::Ends | Doing::Done | Doing::Failed, None) => {}
            (doing, Some(call)) => panic!("{name} is told {call:?}, and is {doing:?}"),
        }
        self.collect();
    }

    /// Its thread panics, and what it was told is gone with it: another one adopts what runs, and knows what is wanted of
    /// it. Whether it knows of a stop that has not begun as well depends on the moment.
    pub fn panic(&mut self, name: &str, forgets: bool) {
        let member = self.members.get_mut(name).expect("known");
        let id = member.id;
        self.woken.remove(&id);
        match (member.doing, member.wanted && forgets) {
            (Doing::Waits, _) => {
                self.ask_start(name);
            }
            (Doing::WaitsToStop, true) => member.doing = Doing::Runs,
            (Doing::WaitsToStop, false) => self.ask_stop(name),
            (Doing::Nothing | Doing::Runs | Doing::Ends | Doing::Done | Doing::Failed, _) => {}
        }
        let stops = matches!(self.doing(name), Doing::WaitsToStop | Doing::Ends);
        self.order.join(id, stops);
        self.collect();
    }

    // ----- what comes of it -------------------------------------------------------------------------------------

    pub fn doing(&self, name: &str) -> Doing {
        self.members[name].doing
    }

    /// Why it may not start.
    pub fn hold(&mut self, name: &str) -> String {
        self.order.ask_start(self.members[name].id).expect_err("it waits").to_string()
    }

    /// Everybody looks, whatever is to end ends, whatever runs gets ready, until nothing happens any more.
    pub fn settle(&mut self) {
        let most = self.steps + 2000 + 200 * (self.members.len() as u64 + 1);
        loop {
            self.collect();
            let woken = self.woken.first().copied();
            let name = |doing: Doing, ready: bool| {
                let is_so = |member: &Member| member.doing == doing && member.ready == ready;
                self.members.iter().find(|(_, member)| is_so(member)).map(|(name, _)| name.clone())
            };
            if let Some(id) = woken {
                self.look(id);
            } else if let Some(name) = name(Doing::Ends, false).or_else(|| name(Doing::Ends, true)) {
                self.end(&name, false);
            } else if let Some(name) = name(Doing::Runs, false) {
                self.ready(&name);
            } else {
                break;
            }
            assert!(self.steps < most, "it spins: {self:?}");
        }
        self.check_rest();
    }

    /// Nothing happens any more: every stop has come to its end, and nothing runs whose need was stopped.
    fn check_rest(&self) {
        let graph = self.graph();
        for (name, member) in &self.members {
            assert!(!matches!(member.doing, Doing::WaitsToStop | Doing::Ends), "the stop of {name} does not end");
            if !World::lives(member) || member.exempt {
                continue;
            }
            for (other_name, other) in graph.links(member.id).needs.iter().map(|id| self.with(*id)) {
                let was_stopped = other.doing == Doing::Nothing && other.by_command;
                assert!(!was_stopped, "{name} is up, and {other_name}, which it needs, was stopped");
            }
        }
    }

    /// Whether nothing is in the way of a module: neither a circle nor a name that nobody has, however far off.
    pub fn can_start(&self, name: &str) -> bool {
        let graph = self.graph();
        let (mut open, mut seen) = (vec![self.members[name].id], BTreeSet::new());
        while let Some(id) = open.pop() {
            if graph.is_in_circle(id) || !graph.links(id).missing.is_empty() {
                return false;
            }
            if seen.insert(id) {
                open.extend(graph.links(id).needs.iter().chain(&graph.links(id).after));
            }
        }
        true
    }
}
