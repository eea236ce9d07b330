//! One module on its way to what was asked for: what was seen of it, its `check`, and what is said at the end.

use crate::ctl::error::VANISHED;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::logs::last_words::Marks;
use crate::ctl::report::Extra;
use crate::ctl::snapshot::{Snapshot, SnapshotError};
use crate::ctl::steer::changed::Change;
use crate::ctl::steer::check::{Running, Script};
use crate::ctl::steer::company::Member;
use crate::ctl::steer::goal::{Goal, Progress, Verdict};
use crate::ctl::steer::send;
use crate::status::StatusDir;
use crate::status::dir::TREE_DIR;
use crate::status::module_state::ModuleState;
use crate::sys::files::fifo;
use crate::sys::time::Mono;
use std::time::{Duration, SystemTime};

/// How long after a failed `check` the next one comes; doubled each time, up to [`CHECK_PAUSE_MAX`]. A script can
/// only be asked: it cannot tell us when its answer changes.
const CHECK_PAUSE: Duration = Duration::from_millis(100);

/// Longest time between two runs of a `check`.
const CHECK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What holds a module up is told after this time: most waits are over by then.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// How long a tree may take to begin again with a service whose directory was replaced: the one supervisor leaves, and the
/// next one comes.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(1);

/// At most so many lines of output are shown after a failure.
const OUTPUT_LINES: usize = 10;

/// How it came out, and what is said about it.
pub type ModuleResult = (Outcome, String, Extra);

/// Where the `check` of the service is.
#[derive(Debug)]
enum Check {
    /// The service is not up yet, and nobody looked for a script.
    NotYet,
    /// To be run at this time.
    Due(Script, Mono),
    /// It runs.
    Runs(Script, Running),
    /// It passed, or there is none.
    Passed,
}

/// One module, until it is settled.
#[derive(Debug)]
pub struct ModuleWait {
    /// The module, and what is said beside its result.
    pub member: Member,
    /// When it has to be looked at again even if nothing changes.
    pub look_again_at: Option<Mono>,
    goal: Goal,
    progress: Option<Progress>,
    last: Option<Snapshot>,
    check: Check,
    check_pause: Duration,
    /// Why the last run of `check` was none that passed.
    check_failed: Option<String>,
    /// Where its outputs ended before the command.
    output: Marks,
    /// What is wrong with the name, for one that may still appear.
    missing: Option<String>,
    /// What the module was told, where only that is waited for that its supervisor has taken it.
    told: Option<String>,
    /// Since when nobody supervises it, while a successor may come.
    abandoned: Option<Mono>,
    /// What the command has changed.
    change: Change,
    /// What it waits for itself, since when, and whether that was told.
    held_up: Option<(String, Mono, bool)>,
}

impl ModuleWait {
    /// From `before`, which was seen just now, before a command of so many bytes is sent.
    pub fn new(member: Member, goal: Goal, before: &Snapshot, bytes: usize) -> ModuleWait {
        let output = if goal == Goal::Taken { Marks::default() } else { Marks::take(&member.module, before) };
        let progress = Progress::new(goal, before, Mono::now(), SystemTime::now()).with_command(before, bytes);
        ModuleWait { progress: Some(progress), output, ..ModuleWait::expecting(member, goal, None) }
    }

    /// Of a module that need not exist yet; `missing` says what is wrong with its name if it never does.
    pub fn expecting(member: Member, goal: Goal, missing: Option<String>) -> ModuleWait {
        ModuleWait {
            member,
            look_again_at: None,
            goal,
            progress: None,
            last: None,
            check: Check::NotYet,
            check_pause: CHECK_PAUSE,
            check_failed: None,
            output: Marks::default(),
            missing,
            told: None,
            abandoned: None,
            change: Change::Nothing,
            held_up: None,
        }
    }

    /// Only waits until the supervisor has taken the command; `told` says what that was.
    pub fn only_told(self, told: String) -> ModuleWait {
        ModuleWait { told: Some(told), ..self }
    }

    /// The command, which was taken, has changed this.
    pub fn changes(self, change: Change) -> ModuleWait {
        ModuleWait { change, ..self }
    }

    fn told(&self) -> Option<ModuleResult> {
        self.told.clone().map(|told| (Outcome::Done, self.member.told(told), self.extra(false)))
    }

    /// Its name, and what it waits for, if that is another module.
    pub fn shown(&self) -> String {
        let name = self.member.module.shown();
        self.held_up.as_ref().map_or_else(|| name.clone(), |(why, ..)| format!("{name} ({why})"))
    }

