//! Sections and their keys, put together from the lines, each with the line where it stands.

use super::lines::{Kind, Line};
use std::collections::{BTreeMap, HashMap};

/// A key's value, and its line from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value; may be empty.
    pub value: String,
    /// Where it stands.
    pub line: usize,
}

/// One section of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The line of its header, from 1.
    pub line: usize,
    entries: BTreeMap<String, Entry>,
}

impl Section {
    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All entries, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Entry) -> bool) {
        self.entries.retain(|key, entry| keep(key, entry));
    }
}

/// All sections, by name.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    by_name: HashMap<String, Section>,
    /// The lines of all headers, in order, with their names; one that could not be read has none.
    headers: Vec<(usize, Option<String>)>,
}

impl Sections {
    /// Puts the lines together; what is wrong goes to `complaints` with its line. A section or key that is repeated
    /// counts the last time.
    pub fn build(lines: &[Line], complaints: &mut Vec<(usize, String)>) -> Sections {
        let mut sections = Sections::default();
        let mut place = Place::Before;
        for Line { number, kind } in lines {
            match kind {
                Kind::Nothing => {}
                Kind::Bad(what) => complaints.push((*number, what.clone())),
                Kind::BadSection(what) => {
                    place = Place::Nobody;
                    let what = format!("{what}; the lines below it, up to the next section, are ignored");
                    complaints.push((*number, what));
                }
                Kind::Section(name) => {
                    place = Place::Section(name);
                    let section = Section { line: *number, entries: BTreeMap::new() };
                    let old = sections.by_name.insert(name.clone(), section);
                    complaints.extend(old.map(|old| (*number, repeated(&format!("[{name}]"), old.line))));
                }
                Kind::Entry { key, value } => match place {
                    Place::Before => {
                        complaints.push((*number, format!("{key} stands before the first [section] and is ignored")));
                    }
                    Place::Section(name) => {
                        let entries = &mut sections.by_name.entry(name.to_string()).or_default().entries;
                        let old = entries.insert(key.clone(), Entry { value: value.clone(), line: *number });
                        complaints.extend(old.map(|old| (*number, repeated(key, old.line))));
                    }
                    // Its header has been told.
                    Place::Nobody => {}
                },
            }
        }
        sections.headers = all_headers(lines);
        sections
    }

    /// The name of the section that a line belongs to.
    pub fn of_line(&self, line: usize) -> Option<&str> {
        let (_, name) = self.headers.iter().rev().find(|(header, _)| *header <= line)?;
        name.as_deref()
    }

    /// The section called `name`.
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.by_name.get(name)
    }

    /// All sections, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.by_name.iter().map(|(name, section)| (name.as_str(), section))
    }

    /// All sections, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Section)> {
        self.by_name.iter_mut().map(|(name, section)| (name.as_str(), section))
    }
}

fn all_headers(lines: &[Line]) -> Vec<(usize, Option<String>)> {
    let header = |line: &Line| match &line.kind {
        Kind::Section(name) => Some((line.number, Some(name.clone()))),
        Kind::BadSection(_) => Some((line.number, None)),
        Kind::Nothing | Kind::Entry { .. } | Kind::Bad(_) => None,
    };
    lines.iter().filter_map(header).collect()
}

/// Whose the next entry is.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// There was no section yet.
    Before,
    /// That of the last header, with this name.
    Section(&'a str),
    /// The last header could not be read.
    Nobody,
}

fn repeated(what: &str, first: usize) -> String {
    format!("{what} again (first in line {first}): this one counts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::lines::classify;

    fn build(text: &str) -> (Sections, Vec<(usize, String)>) {
        let mut complaints = Vec::new();
        let sections = Sections::build(&classify(text.as_bytes()), &mut complaints);
        (sections, complaints)
    }

    #[test]
    fn values_keep_their_lines_and_every_character() {
        let (sections, complaints) = build("[web]\nalarm_command : a \\\nmax_tries : 3\n");
        assert!(complaints.is_empty(), "{complaints:?}");
        let web = sections.get("web").unwrap();
        assert_eq!(web.get("alarm_command"), Some(&Entry { value: "a \\".into(), line: 2 }));
        assert_eq!(web.get("max_tries"), Some(&Entry { value: "3".into(), line: 3 }));
    }

    #[test]
    fn the_last_of_repeated_keys_and_sections_counts() {
        let (sections, complaints) = build("[a]\nk : 1\nk : 2\n[b]\n[a]\nk : 3\n");
        assert_eq!(sections.get("a").unwrap().get("k").unwrap().value, "3");
        assert_eq!(sections.get("a").unwrap().line, 5);
        assert_eq!(complaints.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn junk_swallows_no_section() {
        let (sections, complaints) = build("[a]\ngarbage\n[b]\nk = v\n");
        assert_eq!(sections.get("b").unwrap().get("k").unwrap().value, "v");
        assert_eq!(complaints.len(), 1);
    }

    #[test]
    fn what_stands_below_a_header_that_is_none_belongs_to_nobody() {
        let (sections, found) = build("[a]\nk : 1\n[b\nk : 2\n[c]\nk : 3\n");
        assert_eq!(sections.get("a").unwrap().get("k").unwrap().value, "1");
        assert_eq!(sections.get("c").unwrap().get("k").unwrap().value, "3");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == 3 && found[0].1.contains("are ignored"), "{found:?}");
    }

    #[test]
    fn a_key_without_a_section_is_named() {
        let (_, complaints) = build("k : 1\n[a]\n");
        assert_eq!(complaints[0].0, 1);
    }
}
