//! How something wrong in a file is told.

use std::fmt;
use std::path::{Path, PathBuf};

/// Something wrong in the file. It prints as `FILE:LINE: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; `None` for the file as a whole.
    pub line: Option<usize>,
    /// What is wrong, and what was meant or what happens instead.
    pub what: String,
}

/// So many complaints about one file are told; of more, only how many there are. Whoever has so many reads the first of them.
pub const TOLD_MAX: usize = 50;

/// What is found wrong in one file, line by line.
#[derive(Debug, Default)]
pub struct Findings {
    told: Vec<(usize, String)>,
    untold: usize,
}

impl Findings {
    /// Something is wrong in this line.
    pub fn push(&mut self, (line, what): (usize, String)) {
        self.push_with(line, || what);
    }

    /// The same for what costs something to say.
    pub fn push_with(&mut self, line: usize, what: impl FnOnce() -> String) {
        if self.told.len() < TOLD_MAX {
            self.told.push((line, what()));
        } else {
            self.untold += 1;
        }
    }

    /// What is told of the file at `path`, in the order of the lines.
    pub fn complaints(mut self, path: &Path) -> Vec<Complaint> {
        self.told.sort_by_key(|(line, _)| *line);
        let told = self.told.into_iter();
        let mut complaints: Vec<Complaint> =
            told.map(|(line, what)| Complaint { path: path.to_owned(), line: Some(line), what }).collect();
        if self.untold > 0 {
            complaints.push(Complaint::whole(path, format!("and {} more like these", self.untold)));
        }
        complaints
    }
}

impl Extend<(usize, String)> for Findings {
    fn extend<T: IntoIterator<Item = (usize, String)>>(&mut self, more: T) {
        more.into_iter().for_each(|finding| self.push(finding));
    }
}

impl Complaint {
    /// One about the file as a whole.
    pub fn whole(path: &Path, what: String) -> Complaint {
        Complaint { path: path.to_owned(), line: None, what }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_complaints_the_first_are_told_and_the_rest_is_counted() {
        let path = Path::new("conf");
        let mut findings = Findings::default();
        (0..TOLD_MAX).for_each(|line| findings.push((TOLD_MAX - line, "bad".into())));
        let told = findings.complaints(path);
        assert_eq!((told.len(), told[0].line), (TOLD_MAX, Some(1)));
        let mut findings = Findings::default();
        findings.extend((0..TOLD_MAX + 7).map(|line| (line, "bad".to_string())));
        findings.push_with(1, || panic!("nobody reads it"));
        let told = findings.complaints(path);
        assert_eq!(told.len(), TOLD_MAX + 1);
        assert_eq!(told.last().unwrap().to_string(), "conf: and 8 more like these");
    }
}
