//! The settings that are in force for a module, and whether the files say something else by now.

use crate::conf::{CONFIG_FILE, Config};
use crate::ctl::root::StatusRoot;
use crate::ctl::service::context;
use crate::ctl::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::path::Path;

/// What a module's supervisor goes by, beside the file as it is now.
#[derive(Debug)]
pub enum InForce {
    /// The file says the same.
    Same,
    /// Another text of it, which the tree has kept.
    Other(Box<Config>),
    /// Another text of it, which nobody has any more.
    Unknown,
}

/// What the supervisor of a module goes by, where `file` is what the shared file says now.
pub fn of(root: &StatusRoot, snapshot: &Snapshot, file: &Config) -> InForce {
    let Some(read) = snapshot.state.config_hash.filter(|_| snapshot.is_supervised()) else { return InForce::Same };
    if file.hash() == Some(read) {
        return InForce::Same;
    }
    let kept = Config::read_as(&root.tree().path().join(CONFIG_FILE), file.path());
    match kept {
        Ok(kept) if kept.hash() == Some(read) => InForce::Other(Box::new(kept.with_defaults(root.defaults()))),
        Ok(_) | Err(_) => InForce::Unknown,
    }
}

/// Whether the service directory's own file was changed since it was read.
pub fn own_file_differs(snapshot: &Snapshot) -> bool {
    let now = || context::own_file(snapshot).ok().map(|own| own.map(|own| own.hash()));
    // Without a shared file there is no number for that; an older supervisor writes neither.
    snapshot.is_supervised()
        && snapshot.state.own_config_hash.is_some()
        && now().is_some_and(|now| now != snapshot.state.own_config_hash)
}

/// The shared files that have changed since supervisors have read them. Each is read once.
pub fn unread<'a>(snapshots: impl Iterator<Item = &'a Snapshot>) -> Vec<String> {
    let mut files: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for state in snapshots.filter(|snapshot| snapshot.is_supervised()).map(|snapshot| &snapshot.state) {
        if let (Some(path), Some(hash)) = (&state.config, state.config_hash) {
            files.entry(path).or_default().push(hash);
        }
    }
    let differs = |(path, read): &(&str, Vec<u64>)| {
        let now = Config::text_hash(Path::new(path));
        now.is_some_and(|now| read.iter().any(|read| *read != now))
    };
    files.into_iter().filter(differs).map(|(path, _)| path.to_owned()).collect()
}
