//! What the program hands over when it replaces itself, and how it is started again.

use crate::supervisor::parking::{FdNumbers, InheritedFds};
use crate::sys::handover;
use crate::sys::process::setup::{Inherited, inherit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

/// How to start this program again.
#[derive(Clone, Debug)]
pub struct ReExec {
    /// Its path when it was started.
    pub program: PathBuf,
    /// Its arguments, the name first.
    pub arguments: Vec<OsString>,
    /// Whether some of them mean nothing without the working directory.
    pub are_relative: bool,
}

/// What one program tells the next.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct HandoverState {
    pub(super) own_lock: RawFd,
    pub(super) nofile: (u64, u64),
    pub(super) umask: u32,
    pub(super) modules: BTreeMap<String, FdNumbers>,
    pub(super) told_to_exit: Vec<String>,
}

/// What the program before us has left to us.
#[derive(Debug, Default)]
pub struct Handover {
    /// The tree's own lock.
    pub own_lock: Option<OwnedFd>,
    /// The modules' descriptors.
    pub modules: HashMap<String, InheritedFds>,
    /// Modules that have left by `x`, and stay away; loggers that have left alone among them.
    pub told_to_exit: Vec<String>,
    /// Others have this, too, until they have begun.
    pub beginning: Arc<()>,
}

impl Handover {
    /// Reads the state under `number`, and takes over what it lists. To be called before anything else is set up.
    ///
    /// # Errors
    /// A line for the user; nothing was handed over then.
    pub fn receive(number: RawFd) -> Result<Handover, String> {
        let text = handover::read_letter(number).map_err(|error| error.to_string())?;
        let state: HandoverState = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        inherit(Inherited { nofile: state.nofile, umask: state.umask });
        let beginning = Arc::new(());
        let receive = |(module, numbers)| (module, InheritedFds::receive(numbers, &beginning));
        Ok(Handover {
            own_lock: handover::receive(state.own_lock).ok(),
            modules: state.modules.into_iter().map(receive).collect(),
            told_to_exit: state.told_to_exit,
            beginning,
        })
    }
}