    /// What holds it up, once it has done so for a while; each reason once.
    pub fn take_news(&mut self, at: Mono) -> Option<String> {
        let (why, _, told) =
            self.held_up.as_mut().filter(|(_, since, told)| !told && at.since(*since) >= TOLD_AFTER)?;
        *told = true;
        let state = self.last.as_ref().map_or_else(|| "waiting".into(), Snapshot::state_name);
        Some(format!("{state}: {why}"))
    }

    /// When there will be such news.
    pub fn news_at(&self) -> Option<Mono> {
        self.held_up.as_ref().filter(|(.., told)| !told).map(|(_, since, _)| *since + TOLD_AFTER)
    }

    /// Notes what it waits for itself.
    fn note_what_holds_it_up(&mut self, snapshot: &Snapshot, at: Mono) {
        let waits =
            snapshot.is_supervised() && matches!(snapshot.state.state, ModuleState::Waiting | ModuleState::Stopping);
        let why = snapshot.state.reason.as_deref().filter(|_| waits).map(format::text);
        if self.held_up.as_ref().map(|(why, ..)| why) != why.as_ref() {
            self.held_up = why.map(|why| (why, at, false));
        }
    }

    /// Looks at the module; gives the result if there is one now.
    pub fn look(&mut self, at: Mono) -> Option<ModuleResult> {
        self.look_again_at = None;
        let snapshot = match Snapshot::read(&self.member.module) {
            Ok(snapshot) => snapshot,
            Err(SnapshotError::Denied(why)) => return Some((Outcome::Denied, why, self.extra(false))),
            Err(SnapshotError::Gone) => return self.gone(),
        };
        let progress = self.progress.get_or_insert_with(|| Progress::new(self.goal, &snapshot, at, SystemTime::now()));
        let verdict = progress.look(&snapshot, at);
        self.note_what_holds_it_up(&snapshot, at);
        self.last = Some(snapshot);
        if verdict != Verdict::Abandoned {
            self.abandoned = None;
        }
        match verdict {
            Verdict::Reached => self.reached(at),
            Verdict::NotYet(again) => {
                self.look_again_at = again;
                self.check = Check::NotYet;
                None
            }
            // What a service has written says why it could not be started.
            Verdict::Failed(why) => Some((Outcome::Failed, why, self.extra(self.goal != Goal::Down))),
            Verdict::Abandoned if self.may_get_successor(at) => None,
            Verdict::Abandoned => {
                let why = self.last.as_ref().map_or_else(String::new, send::unsupervised);
                Some((Outcome::NotSupervised, why, self.extra(false)))
            }
        }
    }

    /// Whether a tree runs that may begin with the service again; it is looked at again then.
    fn may_get_successor(&mut self, at: Mono) -> bool {
        let until = *self.abandoned.get_or_insert(at) + SUCCESSOR_WITHIN;
        let tree = StatusDir::new(self.member.module.status_root().join(TREE_DIR));
        let may = at < until && fifo::has_reader(&tree.control()).unwrap_or(false);
        self.look_again_at = may.then_some(until);
        may
    }

    /// The state is as it was asked for: now the service's own `check` has the word.
    fn reached(&mut self, at: Mono) -> Option<ModuleResult> {
        if self.told.is_some() {
            return self.told();
        }
        let snapshot = self.last.as_ref()?;
        let said_so = self.goal == Goal::IsReady && snapshot.state.ready == Some(true);
        if matches!(self.check, Check::NotYet) {
            let script = if self.goal.wants_check() && !said_so {
                Script::find(&self.member.module, snapshot)
            } else {
                Ok(None)
            };
            self.check = match script {
                Ok(Some(script)) => Check::Due(script, at),
                Ok(None) => Check::Passed,
                Err(why) => return Some((Outcome::Denied, format!("its check was not run: {why}"), self.extra(false))),
            };
        }
        matches!(self.check, Check::Passed).then(|| {
            let text = match (self.goal, snapshot.state.pid, &snapshot.state.last_exit) {
                (Goal::Once, None, Some(exit)) => format!("ran and ended: {}", format::ending(exit)),
                // That it was stopped by a command knows whoever has given it.
                (Goal::Down | Goal::IsDown, ..) => snapshot.state_name(),
                _ => snapshot.describe(SystemTime::now()),
            };
            (Outcome::Done, self.member.told(text), self.extra(false))
        })
    }

