//! The logger that the tree runs by itself: supervise-log, for a service whose `log` key asks for it.

use super::command::CommandLine;
use crate::conf::log::{Destination, LogSettings};
use crate::conf::{Config, Program};
use crate::status::StatusDir;
use crate::status::dir::OWN_LOG;
use crate::sys::context::Ids;
use crate::sys::errno_text;
use crate::sys::process::start::{Environment, look_up};
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The program, which lies beside ours.
const PROGRAM: &str = "supervise-log";

/// Modes of the log's directory: for the logger's user alone, and for a group that may read, which new files inherit.
const OURS: u32 = 0o750;
const SHARED: u32 = 0o2750;

/// A logger without a `log/run`.
#[derive(Debug)]
pub struct TreeLogger {
    /// The module whose output it writes.
    service: String,
    /// Its own status directory.
    status: StatusDir,
    /// Where it writes, from its next start on.
    directory: PathBuf,
    /// The same as we reach it: in a status directory that is held open, through the descriptor.
    place: PathBuf,
    is_below_status: bool,
    command: CommandLine,
    environment: Arc<Environment>,
}

impl TreeLogger {
    /// The logger of the module `service`, by what `config` says of that.
    pub fn new(service: &str, status: StatusDir, config: &Config) -> TreeLogger {
        let (service, command) = (service.to_string(), CommandLine::of_ours([], None, None));
        let (directory, place) = Default::default();
        let environment = Environment::inherited();
        let mut logger = TreeLogger { service, status, directory, place, is_below_status: false, command, environment };
        logger.configure(config);
        logger
    }

    /// Where the logger of `service`, whose own status directory is `status`, writes by these settings.
    pub fn directory_for(service: &str, status: &Path, settings: &LogSettings) -> PathBuf {
        match &settings.destination {
            // When `log` says something else by now, what is in the pipe goes there.
            Destination::Files | Destination::Stdout | Destination::StatusDir => status.join(OWN_LOG),
            Destination::Directory(path) => path.clone(),
            Destination::Below(path) => path.join(service),
        }
    }

    /// Where it writes.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is run.
    pub fn command(&self) -> &CommandLine {
        &self.command
    }

    pub(super) fn set_environment(&mut self, environment: Arc<Environment>) {
        self.command.set_environment(environment.clone());
        self.environment = environment;
    }

    /// Takes other settings; says whether they are others.
    pub fn configure(&mut self, config: &Config) -> bool {
        let settings = config.settings(&self.service, None, Program::Tree);
        let directory = TreeLogger::directory_for(&self.service, self.status.path(), &settings.log);
        self.is_below_status = directory.starts_with(self.status.path());
        self.directory = std::path::absolute(&directory).unwrap_or(directory);
        let is_held = self.is_below_status && self.status.is_held();
        self.place = if is_held { self.status.own_log() } else { self.directory.clone() };
        let module = format!("{}/log", self.service);
        let has_user = config.settings(&module, None, Program::Tree).context.user.is_some();
        let module = format!("--module={}", self.service);
        let options = settings.log.options.iter().map(String::as_str).chain([module.as_str(), "--"]);
        // A user may not be allowed to come there by the path, or somebody may exchange it: then it is started there.
        let by_directory = has_user || is_held;
        let place = if by_directory { OsString::from(".") } else { self.directory.clone().into() };
        let OwnProgram { name, file } = program();
        let words = std::iter::once(name).chain(options.map(OsString::from)).chain([place]);
        let mut command = CommandLine::of_ours(words, file, by_directory.then_some(&*self.place));
        command.set_environment(self.environment.clone());
        std::mem::replace(&mut self.command, command).describe() != self.command.describe()
    }

