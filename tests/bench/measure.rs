//! One run of one supervisor: from its start with all services to its end, everything measured on the way.

use super::context;
use super::cost::{Memory, activity, descriptors};
use super::order::Shape;
use super::peers::Peer;
use super::place::{Place, Start, all_dead, kill_all, now, open_all, reap_all, signal, supervisors};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::time::Duration;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// From exec of the supervisor to the last service, over the number of services.
    StartAll,
    /// From KILL to the first instruction of the next process.
    Restart,
    /// From the first of many KILLs to the last service that is there again, over the number of services.
    KillAll,
    /// From `k` on the control FIFO to the first instruction of the next process.
    Command,
    /// From the directory's arrival to the service's first instruction.
    NewDirectory,
    /// From the directory's disappearance to the end of the service.
    Removal,
    /// From the order to stop to the end of the last service.
    Dead,
    /// From the order to stop to the end of all processes.
    StopAll,
    /// Context switches a second, of all threads, while nothing happens.
    Wakeups,
    /// Processor time while nothing happens.
    IdleCpu,
    /// Memory for each service.
    Memory,
    /// Descriptors for each service.
    Descriptors,
}

/// Measured values; several where a measure was taken several times.
pub type Figures = BTreeMap<Measure, Vec<f64>>;

/// How thorough a run is.
#[derive(Clone, Copy, Debug)]
pub struct Thoroughness {
    /// How many single restarts, at most.
    pub samples: usize,
    /// How long all single restarts may take together.
    pub patience: Duration,
    /// How long idleness is watched.
    pub idle: Duration,
    /// Whether to measure what takes long and does not depend on the number of services.
    pub whole: bool,
    /// As another user, with variables.
    pub context: bool,
    /// Who needs whom, under the tree.
    pub order: Shape,
}

/// Default throttles of all peers let a service that lived this long be started again at once.
const OLD_ENOUGH: Duration = Duration::from_millis(1100);

/// Time to write down what has happened: this tree does so 5 ms after a start.
const AFTERWARDS: Duration = Duration::from_millis(12);

/// Nothing takes longer than this, even supervisord with 1000 services.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has `peer` run `count` services beside `probe`, and measures.
///
/// # Errors
/// What could not be set up, or a service that never came, named.
pub fn run(peer: Peer, count: usize, probe: &Path, memory: &Memory, how: Thoroughness) -> io::Result<Figures> {
    let parent = probe.parent().unwrap_or(Path::new("/"));
    let mut run = Run { peer, place: Place::new(parent, probe, count)?, services: Vec::new(), figures: Figures::new() };
    peer.prepare(&run.place, count)?;
    if how.context && !context::set(peer, &run.place, count)? {
        return Err(io::Error::other(format!("{}: has no such tools", peer.name())));
    }
    let result = run.measure(count, memory, how);
    kill_all();
    result.map(|()| run.figures).map_err(|error| io::Error::other(format!("{}: {error}", peer.name())))
}

/// Has `peer` run `count` services, the tree in an order, and measures their start and their stop alone.
///
/// # Errors
/// As [`run`].
pub fn start_and_stop(
    peer: Peer,
    count: usize,
    probe: &Path,
    memory: &Memory,
    how: Thoroughness,
) -> io::Result<Figures> {
    let parent = probe.parent().unwrap_or(Path::new("/"));
    let mut run = Run { peer, place: Place::new(parent, probe, count)?, services: Vec::new(), figures: Figures::new() };
    peer.prepare(&run.place, count)?;
    if peer == Peer::Tree {
        how.order.set(&run.place, count)?;
    }
    let result = run.start(count, memory).and_then(|pid| {
        std::thread::sleep(OLD_ENOUGH);
        run.stop(pid)
    });
    kill_all();
    result.map(|()| run.figures)
}

struct Run {
    peer: Peer,
    place: Place,
    services: Vec<i32>,
    figures: Figures,
}

impl Run {
    fn measure(&mut self, count: usize, memory: &Memory, how: Thoroughness) -> io::Result<()> {
        let pid = self.start(count, memory)?;
        std::thread::sleep(OLD_ENOUGH);

        self.idle(count, memory, how.idle);
        self.restarts(how, Measure::Restart, |_, pid, _| {
            signal(pid, libc::SIGKILL);
            Ok(())
        })?;
        if self.peer.control(&self.place, "s0").is_some() {
            std::thread::sleep(OLD_ENOUGH);
            self.restarts(how, Measure::Command, |run, _, number| {
                let fifo = run.peer.control(&run.place, &format!("s{number}")).unwrap_or_default();
                std::fs::write(fifo, "k")
            })?;
        }
        std::thread::sleep(OLD_ENOUGH);
        self.kill_all(count)?;
        if how.whole && count < self.peer.most() {
            self.come_and_go(3)?;
        }
        std::thread::sleep(OLD_ENOUGH);
        self.stop(pid)
    }

