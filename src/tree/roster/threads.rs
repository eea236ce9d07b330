//! The threads of a service directory: how they are started, anew or for something that an earlier tree has left.

use super::entry::{Entry, Lifecycle, LoggerKind, Stdout, SupervisorThread, ThreadExit};
use super::members::Roster;
use crate::machine::Leave;
use crate::service::logger::TreeLogger;
use crate::service::pipe::LogPipe;
use crate::service::{Definition, Directory, NextOutput, Service, Streams};
use crate::status::StatusDir;
use crate::supervisor::begin::retry::supervise;
use crate::supervisor::host::{Host, InTree};
use crate::supervisor::panics::catch;
use crate::supervisor::requests::mailbox::{Ask, Mailbox};
use crate::supervisor::spec::Spec;
use crate::sys::errno_text;
use crate::sys::threads::thread::Thread;
use crate::tree::capacity::{self, Demand};
use crate::tree::root::scan::ServiceDir;
use crossbeam_channel::Sender;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Stack of a supervisor thread, in bytes. A release build touches a fifth of it, and a panic needs some more; unoptimised
/// code needs several times as much.
const STACK_SIZE: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };

/// Which of a service directory's two modules, and the pipe between them.
pub(super) enum Part {
    /// The service, and its logger's pipe, if it has one.
    Service {
        /// To its logger, if it has one.
        pipe: Option<Arc<LogPipe>>,
        /// Whether standard error goes there, too.
        joins_errors: bool,
        /// Where its output goes from its next start on, if that is elsewhere.
        next: Option<NextOutput>,
    },
    /// The logger, of its own `log/run`.
    Logger(Arc<LogPipe>),
    /// The logger that the tree runs by itself.
    OwnLogger(Arc<LogPipe>),
}

impl Entry {
    fn logger_part(&self, pipe: Arc<LogPipe>) -> Part {
        match self.logger_kind {
            LoggerKind::Directory | LoggerKind::GoneUntilNextStart => Part::Logger(pipe),
            LoggerKind::Own | LoggerKind::OwnUntilNextStart => Part::OwnLogger(pipe),
        }
    }

    pub(super) fn service_part(&self) -> Part {
        let (pipe, joins_errors) = match &self.stdout {
            Stdout::Now(pipe) | Stdout::UntilNextStart(pipe) => (Some(pipe.clone()), true),
            Stdout::No | Stdout::FromNextStart(_) => (self.pipe.clone(), self.logger_kind.is_own()),
        };
        // When it was taken on from an earlier tree, it may write into a pipe that it is not to have any more.
        let next = match (&self.stdout, self.logger_kind, &self.pipe) {
            (Stdout::FromNextStart(pipe), ..) | (Stdout::UntilNextStart(_), LoggerKind::Own, Some(pipe)) => {
                Some(NextOutput::Pipe(pipe.clone()))
            }
            (Stdout::UntilNextStart(_), ..)
            | (Stdout::No, LoggerKind::OwnUntilNextStart | LoggerKind::GoneUntilNextStart, _) => {
                Some(NextOutput::Files)
            }
            (Stdout::Now(_), ..) | (Stdout::No, LoggerKind::Directory | LoggerKind::Own, _) => None,
        };
        Part::Service { pipe, joins_errors, next }
    }
}

/// How the two modules leave, if they are started only to leave.
#[derive(Clone, Copy, Default)]
struct LeaveAtStart {
    service: Option<Leave>,
    logger: Option<Leave>,
}

impl Roster {
    /// Starts the threads of a service directory: the logger first, so that it is there when the service writes.
    pub(super) fn start(&mut self, found: ServiceDir) -> io::Result<()> {
        self.start_threads(found, Lifecycle::Supervised, LeaveAtStart::default())
    }

    /// Starts the threads of a service directory that is gone (or whose module has left by `x`), only to stop what runs
    /// and to clear up. A logger that runs reads to the end of its input; one that does not cannot be started again.
    pub(super) fn start_to_leave(&mut self, found: ServiceDir, logs_on: bool) -> io::Result<()> {
        let logger = if logs_on { None } else { Some(Leave::EndOfInput) };
        let lifecycle = if self.exited_before(&found.name) { Lifecycle::Exited } else { Lifecycle::Leaving(None) };
        self.start_threads(found, lifecycle, LeaveAtStart { service: Some(Leave::Stop), logger })
    }

    /// Whether the module has left the program before us by `x`.
    pub(super) fn exited_before(&self, name: &str) -> bool {
        self.handover.told_to_exit.iter().any(|told| told == name)
    }

