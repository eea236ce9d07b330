//! A service directory's own `supervise.conf`: keys without a section, which travel with the service; and the files of s6
//! beside it, which stand for keys.
//!
//! | file | what is in it |
//! |---|---|
//! | [`s6`] | the files of s6, and the keys that they stand for |
//! | `trusted` | how such a file is read, and whom it has to belong to |

pub mod s6;
mod trusted;

use super::CONFIG_FILE;
use super::complaint::{Complaint, Findings};
use super::lint;
use super::sections::lines::{self, Kind, Line};
use super::sections::{Section, Sections};
use crate::sys::fnv;
use std::path::{Path, PathBuf};

/// The section that the keys are kept in. No header can name it.
const KEYS: &str = "";

/// What is in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    conf: Option<Vec<u8>>,
    s6: Vec<s6::Text>,
}

impl Texts {
    /// Reads those in `dir`: `supervise.conf` and the files of s6, as far as they `are_there`. `None` if there is none.
    ///
    /// `trusted` are the users to whom they have to belong; empty for anybody.
    ///
    /// # Errors
    /// One of them cannot be read, or belongs to somebody else.
    pub fn read(dir: &Path, are_there: [bool; 2], trusted: &[u32]) -> Result<Option<Texts>, Complaint> {
        let [has_conf, has_s6] = are_there;
        let conf = if has_conf { trusted::read(&dir.join(CONFIG_FILE), trusted)? } else { None };
        let s6 = if has_s6 { s6::read(dir, trusted)? } else { Vec::new() };
        Ok((conf.is_some() || !s6.is_empty()).then_some(Texts { conf, s6 }))
    }

    /// The file that was there, by a list of names, and is not among these; `None` if they are all.
    pub fn missing(read: Option<&Texts>, [has_conf, has_s6]: [bool; 2]) -> Option<&'static str> {
        let is_read = |is: fn(&Texts) -> bool| read.is_some_and(is);
        if has_conf && !is_read(|texts| texts.conf.is_some()) {
            Some(CONFIG_FILE)
        } else if has_s6 && !is_read(|texts| !texts.s6.is_empty()) {
            Some("a file of s6")
        } else {
            None
        }
    }

    fn hash(&self) -> u64 {
        let mut all = self.conf.clone().unwrap_or_default();
        for (number, text) in &self.s6 {
            all.extend(number.to_ne_bytes());
            all.extend(text);
        }
        fnv::hash(&all)
    }
}

/// The files, as they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnFile {
    /// Where `supervise.conf` is, or would be.
    pub path: PathBuf,
    hash: u64,
    section: Section,
    s6: Section,
    complaints: Vec<Complaint>,
}

impl OwnFile {
    /// Reads the files in `dir`; `None` if there is none.
    ///
    /// # Errors
    /// As [`Texts::read`].
    pub fn read(dir: &Path, trusted: &[u32]) -> Result<Option<OwnFile>, Complaint> {
        Ok(Texts::read(dir, [true; 2], trusted)?.map(|texts| OwnFile::of(dir, &texts)))
    }

    /// Reads `texts` as the content of the files in `dir`.
    pub fn of(dir: &Path, texts: &Texts) -> OwnFile {
        let path = dir.join(CONFIG_FILE);
        let conf = texts.conf.as_ref().map(|bytes| OwnFile::parse(&path, bytes)).unwrap_or_default();
        let (s6, mut complaints) = s6::keys(dir, &texts.s6);
        complaints.extend(conf.complaints);
        OwnFile { path, hash: texts.hash(), section: conf.section, s6, complaints }
    }

    /// Reads `bytes` as the content of the file at `path`.
    pub fn parse(path: &Path, bytes: &[u8]) -> OwnFile {
        let mut found = Findings::default();
        let header = Line { number: 0, kind: Kind::Section(KEYS.into()) };
        let all = std::iter::once(header).chain(lines::classify(bytes).map(without_section));
        let sections = Sections::build(all, &mut found);
        let mut section = sections.get(KEYS).cloned().unwrap_or_default();
        lint::drop_invalid(&mut section, &mut found);
        lint::lint_gsm(&section, &mut found);
        drop_log_keys(&mut section, &mut found);
        let complaints = found.complaints(path);
        OwnFile { path: path.to_owned(), hash: fnv::hash(bytes), section, s6: Section::default(), complaints }
    }

    /// All that is wrong in it, in the order of its lines.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// The keys that files of s6 stand for, each with the number of its file in [`s6::FILES`] in the place of a line.
    pub fn s6(&self) -> &Section {
        &self.s6
    }

    /// A number that tells these texts from any others.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Its keys.
    pub fn section(&self) -> &Section {
        &self.section
    }
}

/// Who reads a service's output is settled before its directory's own file is read.
fn drop_log_keys(section: &mut Section, complaints: &mut Findings) {
    section.retain(|name, entry| {
        let is_about_log = name == "log" || name.starts_with("log_");
        if is_about_log {
            complaints.push((entry.line, format!("{name} has no effect here: it belongs into the shared file")));
        }
        !is_about_log
    });
}

/// There are no sections in it: whoever copied one here would not see what it is for.
fn without_section(line: Line) -> Line {
    let kind = match line.kind {
        Kind::Section(name) => Kind::BadSection(format!("[{name}] has no place in a service directory's own file")),
        other => other,
    };
    Line { kind, ..line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> OwnFile {
        OwnFile::parse(Path::new("web/supervise.conf"), text.as_bytes())
    }

    #[test]
    fn it_has_keys_and_no_sections() {
        let own = parse("max_tries : 3\n# a comment\nuser = www\n[web]\nmax_tries : 4\n");
        assert_eq!(own.section().get("max_tries").map(|entry| (entry.value.as_str(), entry.line)), Some(("3", 1)));
        assert_eq!(own.section().get("user").map(|entry| entry.line), Some(3));
        let [complaint] = own.complaints() else { panic!("{:?}", own.complaints()) };
        assert!(complaint.to_string().starts_with("web/supervise.conf:4: [web] has no place"), "{complaint}");
    }

    #[test]
    fn the_tree_is_asked_for_a_log_in_the_shared_file() {
        let own = parse("nice : 3\nlog : yes\n");
        assert!(own.complaints()[0].to_string().contains(":2: log has no effect here"), "{:?}", own.complaints());
        assert_eq!(own.section().iter().count(), 1);
    }

    #[test]
    fn what_is_wrong_is_told_as_in_the_shared_file() {
        let own = parse("max_try : 3\nrestart : sometimes\n");
        let all: Vec<String> = own.complaints().iter().map(ToString::to_string).collect();
        assert!(all[0].contains(":1: unknown key max_try: did you mean max_tries?"), "{all:?}");
        assert!(all[1].contains(":2: restart: "), "{all:?}");
        assert!(own.section().get("restart").is_none());
    }

    #[test]
    fn the_sample_services_have_good_ones() {
        for (name, keys) in [("nginx", 3), ("redis", 2), ("python-app", 2), ("migrate", 1), ("web", 3)] {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("services.example").join(name);
            let own = OwnFile::read(&dir, &[]).unwrap().unwrap();
            assert_eq!(own.complaints(), [], "{name}");
            assert!(own.section().iter().count() >= keys, "{name}");
        }
    }
}
