//! The context that a module's processes have, worked out by whoever asks, from files that he may read.

use crate::conf::context::Context as ContextSettings;
use crate::conf::defaults::Defaults;
use crate::conf::own::OwnFile;
use crate::conf::{Complaint, Config, Program};
use crate::ctl::error::CtlError;
use crate::ctl::snapshot::Snapshot;
use crate::service::context::account::System;
use crate::service::context::environment::Variables;
use crate::service::context::{Request, Resolved, has_env_dir, resolve};
use crate::sys::errno_text;
use std::path::Path;
use std::time::Duration;

/// So often an environment that seems empty is looked at again ...
const EXEC_LOOKS: u32 = 20;

/// ... after this time.
const EXEC_PAUSE: Duration = Duration::from_millis(1);

/// The `supervise.conf` in the module's own service directory; `None` if there is none, or no service directory.
///
/// # Errors
/// It cannot be read.
pub fn own_file(snapshot: &Snapshot) -> Result<Option<OwnFile>, Complaint> {
    let directory = Path::new(&snapshot.state.definition);
    if directory.is_absolute() { OwnFile::read(directory, &[]) } else { Ok(None) }
}

/// The shared file that the module's supervisor has read; without one, the defaults.
///
/// # Errors
/// It cannot be read.
pub fn shared_file(snapshot: &Snapshot) -> Result<Config, Complaint> {
    let config = match snapshot.state.config.as_deref() {
        None => Config::empty(),
        Some(path) => Config::read(Path::new(path))?,
    };
    Ok(config.with_defaults(defaults(snapshot)))
}

/// What the command line of the module's supervisor has changed about its settings.
pub fn defaults(snapshot: &Snapshot) -> Defaults {
    let (command, runit) = (snapshot.state.command, snapshot.state.svdir.is_some());
    Defaults { command, runit, ..Defaults::default() }
}

/// What the supervisor with this pid hands down to what it starts; `None` if there is none.
///
/// # Errors
/// It may not be seen.
pub fn inherited(supervisor: u32) -> Result<Option<Variables>, CtlError> {
    if supervisor == 0 || !Path::new(&format!("/proc/{supervisor}")).exists() {
        return Ok(None);
    }
    let path = format!("/proc/{supervisor}/environ");
    let mut bytes = std::fs::read(&path);
    // In the middle of `execve`, as when the tree replaces itself, the kernel shows none for a moment.
    for _ in 0..EXEC_LOOKS {
        if !bytes.as_ref().is_ok_and(Vec::is_empty) {
            break;
        }
        std::thread::sleep(EXEC_PAUSE);
        bytes = std::fs::read(&path);
    }
    bytes.map(|bytes| Some(Variables::from_environ(&bytes))).map_err(|error| {
        let text = format!("cannot see what pid {supervisor} hands down: {path}: {}", errno_text(&error));
        CtlError::denied(text)
    })
}

/// The context of the service in the directory at `place`; `None` if it is that of its supervisor.
///
/// # Errors
/// The part that cannot be had.
pub fn of_service(module: &str, place: &Path, snapshot: &Snapshot) -> Result<Option<Resolved>, String> {
    let told = |complaint: Complaint| complaint.to_string();
    let (shared, own) = (shared_file(snapshot).map_err(told)?, own_file(snapshot).map_err(told)?);
    let settings = shared.effective(module, own.as_ref(), Program::Tree).settings;
    if let Some(why) = settings.refused {
        return Err(why);
    }
    if settings.context == ContextSettings::default() && !has_env_dir(place) {
        return Ok(None);
    }
    let inherited = inherited(snapshot.state.supervisor_pid).map_err(|error| error.text)?;
    let inherited = inherited.unwrap_or_else(Variables::ours);
    let request = Request { context: &settings.context, place: Some(place), lists_env: false, inherited, ours: &[] };
    resolve(request, &System).map(Some).map_err(|error| error.to_string())
}
