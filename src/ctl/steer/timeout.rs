//! How long a result is waited for where nobody says it with `-w`: never less than what the modules' own settings allow.

use crate::conf::own::OwnFile;
use crate::conf::relations::Id;
use crate::conf::relations::graph::Links;
use crate::conf::settings::Settings;
use crate::conf::{Config, Program};
use crate::ctl::order::known::Known;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::service::context;
use crate::ctl::snapshot::Snapshot;
use crate::ctl::steer::company::{Along, Company};
use crate::ctl::steer::goal::{Goal, MIN_UPTIME};
use std::collections::HashMap;
use std::time::Duration;

/// What runit's `sv` waits.
pub const USUAL: Duration = Duration::from_secs(7);

/// What a supervisor may need to notice that a time is over, and to write it down.
const SLACK: Duration = Duration::from_secs(1);

/// The files that are shared by modules, each read once.
#[derive(Debug, Default)]
pub struct Allowances {
    shared: HashMap<Option<String>, Config>,
}

impl Allowances {
    /// How long members of a company may take, and those that have to come before them.
    pub fn of_company(&mut self, company: &Company, along: Along, goal: Goal) -> Duration {
        let edges: fn(&Links) -> &Vec<Id> = match along {
            Along::Nobody | Along::Needed => |links| &links.needs,
            Along::Dependents(_) => |links| &links.needed_by,
        };
        let known = company.known.as_ref();
        let each = company.members.iter().map(|member| {
            match known.and_then(|known| Some((known, known.id(&member.module.name)?))) {
                Some((known, id)) => known.longest(id, edges, &mut |id| self.of(known.module(id), goal)),
                None => self.of(&member.module, goal),
            }
        });
        enough(each.max().unwrap_or_default())
    }

    /// How long the tree may take to stop all services in order, loggers last.
    pub fn of_tree(&mut self, root: &StatusRoot) -> Duration {
        let Ok(known) = Known::read(root) else { return USUAL };
        let mut weight = |id| self.of(known.module(id), Goal::Down);
        let tops = known.all().filter(|id| known.links(*id).needed_by.is_empty());
        let services = tops.map(|id| known.longest(id, |links| &links.needs, &mut weight)).max().unwrap_or_default();
        let modules = root.modules().unwrap_or_default();
        let loggers = modules.iter().filter(|module| module.logged().is_some());
        let loggers = loggers.map(|module| self.of(module, Goal::Down)).max().unwrap_or_default();
        enough(services + loggers)
    }

    /// How long `module` may take until it is as `goal` has it.
    pub fn of(&mut self, module: &Module, goal: Goal) -> Duration {
        let Ok(snapshot) = Snapshot::read_now(module) else { return Duration::ZERO };
        let file = snapshot.state.config.clone();
        let read = || {
            context::shared_file(&snapshot)
                .unwrap_or_else(|_| Config::empty().with_defaults(context::defaults(&snapshot)))
        };
        let shared = self.shared.entry(file).or_insert_with(read);
        let own: Option<OwnFile> = context::own_file(&snapshot).ok().flatten();
        let of_tree = snapshot.state.command || snapshot.state.definition.starts_with('/');
        let program = if of_tree { Program::Tree } else { Program::Single };
        let settings = shared.effective(&module.json(), own.as_ref(), program).settings;
        let is_ending = !snapshot.is_up() && snapshot.state.pid.is_some();
        allowance(&settings, goal, is_ending)
    }
}

/// What the settings allow; what they do not limit has no part in it.
fn allowance(settings: &Settings, goal: Goal, is_ending: bool) -> Duration {
    let stop = settings.policy.kill_timeout.unwrap_or_default() + settings.policy.finish_timeout.unwrap_or_default();
    let start = settings.readiness.ready_timeout.unwrap_or_default() + MIN_UPTIME;
    match goal {
        Goal::Down | Goal::IsDown => stop,
        Goal::NewRun => stop + start,
        Goal::Up | Goal::Once if is_ending => stop + start,
        Goal::Up | Goal::Once | Goal::IsUp | Goal::IsReady => start,
        Goal::Taken => Duration::ZERO,
    }
}

/// The time to wait for what may take `allowed`.
pub fn enough(allowed: Duration) -> Duration {
    if allowed.is_zero() { USUAL } else { USUAL.max(allowed + SLACK) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_gets_what_its_settings_allow_and_a_start_its_readiness() {
        let mut settings = Settings::default();
        settings.policy.kill_timeout = Some(Duration::from_secs(20));
        settings.policy.finish_timeout = Some(Duration::from_secs(5));
        settings.readiness.ready_timeout = Some(Duration::from_secs(30));
        let seconds = |goal, is_ending| allowance(&settings, goal, is_ending).as_secs();
        assert_eq!((seconds(Goal::Down, false), seconds(Goal::Up, false)), (25, 31));
        assert_eq!((seconds(Goal::Up, true), seconds(Goal::NewRun, false), seconds(Goal::Taken, false)), (56, 56, 0));
    }

    #[test]
    fn it_is_never_less_than_usual() {
        assert_eq!([0, 2, 6, 30].map(|seconds| enough(Duration::from_secs(seconds)).as_secs()), [7, 7, 7, 31]);
    }
}
