//! `config --env`: the variables that a module's next start would have, as far as whoever asks may read what they come from.

use crate::cli::svctl::Config as Arguments;
use crate::conf::{Config, Program};
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::Out;
use crate::ctl::root::{Module, StatusRoot};
use crate::ctl::service::context;
use crate::ctl::snapshot::Snapshot;
use crate::service::context::account::System;
use crate::service::context::environment::Variables;
use crate::service::context::{Request, ResolvedVariables, resolve_variables};
use crate::service::names;
use serde_json::{Map, Value as Json, json};
use std::path::Path;

/// Prints the variables of each module that was asked for.
///
/// # Errors
/// The status root cannot be read.
pub fn environment(
    root: &StatusRoot,
    config: &Config,
    arguments: &Arguments,
    json: bool,
    out: &mut Out,
) -> Result<Vec<Outcome>, CtlError> {
    if arguments.modules.is_empty() {
        return Err(CtlError::new(Outcome::Usage, "--env wants the name of a module"));
    }
    let mut outcomes = Vec::new();
    let mut objects = Vec::new();
    let found = root.select(&arguments.modules)?;
    let several = found.len() > 1;
    for found in found {
        let module = match found {
            Ok(module) => module,
            Err(missing) => {
                out.note(&format!("fail: {}: no such module", format::name(&missing.word)));
                outcomes.push(Outcome::NoSuchModule);
                continue;
            }
        };
        match variables(&module, config, out) {
            Ok(variables) if json => objects.push(object(&module, &variables)),
            Ok(variables) => out.put(&text(&module, &variables, several)),
            Err(error) => {
                out.note(&format!("fail: {}: {}", module.shown(), format::text(&error.text)));
                outcomes.push(error.outcome);
                continue;
            }
        }
        outcomes.push(Outcome::Done);
    }
    if json {
        out.line(&Json::from(objects).to_string());
    }
    Ok(outcomes)
}

fn variables(module: &Module, config: &Config, out: &Out) -> Result<Variables, CtlError> {
    let snapshot = Snapshot::read(module).ok();
    let state = snapshot.as_ref().map(|snapshot| &snapshot.state);
    let place = state.map(|state| Path::new(&state.definition)).filter(|path| path.is_absolute() && path.is_dir());
    let of_tree = place.is_some() || state.is_some_and(|state| state.command);
    let program = if of_tree { Program::Tree } else { Program::Single };
    let own = snapshot.as_ref().map_or(Ok(None), context::own_file);
    let own = own.map_err(|complaint| CtlError::failed(complaint.to_string()))?;
    let settings = config.effective(&module.json(), own.as_ref(), program).settings;
    let inherited = inherited(module, state.map_or(0, |state| state.supervisor_pid), out)?;
    let ours = names::variables(&module.name, &module.status_root()).map(|(name, value)| (name.into(), value));
    let request = Request { context: &settings.context, place, lists_env: false, inherited, ours: &ours };
    let ResolvedVariables { variables, warnings } =
        resolve_variables(request, &System).map_err(|error| CtlError::failed(error.to_string()))?;
    warnings.iter().for_each(|warning| out.note(&format::text(warning)));
    Ok(variables)
}

/// What the supervisor hands down; ours, where there is none.
fn inherited(module: &Module, supervisor: u32, out: &Out) -> Result<Variables, CtlError> {
    let inherited = context::inherited(supervisor)?;
    if inherited.is_none() {
        let shown = module.shown();
        out.note(&format!("{shown}: nobody supervises it: what it will inherit is taken to be what svctl has"));
    }
    Ok(inherited.unwrap_or_else(Variables::ours))
}

fn text(module: &Module, variables: &Variables, several: bool) -> String {
    let heading = if several { format!("[{}]\n", module.shown()) } else { String::new() };
    let line = |(name, value): (&std::ffi::OsString, &std::ffi::OsString)| {
        format!("{}={}\n", format::text(&name.to_string_lossy()), format::text(&value.to_string_lossy()))
    };
    heading + &variables.iter().map(line).collect::<String>()
}

fn object(module: &Module, variables: &Variables) -> Json {
    let pair = |(name, value): (&std::ffi::OsString, &std::ffi::OsString)| {
        (name.to_string_lossy().into_owned(), Json::from(value.to_string_lossy()))
    };
    json!({ "module": module.json(), "env": variables.iter().map(pair).collect::<Map<_, _>>() })
}
