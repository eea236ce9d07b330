//! The status root: which modules there are, and which ones a command line means.

use super::access;
use super::error::CtlError;
use super::exit::Outcome;
use super::not_begun;
use super::parallel;
use crate::conf::defaults::Defaults;
use crate::conf::nearest;
use crate::conf::relations::TAG;
use crate::ctl::format;
use crate::status::dir::TREE_DIR;
use crate::status::state::StateFile;
use crate::status::tree_state::TreeState;
use crate::status::{StatusDir, runit_files};
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Modules lie at most this many directories deep: `NAME/log` is 2, and `supervise` takes any path.
const DEPTH_MAX: usize = 8;

/// The letters that make a word a glob.
const GLOB: [char; 3] = ['*', '?', '['];

/// A supervised service, or what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path below the status root.
    pub name: OsString,
    /// Where it is.
    pub dir: StatusDir,
}

impl Module {
    /// Its name for people.
    pub fn shown(&self) -> String {
        format::name(&self.name)
    }

    /// Its name in JSON.
    pub fn json(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// The status root that it is in, as an absolute path.
    pub fn status_root(&self) -> PathBuf {
        let depth = Path::new(&self.name).components().count();
        let root = self.dir.path().ancestors().nth(depth).filter(|root| !root.as_os_str().is_empty());
        let root = root.unwrap_or(Path::new("."));
        std::path::absolute(root).unwrap_or_else(|_| root.to_owned())
    }

    /// The name of the service whose logger it is.
    pub fn logged(&self) -> Option<&OsStr> {
        self.name.as_bytes().strip_suffix(b"/log").filter(|service| !service.is_empty()).map(OsStr::from_bytes)
    }
}

/// A word that names no module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The word.
    pub word: OsString,
    /// What is wrong with it.
    pub why: String,
}

impl Missing {
    /// A word about which nothing is known yet.
    pub fn new(word: &OsStr) -> Missing {
        Missing { word: word.to_owned(), why: String::new() }
    }

    /// Whether the word was meant for several modules.
    pub fn is_for_several(&self) -> bool {
        let word = self.word.to_string_lossy();
        word.contains(GLOB) || word.starts_with(TAG)
    }
}

/// Whether a tree or `supervise` has used the directory at `path`.
fn is_used(path: &Path) -> bool {
    StatusRoot(path.to_owned()).is_used()
}

/// The error where several trees run and none of them is named.
fn several(roots: &[PathBuf]) -> CtlError {
    let shown: Vec<String> = roots.iter().map(|root| access::shown(root)).collect();
    let text = format!("several trees run: {}; name the status root with -p or $SUPERVISE_STATUS", shown.join(", "));
    CtlError::new(Outcome::NoRoot, text)
}

/// A directory of status directories.
#[derive(Clone, Debug)]
pub struct StatusRoot(PathBuf);

impl StatusRoot {
    /// The one that `-p` names, else as [`crate::cli::find_status_root`].
    ///
    /// # Errors
    /// There is none, or which of several is meant is not said; it is not a directory, it may not be entered, or nothing ever used it.
    pub fn find(option: Option<&Path>) -> Result<StatusRoot, CtlError> {
        let root = StatusRoot::find_for_later(option)?;
        // A wrong path must not look like a machine on which all is quiet.
        if !root.tree().path().exists() && root.modules()?.is_empty() {
            let shown = access::shown(&root.0);
            let text = format!(
                "{shown}: no supervise-tree and no supervise ever used this directory; name the status root with -p or \
                 $SUPERVISE_STATUS"
            );
            return Err(CtlError::new(Outcome::NoRoot, text));
        }
        Ok(root)
    }

    /// The same, for whoever waits for what is still to come: the tree may be about to begin.
    ///
    /// # Errors
    /// As [`StatusRoot::find`], but that a directory may be unused.
    pub fn find_for_later(option: Option<&Path>) -> Result<StatusRoot, CtlError> {
        let root = match option {
            Some(path) => StatusRoot(path.to_owned()),
            None => StatusRoot(crate::cli::find_status_root(is_used).map_err(|roots| several(&roots))?),
        };
        let looked = std::fs::metadata(&root.0).and_then(|metadata| {
            if !metadata.is_dir() {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            }
            // Its entries can be reached.
            std::fs::metadata(root.0.join(".")).map(drop)
        });
        looked.map_err(|error| root.refused(&error))?;
        Ok(root)
    }

    /// As [`StatusRoot::find`], for whoever can do without: `./status` where it is not clear which is meant.
    pub fn name(option: Option<&Path>) -> StatusRoot {
        let found = || crate::cli::find_status_root(is_used).unwrap_or_else(|_| "status".into());
        StatusRoot(option.map_or_else(found, Path::to_owned))
    }

