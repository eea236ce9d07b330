//! What may happen around a tree for a moment: things are away, and are put back; the tree stands still; its files are removed.

use crate::processes::Role;
use crate::subject::Left;
use crate::world::{World, happens};
use std::path::Path;
use std::time::Duration;

/// How long something is away at the most, in milliseconds.
const AWAY: usize = 80;

impl World<'_> {
    /// One fault, which is over when this returns.
    pub fn fault(&mut self) {
        match self.random.below(8) {
            0 => self.configuration_away(),
            1 => self.stop_and_continue(),
            2 => self.remove_own_lock(),
            3 => self.root_away(),
            4 => self.remove_status_directory(),
            5 => self.log_run_away(),
            6 => self.full_disk(),
            _ => self.switch_link(),
        }
    }

    fn pause(&mut self) {
        std::thread::sleep(Duration::from_millis(self.random.below(AWAY) as u64));
    }

    /// While it is away, the tree is told to read it, or replaces itself: the old settings hold.
    fn configuration_away(&mut self) {
        let conf = self.place.root().join("supervise.conf");
        if !Path::new(&conf).exists() {
            return;
        }
        self.tell("supervise.conf away and back".into());
        let away = self.place.path().join("supervise.conf.away");
        std::fs::rename(&conf, &away).expect("away");
        if self.random.chance(50) {
            self.rescan();
        } else {
            self.ask_for_upgrade();
        }
        self.pause();
        std::fs::rename(&away, &conf).expect("back");
        // A tree that has begun just then has none, and would not kill what ignores TERM.
        self.rescan();
    }

    fn stop_and_continue(&mut self) {
        self.tell("STOP and CONT to the tree".into());
        self.signal_tree("STOP");
        self.pause();
        self.signal_tree("CONT");
    }

    /// The lock of the tree itself.
    fn remove_own_lock(&mut self) {
        self.tell("remove the lock of the tree".into());
        let own = self.place.status_root().join(".supervise-tree");
        // One that was removed just now may not be there again.
        let _ = std::fs::remove_file(own.join("lock"));
    }

    /// The whole root, with a service that ends meanwhile, or a tree that looks for it.
    fn root_away(&mut self) {
        if self.is_upgrading {
            return self.tell("the root stays: the program may just be replacing itself".into());
        }
        let away = self.place.path().join("sv.away");
        let order = self.random.below(4);
        let victim = self.any();
        self.tell(format!("the root away and back ({order})"));
        self.root_was_away = true;
        std::fs::rename(self.place.root(), &away).expect("away");
        match (order, victim) {
            (0, Some((id, _))) => {
                self.tell(format!("kill the service {id} while the root is away"));
                self.subject(id).service_was_hit();
                self.kill(&Role::Service(id));
            }
            (1, _) => self.ask_for_upgrade(),
            (2, _) => self.rescan(),
            _ => {}
        }
        self.pause();
        std::fs::rename(&away, self.place.root()).expect("back");
        // The configuration was away with it.
        self.rescan();
    }

    /// A module's status directory, while the tree runs: it is made anew, and says the truth again. A tree that is killed
    /// before that has nothing to find its processes by, so this waits.
    fn remove_status_directory(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let module = self.module(&name);
        let subject = &self.subjects[&id];
        let has_logger = subject.design.logger && !subject.logger_left;
        let logger = self.module(&format!("{name}/log"));
        // What a tree that has just begun has not found yet, it would never find.
        let is_supervised = || module.is_supervised() && (!has_logger || logger.is_supervised());
        if subject.moved || subject.left != Left::No || !happens(is_supervised) {
            return self.tell(format!("no removal of the status of {name} ({id}): it is not at rest"));
        }
        self.tell(format!("remove the status of {name} ({id})"));
        // The program may just be replacing itself.
        self.subject(id).may_be_forgotten();
        remove_all_but_pipes(module.dir());
        let modules = [Some(name.clone()), has_logger.then(|| format!("{name}/log"))];
        for name in modules.into_iter().flatten() {
            let module = self.module(&name);
            let is_mended =
                || module.is_supervised() && module.path("lock").exists() && module.path("state.json").exists();
            if !happens(is_mended) {
                self.overdue.push(format!("the status of {name} was removed, and is not made anew"));
            }
        }
    }

    /// The disk of the status directories, while something happens that is to be written down.
    fn full_disk(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        disk.fill();
        let order = self.random.below(5);
        self.tell(format!("the disk is full for a moment ({order})"));
        match order {
            0 => self.kill_service(),
            1 => self.command(),
            2 => self.kill_logger(),
            3 => self.rescan(),
            _ => {}
        }
        self.pause();
        if let Some(disk) = &self.disk {
            disk.clear();
        }
    }

    /// A logger's program, while the logger ends: it is started again when the program is back.
    fn log_run_away(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let run = self.place.root().join(&name).join("log/run");
        if !run.exists() {
            return self.tell(format!("no log/run of {name} ({id})"));
        }
        self.tell(format!("log/run of {name} ({id}) away and back"));
        let away = self.place.path().join("log.run.away");
        std::fs::rename(&run, &away).expect("away");
        // A tree that looks just now starts the service without it: what that writes then is in __stdout.
        self.subject(id).lines_may_go_elsewhere();
        if self.random.chance(50) {
            self.subject(id).logger_was_hit();
            self.kill(&Role::Logger(id));
        }
        self.pause();
        std::fs::rename(&away, &run).expect("back");
        // A tree that has looked meanwhile knows of no logger, and watches no directory without a run for one.
        self.rescan();
    }

    /// What the link of a service leads to by way of another link becomes another directory, as a deployment does it. No
    /// watch of the root tells of it: it counts at the next start.
    fn switch_link(&mut self) {
        let Some((id, name)) = self.any() else { return };
        let design = self.subjects[&id].design;
        if !design.link {
            return self.tell(format!("no link to switch at {name} ({id})"));
        }
        let removed = self.random.chance(50);
        self.tell(format!("switch the link of {name} ({id}), old one removed: {removed}"));
        design.switch(self.place, removed);
        self.subject(id).is_switched();
    }
}

/// Removes what is in a status directory. A pipe to a logger that has lost its name is read to its end, but what waits in it
/// is lost with the logger: that is no fault, and would have to be forgiven from then on.
fn remove_all_but_pipes(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_all_but_pipes(&entry.path()),
            _ if entry.file_name() == "stdin" => {}
            _ => drop(std::fs::remove_file(entry.path())),
        }
    }
    // Not one that still has a pipe in it.
    let _ = std::fs::remove_dir(dir);
}
