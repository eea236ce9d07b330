//! What must be so when nobody does anything any more.

use crate::common::{Module, is_stopped};
use crate::processes::{Role, scan, zombies_of};
use crate::subject::{Left, Subject};
use crate::world::World;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use supervise_tree::status::record::{Record, Want};

/// All comes to rest within this time, also on a machine that is busy with other things.
const REST: Duration = Duration::from_secs(45);

/// The text of a panic that this test has asked for.
const EXPECTED_EXIT_WINDOW: &str = "a panic was asked for";

/// What a look at everything has found.
struct Look {
    /// What is not at rest yet, or wrong.
    problems: Vec<String>,
    /// What is wanted of each service that is supervised.
    wants: BTreeMap<usize, Want>,
    processes: BTreeMap<Role, Vec<u32>>,
    /// Supervised modules, loggers among them, and how many processes they have.
    modules: Vec<String>,
    running: usize,
    own_descriptors: usize,
    /// Pipes to loggers that have left.
    pipes: Vec<PathBuf>,
}

impl World<'_> {
    /// Waits until all is as it should be.
    ///
    /// # Errors
    /// What is still wrong after [`REST`], or can never be right again.
    pub fn settle(&mut self) -> Result<(), Vec<String>> {
        if self.tree.is_none() {
            self.start_tree();
        }
        self.ticker.stop();
        self.is_upgrading = false;
        if std::mem::take(&mut self.root_was_away) {
            self.subjects.values_mut().for_each(Subject::once_may_have_failed);
        }
        let crashes = std::mem::take(&mut self.crashes);
        for subject in self.subjects.values_mut() {
            subject.note_what_cannot_be_kept(crashes);
        }
        let crashed = crashes > 0;
        let deadline = Instant::now() + REST;
        let mut before = None;
        let look = loop {
            self.what_never_may_be()?;
            let look = self.look(crashed);
            // Twice the same: what is just being opened is not what the tree can do with.
            if look.problems.is_empty() && before.replace(look.own_descriptors) == Some(look.own_descriptors) {
                break look;
            }
            if Instant::now() >= deadline {
                return Err(look.problems);
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.own_descriptors = Some(look.own_descriptors.min(self.own_descriptors.unwrap_or(MOST_OWN)));
        for (id, subject) in &mut self.subjects {
            if subject.left == Left::Maybe {
                subject.left = if look.wants.contains_key(id) { Left::No } else { Left::Yes };
            }
            subject.settles(look.wants.get(id).copied());
        }
        self.ticker.run();
        Ok(())
    }

    /// What no waiting puts right.
    fn what_never_may_be(&mut self) -> Result<(), Vec<String>> {
        let doubled = std::fs::read_to_string(self.place.path().join("doubled")).unwrap_or_default();
        let mut wrong = self.overdue.clone();
        wrong.extend(doubled.lines().map(|line| format!("two at the same time: {line}")));
        let said = self.place.own().text("supervise.log.wf");
        wrong.extend(
            said.lines()
                .filter(|line| line.contains("[FATAL]") && !line.contains(EXPECTED_EXIT_WINDOW))
                .map(str::to_owned),
        );
        for (id, subject) in &mut self.subjects {
            wrong.extend(subject.lines.read_on().err().map(|what| format!("lines of {id}: {what}")));
        }
        let tree = self.tree.filter(|pid| self.reaper.status(*pid).is_some());
        wrong.extend(tree.map(|pid| format!("the tree ended: {:?}", self.reaper.status(pid))));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn look(&self, crashed: bool) -> Look {
        let mut look = Look {
            problems: Vec::new(),
            wants: BTreeMap::new(),
            processes: BTreeMap::new(),
            modules: Vec::new(),
            running: 0,
            own_descriptors: 0,
            pipes: Vec::new(),
        };
        for (pid, role) in scan(self.place.path()) {
            if Some(pid) != self.tree {
                look.processes.entry(role).or_default().push(pid);
            }
        }
        for (id, subject) in &self.subjects {
            let problems = match (subject.name(), subject.left) {
                (Some(name), Left::No) => self.supervised(&mut look, *id, subject, name, crashed),
                (Some(name), Left::Maybe) if self.module(name).is_supervised() => {
                    self.supervised(&mut look, *id, subject, name, crashed)
                }
                (Some(name), _) => unsupervised(&self.module(name)),
                (None, _) => Vec::new(),
            };
            look.problems
                .extend(problems.into_iter().map(|problem| format!("{:?} ({id}): {problem}", subject.location)));
            if subject.design.logger && !subject.is_forgiven() {
                look.problems.extend(subject.lines.problem().map(|problem| format!("lines of {id}: {problem}")));
            }
        }
        self.names_without_directory(&mut look);
        let strays = look.processes.iter().filter(|(_, pids)| !pids.is_empty());
        let strays: Vec<String> = strays.map(|(role, pids)| format!("nobody's process: {role:?} {pids:?}")).collect();
        look.problems.extend(strays);
        let tree = self.tree.unwrap_or(0);
        look.problems.extend(zombies_of(tree).into_iter().map(|pid| format!("a zombie: {pid}")));
        let descriptors = self.descriptors(tree, &mut look);
        look.problems.extend(descriptors);
        look
    }

    /// A service in the root: its files agree with each other and with its processes, and these with what is wanted.
    fn supervised(&self, look: &mut Look, id: usize, subject: &Subject, name: &str, crashed: bool) -> Vec<String> {
        let mut problems = Vec::new();
        let module = self.module(name);
        look.modules.push(name.to_string());
        let pids = look.processes.remove(&Role::Service(id)).unwrap_or_default();
        look.running += pids.len();
        match self.files(&module, &pids, &self.place.root().join(name)) {
            Err(problem) => problems.push(problem),
            Ok(want) => {
                let allowed = subject.allowed(crashed);
                let waits = module.state_name() == "waiting";
                if waits {
                    problems.extend(self.waits_in_vain(&module));
                }
                let count = match want {
                    Want::Up if waits => 0..=0,
                    Want::Up => 1..=1,
                    Want::Down => 0..=0,
                    Want::Once => 0..=1,
                };
                if !allowed.contains(&want) {
                    problems.push(format!("{want:?} is wanted, and not {allowed:?}"));
                }
                if !count.contains(&pids.len()) {
                    problems.push(format!("{want:?} is wanted, but {pids:?} run"));
                }
                look.wants.insert(id, want);
            }
        }
        let loggers = look.processes.remove(&Role::Logger(id)).unwrap_or_default();
        look.running += loggers.len();
        if subject.logger_left {
            // The service has its end of the pipe.
            look.pipes.push(self.module(&format!("{name}/log")).path("stdin"));
            problems.extend(unsupervised(&self.module(&format!("{name}/log"))));
        }
        if subject.design.logger && !subject.logger_left {
            look.modules.push(format!("{name}/log"));
            let path = self.place.root().join(name).join("log");
            match self.files(&self.module(&format!("{name}/log")), &loggers, &path) {
                Err(problem) => problems.push(format!("logger: {problem}")),
                Ok(want) if want != Want::Up || loggers.len() != 1 => {
                    problems.push(format!("logger: {want:?} is wanted, {loggers:?} run"));
                }
                Ok(_) if module.state()["log_pid"].as_u64() != loggers.first().map(|pid| u64::from(*pid)) => {
                    problems.push(format!("log_pid is {}, but {loggers:?} run", module.state()["log_pid"]));
                }
                Ok(_) => {}
            }
        } else if !loggers.is_empty() {
            problems.push(format!("loggers {loggers:?}, where there is none"));
        }
        problems
    }

    /// Whether `status` and `state.json` are true: what is wanted by both.
    fn files(&self, module: &Module, pids: &[u32], definition: &std::path::Path) -> Result<Want, String> {
        if !module.is_supervised() {
            return Err("not supervised".into());
        }
        let (bytes, state) = (module.status(), module.state());
        let record = Record::decode(&bytes).ok_or_else(|| format!("status is {bytes:?}"))?;
        let pid = (record.pid > 0).then_some(record.pid);
        let expected = match (pid, record.paused) {
            (None, _) if record.want != Want::Down && state["state"] == "waiting" => "waiting",
            (None, _) => "down",
            (Some(_), true) => "paused",
            (Some(_), false) => "up",
        };
        let facts = [
            (pids == pid.as_slice(), format!("status shows {pid:?}, but {pids:?} run")),
            (state["pid"].as_u64() == pid.map(u64::from), format!("state.json shows pid {}", state["pid"])),
            (state["state"] == expected, format!("state.json shows {}, and not {expected}", state["state"])),
            (
                state["want"] == record.want.name(),
                format!("state.json wants {}, status {:?}", state["want"], record.want),
            ),
            (state["paused"] == record.paused, "paused in one file only".into()),
            (state["alarm"] == record.alarm, "the alarm is on in one file only".into()),
            (
                pid.is_none_or(|pid| is_stopped(pid) == record.paused),
                "paused, or not, but the process is not so".into(),
            ),
            (state["supervisor_pid"].as_u64() == self.tree.map(u64::from), "another supervisor_pid".into()),
            (state["definition"] == definition.to_string_lossy().as_ref(), format!("of {}", state["definition"])),
        ];
        match facts.into_iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err(problem),
            None => Ok(record.want),
        }
    }

    /// Whoever waits waits for one that does not run, or for ever in a circle.
    fn waits_in_vain(&self, module: &Module) -> Option<String> {
        let state = module.state();
        let reason = state["reason"].as_str().unwrap_or_default();
        let Some(other) = state["waits_for"].as_str() else {
            return (!reason.starts_with("in a circle: ")).then(|| format!("waits for nobody: {reason:?}"));
        };
        let other_module = self.module(other);
        let runs = other_module.is_supervised() && other_module.pid() != 0;
        runs.then(|| format!("waits, for it {reason}; but {other} runs"))
    }

    /// Status directories of names that are not there any more show nothing that runs.
    fn names_without_directory(&self, look: &mut Look) {
        let present: Vec<&str> = self.subjects.values().filter_map(Subject::name).collect();
        for entry in std::fs::read_dir(self.place.status_root()).expect("status").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || present.contains(&name.as_str()) {
                continue;
            }
            for module in [self.module(&name), self.module(&format!("{name}/log"))] {
                let problems = unsupervised(&module);
                look.problems.extend(problems.into_iter().map(|problem| format!("{name}, which is gone: {problem}")));
            }
        }
    }

    /// Every descriptor of the tree is accounted for.
    fn descriptors(&self, tree: u32, look: &mut Look) -> Vec<String> {
        let mut open: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let Ok(entries) = std::fs::read_dir(format!("/proc/{tree}/fd")) else { return vec!["no descriptors".into()] };
        for to in entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok()) {
            *open.entry(to).or_default() += 1;
        }
        let mut problems = Vec::new();
        let own = [".supervise-tree".to_string()];
        for name in look.modules.iter().chain(&own) {
            let module = self.module(name);
            let pipe = name.ends_with("/log").then_some("stdin");
            let runit = (self.runit && name != ".supervise-tree").then_some("supervise/control");
            for entry in ["lock", "control", "ok"].into_iter().chain(pipe).chain(runit) {
                match open.remove(&module.path(entry)) {
                    Some(1) => {}
                    count => problems.push(format!("{name}/{entry} is open {} times", count.unwrap_or(0))),
                }
            }
        }
        open.retain(|path, count| !(look.pipes.contains(path) && *count == 1));
        let status_root = self.place.status_root();
        let strange = open.keys().filter(|path| path.starts_with(&status_root));
        problems.extend(strange.map(|path| format!("{} is open", path.display())));
        // After an upgrade it has adopted all before it watches the root.
        if !open.contains_key(Path::new("anon_inode:inotify")) {
            problems.push("the root is not watched".to_string());
        }
        let is_pidfd = |path: &PathBuf| path.to_string_lossy().contains("pidfd");
        let pidfds: usize = open.iter().filter(|(path, _)| is_pidfd(path)).map(|(_, count)| count).sum();
        if pidfds != look.running {
            problems.push(format!("{pidfds} pidfds for {} processes", look.running));
        }
        // Each module has a mailbox, which is one; the rest is the tree's own, and stays as it is.
        let own = open.values().sum::<usize>().saturating_sub(pidfds + look.modules.len());
        let most = self.own_descriptors.unwrap_or(MOST_OWN);
        if own > most {
            problems.push(format!("{own} other descriptors are open, and not {most}: {open:?}"));
        }
        look.own_descriptors = own;
        problems
    }
}

/// No tree needs more for itself, beside its lock and its FIFOs.
const MOST_OWN: usize = 24;

/// Nobody supervises it, and nothing is shown as running.
fn unsupervised(module: &Module) -> Vec<String> {
    let mut problems = Vec::new();
    if module.is_supervised() {
        problems.push("still supervised".to_string());
    }
    if module.pid() != 0 {
        problems.push(format!("status shows pid {}", module.pid()));
    }
    if !module.status().is_empty() && !module.state()["pid"].is_null() {
        problems.push(format!("state.json shows pid {}", module.state()["pid"]));
    }
    problems
}
