//! What the program hands over when it replaces itself, and how it is started again.

use crate::conf::Config;
use crate::supervisor::requests::parking::{Descriptors, InheritedModule};
use crate::sys::errno_text;
use crate::sys::handover;
use crate::sys::process::record::know_boot;
use crate::sys::process::setup::{Inherited, Nofile, inherit};
use crossbeam_channel::{Receiver, bounded};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

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
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandoverState {
    pub(super) own_lock: RawFd,
    pub(super) nofile: Nofile,
    pub(super) umask: u32,
    pub(super) modules: BTreeMap<String, Descriptors<RawFd>>,
    pub(super) told_to_exit: Vec<String>,
    /// The program's path, for a program that cannot ask `/proc` for its own.
    pub(super) program: Vec<u8>,
    /// Which boot of the machine this is, likewise.
    pub(super) boot: String,
    pub(super) settings: Option<HandedSettings>,
}

/// The settings that hold, as they stand in their file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandedSettings {
    pub(super) path: Vec<u8>,
    /// A descriptor of a file without a name.
    pub(super) text: RawFd,
}

/// What the program before us has left to us.
#[derive(Debug)]
pub struct Handover {
    /// There was a program before us, which has supervised what runs: nothing that may pass must end this one.
    pub is_upgrade: bool,
    /// The tree's own lock.
    pub own_lock: Option<OwnedFd>,
    /// The program's path, as the program before us knew it.
    pub program: Option<PathBuf>,
    /// The settings that held.
    pub config: Option<Config>,
    /// The modules' descriptors.
    pub modules: HashMap<String, InheritedModule>,
    /// Modules that have left by `x`, and stay away; loggers that have left alone among them.
    pub told_to_exit: Vec<String>,
    /// Is closed when the guards of all modules are dropped.
    pub adoption: Receiver<Infallible>,
}

impl Default for Handover {
    /// Nothing was left, and nothing has to be adopted.
    fn default() -> Handover {
        Handover {
            is_upgrade: false,
            own_lock: None,
            program: None,
            config: None,
            modules: HashMap::new(),
            told_to_exit: Vec::new(),
            adoption: bounded(0).1,
        }
    }
}

impl Handover {
    /// Reads the state under `number`, and takes over what it lists. To be called before anything else is set up.
    ///
    /// # Errors
    /// Nothing was handed over then, and what was to be is closed.
    pub fn receive(number: RawFd) -> Result<Handover, HandoverError> {
        let state = HandoverState::read(number).inspect_err(|_| handover::close_all())?;
        inherit(Inherited { nofile: state.nofile, umask: state.umask });
        know_boot(&state.boot);
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        let config = |settings: HandedSettings| {
            let text = handover::read_letter(settings.text).ok()?;
            Some(Config::parse(&path(settings.path), &text))
        };
        let (guard, adoption) = bounded(0);
        let receive = |(module, numbers)| (module, InheritedModule::receive(numbers, &guard));
        Ok(Handover {
            is_upgrade: true,
            program: Some(path(state.program)).filter(|path| !path.as_os_str().is_empty()),
            config: state.settings.and_then(config),
            own_lock: handover::receive(state.own_lock).ok(),
            modules: state.modules.into_iter().map(receive).collect(),
            told_to_exit: state.told_to_exit,
            adoption,
        })
    }
}

impl HandoverState {
    fn read(number: RawFd) -> Result<HandoverState, HandoverError> {
        let text = handover::read_letter(number).map_err(HandoverError::Read)?;
        HandoverState::decode(&text).map_err(HandoverError::Parse)
    }

    /// Reads the letter's text. Keys that another version has written, and this one does not know, are passed over.
    ///
    /// # Errors
    /// What serde_json says of a text that is none of ours.
    pub fn decode(text: &[u8]) -> serde_json::Result<HandoverState> {
        serde_json::from_slice(text)
    }

    /// The letter's text.
    pub fn encode(&self) -> Vec<u8> {
        // Only maps with keys that are no strings make this fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Why nothing was handed over. The next program begins all the same, and adopts what runs.
#[derive(Debug)]
pub enum HandoverError {
    /// The state cannot be read.
    Read(io::Error),
    /// It is not what a program of ours writes.
    Parse(serde_json::Error),
}

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandoverError::Read(error) => f.write_str(&errno_text(error)),
            HandoverError::Parse(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HandoverError {}
