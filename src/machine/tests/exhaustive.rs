//! All histories in the simulated world, as far as two restarts: a breadth-first search, every event in every state.

use crate::conf::policy::{KillMode, Policy, RestartPolicy};
use crate::conf::relations::Kind;
use crate::machine::health::{HealthRules, Notice, ReadyWhen};
use crate::machine::standing::Call;
use crate::machine::tests::story::{CORE, NO_FILE, NO_PROCESSES, PLAIN, WITH_CONTROLS, WITH_HOOK, at, policy, seconds};
use crate::machine::tests::world::{Op, World, census};
use crate::machine::words::command::Command;
use crate::machine::{Leave, Setup};
use crate::sys::process::pidfd::ExitStatus;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// A first start, and two restarts.
const MOST_STARTS: i32 = 3;

/// Time goes in steps of a second, and so far: just enough for two restarts with a second between them.
const MOST_TIME: f64 = 2.0;

/// With this it takes minutes instead of seconds.
const MORE_TIME: f64 = 4.0;

/// Short times, so that they pass within the search.
fn quick() -> Policy {
    Policy {
        interval: Some(seconds(2.0)),
        max_tries: Some(1),
        max_cores: Some(2),
        kill_timeout: Some(seconds(1.0)),
        finish_timeout: Some(seconds(1.0)),
        ..policy()
    }
}

/// What can happen in every state.
fn events(setup: &Setup) -> Vec<Op> {
    // The mark of a paused process doubles all states in which it lives, and one search with it is enough.
    // Scripts in `control/` that wait for each other multiply them, too.
    let bytes: &[u8] = match (setup.restart_hook, setup.controls) {
        (true, _) => b"udotxpc",
        (_, true) => b"udt",
        (_, false) => b"udotx",
    };
    let commands = bytes.iter().filter_map(|byte| Command::from_byte(*byte)).map(Op::Command);
    // Loggers alone read to the end of their input, and they have neither.
    let is_logger = !setup.restart_hook && !setup.controls;
    let leaves =
        [Leave::WhenDown, Leave::Stop].into_iter().chain(is_logger.then_some(Leave::EndOfInput)).map(Op::Leave);
    let answers = [Op::Hook(true), Op::Hook(false), Op::Finish(true), Op::Finish(false)];
    let starts = [Ok(()), Err(NO_FILE), Err(NO_PROCESSES)].map(Op::Start);
    let exits = [ExitStatus::Code(0), CORE].map(Op::RunEnds);
    let ends = [ExitStatus::Code(0), ExitStatus::Code(125)].map(Op::HelperEnds);
    let scripts = [Op::ScriptEnds(true), Op::ScriptEnds(false)];
    let time = [Op::Wait(seconds(1.0)), Op::LookEarly, Op::DeadlineReached, Op::KillNow];
    commands.chain(leaves).chain(answers).chain(starts).chain(exits).chain(ends).chain(scripts).chain(time).collect()
}

/// What is tried in every state, but not followed, for what follows is found on other ways.
fn trifles() -> Vec<Op> {
    let commands = b"khsrpcx".iter().filter_map(|byte| Command::from_byte(*byte)).map(Op::Command);
    let rest = [Op::Policy(quick()), Op::Command(Command::StopAndExit), Op::Leave(Leave::EndOfInput)];
    commands.chain(rest).collect()
}

/// A hash for numbers that nobody chooses to collide: in a debug build, the standard one takes a third of the time.
#[derive(Default)]
struct QuickHasher(u64);

