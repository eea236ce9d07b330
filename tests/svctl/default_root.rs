//! `svctl` that is not told which status root is meant.

use crate::common::{Place, Running, SLEEP, script, svctl_command, tree_command, wait_for};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Root's trees are those of the whole machine: the test is somebody else then.
const NOBODY: u32 = 65534;

/// A user with an `XDG_RUNTIME_DIR` at `run`, and programs that this user may execute.
fn user() -> Place {
    let place = Place::new();
    let own = |path: &Path| {
        if nix::unistd::geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    };
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    own(place.path());
    for name in ["run", "a", "b", "elsewhere"] {
        std::fs::create_dir(place.path().join(name)).unwrap();
        own(&place.path().join(name));
    }
    for (program, name) in [(tree_command(), "supervise-tree"), (svctl_command(), "svctl")] {
        std::fs::copy(program.get_program(), place.path().join(name)).unwrap();
    }
    place
}

fn command(place: &Place, program: &str, directory: &str) -> Command {
    let mut command = Command::new(place.path().join(program));
    command
        .env("XDG_RUNTIME_DIR", place.path().join("run"))
        .env_remove("SUPERVISE_STATUS")
        .env_remove("SUPERVISE_MODULE");
    command.current_dir(place.path().join(directory));
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// A tree with a service of the name `directory`, in that directory.
fn tree<'a>(place: &'a Place, directory: &str) -> Running<'a> {
    let service = place.path().join(directory).join("sv").join(directory);
    std::fs::create_dir_all(&service).unwrap();
    script(&service.join("run"), SLEEP);
    let mut tree = command(place, "supervise-tree", directory);
    let below = |name: &str| place.path().join(directory).join(name);
    tree.arg("-p").arg(below("status")).arg(below("sv"));
    let tree = place.start(tree);
    let up = || {
        let status = status(place, directory);
        status.status.success() && said(&status).contains(&format!("\n{directory} "))
    };
    wait_for("the service to be up", place, up);
    tree
}

fn status(place: &Place, directory: &str) -> Output {
    command(place, "svctl", directory).arg("status").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn it_takes_that_of_the_one_tree_that_runs() {
    let place = user();
    let links = || std::fs::read_dir(place.path().join("run/supervise-tree")).map_or(0, |entries| entries.count());
    assert_eq!(status(&place, "elsewhere").status.code(), Some(111));
    let first = tree(&place, "a");
    let found = status(&place, "elsewhere");
    assert!(found.status.success() && said(&found).contains("\na "), "{found:?}");
    let second = tree(&place, "b");
    let found = status(&place, "elsewhere");
    let both: Vec<PathBuf> = ["a/status", "b/status"].map(|path| place.path().join(path)).into();
    let list = format!("several trees run: {}, {};", both[0].display(), both[1].display());
    assert!(found.status.code() == Some(111) && said(&found).contains(&list), "{found:?}");
    // What lies here comes first.
    assert!(said(&status(&place, "a")).contains("\na ") && said(&status(&place, "b")).contains("\nb "));
    // A tree that was killed leaves its link, which leads nowhere then.
    second.kill();
    assert_eq!(links(), 2);
    let found = status(&place, "elsewhere");
    assert!(found.status.success() && said(&found).contains("\na "), "{found:?}");
    first.stop();
    assert_eq!(status(&place, "elsewhere").status.code(), Some(111));
    let third = tree(&place, "b");
    assert_eq!(links(), 1, "the next tree clears up");
    assert!(third.stop().success());
    assert_eq!(links(), 0);
}
