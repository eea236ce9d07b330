//! Opening a status directory: each step needs what the one before it has got.

use crate::conf::settings::Settings;
use crate::machine::{Machine, Setup};
use crate::status::fifo::Fifos;
use crate::status::log::Log;
use crate::supervisor::begin::left_behind::LeftBehind;
use crate::supervisor::begin::record_keeper::RecordKeeper;
use crate::supervisor::own_settings::OwnSettings;
use crate::supervisor::place::Standpoint;
use crate::supervisor::report::access::Access;
use crate::supervisor::report::publish::Publisher;
use crate::supervisor::report::reports::Reports;
use crate::supervisor::requests::parking::InheritedModule;
use crate::supervisor::runit::files::Runit;
use crate::supervisor::runit::foreign;
use crate::supervisor::settings::policy;
use crate::supervisor::signs::Readiness;
use crate::supervisor::spec::{OpenError, Spec};
use crate::supervisor::thread::Supervisor;
use crate::sys::errno_text;
use crate::sys::files::flock::Lock;
use crate::sys::files::replace::FilePair;
use crate::sys::passing::Passing;
use log::Level;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A status directory that is ours alone.
struct Claimed {
    /// The lock of somebody else who supervised the service directory, to be held until our files are there.
    foreign: Option<Lock>,
    lock: Lock,
    /// The directory was made just now.
    is_first: bool,
    left_behind: LeftBehind,
    /// What else the program before us has handed over.
    inherited: InheritedModule,
}

/// Makes the status directory, makes sure that nobody else supervises the service, takes the lock, and looks for what an
/// earlier supervisor has left.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn claim(spec: &mut Spec) -> Result<Passing<Claimed>, OpenError> {
    let is_first = spec.dir.make().map_err(OpenError::Directory)?;
    let foreign = match (spec.host.tree().and_then(|tree| tree.runit.as_ref()), spec.service.path()) {
        (Some(_), Some(path)) => foreign::claim(path, &spec.dir)?,
        (None, _) | (_, None) => None,
    };
    let mut inherited = spec.host.tree_mut().and_then(|tree| tree.inherited.take()).unwrap_or_default();
    let taken = take_lock(spec, &mut inherited);
    // In a directory of another user, nothing that is written can be believed.
    let found = taken.and_then(|(lock, removed)| {
        let mut left_behind = LeftBehind::default();
        if !spec.dir.is_foreign() {
            left_behind = LeftBehind::look(&lock, &spec.dir, is_first).map_err(OpenError::Predecessor)?;
        }
        if let Some(continued) = spec.host.tree_mut().and_then(|tree| tree.continued.take()) {
            left_behind.state = Some(continued);
        }
        if let Some(removed) = &removed {
            left_behind.look_into(removed).map_err(OpenError::Predecessor)?;
        }
        Ok((lock, left_behind))
    });
    match found {
        Ok((lock, left_behind)) => Ok(Passing::new(Claimed { foreign, lock, is_first, left_behind, inherited })),
        Err(error) => {
            if let Some(tree) = spec.host.tree_mut() {
                tree.inherited = Some(inherited);
            }
            Err(error)
        }
    }
}

/// The lock that the program before us has handed over, or a new one. Somebody may have removed its file meanwhile: the
/// record in that counts nevertheless, and the file comes beside the new lock. It stays among what is inherited until then.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn take_lock(spec: &Spec, inherited: &mut InheritedModule) -> Result<(Lock, Option<File>), OpenError> {
    let path = spec.dir.lock_path();
    let Some(descriptor) = inherited.descriptors.lock.take() else { return Ok((spec.dir.lock()?, None)) };
    // Should there be no descriptor to spare for a copy, the file's lock is all that matters.
    let copy = descriptor.try_clone();
    match (Lock::inherit(descriptor, &path), copy) {
        (Ok(lock), _) => Ok((lock, None)),
        (Err(_), Err(error)) => Err(OpenError::Lock(error)),
        (Err(_), Ok(copy)) => match spec.dir.lock() {
            Ok(lock) => Ok((lock, Some(File::from(copy)))),
            Err(error) => {
                inherited.descriptors.lock = Some(copy);
                Err(error.into())
            }
        },
    }
}

