//! A service's output, when nobody reads it: [`crate::supervisor::processes`] has the rules, here they are followed.

use crate::service::pipe::LogPipe;
use crate::supervisor::processes::diversion::{Logger, Verdict};
use crate::supervisor::thread::Supervisor;
use crate::sys::errno_text;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::time::Mono;
use log::Level;

/// Exit codes of `supervise-log`: it was called in a wrong way, or something that it needs is not to be had.
const USAGE: i32 = 100;
const TEMPORARY: i32 = 111;

impl Supervisor {
    /// What `status` says of it.
    pub(in crate::supervisor) fn output_note(&self) -> Option<&'static str> {
        let pipe = self.spec.service.output().filter(|_| self.processes.run.is_some())?;
        match (pipe.has_given_way(), pipe.is_broken()) {
            (true, _) => Some("its logger does not run: what it writes goes to __stdout"),
            (false, true) => Some("its logger cannot be started"),
            (false, false) => None,
        }
    }

    /// Sees to it that a service never waits for ever for a logger that does not come.
    pub(in crate::supervisor) fn keep_output_flowing(&mut self) {
        let Some(pipe) = self.spec.service.output().cloned() else { return };
        if pipe.has_given_way() && pipe.logger_pid().is_some() && !pipe.is_broken() {
            pipe.take_back();
        }
        // Without a run process nobody waits, and the next one begins anew.
        if self.processes.run.is_none() {
            return self.processes.diversion.reset();
        }
        let logger = match (pipe.is_broken(), pipe.logger_pid()) {
            // A reader that is slow stops the service, or has lines dropped. What it gets is all that the service writes.
            _ if pipe.is_to_standard_output() => Logger::Runs,
            (true, _) => Logger::Broken,
            (false, Some(_)) => Logger::Runs,
            (false, None) => Logger::Away,
        };
        let verdict = self.processes.diversion.look(logger, || pipe.is_full(), Mono::now());
        match verdict {
            Verdict::Wait => return,
            Verdict::Begin => {
                pipe.give_way();
                self.say(Level::Warn, "its logger does not run, and the pipe to it is full: what it writes goes to __stdout until the logger is back".into());
            }
            Verdict::End => return self.say(Level::Info, "its logger is back, and reads what it writes".into()),
            Verdict::GoOn => {}
        }
        self.empty_into_stdout(&pipe);
    }

    /// A logger that the tree runs by itself, and that cannot do its work, has written the reason into a file of its own.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn tell_what_logger_said(&mut self, status: ExitStatus) {
        let could_not = matches!(status, ExitStatus::Code(USAGE | TEMPORARY));
        if could_not
            && self.spec.service.tree_logger().is_some()
            && let Some(line) = self.processes.before.last_error(&self.spec.dir)
        {
            self.say(Level::Warn, format!("it says: {line}"));
        }
    }

    /// What waits for a logger that is gone for good goes to `__stdout` before the pipe to it is left behind.
    pub(in crate::supervisor) fn save_abandoned_output(&mut self) {
        if let Some(pipe) = self.spec.service.abandoned_output().cloned() {
            self.empty_into_stdout(&pipe);
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn empty_into_stdout(&mut self, pipe: &LogPipe) {
        let path = self.spec.dir.stdout();
        let emptied = self.processes.diversion.empty(pipe, &path);
        let complained = std::mem::replace(&mut self.processes.diversion.complained, emptied.is_err());
        if let Err(error) = emptied.as_ref()
            && !complained
        {
            self.say(Level::Warn, format!("{}: {}; it waits until that is over", path.display(), errno_text(error)));
        }
    }
}
