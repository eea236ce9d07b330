//! What may happen around a tree for a moment: things are away, and are put back; the tree stands still; its files are removed.

use crate::world::World;
use std::path::Path;
use std::time::Duration;

/// How long something is away at the most, in milliseconds.
const AWAY: usize = 80;

impl World<'_> {
    /// One fault, which is over when this returns.
    pub fn fault(&mut self) {
        match self.random.below(3) {
            0 => self.configuration_away(),
            1 => self.stop_and_continue(),
            _ => self.remove_own_directory(),
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
            self.signal_tree("USR2");
        }
        self.pause();
        std::fs::rename(&away, &conf).expect("back");
    }

    fn stop_and_continue(&mut self) {
        self.tell("STOP and CONT to the tree".into());
        self.signal_tree("STOP");
        self.pause();
        self.signal_tree("CONT");
    }

    /// The lock of the tree itself. What the tests read of a module's directory has to stay.
    fn remove_own_directory(&mut self) {
        self.tell("remove the lock of the tree".into());
        let own = self.place.status_root().join(".supervise-tree");
        // One that was removed just now may not be there again.
        let _ = std::fs::remove_file(own.join("lock"));
    }
}
