//! What can be done to a tree and its services. What is done next depends on the seed alone, and not on how fast the
//! tree is; how that turned out is noted in the [`Subject`]s.

use crate::common::{DEADLINE, Module, Place, proc_status, script, signal, tree_command, wait_for};
use crate::disk::SmallDisk;
use crate::processes::{MARK, Reaper, Role, Ticker, scan};
use crate::random::Random;
use crate::relations::{needy, relations};
use crate::services::{Design, Kind, prepare};
use crate::subject::{Left, Location, Subject};
use nix::sys::wait::WaitStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};
use supervise_tree::status::record::Want;

/// How many service directories there are in the root, at the fewest and at the most.
const FEWEST: usize = 18;
const MOST: usize = 34;

/// Names for each kind. More than services, so that some are free; few enough that they are used again.
pub const NAMES: usize = 20;

/// Bytes for a service's FIFO; often what changes the most.
const COMMANDS: &[u8] = b"uuuuddddookktthaiq12wppcccsnr\n?";

/// Bytes for a logger's FIFO: it is never wanted down, for then lines would wait in the pipe.
const LOGGER_COMMANDS: &[u8] = b"ktqiha12wsncru";

/// Of those, the ones that end a process that has not asked for them.
const DEADLY: &[u8] = b"ktqiha12";

/// Whether `condition` comes to hold in time.
pub fn happens(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

pub struct World<'a> {
    pub place: &'a Place,
    pub random: Random,
    pub subjects: BTreeMap<usize, Subject>,
    /// Whether the trees keep runit's files, too: with every other seed.
    pub runit: bool,
    /// For the status directories, if this process may mount one.
    pub disk: Option<SmallDisk>,
    /// The tree's pid, while it runs.
    pub tree: Option<u32>,
    /// It was told to replace its program since all was at rest.
    pub is_upgrading: bool,
    /// The root was away since all was at rest.
    pub root_was_away: bool,
    /// How often the tree was killed since all was at rest.
    pub crashes: usize,
    /// What was done, for whoever has to find out why it went wrong.
    pub story: Vec<String>,
    /// The same, of the time before all was at rest last.
    pub story_before: Vec<String>,
    /// What did not happen in time, although it was waited for.
    pub overdue: Vec<String>,
    /// How often the tree had looked at everything when it was last told to, if it was.
    hup_after: Option<usize>,
    /// How many descriptors the tree has for itself.
    pub own_descriptors: Option<usize>,
    pub reaper: Reaper,
    pub ticker: Ticker,
}

