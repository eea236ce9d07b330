//! Sections and their keys, put together by rust-ini from the lines that passed.
//!
//! rust-ini gets each value as its line's number: nothing in a value can then be taken for syntax (a trailing
//! backslash would join lines), and every key keeps where it stands.

use super::lines::{Kind, Line};
use ini::{Ini, ParseOption};
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
pub struct Sections(HashMap<String, Section>);

impl Sections {
    /// Puts the lines together; what is wrong goes to `complaints` with its line. A section or key that is repeated
    /// counts the last time.
    pub fn build(lines: &[Line], complaints: &mut Vec<(usize, String)>) -> Sections {
        let (text, values, headers) = normalise(lines, complaints);
        let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        let ini = match Ini::load_from_str_opt(&text, options) {
            Ok(ini) => ini,
            Err(error) => {
                complaints.push((1, format!("cannot be read as sections and keys: {error}")));
                return Sections::default();
            }
        };
        let mut sections = HashMap::new();
        // rust-ini keeps repeated headers apart, in order; its name for each is the header's line.
        for (header, keys) in &ini {
            let Some((line, name)) =
                header.and_then(|line| line.parse().ok()).and_then(|line| headers.get_key_value(&line))
            else {
                continue;
            };
            let mut section = Section { line: *line, entries: BTreeMap::new() };
            for (key, number) in keys.iter() {
                let Some((line, value)) = number.parse().ok().and_then(|line| values.get_key_value(&line)) else {
                    continue;
                };
                let entry = Entry { value: (*value).to_string(), line: *line };
                if let Some(old) = section.entries.insert(key.to_string(), entry) {
                    complaints.push((*line, format!("{key} again (first in line {}): this one counts", old.line)));
                }
            }
            if let Some(old) = sections.insert((*name).to_string(), section) {
                complaints.push((*line, format!("[{name}] again (first in line {}): this one counts", old.line)));
            }
        }
        Sections(sections)
    }

    /// The section called `name`.
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.0.get(name)
    }

    /// All sections, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().map(|(name, section)| (name.as_str(), section))
    }

    /// All sections, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Section)> {
        self.0.iter_mut().map(|(name, section)| (name.as_str(), section))
    }
}

/// Whose the next entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// There was no section yet.
    Before,
    /// That of the last header.
    Section,
    /// The last header could not be read.
    Nobody,
}

type ByLine<'a> = HashMap<usize, &'a str>;

/// The text for rust-ini, and what each line number in it stands for: values and section names.
fn normalise<'a>(lines: &'a [Line], complaints: &mut Vec<(usize, String)>) -> (String, ByLine<'a>, ByLine<'a>) {
    let (mut text, mut values, mut headers) = (String::new(), HashMap::new(), HashMap::new());
    let mut place = Place::Before;
    for Line { number, kind } in lines {
        match kind {
            Kind::Nothing => {}
            Kind::Bad(what) => complaints.push((*number, what.clone())),
            Kind::BadSection(what) => {
                place = Place::Nobody;
                complaints.push((*number, format!("{what}; the lines below it, up to the next section, are ignored")));
            }
            Kind::Section(name) => {
                place = Place::Section;
                headers.insert(*number, name.as_str());
                text += &format!("[{number}]\n");
            }
            // Its header has been told.
            Kind::Entry { .. } if place == Place::Nobody => {}
            Kind::Entry { key, .. } if place == Place::Before => {
                complaints.push((*number, format!("{key} stands before the first [section] and is ignored")));
            }
            Kind::Entry { key, value } => {
                values.insert(*number, value.as_str());
                text += &format!("{key}={number}\n");
            }
        }
    }
    (text, values, headers)
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
