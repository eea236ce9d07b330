//! The threads of a service directory: how they are started, anew or for something that an earlier tree has left.

use super::entry::{Entry, Lifecycle, SupervisorThread, ThreadExit};
use super::members::Roster;
use crate::machine::Leave;
use crate::service::pipe::LogPipe;
use crate::service::{Definition, Directory, Service, Streams};
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
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Stack of a supervisor thread, in bytes. A release build touches a fifth of it, and a panic needs some more; unoptimised
/// code needs several times as much.
const STACK_SIZE: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };

/// Which of a service directory's two modules, and the pipe between them.
pub(super) enum Part {
    /// The service, and its logger's pipe, if it has one.
    Service(Option<Arc<LogPipe>>),
    /// The logger.
    Logger(Arc<LogPipe>),
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
        let name = found.name.clone();
        let mut more = self.demand_of(false);
        if found.has_logger {
            more += self.demand_of(true);
        }
        capacity::for_modules(self.demand, more, STACK_SIZE).inspect_err(|error| self.log_refusal(&name, error))?;
        let mut entry = Entry { service: None, logger: None, pipe: None, lifecycle, found };
        if entry.found.has_logger {
            let module = format!("{name}/log");
            // The logger's directory lies in it, and would be made with a parent that all may read. What is wrong with
            // it, the service's own thread says.
            let _ = self.status_dir(&name).make();
            let to_logger = Arc::new(self.log_pipe(&module));
            entry.pipe = Some(to_logger.clone());
            if !self.has_exited(&module) {
                let member = self.spawn(&entry.found, Part::Logger(to_logger), leave.logger);
                entry.logger = Some(member.inspect_err(|error| self.log_refusal(&name, error))?);
            }
        }
        match self.spawn(&entry.found, Part::Service(entry.pipe.clone()), leave.service) {
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

    /// Starts the thread of a logger again, whose service has stayed and writes into the same pipe.
    pub(super) fn bring_logger_back(&mut self, name: &str) {
        let Some(entry) = self.entries.get(name).filter(|entry| entry.misses_logger()) else { return };
        let (found, Some(pipe)) = (entry.found.clone(), entry.pipe.clone()) else { return };
        match self.spawn(&found, Part::Logger(pipe), None) {
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

    fn log_pipe(&mut self, module: &str) -> LogPipe {
        let dir = self.status_dir(module);
        match self.handover.modules.get_mut(module).and_then(|inherited| inherited.descriptors.pipe.take()) {
            Some(descriptor) => LogPipe::inherit(dir, descriptor),
            None => LogPipe::new(dir),
        }
    }

    /// Where the status directories are.
    pub(super) fn status_root(&self) -> &Path {
        &self.shared.status_root
    }

    pub(super) fn status_dir(&self, module: &str) -> StatusDir {
        StatusDir::of(&self.shared.status_root, module)
    }

    fn demand_of(&self, is_logger: bool) -> Demand {
        Demand::of(is_logger, self.shared.runit.is_some())
    }

    /// Starts the thread of one of a service directory's modules. `leave` says that it is started only to leave.
    pub(super) fn spawn(&mut self, found: &ServiceDir, part: Part, leave: Option<Leave>) -> io::Result<u64> {
        let demand = self.demand_of(matches!(part, Part::Logger(_)));
        let mailbox = Arc::new(Mailbox::default());
        let spec = self.spec(found, part, leave, &mailbox);
        let module = spec.module.clone();
        let id = self.next_member;
        self.next_member += 1;
        let reporter = self.reporter.clone();
        let shutting_down = self.shutting_down.clone();
        let its_mailbox = mailbox.clone();
        let thread = Thread::spawn(&module, STACK_SIZE, move || {
            its_mailbox.attend();
            let outcome = catch(|| supervise(spec)).ok();
            // It fails only when the main loop is gone, and the process with it.
            let _ = reporter.send(ThreadExit { member: id, outcome });
            if shutting_down.load(Ordering::Relaxed) {
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
    fn spec(&mut self, found: &ServiceDir, part: Part, leave: Option<Leave>, mailbox: &Arc<Mailbox>) -> Box<Spec> {
        let (path, instance) = (found.path.clone(), found.instance);
        let (module, directory, input, output) = match part {
            Part::Service(pipe) => (found.name.clone(), Directory::new(path, instance), None, pipe),
            Part::Logger(pipe) => (format!("{}/log", found.name), Directory::logger(path, instance), Some(pipe), None),
        };
        if let Some(pipe) = &output {
            let service = mailbox.clone();
            pipe.tell_when_logger_changes(move || service.ask(Ask::Publish));
        }
        let dir = self.status_dir(&module);
        let wanted = !directory.has_down_file();
        let streams = Streams::new(&dir, input, output);
        Box::new(Spec {
            service: Service::new(Definition::Directory(directory), streams),
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
                runit: self.shared.runit.clone(),
            }),
            module,
        })
    }
}
