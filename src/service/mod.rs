//! What to run: a service directory, or a command.
//!
//! Both are a [`Service`]: the supervisor starts, finishes and hooks through it, and never asks which it is.

pub mod command;
pub mod context;
mod control;
pub mod directory;
pub mod entries;
mod exec_failure;
pub mod logger;
pub mod names;
pub mod pipe;
mod readiness;
mod streams;
pub mod telling;

use crate::conf::Config;
use crate::conf::context::Context as ContextSettings;
use crate::status::StatusDir;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::sys::files::flock::Lock;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::{RecordWriter, Role};
use crate::sys::process::start::{Environment, StartError, Started};
use entries::Entries;
use logger::TreeLogger;
use pipe::LogPipe;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use context::account::System;
use context::environment::Variables;
use context::{Request, Resolved};
use telling::Telling;

pub use command::CommandLine;
pub use directory::Directory;
pub use streams::{Errors, NextOutput, Streams};

/// What is run, and where its standard input and output lead.
#[derive(Debug)]
pub struct Service {
    definition: Definition,
    streams: Streams,
    telling: Telling,
    /// The supervisor's variables, and those that say where it belongs.
    environment: Arc<Environment>,
}

/// What is run.
#[derive(Debug)]
pub enum Definition {
    /// A directory with `run` in it.
    Directory(Directory),
    /// A command of `supervise -f` or `-u`, or what the tree was given.
    Command(CommandLine),
    /// The logger that the tree runs by itself.
    Logger(TreeLogger),
}

impl Service {
    /// The service that `definition` says.
    pub fn new(definition: Definition, streams: Streams) -> Service {
        Service { definition, streams, telling: Telling::default(), environment: Environment::inherited() }
    }

