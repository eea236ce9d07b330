//! The first event: to begin anew, or where another supervisor of the same boot was killed. Its process is found by the
//! record in the lock file, and what it wanted and counted by `state.json`.

use super::process::Process;
use super::publish::past;
use super::thread::Supervisor;
use crate::conf::Program;
use crate::conf::policy::KillMode;
use crate::machine::command::Command;
use crate::machine::limits::Limits;
use crate::machine::{Event, SavedState, Want};
use crate::status::StatusDir;
use crate::status::state::StateFile;
use crate::sys::files::file_id::FileId;
use crate::sys::files::flock::Lock;
use crate::sys::process::group;
use crate::sys::process::pidfd::signal_group;
use crate::sys::process::record::{Recorded, Role};
use crate::sys::time::Mono;
use log::Level;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What an earlier supervisor has left.
#[derive(Debug, Default)]
pub(super) struct Predecessor {
    process: Option<(Recorded, Process)>,
    /// Boxed, for it is large, and seldom there for long.
    state: Option<Box<StateFile>>,
}

impl Predecessor {
    /// Looks for it, in a directory that `is_first` says was made just now.
    ///
    /// # Errors
    /// It cannot be told, for want of descriptors or memory. To begin then would be to start a second copy.
    pub(super) fn look(lock: &Lock, dir: &StatusDir, is_first: bool) -> io::Result<Predecessor> {
        let process = Process::adopt(lock.file())?;
        let state = if is_first && process.is_none() { None } else { state(dir)? };
        Ok(Predecessor { process, state })
    }
}

/// By itself, so that a state that is not boxed yet leaves the thread's stack: each page of it that is ever touched is kept.
#[inline(never)]
fn state(dir: &StatusDir) -> io::Result<Option<Box<StateFile>>> {
    Ok(StateFile::read(&dir.state())?.map(Box::new))
}

impl Supervisor {
    /// Gives the machine its first event.
    pub(super) fn begin_or_resume(&mut self) {
        let (recorded, event) = self.first_event();
        self.handle(event);
        let runs_elsewhere = recorded.is_some_and(|run| run.role == Role::Run && !self.is_ours(run.directory));
        if runs_elsewhere && self.spec.leave.is_none() {
            self.say(Level::Info, "its directory was replaced meanwhile: stopping it, and starting the new one".into());
            self.handle(Event::Command(Command::Down));
            let command = if self.spec.wanted { Command::Up } else { Command::Down };
            self.handle(Event::Command(command));
        }
        if let Some(leave) = self.spec.leave {
            self.handle(Event::Leave(leave));
        }
    }

    /// What there is to begin with. By itself, so that what was read leaves the thread's stack before anything is started:
    /// each page of it that is ever touched is kept.
    #[inline(never)]
    fn first_event(&mut self) -> (Option<Recorded>, Event) {
        let Predecessor { process, state } = std::mem::take(&mut self.earlier);
        if process.is_none() {
            self.kill_what_is_left();
        }
        let recorded = process.map(|process| self.adopt(process));
        let live = recorded.map(|recorded| (recorded.role, recorded.pid));
        if let Some(state) = &state {
            self.publisher.recall(state);
        }
        // What was wanted of another directory of this name is none of ours.
        let directory = state.as_ref().and_then(|state| state.memory.as_ref()).and_then(|memory| memory.directory);
        let shown = state.as_ref().and_then(|state| state.pid);
        let past = state.filter(|_| self.is_ours(directory)).and_then(|state| past(&state, Mono::now()));
        // It may tell of the process before this one: that was to be stopped, and this one may be well.
        let is_shown = live.is_some_and(|(_, pid)| shown.is_some_and(|shown| shown == pid.as_raw().unsigned_abs()));
        let past = past.map(|past| SavedState { run: past.run.filter(|_| is_shown), ..past });
        // `supervise` ends when it has given up, and whoever starts it after that wants the service to be started.
        let ended = |past: &SavedState| past.failed && live.is_none() && self.spec.program == Program::Single;
        let past = past.filter(|past| !ended(past));
        let event = match (past, live) {
            (_, None) if self.spec.leave.is_some() => Event::Begin(false),
            // `x` was said to the program that has just replaced itself, and the process has ended meanwhile.
            (Some(past), None) if past.leaving && self.beginning.is_some() => Event::Command(Command::Exit),
            (None, None) => Event::Begin(self.spec.wanted),
            // What runs is wanted, unless it is known that it is not.
            (past, live) => {
                let past = past.unwrap_or(SavedState {
                    want: Want::Up,
                    alarm: true,
                    paused: false,
                    failed: false,
                    to_start: false,
                    leaving: false,
                    starts: 1,
                    run: None,
                    limits: Limits::NONE,
                });
                // The earlier supervisor may have been killed between the signal and the note of it.
                let paused = recorded.is_some_and(|recorded| recorded.is_stopped());
                Event::Resume(Box::new(SavedState { paused, ..past }), live)
            }
        };
        (recorded, event)
    }

    /// Whether what an earlier supervisor has left belongs to the service directory that is there now.
    fn is_ours(&self, earlier: Option<FileId>) -> bool {
        let present = self.spec.service.directory();
        earlier.is_none() || present.is_none() || earlier == present
    }

    /// Takes on the process that an earlier supervisor has left running.
    fn adopt(&mut self, (recorded, process): (Recorded, Process)) -> Recorded {
        let pid = process.pid;
        match recorded.role {
            Role::Run => {
                self.run = Some(process);
                self.adopt_group(pid);
            }
            Role::Finish | Role::Hook => self.helper = Some(process),
        }
        // It has its end of the pipe to the logger; without ours, that pipe would not outlive it.
        if let Err(error) = self.spec.service.ensure_open() {
            self.say(Level::Warn, format!("{error}; pid {pid} goes on all the same"));
        }
        recorded
    }

    /// With `kill_mode : group`, nothing of the old process group lives beside the new one, also where its leader has ended
    /// while there was no supervisor.
    fn kill_what_is_left(&mut self) {
        self.kill_left_group();
        if self.settings.policy.kill_mode != KillMode::Group {
            return;
        }
        let recorded = Recorded::read(self.lock.file()).ok().flatten();
        let Some(recorded) = recorded.filter(|recorded| recorded.role == Role::Run) else { return };
        let pipe = self.spec.service.output().map(|pipe| PathBuf::from(OsStr::from_bytes(pipe.path().to_bytes())));
        let paths = [Some(self.spec.dir.stdout()), Some(self.spec.dir.stderr()), pipe];
        let files = paths.into_iter().flatten().filter_map(|path| std::fs::metadata(path).ok());
        let outputs: Vec<FileId> = files.map(|file| FileId::of(&file)).collect();
        if group::outlives(&recorded, &outputs) && signal_group(recorded.pid, libc::SIGKILL).is_ok() {
            let pid = recorded.pid;
            self.say(
                Level::Info,
                format!("pid {pid} ended while there was no supervisor: killed what is left of its process group"),
            );
        }
    }
}
