//! An image, built as the Dockerfile in supervise-tree(8) says, and run by namespaces and chroot.

use crate::common::host::skipped;
use crate::common::*;
use crate::namespace::{can, command};
use crate::page::{example, instructions, words};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A `supervise-tree` that needs no library: `.ci/run` builds one. Without it, an image gets its libraries, too.
fn static_tree() -> Option<PathBuf> {
    let path = std::env::var_os("STATIC_TREE").map(PathBuf::from).filter(|path| !path.as_os_str().is_empty())?;
    assert!(libraries(&path).is_empty(), "{} is not static", path.display());
    Some(path)
}

/// The libraries that a program needs, as `ldd` says.
fn libraries(program: &Path) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// The root of an image, and how it is run.
pub struct Image<'a> {
    place: &'a Place,
    rules: Rules,
}

/// What a manifest may ask of the runtime.
#[derive(Default)]
pub struct Rules {
    /// Its root cannot be written.
    pub read_only: bool,
    /// Process 1 is this user.
    pub user: Option<u64>,
    /// What is at these paths can.
    pub volumes: Vec<String>,
}

/// What a runtime puts into a container.
const RUNTIME: &str = "mount -t proc none image/proc && mount --bind /dev/null image/dev/null && \
    mount -t tmpfs none image/dev/shm && mount -t tmpfs none image/tmp";

impl<'a> Image<'a> {
    /// Nothing but what a runtime needs; a line says why there can be none.
    pub fn empty(place: &'a Place) -> Option<Image<'a>> {
        let image = Image { place, rules: Rules::default() };
        for directory in ["proc", "dev/shm", "tmp", "services", "usr/local/bin"] {
            std::fs::create_dir_all(image.root().join(directory)).unwrap();
        }
        std::fs::write(image.root().join("dev/null"), "").unwrap();
        can(place, RUNTIME).then_some(image)
    }

    /// What the Dockerfile of the manual makes, on a base that has a shell.
    pub fn of_the_manual(place: &'a Place) -> Option<Image<'a>> {
        let image = Image::empty(place)?;
        let dockerfile = example("supervise-tree.8", "Dockerfile");
        for program in ["sh", "cat", "date", "grep", "mkdir", "rm", "sleep"] {
            let found = PathBuf::from("/bin").join(program).canonicalize().unwrap();
            image.add_program(&found, &Path::new("bin").join(program));
        }
        for copy in instructions(&dockerfile, "COPY") {
            let [from, to] = copy.split_whitespace().collect::<Vec<_>>()[..] else {
                // Of the stage that builds the program.
                assert!(
                    copy.starts_with("--from=build /src/") && copy.ends_with("/release/supervise-tree /usr/local/bin/")
                );
                image.add_tree();
                continue;
            };
            if (from, to) != (".", ".") {
                image.copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(from), to.trim_start_matches('/'));
            }
        }
        // What whoever has tried the examples has got in them, no image gets.
        for ignored in include_str!("../../.dockerignore").lines() {
            let made = ignored.strip_prefix("services.example/").map(|made| image.root().join("services").join(made));
            assert!(made.is_none_or(|made| !made.exists() || std::fs::remove_dir_all(made).is_ok()), "{ignored}");
        }
        let runs = instructions(&dockerfile, "RUN");
        assert!(runs.contains(&"ln -s supervise-tree /usr/local/bin/svctl".to_string()), "{runs:?}");
        image.link("svctl");
        Some(image)
    }

    /// The same, run by these rules; a line says why that cannot be.
    pub fn with(self, rules: Rules) -> Option<Image<'a>> {
        for volume in &rules.volumes {
            std::fs::create_dir_all(self.root().join(&volume[1..])).unwrap();
        }
        let image = Image { rules, ..self };
        can(image.place, &image.setup()).then_some(image)
    }

    fn setup(&self) -> String {
        let read_only = if self.rules.read_only { " && mount -o remount,bind,ro image" } else { "" };
        let volume = |path: &String| format!(" && mount -t tmpfs -o mode=1777 none image{path}");
        let volumes: String = self.rules.volumes.iter().map(volume).collect();
        format!("mount --bind image image{read_only} && {RUNTIME}{volumes}")
    }

    pub fn root(&self) -> PathBuf {
        self.place.path().join("image")
    }

    /// Puts the tree where the Dockerfile does.
    pub fn add_tree(&self) {
        let built = static_tree().unwrap_or_else(|| env!("CARGO_BIN_EXE_supervise-tree").into());
        self.add_program(&built, Path::new("usr/local/bin/supervise-tree"));
    }

    /// One more name for it.
    pub fn link(&self, name: &str) {
        std::os::unix::fs::symlink("supervise-tree", self.root().join("usr/local/bin").join(name)).unwrap();
    }

    fn add_program(&self, program: &Path, at: &Path) {
        for library in libraries(program) {
            self.copy(&library, &library.to_string_lossy()[1..]);
        }
        self.copy(program, &at.to_string_lossy());
    }

    fn copy(&self, from: &Path, to: &str) {
        let to = self.root().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let copied = Command::new("cp").args(["-rL", "--preserve=mode"]).arg(from).arg(&to).status().unwrap();
        assert!(copied.success(), "{}", from.display());
    }