    fn is_used(&self) -> bool {
        self.tree().path().exists() || self.modules().is_ok_and(|modules| !modules.is_empty())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory of the tree itself, which there is if a tree ever ran here.
    pub fn tree(&self) -> StatusDir {
        StatusDir::new(self.0.join(TREE_DIR))
    }

    /// What the tree's command line has changed about settings.
    pub fn defaults(&self) -> Defaults {
        let tree = TreeState::read(&self.tree().state()).unwrap_or_default();
        Defaults { container: tree.container, command: tree.command, runit: tree.runit }
    }

    /// All modules, each service right before its logger, ordered by name, and those that the tree could not begin.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn modules(&self) -> Result<Vec<Module>, CtlError> {
        let directories = self.directories()?.into_iter().filter(|(_, is_one)| *is_one);
        let mut modules: Vec<Module> = directories.map(|(module, _)| module).collect();
        let names = not_begun::all(&self.tree()).into_iter().map(|one| OsString::from(one.module));
        let mut added: Vec<Module> = names.filter_map(|name| self.would_be(&name)).collect();
        added.retain(|module| !modules.iter().any(|other| other.name == module.name));
        if !added.is_empty() {
            modules.append(&mut added);
            modules.sort_by_cached_key(parts);
        }
        Ok(modules)
    }

    /// All directories below the root, and whether each is a module's: one that is not may be about to become one.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn directories(&self) -> Result<Vec<(Module, bool)>, CtlError> {
        let entries = std::fs::read_dir(&self.0).map_err(|error| self.refused(&error))?;
        let below = parallel::map(&look(entries).1, |name| {
            let mut found = Vec::new();
            self.collect(name.clone(), DEPTH_MAX, &mut found);
            found
        });
        let mut found: Vec<(Module, bool)> = below.into_iter().flatten().collect();
        found.sort_by_cached_key(|(module, _)| parts(module));
        Ok(found)
    }

    /// The modules that `words` mean, in their order and each once: a name, or a glob whose `*` stops at a `/`.
    ///
    /// # Errors
    /// The root cannot be read, where that was necessary.
    pub fn select(&self, words: &[OsString]) -> Result<Vec<Result<Module, Missing>>, CtlError> {
        let mut selected = Vec::new();
        let mut seen = HashSet::new();
        let mut all = None;
        for word in words {
            if let Some(module) = self.module(word) {
                if seen.insert(module.name.clone()) {
                    selected.push(Ok(module));
                }
                continue;
            }
            if all.is_none() {
                all = Some(self.modules()?);
            }
            match matching(word, all.as_deref().unwrap_or_default()) {
                Ok(modules) => {
                    selected.extend(modules.into_iter().filter(|module| seen.insert(module.name.clone())).map(Ok));
                }
                Err(missing) => selected.push(Err(missing)),
            }
        }
        Ok(selected)
    }

    /// The module called `name`, if there is one.
    pub fn module(&self, name: &OsStr) -> Option<Module> {
        let module = self.would_be(name)?;
        let is_one = match std::fs::read_dir(module.dir.path()) {
            Ok(entries) => look(entries).0,
            Err(error) => access::is_denied(&error),
        };
        let is_known = || not_begun::reason(&self.tree(), &module.json()).is_some();
        (is_one || is_known()).then_some(module)
    }

    /// The module called `name`, which there may not be yet; `None` if none can have this name.
    pub fn would_be(&self, name: &OsStr) -> Option<Module> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(part) if !part.as_bytes().starts_with(b"."));
        // Nothing but plain names: `..` or an absolute path would lead out of the status root.
        let valid = Path::new(name).components().all(plain) && !name.is_empty() && !name.as_bytes().ends_with(b"/");
        valid.then(|| Module { name: name.to_owned(), dir: StatusDir::new(self.0.join(name)) })
    }

    /// Adds the directory called `name`, and all below it.
    fn collect(&self, name: OsString, depth: usize, found: &mut Vec<(Module, bool)>) {
        let module = Module { dir: StatusDir::new(self.0.join(&name)), name };
        match std::fs::read_dir(module.dir.path()) {
            Ok(entries) => {
                let (is_one, below) = look(entries);
                // The files that `--runit-compat` keeps are no module.
                let of_runit = |name: &OsString| {
                    is_one
                        && name == runit_files::NAME
                        && !StatusDir::new(module.dir.path().join(name)).state().exists()
                };
                for directory in below.into_iter().filter(|name| depth > 1 && !of_runit(name)) {
                    self.collect(Path::new(&module.name).join(directory).into_os_string(), depth - 1, found);
                }
                found.push((module, is_one));
            }
            // Nobody can see whether it is one; saying so is better than leaving it out.
            Err(error) if access::is_denied(&error) => found.push((module, true)),
            // It went away during the call.
            Err(_) => {}
        }
    }

    fn refused(&self, error: &io::Error) -> CtlError {
        let hint = if access::is_denied(error) { "" } else { "; name the status root with -p or $SUPERVISE_STATUS" };
        let text = format!("{}{hint}", access::explain(&self.0, error));
        CtlError::new(if access::is_denied(error) { Outcome::Denied } else { Outcome::NoRoot }, text)
    }
}

