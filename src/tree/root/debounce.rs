//! Directories that are made while the tree watches, and are not complete yet: `mkdir` comes first, and then one file
//! after the other. A directory that is moved or linked in is complete at once.
//!
//! Nothing here reads a clock: the caller says what time it is.

use crate::sys::time::Mono;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

/// A directory is complete when nothing has happened in it for this long.
const QUIET: Duration = Duration::from_millis(50);

/// The same for one with a `log/` that has no `run` yet.
const QUIET_WITHOUT_LOGGER: Duration = Duration::from_secs(1);

/// One in which something happens all the time is taken as it is after this long.
const LONGEST: Duration = Duration::from_secs(5);

/// Directories that are being filled.
#[derive(Debug, Default)]
pub struct NewDirectories {
    /// When each was made, and when something happened in it last.
    touched: HashMap<OsString, (Mono, Mono)>,
    /// Those that could be services by now, and that have to be looked at once more.
    waiting: BTreeSet<OsString>,
    /// When the first of them has to be looked at.
    at: Option<Mono>,
}

impl NewDirectories {
    /// `name` was made at `now`.
    pub fn made(&mut self, name: OsString, now: Mono) {
        self.touched.insert(name, (now, now));
    }

    /// Something has happened in the directory `name`, if it is a new one.
    pub fn touched(&mut self, name: &OsStr, now: Mono) {
        if let Some((_, touched)) = self.touched.get_mut(name) {
            *touched = now;
        }
    }

    /// The directory is gone.
    pub fn forget(&mut self, name: &OsStr) {
        self.touched.remove(name);
    }

    /// When to look again at the directory `name` in `root`, which could be a service but is still being filled: its
    /// `log/`, or the rest of its `run`, may be yet to come. `None` if it is complete.
    pub fn incomplete_until(&mut self, root: &Path, name: &OsStr, now: Mono) -> Option<Mono> {
        let (made, touched) = *self.touched.get(name)?;
        let log = root.join(name).join("log");
        let quiet = if log.is_dir() && !log.join("run").exists() { QUIET_WITHOUT_LOGGER } else { QUIET };
        if now.since(touched) >= quiet || now.since(made) >= LONGEST {
            self.touched.remove(name);
            return None;
        }
        self.waiting.insert(name.to_owned());
        // Not later than what waits already: while one directory after the other is made, the first ones must start.
        let at = now + QUIET;
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
        Some(at)
    }

    /// When to look at some of them again.
    pub fn at(&self) -> Option<Mono> {
        self.at
    }

    /// Takes the names that have to be looked at again; the caller does that now.
    pub fn take(&mut self) -> BTreeSet<OsString> {
        self.at = None;
        std::mem::take(&mut self.waiting)
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
        let mut new = NewDirectories::default();
        let start = Mono::now();
        assert_eq!(new.incomplete_until(root.path(), mail, start), None, "nobody has seen it being made");
        new.made(web.to_owned(), start);
        assert_eq!(new.incomplete_until(root.path(), web, start), Some(start + QUIET));
        assert_eq!(new.at(), Some(start + QUIET));
        assert_eq!(new.take().into_iter().collect::<Vec<_>>(), [web]);
        assert_eq!(new.at(), None);
        assert!(new.incomplete_until(root.path(), web, start + QUIET).is_some(), "its log/run is waited for");
        std::fs::write(root.path().join("web/log/run"), "").unwrap();
        assert_eq!(new.incomplete_until(root.path(), web, start + QUIET), None);
        new.touched(web, start + QUIET);
        assert_eq!(new.incomplete_until(root.path(), web, start + QUIET), None, "what was complete once is a service");
    }

    #[test]
    fn others_that_are_made_meanwhile_put_nothing_off() {
        let root = tempfile::tempdir().unwrap();
        let mut new = NewDirectories::default();
        let start = Mono::now();
        for step in 0..10 {
            let (name, now) = (OsString::from(format!("w{step}")), start + QUIET / 10 * step);
            new.made(name.clone(), now);
            assert!(new.incomplete_until(root.path(), &name, now).is_some());
        }
        assert_eq!(new.at(), Some(start + QUIET), "the first one's time");
        assert!(new.take().contains(OsStr::new("w0")));
        assert_eq!(new.incomplete_until(root.path(), OsStr::new("w0"), start + QUIET), None);
    }

    #[test]
    fn one_that_is_never_quiet_is_taken_in_the_end() {
        let root = tempfile::tempdir().unwrap();
        let web = OsStr::new("web");
        let mut new = NewDirectories::default();
        let start = Mono::now();
        new.made(web.to_owned(), start);
        new.touched(web, start + LONGEST);
        assert_eq!(new.incomplete_until(root.path(), web, start + LONGEST), None);
    }
}
