//! See `supervise_tree::ctl` and svctl(8).

use std::process::ExitCode;
use supervise_tree::cli::{self, svctl::Cli};
use supervise_tree::ctl::{self, completions};

fn main() -> ExitCode {
    match completions::answer() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        // A shell that asks for completions has no use for the reason.
        Err(_) => return ExitCode::FAILURE,
    }
    match cli::parse::<Cli>(std::env::args_os()) {
        Ok(cli) => ExitCode::from(ctl::run(&cli)),
        Err(code) => code,
    }
}
