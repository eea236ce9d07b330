//! How a service says that it is ready, and how it is looked at: what its files say, and what its processes get for it.

use super::context::Resolved;
use super::directory::Directory;
use super::entries::{CHECK, NOTIFICATION_FD};
use super::exec_failure;
use super::telling::Telling;
use super::{Definition, Service};
use crate::conf::readiness::{Check, descriptor};
use crate::readiness::probe;
use crate::sys::context::Change;
use crate::sys::files::file;
use crate::sys::process::start::{Environment, Output, Plan, StartError, Started, Step, look_up, start};
use crate::sys::{Errno, errno_text};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

/// A number and a newline are not longer, in bytes.
const NUMBER_MAX: u64 = 16;

/// Our own program, whichever file that is by now.
const OURSELVES: &CStr = c"/proc/self/exe";

impl Service {
    /// What the next run process gets so that it can say that it is ready.
    pub fn set_telling(&mut self, telling: Telling) {
        self.telling = telling;
    }

    /// Whether its files may say how it tells that it is ready: it is a service directory, and no logger's.
    fn tells_by_files(&self) -> Option<&Directory> {
        match &self.definition {
            Definition::Directory(directory) if self.streams.input.is_none() => Some(directory),
            Definition::Directory(_) | Definition::Command(_) | Definition::Logger(_) => None,
        }
    }

    /// The descriptor that the file `notification-fd` names, if there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn notification_fd(&self) -> Result<Option<u8>, String> {
        let Some(directory) = self.tells_by_files() else { return Ok(None) };
        if !directory.entries().notification_fd {
            return Ok(None);
        }
        let path = file::child(directory.path(), NOTIFICATION_FD);
        let file = File::open(path).map_err(|error| format!("{NOTIFICATION_FD}: {}", errno_text(&error)))?;
        let mut text = String::new();
        let read = file.take(NUMBER_MAX).read_to_string(&mut text).map_err(|error| errno_text(&error));
        let number = read.and_then(|_| descriptor(text.trim()));
        number.map(Some).map_err(|why| format!("{NOTIFICATION_FD}: {why}"))
    }

    /// Whether there is an executable `check`.
    pub fn has_check(&self) -> bool {
        let is_there = |directory: &Directory| {
            directory.entries().check && file::is_executable(&file::child(directory.path(), CHECK))
        };
        self.tells_by_files().is_some_and(is_there)
    }

    /// Why `check`, or else its own `check`, failed with `error`, where `errno` alone does not say it.
    pub fn explain_check(&self, check: Option<&Check>, error: StartError) -> Option<String> {
        let within = |name: &str| match &self.definition {
            Definition::Directory(directory) => directory.path().join(name),
            Definition::Command(_) | Definition::Logger(_) => name.into(),
        };
        match check {
            None => exec_failure::explain(&within(CHECK), error),
            Some(Check::Program(words)) => match words.first()?.as_str() {
                name if name.contains('/') => exec_failure::explain(&within(name.trim_start_matches("./")), error),
                name => exec_failure::explain_search(name, &std::env::var_os("PATH").unwrap_or_default(), error),
            },
            Some(Check::Tcp { .. } | Check::Socket(_) | Check::Http(_)) => None,
        }
    }

    /// Starts a check of the service, in its `context` if it has one: what `check` says, or else its own `check`. What it says
    /// goes into the FIFO at `output`.
    ///
    /// # Errors
    /// As [`Service::start`].
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub fn check(
        &self,
        check: Option<&Check>,
        output: &CStr,
        context: Option<&Resolved>,
    ) -> Result<Started, StartError> {
        let word = |word: &str| CString::new(word).map_err(|_| StartError { step: Step::Exec, errno: Errno::EINVAL });
        let (program, words) = match check {
            None => (c"./check".to_owned(), vec![c"./check".to_owned()]),
            Some(Check::Program(words)) => {
                let name = words.first().map_or("", String::as_str);
                // One with a slash is found from the service directory, where the child is by then.
                let program = if name.contains('/') {
                    word(name)?
                } else {
                    let found = look_up(OsStr::new(name)).map_err(|errno| StartError { step: Step::Exec, errno })?;
                    file::c_path_or_empty(&found)
                };
                (program, words.iter().map(|text| word(text)).collect::<Result<_, _>>()?)
            }
            Some(place @ (Check::Tcp { .. } | Check::Socket(_) | Check::Http(_))) => {
                let [kind, place] = probe::arguments(place).unwrap_or_default();
                let words = ["supervise-tree", probe::FLAG, &kind, &place];
                let words = words.into_iter().map(word).collect::<Result<Vec<_>, _>>()?;
                return self.probe(&words, output, context);
            }
        };
        // With a working directory of its own, it is not found from there.
        let elsewhere = context.is_some_and(|context| context.change.directory.is_some());
        let program = if elsewhere { self.absolute(&program)? } else { program };
        let environment = context.map_or(&*self.environment, |context| &*context.environment);
        start(&Plan {
            change: context.map(|context| &context.change),
            ..self.check_plan(&program, &words, environment, output)
        })
    }

    /// Our own program checks, as the service's user. The limits are left out: what they leave for the service need not be
    /// enough for one more process, and a check that fails for that would have a service restarted that is well.
    fn probe(&self, words: &[CString], output: &CStr, context: Option<&Resolved>) -> Result<Started, StartError> {
        let as_we_are = || start(&self.check_plan(OURSELVES, words, &self.environment, output));
        let Some(context) = context else { return as_we_are() };
        let change = Change { limits: Vec::new(), ..context.change.clone() };
        let plan = self.check_plan(OURSELVES, words, &context.environment, output);
        match start(&Plan { change: Some(&change), ..plan }) {
            // The file may be for its owner alone. What it does is known, so it may do it as we are.
            Err(StartError { step: Step::Exec, errno: Errno::EACCES }) => as_we_are(),
            result => result,
        }
    }

    /// What all checks have in common.
    fn check_plan<'a>(
        &'a self,
        program: &'a CStr,
        words: &'a [CString],
        environment: &'a Environment,
        output: &'a CStr,
    ) -> Plan<'a> {
        let directory = match &self.definition {
            Definition::Directory(directory) => Some(directory.working_directory()),
            Definition::Command(_) | Definition::Logger(_) => None,
        };
        let plan = Plan::new(program, words, environment);
        Plan { directory, ends_with_us: true, stdout: Output::Fifo(output), stderr: Output::Same, ..plan }
    }

    /// The path of a program that is named from where the service is, wherever it is looked at from.
    fn absolute(&self, program: &CStr) -> Result<CString, StartError> {
        match &self.definition {
            Definition::Directory(directory) => directory.absolute(program),
            Definition::Command(_) | Definition::Logger(_) => {
                let path = std::path::absolute(OsStr::from_bytes(program.to_bytes()));
                Ok(path.map_or_else(|_| program.to_owned(), |path| file::c_path_or_empty(&path)))
            }
        }
    }
}
