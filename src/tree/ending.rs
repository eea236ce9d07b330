//! The tree's end: who has asked for it, and what is stopped, killed and waited for.

use super::run::{Tree, timer};
use super::shutdown::Asked;
use super::signals::{Messages, TreeRequest};
use crate::supervisor::report::alarm::WAIT_AT_END;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::start::StartError;
use crate::sys::time::Mono;
use crossbeam_channel::{after, select};

impl Tree {
    pub(super) fn shut_down(&mut self) {
        match self.shutdown.asked(Mono::now()) {
            Asked::Stop => {
                log::info!(logger: self.log, "told to end: stopping {}", counted(self.roster.len(), "service"));
                self.stop_all();
            }
            Asked::Kill => {
                log::warn!(logger: self.log, "told to end again: killing what is left");
                self.roster.kill_all();
            }
            Asked::Nothing => log::info!(logger: self.log, "told to end again: it ends already"),
        }
    }

    /// The end of a service is that of the tree: its `shutdown_on` says so.
    pub(super) fn shut_down_with(&mut self, module: &str, exit: Result<ExitStatus, StartError>) {
        if self.shutdown.asked_by_service(exit, Mono::now()) {
            let how = exit.map_or_else(|error| format!("could not be started: {error}"), |exit| exit.to_string());
            let others = match self.roster.len().saturating_sub(1) {
                0 => String::new(),
                count => format!("stopping {}, then ", counted(count, "other service")),
            };
            let code = self.shutdown.exit_code();
            log::warn!(
                logger: self.log,
                "{module}: {how}; its shutdown_on ends the tree: {others}leaving with exit code {code}"
            );
            self.stop_all();
        }
    }

    fn stop_all(&mut self) {
        if std::mem::take(&mut self.handover_pending) {
            // Without a root, what runs has no place any more, and is stopped.
            let left = self.roster.find_leftovers(self.scanner.root());
            self.announce(&[]);
            self.roster.adopt_leftovers((self.scanner.root(), self.scanner.identity()), left);
            self.adoption = Some(self.roster.drop_handover());
        }
        self.scanner.stop();
        self.roster.leave_all();
    }

    pub(super) fn stop_timeout_is_over(&mut self) {
        self.shutdown.time_is_over();
        log::warn!(logger: self.log, "--stop-timeout is over: killing what is left");
        self.roster.kill_all();
    }

    /// Waits until the last alarm programs are started, unless somebody is in a hurry.
    pub(super) fn send_last_alarms(&mut self, messages: &Messages) {
        let alarms = self.roster.alarms();
        let deadline = after(WAIT_AT_END);
        let stop_timeout = timer(self.shutdown.deadline());
        while !self.shutdown.kills() && alarms.are_starting() {
            select! {
                recv(alarms.progress()) -> _ => {}
                recv(messages.requests) -> request => {
                    if request == Ok(TreeRequest::Shutdown) {
                        self.shutdown.asked(Mono::now());
                    }
                }
                recv(deadline) -> _ => break,
                recv(stop_timeout) -> _ => break,
            }
        }
        let dropped = alarms.drop_waiting();
        if dropped > 0 {
            log::warn!(logger: self.log, "{dropped} alarm programs not run: others take too long");
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
