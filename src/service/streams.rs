//! Where a process's standard input, output and error lead.

use super::pipe::LogPipe;
use crate::status::StatusDir;
use crate::sys::Errno;
use crate::sys::files::file;
use crate::sys::process::start::{Input, Output, StartError, Step};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// Where standard input, output and error lead: by path, for the child opens them.
#[derive(Debug)]
pub struct Streams {
    /// From the service whose logger this is.
    pub input: Option<Arc<LogPipe>>,
    /// To this service's logger, instead of `__stdout`.
    pub output: Option<Arc<LogPipe>>,
    /// They are the supervisor's own.
    are_inherited: bool,
    /// Whether standard error leads there, too: so it does where the tree runs the logger by itself.
    joins_errors: bool,
    /// What `output` is from the next start on, where that is something else.
    next_output: Option<NextOutput>,
    stdout: CString,
    stderr: CString,
    dir: StatusDir,
}

/// Where the standard error of a run process leads.
#[derive(Clone, Copy, Debug)]
pub enum Errors<'a> {
    /// Into `__stderr`.
    File,
    /// Into this pipe, with standard output.
    Pipe(&'a Arc<LogPipe>),
    /// To the supervisor's own.
    Inherited,
}

/// A change that waits for the next start.
#[derive(Clone, Debug)]
pub enum NextOutput {
    /// Into `__stdout` and `__stderr`.
    Files,
    /// Both into the pipe to a logger that the tree runs by itself.
    Pipe(Arc<LogPipe>),
}

impl Streams {
    /// Output and error into `__stdout` and `__stderr` of `dir`, but for what the pipes replace.
    pub fn new(dir: &StatusDir, input: Option<Arc<LogPipe>>, output: Option<Arc<LogPipe>>) -> Streams {
        let (stdout, stderr) = (file::c_path_or_empty(&dir.stdout()), file::c_path_or_empty(&dir.stderr()));
        Streams {
            input,
            output,
            are_inherited: false,
            joins_errors: false,
            next_output: None,
            stdout,
            stderr,
            dir: dir.clone(),
        }
    }

    /// The supervisor's own, for the module in `dir`.
    pub fn inherited(dir: &StatusDir) -> Streams {
        Streams { are_inherited: true, ..Streams::new(dir, None, None) }
    }

    /// The same, standard error into the pipe to the logger, too.
    pub fn with_errors(self, joins_errors: bool) -> Streams {
        Streams { joins_errors, ..self }
    }

    /// The output changes at the next start; what runs keeps what it has.
    pub fn change_output(&mut self, next: Option<NextOutput>) {
        self.next_output = next;
    }

    /// Whether a change waits for the next start.
    pub(super) fn are_to_change(&self) -> bool {
        self.next_output.is_some()
    }

    /// Whether what waits is a change for a process that was started as things are now.
    pub(super) fn will_differ(&self) -> bool {
        match (&self.next_output, &self.output) {
            (None, _) | (Some(NextOutput::Files), None) => false,
            (Some(NextOutput::Files), Some(_)) | (Some(NextOutput::Pipe(_)), None) => true,
            (Some(NextOutput::Pipe(next)), Some(now)) => !Arc::ptr_eq(next, now),
        }
    }

    /// Makes the change that waits, at a start. The logger that nobody writes to any more may go.
    pub(super) fn make_change(&mut self) {
        let Some(next) = self.next_output.take() else { return };
        let (output, joins_errors) = match next {
            NextOutput::Files => (None, false),
            NextOutput::Pipe(pipe) => (Some(pipe), true),
        };
        let before = std::mem::replace(&mut self.output, output);
        self.joins_errors = joins_errors;
        if let Some(before) = before
            && self.output.as_ref().is_none_or(|now| !Arc::ptr_eq(now, &before))
        {
            before.release();
        }
    }

    /// Makes sure that the pipes are there and held open.
    pub(super) fn ensure_open(&self) -> Result<(), StartError> {
        let ensure_open = |pipe: &Option<Arc<LogPipe>>, step| {
            let Some(pipe) = pipe else { return Ok(()) };
            pipe.ensure_open().map_err(|error| StartError {
                step,
                errno: error.raw_os_error().map_or(Errno::ENOTSUP, Errno::from_raw),
            })
        };
        ensure_open(&self.input, Step::Stdin)?;
        ensure_open(&self.output, Step::Stdout)
    }

    pub(super) fn stdin(&self) -> Input<'_> {
        if self.are_inherited {
            return Input::Inherited;
        }
        self.input.as_ref().map_or(Input::Null, |pipe| Input::Fifo(pipe.path()))
    }

    pub(super) fn stdout(&self) -> Output<'_> {
        match &self.output {
            Some(pipe) if !pipe.has_given_way() => Output::Fifo(pipe.path()),
            None if self.are_inherited => Output::Inherited,
            Some(_) | None => self.file(&self.stdout),
        }
    }

    /// Where standard error leads.
    pub(super) fn errors(&self) -> Errors<'_> {
        match &self.output {
            Some(pipe) if self.joins_errors => Errors::Pipe(pipe),
            None if self.are_inherited => Errors::Inherited,
            Some(_) | None => Errors::File,
        }
    }

    /// Whether a logger that the tree runs by itself reads standard error from the next start on.
    pub(super) fn will_join_errors(&self) -> bool {
        self.next_output.as_ref().map_or(self.joins_errors, |next| matches!(next, NextOutput::Pipe(_)))
    }

    pub(super) fn stderr(&self) -> Output<'_> {
        match &self.output {
            Some(pipe) if self.joins_errors => Output::Fifo(pipe.path()),
            None if self.are_inherited => Output::Inherited,
            Some(_) | None => self.file(&self.stderr),
        }
    }

    fn file<'a>(&'a self, path: &'a CString) -> Output<'a> {
        if self.dir.is_foreign() {
            return Output::SoleFile(path);
        }
        let at = Path::new(OsStr::from_bytes(path.to_bytes()));
        if self.dir.may_have_links() && file::is_other(at) && self.dir.allows_links() {
            return Output::Other { path, is_fifo: file::leads_to_fifo(at) };
        }
        Output::File(path)
    }
}
