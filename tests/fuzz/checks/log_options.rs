//! The command line of `supervise-log`, words that end with a newline: it is refused in words, or lines are written by it.

use super::log_lines;
use clap::Parser;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use supervise_tree::cli::supervise_log::{Arguments, options};
use supervise_tree::logger::settings::Said;

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == b'\n').map(OsStr::from_bytes);
    let all = std::iter::once(OsStr::new("supervise-log")).chain(words);
    let Ok(arguments) = Arguments::try_parse_from(all) else { return };
    match options(arguments) {
        Ok((options, _)) => {
            let (_, renderer) = options.settle(Said::default()).expect("patterns were looked at before");
            log_lines::check(renderer);
        }
        Err(why) => assert!(!why.is_empty() && !why.contains('\n'), "{why:?}"),
    }
}
