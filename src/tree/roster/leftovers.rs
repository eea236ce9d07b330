//! Processes and wants that an earlier tree has left behind. A scan of the root alone would miss some of them: their
//! directory may be gone, renamed, incomplete for the moment, or replaced by another one.

use super::members::Roster;
use crate::conf::names_others;
use crate::conf::own::OwnFile;
use crate::service::entries::Contents;
use crate::status::StatusDir;
use crate::status::recorded;
use crate::status::state::StateFile;
use crate::supervisor::own_settings::trusted;
use crate::sys::Pid;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::tree::root::scan::{self, EntryKind, ServiceDir};
use crate::tree::standard_output;
use std::io;
use std::path::Path;

/// A module that an earlier tree did not leave in good order.
#[derive(Clone, Copy, Debug)]
struct Leftover {
    /// The service directory that it was started from, where that is known.
    directory: Option<FileInstance>,
    /// Its run process (or `finish`) that still lives.
    pid: Option<Pid>,
    /// Whether it is a logger that the tree runs by itself.
    own_logger: bool,
    /// Whether its run process was started without a logger.
    into_files: bool,
    /// Whether it is the command that the tree was given.
    command: bool,
    /// Whether the shared file or its directory named others when it was started, as far as that was written down.
    may_name_others: bool,
}

/// What an earlier tree has left of its services, by name; nothing where there is none but a logger.
#[derive(Debug, Default)]
pub struct Leftovers(Vec<(String, Option<Leftover>)>);

/// What has become of a service directory.
enum Place {
    /// It is where it was, and complete.
    Kept(ServiceDir),
    /// It is where it was, but has no executable `run`, or cannot be looked at.
    Incomplete(FileInstance),
    /// It is gone, or another one is in its place.
    Gone,
    /// The root was moved away just now, or another one is in its place: nobody has removed anything.
    Unknown,
}

