//! What went wrong, and at which path.

use crate::sys::errno_text;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error at a path. It reads `PATH: WHY`.
#[derive(Debug)]
pub struct PathError {
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl PathError {
    /// Makes one of an error at `path`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> PathError {
        let path = path.to_owned();
        move |error| PathError { path, error }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), errno_text(&self.error))
    }
}

impl std::error::Error for PathError {}
