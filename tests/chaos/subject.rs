//! One service directory, and what is to be expected of it.

use crate::lines::Lines;
use crate::services::{Design, Kind};
use std::path::{Path, PathBuf};
use supervise_tree::status::record::Want;

/// Where the directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the services root, under this name.
    Root(String),
    /// Put away; it may come back.
    Trash,
    /// Removed for good.
    Destroyed,
}

/// Whether its supervision has ended by `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    No,
    Yes,
    /// It had, and its directory was away for a moment: that may have been noticed or not.
    Maybe,
}

pub struct Subject {
    pub design: Design,
    pub location: Location,
    /// The name that it has in the root, or had there last.
    last_name: Option<String>,
    /// The location when all was at rest last.
    settled: Location,
    /// What was wanted when all was at rest last, and what was asked for since then.
    wants: Vec<Want>,
    /// How many of those are older than its last arrival in the root.
    older: usize,
    /// Its directory was moved since all was at rest.
    pub moved: bool,
    /// Its path leads to another directory since the tree was started: the next start, HUP or tree takes that one, and what was
    /// wanted of the old one is forgotten.
    switched: bool,
    /// Its logger was sent something deadly since all was at rest.
    logger_hit: bool,
    /// The same for its service; one that ends by itself is never safe.
    service_hit: bool,
    /// The tree was started anew since then, or the directory has come: there may be no logger yet.
    restarted: bool,
    pub left: Left,
    /// Its logger has left by `x`, and what is written waits in the pipe.
    pub logger_left: bool,
    /// Its thread has panicked since all was at rest, and may have taken commands with it.
    pub panicked: bool,
    pub lines: Lines,
    forgive: bool,
}

impl Subject {
    pub fn new(place: &Path, design: Design) -> Subject {
        Subject {
            design,
            location: Location::Trash,
            last_name: None,
            settled: Location::Trash,
            wants: Vec::new(),
            older: 0,
            moved: false,
            switched: false,
            logger_hit: false,
            service_hit: false,
            restarted: false,
            left: Left::No,
            logger_left: false,
            panicked: false,
            lines: Lines::new(place, design.id),
            forgive: false,
        }
    }

    /// Its module's name, if it is in the root.
    pub fn name(&self) -> Option<&str> {
        match &self.location {
            Location::Root(name) => Some(name),
            Location::Trash | Location::Destroyed => None,
        }
    }

    /// That name, or the one that it had there last.
    pub fn last_name(&self) -> Option<&str> {
        self.last_name.as_deref()
    }

    pub fn path(&self, place: &Path) -> Option<PathBuf> {
        match &self.location {
            Location::Root(name) => Some(place.join("sv").join(name)),
            Location::Trash => Some(place.join("trash").join(self.design.id.to_string())),
            Location::Destroyed => None,
        }
    }

    /// What is wanted of a service that nobody has asked anything of.
    fn fresh(&self) -> Want {
        if self.design.down { Want::Down } else { Want::Up }
    }

    /// Its directory is somewhere else now.
    pub fn moved_to(&mut self, location: Location) {
        // One that has just come may be gone before its logger could be started.
        self.forgive |= self.moved;
        self.moved = true;
        self.restarted = true;
        self.pipe_is_lost();
        if let Location::Root(name) = &location {
            self.last_name = Some(name.clone());
            self.older = self.wants.len();
            self.wants.push(self.fresh());
            self.left = match self.left {
                Left::Yes if self.settled == Location::Root(name.clone()) => Left::Maybe,
                Left::Maybe => Left::Maybe,
                Left::Yes | Left::No => Left::No,
            };
        }
        self.location = location;
    }

    /// Its path leads to another directory now.
    pub fn is_switched(&mut self) {
        self.moved_to(self.location.clone());
        self.switched = true;
    }

    /// What is remembered of it may be lost: its status directory is removed while nobody may be there to write it again.
    pub fn may_be_forgotten(&mut self) {
        self.wants.insert(0, self.fresh());
        self.panicked = true;
    }

    /// Its directory was away for a moment: `once` is one try, and that may have been just then.
    pub fn once_may_have_failed(&mut self) {
        if self.wants.contains(&Want::Once) {
            self.wants.insert(0, Want::Down);
            self.panicked = true;
        }
    }