    /// The same, and whoever asks sees to it: it is said once.
    pub(super) fn has_exited(&mut self, module: &str) -> bool {
        let at = self.handover.told_to_exit.iter().position(|told| told == module);
        at.map(|at| self.handover.told_to_exit.swap_remove(at)).is_some()
    }

    fn start_threads(&mut self, found: ServiceDir, lifecycle: Lifecycle, leave: LeaveAtStart) -> io::Result<()> {
        self.note_seen(found.instance.id);
        if let Some(link) = found.link {
            self.note_seen(link);
        }
        let name = found.name.clone();
        let mut more = self.demand_of(false);
        let kind = self.logger_kind(&found);
        if kind.is_some() {
            more += self.demand_of(true);
        }
        capacity::for_modules(self.demand, more, STACK_SIZE).inspect_err(|error| self.log_refusal(&name, error))?;
        let stdout = self.stdout_at_start(&found);
        let logger_kind = kind.unwrap_or(LoggerKind::Directory);
        let mut entry = Entry { service: None, logger: None, pipe: None, lifecycle, logger_kind, stdout, found };
        if kind.is_some() {
            self.start_logger(&mut entry, leave.logger).inspect_err(|error| self.log_refusal(&name, error))?;
        }
        match self.spawn(&entry.found, entry.service_part(), leave.service) {
            Ok(member) => {
                self.capacity_logged.remove(&name);
                entry.service = Some(member);
                self.entries.insert(name, entry);
                Ok(())
            }
            Err(error) => {
                self.log_refusal(&name, &error);
                if let Some(logger) = entry.logger {
                    self.ask(logger, Ask::Leave(Leave::EndOfInput));
                    entry.lifecycle = Lifecycle::Leaving(None);
                    self.entries.insert(name, entry);
                }
                Err(error)
            }
        }
    }

    /// Makes the pipe to a logger, and starts its thread, unless it has left alone before.
    pub(super) fn start_logger(&mut self, entry: &mut Entry, leave: Option<Leave>) -> io::Result<()> {
        let module = format!("{}/log", entry.found.name);
        // The logger's directory lies in it, and would be made with a parent that all may read. What is wrong with
        // it, the service's own thread says.
        let _ = self.status_dir(&entry.found.name)?.make();
        let to_logger = Arc::new(self.log_pipe(&module)?);
        entry.pipe = Some(to_logger.clone());
        if !self.has_exited(&module) {
            entry.logger = Some(self.spawn(&entry.found, entry.logger_part(to_logger), leave)?);
        }
        Ok(())
    }

