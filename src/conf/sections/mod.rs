//! Sections and their keys, put together from the lines, each with the line where it stands.

pub mod lines;

use crate::conf::complaint::Findings;
use crate::conf::keys::{self, KEYS};
use crate::conf::nearest::nearest;
use lines::{Kind, Line, shortened};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A file with more sections and keys than this is somebody's mistake; ten thousand modules with ten keys each need fewer.
const ENTRIES_MAX: usize = 200_000;

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
    entries: BTreeMap<&'static str, Entry>,
}

impl Section {
    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All entries, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (*key, entry))
    }

    /// Sets `key`, from this line or what stands for one.
    pub fn set(&mut self, key: &'static str, value: String, line: usize) {
        self.entries.insert(key, Entry { value, line });
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Entry) -> bool) {
        self.entries.retain(|key, entry| keep(key, entry));
    }
}

/// All sections, by name.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    by_name: HashMap<Arc<str>, Section>,
    /// The lines of all headers, in order, with their names; one that could not be read has none.
    headers: Vec<(usize, Option<Arc<str>>)>,
}

impl Sections {
    /// Puts the lines together; what is wrong goes to `complaints` with its line. A section or key that is repeated
    /// counts the last time. What nobody can use is not kept: the file may be large, and full of it.
    pub fn build(lines: impl IntoIterator<Item = Line>, complaints: &mut Findings) -> Sections {
        let mut building = Building { sections: Sections::default(), place: Place::Before, kept: 0, complaints };
        for Line { number, kind } in lines {
            if building.kept == ENTRIES_MAX {
                let what = format!("the file has more than {ENTRIES_MAX} sections and keys: the rest is ignored");
                building.complaints.push((number, what));
                break;
            }
            match kind {
                Kind::Nothing => {}
                Kind::Bad(what) => building.complaints.push((number, what)),
                Kind::BadSection(what) => building.unreadable_header(number, &what),
                Kind::Section(name) => building.header(number, name),
                Kind::Entry { key, value } => building.entry(number, &key, value),
            }
        }
        building.sections
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
        self.by_name.iter().map(|(name, section)| (&**name, section))
    }

    /// All sections, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Section)> {
        self.by_name.iter_mut().map(|(name, section)| (&**name, section))
    }
}

/// Sections while the lines are put together.
struct Building<'a> {
    sections: Sections,
    place: Place,
    /// How many headers and entries are kept; lines that nobody can use are not.
    kept: usize,
    complaints: &'a mut Findings,
}

impl Building<'_> {
    /// A header whose name cannot be read: the lines below it must not go to the section above.
    fn unreadable_header(&mut self, line: usize, what: &str) {
        self.kept += 1;
        self.sections.headers.push((line, None));
        self.place = Place::Nobody;
        let what = format!("{what}; the lines below it, up to the next section, are ignored");
        self.complaints.push((line, what));
    }

    fn header(&mut self, line: usize, name: String) {
        self.kept += 1;
        let shown = shortened(&name);
        let name: Arc<str> = name.into();
        self.sections.headers.push((line, Some(name.clone())));
        self.place = Place::Section(name.clone());
        let section = Section { line, entries: BTreeMap::new() };
        let old = self.sections.by_name.insert(name, section);
        self.complaints.extend(old.map(|old| (line, repeated(&format!("[{shown}]"), old.line))));
    }

    fn entry(&mut self, line: usize, key: &str, value: String) {
        match (&self.place, keys::key(key)) {
            (Place::Before, _) => {
                let key = shortened(key);
                self.complaints.push((line, format!("{key} stands before the first [section] and is ignored")));
            }
            (Place::Section(_), None) => self.complaints.push_with(line, || unknown(key)),
            (Place::Section(name), Some(known)) => {
                self.kept += 1;
                let Some(section) = self.sections.by_name.get_mut(name) else { return };
                let old = section.entries.insert(known.name, Entry { value, line });
                self.complaints.extend(old.map(|old| (line, repeated(key, old.line))));
            }
            // Its header has been told.
            (Place::Nobody, _) => {}
        }
    }
}

/// Whose the next entry is.
enum Place {
    /// There was no section yet.
    Before,
    /// That of the last header, with this name.
    Section(Arc<str>),
    /// The last header could not be read.
    Nobody,
}

/// What is said of a key that there is not.
fn unknown(name: &str) -> String {
    let name = &shortened(name);
    match nearest(name, KEYS.iter().map(|key| key.name)) {
        Some(meant) => format!("unknown key {name}: did you mean {meant}?"),
        None => format!("unknown key {name}: it is ignored"),
    }
}

fn repeated(what: &str, first: usize) -> String {
    format!("{what} again (first in line {first}): this one counts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::sections::lines::classify;
    use std::path::Path;

    fn build(text: &str) -> (Sections, Vec<(usize, String)>) {
        let mut findings = Findings::default();
        let sections = Sections::build(classify(text.as_bytes()), &mut findings);
        let complaints = findings.complaints(Path::new("conf")).into_iter();
        (sections, complaints.map(|complaint| (complaint.line.unwrap_or(0), complaint.what)).collect())
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
        let (sections, complaints) = build("[a]\nnice : 1\nnice : 2\n[b]\n[a]\nnice : 3\n");
        assert_eq!(sections.get("a").unwrap().get("nice").unwrap().value, "3");
        assert_eq!(sections.get("a").unwrap().line, 5);
        assert_eq!(complaints.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn junk_swallows_no_section() {
        let (sections, complaints) = build("[a]\ngarbage\n[b]\nnice = 4\n");
        assert_eq!(sections.get("b").unwrap().get("nice").unwrap().value, "4");
        assert_eq!(complaints.len(), 1);
    }

    #[test]
    fn what_stands_below_a_header_that_is_none_belongs_to_nobody() {
        let (sections, found) = build("[a]\nnice : 1\n[b\nnice : 2\n[c]\nnice : 3\n");
        assert_eq!(sections.get("a").unwrap().get("nice").unwrap().value, "1");
        assert_eq!(sections.get("c").unwrap().get("nice").unwrap().value, "3");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == 3 && found[0].1.contains("are ignored"), "{found:?}");
    }

    #[test]
    fn a_key_without_a_section_is_named() {
        let (_, complaints) = build("nice : 1\n[a]\n");
        assert_eq!(complaints[0].0, 1);
    }
}
