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

impl Complaint {
    /// One of each of `found`, in the order of their lines.
    pub fn all(path: &Path, mut found: Vec<(usize, String)>) -> Vec<Complaint> {
        found.sort_by_key(|(line, _)| *line);
        found.into_iter().map(|(line, what)| Complaint { path: path.to_owned(), line: Some(line), what }).collect()
    }

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