impl Supervisor {
    /// Makes the status directory, takes its lock, and opens the FIFOs. Nothing is started yet.
    ///
    /// # Errors
    /// Why not; the spec comes back, to be tried again.
    pub fn open(mut spec: Box<Spec>) -> Result<Box<Supervisor>, (Box<Spec>, OpenError)> {
        let status_root = spec.status_root();
        spec.service.set_names(&spec.module, &status_root);
        let mut claimed = match claim(&mut spec) {
            Ok(claimed) => claimed,
            Err(error) => return Err((spec, error)),
        };
        let parts = parts(&spec, claimed.is_first);
        let (foreign, control) = (claimed.foreign.take(), claimed.inherited.descriptors.runit.take());
        let mut supervisor = assemble(spec, claimed, parts);
        supervisor.show(foreign, control);
        Ok(supervisor)
    }

    /// Makes the files of the status directory that others look for first.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn show(&mut self, foreign: Option<Lock>, control: Option<OwnedFd>) {
        let supervisor = self;
        if supervisor.spec.host.is_single() {
            supervisor.reports.log.make_files();
        }
        supervisor.watch_directory();
        supervisor.keep_fifos();
        supervisor.open_runit(control);
        // Whoever waited for the foreign lock finds our files now.
        drop(foreign);
        supervisor.access.look_up(&supervisor.settings, &mut supervisor.reports.lines);
        supervisor.share();
        for complaint in std::mem::take(&mut supervisor.spec.complaints) {
            supervisor.say(Level::Warn, complaint);
        }
        supervisor.say_own_complaints();
        if let Err(error) = supervisor.spec.dir.link_svcontrol() {
            supervisor.say(Level::Warn, format!("svcontrol: {}", errno_text(&error)));
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn open_runit(&mut self, control: Option<OwnedFd>) {
        let tree = self.spec.host.tree().and_then(|tree| tree.runit.as_ref());
        let (Some(tree), Some(path)) = (tree, self.spec.service.path()) else { return };
        let from = (control, self.spec.host.is_wanted());
        self.runit = Some(Box::new(Runit::open(tree, path, &self.spec.dir, from, &mut self.reports.lines)));
    }
}

/// The large parts of a supervisor. Each is made in a frame of its own: see `sys::threads::thread`.
struct Parts {
    own: OwnSettings,
    settings: Arc<Settings>,
    machine: Box<Machine>,
    reports: Box<Reports>,
}

#[inline(never)]
fn parts(spec: &Spec, is_first: bool) -> Parts {
    let mut own = OwnSettings::default();
    // What cannot be read is told by the start, which fails for it.
    let _ = own.read(&spec.service);
    let settings = spec.config.settings(&spec.module, own.file(), spec.host.program());
    let (machine, reports) = (machine(spec, &settings), reports(spec, is_first));
    Parts { own, settings, machine, reports }
}

/// Puts it together. This frame is large, and nothing deep is called from it.
#[inline(never)]
fn assemble(spec: Box<Spec>, claimed: Passing<Claimed>, parts: Parts) -> Box<Supervisor> {
    let Claimed { foreign: _, lock, is_first, left_behind, inherited } = claimed.into_inner();
    let Parts { own, settings, machine, reports } = parts;
    Box::new(Supervisor {
        machine,
        settings,
        own,
        new_policy: None,
        processes: Box::default(),
        readiness: Readiness::default(),
        standpoint: Standpoint::default(),
        reports,
        fifos: Fifos::inherit(inherited.descriptors.control, inherited.descriptors.ok),
        runit: None,
        // The mode of a directory that somebody has made for `supervise` is theirs to choose.
        access: Access::new(!is_first && !spec.host.is_single()),
        outcome: None,
        adoption_guard: inherited.adoption_guard,
        parking: None,
        record_keeper: RecordKeeper::new(lock, left_behind.process.as_ref().map(|(record, _)| *record)),
        lost_lock: None,
        left_behind: (!left_behind.is_nothing()).then(|| Box::new(left_behind)),
        spec,
    })
}

// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn machine(spec: &Spec, settings: &Settings) -> Box<Machine> {
    Box::new(Machine::new(setup(spec), policy(settings, spec)))
}

// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn reports(spec: &Spec, is_first: bool) -> Box<Reports> {
    let publisher = Publisher::new(if is_first { FilePair::Absent } else { FilePair::Unknown });
    let log = Log::new(&spec.dir, &spec.module, spec.echo);
    Box::new(Reports::new(log, publisher, spec.service.describe()))
}

/// How the service is run.
fn setup(spec: &Spec) -> Setup {
    Setup {
        ends_when_failed: spec.host.is_single(),
        restart_is_notice: spec.host.is_single(),
        restart_hook: spec.host.restart_hook().is_some(),
        count_reset: spec.host.restart_hook().count_reset(),
        controls: spec.service.may_have_controls(),
    }
}
