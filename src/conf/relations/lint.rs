//! What is wrong with the relations of all modules together: circles, and names that nobody has.

use super::graph::{Graph, Module};
use super::{Relation, Relations};
use crate::conf::own::OwnFile;
use crate::conf::{Complaint, Config, nearest};
use std::collections::HashSet;

/// A module as `svctl config --check` knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// The file in its service directory.
    pub own: Option<OwnFile>,
}

/// What is wrong. `known` are the modules that are supervised: where there are none, only circles are told, for any name
/// may get its module yet.
pub fn complaints(config: &Config, known: &[Known]) -> Vec<Complaint> {
    let modules = with_sections(config, known);
    let relations: Vec<(Relations, bool)> =
        modules.iter().map(|module| config.relations(&module.name, module.own.as_ref())).collect();
    let nodes = modules.iter().zip(&relations).enumerate();
    let nodes: Vec<Module<'_>> = nodes
        .map(|(id, (module, (relations, inherits)))| Module { id, name: &module.name, relations, inherits: *inherits })
        .collect();
    let graph = Graph::build(&nodes, &config.global_needs());
    let mut all = circles(config, &modules, &graph);
    if !known.is_empty() {
        all.extend(strangers(config, &modules, &relations));
    }
    all
}

/// The modules that are supervised, and those that have a section.
fn with_sections(config: &Config, known: &[Known]) -> Vec<Known> {
    let names: HashSet<&str> = known.iter().map(|module| module.name.as_str()).collect();
    let others = config.section_names().into_iter().filter(|name| !names.contains(name) && !name.contains('/'));
    let others = others.map(|name| Known { name: name.to_string(), own: None });
    known.iter().cloned().chain(others).collect()
}

fn circles(config: &Config, modules: &[Known], graph: &Graph) -> Vec<Complaint> {
    let tell = |id: usize| {
        let way = graph.circle(id);
        let (relation, first) = *way.first()?;
        let steps = way.iter().map(|(relation, other)| format!(" {} {}", relation.key(), modules[*other].name));
        let text = format!("{}{}", modules[id].name, steps.collect::<String>());
        let what = format!("a circle, none of which ever starts: {text}");
        Some(complaint(config, &modules[id], relation, &modules[first].name, what))
    };
    let first = |circle: &Vec<usize>| circle.iter().copied().min_by_key(|id| &modules[*id].name);
    graph.circles().iter().filter_map(first).filter_map(tell).collect()
}

fn strangers(config: &Config, modules: &[Known], relations: &[(Relations, bool)]) -> Vec<Complaint> {
    let names: HashSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let tags: HashSet<String> =
        relations.iter().flat_map(|(relations, _)| &relations.tags).map(|tag| format!("@{tag}")).collect();
    let mut all = Vec::new();
    for (module, (relations, _)) in modules.iter().zip(relations) {
        // What `[global]` says is told once, below.
        let of = [
            (Relation::Needs, &relations.needs),
            (Relation::After, &relations.after),
            (Relation::RestartWith, &relations.restart_with),
        ];
        for (relation, word) in
            of.into_iter().flat_map(|(relation, words)| words.iter().map(move |word| (relation, word)))
        {
            if word != super::ALL && !names.contains(word.as_str()) && !tags.contains(word) {
                let meant = nearest(word, names.iter().copied().chain(tags.iter().map(String::as_str)));
                let meant = meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
                let kind = match word {
                    _ if word.contains(',') => "no module is called so; blanks separate names, not commas",
                    _ if word.starts_with(super::TAG) => "no module has this tag",
                    _ => "no module is called so",
                };
                let what = format!("{}: {word}: {kind}{meant}", relation.key());
                all.push(complaint(config, module, relation, word, what));
            }
        }
    }
    all.extend(
        config.global_needs().iter().filter(|word| !names.contains(word.as_str()) && !tags.contains(*word)).map(
            |word| {
                let global = Known { name: crate::conf::GLOBAL.into(), own: None };
                complaint(config, &global, Relation::Needs, word, format!("needs: {word}: no module is called so"))
            },
        ),
    );
    // What `[global]` says of `after` and `restart_with` is said by all that inherit it.
    let mut seen = HashSet::new();
    all.retain(|complaint| seen.insert(complaint.to_string()));
    all
}

/// A complaint about the line that says `word` of `module`, or at least something of this relation.
fn complaint(config: &Config, module: &Known, relation: Relation, word: &str, what: String) -> Complaint {
    let (path, line) = config.line_of(&module.name, module.own.as_ref(), relation.key(), word).unzip();
    Complaint { path: path.unwrap_or_else(|| config.path().to_owned()), line, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn told(text: &str, known: &[(&str, Option<&str>)]) -> Vec<String> {
        let config = Config::parse(Path::new("shared"), text.as_bytes());
        let known: Vec<Known> = known
            .iter()
            .map(|(name, own)| {
                let path = format!("{name}/supervise.conf");
                let own = own.map(|text| OwnFile::parse(Path::new(&path), text.as_bytes()));
                Known { name: (*name).to_string(), own }
            })
            .collect();
        complaints(&config, &known).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_is_told_once_with_the_line_of_its_first_step() {
        let text = "[a]\nneeds : b\n[b]\nafter : x c\n[c]\nneeds : a\n[d]\nneeds : a\n";
        assert_eq!(told(text, &[]), ["shared:2: a circle, none of which ever starts: a needs b after c needs a"]);
        assert_eq!(told("[a]\nneeds : a\n", &[]), ["shared:2: a circle, none of which ever starts: a needs a"]);
        assert_eq!(told("[a]\nneeds : b\n[b]\nneeds : c\n", &[]), [""; 0]);
    }

    #[test]
    fn a_circle_may_go_through_a_directorys_own_file() {
        let known = [("a", Some("nice : 1\nneeds : b\n")), ("b", None)];
        assert_eq!(
            told("[b]\nneeds : a\n", &known),
            ["a/supervise.conf:2: a circle, none of which ever starts: a needs b needs a"]
        );
    }

    #[test]
    fn a_name_that_nobody_has_is_told_where_modules_are_known() {
        let text =
            "[global]\nneeds : ini\nafter : z\n[web]\nneeds : databse @blu\nrestart_with : db,ini\n[db]\ntags : blue\n";
        assert_eq!(told(text, &[]), [""; 0]);
        let all = told(text, &[("web", None), ("database", None)]);
        let want = [
            "shared:3: after: z: no module is called so",
            "shared:5: needs: databse: no module is called so (did you mean database?)",
            "shared:5: needs: @blu: no module has this tag (did you mean @blue?)",
            "shared:6: restart_with: db,ini: no module is called so; blanks separate names, not commas",
            "shared:2: needs: ini: no module is called so",
        ];
        assert_eq!(all.len(), want.len(), "{all:?}");
        want.iter().for_each(|line| assert!(all.iter().any(|told| told == line), "{line}: {all:?}"));
    }
}
