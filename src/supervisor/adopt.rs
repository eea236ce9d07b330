//! Beginning where another supervisor of the same boot was killed: its process is found by the record in the lock
//! file, and what it wanted and counted by `state.json`.

use super::command::Command;
use super::limits::Limits;
use super::machine::{Event, Past, Want};
use super::process::Process;
use super::publish::past;
use super::spec::OpenError;
use super::thread::Supervisor;
use crate::status::state::StateFile;
use crate::sys::Pid;
use crate::sys::file;
use crate::sys::identity::{Recorded, Role};
use crate::sys::time::Mono;
use log::Level;
use std::io::Read;

/// A larger `state.json`, in bytes, is none of ours.
const STATE_MAX: u64 = 64 * 1024;

impl Supervisor {
    /// Gives the machine its first event.
    pub(super) fn begin_or_resume(&mut self) {
        let live = self.adopt();
        let state = self.earlier_state();
        let past = state.as_ref().and_then(|state| past(state, Mono::now()));
        match (past, live) {
            (_, None) if self.spec.leave.is_some() => self.handle(Event::Begin(false)),
            (None, None) => self.handle(Event::Begin(self.spec.wanted)),
            // What runs is wanted, unless it is known that it is not.
            (past, live) => {
                let past = past.unwrap_or(Past {
                    want: Want::Up,
                    alarm: true,
                    paused: false,
                    failed: false,
                    starts: 1,
                    run: None,
                    limits: Limits::NONE,
                });
                self.handle(Event::Resume(past, live));
            }
        }
        if live.is_some_and(|(role, _)| role == Role::Run) && self.is_of_another_directory(state.as_ref()) {
            self.say(Level::Info, "its directory was replaced meanwhile: stopping it, and starting the new one".into());
            self.handle(Event::Command(Command::Down));
            self.handle(Event::Command(Command::Up));
        }
        if let Some(leave) = self.spec.leave {
            self.handle(Event::Leave(leave));
        }
    }

    /// Whether what runs was started from a directory that has been replaced since, and is wanted up.
    fn is_of_another_directory(&self, state: Option<&StateFile>) -> bool {
        let earlier = state.and_then(|state| state.memory.as_ref()).and_then(|memory| memory.directory);
        let present = self.spec.service.directory();
        self.machine.want() == Want::Up && earlier.is_some() && present.is_some() && earlier != present
    }

    /// Finds what an earlier supervisor has left running.
    fn adopt(&mut self) -> Option<(Role, Pid)> {
        let (role, process) = Process::adopt(self.lock.file())?;
        let pid = process.pid;
        match role {
            Role::Run => self.run = Some(process),
            Role::Finish | Role::Hook => self.aside = Some(process),
        }
        // It has its end of the pipe to the logger; without ours, that pipe would not outlive it.
        if let Err(error) = self.spec.service.ready() {
            self.say(Level::Warn, format!("{error}; pid {pid} goes on all the same"));
        }
        Some((role, pid))
    }

    /// What an earlier supervisor has written down.
    fn earlier_state(&mut self) -> Option<StateFile> {
        let mut bytes = Vec::new();
        file::read(&self.spec.dir.state()).ok()?.take(STATE_MAX).read_to_end(&mut bytes).ok()?;
        let state = StateFile::decode(&bytes)?;
        self.publisher.recall(&state);
        Some(state)
    }

    /// Makes the status directory and the lock anew if somebody has removed them: a lock file that is not there keeps
    /// nobody out.
    pub(super) fn keep_lock(&mut self) {
        if self.lock.is_at(&self.spec.dir.lock_path()) {
            return;
        }
        let fresh = self.spec.dir.make().map_err(OpenError::Directory).and_then(|()| Ok(self.spec.dir.lock()?));
        match fresh {
            Ok(fresh) => {
                self.lock_trouble = false;
                if Recorded::copy(self.lock.file(), fresh.file()).is_err() {
                    self.say(Level::Warn, "a later supervisor would not find the process that runs now".into());
                }
                self.lock = fresh;
                self.publisher.forget();
                let _ = self.spec.dir.link_svcontrol();
                self.say(Level::Warn, format!("{} was removed: made anew", self.spec.dir.lock_path().display()));
            }
            Err(error) if !self.lock_trouble => {
                self.lock_trouble = true;
                self.say(Level::Error, format!("{}; tried again at the next event", error.describe(&self.spec.dir)));
            }
            Err(_) => {}
        }
    }
}
