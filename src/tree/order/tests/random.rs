//! Random graphs of 200 modules, to which anything happens at any time.

use super::world::{Doing, World};
use crate::conf::relations::Relations;
use proptest::prelude::*;

/// As many modules as a large tree has.
const MODULES: usize = 200;

/// A source of numbers that is the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*: its low bits are poor, and not used.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn name(number: usize) -> String {
    format!("m{number:03}")
}

/// What a module says of others: seldom of one that would close a circle, seldom of a name that nobody has.
fn random(dice: &mut Dice, number: usize) -> Relations {
    let mut list = |most: usize, percent: usize| {
        let mut words = Vec::new();
        while words.len() < most && dice.chance(percent) {
            words.push(match dice.below(60) {
                0 => format!("@t{}", dice.below(4)),
                1 => name(dice.below(MODULES + 5)),
                _ if number == 0 => break,
                _ => name(dice.below(number)),
            });
        }
        words
    };
    let (needs, after, restart_with) = (list(4, 60), list(3, 30), list(1, 10));
    let tags = if dice.chance(5) { vec![format!("t{}", dice.below(4))] } else { Vec::new() };
    Relations { needs, after, restart_with, tags }
}

fn happens(world: &mut World, dice: &mut Dice, panics: bool) {
    let number = dice.below(MODULES);
    let name = name(number);
    if !world.members.contains_key(&name) {
        let relations = random(dice, number);
        world.add(&name, relations, dice.chance(10));
        return;
    }
    match dice.below(if panics { 21 } else { 20 }) {
        0..=4 => world.start(&name),
        5 => world.stop(&name),
        6..=7 => world.end(&name, false),
        8 => world.end(&name, true),
        9..=14 => world.ready(&name),
        15 => {
            let relations = random(dice, number);
            world.change(&name, relations);
        }
        16 if dice.chance(50) => world.remove(&name),
        17 if dice.chance(5) => {
            let needs = if dice.chance(50) { String::new() } else { self::name(dice.below(MODULES)) };
            world.set_global(&needs);
        }
        20 => world.panic(&name, dice.chance(50)),
        _ => {
            // Some of those that were woken look, not in the order in which they were.
            let woken: Vec<usize> = world.woken.iter().copied().filter(|_| dice.chance(50)).collect();
            woken.into_iter().for_each(|id| world.look(id));
        }
    }
}

#[test]
fn who_needs_more_while_it_runs_runs_on() {
    // Both once found that what is said of one module changes what another one needs.
    for (seed, happenings) in [(12_477_164_174_586_060_660_u64, 870), (14_328_145_816_416_353_391, 903)] {
        all_is_in_order(seed, happenings, false);
    }
}

/// Lets anything happen; what is checked on the way is in [`World`].
fn all_is_in_order(seed: u64, happenings: usize, panics: bool) -> World {
    let mut dice = Dice(seed);
    let mut world = World::default();
    for number in 0..MODULES {
        let relations = random(&mut dice, number);
        world.add(&name(number), relations, dice.chance(10));
    }
    for _ in 0..happenings {
        happens(&mut world, &mut dice, panics);
        if dice.chance(1) {
            world.settle();
        }
    }
    world.settle();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// What is checked on the way is in `World`: nothing starts before what it needs, nothing is stopped before those that need
    /// it, a circle does not start. Here: every stop ends, and when all is well again, everything is up that can be.
    #[test]
    fn nothing_is_out_of_order_whatever_happens(seed in 1_u64.., happenings in 1..1500_usize) {
        let mut world = all_is_in_order(seed, happenings, true);
        let names: Vec<String> = world.members.keys().cloned().collect();
        names.iter().for_each(|name| world.start(name));
        world.settle();
        for name in &names {
            let is_up = matches!(world.doing(name), Doing::Runs | Doing::Done);
            prop_assert!(is_up || !world.can_start(name), "{name} could start: {}", world.hold(name));
        }
        // The end of all.
        world.order.end();
        names.iter().for_each(|name| world.stop(name));
        world.settle();
        prop_assert!(world.members.values().all(|member| !World::lives(member)));
    }
}