    fn start(&mut self, count: usize, memory: &Memory) -> io::Result<i32> {
        let began = now();
        let pid = memory.spawn(self.peer.command(&self.place, count))?;
        let last = self.all_started(count)?;
        self.note(Measure::StartAll, milliseconds(began, last) / count as f64);
        Ok(pid)
    }

    fn stop(&mut self, pid: i32) -> io::Result<()> {
        let services = open_all(&self.services);
        let began = now();
        self.peer.stop(&self.place, pid, &self.services)?;
        if !all_dead(&services, PATIENCE) {
            return Err(io::Error::other("a service did not end"));
        }
        self.note(Measure::Dead, milliseconds(began, now()));
        if !reap_all(PATIENCE) {
            return Err(io::Error::other("it did not end"));
        }
        self.note(Measure::StopAll, milliseconds(began, now()));
        Ok(())
    }

    fn note(&mut self, measure: Measure, value: f64) {
        self.figures.entry(measure).or_default().push(value);
    }

    /// Waits for all services, and gives the time of the last.
    fn all_started(&mut self, count: usize) -> io::Result<u64> {
        let starts = self.place.starts(count, PATIENCE);
        if starts.len() < count {
            let limit =
                nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).map_or(0, |both| both.1);
            let text = "services started (this tree needs 4 descriptors for each, and the limit is";
            return Err(io::Error::other(format!("only {} of {count} {text} {limit})", starts.len())));
        }
        self.services = starts.iter().map(|start| start.pid).collect();
        Ok(starts.iter().map(|start| start.at).max().unwrap_or(0))
    }

    fn next(&mut self) -> io::Result<Start> {
        self.place.next_start(PATIENCE).ok_or_else(|| io::Error::other("a service was not started again"))
    }

    fn idle(&mut self, count: usize, memory: &Memory, time: Duration) {
        let services: HashSet<i32> = self.services.iter().copied().collect();
        let pids = supervisors(&services);
        self.note(Measure::Memory, memory.used(&pids) as f64 / 1024.0 / count as f64);
        if self.peer == Peer::Floor {
            return;
        }
        self.note(Measure::Descriptors, descriptors(&pids) as f64 / count as f64);
        let before = activity(&pids);
        std::thread::sleep(time);
        let after = activity(&pids);
        self.note(Measure::Wakeups, (after.wakeups - before.wakeups) as f64 / time.as_secs_f64());
        self.note(Measure::IdleCpu, (after.cpu - before.cpu) as f64 / 1e6);
    }

    /// Single restarts, one after the other, each of another service.
    fn restarts(
        &mut self,
        how: Thoroughness,
        measure: Measure,
        kill: impl Fn(&Run, i32, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let began = now();
        for number in 0..self.services.len().min(how.samples) {
            let at = now();
            kill(self, self.services[number], number)?;
            let start = self.next()?;
            self.note(measure, milliseconds(at, start.at));
            match measure {
                Measure::Restart => self.services[number] = start.pid,
                // Nobody knows which one it was.
                _ => {
                    self.services.push(start.pid);
                }
            }
            if Duration::from_nanos(now() - began) > how.patience {
                break;
            }
            // What is left to do for it is not a part of the next one.
            std::thread::sleep(AFTERWARDS);
        }
        self.services.retain(|pid| signal(*pid, 0));
        Ok(())
    }

    fn kill_all(&mut self, count: usize) -> io::Result<()> {
        let began = now();
        for pid in &self.services {
            signal(*pid, libc::SIGKILL);
        }
        let last = self.all_started(count)?;
        self.note(Measure::KillAll, milliseconds(began, last) / count as f64);
        Ok(())
    }

    /// New services, and their removal.
    fn come_and_go(&mut self, times: usize) -> io::Result<()> {
        std::thread::sleep(OLD_ENOUGH);
        for number in 0..times {
            let name = format!("new{number}");
            let staging = self.place.path().join(&name);
            self.place.make_service(&staging)?;
            let began = now();
            if !self.peer.add(&self.place, &staging, &name)? {
                return Ok(());
            }
            let start = self.next()?;
            self.note(Measure::NewDirectory, milliseconds(began, start.at));
            std::thread::sleep(Duration::from_millis(100));
            let began = now();
            if self.peer.remove(&self.place, &name)? {
                while signal(start.pid, 0) && Duration::from_nanos(now() - began) < PATIENCE {
                    std::thread::sleep(Duration::from_micros(200));
                }
                self.note(Measure::Removal, milliseconds(began, now()));
            } else {
                self.services.push(start.pid);
            }
        }
        Ok(())
    }
}

fn milliseconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}