    fn gone(&mut self) -> Option<ModuleResult> {
        self.last = None;
        self.check = Check::NotYet;
        if self.told.is_some() {
            return self.told();
        }
        match (self.goal, &self.missing) {
            // It may come yet, or come back.
            (Goal::IsUp | Goal::IsReady, _) => None,
            (_, Some(why)) => Some((Outcome::NoSuchModule, why.clone(), self.extra(false))),
            (_, None) => Some((Outcome::NoSuchModule, VANISHED.into(), self.extra(false))),
        }
    }

    /// Runs the `check` if it is due and `room` allows; gives the result if it can no longer be run.
    pub fn run_check(&mut self, at: Mono, room: bool) -> Option<ModuleResult> {
        let Check::Due(script, due) = &self.check else { return None };
        if *due > at {
            self.look_again_at = Some(*due);
            return None;
        }
        if !room {
            return None;
        }
        match script.start() {
            Ok(running) => self.check = Check::Runs(script.clone(), running),
            Err(why) => return Some((Outcome::Failed, why, self.extra(false))),
        }
        None
    }

    /// The `check` that runs.
    pub fn running(&self) -> Option<&Running> {
        match &self.check {
            Check::Runs(_, running) => Some(running),
            _ => None,
        }
    }

    /// Takes the result of the `check` that runs, if it has ended; true if the module has to be looked at again.
    pub fn take_check(&mut self, at: Mono) -> bool {
        let Check::Runs(script, running) = &mut self.check else { return false };
        match running.result() {
            None => return false,
            Some(Ok(())) => self.check = Check::Passed,
            Some(Err(why)) => {
                self.check = Check::Due(script.clone(), at + self.check_pause);
                self.check_pause = (self.check_pause * 2).min(CHECK_PAUSE_MAX);
                self.check_failed = Some(why);
            }
        }
        true
    }

    /// The result now that the time is over.
    pub fn timed_out(&self, waited: Duration) -> ModuleResult {
        if let Some(told) = self.told() {
            return told;
        }
        let waited = format::spoken(waited);
        let Some(last) = &self.last else {
            let why = self.missing.clone().unwrap_or_else(|| VANISHED.into());
            return (Outcome::NoSuchModule, format!("{why}, after {waited}"), self.extra(false));
        };
        let now = last.describe(SystemTime::now());
        let pid = last.state.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        let held_up = self.held_up.as_ref().map_or_else(String::new, |(why, ..)| format!(": {why}"));
        let text = match (self.goal, &self.check) {
            (_, Check::Runs(..) | Check::Due(..)) => {
                let why = self.check_failed.as_deref().unwrap_or("it has not ended");
                format!("{now}, but its check has not passed after {waited}: {why}")
            }
            (Goal::Down | Goal::IsDown, _) => {
                format!("{}{pid}{held_up}, still there after {waited}", last.state_name())
            }
            _ if !last.is_supervised() => {
                let text = format!("{}, after {waited}", send::unsupervised(last));
                return (Outcome::NotSupervised, text, self.extra(false));
            }
            (Goal::NewRun, _) if last.state.state == ModuleState::Stopping => {
                format!("stopping{pid}{held_up}, still there after {waited}")
            }
            (Goal::Up | Goal::NewRun | Goal::IsReady, _) if last.is_up() && last.state.ready == Some(false) => {
                format!("{now}, not ready after {waited}{}", last.why_unfit())
            }
            (Goal::Up | Goal::NewRun | Goal::Once, _) if last.is_up() => {
                format!("{now}: cannot tell after {waited} whether it stays up")
            }
            (Goal::IsReady, _) if last.is_up() => format!("{now}, not ready after {waited}"),
            _ => format!("{now}, not up after {waited}"),
        };
        (Outcome::TimedOut, text, self.extra(false))
    }

    /// The result when the user has had enough of waiting.
    pub fn interrupted(&self) -> ModuleResult {
        if let Some(told) = self.told() {
            return told;
        }
        let now = self.last.as_ref().map_or_else(|| "not seen".into(), |last| last.describe(SystemTime::now()));
        (Outcome::Failed, format!("interrupted while waiting: {now}"), self.extra(false))
    }

    fn extra(&self, with_output: bool) -> Extra {
        let stderr = if with_output { self.output.lines(OUTPUT_LINES) } else { Vec::new() };
        let changed = self.change.has_come(self.last.as_ref());
        Extra { stderr, with: self.member.with.clone(), seen: self.last.clone(), changed }
    }
}