impl Roster {
    /// Looks what an earlier tree has left. Whom the directories of those that run name, is known from here on: each thread reads
    /// its own later than another one may have stopped what that names. `root` is where the services are.
    pub fn find_leftovers(&self, root: &Path) -> Leftovers {
        let Ok(entries) = std::fs::read_dir(self.status_root()) else { return Leftovers::default() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let found = names.filter(|name| !name.starts_with('.')).map(|name| {
            let left = self.left_of(&name, &root.join(&name));
            (name, left)
        });
        let found: Vec<(String, Option<Leftover>)> = found.collect();
        for (name, _) in found.iter().filter(|(_, left)| left.is_some_and(|left| left.runs() && left.may_name_others)) {
            // What is wrong with it, the thread says.
            let own = OwnFile::read(&root.join(name), trusted()).ok().flatten();
            if let Some(own) = own.filter(|own| names_others(own.section())) {
                self.places.note_own(name, own);
            }
        }
        Leftovers(found)
    }

    /// Takes on what an earlier tree has left. A service whose directory is still there goes on, even if its `run` is missing
    /// for the moment. A service whose directory is gone or replaced is stopped first, and the new directory follows it, under
    /// whatever name. So this has to be called before the first scan of the root. `root` is where the root is, with the
    /// directory that it was when it was last looked at, if it was there.
    pub fn adopt_leftovers(&mut self, root: (&Path, Option<FileInstance>), Leftovers(left): Leftovers) {
        if self.places.are_ordered() {
            // All before the first thread begins: one that goes on with its stop waits for those that need it.
            for (name, _) in left.iter().filter(|(_, left)| left.is_some_and(|left| left.runs())) {
                self.places.note_running(&self.shared.config, name);
            }
        }
        left.into_iter().for_each(|(name, service)| self.adopt_leftover(root, name, service));
    }

    fn left_of(&self, module: &str, definition: &Path) -> Option<Leftover> {
        Leftover::read(&self.shared.status_root.left(module)?, definition)
    }

    /// Whether the service, of which this was left, writes into the pipe to a logger: of one that was killed in its first moments
    /// nothing is left but this.
    fn writes_to_logger(&self, name: &str, service: Option<Leftover>) -> bool {
        let Some(pid) = service.and_then(|service| service.pid) else { return false };
        let Some(dir) = self.shared.status_root.left(&format!("{name}/log")) else { return false };
        let file = |path: &Path| std::fs::metadata(path).ok().map(|metadata| FileId::of(&metadata));
        let Some(pipe) = file(&dir.log_pipe()) else { return false };
        // All of them: a shell has its output elsewhere for as long as a redirection lasts.
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
        open.is_ok_and(|open| open.flatten().any(|entry| file(&entry.path()) == Some(pipe)))
    }

    fn adopt_leftover(&mut self, root: (&Path, Option<FileInstance>), name: String, service: Option<Leftover>) {
        let path = root.0.join(&name);
        let log_path = path.join("log");
        // The command's own thread takes on what is left of it.
        let service = service.filter(|left| !(left.command && self.is_command(&name)));
        let logger = self.left_of(&format!("{name}/log"), &log_path);
        let runs = [service, logger].iter().flatten().any(|left| left.runs());
        if service.is_none() && logger.is_none() {
            return;
        }
        let directory = [service, logger].iter().flatten().find_map(|left| left.directory);
        // A logger that left alone by `x` has no state to restore; its service goes on writing into the pipe.
        let own_logger = logger.is_some_and(|logger| logger.own_logger);
        let left_logger = logger.is_some() || self.writes_to_logger(&name, service);
        let has_logger = !own_logger && (left_logger || self.exited_before(&format!("{name}/log")));
        if own_logger {
            self.left.own_loggers.insert(name.clone());
            self.left.own_loggers_kept.insert(name.clone());
        }
        if service.is_some_and(|service| service.runs()) && standard_output::is_left(self.stdout.dir(), &name) {
            self.left.on_stdout.insert(name.clone());
        }
        let contents = Contents::default();
        let found = |instance| ServiceDir {
            name: name.clone(),
            path,
            has_logger,
            instance,
            contents,
            link: None,
            writer: None,
        };
        if service.is_some_and(|service| service.command) {
            // This tree was given none, so nobody has a use for it; a directory of its name is another service.
            let _ = self.start_to_leave(found(was_in(None)), false);
            return;
        }
        // If no thread can be started, the scan of the root logs that, and tries again what it can see.
        let _ = match look(root, &name, directory) {
            Place::Incomplete(instance) if runs => {
                log::info!(logger: self.log(), "{name}: runs on from an earlier tree, and its directory is not complete");
                self.start(found(instance))
            }
            // The logger was still reading the rest of the pipe. If it has ended meanwhile, it is started again for that.
            Place::Kept(found) if self.exited_before(&name) => self.start_to_leave(found, true),
            // The scan of the root would find it, too, unless it is removed or renamed just now: then the new name has
            // to wait for the old one.
            Place::Kept(found) => {
                // A live logger that has lost its `log/run` reads on, and nobody else does. One of our own has no `log/run`.
                // A dead one may be where a live service still writes into its pipe.
                let keeps = !own_logger && left_logger && runs;
                // One that has got its `log/run` since it was started does not write to that, and the scan of the root has it
                // begin anew, as always.
                let has = found.has_logger && !service.is_some_and(|service| service.into_files);
                self.start(ServiceDir { has_logger: has || keeps, ..found })
            }
            // The directory may be on its way out, file by file; then nobody else would ever correct its status files. If
            // it becomes complete again, the service begins anew.
            Place::Incomplete(instance) => self.start_to_leave(found(instance), false),
            // The next look at the root decides.
            Place::Unknown => self.start(found(was_in(directory))),
            Place::Gone => {
                if runs {
                    log::info!(logger: self.log(), "{name}: runs on from an earlier tree, and its directory is gone: stopping it");
                }
                // There is no process to stop, but the status files are out of date.
                let logs_on = logger.is_some_and(|logger| logger.runs());
                self.start_to_leave(found(was_in(directory)), logs_on)
            }
        };
    }
}

impl Leftover {
    /// Whether something of it still lives.
    fn runs(&self) -> bool {
        self.pid.is_some()
    }

