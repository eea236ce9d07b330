//! Directories that are made under our eyes, and are not complete yet: `mkdir` comes first, and then one file after the
//! other. What is moved or linked in is complete as it comes.

use crate::sys::time::Mono;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

/// A directory is complete when it has not been touched for this long.
const QUIET: Duration = Duration::from_millis(50);

/// The same for one with a `log/` that has no `run` yet.
const QUIET_WITHOUT_LOGGER: Duration = Duration::from_secs(1);

/// One that is never quiet is taken as it is after this long.
const LONGEST: Duration = Duration::from_secs(5);

/// Directories that are being filled.
#[derive(Debug, Default)]
pub struct NewDirectories {
    /// When they were made, and last touched.
    touched: HashMap<OsString, (Mono, Mono)>,
    /// Those that have become services, and are to be looked at once more.
    again: BTreeSet<OsString>,
    at: Option<Mono>,
}

impl NewDirectories {
    /// `name` was made just now.
    pub fn made(&mut self, name: OsString) {
        let now = Mono::now();
        self.touched.insert(name, (now, now));
    }

    /// Something has happened in it, if it is one.
    pub fn touched(&mut self, name: &OsStr) {
        if let Some((_, touched)) = self.touched.get_mut(name) {
            *touched = Mono::now();
        }
    }

    /// It is gone.
    pub fn forget(&mut self, name: &OsStr) {
        self.touched.remove(name);
    }

    /// Whether the directory `name` in `root`, which could be a service, is still being filled: then its `log/`, or the rest
    /// of its `run`, is yet to come, and it is to be looked at again when it has been quiet for a moment (a longer one, if
    /// its `log/` has no `run` yet).
    pub fn is_incomplete(&mut self, root: &Path, name: &OsStr) -> bool {
        let Some((made, touched)) = self.touched.get(name) else { return false };
        let log = root.join(name).join("log");
        let patience = if log.is_dir() && !log.join("run").exists() { QUIET_WITHOUT_LOGGER } else { QUIET };
        let now = Mono::now();
        if now.since(*touched) >= patience || now.since(*made) >= LONGEST {
            self.touched.remove(name);
            return false;
        }
        self.again.insert(name.to_owned());
        self.at = Some(Mono::now() + QUIET);
        true
    }

    /// When to look at some of them again.
    pub fn at(&self) -> Option<Mono> {
        self.at
    }

    /// Takes the names that are to be looked at again; the caller does that now.
    pub fn take(&mut self) -> BTreeSet<OsString> {
        self.at = None;
        std::mem::take(&mut self.again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_complete_once_it_is_quiet() {
        let root = tempfile::tempdir().unwrap();
        let (web, mail) = (OsStr::new("web"), OsStr::new("mail"));
        std::fs::create_dir_all(root.path().join("web/log")).unwrap();
        let mut filling = NewDirectories::default();
        assert!(!filling.is_incomplete(root.path(), mail), "nobody has seen it being made");
        filling.made(web.to_owned());
        assert!(filling.is_incomplete(root.path(), web));
        assert!(filling.at().is_some());
        assert_eq!(filling.take().into_iter().collect::<Vec<_>>(), [web]);
        assert_eq!(filling.at(), None);
        std::thread::sleep(QUIET);
        assert!(filling.is_incomplete(root.path(), web), "its log/run is waited for");
        std::fs::write(root.path().join("web/log/run"), "").unwrap();
        assert!(!filling.is_incomplete(root.path(), web));
        filling.touched(web);
        assert!(!filling.is_incomplete(root.path(), web), "what was complete once is a service");
    }
}
