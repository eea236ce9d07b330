//! The command stream, in any bytes, mixed with ends of processes and the passing of time: never a second process,
//! no start that nobody wants, no signal to nobody.

use super::driver::World;
use std::path::Path;
use std::time::Duration;
use supervise_tree::conf::{Config, Program};
use supervise_tree::machine::{Event, Setup};
use supervise_tree::sys::time::Mono;

const SETTINGS: [&str; 4] = [
    "",
    "[global]\nalarm_interval : 60\nmax_tries : 2\nmax_tries_if_coredumped : 1\nrestart_delay_max : 8\n",
    "[global]\nrestart : on-failure\nkill_timeout : 0\nfinish_timeout : 0\nkill_mode : group\n",
    "[global]\nrestart : never\nrestart_delay : 0\nrestart_delay_max : 60\n",
];

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let [first, stream @ ..] = bytes else { return };
    let text = SETTINGS[usize::from(first & 3)];
    let settings =
        Config::parse(Path::new("supervise.conf"), text.as_bytes()).effective("web", None, Program::Tree).settings;
    // `supervise -r` runs a command and no service directory: it has no scripts in `control/`.
    let restart_hook = first & 4 != 0;
    let setup = Setup { restart_hook, controls: first & 32 != 0 && !restart_hook, ..Setup::default() };
    let mut world = World::new(setup, settings.policy, Mono(Duration::from_secs(1000)), first & 8 != 0);
    world.feed(Event::Begin(first & 16 != 0));
    for byte in stream {
        world.take(*byte);
    }
}
