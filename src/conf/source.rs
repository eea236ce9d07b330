//! Which file the settings come from, and reading it (again).

use super::{Complaint, Config};
use std::path::PathBuf;

/// The file that was asked for, or the one that is taken where nobody asked.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    required: bool,
}

impl Source {
    /// The first of: what `-F` says; `fallbacks` that exist; the last of `fallbacks`, which may be missing.
    pub fn choose(asked: Option<PathBuf>, fallbacks: impl IntoIterator<Item = PathBuf>) -> Source {
        let fallbacks: Vec<PathBuf> = fallbacks.into_iter().collect();
        let required = asked.is_some();
        let found = || fallbacks.iter().find(|path| path.exists()).or(fallbacks.last()).cloned();
        Source { path: asked.or_else(found).unwrap_or_default(), required }
    }

    /// No file at all.
    pub fn none() -> Source {
        Source { path: PathBuf::new(), required: false }
    }

    /// The file.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Reads the file for the first time: one that nobody asked for may be missing.
    ///
    /// If it cannot be read, the defaults, and the complaint that tells why.
    pub fn first(&self) -> (Config, Option<Complaint>) {
        if !self.required && !self.path.exists() {
            return (Config::empty(), None);
        }
        match Config::read(&self.path) {
            Ok(config) => (config, None),
            Err(complaint) => (Config::empty(), Some(complaint)),
        }
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// The complaint; the old settings stay. A file that is gone is one, too.
    pub fn again(&self) -> Result<Config, Complaint> {
        Config::read(&self.path)
    }
}
