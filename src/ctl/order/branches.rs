//! One module as the root of a tree, for people: below it what it needs, and what that needs, or the other way round.

use crate::conf::relations::Id;
use crate::ctl::format;
use crate::ctl::order::known::Known;
use std::collections::HashSet;

/// Which edges are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what a module needs, comes after, and is restarted with.
    Down,
    /// To those that need it, come after it, and are restarted with it.
    Up,
}

/// A line below a module.
#[derive(Debug)]
enum Branch {
    /// Another module, and what it is to the one above.
    Module(&'static str, Id),
    /// A name that nobody has.
    Missing(String),
}

/// The lines of a tree. What was drawn before is not drawn again below a second module, so that a tree stays as small as the
/// order is.
#[derive(Debug)]
pub struct Drawing<'a> {
    known: &'a Known,
    direction: Direction,
    seen: HashSet<Id>,
    /// Finished lines.
    pub text: String,
}

impl<'a> Drawing<'a> {
    /// Nothing yet.
    pub fn new(known: &'a Known, direction: Direction) -> Drawing<'a> {
        Drawing { known, direction, seen: HashSet::new(), text: String::new() }
    }

    /// Whether this module is on it.
    pub fn has_drawn(&self, id: Id) -> bool {
        self.seen.contains(&id)
    }

    /// Draws a module, and all below it.
    pub fn root(&mut self, id: Id) {
        self.text += &format!("{}\n", self.label(id));
        self.below(id);
    }

    /// Draws all below a module. A chain may be thousands long, so this keeps its own stack.
    pub fn below(&mut self, root: Id) {
        self.seen.insert(root);
        let mut open = vec![(String::new(), self.branches(root).into_iter())];
        while let Some((before, branches)) = open.last_mut() {
            let Some(branch) = branches.next() else {
                open.pop();
                continue;
            };
            let is_last = branches.len() == 0;
            let (corner, rail) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let (line, next) = (format!("{before}{corner}"), format!("{before}{rail}"));
            match branch {
                Branch::Missing(name) => self.text += &format!("{line}needs {name}: there is none\n"),
                Branch::Module(relation, id) => {
                    let is_new = self.seen.insert(id);
                    let below = self.branches(id);
                    let again = if is_new || below.is_empty() { "" } else { "  (see above)" };
                    self.text += &format!("{line}{relation}{}{again}\n", self.label(id));
                    if is_new {
                        open.push((next, below.into_iter()));
                    }
                }
            }
        }
    }

    fn label(&self, id: Id) -> String {
        format!("{}  {}", self.known.module(id).shown(), self.known.snapshot(id).state_name())
    }

    fn branches(&self, id: Id) -> Vec<Branch> {
        let links = self.known.links(id);
        let (groups, missing) = match self.direction {
            Direction::Down => (
                [("needs ", &links.needs), ("after ", &links.after), ("restarted with ", &links.restart_with)],
                links.missing.as_slice(),
            ),
            Direction::Up => (
                [("needed by ", &links.needed_by), ("before ", &links.followed_by), ("restarts ", &links.restarts)],
                &[][..],
            ),
        };
        let modules = groups.into_iter().flat_map(|(relation, ids)| {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.into_iter().map(move |id| Branch::Module(relation, id))
        });
        modules.chain(missing.iter().map(|name| Branch::Missing(format::text(name)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::order::known::tests::known;

    fn drawn(known: &Known, direction: Direction, id: Id) -> String {
        let mut drawing = Drawing::new(known, direction);
        drawing.root(id);
        drawing.text
    }

    #[test]
    fn what_was_drawn_is_not_drawn_again() {
        let all =
            [("app", "waiting", "db web"), ("db", "up", "disk"), ("disk", "done", ""), ("web", "up", "db nobody")];
        let known = known(&all, "");
        let down = "app  waiting\n\
                    ├─ needs db  up\n\
                    │  └─ needs disk  done\n\
                    └─ needs web  up\n   \
                       ├─ needs db  up  (see above)\n   \
                       └─ needs nobody: there is none\n";
        assert_eq!(drawn(&known, Direction::Down, 0), down);
        let up = "disk  done\n└─ needed by db  up\n   ├─ needed by app  waiting\n   └─ needed by web  up\n      \
                  └─ needed by app  waiting\n";
        assert_eq!(drawn(&known, Direction::Up, 2), up);
    }

    #[test]
    fn a_circle_is_drawn_once() {
        let known = known(&[("a", "waiting", "b"), ("b", "waiting", "a")], "");
        assert_eq!(
            drawn(&known, Direction::Down, 0),
            "a  waiting\n└─ needs b  waiting\n   └─ needs a  waiting  (see above)\n"
        );
    }
}
