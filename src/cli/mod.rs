//! The command lines, one definition a program, and the exit codes that they share.

pub mod supervise;
pub mod supervise_tree;
pub mod svctl;

use std::process::ExitCode;

/// Wrong usage.
pub const USAGE: u8 = 100;

/// The status directory cannot be made.
pub const NO_DIRECTORY: u8 = 110;

/// Anything that may pass: a lock that is held, no memory, an old kernel.
pub const TEMPORARY: u8 = 111;

/// Parses the command line into `T`; for `--help`, `--version` and wrong usage, the exit code instead.
pub fn parse<T: clap::Parser>(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(arguments).map_err(|error| {
        // A closed standard output is no reason to fail in another way.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
    })
}

/// Says on standard error why `program` ends with `code`.
pub fn fail(program: &str, code: u8, message: &str) -> ExitCode {
    crate::sys::console::line(&format!("{program}: {message}"));
    ExitCode::from(code)
}

/// `$SUPERVISE_STATUS`, else `./status`: where status directories are if nobody says it.
pub fn default_status_root() -> std::path::PathBuf {
    std::env::var_os("SUPERVISE_STATUS").filter(|value| !value.is_empty()).unwrap_or_else(|| "status".into()).into()
}

/// What both supervising programs set up first.
///
/// # Errors
/// One line for the user, when the kernel is too old.
pub fn prepare() -> Result<(), String> {
    crate::supervisor::panics::note_panics();
    crate::sys::boot::prepare()
}
