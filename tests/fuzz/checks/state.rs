//! `state.json`, as a supervisor may find it when it begins: whatever is in it, the machine goes on from there, and
//! ends when it is told to.

use super::driver::World;
use nix::unistd::Pid;
use std::path::Path;
use std::time::Duration;
use supervise_tree::conf::{Config, Program};
use supervise_tree::machine::words::events::{Ended, Remains};
use supervise_tree::machine::{Event, SavedState, Setup, State};
use supervise_tree::status::state::{Memory, StateFile};
use supervise_tree::sys::process::record::{Role, boot};
use supervise_tree::sys::time::Mono;

/// Most events until a machine that was told to end has ended: the stop's deadline, KILL, `finish` and its deadline.
const EVENTS_TO_THE_END: usize = 12;

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let Some(mut state) = StateFile::decode(bytes) else { return };
    assert_eq!(StateFile::decode(&state.encode()), Some(state.clone()));
    let Some(memory) = &mut state.memory else { return };
    // Nothing of another boot is believed; so it is of this one.
    let of_another_boot =
        StateFile { memory: Some(Memory { boot: "another".into(), ..memory.clone() }), ..state.clone() };
    assert!(SavedState::read(&of_another_boot, boot(), std::process::id(), Mono::now()).is_none());
    let Some(memory) = &mut state.memory else { return };
    memory.boot = boot().to_string();
    let now = Mono(Duration::from_secs(1000));
    let Some(saved) = SavedState::read(&state, boot(), std::process::id(), now) else { return };
    let text = "[global]\nalarm_interval : 60\nmax_tries : 2\nrestart_delay_max : 60\n";
    let settings =
        Config::parse(Path::new("supervise.conf"), text.as_bytes()).effective("web", None, Program::Tree).settings;
    let pid = Pid::from_raw(4711);
    let ended = Remains::Ended(Ended { pid, has_finish: true });
    let lives = [Role::Run, Role::Finish, Role::Hook].map(|role| Remains::Lives(role, pid));
    for remains in [Remains::Nothing, ended].into_iter().chain(lives) {
        for stream in [&b"ECDFtudoDkE"[..], b"pcxDDE", b"DDDDDD"] {
            let mut world = World::new(Setup::default(), settings.policy, now, true);
            match remains {
                Remains::Lives(Role::Run, pid) => world.run = Some(pid),
                Remains::Lives(Role::Finish | Role::Hook, pid) => world.helper = Some(pid),
                Remains::Nothing | Remains::Ended(_) => {}
            }
            world.feed(Event::Resume(Box::new(saved), remains));
            // A delay that somebody has written into the file must not keep it down for ever.
            if let State::Backoff { until } = world.machine.state() {
                assert!(until.since(now) <= settings.policy.delay_max, "{until:?}");
            }
            for byte in stream {
                world.take(*byte);
            }
            for byte in b"LKEF".iter().cycle().take(EVENTS_TO_THE_END) {
                world.take(*byte);
            }
            assert_eq!(world.machine.state(), State::Ended);
            // What it would write down can be read again.
            let mut memory = Memory::default();
            world.machine.remember(&mut memory);
            let state = StateFile { memory: Some(memory), ..StateFile::default() };
            assert_eq!(StateFile::decode(&state.encode()), Some(state));
        }
    }
}
