//! The context that a service runs in, worked out anew for each start: names looked up, files read, variables merged.
//!
//! [`resolve`] turns the settings ([`crate::conf::context`]) into plain data that a child applies
//! ([`crate::sys::context`]). What cannot be had is a failure of the start that names its part; what is not understood in a
//! file is a warning with file and line. Neither ever shows a value.
//!
//! | file | what is in it |
//! |---|---|
//! | [`account`] | user and groups |
//! | [`environment`] | the order in which variables replace each other |
//! | [`env_file`] | the grammar of a file of variables |
//! | [`env_dir`] | a directory of variables |
//! | [`intake`] | reading a file that may be anything |
//! | [`machine_limits`] | what this machine has: processors, capabilities |
//! | [`cgroup`] | the control group |
//! | [`refuse`] | how a failure is said |

pub mod account;
pub mod cgroup;
pub mod env_dir;
pub mod env_file;
pub mod environment;
pub mod intake;
pub mod machine_limits;
pub mod refuse;
#[cfg(test)]
mod tests;

use super::entries::ENV_DIR;
use crate::conf::context::Context;
use crate::sys::Errno;
use crate::sys::context::{Change, Decimal, Part, Refusal};
use crate::sys::files::file;
use crate::sys::files::statx::Look;
use crate::sys::process::start::{Environment, StartError, Step};
use account::{Accounts, Person};
use environment::Variables;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a context is worked out from.
#[derive(Debug)]
pub struct Request<'a> {
    /// What the settings say.
    pub context: &'a Context,
    /// Where relative paths begin: the service directory.
    pub place: Option<&'a Path>,
    /// Whether there is a directory of variables in it, by a list of its names.
    pub lists_env: bool,
    /// The variables that the supervisor itself has.
    pub inherited: Variables,
    /// The variables that it adds, and that nobody replaces.
    pub ours: &'a [(OsString, OsString)],
}

/// A context that a child can take on.
#[derive(Debug)]
pub struct Resolved {
    /// What the child changes about itself.
    pub change: Change,
    /// Its variables.
    pub environment: Arc<Environment>,
    /// What was not understood, a line each.
    pub warnings: Vec<String>,
}

/// The variables alone, and what was not understood on the way.
#[derive(Debug)]
pub struct ResolvedVariables {
    /// The variables.
    pub variables: Variables,
    /// What was not understood, a line each.
    pub warnings: Vec<String>,
}

/// A context that is nothing but these variables.
pub fn of_variables(environment: Arc<Environment>) -> Resolved {
    Resolved { change: Change::default(), environment, warnings: Vec::new() }
}

/// Whether the service directory at `place` has a directory of variables. One system call.
pub fn has_env_dir(place: &Path) -> bool {
    file::child(place, ENV_DIR).is_dir()
}

/// Works out the context.
///
/// # Errors
/// The part that cannot be had, and why.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
pub fn resolve(request: Request<'_>, accounts: &dyn Accounts) -> Result<Resolved, StartError> {
    let context = request.context;
    let person = account::resolve(context.user.as_ref(), context.groups.as_ref(), accounts)?;
    machine_limits::check_processors(&context.cpus)?;
    machine_limits::check_capabilities(context.capabilities)?;
    let change = Change {
        cgroup: None,
        limits: context.limits.clone(),
        nice: context.nice,
        io_class: context.io_class,
        oom_score: context.oom_score.map(Decimal::new),
        cpus: machine_limits::mask(&context.cpus),
        umask: context.umask,
        ids: person.ids.clone(),
        capabilities: context.capabilities,
        no_new_privileges: context.no_new_privileges,
        directory: context.directory.as_ref().map(|path| file::c_path_or_empty(Path::new(path))),
    };
    let ResolvedVariables { variables, warnings } = merge(request, &person)?;
    Ok(Resolved { change, environment: Arc::new(Environment::new(variables.into_strings()?)), warnings })
}

/// Works out the variables alone.
///
/// # Errors
/// The part that cannot be had, and why.
pub fn resolve_variables(request: Request<'_>, accounts: &dyn Accounts) -> Result<ResolvedVariables, StartError> {
    let context = request.context;
    let person = account::resolve(context.user.as_ref(), context.groups.as_ref(), accounts)?;
    merge(request, &person)
}

/// Puts the variables together, the later ones in the place of the earlier.
fn merge(request: Request<'_>, person: &Person) -> Result<ResolvedVariables, StartError> {
    let mut variables = request.inherited;
    let mut warnings = Vec::new();
    if request.context.env_clear {
        variables.keep_only("PATH");
    }
    variables.change(&person.variables);
    if let Some(place) = request.place {
        let dir = file::child(place, ENV_DIR);
        if dir.is_dir() {
            variables.change(&env_dir::read(&dir, &mut warnings)?);
        } else if request.lists_env && Look::at(&dir).is_err() {
            // The service directory is being moved. To run without them would be to run with another environment than was meant.
            let why = format!("{}: was listed, and cannot be found", dir.display());
            return Err(StartError { step: Step::Context(Refusal::new(Part::EnvDir, &why)), errno: Errno::ESTALE });
        }
    }
    for env_file in &request.context.env_file {
        let path = request.place.map_or_else(|| PathBuf::from(&env_file.path), |place| place.join(&env_file.path));
        let Some(bytes) = intake::env_file(&path, env_file.optional)? else { continue };
        for line in env_file::parse(&bytes) {
            if let Some(what) = &line.complaint {
                warnings.push(format!("{}:{}: {what}", path.display(), line.number));
            }
            variables.extend(line.variable);
        }
    }
    variables.extend(request.context.env.iter().map(|variable| ((&variable.name).into(), (&variable.value).into())));
    variables.extend(request.ours.iter().cloned());
    Ok(ResolvedVariables { variables, warnings })
}
