//! `enable NAME SOURCE`: a link in the services root, and then the same as `enable NAME`.

use crate::conf::CONFIG_FILE;
use crate::ctl::access;
use crate::ctl::changes;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::Report;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::ctl::steer::control::{self, ENABLE};
use crate::ctl::steer::timeout;
use crate::status::tree_state::TreeState;
use crate::sys::Errno;
use crate::sys::errno_text;
use crate::sys::files::inotify::Interest;
use crate::sys::files::{fifo, file, file_id::FileId};
use crate::sys::threads::poll::{self, PollSource};
use crate::sys::time::Mono;
use nix::unistd::symlinkat;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name and the source, if `words` are these: no module's name begins as a path does.
pub fn source(words: &[OsString]) -> Option<(&OsStr, &Path)> {
    match words {
        [name, source] if source.as_bytes().starts_with(b"/") || source.as_bytes().starts_with(b".") => {
            Some((name, Path::new(source)))
        }
        _ => None,
    }
}

/// Links `source` into the services root as `name`, and enables it.
///
/// # Errors
/// What is in the way; nothing has been done then, unless the tree does not take it on in time.
pub fn enable(
    root: &StatusRoot,
    (name, source): (&OsStr, &Path),
    wait: Option<Duration>,
    report: &mut Report<'_>,
) -> Result<(), CtlError> {
    let module = module(root, name)?;
    if root.defaults().are_of_command(&module.json()) {
        return Err(refused(name, "the command that the tree was given is called so"));
    }
    let services = ServicesRoot::of(root)?;
    let source = service_directory(source)?;
    let from = Mono::now();
    if services.link(name, &source)? {
        report.has_changed();
    }
    if wait.is_some_and(|wait| wait.is_zero()) && Snapshot::read_now(&module).is_err() {
        report.tree(Outcome::Done, true, &format!("{}: linked, and started by the tree", module.shown()));
        return Ok(());
    }
    wait_for_supervisor(root, &module, from + wait.unwrap_or(timeout::USUAL))?;
    control::steer(
        root,
        vec![Ok(module)],
        ENABLE,
        wait.map(|wait| wait.saturating_sub(Mono::now().since(from))),
        report,
    )
}

/// The module of this name, which the tree would have.
fn module(root: &StatusRoot, name: &OsStr) -> Result<Module, CtlError> {
    let refused = |why: &str| refused(name, why);
    let text = name.to_str().ok_or_else(|| refused("it is not UTF-8"))?;
    if text.is_empty() || text.contains('/') {
        return Err(refused("it has to be one word without /"));
    }
    if text.starts_with('.') || text.chars().any(char::is_control) {
        return Err(refused("a tree passes over names with a dot in front or a control character"));
    }
    if text == CONFIG_FILE {
        return Err(refused("that is the tree's configuration file"));
    }
    root.would_be(name).ok_or_else(|| refused("no status directory can have it"))
}

fn refused(name: &OsStr, why: &str) -> CtlError {
    CtlError::new(Outcome::Usage, format!("{} cannot be the name of a service: {why}", format::name(name)))
}

/// The directory that is to be linked, as an absolute path.
fn service_directory(source: &Path) -> Result<PathBuf, CtlError> {
    let path = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    let shown = access::shown(&path);
    let refused = |why: String| CtlError::failed(format!("{shown} is no service directory: {why}"));
    let is_directory = std::fs::metadata(&path).map_err(|error| refused(errno_text(&error)))?.is_dir();
    if !is_directory {
        return Err(refused("not a directory".into()));
    }
    let run = path.join("run");
    match std::fs::metadata(&run) {
        Err(error) => Err(refused(format!("run: {}", errno_text(&error)))),
        Ok(_) if !file::is_executable(&run) => Err(refused("its run is not executable".into())),
        Ok(_) => Ok(path),
    }
}

/// The directory of which the tree runs the services.
struct ServicesRoot {
    path: PathBuf,
    held: File,
}

impl ServicesRoot {
    /// That of the tree that runs with this status root. The tree says where it is, so a link is made there only if the
    /// directory belongs to whoever runs the tree: root must not put anything where somebody else would have it.
    fn of(root: &StatusRoot) -> Result<ServicesRoot, CtlError> {
        let shown = access::shown(root.path());
        let none =
            || CtlError::new(Outcome::NotSupervised, format!("no supervise-tree runs with the status root {shown}"));
        if !fifo::has_reader(&root.tree().control()).unwrap_or(false) {
            return Err(none());
        }
        let state = root.tree().state();
        let path = PathBuf::from(TreeState::read(&state).ok_or_else(none)?.root);
        let failed = |error: std::io::Error| {
            let outcome = if access::is_denied(&error) { Outcome::Denied } else { Outcome::Failed };
            CtlError::new(outcome, access::explain(&path, &error))
        };
        let held = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(&path).map_err(failed)?;
        let (writer, owner) =
            (std::fs::metadata(&state).map_err(failed)?.uid(), held.metadata().map_err(failed)?.uid());
        let us = nix::unistd::geteuid().as_raw();
        if ![0, us].contains(&writer) && owner != writer {
            let text = format!("{} does not belong to the user whose supervise-tree names it", access::shown(&path));
            return Err(CtlError::denied(text));
        }
        Ok(ServicesRoot { path, held })
    }

    /// Makes the link; false if there is one that leads to `source` already.
    fn link(&self, name: &OsStr, source: &Path) -> Result<bool, CtlError> {
        let path = self.path.join(name);
        match symlinkat(source, &self.held, name) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) if is_same(&path, source) => Ok(false),
            Err(Errno::EEXIST) => {
                let leads = match std::fs::read_link(&path) {
                    Ok(target) => format!("leads to {}", access::shown(&target)),
                    Err(_) => "is no link".into(),
                };
                let (shown, source) = (access::shown(&path), access::shown(source));
                Err(CtlError::failed(format!(
                    "{shown} exists already and {leads}: remove it first to have {source} there"
                )))
            }
            Err(errno) if errno == Errno::EACCES || errno == Errno::EROFS => {
                Err(CtlError::denied(access::explain(&self.path, &errno.into())))
            }
            Err(errno) => Err(CtlError::failed(access::explain(&path, &errno.into()))),
        }
    }
}

fn is_same(path: &Path, source: &Path) -> bool {
    let id = |path: &Path| std::fs::metadata(path).ok().map(|there| FileId::of(&there));
    id(path).is_some() && id(path) == id(source)
}

/// Waits until the tree has begun with the module.
fn wait_for_supervisor(root: &StatusRoot, module: &Module, until: Mono) -> Result<(), CtlError> {
    let mut watches = changes::watches()?;
    loop {
        // Before it is looked at: a change between the two would be lost.
        for path in [root.path(), module.dir.path()] {
            changes::watch(&mut watches, path, (), Interest::Entries)?;
        }
        let seen = Snapshot::read_now(module);
        // The lock comes first: what it is, is not written down yet.
        let is_known = |seen: &Snapshot| seen.supervised == Supervised::Yes && !seen.state.definition.is_empty();
        if seen.as_ref().is_ok_and(is_known) {
            return Ok(());
        }
        if Mono::now() >= until {
            let why =
                seen.ok().filter(|seen| seen.supervised == Supervised::NotBegun).and_then(|seen| seen.state.reason);
            let why = why.map_or_else(String::new, |why| format!(": {}", format::text(&why)));
            return Err(CtlError::new(Outcome::TimedOut, format!("{}: linked, not begun yet{why}", module.shown())));
        }
        poll::wait([Some(PollSource::Readable(watches.as_fd()))], Some(until));
        watches.take();
    }
}