impl QuickHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.add(u64::from(*byte)));
    }

    fn write_u8(&mut self, number: u8) {
        self.add(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.add(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }
}

/// One search: its name, how the service is run, and its settings.
type Search = (&'static str, Setup, Policy);

fn explore((name, setup, policy): Search, most_time: f64) {
    let first = [true, false].map(|wanted| World::new(setup, policy, wanted));
    let states = search(name, first, (&events(&setup), &trifles()), most_time);
    assert!(states > 10_000, "the search ended early");
}

fn search(name: &str, first: [World; 2], (events, trifles): (&[Op], &[Op]), most_time: f64) -> usize {
    let first = first.map(Rc::new);
    let mut seen: HashSet<Rc<World>, BuildHasherDefault<QuickHasher>> = first.iter().cloned().collect();
    let mut edge = VecDeque::from(first);
    let mut steps = 0;
    while let Some(world) = edge.pop_front() {
        world.can_leave();
        world.can_come_up();
        world.can_go_down();
        if !world.machine.ordered {
            world.can_stop_reading();
        }
        for (op, follow) in events.iter().map(|op| (*op, true)).chain(trifles.iter().map(|op| (*op, false))) {
            if !world.can(op) {
                continue;
            }
            let mut next = World::clone(&world);
            next.happens(op);
            steps += 1;
            // After one logger that has died, the next ones are counted, and nothing else is new.
            let follow = follow && next.readers <= 1;
            if follow && next.starts <= MOST_STARTS && next.now <= at(most_time) && !seen.contains(&next) {
                let next = Rc::new(next);
                seen.insert(next.clone());
                edge.push_back(next);
            }
        }
    }
    println!("{name}: {} states, {steps} steps; {:?}", seen.len(), census(seen.iter().map(Rc::as_ref)));
    seen.len()
}

/// The searches, by name.
fn searches() -> [Search; 4] {
    let hook = Policy { interval: None, kill_mode: KillMode::Process, ..quick() };
    let unlimited = Policy { kill_timeout: None, finish_timeout: None, restart: RestartPolicy::OnFailure, ..quick() };
    // Without finish_timeout there are fewer states, and what `finish` does is in the other searches.
    let controls = Policy { interval: None, finish_timeout: None, ..quick() };
    [
        ("a service of the tree", PLAIN, quick()),
        ("supervise -r", WITH_HOOK, hook),
        ("no time-outs, restart on failure", PLAIN, unlimited),
        ("scripts in control/", WITH_CONTROLS, controls),
    ]
}

/// A service in a tree with an order, which is looked at: the order and the checks say yes and no, and the process does
/// what it likes.
#[test]
fn every_state_in_an_order_within_two_restarts_keeps_the_rules() {
    let health = HealthRules {
        ready: ReadyWhen::Checked,
        check_interval: Some(seconds(1.0)),
        check_failures: 1,
        check_timeout: seconds(1.0),
        ..HealthRules::default()
    };
    let policy = Policy { interval: None, finish_timeout: None, ..quick() };
    let commands = b"udo".iter().filter_map(|byte| Command::from_byte(*byte)).map(Op::Command);
    let order = [(true, true), (false, true), (true, false)].map(|(starts, stops)| Op::Order { starts, stops });
    let calls = [Op::Call(Call::Halt), Op::Call(Call::Restart)];
    let checks = [Op::CheckEnds(true), Op::CheckEnds(false), Op::Says(Notice::Unwell)];
    let processes = [Op::Start(Ok(())), Op::Start(Err(NO_FILE)), Op::RunEnds(ExitStatus::Code(0)), Op::RunEnds(CORE)];
    let rest = [Op::Finish(false), Op::Leave(Leave::Stop), Op::Wait(seconds(1.0)), Op::LookEarly, Op::DeadlineReached];
    let events: Vec<Op> = commands.chain(order).chain(calls).chain(checks).chain(processes).chain(rest).collect();
    for kind in [Kind::Longrun, Kind::Oneshot] {
        let policy = Policy { kind, ..policy };
        let health = if kind == Kind::Oneshot { HealthRules { ready: ReadyWhen::Never, ..health } } else { health };
        let first = [true, false].map(|wanted| World::ordered(PLAIN, policy, health, wanted));
        // A one-shot is done after one run, which leaves few states.
        let states = search("in an order", first, (&events, &trifles()), 1.0);
        assert!(states > 500, "the search ended early: {states}");
    }
}

// One test each, for they run side by side.

#[test]
fn every_state_of_a_service_within_two_restarts_keeps_the_rules() {
    explore(searches()[0], MOST_TIME);
}

#[test]
fn every_state_with_a_restart_hook_within_two_restarts_keeps_the_rules() {
    explore(searches()[1], MOST_TIME);
}

#[test]
fn every_state_without_time_outs_within_two_restarts_keeps_the_rules() {
    explore(searches()[2], MOST_TIME);
}

#[test]
fn every_state_with_control_scripts_within_two_restarts_keeps_the_rules() {
    explore(searches()[3], MOST_TIME);
}

#[test]
#[ignore = "takes minutes: the same with more time between the events"]
fn every_state_within_two_slow_restarts_keeps_the_rules() {
    for search in searches() {
        explore(search, MORE_TIME);
    }
}
