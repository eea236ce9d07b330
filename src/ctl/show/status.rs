//! `status`: once, as a table or as JSON. [`crate::ctl::show::watch`] shows the same again after each change.

use crate::cli::svctl::Status as Arguments;
use crate::ctl::access;
use crate::ctl::error::{CtlError, VANISHED};
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::Out;
use crate::ctl::root::{Missing, Module, StatusRoot};
use crate::ctl::service::outdated::Outdated;
use crate::ctl::show::health::Health;
use crate::ctl::show::in_force;
use crate::ctl::show::table::{self, Seen, Style};
use crate::ctl::snapshot::{Snapshot, SnapshotError, Supervised};
use crate::ctl::usage::{Groups, Usage};
use crate::sys::files::fifo;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::time::SystemTime;

/// Modules as they are now, and words that meant none.
#[derive(Debug, Default)]
pub struct View {
    /// What was looked at.
    pub seen: Vec<Seen>,
    missing: Vec<Missing>,
    /// They were asked for one by one, so each of them counts.
    named: bool,
    /// A tree was here, and has ended.
    dead_tree: bool,
    /// What is as it is wanted was left out.
    only_failed: bool,
}

impl View {
    /// Looks at the modules that `words` mean; at all if there are none.
    ///
    /// # Errors
    /// The status root cannot be read.
    pub fn take(root: &StatusRoot, words: &[OsString]) -> Result<View, CtlError> {
        let mut view = View { named: !words.is_empty(), ..View::default() };
        let mut modules = Vec::new();
        if words.is_empty() {
            modules = root.modules()?;
        }
        for found in root.select(words)? {
            match found {
                Ok(module) => modules.push(module),
                Err(missing) => view.missing.push(missing),
            }
        }
        let outdated = Outdated::default();
        let look = |module: &Module| Snapshot::read(module).map(|snapshot| outdated.complete(module, snapshot));
        let snapshots = crate::ctl::parallel::map(&modules, look);
        view.seen = modules.into_iter().zip(snapshots).collect();
        // A name that was there a moment ago and is gone now is as good as one that never was.
        if view.named {
            let gone = view.seen.iter().filter(|(_, seen)| *seen == Err(SnapshotError::Gone));
            let why = || VANISHED.to_string();
            view.missing.extend(gone.map(|(module, _)| Missing { word: module.name.clone(), why: why() }));
        }
        let control = root.tree().control();
        view.dead_tree = control.exists() && fifo::has_reader(&control).is_ok_and(|read| !read);
        Ok(view)
    }

    /// Leaves out what is as it is wanted.
    pub fn retain_failed(&mut self) {
        self.seen.retain(|(_, seen)| Health::of(seen).is_some_and(|health| !health.is_as_wanted()));
        self.only_failed = true;
    }

    /// One outcome for each module.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let of = |health| match health {
            Health::Up | Health::Done | Health::Down => Outcome::Done,
            // Nobody waits for a service that was removed, unless its name was given.
            Health::Removed if !self.named => Outcome::Done,
            Health::Removed | Health::Unsupervised => Outcome::NotSupervised,
            Health::Denied => Outcome::Denied,
            Health::Failed
            | Health::Flapping
            | Health::Stale
            | Health::Unrecorded
            | Health::DiskFull
            | Health::Backoff
            | Health::Unhealthy
            | Health::Waiting
            | Health::Changing
            | Health::Paused
            | Health::NotUp => Outcome::NotUp,
        };
        let seen = self.seen.iter().filter_map(|(_, seen)| Health::of(seen)).map(of);
        seen.chain(self.missing.iter().map(|_| Outcome::NoSuchModule)).collect()
    }

    /// The table, with what is wrong around it.
    pub fn table(&self, style: Style) -> String {
        let mut text = String::new();
        if self.dead_tree {
            let colour =
                |text: &str| if style.colour { format!("\x1b[1;31m{text}\x1b[0m\n") } else { format!("{text}\n") };
            text += &colour("no supervise-tree runs here: this is what the last one left");
        }
        if self.seen.is_empty() && self.only_failed {
            text += "everything is as it is wanted\n";
        } else if !self.seen.is_empty() || self.missing.is_empty() {
            text += &table::draw(&self.seen, style);
        }
        // Where the service directories have no `supervise`, the tools of runit have to be told.
        let stays = |seen: &Seen| match seen {
            (_, Ok(Snapshot { state, supervised: Supervised::Yes, .. })) => {
                state.svdir.clone().filter(|svdir| !Path::new(&state.definition).starts_with(svdir))
            }
            _ => None,
        };
        if let Some(svdir) = self.seen.iter().find_map(stays) {
            text += &format!("runit's tools: SVDIR={}\n", format::text(&svdir));
        }
        for path in in_force::unread(self.seen.iter().filter_map(|(_, seen)| seen.as_ref().ok())) {
            text += &format!("{} has changed and is not read yet: svctl reload\n", access::shown(Path::new(&path)));
        }
        for Missing { word, why } in &self.missing {
            text += &format!("fail: {}: {why}\n", format::name(word));
        }
        text
    }

    /// One JSON array on one line.
    pub fn json(&self) -> String {
        let groups = Groups::find();
        let object = |module: &Module, snapshot: &Snapshot| {
            let mut object = snapshot.json(module)?;
            let pid = snapshot.state.pid.filter(|_| snapshot.is_supervised());
            let usage = pid.map(|pid| Usage::of(module, pid, &groups)).unwrap_or_default();
            object["outdated"] = snapshot.state.outdated.clone().into();
            object["memory_bytes"] = usage.memory.into();
            object["processes"] = usage.processes.into();
            Some(object)
        };
        let seen = self.seen.iter().filter_map(|(module, seen)| match seen {
            Ok(snapshot) => object(module, snapshot),
            Err(SnapshotError::Denied(why)) => Some(json!({ "module": module.json(), "error": why })),
            Err(SnapshotError::Gone) => None,
        });
        let missing = self
            .missing
            .iter()
            .map(|missing| json!({ "module": missing.word.to_string_lossy(), "error": missing.why }));
        format::json(&Value::from_iter(seen.chain(missing)))
    }
}

/// Shows it once.
///
/// # Errors
/// The status root cannot be read.
pub fn once(root: &StatusRoot, arguments: &Arguments, json: bool, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let mut view = View::take(root, &arguments.modules)?;
    if arguments.failed {
        view.retain_failed();
    }
    if json {
        out.line(&view.json());
    } else {
        let columns = out.terminal.map(|size| size.columns);
        out.put(&view.table(Style { colour: out.colour, columns, now: SystemTime::now() }));
    }
    Ok(view.outcomes())
}
