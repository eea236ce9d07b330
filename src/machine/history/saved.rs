//! What a supervisor that was killed has saved, read back from `state.json`.

use crate::machine::health::Fitness;
use crate::machine::history::limits::Limits;
use crate::machine::history::tally::Tally;
use crate::machine::words::states::{Stop, Want};
use crate::status::module_state::ModuleState;
use crate::status::rest::Rest;
use crate::status::state::{StateFile, TellsBy};
use crate::sys::files::file_id::FileInstance;
use crate::sys::time::Mono;
use nix::unistd::Pid;

/// What is known of a supervisor that was killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedState {
    /// The service directory that the supervisor had.
    pub directory: Option<FileInstance>,
    /// What was wanted.
    pub want: Want,
    /// Whether alarms were raised.
    pub alarm: bool,
    /// Whether one was, and its recovery is yet to be told.
    pub alarmed: bool,
    /// Whether the run process was stopped with `p`.
    pub paused: bool,
    /// Whether the service was given up, also while its `finish` was still running.
    pub failed: bool,
    /// Whether a start was yet to come.
    pub to_start: bool,
    /// Whether the process that saved it is the one that reads it: after a panic, or after the program has replaced itself.
    pub by_ourselves: bool,
    /// Whether supervision was to end with the run process. Only a program that has replaced itself keeps to that.
    pub leaving: bool,
    /// What was counted of starts and ends.
    pub tally: Tally,
    /// Why it was down.
    pub rest: Option<Rest>,
    /// The run process.
    pub run: Option<SavedRun>,
    /// Whether the service is a one-shot, and has succeeded, also while its `finish` was still running.
    pub done: bool,
    /// What was counted.
    pub limits: Limits,
}

/// What is known of a run process that another supervisor has started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedRun {
    /// The process's pid.
    pub pid: Option<Pid>,
    /// When the process was started.
    pub since: Mono,
    /// How far the stop had come.
    pub stop: Stop,
    /// Until when an end counts as requested.
    pub expected_exit_until: Option<Mono>,
    /// Whether a stop was under way, with a start after it.
    pub restart_after_stop: bool,
    /// Whether the process was ready, and well.
    pub fitness: Fitness,
    /// What the process has to tell that it is ready.
    pub tells_by: Option<TellsBy>,
}

impl SavedState {
    /// Nothing is known but that a process lives: whoever started it wanted it.
    pub const UNKNOWN: SavedState = SavedState {
        directory: None,
        want: Want::Up,
        alarm: true,
        alarmed: false,
        paused: false,
        failed: false,
        to_start: false,
        by_ourselves: false,
        leaving: false,
        tally: Tally::ONE_START,
        rest: None,
        run: None,
        done: false,
        limits: Limits::NONE,
    };

    /// What `file` tells, if it was written in this `boot`; `own_pid` is that of the process that reads it.
    pub fn read(file: &StateFile, boot: &str, own_pid: u32, now: Mono) -> Option<SavedState> {
        let memory = file.memory.as_ref().filter(|memory| !memory.boot.is_empty() && memory.boot == boot)?;
        Some(SavedState {
            directory: memory.instance(),
            want: if memory.ends_tree { Want::Up } else { file.want? },
            alarm: file.alarm,
            alarmed: memory.alarmed,
            paused: file.paused,
            failed: (file.state == ModuleState::Failed || memory.gives_up) && !memory.ends_tree,
            to_start: memory.to_start || memory.ends_tree,
            by_ourselves: file.supervisor_pid == own_pid,
            leaving: memory.leaving && file.supervisor_pid == own_pid,
            tally: Tally::recall(file, memory),
            rest: memory.rest,
            run: memory.up_since.map(|since| SavedRun {
                pid: file.pid.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw),
                since: Mono::from_nanoseconds(since),
                stop: if memory.stopping {
                    Stop::Signalled(memory.kill_at.map(Mono::from_nanoseconds))
                } else {
                    Stop::No
                },
                expected_exit_until: memory.expected_exit_until.map(Mono::from_nanoseconds),
                restart_after_stop: memory.restart_after_stop,
                fitness: match (memory.unhealthy, memory.unready) {
                    (true, _) => Fitness::Unhealthy,
                    (false, false) => Fitness::Ready,
                    (false, true) => Fitness::Starting,
                },
                tells_by: memory.tells_by,
            }),
            done: file.state == ModuleState::Done || memory.done,
            limits: Limits::recall(memory, now),
        })
    }

    /// The same for somebody who wants the service up, whatever was said to the supervisor before: alarms are on, the limits count from the beginning, and a stop
    /// that has begun is no longer waited for, though the end that it leads to is expected.
    pub fn wanted_anew(self) -> SavedState {
        let run = self.run.map(|run| SavedRun {
            stop: Stop::No,
            expected_exit_until: if run.stop == Stop::No {
                run.expected_exit_until
            } else {
                Some(Mono::from_nanoseconds(u64::MAX))
            },
            restart_after_stop: false,
            ..run
        });
        let mut limits = self.limits;
        limits.clear();
        SavedState { want: Want::Up, alarm: true, rest: None, run, limits, ..self }
    }
}