    /// Tells everything that is run for it which module it is, and below which status root.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub fn set_names(&mut self, module: &str, status_root: &Path) {
        self.environment = Arc::new(names::environment(module, status_root));
        let environment = self.environment.clone();
        match &mut self.definition {
            Definition::Directory(directory) => directory.set_environment(environment),
            Definition::Command(command) => command.set_environment(environment),
            Definition::Logger(logger) => logger.set_environment(environment),
        }
    }

    /// The variables of everything that is run for it, where no settings say more.
    pub fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    /// Makes sure that what leads in and out is there, also for a process that runs already.
    ///
    /// # Errors
    /// The stream that is not, and its errno.
    pub fn ensure_open(&self) -> Result<(), StartError> {
        self.streams.ensure_open()
    }

    /// Where the service directory's own settings are, and whether that is its `supervise.conf` and files of s6; `None` if it
    /// has none.
    pub fn own_settings(&self) -> Option<(&Path, [bool; 2])> {
        let Definition::Directory(directory) = &self.definition else { return None };
        let Entries { conf, s6, .. } = directory.entries();
        (conf || s6).then(|| (directory.path(), [conf, s6]))
    }

    /// Time has passed, in which somebody may have changed the service directory.
    pub fn expire(&self) {
        if let Definition::Directory(directory) = &self.definition {
            directory.expire();
        }
    }

    /// Works out the context of the next start from `settings`; `None` if it is that of the supervisor.
    ///
    /// # Errors
    /// The part that cannot be had.
    pub fn context(&self, settings: &ContextSettings) -> Result<Option<Box<Resolved>>, StartError> {
        self.context_with(settings, &self.telling.variables)
    }

    /// The same for what looks at it, which has nothing to tell readiness by: that is the run process's alone.
    ///
    /// # Errors
    /// As [`Service::context`].
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub fn check_context(&self, settings: &ContextSettings) -> Result<Option<Box<Resolved>>, StartError> {
        self.context_with(settings, &[])
    }

    fn context_with(
        &self,
        settings: &ContextSettings,
        telling: &[(OsString, OsString)],
    ) -> Result<Option<Box<Resolved>>, StartError> {
        let has_env = match &self.definition {
            Definition::Directory(directory) => directory.entries().env,
            Definition::Command(_) | Definition::Logger(_) => false,
        };
        if settings.is_empty() && !has_env && telling.is_empty() {
            return Ok(None);
        }
        let inherited = Variables::ours();
        let names = self.environment.own_pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let ours: Vec<_> = names.chain(telling.iter().cloned()).collect();
        let request = Request { context: settings, place: self.path(), lists_env: has_env, inherited, ours: &ours };
        context::resolve(request, &System).map(|resolved| Some(Box::new(resolved)))
    }

    /// Starts the run process, in a `context` of its own if there is one. It records itself in `lock`. A service directory's always leads a session of its own;
    /// a command's leads a process group if `own_group` says so.
    ///
    /// # Errors
    /// The step that failed, and its errno.
    pub fn start(&mut self, lock: &Lock, own_group: bool, context: Option<&Resolved>) -> Result<Started, StartError> {
        self.streams.make_change();
        self.streams.ensure_open()?;
        let recorder = RecordWriter::new(lock, Role::Run, self.directory());
        match &self.definition {
            Definition::Directory(directory) => directory.run(&self.streams, &self.telling, recorder, context),
            Definition::Command(command) => command.run((&self.streams, &self.telling), recorder, own_group, context),
            Definition::Logger(logger) => {
                logger.command().run((&self.streams, &self.telling), recorder, own_group, context)
            }
        }
    }

    /// The cause of `error`, where `errno` alone does not say it.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub fn explain(&self, error: StartError) -> Option<String> {
        match &self.definition {
            Definition::Directory(directory) => exec_failure::explain(&directory.path().join("run"), error),
            Definition::Command(command) => command.explain(error),
            Definition::Logger(logger) => logger.command().explain(error),
        }
    }

    /// Whether there is a `finish`, as things are now.
    pub fn has_finish(&self) -> bool {
        match &self.definition {
            Definition::Directory(directory) => directory.has_finish(),
            Definition::Command(_) | Definition::Logger(_) => false,
        }
    }

    /// Starts `finish`, if there is one, after `exit`; `None` there means that the run process could not be started.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn finish(&self, module: &str, exit: Option<ExitStatus>, lock: &Lock) -> Result<Option<Started>, StartError> {
        match &self.definition {
            Definition::Directory(directory) => {
                let recorder = || RecordWriter::new(lock, Role::Finish, self.directory());
                directory.finish(&self.streams, module, exit, recorder)
            }
            Definition::Command(_) | Definition::Logger(_) => Ok(None),
        }
    }

    /// Whether it is the command that the tree was given.
    pub fn is_trees_command(&self) -> bool {
        match &self.definition {
            Definition::Command(command) => command.is_of_tree(),
            Definition::Directory(_) | Definition::Logger(_) => false,
        }
    }

    /// The service directory's path, or the command's words: `definition` in `state.json`.
    pub fn describe(&self) -> String {
        match &self.definition {
            Definition::Directory(directory) => directory.path().to_string_lossy().into_owned(),
            Definition::Command(command) => command.describe(),
            Definition::Logger(logger) => logger.command().describe(),
        }
    }

    /// The service directory.
    pub fn path(&self) -> Option<&Path> {
        match &self.definition {
            Definition::Directory(directory) => Some(directory.path()),
            Definition::Command(_) | Definition::Logger(_) => None,
        }
    }

    /// Which service directory it belongs to.
    pub fn directory(&self) -> Option<FileId> {
        self.instance().map(|instance| instance.id)
    }

    /// The same, told from one that had its number before.
    pub fn instance(&self) -> Option<FileInstance> {
        match &self.definition {
            Definition::Directory(directory) => Some(directory.service()),
            Definition::Command(_) | Definition::Logger(_) => None,
        }
    }

    /// Where its output goes from the next start on.
    pub fn change_output(&mut self, next: NextOutput) {
        self.streams.change_output(Some(next));
    }

    /// The pipe that nobody will read any more: its logger cannot be started, and the next start leaves it behind.
    pub fn abandoned_output(&self) -> Option<&Arc<LogPipe>> {
        self.output().filter(|pipe| self.streams.are_to_change() && pipe.is_broken())
    }

    /// The logger that the tree runs by itself, if it is that.
    pub fn tree_logger(&self) -> Option<&TreeLogger> {
        match &self.definition {
            Definition::Logger(logger) => Some(logger),
            Definition::Directory(_) | Definition::Command(_) => None,
        }
    }

    /// Gives a logger that the tree runs by itself other settings, from its next start on; says whether they are others.
    pub fn configure_logger(&mut self, config: &Config) -> bool {
        match &mut self.definition {
            Definition::Logger(logger) => logger.configure(config),
            Definition::Directory(_) | Definition::Command(_) => false,
        }
    }

    /// Whether its output goes elsewhere from its next start on.
    pub fn changes_output(&self) -> bool {
        self.streams.will_differ()
    }

    /// The pipe that this service, a logger, reads.
    pub fn input(&self) -> Option<&Arc<LogPipe>> {
        self.streams.input.as_ref()
    }

    /// Where the standard error of its run process leads.
    pub fn errors(&self) -> Errors<'_> {
        self.streams.errors()
    }

    /// Whether a logger that the tree runs by itself reads its standard error from the next start on.
    pub fn will_have_tree_logger(&self) -> bool {
        self.streams.will_join_errors()
    }

    /// The pipe to this service's logger.
    pub fn output(&self) -> Option<&Arc<LogPipe>> {
        self.streams.output.as_ref()
    }
}

/// What a start could not do without being the worse for it, for the log.
pub fn start_warnings(dir: &StatusDir, started: &Started) -> Vec<String> {
    let mut all = Vec::new();
    for (path, lost) in [(dir.stdout(), started.stdout_lost), (dir.stderr(), started.stderr_lost)] {
        if let Some(errno) = lost {
            let text = format!(
                "{}: {}; it runs with /dev/null until its next start",
                path.display(),
                crate::sys::describe(errno)
            );
            all.push(text);
        }
    }
    all
}
