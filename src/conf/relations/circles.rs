//! Circles in a directed graph: who is in one, and the shortest way round.

use crate::conf::relations::Id;

/// For a node, the nodes that its edges lead to, in two lists.
pub type Edges<'a> = dyn Fn(Id) -> [&'a [Id]; 2] + 'a;

/// For each node the number of its strongly connected component: two nodes share one if each can be reached from the other.
/// Tarjan's algorithm, without recursion: a chain may be thousands long, and a thread's stack is small.
pub fn components(size: usize, edges: &Edges<'_>) -> Vec<usize> {
    let mut search = Search {
        number: vec![UNSEEN; size],
        low: vec![0; size],
        component: vec![UNSEEN; size],
        open: Vec::new(),
        numbers: 0,
        components: 0,
    };
    for root in 0..size {
        if search.number[root] == UNSEEN {
            search.visit(root, edges);
        }
    }
    search.component
}

/// Stands for the number of a node that was not visited, and of a component that is not complete.
const UNSEEN: usize = usize::MAX;

/// Where Tarjan's search stands.
struct Search {
    /// For each node, the place in the order of visits.
    number: Vec<usize>,
    /// For each node, the smallest number that is known to be reached from it.
    low: Vec<usize>,
    component: Vec<usize>,
    /// Nodes whose component is not complete.
    open: Vec<Id>,
    numbers: usize,
    components: usize,
}

impl Search {
    /// Visits everything that can be reached from `root`.
    fn visit(&mut self, root: Id, edges: &Edges<'_>) {
        // The path from the root: a node, and the next of its edges.
        let mut path: Vec<(Id, usize)> = vec![(root, 0)];
        while let Some((node, edge)) = path.last_mut() {
            let node = *node;
            if self.number[node] == UNSEEN {
                (self.number[node], self.low[node]) = (self.numbers, self.numbers);
                self.numbers += 1;
                self.open.push(node);
            }
            let [first, second] = edges(node);
            let next = first.get(*edge).or_else(|| second.get(edge.wrapping_sub(first.len()))).copied();
            *edge += 1;
            match next {
                Some(next) if self.number[next] == UNSEEN => path.push((next, 0)),
                Some(next) if self.component[next] == UNSEEN => self.low[node] = self.low[node].min(self.number[next]),
                Some(_) => {}
                None => {
                    path.pop();
                    if let Some((before, _)) = path.last() {
                        self.low[*before] = self.low[*before].min(self.low[node]);
                    }
                    if self.low[node] == self.number[node] {
                        self.close_component(node);
                    }
                }
            }
        }
    }

    /// All that was visited since `first`, and is open, is one component.
    fn close_component(&mut self, first: Id) {
        while let Some(member) = self.open.pop() {
            self.component[member] = self.components;
            if member == first {
                break;
            }
        }
        self.components += 1;
    }
}

/// Which nodes can reach themselves: those that share their component with another one, or have an edge to themselves.
pub fn in_circles(component: &[usize], edges: &Edges<'_>) -> Vec<bool> {
    let mut sizes = vec![0_usize; component.len()];
    component.iter().for_each(|number| sizes[*number] += 1);
    let leads_to_itself = |node: Id| edges(node).into_iter().flatten().any(|next| *next == node);
    (0..component.len()).map(|node| sizes[component[node]] > 1 || leads_to_itself(node)).collect()
}

/// The shortest way from `start` back to it: the nodes after it, the last of which it is itself. `None` if there is none.
pub fn shortest(start: Id, size: usize, edges: &Edges<'_>) -> Option<Vec<Id>> {
    let mut from: Vec<Option<Id>> = vec![None; size];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in edges(node).into_iter().flatten().copied() {
            if from[next].is_some() {
                continue;
            }
            from[next] = Some(node);
            if next == start {
                let mut way = vec![start];
                let mut at = node;
                while at != start {
                    way.push(at);
                    at = from[at]?;
                }
                way.reverse();
                return Some(way);
            }
            queue.push_back(next);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lists: &[&[Id]]) -> (Vec<bool>, Vec<Option<Vec<Id>>>) {
        let edges = |node: Id| [lists[node], &[][..]];
        let component = components(lists.len(), &edges);
        let ways = (0..lists.len()).map(|node| shortest(node, lists.len(), &edges)).collect();
        (in_circles(&component, &edges), ways)
    }

    #[test]
    fn a_circle_is_found_with_all_that_are_in_it_and_nobody_else() {
        // 0 -> 1 -> 2 -> 3 -> 1, 4 -> 4, 5 -> 0.
        let (circular, ways) = of(&[&[1], &[2], &[3], &[1], &[4], &[0]]);
        assert_eq!(circular, [false, true, true, true, true, false]);
        assert_eq!(ways[1], Some(vec![2, 3, 1]));
        assert_eq!(ways[4], Some(vec![4]));
        assert_eq!(ways[0], None);
    }

    #[test]
    fn the_shortest_way_round_is_told() {
        // 0 -> 1 -> 2 -> 0, and 2 -> 3 -> 0.
        let (circular, ways) = of(&[&[1], &[2], &[3, 0], &[0]]);
        assert_eq!(circular, [true; 4]);
        assert_eq!(ways[0], Some(vec![1, 2, 0]));
        assert_eq!(ways[3], Some(vec![0, 1, 2, 3]));
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_needs_no_stack() {
        let next: Vec<Vec<Id>> = (0..100_000).map(|node| if node < 99_999 { vec![node + 1] } else { vec![] }).collect();
        let edges = |node: Id| [&next[node][..], &[][..]];
        let component = components(next.len(), &edges);
        assert!(in_circles(&component, &edges).iter().all(|is_in_one| !is_in_one));
    }
}
