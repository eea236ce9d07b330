//! Who needs whom: names resolved to modules, in both directions, and the circles among them.

use super::circles::{components, in_circles, shortest};
use crate::conf::relations::{ALL, Id, Relation, Relations, TAG};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A module, and what its settings say of others.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Its place.
    pub id: Id,
    /// Its name.
    pub name: &'a str,
    /// Whom it names. What `[global]` needs is not among it.
    pub relations: &'a Relations,
    /// Whether what `[global]` needs is needed by it, too.
    pub inherits: bool,
}

/// The edges at one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Those that it needs.
    pub needs: Vec<Id>,
    /// Names and tags that it needs and that nobody has.
    pub missing: Vec<String>,
    /// Those that it comes after, and does not need.
    pub after: Vec<Id>,
    /// Those with which it is restarted.
    pub restart_with: Vec<Id>,
    /// Those that need it.
    pub needed_by: Vec<Id>,
    /// Those that come after it.
    pub followed_by: Vec<Id>,
    /// Those that are restarted with it.
    pub restarts: Vec<Id>,
}

static NO_LINKS: Links = Links {
    needs: Vec::new(),
    missing: Vec::new(),
    after: Vec::new(),
    restart_with: Vec::new(),
    needed_by: Vec::new(),
    followed_by: Vec::new(),
    restarts: Vec::new(),
};

/// What a circle is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    /// `needs` and `after`: none of them could ever start.
    Order,
    /// `needs` and `restart_with`: each restart would lead to another one, for ever.
    Restart,
}

/// All edges.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    links: Vec<Links>,
    /// The component of each module in the graph of `needs` and `after`.
    by_order: Vec<usize>,
    /// The same for `needs` and `restart_with`.
    by_restart: Vec<usize>,
    /// The circle that a module is in, if it is in one.
    rounds: Vec<Option<Round>>,
}

impl Graph {
    /// Resolves names. Places that no module has stay without edges. It takes time in proportion to modules and edges.
    pub fn build(modules: &[Module<'_>], global: &[String]) -> Graph {
        let size = modules.iter().map(|module| module.id + 1).max().unwrap_or(0);
        let names = Names::of(modules);
        let mut graph = Graph { links: vec![Links::default(); size], ..Graph::default() };
        for module in modules {
            let links = &mut graph.links[module.id];
            (links.needs, links.missing) = names.resolve(&module.relations.needs, module.id);
            // One that there is not needs not be waited for, and is not replaced.
            (links.after, _) = names.resolve(&module.relations.after, module.id);
            (links.restart_with, _) = names.resolve(&module.relations.restart_with, module.id);
        }
        graph.add_global(modules, &names, global);
        graph.add_all(modules);
        graph.reverse();
        graph.find_circles();
        graph
    }

    /// What `[global]` needs is needed by all but those that are needed so, and what those need themselves.
    fn add_global(&mut self, modules: &[Module<'_>], names: &Names<'_>, global: &[String]) {
        if global.is_empty() {
            return;
        }
        // No module is at this place: a tag means all who have it.
        let (needed, missing) = names.resolve(global, Id::MAX);
        let mut exempt = vec![false; self.links.len()];
        let mut open = needed.clone();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut exempt[id], true) {
                open.extend(&self.links[id].needs);
            }
        }
        for module in modules.iter().filter(|module| module.inherits && !exempt[module.id]) {
            let links = &mut self.links[module.id];
            let own: HashSet<Id> = links.needs.iter().copied().collect();
            links.needs.extend(needed.iter().filter(|id| !own.contains(id)));
            for name in missing.iter().filter(|name| !module.relations.needs.contains(name)) {
                links.missing.push(name.clone());
            }
        }
    }

