//! A service directory: `run`, `finish`, `down`; its `control/` is in the file of that name.

use super::context::Resolved;
use super::entries::{Contents, DOWN, Entries, Seen};
use super::streams::Streams;
use super::telling::Telling;
use crate::sys::Errno;
use crate::sys::files::file;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::sys::files::statx::Look;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::RecordWriter;
use crate::sys::process::start::{Environment, Plan, StartError, Started, Step, WorkingDirectory, start};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `finish` gets for a run process that could not be started (runit's convention).
const COULD_NOT_START: (i32, i32) = (111, 0);

/// A service directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The service directory: this one, or the one that it lies in.
    service: CString,
    instance: FileInstance,
    within: Option<&'static CStr>,
    environment: Arc<Environment>,
    run: [CString; 1],
    seen: Seen,
}

impl Directory {
    /// The service directory at `path`. It must stay the one that `instance` says: a start in another one fails.
    pub fn new(path: PathBuf, instance: FileInstance) -> Directory {
        let service = file::c_path_or_empty(&path);
        let environment = Environment::inherited();
        Directory {
            path,
            service,
            instance,
            within: None,
            environment,
            run: [c"./run".to_owned()],
            seen: Seen::nothing(Some(instance.id).filter(|id| *id != FileId::NONE)),
        }
    }

    pub(super) fn set_environment(&mut self, environment: Arc<Environment>) {
        self.environment = environment;
    }

    /// The same, of which `contents` was seen a moment ago.
    pub fn seen(self, contents: Contents) -> Directory {
        Directory { seen: self.seen.before(contents), ..self }
    }

    /// The logger's directory in the service directory at `path`. It may be replaced at any time, but the service directory
    /// must stay the one that `instance` says: what has taken its place is another service, with a logger of its own.
    pub fn logger(path: PathBuf, instance: FileInstance) -> Directory {
        let log = path.join("log");
        Directory { path: log, within: Some(c"log"), seen: Seen::nothing(None), ..Directory::new(path, instance) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The service directory that this is, or lies in.
    pub fn service(&self) -> FileInstance {
        self.instance
    }

    /// Whether it stays down when supervision begins. While it is not at its path, what was seen in it last counts.
    pub fn has_down_file(&self) -> bool {
        let is_there = || Look::at(&file::child(&self.path, DOWN)).is_ok();
        // It may have come back between the two looks.
        is_there() || if self.is_in_place() { is_there() } else { self.seen.last().down }
    }

    /// Whether its path leads to it just now.
    fn is_in_place(&self) -> bool {
        let path = Path::new(OsStr::from_bytes(self.service.to_bytes()));
        Look::behind(path).is_ok_and(|there| FileInstance::from(there).may_be(&self.instance))
    }

    pub(super) fn run(
        &self,
        streams: &Streams,
        telling: &Telling,
        recorder: RecordWriter<'_>,
        context: Option<&Resolved>,
    ) -> Result<Started, StartError> {
        // Of a directory that was not there, some of the settings may have been missed: it could run as another user.
        self.seen.is_up_to_date().map_err(|errno| StartError { step: Step::Directory, errno })?;
        self.start(c"./run", &self.run, (streams, telling.fourth()), Some(recorder), context)
    }

    /// Which optional entries it has, as things are now.
    pub(super) fn entries(&self) -> Entries {
        self.seen.look(&self.path)
    }

    /// Time has passed since they were looked at.
    pub(super) fn expire(&self) {
        self.seen.expire();
    }

    pub(super) fn has_finish(&self) -> bool {
        file::is_executable(&file::child(&self.path, "finish"))
    }

    pub(super) fn finish<'a>(
        &self,
        streams: &Streams,
        module: &str,
        exit: Option<ExitStatus>,
        recorder: impl FnOnce() -> RecordWriter<'a>,
    ) -> Result<Option<Started>, StartError> {
        if !self.has_finish() {
            return Ok(None);
        }
        streams.ensure_open()?;
        let (code, low) = exit.map_or(COULD_NOT_START, |exit| (exit.code_or_minus_one(), exit.low_byte()));
        let words = ["./finish", &code.to_string(), &low.to_string(), module];
        let words: Vec<CString> = words.into_iter().map(|word| CString::new(word).unwrap_or_default()).collect();
        self.execute(c"./finish", &words, streams, Some(recorder()), None).map(Some)
    }

    pub(super) fn execute(
        &self,
        program: &CStr,
        arguments: &[CString],
        streams: &Streams,
        recorder: Option<RecordWriter<'_>>,
        context: Option<&Resolved>,
    ) -> Result<Started, StartError> {
        self.start(program, arguments, (streams, None), recorder, context)
    }

    /// Where its processes run.
    pub(super) fn working_directory(&self) -> WorkingDirectory<'_> {
        WorkingDirectory { path: &self.service, expect: Some(self.instance.id), within: self.within }
    }

    fn start(
        &self,
        program: &CStr,
        arguments: &[CString],
        (streams, fourth): (&Streams, Option<(&CStr, i32)>),
        recorder: Option<RecordWriter<'_>>,
        context: Option<&Resolved>,
    ) -> Result<Started, StartError> {
        // With a working directory of its own, it is not found from there.
        let elsewhere = context.is_some_and(|context| context.change.directory.is_some());
        let absolute = if elsewhere { Some(self.absolute(program)?) } else { None };
        let environment = context.map_or(&*self.environment, |context| &*context.environment);
        start(&Plan {
            directory: Some(self.working_directory()),
            fourth,
            change: context.map(|context| &context.change),
            recorder,
            stdin: streams.stdin(),
            stdout: streams.stdout(),
            stderr: streams.stderr(),
            ..Plan::new(absolute.as_deref().unwrap_or(program), arguments, environment)
        })
    }

    /// The path of a program in this directory, wherever it is looked at from.
    pub(super) fn absolute(&self, program: &CStr) -> Result<CString, StartError> {
        let path = std::path::absolute(&self.path).map_err(|error| StartError {
            step: Step::Directory,
            errno: error.raw_os_error().map_or(Errno::ENOENT, Errno::from_raw),
        })?;
        let name = OsStr::from_bytes(program.to_bytes());
        Ok(file::c_path_or_empty(&path.join(name.as_bytes().strip_prefix(b"./").map_or(name, OsStr::from_bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_it_is_away_its_down_file_counts() {
        let root = tempfile::tempdir().unwrap();
        let [path, away] = ["web", "away"].map(|name| root.path().join(name));
        std::fs::create_dir(&path).unwrap();
        let seen = || {
            let metadata = std::fs::metadata(&path).unwrap();
            Directory::new(path.clone(), FileInstance::of(&metadata)).seen(Contents::of(&path, &metadata).unwrap())
        };
        let plain = seen();
        std::fs::write(path.join(DOWN), "").unwrap();
        let directory = seen();
        assert!(plain.has_down_file() && directory.has_down_file());
        std::fs::rename(&path, &away).unwrap();
        assert!(directory.has_down_file() && !plain.has_down_file());
        // Another one in its place says nothing of it.
        std::fs::create_dir(&path).unwrap();
        assert!(directory.has_down_file());
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&away, &path).unwrap();
        std::fs::remove_file(path.join(DOWN)).unwrap();
        assert!(!directory.has_down_file());
    }
}