    /// Starts the thread of a logger again, whose service has stayed and writes into the same pipe.
    pub(super) fn bring_logger_back(&mut self, name: &str) {
        let Some(entry) = self.entries.get(name).filter(|entry| entry.misses_logger()) else { return };
        let (found, Some(pipe)) = (entry.found.clone(), entry.pipe.clone()) else { return };
        let part = entry.logger_part(pipe);
        match self.spawn(&found, part, None) {
            Ok(member) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.logger = Some(member);
                }
            }
            Err(error) => {
                log::warn!(logger: self.shared.log, "{name}/log: {}; tried again at the next HUP", errno_text(&error));
            }
        }
    }

    fn log_refusal(&mut self, name: &str, error: &io::Error) {
        if self.capacity_logged.insert(name.to_string(), errno_text(error)).is_none() {
            log::warn!(logger: self.shared.log, "{name}: {}; tried again every second", errno_text(error));
        }
    }

    fn log_pipe(&mut self, module: &str) -> io::Result<LogPipe> {
        let dir = self.status_dir(module)?;
        Ok(match self.handover.modules.get_mut(module).and_then(|inherited| inherited.descriptors.pipe.take()) {
            Some(descriptor) => LogPipe::inherit(dir, descriptor),
            None => LogPipe::new(dir),
        })
    }

    /// Where the status directories are.
    pub(super) fn status_root(&self) -> &Path {
        self.shared.status_root.path()
    }

    fn status_dir(&self, module: &str) -> io::Result<StatusDir> {
        self.shared.status_root.dir(module)
    }

    fn demand_of(&self, is_logger: bool) -> Demand {
        Demand::of(is_logger, self.shared.runit.is_some())
    }

    /// Starts the thread of one of a service directory's modules. `leave` says that it is started only to leave.
    pub(super) fn spawn(&mut self, found: &ServiceDir, part: Part, leave: Option<Leave>) -> io::Result<u64> {
        let demand = self.demand_of(matches!(part, Part::Logger(_) | Part::OwnLogger(_)));
        let mailbox = Arc::new(Mailbox::default());
        let spec = self.spec(found, part, leave, &mailbox)?;
        let module = spec.module.clone();
        let id = self.next_member;
        self.next_member += 1;
        let reporter = self.reporter.clone();
        let end = self.end.clone();
        let its_mailbox = mailbox.clone();
        let thread = Thread::spawn(&module, STACK_SIZE, move || {
            its_mailbox.attend();
            let outcome = catch(|| supervise(spec)).ok();
            tell_end(&reporter, ThreadExit { member: id, outcome });
            if end.has_begun() {
                // The end of the process takes all threads' memory down at once; one by one, each unmapping would
                // interrupt every other processor.
                Thread::quit();
            }
        });
        let thread = thread.map_err(|errno| capacity::no_thread(&errno.into()))?;
        self.demand += demand;
        self.members.insert(id, (found.name.clone(), SupervisorThread { module, mailbox, thread, demand }));
        Ok(id)
    }

    /// What makes the supervisor of one of a service directory's modules.
    fn spec(
        &mut self,
        found: &ServiceDir,
        part: Part,
        leave: Option<Leave>,
        mailbox: &Arc<Mailbox>,
    ) -> io::Result<Box<Spec>> {
        // Loggers are outside of the order.
        let is_service = matches!(part, Part::Service { .. });
        let (dir, module, definition, streams) = self.what_to_run(found, part, mailbox)?;
        let place = is_service.then(|| self.places.take(&self.shared.config, &module, mailbox));
        let wanted = match &definition {
            Definition::Directory(directory) => !directory.has_down_file(),
            Definition::Command(_) | Definition::Logger(_) => true,
        };
        Ok(Box::new(Spec {
            service: Service::new(definition, streams),
            dir,
            config: self.shared.config.clone(),
            source: self.shared.source.clone(),
            alarms: self.alarms.clone(),
            echo: self.shared.echo,
            complaints: Vec::new(),
            leave,
            host: Host::Tree(InTree {
                mailbox: mailbox.clone(),
                wanted,
                log: self.shared.log.clone(),
                reports: self.to_tree.0.clone(),
                inherited: self.handover.modules.remove(&module),
                continued: self.continued.remove(&module),
                removals: self.shared.removals.clone(),
                runit: self.shared.runit.clone(),
                place,
                end: self.end.clone(),
            }),
            module,
        }))
    }

    /// The status directory and the name of one of a service directory's modules, what it runs, and where its output goes.
    fn what_to_run(
        &self,
        found: &ServiceDir,
        part: Part,
        mailbox: &Arc<Mailbox>,
    ) -> io::Result<(StatusDir, String, Definition, Streams)> {
        let (path, instance) = (found.path.clone(), found.instance);
        let log_module = format!("{}/log", found.name);
        let is_logger = matches!(part, Part::Logger(_) | Part::OwnLogger(_));
        let dir = self.status_dir(if is_logger { &log_module } else { &found.name })?;
        Ok(match part {
            Part::Service { pipe, joins_errors, next } => {
                if let Some(pipe) = &pipe {
                    let service = mailbox.clone();
                    pipe.tell_when_logger_changes(move || service.ask(Ask::Publish));
                }
                if let Some((command, streams)) = self.command_to_run(&found.name, &dir) {
                    return Ok((dir, found.name.clone(), command, streams));
                }
                let mut streams = Streams::new(&dir, None, pipe).with_errors(joins_errors);
                streams.change_output(next);
                let directory = Directory::new(path, instance).seen(found.contents);
                (dir, found.name.clone(), Definition::Directory(directory), streams)
            }
            Part::Logger(pipe) => {
                // Its `log/run` may go, and then the service writes elsewhere from its next start on.
                let logger = mailbox.clone();
                pipe.tell_when_released(move || logger.ask(Ask::Leave(Leave::EndOfInput)));
                let streams = Streams::new(&dir, Some(pipe), None);
                (dir, log_module, Definition::Directory(Directory::logger(path, instance)), streams)
            }
            Part::OwnLogger(pipe) => {
                let logger = mailbox.clone();
                pipe.tell_when_released(move || logger.ask(Ask::Leave(Leave::EndOfInput)));
                let streams = Streams::new(&dir, Some(pipe), None);
                let logger = TreeLogger::new(&found.name, dir.clone(), &self.shared.config);
                (dir, log_module, Definition::Logger(logger), streams)
            }
        })
    }
}

// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn tell_end(reporter: &Sender<ThreadExit>, exit: ThreadExit) {
    // It fails only when the main loop is gone, and the process with it.
    let _ = reporter.send(exit);
}
