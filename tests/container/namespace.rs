//! A tree as process 1 of namespaces of its own, with whatever mounts a container may have.

use crate::common::host::skipped;
use crate::common::*;
use std::process::{Command, Output, Stdio};

/// What a script exits with when the machine does not let it set something up.
const NOT_PERMITTED: i32 = 77;

/// `TREE` and `SVCTL` in the scripts are these.
const PROGRAMS: [&str; 2] = [env!("CARGO_BIN_EXE_supervise-tree"), env!("CARGO_BIN_EXE_svctl")];

/// The command that runs the shell script `setup`, and then `script`, both as process 1: the second ends it by `exec`, as a
/// rule. It is in the place's directory; what `setup` cannot do is no fault of ours.
pub fn command(place: &Place, setup: &str, script: &str) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
    // The directories above the place may be hidden by what `setup` mounts.
    let text =
        format!("unset SUPERVISE_STATUS; ({setup}) || exit {NOT_PERMITTED}\n[ /mnt/sv -ef sv ] && cd /mnt\n{script}");
    // So may those above the programs.
    let [tree, svctl] = PROGRAMS.map(|program| beside(place, program));
    let text = text.replace("TREE", &tree).replace("SVCTL", &svctl);
    command.arg(text).current_dir(place.path()).stdin(Stdio::null());
    command
}

/// A second name of `program` in the place, as it is called from there.
fn beside(place: &Place, program: &str) -> String {
    let path = std::path::Path::new(program);
    let name = path.file_name().unwrap();
    let at = place.path().join("bin").join(name);
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    if !at.exists() && std::fs::hard_link(path, &at).is_err() {
        std::fs::copy(path, &at).unwrap();
    }
    format!("bin/{}", name.to_string_lossy())
}

/// Whether there are such namespaces for us, in which `setup` can be done; a line says why not.
pub fn can(place: &Place, setup: &str) -> bool {
    match command(place, setup, "[ $$ = 1 ]").output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            skipped(&format!(
                "no namespace to be had for {setup:?}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
            false
        }
        Err(error) => {
            skipped(&format!("no unshare to be had: {error}"));
            false
        }
    }
}

/// Runs the script to its end.
pub fn run(place: &Place, setup: &str, script: &str) -> Option<Output> {
    can(place, setup).then(|| place.output(command(place, setup, script)))
}

/// A read-only root, in which nothing can be written but where something else is mounted. The place is also at `/mnt`.
pub const READ_ONLY: &str = "mount --bind . /mnt && mount -o remount,bind,ro / && for at in /tmp /var/tmp /run /dev/shm; do \
    [ ! -d $at ] || mount --bind $at $at && mount -o remount,bind,ro $at || exit 1; done";