    /// What an earlier tree has left of the module in `dir`, if its service directory was `definition`.
    fn read(dir: &StatusDir, definition: &Path) -> Option<Leftover> {
        let state = StateFile::read(&dir.state()).ok().flatten();
        // A module of `supervise` may have its status directory beside ours.
        let own_logger = state.as_ref().is_some_and(|state| state.log_dir.is_some());
        let command = state.as_ref().is_some_and(|state| state.command);
        if !own_logger && !command && state.as_ref().is_some_and(|state| Path::new(&state.definition) != definition) {
            return None;
        }
        // A process records itself before anything else can be written down.
        let lock = crate::sys::files::file::read(&dir.lock_path()).ok();
        let records = lock.and_then(|lock| recorded::read(dir, &lock, state.as_ref()).ok()).unwrap_or_default();
        let recorded = records.into_iter().find(|recorded| !matches!(recorded.open(), Ok(None)));
        let may_name_others = state.as_ref().is_none_or(|state| {
            let is_older =
                recorded.as_ref().is_some_and(|recorded| state.pid != Some(recorded.pid.as_raw().unsigned_abs()));
            is_older || [&state.needs, &state.after, &state.restart_with].into_iter().any(|names| !names.is_empty())
        });
        let pid = state.as_ref().and_then(|state| state.pid);
        let (directory, alive, into_files) = match (recorded, state.and_then(|state| state.memory)) {
            (Some(recorded), memory) => {
                let memory = memory.filter(|_| pid == Some(recorded.pid.as_raw().unsigned_abs()));
                let into_files = memory.as_ref().is_some_and(|memory| memory.into_files);
                let known = memory.filter(|memory| memory.directory == recorded.directory);
                let known = known.and_then(|memory| memory.instance());
                (known.or(recorded.directory.map(FileInstance::of_unknown_age)), Some(recorded.pid), into_files)
            }
            (None, Some(memory)) => (memory.instance(), None, false),
            (None, None) => return None,
        };
        Some(Leftover { directory, pid: alive, own_logger, into_files, command, may_name_others })
    }
}

fn look(root: (&Path, Option<FileInstance>), name: &str, directory: Option<FileInstance>) -> Place {
    let was = |there: &FileInstance| directory.is_none_or(|was| was.may_be(there));
    let gone = || if scan::leads_nowhere(root.0, root.1, name.as_ref()) { Place::Gone } else { Place::Unknown };
    match std::fs::metadata(root.0.join(name)) {
        Ok(metadata) => match (FileInstance::of(&metadata), scan::look(root.0, name.as_ref())) {
            (there, _) if !was(&there) => Place::Gone,
            (_, EntryKind::Service(found)) => Place::Kept(found),
            (there, EntryKind::NotYet) => Place::Incomplete(there),
            (_, EntryKind::Unknown) => Place::Unknown,
            (_, EntryKind::Gone) => gone(),
            (_, EntryKind::Ignored | EntryKind::Refused(_)) => Place::Gone,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => gone(),
        Err(_) => Place::Incomplete(was_in(directory)),
    }
}

/// The directory in which a module was started, as far as it was written down.
fn was_in(directory: Option<FileInstance>) -> FileInstance {
    directory.unwrap_or(FileInstance::of_unknown_age(FileId::NONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_gone_while_the_root_is_away() {
        let dir = tempfile::tempdir().unwrap();
        let (root, away) = (dir.path().join("sv"), dir.path().join("away"));
        std::fs::create_dir_all(root.join("web")).unwrap();
        let identity = FileInstance::at(&root).ok();
        let name = |name| look((&root, identity), name, None);
        assert!(matches!(name("web"), Place::Incomplete(_)));
        assert!(matches!(name("db"), Place::Gone));
        std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
        assert!(matches!(name("link"), Place::Gone));
        std::fs::rename(&root, &away).unwrap();
        assert!(matches!(name("web"), Place::Unknown));
        // Somebody has put another one in its place.
        std::fs::create_dir(&root).unwrap();
        assert!(matches!(name("web"), Place::Unknown));
        assert!(matches!(look((&root, None), "web", None), Place::Unknown));
    }
}