    /// Its service may be without its logger for a moment.
    pub fn lines_may_go_elsewhere(&mut self) {
        self.forgive = true;
    }

    /// Somebody has asked for it.
    pub fn asked(&mut self, want: Want) {
        self.wants.push(want);
    }

    /// It has left by `x`.
    pub fn has_left(&mut self) {
        self.left = Left::Yes;
        self.pipe_is_lost();
    }

    /// Its logger has left by `x`.
    pub fn logger_has_left(&mut self) {
        self.logger_was_hit();
        self.logger_left = true;
    }

    /// The service ends, and nobody has read what waits in the pipe.
    fn pipe_is_lost(&mut self) {
        self.forgive |= std::mem::take(&mut self.logger_left);
    }

    /// A logger that had left is there again, and reads what has waited.
    pub fn logger_comes_back(&mut self) {
        self.logger_hit |= std::mem::take(&mut self.logger_left);
    }

    /// The tree is killed: what waits in a pipe without a logger is lost, unless the service runs and holds it.
    pub fn loses_its_tree(&mut self) {
        if self.wants != [Want::Up] || self.service_hit {
            self.pipe_is_lost();
        }
        self.comes_back();
    }

    /// Those that have left come back, and begin afresh.
    pub fn comes_back(&mut self) {
        self.logger_comes_back();
        match self.left {
            Left::No => {}
            Left::Yes => self.wants = vec![self.fresh()],
            Left::Maybe => self.wants.push(self.fresh()),
        }
        self.left = Left::No;
    }

    /// Whether lines of it may be missing without anybody having done wrong.
    pub fn is_forgiven(&self) -> bool {
        self.forgive || self.logger_left
    }

    pub fn logger_was_hit(&mut self) {
        self.logger_hit = true;
        self.lines.allow_one();
    }

    /// What may be wanted of it by now. Where the tree was killed, it may have read the last commands or not; where the
    /// directory was away for a moment, that may have been noticed or not.
    pub fn allowed(&self, crashed: bool) -> &[Want] {
        if self.switched {
            return &self.wants;
        }
        let came_back = self.settled == self.location;
        match (self.moved, crashed || self.panicked) {
            (true, unsure) if unsure || came_back => &self.wants,
            (true, _) => &self.wants[self.older..],
            (false, true) => &self.wants,
            (false, false) => &self.wants[self.wants.len().saturating_sub(1)..],
        }
    }

    pub fn service_was_hit(&mut self) {
        self.service_hit = true;
    }

    /// A logger that is killed is started again and reads on, if it can be: not if its directory is gone by then. And
    /// while there is no tree, nobody holds the pipe but the two: what is in it is gone when the service ends before
    /// there is a logger.
    pub fn note_what_cannot_be_kept(&mut self, crashes: usize) {
        let no_service = self.service_hit || self.moved || self.design.kind == Kind::Flapping;
        let no_logger = self.logger_hit || self.restarted || crashes > 1;
        let is_elsewhere = self.moved || self.switched;
        self.forgive |= (self.logger_hit && is_elsewhere) || (crashes > 0 && no_service && no_logger);
    }

    /// The tree has ended in good order: nothing is remembered.
    pub fn begins_afresh(&mut self, crashes: usize) {
        self.note_what_cannot_be_kept(crashes);
        self.pipe_is_lost();
        self.panicked = false;
        self.restarted = true;
        self.left = Left::No;
        self.moved = false;
        self.switched = false;
        self.logger_hit = false;
        self.service_hit = false;
        self.wants = vec![self.fresh()];
        self.older = 0;
        self.settled = self.location.clone();
    }

    /// All is at rest, and this is wanted.
    pub fn settles(&mut self, want: Option<Want>) {
        if std::mem::take(&mut self.forgive) {
            self.lines.forgive();
        }
        self.restarted = false;
        self.panicked = false;
        self.moved = false;
        self.logger_hit = false;
        self.service_hit = false;
        let fresh = self.switched.then(|| self.fresh());
        self.wants = fresh.into_iter().chain(want).collect();
        self.older = 0;
        self.settled = self.location.clone();
    }
}
