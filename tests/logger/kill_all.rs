//! KILL of the logger, of the service, of the tree and of all three, and upgrades of the tree, while numbered lines are
//! written through a logger of the tree's own.
//!
//! `LOG_KILLS=500 cargo test --test logger kill_all -- --nocapture` takes minutes.

use super::common::host::Reaped;
use super::common::*;
use super::pipe::{Random, number, text_of};
use std::collections::HashMap;
use std::time::Duration;

/// Lines of three lengths: the pid, a number, and the number again as the end. Each is one write, which a pipe takes wholly
/// or not at all; what `accepted` says was taken.
const NUMBERS: &str = "#!/bin/sh
pad=0123456789012345678901234567890123456789
long=$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad
n=0
while :; do
    n=$((n + 1))
    case $((n % 11)) in
        0) echo \"$$ $n $long $n\" ;;
        1 | 2 | 3) echo \"$$ $n $pad $n\" ;;
        *) echo \"$$ $n - $n\" ;;
    esac
    [ $((n % 50)) = 0 ] && echo \"$$ $n\" >> ../../accepted
done
";

const CONF: &str = "[global]\nrestart_delay : 0.02\nlog : yes\nlog_stamp : none\nlog_size : 256K\nlog_keep : 0\n\
                    log_compress : gzip\n";

/// What a pipe holds: so much goes when nobody has it open any more.
const PIPE: usize = 64 * 1024;

/// Each process's lines from its first one on, in order, whole, once; the processes one after another. The last number of each.
fn check(log: &str, place: &Place) -> HashMap<String, u64> {
    let mut runs: HashMap<String, u64> = HashMap::new();
    let mut present = String::new();
    for (at, line) in log.lines().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let [pid, number, pad, again] = words[..] else { panic!("line {at} is torn: {line:?}\n{}", place.story()) };
        let expected = match number.parse::<u64>().unwrap() % 11 {
            0 => 1000,
            1..=3 => 40,
            _ => 1,
        };
        assert!(number == again && pad.len() == expected, "line {at} is torn: {line:?}\n{}", place.story());
        if present != pid {
            assert!(!runs.contains_key(pid), "line {at}: {pid} comes again: {line:?}\n{}", place.story());
            present = pid.to_string();
        }
        let last = runs.entry(present.clone()).or_default();
        let number: u64 = number.parse().unwrap();
        assert_eq!(number, *last + 1, "line {at} of {pid} is lost or doubled: {line:?}\n{}", place.story());
        *last = number;
    }
    runs
}

/// The last number of each process that a pipe has taken.
fn accepted(place: &Place) -> HashMap<String, u64> {
    let text = std::fs::read_to_string(place.path().join("accepted")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter_map(|(pid, number)| Some((pid.to_string(), number.parse().ok()?))).collect()
}

/// A tree with one service and its logger, of which any may be killed.
struct Stage<'a> {
    place: &'a Place,
    /// The last one is alive; the reapers of the others have children.
    trees: Vec<Reaped<'a>>,
    random: Random,
}

impl<'a> Stage<'a> {
    fn new(place: &'a Place, seed: u64) -> Stage<'a> {
        place.conf(CONF);
        place.run("web", NUMBERS);
        Stage { place, trees: vec![place.reaped_tree()], random: Random(seed) }
    }

    /// The pid of a module that has a live process: known from an earlier tree, it may be.
    fn wait_pid(&self, module: &str) -> u32 {
        let module = self.place.module(module);
        wait_for("a process", self.place, || is_alive(module.pid()));
        module.pid()
    }

    /// A moment later, the pids of the service and of its logger, both there.
    fn wait_both(&mut self) -> (u32, u32) {
        self.wait_pid("web");
        self.wait_pid("web/log");
        let most = if self.random.below(3) == 0 { 2 } else { 80 };
        std::thread::sleep(Duration::from_millis(self.random.below(most)));
        (self.wait_pid("web"), self.wait_pid("web/log"))
    }

    /// Kills the tree, then these, and starts another tree.
    fn kill_tree_and(&mut self, pids: &[u32]) {
        self.tree().kill();
        pids.iter().for_each(|pid| kill_and_wait(*pid, self.place));
        self.trees.push(self.place.reaped_tree());
    }

    fn tree(&self) -> &Reaped<'a> {
        self.trees.last().unwrap()
    }

    /// Ends in good order; how many lines of each process are missing.
    fn end(mut self) -> HashMap<String, u64> {
        self.wait_both();
        assert!(self.trees.pop().unwrap().stop().success(), "{}", self.place.story());
        let log = String::from_utf8(text_of(&self.place.status_root().join("web/log/main"))).unwrap();
        let runs = check(&log, self.place);
        println!("{} lines of {} processes", runs.values().sum::<u64>(), runs.len());
        let logged = |pid: &str| runs.get(pid).copied().unwrap_or_default();
        accepted(self.place).into_iter().map(|(pid, lines)| (pid.clone(), lines.saturating_sub(logged(&pid)))).collect()
    }
}

/// Until it is dead, a busy machine may take it for the next one that has the pipe.
fn kill_and_wait(pid: u32, place: &Place) {
    signal(pid, "KILL");
    wait_for("the end of what was killed", place, || !is_alive(pid));
}

fn kills(default: u64) -> (u64, u64) {
    let (kills, seed) = (number("LOG_KILLS", default), number("LOG_SEED", u64::from(std::process::id()) << 8 | 1));
    println!("LOG_SEED={seed}, {kills} kills");
    (kills, seed)
}

#[test]
fn no_kill_of_logger_service_or_tree_loses_tears_or_doubles_a_line() {
    let (kills, seed) = kills(24);
    let place = Place::new();
    let mut stage = Stage::new(&place, seed);
    for number in 0..kills {
        // Never all three at once: the pipe would go with them.
        let (service, logger) = stage.wait_both();
        match number % 6 {
            0 => kill_and_wait(logger, &place),
            1 => kill_and_wait(service, &place),
            2 => stage.kill_tree_and(&[]),
            3 => stage.tree().signal("USR2"),
            4 => stage.kill_tree_and(&[logger]),
            _ => stage.kill_tree_and(&[service]),
        }
    }
    let missing = stage.end();
    assert!(missing.len() >= 2, "{missing:?}");
    assert!(missing.values().all(|lines| *lines == 0), "{missing:?}\n{}", place.story());
}

#[test]
fn a_kill_of_all_three_loses_what_was_in_the_pipe_and_tears_and_doubles_nothing() {
    let (kills, seed) = kills(24);
    let place = Place::new();
    let mut stage = Stage::new(&place, seed);
    for _ in 0..kills / 4 {
        let (service, logger) = stage.wait_both();
        stage.kill_tree_and(&[service, logger]);
    }
    let missing = stage.end();
    // Ten bytes are the shortest line. What is in the pipe goes with the last one who has it open.
    assert!(missing.values().all(|lines| *lines <= (PIPE / 10) as u64), "{missing:?}\n{}", place.story());
}
