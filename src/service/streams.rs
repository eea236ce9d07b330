//! Where a process's standard input, output and error lead.

use super::pipe::LogPipe;
use crate::status::StatusDir;
use crate::sys::Errno;
use crate::sys::files::file;
use crate::sys::process::start::{Input, Output, StartError, Step};
use std::ffi::CString;
use std::sync::Arc;

/// Where standard input, output and error lead: by path, for the child opens them.
#[derive(Debug)]
pub struct Streams {
    /// From the service whose logger this is.
    pub input: Option<Arc<LogPipe>>,
    /// To this service's logger, instead of `__stdout`.
    pub output: Option<Arc<LogPipe>>,
    stdout: CString,
    stderr: CString,
}

impl Streams {
    /// Output and error into `__stdout` and `__stderr` of `dir`, but for what the pipes replace.
    pub fn new(dir: &StatusDir, input: Option<Arc<LogPipe>>, output: Option<Arc<LogPipe>>) -> Streams {
        Streams { input, output, stdout: file::c_path_of(&dir.stdout()), stderr: file::c_path_of(&dir.stderr()) }
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
        self.input.as_ref().map_or(Input::Null, |pipe| Input::Fifo(pipe.path()))
    }

    pub(super) fn stdout(&self) -> Output<'_> {
        self.output.as_ref().map_or(Output::File(&self.stdout), |pipe| Output::Fifo(pipe.path()))
    }

    pub(super) fn stderr(&self) -> Output<'_> {
        Output::File(&self.stderr)
    }
}
