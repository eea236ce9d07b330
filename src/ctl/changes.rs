//! Watching status directories for changes by inotify, and which of them say something about a module.

use super::error::CtlError;
use super::exit::Outcome;
use crate::sys::files::inotify::{Interest, Watches};
use crate::sys::{Errno, describe};
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

/// The time within which a supervisor that ends has closed its files: `lock` is not the last of them.
pub const CLOSING: Duration = Duration::from_millis(100);

/// What an event says about a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventMeaning {
    /// Nothing.
    Nothing,
    /// Look at it.
    Change,
    /// Look at it, and again after [`CLOSING`]: its supervisor may be ending.
    Closing,
}

/// What the change of an entry says: the two status files are replaced, and a new supervisor makes the FIFOs.
pub fn entry_tells(name: &OsStr) -> EventMeaning {
    let tells = ["state.json", "status", "ok", "control"].iter().any(|telling| name == *telling);
    if tells { EventMeaning::Change } else { EventMeaning::Nothing }
}

/// What it says that an entry was closed: only supervisors hold `lock` open. (We ourselves open and close `ok`.)
pub fn close_tells(name: &OsStr) -> EventMeaning {
    if name == "lock" { EventMeaning::Closing } else { EventMeaning::Nothing }
}

/// An inotify instance.
///
/// # Errors
/// The limits of this user are used up; the text says which one to raise.
pub fn watches<K: Clone>() -> Result<Watches<K>, CtlError> {
    Watches::new().map_err(|errno| exhausted(errno, "fs.inotify.max_user_instances"))
}

/// Watches the directory `path` for `interest`; false if there is none, or it is not for us to watch.
///
/// # Errors
/// As [`watches`].
pub fn watch<K: Clone>(watches: &mut Watches<K>, path: &Path, key: K, interest: Interest) -> Result<bool, CtlError> {
    match watches.add(path, key, interest) {
        Ok(()) => Ok(true),
        Err(errno @ (Errno::ENOSPC | Errno::ENOMEM)) => Err(exhausted(errno, "fs.inotify.max_user_watches")),
        Err(_) => Ok(false),
    }
}

fn exhausted(errno: Errno, limit: &str) -> CtlError {
    let text = format!("cannot wait for changes: inotify: {}; raise {limit} with sysctl", describe(errno));
    CtlError::new(Outcome::Denied, text)
}
