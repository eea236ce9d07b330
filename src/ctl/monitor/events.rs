//! `events`: first how all modules are, then a line for every change, until nobody reads any more.
//!
//! Nothing is lost between the two, for a directory is watched before it is looked at. What changes twice before it is looked
//! at is told once, with counters that say how much there was.

use crate::ctl::changes::{self, CLOSING, EventMeaning, close_tells, entry_tells, watches};
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::monitor::event::{self, Essence, Kind};
use crate::ctl::report::Out;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::snapshot::{Snapshot, SnapshotError};
use crate::status::state::rfc3339;
use crate::status::tree_state::TreeState;
use crate::sys::files::fifo;
use crate::sys::files::inotify::{Event, Interest, Watches};
use crate::sys::threads::poll::{self, PollSource};
use crate::sys::time::Mono;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

/// A watched directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Watched {
    /// The status root, or a directory on the way to modules.
    Root,
    /// The tree's own.
    Tree,
    /// That of the module of this name.
    Module(OsString),
}

/// Whether a tree runs here, and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TreeSeen {
    runs: bool,
    pid: u32,
    generation: u64,
}

struct Stream<'a> {
    root: &'a StatusRoot,
    words: &'a [OsString],
    json: bool,
    watches: Watches<Watched>,
    /// The modules that the words mean.
    meant: BTreeSet<OsString>,
    /// Those of which something was told, and what.
    told: BTreeMap<OsString, Essence>,
    tree: TreeSeen,
    /// Modules to look at once more, and when: their supervisors may be ending.
    again: BTreeSet<OsString>,
    again_at: Option<Mono>,
    /// Since when the status root is not there.
    gone_since: Option<Mono>,
}

/// How long the status root may be gone: a tree that runs makes it anew, and whoever moves it may put it back.
const ROOT_GRACE: Duration = Duration::from_secs(3);

/// Where to look.
#[derive(Debug, Default)]
struct Changes {
    modules: BTreeSet<OsString>,
    /// Directories have come or gone.
    names: bool,
    tree: bool,
}

/// Writes the stream until its reader goes.
///
/// # Errors
/// The status root cannot be read or is gone, or inotify is used up.
pub fn events(root: &StatusRoot, words: &[OsString], json: bool, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let mut stream = Stream {
        root,
        words,
        json,
        watches: watches()?,
        meant: BTreeSet::new(),
        told: BTreeMap::new(),
        tree: TreeSeen::default(),
        again: BTreeSet::new(),
        again_at: None,
        gone_since: None,
    };
    let missing = stream.begin(out)?;
    loop {
        if out.is_lost() {
            return Ok(missing);
        }
        let output = std::io::stdout();
        let sources = [PollSource::Readable(stream.watches.as_fd()), PollSource::HungUp(output.as_fd())];
        let [changed, hung_up] = poll::wait(sources.map(Some), stream.again_at);
        if hung_up {
            return Ok(missing);
        }
        let mut changes = if changed { stream.take_changes() } else { Changes::default() };
        if stream.again_at.is_some_and(|at| Mono::now() >= at) {
            stream.again_at = None;
            changes.modules.append(&mut stream.again);
            changes.tree = true;
        }
        stream.tell(changes, out)?;
    }
}

