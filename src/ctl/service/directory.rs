//! The service directory of a module, and as whom it may be touched.
//!
//! `state.json` says where it is, and whoever runs the supervisor wrote that. So what is run there runs as that user:
//! root must not run a program, or touch a file, because somebody else wrote down where it is.

use crate::ctl::access;
use crate::ctl::root::Module;
use crate::ctl::snapshot::Snapshot;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whoever runs the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// A service directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDirectory {
    /// Its absolute path.
    pub path: PathBuf,
    /// The user as whom we touch it, if not ourselves.
    pub owner: Option<Owner>,
}

impl ServiceDirectory {
    /// That of `module`; `None` for one that `supervise` runs as a command.
    ///
    /// # Errors
    /// Why it must not be touched: who wrote `state.json` may not speak for us.
    pub fn of(module: &Module, snapshot: &Snapshot) -> Result<Option<ServiceDirectory>, String> {
        let path = Path::new(&snapshot.state.definition);
        if !path.is_absolute() || !path.is_dir() {
            return Ok(None);
        }
        let state = module.dir.state();
        let Ok(metadata) = std::fs::symlink_metadata(&state) else { return Ok(None) };
        let us = nix::unistd::geteuid();
        let writer = Owner { uid: metadata.uid(), gid: metadata.gid() };
        let owner = match us.is_root() {
            _ if writer.uid == us.as_raw() || writer.uid == 0 => None,
            true => Some(writer),
            false => {
                let (state, writer) = (access::shown(&state), access::user(writer.uid));
                return Err(format!("{state} belongs to {writer}, who may not say what we run: run svctl as {writer}"));
            }
        };
        Ok(Some(ServiceDirectory { path: path.into(), owner }))
    }

    /// Whether `held`, the directory that was found at its path, belongs to whom it is touched as.
    pub fn is_theirs(&self, held: &File) -> bool {
        let Some(owner) = self.owner else { return true };
        held.metadata().is_ok_and(|metadata| metadata.uid() == owner.uid)
    }
}
