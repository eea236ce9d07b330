//! The first event: supervision begins, or goes on where another supervisor of the same boot was killed.

use crate::machine::history::saved::SavedState;
use crate::machine::words::command::Command;
use crate::machine::words::events::{Ended, Event, Remains};
use crate::sys::files::file_id::FileInstance;
use crate::sys::process::record::Role;
use nix::unistd::Pid;

/// What a killed supervisor has left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predecessor {
    /// A process that still lives, found by its record.
    pub process: Option<Survivor>,
    /// The run process that was recorded last, and nothing after it, if it lives no more.
    pub ended: Option<Ended>,
    /// What was saved.
    pub saved: Option<SavedState>,
}

/// A process of a killed supervisor that still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// What the process was started as.
    pub role: Role,
    /// The process's pid.
    pub pid: Pid,
    /// A signal has stopped the process, whoever sent it.
    pub is_stopped: bool,
}

/// Who begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The service directory that is there now.
    pub directory: Option<FileInstance>,
    /// Start the service.
    pub wanted: bool,
    /// Supervision is to end at once, and only takes care of what is left.
    pub leaves: bool,
    /// Whoever calls the program wants the service, whatever an earlier one was told: `supervise`.
    pub begins_anew: bool,
    /// The program has replaced itself, so what it was told still holds.
    pub has_replaced_itself: bool,
}

impl Successor {
    /// Whether something of the service directory `other` belongs to the one that is there now.
    pub fn is_of_directory(&self, other: Option<FileInstance>) -> bool {
        self.directory.zip(other).is_none_or(|(ours, other)| ours.may_be(&other))
    }
}

/// The first event for the machine of `successor`, where nothing is left of anybody else.
pub fn begin(successor: &Successor) -> Event {
    Event::Begin(successor.wanted && !successor.leaves)
}

/// The first event for the machine of `successor`.
pub fn decide(predecessor: Predecessor, successor: &Successor) -> Event {
    let Predecessor { process, ended, saved } = predecessor;
    // What was wanted of another directory with this name says nothing about the one that is there now.
    let saved = saved.filter(|saved| successor.is_of_directory(saved.directory));
    // After a panic, the same program goes on, and keeps to what it was told.
    let saved =
        saved.map(|saved| if successor.begins_anew && !saved.by_ourselves { saved.wanted_anew() } else { saved });
    match process {
        Some(process) => adopt(process, saved.unwrap_or(SavedState::UNKNOWN)),
        None if successor.leaves => begin(successor),
        None => go_on_without_process(saved, ended, successor),
    }
}

fn adopt(process: Survivor, saved: SavedState) -> Event {
    // The file may tell of the process before this one, which was to be stopped, while this one is to run.
    let run = saved.run.filter(|run| run.pid == Some(process.pid));
    // The predecessor may have been killed between the signal and the write to the file, so the process itself is asked.
    let paused = process.is_stopped;
    Event::Resume(Box::new(SavedState { run, paused, ..saved }), Remains::Lives(process.role, process.pid))
}

fn go_on_without_process(saved: Option<SavedState>, ended: Option<Ended>, successor: &Successor) -> Event {
    match saved {
        None => begin(successor),
        // The supervisor that gave up has ended: the next one counts from the beginning.
        Some(saved) if saved.failed && successor.begins_anew => Event::Begin(successor.wanted),
        // `x` came before the program replaced itself, and the run process has ended meanwhile.
        Some(saved) if saved.leaving && successor.has_replaced_itself => Event::Command(Command::Exit),
        Some(saved) => {
            // Whoever calls `supervise` begins with it. The file may tell of a process before the one that was recorded last.
            let tells = saved.by_ourselves || !successor.begins_anew;
            let run = saved.run.filter(|run| tells && run.pid.is_some() && run.pid == ended.map(|ended| ended.pid));
            let remains = ended.filter(|_| run.is_some()).map_or(Remains::Nothing, Remains::Ended);
            Event::Resume(Box::new(SavedState { run, paused: false, ..saved }), remains)
        }
    }
}
