//! How the run process says that it is ready, and how it is looked at: the FIFO, the socket and the check.

use crate::conf::readiness::Ready;
use crate::conf::relations::Kind;
use crate::machine::health::{Fitness, HealthRules, Notice, ReadyWhen};
use crate::machine::words::notes::seconds;
use crate::machine::{Event, Sign};
use crate::readiness::notify::{Assignment, DATAGRAM_MAX, line, parse};
use crate::service::names;
use crate::service::telling::Telling;
use crate::status::state::TellsBy;
use crate::supervisor::processes::process::Process;
use crate::supervisor::thread::Supervisor;
use crate::sys::files::datagrams::{Datagrams, Sender};
use crate::sys::files::fifo::{Ends, Fifo};
use crate::sys::files::file;
use crate::sys::process::pidfd::{ExitStatus, signal_group};
use crate::sys::process::start::StartError;
use crate::sys::process::stat::Stat;
use crate::sys::time::Mono;
use crate::sys::{Pid, errno_text};
use log::Level;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::supervisor::signs::{Channel, Check, CheckContext, DATAGRAMS_AT_ONCE, FD_DEFAULT};

impl Supervisor {
    /// The rules, and over what it says that it is ready, by the settings and the files of the service directory.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    fn resolve_readiness(&mut self) -> (HealthRules, Channel) {
        let settings = &self.settings.readiness;
        let (fd, mut complaint) = match self.spec.service.notification_fd() {
            Ok(fd) => (fd, None),
            Err(why) => (None, Some(why)),
        };
        // A file alone is for `svctl check`, as ever: who has one has not asked for processes that look all the time.
        let asks = matches!(settings.ready, Ready::Check) || settings.check_interval.is_some();
        let has_check = settings.check.is_some() || (asks && self.spec.service.has_check());
        let is_oneshot = self.settings.policy.kind == Kind::Oneshot;
        let (mut ready, mut channel) = match (&settings.ready, fd) {
            (Ready::Start, _) => (ReadyWhen::Started, Channel::Silent),
            (Ready::Fd(own), fd) => (ReadyWhen::Told, Channel::Descriptor(own.or(fd).unwrap_or(FD_DEFAULT))),
            (Ready::Notify, _) => (ReadyWhen::Told, Channel::Socket),
            (Ready::Lived(time), _) => (ReadyWhen::Lived(*time), Channel::Silent),
            (Ready::Check, _) if !has_check => {
                complaint = Some("ready : check, and there is no check: it is ready when it runs".into());
                (ReadyWhen::Started, Channel::Silent)
            }
            (Ready::ByFiles, Some(fd)) => (ReadyWhen::Told, Channel::Descriptor(fd)),
            (Ready::ByFiles, None) if !has_check => (ReadyWhen::Started, Channel::Silent),
            (Ready::Check | Ready::ByFiles, _) => (ReadyWhen::Checked, Channel::Silent),
        };
        // What all inherit is for those that have a check.
        let is_own = || self.spec.config.is_own(&self.spec.module, self.own.file(), "check_interval");
        if settings.check_interval.is_some() && !has_check && complaint.is_none() && is_own() {
            complaint = Some("check_interval, and there is no check: it is never looked at".into());
        }
        if is_oneshot {
            (ready, channel) = (ReadyWhen::Never, if channel == Channel::Socket { channel } else { Channel::Silent });
        }
        let rules = HealthRules {
            ready,
            ready_timeout: settings.ready_timeout,
            check_timeout: settings.check_timeout,
            check_failures: settings.check_failures,
            check_interval: settings.check_interval.filter(|_| has_check && !is_oneshot),
            unhealthy: settings.unhealthy,
            watchdog: settings.watchdog.filter(|_| channel == Channel::Socket),
            watchdog_signal: settings.watchdog_signal,
        };
        if complaint.is_some() && complaint != self.readiness.complaint {
            let text = complaint.clone().unwrap_or_default();
            self.say(Level::Warn, text);
        }
        if complaint != self.readiness.complaint {
            self.readiness.complaint = complaint;
        }
        (rules, channel)
    }

    fn set_health_rules(&mut self, rules: HealthRules) {
        if rules != *self.machine.health_rules() {
            self.handle(Event::HealthRules(Box::new(rules)));
        }
    }

    /// Before a start: what the run process gets to tell that it is ready is made anew, so that nothing of the last one's is
    /// taken for its own.
    pub(super) fn set_up_readiness(&mut self) {
        if self.spec.service.input().is_some() {
            return;
        }
        let (rules, channel) = self.resolve_readiness();
        if rules != *self.machine.health_rules() {
            // No run process lives, so nothing follows from it.
            self.machine.step(Event::HealthRules(Box::new(rules)), Mono::now());
        }
        self.readiness.forget_run();
        let telling = match channel {
            Channel::Silent => Telling::default(),
            Channel::Descriptor(number) => {
                let path = self.spec.dir.ready();
                match Fifo::make_anew(&path, Ends::Both) {
                    Ok(fifo) => {
                        self.readiness.fifo = Some(fifo);
                        Telling { fifo: Some((file::c_path_or_empty(&path), number)), variables: Vec::new() }
                    }
                    Err(error) => self.cannot_tell(&path, &error),
                }
            }
            Channel::Socket => match self.bind_socket() {
                Ok(path) => Telling::by_socket(path.as_os_str(), rules.watchdog),
                Err(error) => {
                    let path = self.spec.dir.notify_socket();
                    self.cannot_tell(&path, &error)
                }
            },
        };
        self.spec.service.set_telling(telling);
    }

    fn cannot_tell(&mut self, path: &std::path::Path, error: &std::io::Error) -> Telling {
        let why = format!("it cannot tell that it is ready: {}: {}", path.display(), errno_text(error));
        self.say(Level::Warn, why.clone());
        self.readiness.mute = Some(why);
        Telling::default()
    }

    fn bind_socket(&mut self) -> std::io::Result<std::path::PathBuf> {
        self.readiness.socket = Some(self.spec.dir.bind_notify_socket(Datagrams::bind)?);
        Ok(self.spec.dir.notify_socket())
    }

    /// For a run process that an earlier supervisor has started: it has its end of the FIFO, or the socket's name. If it is
    /// known what it was given, then it tells by that or not at all, whatever the settings say by now.
    pub(super) fn resume_readiness(&mut self, given: Option<Option<TellsBy>>) {
        if self.spec.service.input().is_some() {
            return;
        }
        let (mut rules, mut channel) = self.resolve_readiness();
        if let Some(given) = given {
            self.processes.origin.note_telling(channel.kind() != given);
            channel = match given {
                Some(TellsBy::Descriptor) => Channel::Descriptor(FD_DEFAULT),
                Some(TellsBy::Socket) => Channel::Socket,
                None => Channel::Silent,
            };
            rules.watchdog = rules.watchdog.filter(|_| channel == Channel::Socket);
            if rules.ready == ReadyWhen::Told && channel == Channel::Silent {
                rules.ready = ReadyWhen::Started;
            }
        }
        self.set_health_rules(rules);
        let result = match channel {
            Channel::Silent => Ok(()),
            Channel::Descriptor(_) => {
                Fifo::open_or_make(&self.spec.dir.ready(), Ends::Both).map(|fifo| self.readiness.fifo = Some(fifo))
            }
            Channel::Socket => self.bind_socket().map(drop),
        };
        if let Err(error) = result {
            let why = format!("it cannot tell that it is ready: {}", errno_text(&error));
            self.say(Level::Warn, why.clone());
            self.readiness.mute = Some(why);
        }
    }

    /// The settings have changed. How a run process that lives tells that it is ready stays as it was at its start; but nobody
    /// waits for what is not asked any more, or looks where there is nothing to look with.
    pub(super) fn reconfigure_readiness(&mut self) {
        let Some(run) = self.machine.run() else { return };
        if self.spec.service.input().is_some() || run.failed {
            return;
        }
        let (rules, channel) = self.resolve_readiness();
        if self.readiness.mute.is_none() {
            self.processes.origin.note_telling(channel.kind() != self.readiness.tells_by());
        }
        let old = self.machine.health_rules();
        // One that was started without the socket cannot say anything there.
        let watchdog = if self.readiness.socket.is_some() { rules.watchdog } else { old.watchdog };
        let is_asked_less = run.health.fitness() == Fitness::Starting
            && matches!(rules.ready, ReadyWhen::Started | ReadyWhen::Checked)
            && old.ready != ReadyWhen::Never;
        let ready = if is_asked_less { rules.ready } else { old.ready };
        let rules = HealthRules { ready, watchdog, ..rules };
        self.set_health_rules(rules);
    }

    /// Something was written on the readiness descriptor: a newline says that the service is ready.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(super) fn read_readiness_fifo(&mut self) {
        let Some(fifo) = &self.readiness.fifo else { return };
        let (mut room, mut is_told) = ([0; 512], false);
        for _ in 0..16 {
            match fifo.read(&mut room) {
                0 => break,
                length => is_told |= room[..length].contains(&b'\n'),
            }
        }
        if is_told {
            self.handle(Event::Sign(Sign::Notice(Notice::Ready)));
        }
    }

    /// Datagrams have come.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(super) fn read_notify_socket(&mut self) {
        let mut room = vec![0; DATAGRAM_MAX];
        for _ in 0..DATAGRAMS_AT_ONCE {
            // Descriptors that came with it are closed here, which is what a barrier waits for.
            let Some(Ok(received)) = self.readiness.socket.as_ref().map(|socket| socket.receive(&mut room)) else {
                return;
            };
            if received.is_cut || !received.sender.is_some_and(|sender| self.may_speak(sender)) {
                continue;
            }
            for assignment in parse(&room[..received.length]) {
                self.take_assignment(assignment);
            }
        }
    }

    /// Whether what it says is said for the run process.
    fn may_speak(&mut self, sender: Sender) -> bool {
        if !self.is_of_service(sender) {
            return false;
        }
        let run = self.machine.run().map(|run| run.pid);
        let Some(run) = run.filter(|run| is_older(sender, *run) && self.was_started_for_it(sender)) else {
            return true;
        };
        // It may say it again and again.
        if self.readiness.left_over != Some(sender.pid) {
            self.readiness.left_over = Some(sender.pid);
            let text = format!(
                "what pid {} says on the socket is ignored: it is older than pid {run}, so it is left over by an earlier run",
                sender.pid
            );
            self.say(Level::Warn, text);
        }
        false
    }

    /// Whether who sent it was started for this module. Somebody else may be older, and speak for it.
    fn was_started_for_it(&self, sender: Sender) -> bool {
        let Ok(variables) = std::fs::read(format!("/proc/{}/environ", sender.pid)) else { return false };
        let ours = format!("{}={}", names::MODULE, self.spec.module);
        variables.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes())
    }

    /// Whether who sent it is the service's user, or ours.
    fn is_of_service(&self, sender: Sender) -> bool {
        let is_ours = sender.uid == nix::unistd::geteuid().as_raw();
        let run = self.machine.run().map(|run| run.pid);
        let owner = || std::fs::metadata(format!("/proc/{}", run?)).ok().map(|metadata| metadata.uid());
        is_ours || owner() == Some(sender.uid)
    }

    fn take_assignment(&mut self, assignment: Assignment) {
        let notice = match assignment {
            Assignment::Ready => Notice::Ready,
            Assignment::Reloading(_) => Notice::Reloading,
            Assignment::Stopping => Notice::Stopping,
            Assignment::Alive => Notice::Alive,
            Assignment::Trigger => Notice::Unwell,
            Assignment::WatchdogInterval(interval) => Notice::WatchdogInterval(interval),
            Assignment::Extend(time) => Notice::Extend(time),
            Assignment::Barrier => return,
            Assignment::Status(text) => {
                self.readiness.status = (!text.is_empty()).then_some(text);
                return;
            }
            Assignment::Errno(errno) => {
                let text = crate::sys::describe(crate::sys::Errno::from_raw(errno));
                return self.say(Level::Info, format!("the service says: {text}"));
            }
            Assignment::MainPid(pid) => {
                if self.machine.run().is_some_and(|run| run.pid.as_raw() != pid) {
                    let text =
                        format!("MAINPID={pid} is ignored: run has to stay in the foreground, or exec the service");
                    self.say(Level::Warn, text);
                }
                return;
            }
        };
        self.handle(Event::Sign(Sign::Notice(notice)));
    }

    pub(super) fn run_check(&mut self) -> Option<Event> {
        let run = self.machine.run()?.pid;
        let failed = Event::Sign(Sign::Checked { run, passed: false });
        if self.readiness.check.is_some() {
            return Some(failed);
        }
        let path = self.spec.dir.check_output();
        if self.readiness.output.is_none() {
            match Fifo::make_anew(&path, Ends::Both) {
                Ok(fifo) => self.readiness.output = Some(fifo),
                Err(error) => return self.check_cannot_run(errno_text(&error), failed),
            }
        }
        self.readiness.said.clear();
        if let Err(error) = self.resolve_check_context() {
            return self.check_cannot_run(error.to_string(), failed);
        }
        let context = self.readiness.context.as_ref().and_then(|context| context.0.as_deref());
        let check = self.settings.readiness.check.as_ref();
        match self.spec.service.check(check, &file::c_path_or_empty(&path), context) {
            Ok(started) => {
                self.readiness.check_failed = None;
                let process = Process::child(started.pid, started.pidfd);
                self.readiness.check = Some(Check { run, process, exceeded: None });
                None
            }
            Err(error) => {
                let cause = self.spec.service.explain_check(self.settings.readiness.check.as_ref(), error);
                self.check_cannot_run(cause.unwrap_or_else(|| error.to_string()), failed)
            }
        }
    }

    /// Works out what the check runs in, for its first run.
    fn resolve_check_context(&mut self) -> Result<(), StartError> {
        if self.readiness.context.is_none() {
            let context = self.spec.service.check_context(&self.settings.context)?;
            self.readiness.context = Some(CheckContext(context));
        }
        Ok(())
    }

    fn check_cannot_run(&mut self, why: String, answer: Event) -> Option<Event> {
        if self.readiness.check_failed.as_ref() != Some(&why) {
            self.say(Level::Warn, format!("check could not be run: {why}; tried again as if it had failed"));
        }
        self.readiness.output = None;
        self.readiness.check_line = Some(format!("could not be run: {why}"));
        self.readiness.check_failed = Some(why);
        Some(answer)
    }

    /// Kills the check that runs, if there is one; `limit` is the time that it has exceeded, if it has.
    pub(super) fn kill_check(&mut self, limit: Option<Duration>) {
        if let Some(check) = &mut self.readiness.check {
            check.exceeded = check.exceeded.or(limit);
            // It is not reaped yet, so the group is its own.
            let _ = signal_group(check.process.pid, libc::SIGKILL);
        }
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(super) fn check_has_written(&mut self) {
        self.readiness.read_output();
    }

    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(super) fn check_has_ended(&mut self, now: Mono) {
        self.readiness.read_output();
        // What it has started goes with it.
        self.kill_check(None);
        let Some(check) = &mut self.readiness.check else { return };
        let Some(status) = check.process.reap(false, now) else { return };
        let (run, exceeded) = (check.run, check.exceeded);
        self.readiness.check = None;
        self.readiness.check_line = check_line(line(&self.readiness.said), exceeded);
        self.handle(Event::Sign(Sign::Checked { run, passed: status == ExitStatus::Code(0) }));
    }
}

