//! A service's output, when nobody reads it: [`crate::supervisor::processes`] has the rules, here they are followed.

use crate::supervisor::processes::diversion::{Logger, Verdict};
use crate::supervisor::thread::Supervisor;
use crate::sys::errno_text;
use crate::sys::time::Mono;
use log::Level;

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
        // Without a run process nobody waits, and the next one begins anew.
        if self.processes.run.is_none() {
            return self.processes.diversion.reset();
        }
        let logger = match (pipe.logger_pid(), pipe.is_broken()) {
            (Some(_), _) => Logger::Runs,
            (None, true) => Logger::Broken,
            (None, false) => Logger::Away,
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
        let path = self.spec.dir.stdout();
        let emptied = self.processes.diversion.empty(&pipe, &path);
        let complained = std::mem::replace(&mut self.processes.diversion.complained, emptied.is_err());
        if let Err(error) = emptied.as_ref()
            && !complained
        {
            self.say(Level::Warn, format!("{}: {}; it waits until that is over", path.display(), errno_text(error)));
        }
    }
}