/// What modules are ordered by.
fn parts(module: &Module) -> Vec<Vec<u8>> {
    module.name.as_bytes().split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

/// Whether a directory with these entries is a status directory, and the directories in it. Links are not
/// followed: one to a directory above would never end.
fn look(entries: std::fs::ReadDir) -> (bool, Vec<OsString>) {
    let mut is_one = false;
    let (mut has_lock, mut is_log) = (false, false);
    let mut directories = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        match name.as_bytes() {
            hidden if hidden.starts_with(b".") => {}
            // Also one with the name of such a file: a service may be called `status`, `control` or `lock`. The kernel hands
            // the kind over with the name, so this costs no further call.
            _ if entry.file_type().is_ok_and(|kind| kind.is_dir()) => directories.push(name),
            b"status" | b"state.json" | b"control" => is_one = true,
            b"lock" => has_lock = true,
            // A logger writes here, and has a lock of its own.
            b"current" => is_log = true,
            _ => {}
        }
    }
    (is_one || (has_lock && !is_log), directories)
}

/// The modules that a word means which is not a module's name by itself.
fn matching(word: &OsStr, all: &[Module]) -> Result<Vec<Module>, Missing> {
    let missing = |why: String| Missing { word: word.to_owned(), why };
    let text = word.to_string_lossy();
    // A name that was copied from what this program shows.
    if let Some(module) = all.iter().find(|module| OsStr::new(&module.shown()) == word) {
        return Ok(vec![module.clone()]);
    }
    if let Some(tag) = text.strip_prefix(TAG) {
        return tagged(tag, all).map_err(missing);
    }
    if !text.contains(GLOB) {
        let names: Vec<String> = all.iter().map(Module::json).collect();
        let hint = nearest(&text, names.iter().map(String::as_str));
        return Err(missing(match hint {
            Some(meant) => format!("no such module (did you mean {}?)", format::name(OsStr::new(meant))),
            None => "no such module".into(),
        }));
    }
    let pattern = glob::Pattern::new(&text).map_err(|error| missing(format!("is not a glob: {}", error.msg)))?;
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
    let matches = |module: &&Module| pattern.matches_with(&module.name.to_string_lossy(), options);
    match all.iter().filter(matches).cloned().collect::<Vec<_>>() {
        none if none.is_empty() => Err(missing("matches no module".into())),
        some => Ok(some),
    }
}

/// All tags of these modules.
pub fn tags(all: &[Module]) -> BTreeSet<String> {
    parallel::map(all, tags_of).into_iter().flatten().collect()
}

/// The tags of a module, as its supervisor has read them.
fn tags_of(module: &Module) -> Vec<String> {
    let state = StateFile::read(&module.dir.state()).ok().flatten();
    state.map_or_else(Vec::new, |state| state.tags)
}