    /// Who comes after all others does not come after those that come after it, or after all.
    fn add_all(&mut self, modules: &[Module<'_>]) {
        let is_last = |module: &&Module<'_>| module.relations.after.iter().any(|word| word == ALL);
        let last: Vec<Id> = modules.iter().filter(is_last).map(|module| module.id).collect();
        if last.is_empty() {
            return;
        }
        let mut before = vec![Vec::new(); self.links.len()];
        for (id, links) in self.links.iter().enumerate() {
            links.needs.iter().chain(&links.after).for_each(|other| before[*other].push(id));
        }
        let is_among_last: HashSet<Id> = last.iter().copied().collect();
        for id in last {
            let (mut later, mut open) = (is_among_last.clone(), vec![id]);
            while let Some(next) = open.pop() {
                open.extend(before[next].iter().copied().filter(|other| later.insert(*other)));
            }
            let known: HashSet<Id> = self.links[id].after.iter().copied().collect();
            let others = modules.iter().map(|module| module.id);
            self.links[id].after.extend(others.filter(|other| !later.contains(other) && !known.contains(other)));
        }
    }

    fn reverse(&mut self) {
        for id in 0..self.links.len() {
            let links = &mut self.links[id];
            let (needs, mut after) = (std::mem::take(&mut links.needs), std::mem::take(&mut links.after));
            let restart_with = std::mem::take(&mut links.restart_with);
            let needed: HashSet<Id> = needs.iter().copied().collect();
            after.retain(|other| !needed.contains(other));
            needs.iter().for_each(|other| self.links[*other].needed_by.push(id));
            after.iter().for_each(|other| self.links[*other].followed_by.push(id));
            restart_with.iter().for_each(|other| self.links[*other].restarts.push(id));
            let links = &mut self.links[id];
            (links.needs, links.after, links.restart_with) = (needs, after, restart_with);
        }
    }

    fn find_circles(&mut self) {
        let (ordered, restarted) = (|id| self.edges(Round::Order, id), |id| self.edges(Round::Restart, id));
        let by_order = components(self.links.len(), &ordered);
        let by_restart = components(self.links.len(), &restarted);
        let (in_order, in_restart) = (in_circles(&by_order, &ordered), in_circles(&by_restart, &restarted));
        let round = |(order, restart): (bool, bool)| match (order, restart) {
            (true, _) => Some(Round::Order),
            (false, true) => Some(Round::Restart),
            (false, false) => None,
        };
        self.rounds = in_order.into_iter().zip(in_restart).map(round).collect();
        (self.by_order, self.by_restart) = (by_order, by_restart);
    }

    fn edges(&self, round: Round, id: Id) -> [&[Id]; 2] {
        let links = &self.links[id];
        match round {
            Round::Order => [&links.needs, &links.after],
            Round::Restart => [&links.needs, &links.restart_with],
        }
    }

    /// The edges at `id`.
    pub fn links(&self, id: Id) -> &Links {
        self.links.get(id).unwrap_or(&NO_LINKS)
    }

    /// How many places there are.
    pub fn size(&self) -> usize {
        self.links.len()
    }

    /// Whether it waits for itself, or would be restarted with itself.
    pub fn is_in_circle(&self, id: Id) -> bool {
        self.rounds.get(id).is_some_and(Option::is_some)
    }

    /// Whether neither can stop before the other, so that they stop side by side.
    pub fn share_circle(&self, one: Id, other: Id) -> bool {
        matches!((self.by_order.get(one), self.by_order.get(other)), (Some(one), Some(other)) if one == other)
    }

    /// The shortest way from `id` back to it, each step with its relation; empty if it is in no circle.
    pub fn circle(&self, id: Id) -> Vec<(Relation, Id)> {
        let Some(round) = self.rounds.get(id).copied().flatten() else { return Vec::new() };
        let way = shortest(id, self.links.len(), &|id| self.edges(round, id)).unwrap_or_default();
        let mut from = id;
        let step = |to: Id| (self.relation(std::mem::replace(&mut from, to), to), to);
        way.into_iter().map(step).collect()
    }

    fn relation(&self, from: Id, to: Id) -> Relation {
        let links = self.links(from);
        match (links.needs.contains(&to), links.after.contains(&to)) {
            (true, _) => Relation::Needs,
            (false, true) => Relation::After,
            (false, false) => Relation::RestartWith,
        }
    }

    /// The modules of each circle, by their places.
    pub fn circles(&self) -> Vec<Vec<Id>> {
        let mut circles: BTreeMap<(Round, usize), Vec<Id>> = BTreeMap::new();
        for (id, round) in self.rounds.iter().enumerate() {
            let circle = match round {
                Some(Round::Order) => (Round::Order, self.by_order[id]),
                Some(Round::Restart) => (Round::Restart, self.by_restart[id]),
                None => continue,
            };
            circles.entry(circle).or_default().push(id);
        }
        let mut circles: Vec<Vec<Id>> = circles.into_values().collect();
        circles.sort();
        circles
    }
}

/// Who is called by which name.
struct Names<'a> {
    modules: HashMap<&'a str, Id>,
    tags: HashMap<&'a str, Vec<Id>>,
}

