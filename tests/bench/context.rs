//! The same services as another user and with five variables of their own, by the tools that come with runit and s6 under
//! these, and by keys under the tree, which sets a limit, too.

use super::peers::Peer;
use super::place::Place;
use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Who the services are: a user of every system.
const USER: &str = "nobody";

/// How many variables they have.
const VARIABLES: usize = 5;

/// Has `peer` run its `count` services so; false if it has no way to.
///
/// # Errors
/// What cannot be written.
pub fn set(peer: Peer, place: &Place, count: usize) -> io::Result<bool> {
    let words = match peer {
        Peer::Tree => return by_keys(place).map(|()| true),
        Peer::Runit => format!("chpst -u {USER} -e ./env"),
        Peer::S6 => format!("s6-envdir ./env s6-setuidgid {USER}"),
        Peer::Floor | Peer::Daemontools | Peer::Supervisord | Peer::Dinit | Peer::Nitro => return Ok(false),
    };
    open(place)?;
    let script = format!("#!/bin/sh\nexec {words} {}\n", place.program().display());
    for number in 0..count {
        let dir = place.root().join(format!("s{number}"));
        std::fs::remove_file(dir.join("run"))?;
        std::fs::write(dir.join("run"), &script)?;
        std::fs::set_permissions(dir.join("run"), PermissionsExt::from_mode(0o755))?;
        std::fs::create_dir(dir.join("env"))?;
        for variable in 0..VARIABLES {
            std::fs::write(dir.join(format!("env/VARIABLE_{variable}")), "a value\n")?;
        }
    }
    Ok(true)
}

fn by_keys(place: &Place) -> io::Result<()> {
    open(place)?;
    let mut variables = String::new();
    for variable in 0..VARIABLES {
        let _ = writeln!(variables, "VARIABLE_{variable}='a value'");
    }
    let file = place.path().join("variables");
    std::fs::write(&file, variables)?;
    let text = format!("[global]\nuser : {USER}\nenv_file : {}\nlimit_nofile : 4096\n", file.display());
    std::fs::write(place.root().join("supervise.conf"), text)
}

/// Lets others reach the program, and tell that they run.
fn open(place: &Place) -> io::Result<()> {
    let chmod = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
    let above = place.path().parent().unwrap_or(Path::new("/"));
    [above, place.path()].into_iter().try_for_each(|dir| chmod(dir, 0o755))?;
    chmod(&place.path().join("fifo/starts"), 0o622)
}