/// Whether who sent it was there before `run`, the run process. Who has ended since is given the benefit of the doubt, and so is who cannot be seen.
fn is_older(sender: Sender, run: Pid) -> bool {
    let is_known = sender.pid != run.as_raw() && sender.pid != std::process::id() as i32;
    let started = |pid| Stat::read(pid).ok()??.started();
    // `systemd-notify` of an orphan gives the pid of its parent, which is us.
    is_known && started(Pid::from_raw(sender.pid)).zip(started(run)).is_some_and(|(sender, run)| sender < run)
}

/// What is kept of a check: the last line that it wrote, and that it was killed for the time that it took.
fn check_line(said: String, exceeded: Option<Duration>) -> Option<String> {
    let slow = exceeded.map(|limit| format!("took longer than check_timeout ({})", seconds(limit)));
    match (slow, said.is_empty()) {
        (Some(slow), false) => Some(format!("{slow}: {said}")),
        (Some(slow), true) => Some(slow),
        (None, is_silent) => (!is_silent).then_some(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_was_killed_for_its_time_says_so_before_its_last_line() {
        let slow = Some(Duration::from_millis(300));
        let line = |said: &str, exceeded| check_line(said.to_string(), exceeded);
        assert_eq!(line("no answer", None).as_deref(), Some("no answer"));
        assert_eq!(line("", None), None);
        assert_eq!(line("", slow).as_deref(), Some("took longer than check_timeout (0.3 s)"));
        assert_eq!(line("asking", slow).as_deref(), Some("took longer than check_timeout (0.3 s): asking"));
    }
}