impl<'a> Names<'a> {
    fn of(modules: &[Module<'a>]) -> Names<'a> {
        let mut tags: HashMap<&str, Vec<Id>> = HashMap::new();
        for module in modules {
            for tag in &module.relations.tags {
                tags.entry(tag.as_str()).or_default().push(module.id);
            }
        }
        Names { modules: modules.iter().map(|module| (module.name, module.id)).collect(), tags }
    }

    /// The modules that `words` mean, each once, and the words that mean nobody. Whoever is called by a tag that it has
    /// itself means the others.
    fn resolve(&self, words: &[String], asks: Id) -> (Vec<Id>, Vec<String>) {
        let (mut ids, mut missing) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for word in words {
            match word.strip_prefix(TAG) {
                None => match self.modules.get(word.as_str()) {
                    Some(id) => ids.extend(seen.insert(*id).then_some(*id)),
                    None => missing.push(word.clone()),
                },
                Some(tag) => {
                    let members = self.tags.get(tag).map_or(&[][..], Vec::as_slice);
                    let others: Vec<Id> = members.iter().copied().filter(|id| *id != asks).collect();
                    if others.is_empty() {
                        missing.push(word.clone());
                    }
                    ids.extend(others.into_iter().filter(|id| seen.insert(*id)));
                }
            }
        }
        (ids, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each of the modules, given by name, `needs` and `after`, those that it comes after and does not need.
    fn after(modules: &[(&str, &str, &str)]) -> Vec<Vec<Id>> {
        let words = |text: &str| text.split_whitespace().map(String::from).collect();
        let relations: Vec<Relations> = modules
            .iter()
            .map(|(_, needs, after)| Relations { needs: words(needs), after: words(after), ..Relations::default() })
            .collect();
        let nodes = modules.iter().zip(&relations).enumerate();
        let nodes: Vec<Module<'_>> =
            nodes.map(|(id, ((name, ..), relations))| Module { id, name, relations, inherits: true }).collect();
        let graph = Graph::build(&nodes, &[]);
        assert_eq!(graph.circles(), Vec::<Vec<Id>>::new());
        (0..modules.len()).map(|id| graph.links(id).after.clone()).collect()
    }

    #[test]
    fn who_comes_after_all_comes_after_no_one_that_comes_later() {
        let all = [("main", "", "*"), ("db", "", ""), ("web", "db", ""), ("proxy", "", "main"), ("tell", "proxy", "")];
        assert_eq!(after(&all)[0], [1, 2]);
        // Two that come last are unordered; what is named twice is one edge.
        assert_eq!(after(&[("a", "", "* db"), ("b", "", "*"), ("db", "", "")]), [vec![2], vec![2], vec![]]);
        assert_eq!(after(&[("main", "db", "*"), ("db", "", "")]), [const { Vec::<Id>::new() }; 2]);
    }
}
