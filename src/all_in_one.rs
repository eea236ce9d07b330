//! `supervise-tree` by another name is another program: an image, or a fresh build, may have this file alone.

use crate::cli::{supervise, supervise_log, supervise_tree};
use crate::ctl;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// The programs that are in this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    SuperviseTree,
    Supervise,
    SuperviseLog,
    Svctl,
}

/// The program that the name asks for; the tree for any name of somebody's own.
fn name(argument: Option<&OsStr>) -> Name {
    match argument.and_then(|name| Path::new(name).file_name()).and_then(OsStr::to_str) {
        Some("supervise") => Name::Supervise,
        Some("supervise-log") => Name::SuperviseLog,
        Some("svctl") => Name::Svctl,
        Some(_) | None => Name::SuperviseTree,
    }
}

/// The whole program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match name(arguments.first().map(OsString::as_os_str)) {
        Name::SuperviseTree => supervise_tree::main(arguments),
        Name::Supervise => supervise::main(arguments),
        Name::SuperviseLog => supervise_log::main(arguments),
        Name::Svctl => ctl::main(arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_name_decides() {
        let name = |text: &str| name(Some(OsStr::new(text)));
        assert_eq!(name("/usr/bin/svctl"), Name::Svctl);
        assert_eq!(name("supervise-log"), Name::SuperviseLog);
        assert_eq!(name("./supervise"), Name::Supervise);
        assert_eq!(name("/opt/svctl/supervise-tree"), Name::SuperviseTree);
        assert_eq!(name("supervise-tree.old"), Name::SuperviseTree);
        assert_eq!(super::name(None), Name::SuperviseTree);
    }
}
