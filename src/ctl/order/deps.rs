//! `deps`: who needs whom, as trees, as JSON, or for Graphviz.

use crate::cli::svctl::Deps;
use crate::conf::relations::Id;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::order::branches::{Direction, Drawing};
use crate::ctl::order::known::Known;
use crate::ctl::report::Out;
use crate::ctl::root::StatusRoot;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Shows the order of all modules, or of those that were named and all that they have to do with.
///
/// # Errors
/// The status root cannot be read, or two forms are asked for.
pub fn deps(root: &StatusRoot, arguments: &Deps, json: bool, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    if json && arguments.dot {
        return Err(CtlError::new(Outcome::Usage, "--json and --dot are two forms of the same: choose one"));
    }
    let known = Known::read(root)?;
    let mut outcomes = Vec::new();
    let mut named: Vec<Id> = Vec::new();
    for found in root.select(&arguments.modules)? {
        let id = match &found {
            Ok(module) => known.id(&module.name).ok_or_else(|| {
                let why = if module.logged().is_some() { "a logger is outside of the order" } else { "not to be seen" };
                (Outcome::Failed, module.shown(), why.to_string())
            }),
            Err(missing) => Err((Outcome::NoSuchModule, format::name(&missing.word), missing.why.clone())),
        };
        match id {
            Ok(id) => named.push(id),
            Err((outcome, name, why)) => {
                out.note(&format!("fail: {name}: {why}"));
                outcomes.push(outcome);
            }
        }
    }
    let chosen = chosen(&known, &named, arguments.modules.is_empty());
    if json {
        out.line(&format::json(&chosen.iter().map(|id| object(&known, *id)).collect()));
    } else if arguments.dot {
        out.put(&dot(&known, &chosen));
    } else if arguments.modules.is_empty() {
        out.put(&whole(&known, &chosen));
    } else {
        out.put(&pages(&known, &named));
    }
    outcomes.extend(named.iter().map(|_| Outcome::Done));
    Ok(outcomes)
}

/// Those that are shown as JSON and for Graphviz.
fn chosen(known: &Known, named: &[Id], all: bool) -> BTreeSet<Id> {
    if all {
        return known.all().filter(|id| known.is_related(*id)).collect();
    }
    let links = |id: Id| {
        let links = known.links(id);
        let near = [&links.after, &links.restart_with, &links.followed_by, &links.restarts];
        near.into_iter().flatten().copied().collect::<Vec<_>>()
    };
    let around = |id: &Id| [vec![*id], known.needed(*id), known.dependents(*id), links(*id)].concat();
    named.iter().flat_map(around).collect()
}

/// Trees of all: first those that nobody needs, and then whatever is left, which are circles.
fn whole(known: &Known, chosen: &BTreeSet<Id>) -> String {
    if chosen.is_empty() {
        return "no module needs another one\n".into();
    }
    let mut drawing = Drawing::new(known, Direction::Down);
    let is_top = |id: &&Id| {
        let links = known.links(**id);
        links.needed_by.is_empty() && links.followed_by.is_empty() && links.restarts.is_empty()
    };
    chosen.iter().filter(is_top).for_each(|id| drawing.root(*id));
    for id in chosen {
        if !drawing.has_drawn(*id) {
            drawing.root(*id);
        }
    }
    drawing.text
}

/// For each that was named what it needs, and who needs it.
fn pages(known: &Known, named: &[Id]) -> String {
    let mut text = String::new();
    for id in named {
        let mut down = Drawing::new(known, Direction::Down);
        down.root(*id);
        let mut up = Drawing::new(known, Direction::Up);
        up.below(*id);
        let circle = known.circle(*id).map_or_else(String::new, |circle| format!("in a circle: {circle}\n"));
        let gap = if text.is_empty() { "" } else { "\n" };
        text += &format!("{gap}{}{}{circle}", down.text, up.text);
    }
    text
}

fn object(known: &Known, id: Id) -> Value {
    let links = known.links(id);
    let names = |ids: &[Id]| -> Vec<String> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.into_iter().map(|id| known.module(id).json()).collect()
    };
    json!({
        "module": known.module(id).json(),
        "state": known.snapshot(id).state.state.name(),
        "needs": names(&links.needs),
        "missing": links.missing,
        "needed_by": names(&links.needed_by),
        "after": names(&links.after),
        "followed_by": names(&links.followed_by),
        "restart_with": names(&links.restart_with),
        "restarts": names(&links.restarts),
        "tags": known.snapshot(id).state.tags,
        "circle": known.circle(id),
    })
}

/// For `dot` of Graphviz: an arrow goes from a module to what it needs.
fn dot(known: &Known, chosen: &BTreeSet<Id>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let name = |id: Id| quoted(&known.module(id).shown());
    let mut text = String::from("digraph supervise {\n\trankdir=LR;\n\tnode [shape=box];\n");
    for id in chosen {
        let state = known.snapshot(*id).state_name();
        text += &format!("\t{} [tooltip={}];\n", name(*id), quoted(&state));
    }
    for id in chosen {
        let links = known.links(*id);
        let kinds = [(&links.needs, ""), (&links.after, " [style=dashed]"), (&links.restart_with, " [style=dotted]")];
        for (ids, style) in kinds {
            for other in ids.iter().filter(|other| chosen.contains(other)) {
                text += &format!("\t{} -> {}{style};\n", name(*id), name(*other));
            }
        }
        for missing in &links.missing {
            text += &format!("\t{} -> {} [color=red];\n", name(*id), quoted(&format::text(missing)));
        }
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::order::known::tests::known;

    #[test]
    fn all_trees_begin_with_what_nobody_needs_and_circles_are_not_lost() {
        let known = known(
            &[("a", "waiting", "b"), ("alone", "up", ""), ("b", "waiting", "a"), ("db", "up", ""), ("web", "up", "db")],
            "",
        );
        let chosen = chosen(&known, &[], true);
        assert_eq!(
            whole(&known, &chosen),
            "web  up\n└─ needs db  up\na  waiting\n└─ needs b  waiting\n   └─ needs a  waiting  (see above)\n"
        );
        assert_eq!(whole(&known, &BTreeSet::new()), "no module needs another one\n");
    }

    #[test]
    fn graphviz_gets_names_that_it_takes_as_they_are() {
        let known = known(&[("a\"b", "up", "db no\"body"), ("db", "up", "")], "");
        let text = dot(&known, &chosen(&known, &[], true));
        assert!(text.contains("\t\"a\\\"b\" -> \"db\";\n"), "{text}");
        assert!(text.contains("\t\"a\\\"b\" -> \"no\\\"body\" [color=red];\n"), "{text}");
        assert!(text.starts_with("digraph supervise {\n") && text.ends_with("}\n"), "{text}");
    }
}