impl Stream<'_> {
    /// The snapshot, and what the words named in vain.
    fn begin(&mut self, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
        self.tell_tree(Kind::Snapshot, out);
        let missing: Vec<_> = self.root.select(self.words)?.into_iter().filter_map(Result::err).collect();
        for missing in &missing {
            out.note(&format!("{}: {}", format::name(&missing.word), missing.why));
        }
        for module in self.watch_all()?.ok_or_else(|| self.root_is_gone())? {
            self.look(&module, Kind::Snapshot, out);
        }
        if self.json {
            out.line(&format::json(&json!({ "event": "live", "time": rfc3339(SystemTime::now()) })));
        }
        Ok(missing.iter().map(|_| Outcome::NoSuchModule).collect())
    }

    fn root_is_gone(&self) -> CtlError {
        CtlError::failed(format!("{}: the status root is gone", crate::ctl::access::shown(self.root.path())))
    }

    /// Watches whatever there is; returns all modules that are meant, or nothing if there is no status root.
    fn watch_all(&mut self) -> Result<Option<Vec<Module>>, CtlError> {
        match self.watch_what_is_there() {
            // It may have gone meanwhile.
            Err(_) if !self.root.path().is_dir() => Ok(None),
            result => result,
        }
    }

    fn watch_what_is_there(&mut self) -> Result<Option<Vec<Module>>, CtlError> {
        if !changes::watch(&mut self.watches, self.root.path(), Watched::Root, Interest::Entries)? {
            return Ok(None);
        }
        let tree = self.root.tree();
        if tree.path().is_dir() {
            changes::watch(&mut self.watches, tree.path(), Watched::Tree, Interest::Entries)?;
        }
        let mut modules = Vec::new();
        for (module, is_one) in self.root.directories()? {
            let key = if is_one { Watched::Module(module.name.clone()) } else { Watched::Root };
            changes::watch(&mut self.watches, module.dir.path(), key, Interest::Entries)?;
            if is_one {
                modules.push(module);
            }
        }
        if !self.words.is_empty() {
            let selected = self.root.select(self.words)?;
            let names: BTreeSet<OsString> = selected.into_iter().flatten().map(|module| module.name).collect();
            modules.retain(|module| names.contains(&module.name));
        }
        self.meant = modules.iter().map(|module| module.name.clone()).collect();
        Ok(Some(modules))
    }

    fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for event in self.watches.take() {
            match event {
                Event::Entry(Watched::Module(module), name) => {
                    changes.names |= name == "log";
                    if entry_tells(&name) == EventMeaning::Change {
                        changes.modules.insert(module);
                    }
                }
                Event::Closed(Watched::Module(module), name) if close_tells(&name) == EventMeaning::Closing => {
                    self.look_again(module.clone());
                    changes.modules.insert(module);
                }
                Event::Closed(Watched::Tree, _) => self.again_at = Some(Mono::now() + CLOSING),
                Event::Closed(..) => {}
                Event::Entry(Watched::Tree, _) => changes.tree = true,
                Event::Gone(Watched::Module(module)) => {
                    changes.modules.insert(module);
                    changes.names = true;
                }
                Event::Entry(Watched::Root, _) | Event::Gone(Watched::Root | Watched::Tree) => changes.names = true,
                Event::All => {
                    changes.names = true;
                    changes.tree = true;
                    changes.modules.extend(self.told.keys().cloned());
                }
            }
        }
        changes
    }

    fn look_again(&mut self, module: OsString) {
        self.again.insert(module);
        self.again_at = Some(Mono::now() + CLOSING);
    }

    fn tell(&mut self, mut changes: Changes, out: &mut Out) -> Result<(), CtlError> {
        if changes.names || self.gone_since.is_some() {
            let Some(new) = self.watch_all()? else { return self.wait_for_root(changes) };
            if self.gone_since.take().is_some() {
                changes.modules.extend(self.told.keys().cloned());
            }
            changes
                .modules
                .extend(new.into_iter().map(|module| module.name).filter(|name| !self.told.contains_key(name)));
            changes.tree = true;
        }
        if changes.tree {
            self.tell_tree(Kind::Change, out);
        }
        for name in changes.modules {
            let Some(module) = self.root.would_be(&name) else { continue };
            if self.told.contains_key(&name) || self.meant.contains(&name) {
                self.look(&module, Kind::Change, out);
            }
        }
        Ok(())
    }

    /// The status root is not there just now: what has changed is looked at when it is back.
    fn wait_for_root(&mut self, changes: Changes) -> Result<(), CtlError> {
        let now = Mono::now();
        if now.since(*self.gone_since.get_or_insert(now)) > ROOT_GRACE {
            return Err(self.root_is_gone());
        }
        self.again.extend(changes.modules);
        self.again_at = Some(now + CLOSING);
        Ok(())
    }

    /// Looks at a module, and tells what is different from what was told of it.
    fn look(&mut self, module: &Module, kind: Kind, out: &mut Out) {
        let before = self.told.get(&module.name);
        match Snapshot::read_now(module) {
            Ok(snapshot) => {
                let now = Essence::of(&snapshot);
                if before != Some(&now) {
                    self.write(kind, module, Some(&snapshot), out);
                    self.told.insert(module.name.clone(), now);
                }
            }
            Err(SnapshotError::Gone) if before.is_some() => {
                self.write(Kind::Gone, module, None, out);
                self.told.remove(&module.name);
            }
            Err(SnapshotError::Gone) => {}
            Err(SnapshotError::Denied(why)) if kind == Kind::Snapshot => {
                out.note(&format!("{}: {why}", module.shown()));
            }
            Err(SnapshotError::Denied(_)) => {}
        }
    }

    fn write(&self, kind: Kind, module: &Module, snapshot: Option<&Snapshot>, out: &mut Out) {
        let (before, now) = (self.told.get(&module.name), SystemTime::now());
        out.line(&if self.json {
            format::json(&event::object(kind, module, before, snapshot, now))
        } else {
            event::line(module, before, snapshot, now)
        });
    }

    /// Tells of the tree itself: that it runs, has ended, or is another program or process now.
    fn tell_tree(&mut self, kind: Kind, out: &mut Out) {
        let dir = self.root.tree();
        let Some(state) = TreeState::read(&dir.state()) else { return };
        let runs = fifo::has_reader(&dir.control()).unwrap_or(false);
        let seen = TreeSeen { runs, pid: state.pid, generation: state.generation };
        if seen == self.tree {
            return;
        }
        let now = SystemTime::now();
        out.line(&if self.json {
            let TreeSeen { runs, pid, generation } = seen;
            format::json(&json!({
                "event": kind.word(), "time": rfc3339(now), "tree": runs, "pid": pid, "generation": generation,
            }))
        } else {
            let what = match (runs, self.tree.runs && self.tree.pid == seen.pid) {
                (true, true) => "has replaced itself",
                (true, false) => "runs",
                (false, _) => "runs no more",
            };
            format!("{} supervise-tree, pid {}, {what}", crate::status::log::stamp(now), seen.pid)
        });
        self.tree = seen;
    }
}