    /// Makes the directory before a start, if somebody else than we is to own it (`uid` and `gid`), or a group to read it, or if
    /// the logger is started in it.
    ///
    /// # Errors
    /// A line for the log. The start is tried all the same: what is there already may do.
    pub fn prepare(&self, ids: Option<&Ids>, readers: Option<u32>) -> Result<(), String> {
        let readers = readers.filter(|_| self.is_below_status);
        let owner = ids.filter(|ids| ids.uid.is_some());
        if owner.is_none() && readers.is_none() && self.place == self.directory {
            return Ok(());
        }
        let about = |error: io::Error| format!("{}: {}", self.directory.display(), errno_text(&error));
        match std::fs::DirBuilder::new().mode(OURS).create(&self.place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made.map_err(about)?,
        }
        if let Some(owner) = owner {
            std::os::unix::fs::lchown(&self.place, owner.uid, owner.gid).map_err(about)?;
        }
        let Some(readers) = readers else { return Ok(()) };
        std::os::unix::fs::lchown(&self.place, None, Some(readers)).map_err(about)?;
        std::fs::set_permissions(&self.place, Permissions::from_mode(SHARED)).map_err(about)
    }
}

/// How supervise-log is executed.
#[derive(Debug)]
pub struct OwnProgram {
    /// Its name: a path, or one that `PATH` has.
    pub name: OsString,
    /// The file, if the name does not lead to it.
    pub file: Option<PathBuf>,
}

/// Beside our own program, wherever that has been moved; else the one that `PATH` has; else our own, which is that one by that
/// name.
pub fn program() -> OwnProgram {
    let ours = std::env::current_exe().ok();
    let beside = ours.as_deref().and_then(Path::parent).map(|dir| dir.join(PROGRAM));
    match beside.filter(|path| crate::sys::files::file::is_executable(path)) {
        Some(path) => OwnProgram { name: path.into_os_string(), file: None },
        None => OwnProgram { name: PROGRAM.into(), file: ours.filter(|_| look_up(OsStr::new(PROGRAM)).is_err()) },
    }
}

/// The file `current` that a logger has open: svlogd, multilog, s6-log and supervise-log all write into one of this name.
pub fn current_file(logger: u32) -> Option<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{logger}/fd")).ok()?;
    let targets = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let mut current: Vec<PathBuf> = targets.filter(|path| path.file_name() == Some("current".as_ref())).collect();
    current.sort();
    current.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logger(text: &str, status: &Path) -> (TreeLogger, String) {
        let config = Config::parse(Path::new("supervise.conf"), text.as_bytes());
        let logger = TreeLogger::new("web", StatusDir::of(status, "web/log"), &config);
        let words = logger.command().describe();
        (logger, words.split_once("supervise-log ").unwrap().1.to_string())
    }

    fn command(text: &str) -> String {
        logger(text, Path::new("/s")).1
    }

    #[test]
    fn keys_become_options_in_front_of_the_directory() {
        assert_eq!(command("[web]\nlog : yes\n"), "--module=web -- /s/web/log/main");
        assert_eq!(
            command("[global]\nlog : /var/log/\nlog_size : 1M\n[web]\nlog_match : -*debug*\n"),
            "--size=1M --match=-*debug* --module=web -- /var/log/web"
        );
        assert_eq!(command("[web]\nlog : /var/log/all\n"), "--module=web -- /var/log/all");
    }

    #[test]
    fn a_user_is_started_in_the_directory_itself() {
        assert_eq!(command("[web]\nlog : yes\nlog_user : 1\n"), "--module=web -- .");
        assert_eq!(command("[web]\nlog : yes\n[web/log]\nuser : 1\n"), "--module=web -- .");
        assert_eq!(command("[web]\nlog : yes\nuser : 1\n"), "--module=web -- /s/web/log/main");
    }

    #[test]
    fn a_group_may_read_what_lies_in_the_status_directory() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("web/log")).unwrap();
        let (logger, _) = logger("[web]\nlog : yes\n", root.path());
        logger.prepare(None, None).unwrap();
        assert!(!logger.directory().exists(), "the logger makes it");
        logger.prepare(None, Some(nix::unistd::getgid().as_raw())).unwrap();
        let mode = std::fs::metadata(logger.directory()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, SHARED);
    }
}
