//! Whether the process of a module is older than what it would be started from: its `run`, the files that its context comes
//! from, and its settings.
//!
//! What the files tell is looked up here, by whoever asks: a supervisor that nobody asks looks at none of them. What only the
//! supervisor knows, that it has read other settings since the start, stands in `state.json`.
//!
//! The time of a file is that of its last change of any kind, `st_ctime`: whoever unpacks or renames a new version into its
//! place often keeps an old modification time.

use super::context;
use crate::conf::own::{OwnFile, s6};
use crate::conf::{CONFIG_FILE, Config, Program};
use crate::ctl::root::Module;
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::service::entries::ENV_DIR;
use crate::status::module_state::ModuleState;
use crate::sys::files::file_id::FileId;
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of the key in a shared file that names more files.
const ENV_FILE: &[u8] = b"env_file";

/// Looks at modules; each shared file is read once, and only if a module is up.
#[derive(Debug, Default)]
pub struct Outdated {
    shared: Mutex<HashMap<String, Arc<Config>>>,
}

impl Outdated {
    /// Completes what `snapshot` says of the process of `module`.
    pub fn complete(&self, module: &Module, mut snapshot: Snapshot) -> Snapshot {
        if snapshot.state.outdated.is_none() {
            snapshot.state.outdated = self.reason(module, &snapshot);
        }
        snapshot
    }

    /// What has changed since the process was started: `run was changed`. `None` if nothing has, or nothing runs.
    fn reason(&self, module: &Module, snapshot: &Snapshot) -> Option<String> {
        let started = snapshot.changed.filter(|_| runs(snapshot))?;
        let place = Path::new(&snapshot.state.definition);
        if !place.is_absolute() || !place.is_dir() {
            return None;
        }
        if is_another_directory(module, snapshot, place) {
            return Some("another directory has its place".into());
        }
        let is_newer = |path: &Path| changed(path).is_some_and(|changed| changed > started);
        if let Some(name) = ["run", CONFIG_FILE].into_iter().chain(s6::FILES).find(|name| is_newer(&place.join(name))) {
            return Some(format!("{name} was changed"));
        }
        let read = snapshot.state.own_config_hash;
        if read.is_some() && context::own_file(snapshot).is_ok_and(|own| own.as_ref().map(OwnFile::hash) != read) {
            return Some(format!("{CONFIG_FILE} was removed"));
        }
        // What was removed changes the directory, and what was written changes the file.
        let env = place.join(ENV_DIR);
        let entries = std::fs::read_dir(&env).into_iter().flatten().flatten().map(|entry| entry.path());
        if std::iter::once(env.clone()).chain(entries).any(|path| is_newer(&path)) {
            return Some(format!("{ENV_DIR} was changed"));
        }
        let file = self.env_files(module, snapshot, place).into_iter().find(|path| is_newer(path))?;
        Some(format!("{} was changed", file.display()))
    }

    /// The files that `env_file` names for a module.
    fn env_files(&self, module: &Module, snapshot: &Snapshot, place: &Path) -> Vec<PathBuf> {
        let own = context::own_file(snapshot).ok().flatten();
        let shared = self.shared(snapshot);
        let own_has = own.as_ref().map(OwnFile::section).is_some_and(|section| section.get("env_file").is_some());
        let shared_has = shared.text().is_some_and(|text| text.windows(ENV_FILE.len()).any(|part| part == ENV_FILE));
        if !own_has && !shared_has {
            return Vec::new();
        }
        let settings = shared.settings(&module.json(), own.as_ref(), Program::Tree);
        settings.context.env_file.iter().map(|file| place.join(&file.path)).collect()
    }

    fn shared(&self, snapshot: &Snapshot) -> Arc<Config> {
        let Some(path) = snapshot.state.config.clone() else { return Arc::default() };
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || Arc::new(context::shared_file(snapshot).unwrap_or_else(|_| Config::empty()));
        shared.entry(path).or_insert_with(read).clone()
    }
}

/// Whether there is a process that is to stay.
fn runs(snapshot: &Snapshot) -> bool {
    snapshot.supervised == Supervised::Yes
        && snapshot.state.pid.is_some()
        && snapshot.state.state != ModuleState::Stopping
}

/// Whether a link leads to another directory by now, or one was put in the place of the other.
fn is_another_directory(module: &Module, snapshot: &Snapshot, place: &Path) -> bool {
    // A logger's directory lies in that of its service, which is the one that is known.
    let place = if module.logged().is_some() { place.parent().unwrap_or(place) } else { place };
    let begun = snapshot.state.memory.as_ref().and_then(|memory| memory.directory);
    begun.zip(std::fs::metadata(place).ok()).is_some_and(|(begun, now)| begun != FileId::of(&now))
}

/// When `path` was last changed: the file, or a link that leads to it.
fn changed(path: &Path) -> Option<SystemTime> {
    let link = std::fs::symlink_metadata(path).ok()?;
    let file = if link.is_symlink() { std::fs::metadata(path).ok() } else { None };
    [Some(&link), file.as_ref()].into_iter().flatten().filter_map(ctime).max()
}

fn ctime(metadata: &Metadata) -> Option<SystemTime> {
    let since = Duration::new(u64::try_from(metadata.ctime()).ok()?, u32::try_from(metadata.ctime_nsec()).ok()?);
    UNIX_EPOCH.checked_add(since)
}