    /// The command that runs these words in it as process 1.
    pub fn container(&self, words: &[String]) -> Command {
        // In a user namespace, there is nobody but its root.
        let user = self.rules.user.filter(|_| nix::unistd::geteuid().is_root());
        let user = user.map_or(String::new(), |user| format!("--userspec={user}:{user} --groups={user}"));
        let chroot = format!("$(command -v chroot) {user} image");
        let script = format!("chroot=\"{chroot}\"; exec env -i PATH=/usr/local/bin:/bin $chroot \"$@\"");
        let mut command = command(self.place, &self.setup(), &script);
        command.arg("sh").args(words);
        command
    }
}

#[test]
fn the_file_alone_is_an_image() {
    if static_tree().is_none() {
        return skipped("no static supervise-tree: .ci/run builds one, and names it in STATIC_TREE");
    }
    let place = Place::new();
    let Some(image) = Image::empty(&place) else { return };
    image.add_tree();
    image.link("svctl");
    let run = |text: &str| {
        let words: Vec<String> = text.split(' ').map(String::from).collect();
        let output = place.output(image.container(&words));
        (output.status.code(), said_by(&output))
    };
    let (code, said) = run("supervise-tree --container /services -- svctl -w 10 wait up main");
    assert!(code == Some(0) && said.contains("main"), "{said}");
    // Its exit code is that of the container.
    let (code, said) = run("supervise-tree --container /services -- svctl check nothing");
    assert!(code == Some(4) && said.contains("svctl: fail: nothing: no such module"), "{code:?} {said}");
    let (code, said) = run("supervise-tree --container /services -- nothing");
    assert_eq!((code, said.as_str()), (Some(127), "supervise-tree: nothing: not found in PATH\n"));
}

#[test]
fn the_image_of_the_manual_runs_its_command_to_the_end() {
    let place = Place::new();
    let Some(image) = Image::of_the_manual(&place) else { return };
    let dockerfile = example("supervise-tree.8", "Dockerfile");
    let [entry, command] = ["ENTRYPOINT", "CMD"].map(|name| words(&instructions(&dockerfile, name)[0]));
    let output = place.output(image.container(&[entry.as_slice(), &command].concat()));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}{errors}");
    for line in ["migrate | migrate: to version 1\n", "migrate | migrate: to version 2\n", "ticker | tick 1\n"] {
        assert!(said.contains(line), "{said}{errors}");
    }
    // The command's own lines are as it writes them, and come when the page is there.
    assert!(said.contains("\nthe page: version 2, "), "{said}{errors}");
    // Another command, and another exit code.
    let command = ["sh", "-c", "exit 9"].map(String::from);
    let output = place.output(image.container(&[entry.as_slice(), &command].concat()));
    assert_eq!(output.status.code(), Some(9), "{}", said_by(&output));
}

#[test]
fn the_readme_shows_the_same_image() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```dockerfile\n").unwrap();
    let (short, _) = rest.split_once("```").unwrap();
    let long = example("supervise-tree.8", "Dockerfile");
    // It copies all services, and has the check without its options.
    let own = ["COPY services.example /services", "HEALTHCHECK CMD [\"svctl\", \"check\", \"web\"]"];
    let strange: Vec<&str> = short.lines().filter(|line| !long.lines().any(|other| other == *line)).collect();
    assert_eq!(strange, own);
}

#[test]
fn the_image_without_a_command_is_well_by_its_healthcheck_and_ends_by_term() {
    let place = Place::new();
    let Some(image) = Image::of_the_manual(&place) else { return };
    let dockerfile = example("supervise-tree.8", "Dockerfile");
    let container = Container::start(&image, &words(&instructions(&dockerfile, "ENTRYPOINT")[0]));
    let check = &instructions(&dockerfile, "HEALTHCHECK")[0];
    let check = words(check.split_once("CMD ").expect("a command").1);
    wait_for("the check to succeed", &place, || container.exec(&check));
    assert!(container.stop().success(), "{}", crate::output(&place));
}

/// A container that runs.
pub struct Container<'a> {
    place: &'a Place,
    unshare: Running<'a>,
    /// Its process 1, by the number that it has here.
    pid: u32,
}

impl<'a> Container<'a> {
    /// Runs these words, with standard output in a file.
    pub fn start(image: &Image<'a>, words: &[String]) -> Container<'a> {
        let mut command = image.container(words);
        command.stdout(std::fs::File::create(image.place.path().join("stdout")).unwrap());
        let unshare = image.place.start(command);
        let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
        let mut pid = None;
        wait_for("process 1", image.place, || {
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            pid = text.split_whitespace().next().and_then(|word| word.parse().ok());
            pid.is_some_and(|pid| {
                std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "supervise-tree\n")
            })
        });
        Container { place: image.place, unshare, pid: pid.unwrap() }
    }

    /// Runs these words in it; whether the exit code was 0.
    pub fn exec(&self, words: &[String]) -> bool {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--mount", "--pid", "--root", "--wd"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").args(words).env_clear().env("PATH", "/usr/local/bin:/bin:/usr/bin");
        self.place.output(command).status.success()
    }

    /// Sends TERM to process 1, and waits for the end.
    pub fn stop(self) -> std::process::ExitStatus {
        signal(self.pid, "TERM");
        self.unshare.wait()
    }
}