/// The modules that have a tag.
fn tagged(tag: &str, all: &[Module]) -> Result<Vec<Module>, String> {
    let tags = parallel::map(all, tags_of);
    let has_it = |(_, tags): &(&Module, &Vec<String>)| tags.iter().any(|other| other == tag);
    let some: Vec<Module> = all.iter().zip(&tags).filter(has_it).map(|(module, _)| module.clone()).collect();
    if some.is_empty() {
        let hint = nearest(tag, tags.iter().flatten().map(String::as_str));
        let hint = hint.map_or_else(String::new, |meant| format!(" (did you mean {TAG}{}?)", format::text(meant)));
        return Err(format!("no module has this tag{hint}"));
    }
    Ok(some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(names: &[&str]) -> (tempfile::TempDir, StatusRoot) {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("lock"), "").unwrap();
        }
        let root = StatusRoot::find(Some(dir.path())).unwrap();
        (dir, root)
    }

    fn selected(root: &StatusRoot, words: &[&str]) -> Vec<String> {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let show = |found: Result<Module, Missing>| match found {
            Ok(module) => module.shown(),
            Err(missing) => format!("!{}: {}", missing.word.display(), missing.why),
        };
        root.select(&words).unwrap().into_iter().map(show).collect()
    }

    #[test]
    fn all_modules_are_found_each_before_its_logger() {
        let (dir, root) = root(&["web/log", "web", "web-a", "db", "group/cache", ".supervise-tree", "a b"]);
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        // What supervise-log keeps by itself below its module.
        std::fs::create_dir(dir.path().join("web/log/main")).unwrap();
        ["lock", "current", "journal"].iter().for_each(|file| {
            std::fs::write(dir.path().join("web/log/main").join(file), "").unwrap();
        });
        std::os::unix::fs::symlink(".", dir.path().join("loop")).unwrap();
        let names: Vec<String> = root.modules().unwrap().iter().map(Module::shown).collect();
        assert_eq!(names, [r"a\x20b", "db", "group/cache", "web", "web/log", "web-a"]);
    }

    #[test]
    fn a_module_may_be_called_as_one_of_the_files_in_its_directory() {
        let names = ["control", "current", "lock", "state.json", "status", "status/log", "web"];
        let (_dir, root) = root(&names);
        assert_eq!(root.modules().unwrap().iter().map(Module::shown).collect::<Vec<_>>(), names);
        assert_eq!(selected(&root, &["*"]), ["control", "current", "lock", "state.json", "status", "web"]);
    }

    #[test]
    fn a_module_knows_its_status_root() {
        let (dir, root) = root(&["web/log"]);
        assert_eq!(root.module(OsStr::new("web/log")).unwrap().status_root(), dir.path());
    }

    #[test]
    fn a_star_stops_at_a_slash_and_each_module_comes_once() {
        let (_dir, root) = root(&["web", "web/log", "web-a", "db", "db/log"]);
        assert_eq!(selected(&root, &["web*"]), ["web", "web-a"]);
        assert_eq!(selected(&root, &["*/log"]), ["db/log", "web/log"]);
        assert_eq!(selected(&root, &["web", "*"]), ["web", "db", "web-a"]);
    }

    #[test]
    fn a_name_that_looks_like_a_glob_is_a_name_first() {
        let (_dir, root) = root(&["w[e]b", "web"]);
        assert_eq!(selected(&root, &["w[e]b"]), ["w[e]b"]);
        assert_eq!(
            selected(&root, &["w[x]b", "["]),
            ["!w[x]b: matches no module", "![: is not a glob: invalid range pattern"]
        );
    }

    #[test]
    fn a_name_is_taken_as_it_is_shown() {
        let (_dir, root) = root(&["a b", "-x"]);
        assert_eq!(selected(&root, &[r"a\x20b", r"\x2dx"]), [r"a\x20b", r"\x2dx"]);
    }

    #[test]
    fn a_tag_means_all_that_have_it() {
        let (dir, root) = root(&["web", "db", "@odd"]);
        for (name, tags) in [("web", r#"["blue","front"]"#), ("db", r#"["blue"]"#)] {
            std::fs::write(dir.path().join(name).join("state.json"), format!(r#"{{"tags":{tags}}}"#)).unwrap();
        }
        assert_eq!(selected(&root, &["@blue"]), ["db", "web"]);
        assert_eq!(selected(&root, &["@front", "web"]), ["web"]);
        // A name comes first.
        assert_eq!(selected(&root, &["@odd"]), ["@odd"]);
        assert_eq!(
            selected(&root, &["@bleu", "@x"]),
            ["!@bleu: no module has this tag (did you mean @blue?)", "!@x: no module has this tag"]
        );
    }

    #[test]
    fn a_directory_that_nobody_ever_used_is_no_status_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        let error = StatusRoot::find(Some(dir.path())).unwrap_err();
        assert_eq!(error.outcome, Outcome::NoRoot);
        assert!(error.text.contains("ever used this directory"), "{}", error.text);
        assert!(StatusRoot::find_for_later(Some(dir.path())).is_ok());
        std::fs::create_dir(dir.path().join(TREE_DIR)).unwrap();
        assert!(StatusRoot::find(Some(dir.path())).is_ok());
    }

    #[test]
    fn a_wrong_name_gets_the_nearest_one_suggested() {
        let (_dir, root) = root(&["web", "db"]);
        assert_eq!(
            selected(&root, &["wbe", "mailserver"]),
            ["!wbe: no such module (did you mean web?)", "!mailserver: no such module"]
        );
    }

    #[test]
    fn no_name_leads_out_of_the_status_root() {
        let (dir, _) = root(&["status/web", "other"]);
        let root = StatusRoot::find(Some(&dir.path().join("status"))).unwrap();
        let absolute = dir.path().join("other");
        for name in ["../other", "web/../../other", absolute.to_str().unwrap(), ".", "", "web/"] {
            assert_eq!(root.module(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn without_a_root_it_says_how_to_name_one() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = StatusRoot::find(Some(&dir.path().join("none"))).unwrap_err();
        assert_eq!(refusal.outcome, Outcome::NoRoot);
        assert!(refusal.text.ends_with("No such file or directory; name the status root with -p or $SUPERVISE_STATUS"));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(StatusRoot::find(Some(&file)).unwrap_err().text.contains("Not a directory"));
    }
}
