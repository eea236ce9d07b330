//! The scripts in `control/`: one runs at a time, beside the loop, and those that are asked for meanwhile wait for it.
//!
//! A command without a script waits for nobody, and no script runs for longer than its time. What a script answers
//! goes back to the machine as [`Event::Control`].

use crate::machine::CONTROL_TIME;
use crate::machine::{Control, Event};
use crate::service::Service;
use crate::supervisor::processes::process::Process;
use crate::supervisor::report::lines::Lines;
use crate::sys::Pid;
use crate::sys::process::pidfd::{ExitStatus, signal_group};
use crate::sys::process::start::Started;
use crate::sys::threads::poll::PollSource;
use crate::sys::time::Mono;
use log::Level;
use std::collections::VecDeque;

/// What runs, and what waits for it.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Scripts {
    running: Option<Script>,
    waiting: VecDeque<Control>,
}

#[derive(Debug)]
struct Script {
    control: Control,
    /// The run process that it was run for.
    run: Pid,
    process: Process,
    /// When it is killed, if it has not been.
    until: Option<Mono>,
    /// Nobody wants to hear of its end.
    forgotten: bool,
}

impl Scripts {
    /// What to wait for.
    pub(in crate::supervisor) fn source(&self) -> Option<PollSource<'_>> {
        self.running.as_ref().map(|script| script.process.source())
    }

    /// Until when.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Mono> {
        self.running.as_ref().and_then(|script| script.until)
    }

    /// Whether nothing runs or waits.
    pub(in crate::supervisor) fn are_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Whether the end of the run process waits until they have ended.
    pub(in crate::supervisor) fn hold_the_end(&self) -> bool {
        let running = self.running.iter().filter(|script| !script.forgotten).map(|script| script.control);
        running.chain(self.waiting.iter().copied()).any(Control::belongs_to_the_end)
    }

    /// The run process that they were asked for is gone.
    pub(in crate::supervisor) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// No longer waits for any.
    pub(in crate::supervisor) fn kill(&mut self) {
        self.waiting.clear();
        if let Some(script) = &mut self.running {
            script.forgotten = true;
            script.kill();
        }
    }
}

impl Script {
    fn kill(&mut self) {
        self.until = None;
        // It is not reaped yet, so the group is its own.
        let _ = signal_group(self.process.pid, libc::SIGKILL);
    }
}

impl Drop for Script {
    /// Whoever supervises next would not know of it. Once it is reaped here, nothing is left to be killed.
    fn drop(&mut self) {
        if let Ok(None) = self.process.pidfd.reap() {
            self.kill();
        }
    }
}

impl Scripts {
    /// Runs a script for the process `run` as soon as those before it are through; the answer, if there is nothing to
    /// wait for.
    pub(in crate::supervisor) fn run(
        &mut self,
        control: Control,
        run: Pid,
        service: &Service,
        lines: &mut Lines,
    ) -> Option<Event> {
        if !service.has_control(control.letter()) {
            return Some(Event::Control { control, run, done: false });
        }
        if !self.are_idle() {
            match control {
                // However often it is asked for meanwhile, it runs once, as signals do.
                _ if self.waiting.contains(&control) => {}
                // It is the second half of a command that came before those that wait.
                Control::Stopped { .. } => self.waiting.push_front(control),
                Control::Stop | Control::Signal(_) | Control::Pause | Control::Continue => {
                    self.waiting.push_back(control);
                }
            }
            return None;
        }
        self.start(control, run, service, lines)
    }

    fn start(&mut self, control: Control, run: Pid, service: &Service, lines: &mut Lines) -> Option<Event> {
        let answer = Event::Control { control, run, done: false };
        match service.control(control.letter()) {
            Ok(Some(Started { pid, pidfd, .. })) => {
                let until = Some(Mono::now() + CONTROL_TIME);
                let process = Process::child(pid, pidfd);
                self.running = Some(Script { control, run, process, until, forgotten: false });
                None
            }
            Ok(None) => Some(answer),
            Err(error) => {
                let letter = control.letter();
                lines.say(Level::Warn, format!("control/{letter} could not be run: {error}; going on without"));
                Some(answer)
            }
        }
    }

    /// The answer of the script that runs, if it has ended and somebody wants to hear of it. Then
    /// call [`Scripts::start_next`].
    pub(in crate::supervisor) fn reap(&mut self, now: Mono) -> Option<Event> {
        let script = self.running.as_mut()?;
        let status = script.process.reap(false, now)?;
        let (control, run, forgotten) = (script.control, script.run, script.forgotten);
        self.running = None;
        (!forgotten).then_some(Event::Control { control, run, done: status == ExitStatus::Code(0) })
    }

    /// Starts the next of those that wait. Gives the answer if there is nothing to wait for; then call this again.
    pub(in crate::supervisor) fn start_next(
        &mut self,
        run: Pid,
        service: &Service,
        lines: &mut Lines,
    ) -> Option<Event> {
        if self.running.is_some() {
            return None;
        }
        let control = self.waiting.pop_front()?;
        self.start(control, run, service, lines)
    }

    /// Kills a script that takes too long.
    pub(in crate::supervisor) fn kill_late(&mut self, now: Mono, lines: &mut Lines) {
        let Some(script) = &mut self.running else { return };
        if script.until.is_some_and(|until| now >= until) {
            script.kill();
            let (letter, pid, limit) = (script.control.letter(), script.process.pid, CONTROL_TIME.as_secs());
            lines.say(Level::Warn, format!("control/{letter} (pid {pid}) is killed: it takes longer than {limit} s"));
        }
    }
}
