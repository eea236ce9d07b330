//! What everything that runs for a module is told about where it belongs.

use crate::sys::process::start::Environment;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The variable that has the module's name.
pub const MODULE: &str = "SUPERVISE_MODULE";

/// The variable that has the status root.
pub const STATUS_ROOT: &str = "SUPERVISE_STATUS";

/// The two variables of `module`, whose status directory is below `status_root`. That is made absolute.
pub fn variables(module: &OsStr, status_root: &Path) -> [(&'static str, OsString); 2] {
    let status_root = std::path::absolute(status_root).unwrap_or_else(|_| status_root.to_owned());
    [(MODULE, module.to_owned()), (STATUS_ROOT, status_root.into_os_string())]
}

/// The supervisor's own variables and these two.
pub fn environment(module: &str, status_root: &Path) -> Environment {
    let variables = variables(OsStr::new(module), status_root);
    Environment::inherited_with(variables.iter().map(|(name, value)| (*name, value.as_os_str())))
}
