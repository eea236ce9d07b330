//! One service twice: under the tree, and under a real `runsv`; and the tools that look at both.

use crate::common::*;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Whether all these programs are installed. Where `REQUIRE_PEERS` is set, as in CI, they have to be.
pub fn installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&&str| !std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let missing: Vec<_> = programs.iter().filter(is_there).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("REQUIRE_PEERS").is_none_or(|value| value.is_empty()), "not installed: {missing:?}");
    host::skipped(&format!("not installed: {missing:?}"));
    false
}

/// A place for a test that needs these programs; `None` where they are not installed.
pub fn place_beside(programs: &[&str]) -> Option<Place> {
    installed(programs).then(Place::new)
}

/// What a tool said, and its exit code.
pub fn tool(svdir: &Path, words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(svdir).env("SVDIR", svdir).env_remove("SVWAIT");
    let output = command.output().unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    format!("{}exit {}", String::from_utf8_lossy(&text), output.status.code().unwrap_or(-1))
}

/// The same without what is never the same: pids and times.
pub fn normal(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        result += before;
        let is_time = after.starts_with(" seconds")
            || after.strip_prefix('s').is_some_and(|next| !next.starts_with(char::is_alphanumeric));
        result += match () {
            () if result.ends_with("(pid ") => "P",
            () if is_time => "T",
            () => number,
        };
        rest = after;
    }
    result + rest
}

/// A service under the tree, and the same under `runsv`.
pub struct Pair<'a> {
    place: &'a Place,
    _supervisors: [Running<'a>; 2],
}

impl<'a> Pair<'a> {
    /// Two service directories `web` with these files, and their supervisors.
    pub fn start(place: &'a Place, files: &[(&str, &str)]) -> Pair<'a> {
        place.service("web", files);
        for (file, content) in files {
            script(&peer(place).join("web").join(file), content);
        }
        let mut command = Command::new("runsv");
        command.arg("web");
        let runsv = start_in(place, command);
        let tree = place.tree_with(&["--runit-compat"]);
        let pair = Pair { place, _supervisors: [tree, runsv] };
        for svdir in pair.both() {
            wait_for("runit's files", place, || svdir.join("web/supervise/status").exists());
        }
        pair
    }

    /// The two service roots: ours, theirs.
    pub fn both(&self) -> [PathBuf; 2] {
        [self.place.root(), peer(self.place)]
    }

    /// Lets the tool work on both; what it says must be the same, and this.
    pub fn says(&self, words: &[&str], expected: &str) {
        let [ours, theirs] = self.both().map(|svdir| {
            // Each waits for its own, so they may as well do it at once.
            let words: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
            std::thread::spawn(move || tool(&svdir, &words.iter().map(String::as_str).collect::<Vec<_>>()))
        });
        let [ours, theirs] = [ours, theirs].map(|said| normal(&said.join().expect("said")));
        assert_eq!(theirs, expected, "runit's {words:?}\n{}", self.place.story());
        assert_eq!(ours, theirs, "our {words:?}\n{}", self.place.story());
    }

    /// Waits until the tool says the same of both, and this, and all that runit writes down is the same, too.
    pub fn comes_to(&self, words: &[&str], expected: &str) {
        self.comes_to_say(words, expected);
        self.wait_same("what runsv writes", |svdir| {
            let file = |name: &str| std::fs::read(svdir.join("web/supervise").join(name)).unwrap_or_default();
            let status = file("status");
            let pid = String::from_utf8_lossy(&file("pid")).into_owned();
            let in_status = status.get(12..16).map_or(0, |pid| u32::from_le_bytes(pid.try_into().expect("4 bytes")));
            let written: u32 = pid.trim().parse().unwrap_or(0);
            assert!(pid.is_empty() || pid.ends_with('\n'), "{pid:?}");
            let stat = String::from_utf8_lossy(&file("stat")).into_owned();
            format!("{stat}{:?} {}", status.get(16..), if written == in_status { "agree" } else { "disagree" })
        });
    }

    /// The same without a look at the files.
    pub fn comes_to_say(&self, words: &[&str], expected: &str) {
        for svdir in self.both() {
            let said = || normal(&tool(&svdir, words));
            let deadline = Instant::now() + DEADLINE;
            while said() != expected {
                let story = || self.place.story();
                assert!(
                    Instant::now() < deadline,
                    "{words:?} in {svdir:?}: {:?}, not {expected:?}\n{}",
                    said(),
                    story()
                );
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }

    /// Waits until something is the same on both sides.
    pub fn wait_same(&self, what: &str, look: impl Fn(&Path) -> String) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let [ours, theirs] = self.both().map(|svdir| look(&svdir));
            if ours == theirs {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {ours:?}, but under runsv {theirs:?}\n{}", self.place.story());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Waits until a second has begun in which neither was started: `sv` compares whole seconds, and takes what was
    /// started in its own one for started by itself.
    pub fn a_second_later(&self) {
        for svdir in self.both() {
            wait_for("the next second", self.place, || {
                let said = tool(&svdir, &["sv", "status", "web"]);
                let mut words = said.split([' ', '\n', ',', ';']);
                words.any(|word| word.strip_suffix('s').and_then(|word| word.parse().ok()).is_some_and(|n: u64| n > 0))
            });
        }
    }

    /// Lets the tool work on both, whatever it says.
    pub fn does(&self, words: &[&str]) {
        for svdir in self.both() {
            tool(&svdir, words);
        }
    }

    /// The pids of the two run processes.
    pub fn pids(&self) -> [u32; 2] {
        self.both().map(|svdir| {
            std::fs::read_to_string(svdir.join("web/supervise/pid")).unwrap_or_default().trim().parse().unwrap_or(0)
        })
    }

    /// Waits until the file in both service directories has this in it, blanks and newlines aside.
    pub fn wait_calls(&self, expected: &str) {
        for svdir in self.both() {
            let calls = || {
                let text = std::fs::read_to_string(svdir.join("web/calls")).unwrap_or_default();
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            };
            let deadline = Instant::now() + DEADLINE;
            while calls() != expected {
                assert!(
                    Instant::now() < deadline,
                    "in {svdir:?}: {:?}, not {expected:?}\n{}",
                    calls(),
                    self.place.story()
                );
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

/// The services root of the other supervisors.
pub fn peer(place: &Place) -> PathBuf {
    place.path().join("peer")
}

/// Starts a program in the other services root. It leads a session, so that no signal of the test's own group reaches
/// it, and its messages are kept.
pub fn start_in(place: &Place, mut command: Command) -> Running<'_> {
    let mut words = vec![command.get_program().to_owned()];
    words.extend(command.get_args().map(ToOwned::to_owned));
    command = Command::new("sh");
    command.arg("-c").arg("cd \"$0\" && exec \"$@\"").arg(peer(place)).args(words);
    // It hands on what it was given: a shell has its background jobs ignore INT and QUIT, and `nohup` HUP.
    let with_defaults = || {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
            // SAFETY: installs no code.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec it calls nothing but `signal`, which may be called there.
    unsafe { command.pre_exec(with_defaults) };
    place.start(command)
}