impl<'a> World<'a> {
    pub fn new(place: &'a Place, seed: u64) -> World<'a> {
        prepare(place);
        let disk = SmallDisk::mount(&place.status_root());
        let mut world = World {
            place,
            random: Random::new(seed),
            runit: seed.is_multiple_of(2),
            subjects: BTreeMap::new(),
            disk,
            tree: None,
            is_upgrading: false,
            root_was_away: false,
            crashes: 0,
            story: Vec::new(),
            story_before: Vec::new(),
            overdue: Vec::new(),
            hup_after: None,
            own_descriptors: None,
            reaper: Reaper::start(),
            ticker: Ticker::start(),
        };
        world.configure();
        for _ in 0..(FEWEST + MOST) / 2 {
            world.add();
        }
        world.start_tree();
        world
    }

    /// Does one thing.
    pub fn act(&mut self) {
        // Whatever it is, it may stop what one of these needs.
        let is_needy = |subject: &&mut Subject| subject.name().is_some_and(|name| needy().any(|needy| needy == name));
        self.subjects.values_mut().filter(is_needy).for_each(Subject::service_was_hit);
        match self.tree {
            Some(_) => self.act_on_tree(),
            None if self.random.chance(35) => self.start_tree(),
            None => match self.random.below(30) {
                0..10 => self.kill_service(),
                10..14 => self.kill_logger(),
                14..16 => self.configure(),
                _ => self.change_directories(),
            },
        }
        if self.random.chance(50) {
            std::thread::sleep(Duration::from_millis(self.random.below(30) as u64));
        }
    }

    fn act_on_tree(&mut self) {
        match self.random.below(100) {
            0..18 => self.kill_service(),
            18..25 => self.kill_logger(),
            25..46 => self.command(),
            46..54 => self.fault(),
            54..56 => self.command_logger(),
            56..58 => self.exit(),
            58 => self.exit_logger(),
            59 => self.panic(),
            60..80 => self.change_directories(),
            80..82 => self.configure(),
            82..87 => self.rescan(),
            87..93 => self.upgrade(),
            93..99 => self.kill_tree(),
            _ => self.end_tree(),
        }
    }

    fn change_directories(&mut self) {
        let present = self.present().len();
        match self.random.below(18) {
            _ if present <= FEWEST => self.add(),
            0..3 if present < MOST => self.add(),
            3..8 if present < MOST => self.restore(),
            0..3 => self.destroy(),
            3..11 => self.remove(),
            11..15 => self.rename(),
            15..17 => self.swap(),
            _ => self.destroy(),
        }
    }

    pub fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    /// The numbers of what is in the root.
    fn present(&self) -> Vec<usize> {
        self.subjects.iter().filter(|(_, subject)| subject.name().is_some()).map(|(id, _)| *id).collect()
    }

    fn trash(&self) -> Vec<usize> {
        let in_trash = |(_, subject): &(&usize, &Subject)| subject.location == Location::Trash;
        self.subjects.iter().filter(in_trash).map(|(id, _)| *id).collect()
    }

    /// One that is in the root, and its name.
    pub fn any(&mut self) -> Option<(usize, String)> {
        let id = self.random.pick(&self.present())?;
        Some((id, self.subjects[&id].name()?.to_string()))
    }

    pub fn subject(&mut self, id: usize) -> &mut Subject {
        self.subjects.get_mut(&id).expect("known")
    }

    fn free_name(&mut self, kind: Kind) -> Option<String> {
        let used: BTreeSet<&str> = self.subjects.values().filter_map(Subject::name).collect();
        let all = (0..NAMES).map(|number| format!("{}{number:02}", kind.letter()));
        let free: Vec<String> = all.filter(|name| !used.contains(name.as_str())).collect();
        free.get(self.random.below(free.len())).cloned()
    }

    pub fn module(&self, name: &str) -> Module {
        self.place.module(name)
    }

    // ----- directories ----------------------------------------------------------------------------------------

    fn add(&mut self) {
        let id = self.subjects.len();
        let kind = match self.random.below(10) {
            0..2 => Kind::Flapping,
            2..4 => Kind::Stubborn,
            _ => Kind::Steady,
        };
        let (logger, down) = (self.random.chance(50), self.random.chance(10));
        let (link, in_place) = (self.random.chance(20), self.random.chance(30));
        let design = Design { id, kind, logger, down, link };
        let Some(name) = self.free_name(kind) else { return };
        self.tell(format!("add {name}: {design:?}{}", if in_place && !link { ", file by file" } else { "" }));
        self.ticker.add(self.place.path(), id);
        let mut subject = Subject::new(self.place.path(), design);
        subject.moved_to(Location::Root(name.clone()));
        self.subjects.insert(id, subject);
        let target = self.place.root().join(name);
        if in_place && !link {
            design.make_at(&target)
        } else {
            std::fs::rename(design.make(self.place), target).expect("moved in")
        }
    }

    /// Moves a directory, or the link to it.
    fn relocate(&mut self, id: usize, to: Location) {
        let place = self.place.path().to_owned();
        let subject = self.subject(id);
        let from = subject.path(&place).expect("there");
        subject.moved_to(to);
        std::fs::rename(from, subject.path(&place).expect("a place")).expect("moved");
    }

    fn remove(&mut self) {
        let Some((id, name)) = self.any() else { return };
        self.tell(format!("remove {name} ({id})"));
        self.relocate(id, Location::Trash);
    }

    fn restore(&mut self) {
        let Some(id) = self.random.pick(&self.trash()) else { return };
        let Some(name) = self.free_name(self.subjects[&id].design.kind) else { return };
        self.tell(format!("restore {id} as {name}"));
        self.relocate(id, Location::Root(name));
    }

    fn rename(&mut self) {
        let Some((id, old)) = self.any() else { return };
        let Some(new) = self.free_name(self.subjects[&id].design.kind) else { return };
        self.tell(format!("rename {old} ({id}) to {new}"));
        self.relocate(id, Location::Root(new));
    }

    /// Another directory takes a name, at once.
    fn swap(&mut self) {
        let Some((old, name)) = self.any() else { return };
        let kind = self.subjects[&old].design.kind;
        let others: Vec<usize> = self.trash().into_iter().filter(|id| self.subjects[id].design.kind == kind).collect();
        let Some(new) = self.random.pick(&others) else { return };
        self.tell(format!("replace {name} ({old}) by {new}"));
        self.relocate(old, Location::Trash);
        self.relocate(new, Location::Root(name));
    }

    fn destroy(&mut self) {
        let Some((id, name)) = self.any() else { return };
        self.tell(format!("destroy {name} ({id})"));
        let place = self.place;
        let subject = self.subject(id);
        let path = subject.path(place.path()).expect("there");
        subject.moved_to(Location::Destroyed);
        subject.design.destroy(place, &path);
        self.ticker.remove(id);
    }

    /// Writes the settings; the tree reads them when it is told to, or is started.
    fn configure(&mut self) {
        let delay = self.random.pick(&["0.02", "0.05", "0.1"]).unwrap_or("0.05");
        self.tell(format!("configure restart_delay {delay}"));
        let mut text = format!("[global]\nrestart_delay : {delay}\nkill_timeout : 20\n");
        for number in 0..NAMES {
            text += &format!("[{}{number:02}]\nkill_timeout : 0.3\n", Kind::Stubborn.letter());
        }
        text += &relations(&mut self.random);
        let fresh = self.place.path().join("supervise.conf");
        script(&fresh, &text);
        std::fs::rename(fresh, self.place.root().join("supervise.conf")).expect("supervise.conf");
    }

    // ----- processes ------------------------------------------------------------------------------------------

    pub fn kill(&self, role: &Role) {
        for (pid, _) in scan(self.place.path()).iter().filter(|(_, is)| is == role) {
            signal(*pid, "KILL");
        }
    }

    pub fn kill_service(&mut self) {
        let Some((id, name)) = self.any() else { return };
        self.tell(format!("kill the service of {name} ({id})"));
        self.subject(id).service_was_hit();
        self.kill(&Role::Service(id));
    }

    pub fn kill_logger(&mut self) {
        let Some((id, name)) = self.any() else { return };
        self.tell(format!("kill the logger of {name} ({id})"));
        self.subject(id).logger_was_hit();
        self.kill(&Role::Logger(id));
    }

    /// Writes into a module's FIFO, if somebody reads it.
    fn send(&mut self, module: &str, bytes: &[u8]) -> bool {
        let mut options = std::fs::OpenOptions::new();
        let fifo = options.write(true).custom_flags(libc::O_NONBLOCK).open(self.module(module).path("control"));
        fifo.is_ok_and(|mut fifo| std::io::Write::write_all(&mut fifo, bytes).is_ok())
    }

    pub fn command(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let count = 1 + self.random.below(3);
        let bytes: Vec<u8> = (0..count).filter_map(|_| self.random.pick(COMMANDS)).collect();
        let sent = self.send(&name, &bytes);
        self.tell(format!("send {:?} to {name} ({id}): {sent}", String::from_utf8_lossy(&bytes)));
        self.subject(id).service_was_hit();
        let wants = bytes.iter().filter_map(|byte| match byte {
            b'u' => Some(Want::Up),
            b'd' => Some(Want::Down),
            b'o' => Some(Want::Once),
            _ => None,
        });
        if sent {
            wants.for_each(|want| self.subject(id).asked(want));
        }
    }

    fn command_logger(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let byte = self.random.pick(LOGGER_COMMANDS).unwrap_or(b'k');
        let sent = self.subjects[&id].design.logger && self.send(&format!("{name}/log"), &[byte]);
        self.tell(format!("send {:?} to {name}/log ({id}): {sent}", char::from(byte)));
        if sent && DEADLY.contains(&byte) {
            self.subject(id).logger_was_hit();
        }
    }

    /// How often the tree has looked at everything because it was told to.
    fn hups(&self) -> usize {
        self.place.own().text("supervise.log").matches("looking at everything again").count()
    }

    /// Waits until no HUP is under way: one that is heard after an `x` brings back what has left, rightly.
    fn wait_for_hup(&mut self) {
        let Some(before) = self.hup_after.take() else { return };
        if !happens(|| self.hups() > before) {
            self.overdue.push("a HUP was not heard".to_string());
        }
    }

    /// `x`: supervision ends, and nothing but HUP or a new directory brings it back.
    fn exit(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let subject = &self.subjects[&id];
        if subject.moved || subject.left != Left::No {
            return self.tell(format!("no exit of {name} ({id}): it is not at rest"));
        }
        self.tell(format!("exit {name} ({id})"));
        self.wait_for_hup();
        let module = self.module(&name);
        if !happens(|| module.is_supervised()) {
            return self.overdue.push(format!("{name} is not supervised"));
        }
        module.send("dx");
        if happens(|| !module.is_supervised()) {
            self.subject(id).has_left()
        } else {
            self.overdue.push(format!("{name} was told to exit, and is still there"))
        }
    }

    /// The same for a logger alone: its service goes on.
    fn exit_logger(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let subject = &self.subjects[&id];
        if subject.moved || subject.left != Left::No || subject.logger_left || !subject.design.logger {
            return self.tell(format!("no exit of {name}/log ({id}): there is none, or it is not at rest"));
        }
        self.tell(format!("exit {name}/log ({id})"));
        self.wait_for_hup();
        let module = self.module(&format!("{name}/log"));
        if !happens(|| module.is_supervised()) {
            return self.overdue.push(format!("{name}/log is not supervised"));
        }
        module.send("xk");
        if happens(|| !module.is_supervised()) {
            self.subject(id).logger_has_left()
        } else {
            self.overdue.push(format!("{name}/log was told to exit, and is still there"))
        }
    }

    /// A supervisor thread panics, where the build has a command for that; it begins anew and adopts.
    fn panic(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let module = if self.random.chance(30) { format!("{name}/log") } else { name };
        let sent = self.send(&module, b"!");
        self.tell(format!("a panic for {module} ({id}): {sent}"));
        self.subject(id).panicked = true;
    }

    // ----- the tree ---------------------------------------------------------------------------------------------

    pub fn start_tree(&mut self) {
        self.tell("start the tree".into());
        self.hup_after = None;
        self.reaper.forget_all();
        let stderr = std::fs::OpenOptions::new().append(true).create(true).open(self.place.path().join("stderr"));
        let mut command = tree_command();
        command.arg("-p").arg(self.place.status_root()).arg("-q").arg(self.place.root());
        if self.runit {
            command.arg("--runit-compat");
        }
        command.env(MARK, self.place.path()).current_dir(self.place.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.expect("stderr"));
        // The reaper waits for it.
        let pid = command.spawn().expect("started").id();
        self.tree = Some(pid);
        // Before it has taken its signals, they would kill it. Its FIFO would not tell: a child that was just being started
        // when the last tree was killed may still hold that.
        let term = 1 << (nix::libc::SIGTERM - 1);
        let blocked = || u64::from_str_radix(&proc_status(pid, "SigBlk"), 16).unwrap_or_default();
        wait_for("the tree to take its signals", self.place, || blocked() & term != 0);
    }

    pub fn signal_tree(&self, name: &str) {
        if let Some(pid) = self.tree {
            signal(pid, name);
        }
    }

    fn wait_for_end(&mut self) -> Option<WaitStatus> {
        let pid = self.tree.take()?;
        wait_for("the tree's end", self.place, || self.reaper.status(pid).is_some());
        self.reaper.status(pid)
    }

    fn kill_tree(&mut self) {
        self.tell("kill the tree".into());
        self.signal_tree("KILL");
        self.wait_for_end();
        self.crashes += 1;
        self.subjects.values_mut().for_each(Subject::loses_its_tree);
    }

    /// Ends it in good order: nothing is left.
    pub fn end_tree(&mut self) {
        self.tell("end the tree".into());
        let pid = self.tree;
        self.signal_tree("TERM");
        let status = self.wait_for_end();
        assert!(matches!(status, Some(WaitStatus::Exited(_, 0))), "{pid:?}: {status:?}");
        let left = scan(self.place.path());
        assert!(left.is_empty(), "left behind by a tree that ended: {left:?}");
        let crashes = std::mem::take(&mut self.crashes);
        self.subjects.values_mut().for_each(|subject| subject.begins_afresh(crashes));
    }

    pub fn rescan(&mut self) {
        // Two at once may become one: how often it is heard would not tell of which.
        self.wait_for_hup();
        self.tell("HUP to the tree".into());
        self.hup_after = Some(self.hups());
        self.signal_tree("HUP");
        self.subjects.values_mut().for_each(Subject::comes_back);
    }

    fn upgrade(&mut self) {
        self.tell("USR2 to the tree".into());
        self.ask_for_upgrade();
    }

    pub fn ask_for_upgrade(&mut self) {
        self.is_upgrading = true;
        self.signal_tree("USR2");
    }
}
