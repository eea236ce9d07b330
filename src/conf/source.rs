//! Which file the settings come from, and reading it (again).

use super::{Complaint, Config};
use std::path::PathBuf;

/// The file that was asked for, or those that are taken where nobody asked.
#[derive(Clone, Debug)]
pub struct Source {
    asked: Option<PathBuf>,
    fallbacks: Vec<PathBuf>,
}

impl Source {
    /// What `-F` says; else the first of `fallbacks` that exists whenever the file is read.
    pub fn choose(asked: Option<PathBuf>, fallbacks: impl IntoIterator<Item = PathBuf>) -> Source {
        Source { asked, fallbacks: fallbacks.into_iter().collect() }
    }

    /// No file at all.
    pub fn none() -> Source {
        Source { asked: None, fallbacks: Vec::new() }
    }

    /// The file, as things are now; one of the fallbacks, if none exists.
    pub fn path(&self) -> PathBuf {
        let exists = || self.fallbacks.iter().find(|path| path.exists());
        self.asked.as_ref().or_else(exists).or(self.fallbacks.first()).cloned().unwrap_or_default()
    }

    /// Reads the file for the first time: one that nobody asked for may be missing.
    ///
    /// If it cannot be read, the defaults, and the complaint that tells why.
    pub fn first(&self) -> (Config, Option<Complaint>) {
        let path = self.path();
        if self.asked.is_none() && !path.exists() {
            return (Config::empty(), None);
        }
        match Config::read(&path) {
            Ok(config) => (config, None),
            Err(mut complaint) => {
                complaint.what += "; the defaults hold";
                (Config::empty(), Some(complaint))
            }
        }
    }

    /// Whether there is nothing to read: nobody asked for a file, and none of the fallbacks exists.
    pub fn is_absent(&self) -> bool {
        self.asked.is_none() && !self.path().exists()
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// The complaint; the old settings stay. A file that is gone is one, too.
    pub fn again(&self) -> Result<Config, Complaint> {
        Config::read(&self.path())
    }
}
